//! `[upstreams.NAME.auth]`: how doorward proves itself to an upstream.

use std::collections::BTreeMap;

use url::Url;

use super::upstream::is_loopback;
use super::{client, own, redirect, unattended};
use crate::config::kinds::{Kind, LIST, TEXT, Variables, YES, text, word};
use crate::config::raw::{Node, Origin};
use crate::config::read::{Section, Wrong};
use crate::config::{
    Auth, Endpoints, FALLBACK_SCOPES, Oauth, ProofSource, Register, Resource, Server,
};
use crate::model::record::ClientAuth;

#[derive(Clone, Copy)]
enum AuthKind {
    Oauth,
    ClientCredentials,
    JwtBearer,
    TokenExchange,
    Static,
    Exec,
    Passthrough,
    None,
}

const AUTH_KIND: Kind<'static, AuthKind> = Kind {
    shape: "text",
    parse: &|node| {
        word(
            node,
            &[
                ("oauth", AuthKind::Oauth),
                ("none", AuthKind::None),
                ("client_credentials", AuthKind::ClientCredentials),
                ("jwt_bearer", AuthKind::JwtBearer),
                ("token_exchange", AuthKind::TokenExchange),
                ("static", AuthKind::Static),
                ("exec", AuthKind::Exec),
                ("passthrough", AuthKind::Passthrough),
            ],
        )
    },
};

pub(super) fn auth(
    mut section: Section<'_>,
    variables: &Variables,
    server: &Server,
) -> Option<Auth> {
    let auth = match section.read("kind", "oauth", AUTH_KIND) {
        AuthKind::None => Some(Auth::None),
        AuthKind::Oauth => {
            let oauth = oauth(&mut section, variables, server);
            Some(Auth::Oauth(Box::new(oauth)))
        }
        AuthKind::ClientCredentials => own::client_credentials(&mut section, variables),
        AuthKind::JwtBearer => own::jwt_bearer(&mut section, variables),
        AuthKind::TokenExchange => own::token_exchange(&mut section, variables),
        AuthKind::Static => unattended::stored(&mut section, variables),
        AuthKind::Exec => unattended::exec(&mut section, variables),
        AuthKind::Passthrough => Some(unattended::passthrough(&mut section)),
    };
    section.finish();
    auth
}

fn oauth(section: &mut Section<'_>, variables: &Variables, server: &Server) -> Oauth {
    let authorization = section.optional("authorization_endpoint", ENDPOINT);
    let token = section.optional("token_endpoint", ENDPOINT);
    let endpoints = both_or_neither(section, authorization, token);
    let client_id = section
        .optional("client_id", TEXT)
        .filter(|id| !id.is_empty());
    let proof = client::proof(section, variables);
    let oauth = Oauth {
        scopes: section.optional("scopes", LIST),
        fallback_scopes: from_environment(section),
        resource: section.read("resource", "auto", RESOURCE),
        client_id,
        proof,
        client_auth: section.read("client_auth", "auto", CLIENT_AUTH),
        client_metadata_url: section.optional("client_metadata_url", METADATA_URL),
        register: section.read("register", "auto", REGISTER),
        issuer: section.optional("issuer", ENDPOINT),
        endpoints,
        revocation_endpoint: section.optional("revocation_endpoint", ENDPOINT),
        redirect: section.read("redirect", "loopback", redirect::KIND),
        redirect_per_upstream: section.read("redirect_per_upstream", "false", YES),
        extra_authorize: extra_authorize(section),
        probe_path: section.optional("probe_path", PROBE_PATH),
        prefer_device_flow: section.read("prefer_device_flow", "false", YES),
        legacy_2025_03_26: section.read("legacy_2025_03_26", "false", YES),
    };
    agree(section, &oauth, server);
    oauth
}

/// Rules between several keys.
fn agree(section: &Section<'_>, oauth: &Oauth, server: &Server) {
    let complain = |key: &str, wrong: Wrong| {
        if let Some(origin) = section.written(key) {
            section.wrong(key, origin, wrong);
        }
    };
    if oauth.proof.is_some() && oauth.client_id.is_none() {
        let wrong = |what: &str| Wrong::new("needs a `client_id`", what);
        complain("client_secret", wrong("a secret belongs to a client"));
        complain("private_key", wrong("a key belongs to a client"));
    }
    client::agree(
        section,
        oauth.client_auth,
        oauth.proof.as_ref(),
        oauth.client_id.is_some(),
    );
    let signs = matches!(oauth.proof, Some(ProofSource::Key { .. }));
    if signs && oauth.endpoints.is_some() && oauth.issuer.is_none() {
        let note = "what the key signs is addressed to the `issuer`, which is not set";
        complain("private_key", Wrong::new("has no addressee", note));
    }
    let named = oauth.client_id.is_some() || oauth.client_metadata_url.is_some();
    if oauth.register == Register::Never && !named {
        let note = "without registration, `client_id` is needed";
        complain("register", Wrong::new("leaves no client", note));
    }
    if oauth.client_metadata_url.is_some() && oauth.client_id.is_some() {
        let note = "`client_id` is the identity already";
        complain("client_metadata_url", Wrong::new("is one too many", note));
    }
    if oauth.register == Register::Document && oauth.client_metadata_url.is_none() {
        let note = "it needs `client_metadata_url`";
        complain("register", Wrong::new("leaves no client", note));
    }
    if oauth.register == Register::Dynamic && oauth.client_metadata_url.is_some() {
        let note = "with \"dynamic\", the document would not be used";
        complain("register", Wrong::new("does not fit", note));
    }
    if let Some(wrong) = redirect::misfit(oauth, server) {
        complain("redirect", wrong);
    }
}

