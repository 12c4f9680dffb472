//! `[upstreams.NAME.auth]` of the kinds in which doorward itself asks for tokens:
//! `client_credentials`, `jwt_bearer`, `token_exchange`.

use super::client;
use super::oauth::{CLIENT_AUTH, ENDPOINT, RESOURCE};
use super::unattended::{missing, place, required};
use crate::config::kinds::{Kind, LIST, TEXT, Variables, text};
use crate::config::read::{Section, Wrong};
use crate::config::{Auth, ClientCredentials, Grounds, IdentityProvider, ProofSource};
use crate::model::record::ClientAuth;

pub(super) fn client_credentials(section: &mut Section<'_>, variables: &Variables) -> Option<Auth> {
    let own = own(section, variables);
    let bare = ["client_secret", "private_key"]
        .into_iter()
        .all(|key| section.written(key).is_none());
    if bare {
        missing(
            section,
            "client_secret",
            "client_secret = { keyring = \"item\" }",
        );
        if let (Some(ClientAuth::None), Some(origin)) =
            (own.client_auth, section.written("client_auth"))
        {
            let note = "a client without a secret cannot sign in by itself (RFC 6749 §4.4)";
            section.wrong("client_auth", origin, Wrong::new("does not fit", note));
        }
    }
    own.with(Grounds::Client)
}

pub(super) fn jwt_bearer(section: &mut Section<'_>, variables: &Variables) -> Option<Auth> {
    let assertion = place(section, "assertion", variables);
    let own = own(section, variables);
    own.with(Grounds::Assertion(assertion?))
}

pub(super) fn token_exchange(section: &mut Section<'_>, variables: &Variables) -> Option<Auth> {
    let idp = provider(section.table("idp"), variables);
    let own = own(section, variables);
    own.with(Grounds::Exchange(Box::new(idp?)))
}

/// What the three have in common; the id is missing where it was not right.
struct Own {
    client_id: Option<String>,
    client_auth: Option<ClientAuth>,
    rest: ClientCredentials,
}

impl Own {
    fn with(self, grounds: Grounds) -> Option<Auth> {
        let own = ClientCredentials {
            client_id: self.client_id?,
            grounds,
            ..self.rest
        };
        Some(Auth::ClientCredentials(Box::new(own)))
    }
}

fn own(section: &mut Section<'_>, variables: &Variables) -> Own {
    let (client_id, proof, client_auth) = client(section, variables);
    Own {
        client_id,
        client_auth,
        rest: ClientCredentials {
            token_endpoint: section.optional("token_endpoint", ENDPOINT),
            issuer: section.optional("issuer", ENDPOINT),
            client_id: String::new(),
            grounds: Grounds::Client,
            proof,
            client_auth,
            scopes: section.optional("scopes", LIST).unwrap_or_default(),
            audience: section.optional("audience", TEXT),
            resource: section.read("resource", "auto", RESOURCE),
        },
    }
}

type Client = (Option<String>, Option<ProofSource>, Option<ClientAuth>);

fn client(section: &mut Section<'_>, variables: &Variables) -> Client {
    let id = required(section, "client_id", TEXT, "client_id = \"…\"");
    let proof = client::proof(section, variables);
    let auth = section.read("client_auth", "auto", CLIENT_AUTH);
    client::agree(section, auth, proof.as_ref(), true);
    (id, proof, auth)
}

fn provider(mut section: Section<'_>, variables: &Variables) -> Option<IdentityProvider> {
    let example = "token_endpoint = \"https://id.example.com/token\"";
    let token_endpoint = required(&mut section, "token_endpoint", ENDPOINT, example);
    let issuer = section.optional("issuer", ENDPOINT);
    let (client_id, proof, client_auth) = client(&mut section, variables);
    let subject = place(&mut section, "subject_token", variables);
    let subject_type = section.read("subject_token_type", "id_token", TOKEN_TYPE);
    section.finish();
    Some(IdentityProvider {
        token_endpoint: token_endpoint?,
        issuer,
        client_id: client_id?,
        proof,
        client_auth,
        subject: subject?,
        subject_type,
    })
}

/// One of the types of RFC 8693 §3 by the end of its name, or any other by its whole name.
const TOKEN_TYPE: Kind<'static, String> = Kind {
    shape: "text",
    parse: &|node| {
        const KNOWN: [&str; 5] = ["id_token", "access_token", "refresh_token", "jwt", "saml2"];
        let written = text(node)?;
        if KNOWN.contains(&written.as_str()) {
            return Ok(format!("urn:ietf:params:oauth:token-type:{written}"));
        }
        if written.contains(':') {
            return Ok(written);
        }
        Err(Wrong::new(
            "must be \"id_token\", \"access_token\", \"refresh_token\", \"jwt\", \"saml2\" or a URI",
            "this is none",
        ))
    },
};
