//! An upstream that is added: what stands in the file for it. Secrets are named by their place,
//! never written.

use toml_edit::{Array, InlineTable, Value};

/// An upstream as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewUpstream {
    /// Its name, which is also what its secret is stored under.
    pub name: String,
    /// What people call it.
    pub label: Option<String>,
    /// The kind of its authentication, as the file has it.
    pub kind: String,
    /// The client, where it is registered already.
    pub client_id: Option<String>,
    /// Whether that client signs with a key.
    pub signs: bool,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Fields added to every request.
    pub headers: Vec<(String, String)>,
    /// Whether it may be plain `http` outside this machine.
    pub allow_http: bool,
    /// The command that prints its token.
    pub command: Vec<String>,
    /// Where the assertion is, as `file:PATH`, `env:NAME` or `keyring:ITEM`; without it in the keyring.
    pub assertion: Option<String>,
    /// Who exchanges a token for an assertion.
    pub idp: Option<NewProvider>,
}

/// An identity provider as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewProvider {
    /// Its token endpoint.
    pub token_endpoint: String,
    /// The client there.
    pub client_id: String,
    /// Where the token is that is exchanged, as `file:PATH`, `env:NAME` or `keyring:ITEM`; without it in the keyring.
    pub subject_token: Option<String>,
}

/// A place of a secret that is none. What was written is not repeated: it may be the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the place of a secret is written file:PATH, env:NAME or keyring:ITEM")]
pub struct NoPlace;

impl NewUpstream {
    /// What stands in its table beside its address.
    pub fn settings(&self) -> Result<Vec<(&'static str, Value)>, NoPlace> {
        let mut settings: Vec<(&'static str, Value)> = Vec::new();
        if let Some(label) = &self.label {
            settings.push(("label", label.into()));
        }
        if self.allow_http {
            settings.push(("allow_http", true.into()));
        }
        if !self.headers.is_empty() {
            let pairs = self.headers.iter();
            let table: InlineTable = pairs.map(|(k, v)| (k.as_str(), v.as_str())).collect();
            settings.push(("headers", table.into()));
        }
        settings.push(("auth", self.auth()?.into()));
        Ok(settings)
    }

    fn auth(&self) -> Result<InlineTable, NoPlace> {
        let kind = self.kind.as_str();
        let mut auth = InlineTable::new();
        auth.insert("kind", kind.into());
        if let Some(id) = &self.client_id {
            auth.insert("client_id", id.into());
        }
        let own = self.in_keyring();
        if self.signs {
            auth.insert("private_key", own.clone());
        } else if kind == "client_credentials" {
            auth.insert("client_secret", own.clone());
        }
        match kind {
            "static" => {
                auth.insert("secret", own);
            }
            "exec" => {
                let command: Array = self.command.iter().collect();
                auth.insert("command", command.into());
            }
            "jwt_bearer" => {
                auth.insert("assertion", place_or(self.assertion.as_deref(), own)?);
            }
            "token_exchange" => {
                if let Some(idp) = &self.idp {
                    auth.insert("idp", idp.table(own)?.into());
                }
            }
            _ => {}
        }
        if !self.scopes.is_empty() {
            auth.insert("scopes", self.scopes.iter().collect::<Array>().into());
        }
        Ok(auth)
    }

    fn in_keyring(&self) -> Value {
        named("keyring", &self.name)
    }
}

impl NewProvider {
    fn table(&self, own: Value) -> Result<InlineTable, NoPlace> {
        let mut table = InlineTable::new();
        table.insert("token_endpoint", self.token_endpoint.as_str().into());
        table.insert("client_id", self.client_id.as_str().into());
        let subject = place_or(self.subject_token.as_deref(), own)?;
        table.insert("subject_token", subject);
        Ok(table)
    }
}

fn place_or(text: Option<&str>, otherwise: Value) -> Result<Value, NoPlace> {
    text.map_or(Ok(otherwise), place)
}

/// `file:PATH`, `env:NAME` or `keyring:ITEM`, as the file has it.
fn place(text: &str) -> Result<Value, NoPlace> {
    match text.split_once(':') {
        Some((kind @ ("file" | "env" | "keyring"), what)) if !what.is_empty() => {
            Ok(named(kind, what))
        }
        _ => Err(NoPlace),
    }
}

fn named(kind: &str, what: &str) -> Value {
    let mut place = InlineTable::new();
    place.insert(kind, what.into());
    place.into()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Auth, Edition, Inputs, parse};

    fn added(new: &NewUpstream) -> Auth {
        let folder = tempfile::tempdir().expect("a folder");
        let mut edition = Edition::open(&folder.path().join("config.toml")).expect("opened");
        let settings = new.settings().expect("places");
        let name = new.name.parse().expect("a name");
        edition
            .add(&name, "https://h.example/mcp", &settings)
            .expect("added");
        let inputs = Inputs {
            file: PathBuf::from("config.toml"),
            ..Inputs::default()
        };
        let config = parse(&edition.text(), &inputs).unwrap_or_else(|error| panic!("{error}"));
        config
            .config
            .upstream("up")
            .expect("it is there")
            .auth
            .clone()
    }

    #[test]
    fn what_is_added_of_any_kind_is_a_right_configuration() {
        let of = |kind: &str| NewUpstream {
            name: "up".to_owned(),
            kind: kind.to_owned(),
            client_id: matches!(kind, "client_credentials" | "jwt_bearer" | "token_exchange")
                .then(|| "me".to_owned()),
            command: vec!["print-token".to_owned(), "--now".to_owned()],
            assertion: Some("file:/run/token".to_owned()),
            idp: Some(NewProvider {
                token_endpoint: "https://idp.example/token".to_owned(),
                client_id: "at-idp".to_owned(),
                subject_token: Some("env:ID_TOKEN".to_owned()),
            }),
            ..NewUpstream::default()
        };
        for kind in [
            "oauth",
            "none",
            "static",
            "client_credentials",
            "passthrough",
            "exec",
            "jwt_bearer",
            "token_exchange",
        ] {
            assert_eq!(added(&of(kind)).kind(), kind);
        }
        let signs = NewUpstream {
            signs: true,
            ..of("client_credentials")
        };
        assert_eq!(added(&signs).kind(), "client_credentials");
        let literal = NewUpstream {
            assertion: Some("eyJhbGciOi".to_owned()),
            ..of("jwt_bearer")
        };
        assert!(literal.settings().is_err(), "a secret is not written");
    }
}
