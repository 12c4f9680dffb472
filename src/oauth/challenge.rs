//! Reads `WWW-Authenticate`.
