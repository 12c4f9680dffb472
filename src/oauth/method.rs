//! How a client proves itself at the token endpoint: what it can do and what the server takes.

use super::RegistrationFailure;
use super::metadata::ServerMetadata;
use crate::jose::SigningKey;
use crate::model::record::{ClientAuth, ClientKey, ClientProof};

/// How a client that brings its own identity authenticates (RFC 8414 §2: an absent list means
/// `client_secret_basic`).
pub(super) fn method_for(
    proof: Option<&ClientProof>,
    supported: Option<&[String]>,
) -> Option<ClientAuth> {
    match proof {
        None => return Some(ClientAuth::None),
        Some(ClientProof::Key(_)) => {
            let own = name_of(ClientAuth::PrivateKeyJwt);
            let taken = supported.is_none_or(|list| list.iter().any(|name| name == own));
            return taken.then_some(ClientAuth::PrivateKeyJwt);
        }
        Some(ClientProof::Secret(_)) => {}
    }
    let Some(supported) = supported else {
        return Some(ClientAuth::Basic);
    };
    [ClientAuth::Basic, ClientAuth::Post, ClientAuth::None]
        .into_iter()
        .find(|method| supported.iter().any(|name| name == name_of(*method)))
}

/// Whether a key signs in a way that the server takes (OC-58).
pub(super) fn check_key(
    key: &ClientKey,
    server: &ServerMetadata,
) -> Result<(), RegistrationFailure> {
    let key = SigningKey::read(&key.key).map_err(RegistrationFailure::Key)?;
    let name = key.algorithm().name();
    let listed = server.auth_algorithms.as_ref();
    if listed.is_none_or(|list| list.iter().any(|one| one == name)) {
        return Ok(());
    }
    Err(RegistrationFailure::NoCommonAlgorithm {
        issuer: server.issuer.clone(),
        own: name,
    })
}

/// How a new client asks to authenticate: as a public one where that is offered.
pub(super) fn wanted_method(supported: Option<&[String]>) -> Option<ClientAuth> {
    let Some(supported) = supported else {
        return Some(ClientAuth::Basic);
    };
    [ClientAuth::None, ClientAuth::Basic, ClientAuth::Post]
        .into_iter()
        .find(|method| supported.iter().any(|name| name == name_of(*method)))
}

pub(super) fn name_of(method: ClientAuth) -> &'static str {
    match method {
        ClientAuth::None => "none",
        ClientAuth::Basic => "client_secret_basic",
        ClientAuth::Post => "client_secret_post",
        ClientAuth::PrivateKeyJwt => "private_key_jwt",
    }
}
