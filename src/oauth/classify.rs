//! What an answer of a token endpoint means.
