//! Authorization servers that other people wrote, with other ideas than oidc-provider's.

mod glewlwyd;
mod python;
