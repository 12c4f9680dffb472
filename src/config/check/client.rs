//! What a client of the configuration proves itself with: a secret, or a key that signs.

use super::secret::secret;
use crate::config::ProofSource;
use crate::config::kinds::{Kind, TEXT, Variables};
use crate::config::raw::Node;
use crate::config::read::{Section, Wrong};
use crate::model::record::ClientAuth;

/// Reads `client_secret`, or `private_key` and `key_id`.
pub(super) fn proof(section: &mut Section<'_>, variables: &Variables) -> Option<ProofSource> {
    let kind = Kind {
        shape: "a table",
        parse: &|node: &Node| secret(node, variables),
    };
    let shared = section.optional("client_secret", kind);
    let key = section.optional("private_key", kind);
    let id = section.optional("key_id", TEXT).filter(|id| !id.is_empty());
    if section.written("private_key").is_none() {
        let note = "it names the public half of one";
        complain(section, "key_id", Wrong::new("needs a `private_key`", note));
    }
    match (shared, key) {
        (Some(_), Some(_)) => {
            let note = "`client_secret` is the proof already";
            complain(section, "private_key", Wrong::new("is one too many", note));
            None
        }
        (Some(place), None) => Some(ProofSource::Secret(place)),
        (None, Some(place)) => Some(ProofSource::Key { place, id }),
        (None, None) => None,
    }
}

/// Checks that `client_auth` and the proof fit each other.
pub(super) fn agree(
    section: &Section<'_>,
    auth: Option<ClientAuth>,
    proof: Option<&ProofSource>,
    has_client: bool,
) {
    let note = match (auth, proof) {
        (Some(ClientAuth::PrivateKeyJwt), None | Some(ProofSource::Secret(_))) => {
            "this way of proving itself needs a `private_key`"
        }
        (Some(ClientAuth::Basic | ClientAuth::Post), Some(ProofSource::Key { .. })) => {
            "a `private_key` proves itself by \"private_key_jwt\""
        }
        (Some(ClientAuth::Basic | ClientAuth::Post), None) if has_client => {
            "this way of proving itself needs a `client_secret`"
        }
        (Some(ClientAuth::None), Some(ProofSource::Secret(_))) => {
            "with \"none\", the `client_secret` would not be used"
        }
        (Some(ClientAuth::None), Some(ProofSource::Key { .. })) => {
            "with \"none\", the `private_key` would not be used"
        }
        _ => return,
    };
    complain(section, "client_auth", Wrong::new("does not fit", note));
}

fn complain(section: &Section<'_>, key: &str, wrong: Wrong) {
    if let Some(origin) = section.written(key) {
        section.wrong(key, origin, wrong);
    }
}
