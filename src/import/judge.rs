//! Which of the servers found can become upstreams, under which names, and why not the others.

use std::collections::BTreeSet;

use url::{Host, Url};

use super::{Entry, Source, Transport};
use crate::model::id::UpstreamName;

/// A server that was found, in one configuration or in several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it would be called, or is called.
    pub name: String,
    /// Its address, to be shown: without what may be a secret.
    pub shown: String,
    /// Its address, as it is written.
    pub url: String,
    /// Who has it.
    pub sources: Vec<Source>,
    /// Whether one of them reaches it through `mcp-remote`.
    pub through_command: bool,
    /// The names of fields that they send, and an upstream would not.
    pub fields: Vec<String>,
    /// What can be done with it.
    pub verdict: Verdict,
}

/// What can be done with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It can become an upstream.
    New,
    /// It is one already.
    Known,
    /// It is reached with a secret, which is not taken over.
    OwnSecret,
    /// A part of its address may be a secret.
    SecretAddress,
    /// Its address depends on a variable.
    Variable,
    /// It speaks the older transport only.
    Sse,
    /// It is outside of this machine, and not encrypted.
    PlainHttp,
    /// Its address is none.
    NoAddress,
}

impl Verdict {
    /// What a person is told.
    pub fn words(self) -> &'static str {
        match self {
            Self::New => "can be taken over",
            Self::Known => "is an upstream already",
            Self::OwnSecret => "has a secret of its own, which is not taken over",
            Self::SecretAddress => "its address may hold a secret; add it by hand",
            Self::Variable => "its address holds a variable; add it by hand",
            Self::Sse => "speaks the older transport (SSE); it may have a newer address",
            Self::PlainHttp => "is not encrypted; add it by hand with --allow-http",
            Self::NoAddress => "its address cannot be read",
        }
    }
}

/// What is configured already.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The upstreams with their addresses.
    pub upstreams: Vec<(String, String)>,
    /// The address at which agents reach this daemon.
    pub own: String,
}

/// One candidate for each server, in the order in which they were found. What leads to doorward is
/// none.
pub fn judge(entries: &[Entry], known: &Known) -> Vec<Candidate> {
    let mut taken: BTreeSet<String> = known.upstreams.iter().map(|it| it.0.clone()).collect();
    let mut all: Vec<Candidate> = Vec::new();
    for entry in entries {
        let url = Url::parse(&entry.url).ok();
        let own = Url::parse(&known.own).ok();
        if url.is_some() && url.as_ref().map(Url::origin) == own.as_ref().map(Url::origin) {
            continue;
        }
        let verdict = verdict(entry, url.as_ref());
        // Another program may reach the same server without what is in this one's way.
        let same = all.iter_mut().find(|it| it.url == entry.url);
        if let Some(same) = same {
            if !same.sources.contains(&entry.source) {
                same.sources.push(entry.source);
            }
            same.through_command |= entry.through_command;
            for field in &entry.fields {
                if !same.fields.contains(field) {
                    same.fields.push(field.clone());
                }
            }
            if verdict == Verdict::OwnSecret && same.verdict == Verdict::New {
                same.verdict = verdict;
            }
            continue;
        }
        let upstream = known.upstreams.iter().find(|it| it.1 == entry.url);
        let (name, verdict) = match upstream {
            Some((name, _)) => (name.clone(), Verdict::Known),
            None => (free_name(&entry.name, &mut taken), verdict),
        };
        all.push(Candidate {
            name,
            shown: shown(url.as_ref(), verdict),
            url: entry.url.clone(),
            sources: vec![entry.source],
            through_command: entry.through_command,
            fields: entry.fields.clone(),
            verdict,
        });
    }
    all
}

fn verdict(entry: &Entry, url: Option<&Url>) -> Verdict {
    if ["${", "{env:", "$(", "{{"]
        .iter()
        .any(|it| entry.url.contains(it))
    {
        return Verdict::Variable;
    }
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        return Verdict::NoAddress;
    };
    if may_hold_a_secret(url) {
        return Verdict::SecretAddress;
    }
    if entry.transport == Transport::Sse || url.path().trim_end_matches('/').ends_with("/sse") {
        return Verdict::Sse;
    }
    if url.scheme() == "http" && !is_here(url) {
        return Verdict::PlainHttp;
    }
    if entry.fields.iter().any(|field| is_secret_name(field)) {
        return Verdict::OwnSecret;
    }
    Verdict::New
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Addresses that let in whoever knows them are common: a user's part, a key in the query, a long
/// word without meaning in the path.
fn may_hold_a_secret(url: &Url) -> bool {
    let user = !url.username().is_empty() || url.password().is_some();
    let mut query = url.query_pairs();
    let mut path = url.path_segments().into_iter().flatten();
    user || url.fragment().is_some()
        || query.any(|(name, value)| is_secret_name(&name) || is_random(&value))
        || path.any(is_random)
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = [
        "auth",
        "token",
        "key",
        "secret",
        "pass",
        "cookie",
        "credential",
        "session",
        "sig",
        "code",
        "jwt",
        "bearer",
    ];
    parts.iter().any(|part| name.contains(part))
}

/// A word as keys are: long, and letters and digits mixed.
fn is_random(word: &str) -> bool {
    let letters = word.chars().any(|c| c.is_ascii_alphabetic());
    let digits = word.chars().filter(char::is_ascii_digit).count();
    word.len() >= 16 && letters && digits >= 3 || word.len() >= 40
}

/// An address without what may be a secret.
fn shown(url: Option<&Url>, verdict: Verdict) -> String {
    let hidden = matches!(verdict, Verdict::SecretAddress | Verdict::Variable);
    match url {
        Some(url) if hidden => format!("{}/…", url.origin().ascii_serialization()),
        Some(url) => url.as_str().replace(char::is_control, " "),
        None => "…".to_owned(),
    }
}

/// A name for an upstream out of one that may be anything.
fn free_name(written: &str, taken: &mut BTreeSet<String>) -> String {
    let letter = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
        _ => '-',
    };
    let name: String = written.chars().map(letter).collect();
    let name = name.trim_matches('-');
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let name: String = name.chars().take(28).collect();
    let name = match name.parse::<UpstreamName>() {
        Ok(name) => name.to_string(),
        Err(_) => "server".to_owned(),
    };
    let numbers = (2..).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.clone())
        .chain(numbers)
        .find(|name| !taken.contains(name))
        .expect("the iterator is endless");
    taken.insert(free.clone());
    free
}
