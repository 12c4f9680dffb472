//! Token requests and their answers.