fn both_or_neither(
    section: &Section<'_>,
    authorization: Option<Url>,
    token: Option<Url>,
) -> Option<Endpoints> {
    let one = match (
        section.written("authorization_endpoint"),
        section.written("token_endpoint"),
    ) {
        (Some(origin), None) => Some(("authorization_endpoint", origin, "token_endpoint")),
        (None, Some(origin)) => Some(("token_endpoint", origin, "authorization_endpoint")),
        _ => None,
    };
    if let Some((key, origin, other)) = one {
        let wrong = Wrong::new("needs its counterpart", format!("`{other}` is not set"));
        section.wrong(key, origin, wrong);
    }
    Some(Endpoints {
        authorization: authorization?,
        token: token?,
    })
}

/// The scopes to fall back to: for an upstream that came from variables alone.
fn from_environment(section: &Section<'_>) -> Vec<String> {
    match section.origin {
        Origin::Variable(_) => FALLBACK_SCOPES.map(str::to_owned).into(),
        _ => Vec::new(),
    }
}

fn extra_authorize(section: &mut Section<'_>) -> BTreeMap<String, String> {
    // Those that make the sign-in safe, or that other keys set.
    const OURS: [&str; 9] = [
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "resource",
        "response_type",
        "scope",
        "state",
    ];
    let mut extra = BTreeMap::new();
    for (name, origin, node) in section.pairs("extra_authorize") {
        let full = format!("extra_authorize.{name}");
        if OURS.contains(&name) {
            let wrong = Wrong::new("cannot be set here", "doorward sets this parameter itself");
            section.wrong(&full, origin, wrong);
            continue;
        }
        match text(node) {
            Ok(value) => {
                extra.insert(name.to_owned(), value);
            }
            Err(wrong) => section.wrong(&full, &node.origin, wrong),
        }
    }
    extra
}

pub(super) const RESOURCE: Kind<'static, Resource> = Kind {
    shape: "text",
    parse: &|node| {
        let written = text(node)?;
        match written.as_str() {
            "auto" => Ok(Resource::Auto),
            "off" => Ok(Resource::Off),
            _ => match Url::parse(&written) {
                Ok(url) if url.fragment().is_none() => Ok(Resource::Value(written)),
                _ => Err(Wrong::new(
                    "must be \"auto\", \"off\" or an absolute URI",
                    "this is none",
                )),
            },
        }
    },
};

pub(super) const CLIENT_AUTH: Kind<'static, Option<ClientAuth>> = Kind {
    shape: "text",
    parse: &|node| {
        let words = [
            ("auto", None),
            ("none", Some(ClientAuth::None)),
            ("basic", Some(ClientAuth::Basic)),
            ("post", Some(ClientAuth::Post)),
            ("private_key_jwt", Some(ClientAuth::PrivateKeyJwt)),
        ];
        word(node, &words)
    },
};

const REGISTER: Kind<'static, Register> = Kind {
    shape: "text",
    parse: &|node| {
        let words = [
            ("auto", Register::Auto),
            ("metadata-document", Register::Document),
            ("dynamic", Register::Dynamic),
            ("never", Register::Never),
        ];
        word(node, &words)
    },
};

const PROBE_PATH: Kind<'static, String> = Kind {
    shape: "text",
    parse: &|node| {
        let written = text(node)?;
        if written.is_empty() || written.starts_with('/') {
            return Ok(written);
        }
        Err(Wrong::new("must begin with /", "this is no path"))
    },
};

const METADATA_URL: Kind<'static, String> = Kind {
    shape: "text",
    parse: &|node| {
        const DEMAND: &str = "must be an address such as \"https://example.com/client.json\"";
        let written = text(node)?;
        let url = Url::parse(&written).map_err(|e| Wrong::new(DEMAND, e.to_string()))?;
        let wrong = |note: &str| Err(Wrong::new(DEMAND, note));
        if url.scheme() != "https" {
            return wrong("servers fetch it by https only");
        }
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return wrong("it has no fragment, no user and no password");
        }
        if url.path() == "/" {
            return wrong("it has a path");
        }
        // Servers compare it character by character, so that there is one way to write it.
        if url.as_str() != written {
            return wrong("servers would know it by another spelling");
        }
        Ok(written)
    },
};

/// An address of an authorization server.
fn endpoint(node: &Node) -> Result<Url, Wrong> {
    const DEMAND: &str = "must be an address such as \"https://id.example.com\"";
    let written = text(node)?;
    let url = Url::parse(&written).map_err(|e| Wrong::new(DEMAND, e.to_string()))?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !web || url.fragment().is_some() {
        return Err(Wrong::new(DEMAND, "this is none"));
    }
    if url.scheme() == "https" || is_loopback(&url) {
        return Ok(url);
    }
    Err(Wrong::new(
        "must be https",
        "sign-ins would cross the network in the clear",
    ))
}

pub(super) const ENDPOINT: Kind<'static, Url> = Kind {
    shape: "text",
    parse: &endpoint,
};
