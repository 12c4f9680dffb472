//! `[upstreams.NAME.auth]` of the kinds that need no person and no authorization server: `static`,
//! `exec`, `passthrough`.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::secret::{command, secret};
use crate::config::kinds::{DURATION, Kind, TEXT, Variables, YES, expand, text, word};
use crate::config::raw::Node;
use crate::config::read::{Section, Wrong};
use crate::config::{Auth, Exec, ExecOutput, HeaderForm, Passthrough, SecretSource, Static};

/// How long a token serves that tells no end.
const CACHE: Duration = Duration::from_mins(5);

pub(super) fn stored(section: &mut Section<'_>, variables: &Variables) -> Option<Auth> {
    let secret = place(section, "secret", variables);
    let header = section.read("header", "Authorization", HEADER);
    let format = section.read("format", "Bearer {secret}", FORM);
    section.read("reload", "on-401", RELOAD);
    Some(Auth::Static(Static {
        secret: secret?,
        header,
        format,
    }))
}

pub(super) fn exec(section: &mut Section<'_>, variables: &Variables) -> Option<Auth> {
    let kind = Kind {
        shape: "an array",
        parse: &command,
    };
    let command = required(
        section,
        "command",
        kind,
        "command = [\"program\", \"argument\"]",
    );
    let output = section.read("output", "auto", OUTPUT);
    let env = environment(section, variables);
    let timeout = section.read("timeout", "10s", DURATION);
    let cache = section.read("cache", "until-expiry", LIFE);
    let install_hint = section.optional("install_hint", TEXT);
    if section.read("interactive", "false", YES)
        && let Some(origin) = section.written("interactive")
    {
        let note = "commands run without a terminal: nobody could answer";
        section.wrong("interactive", origin, Wrong::new("cannot be true", note));
    }
    Some(Auth::Exec(Exec {
        command: command?,
        output,
        env,
        timeout,
        cache: cache.unwrap_or(CACHE),
        install_hint,
    }))
}

pub(super) fn passthrough(section: &mut Section<'_>) -> Auth {
    let checked = section.read("check_exp", "true", YES);
    let skew = section.read("skew", "60s", DURATION);
    Auth::Passthrough(Passthrough {
        skew: checked.then_some(skew),
    })
}

pub(super) fn place(
    section: &mut Section<'_>,
    key: &'static str,
    variables: &Variables,
) -> Option<SecretSource> {
    let kind = Kind {
        shape: "a table",
        parse: &|node: &Node| secret(node, variables),
    };
    let example = format!("{key} = {{ keyring = \"item\" }}");
    required(section, key, kind, &example)
}

/// The value of a key that this kind cannot do without.
pub(super) fn required<T>(
    section: &mut Section<'_>,
    key: &'static str,
    kind: Kind<'_, T>,
    example: &str,
) -> Option<T> {
    let absent = section.written(key).is_none();
    let value = section.optional(key, kind);
    if absent {
        missing(section, key, example);
    }
    value
}

pub(super) fn missing(section: &Section<'_>, key: &str, example: &str) {
    let wrong = Wrong::new("is missing", "this kind of authentication needs one");
    let help = format!("write {example} below [{}]", section.path);
    let origin = section.origin.clone();
    section.wrong(key, &origin, wrong.help(help));
}

fn environment(section: &mut Section<'_>, variables: &Variables) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, origin, node) in section.pairs("env") {
        let full = format!("env.{name}");
        if name.is_empty() || name.contains(['=', '\0']) {
            let wrong = Wrong::new("is no name of a variable", "without `=`");
            section.wrong(&full, origin, wrong);
            continue;
        }
        let home = |value: String| match (value.strip_prefix("~/"), variables.get("HOME")) {
            (Some(rest), Some(home)) => format!("{home}/{rest}"),
            _ => value,
        };
        match text(node).and_then(|written| expand(&written, variables)) {
            Ok(value) => {
                all.insert(name.to_owned(), home(value));
            }
            Err(wrong) => section.wrong(&full, &node.origin, wrong),
        }
    }
    all
}

const HEADER: Kind<'static, HeaderName> = Kind {
    shape: "text",
    parse: &|node| {
        // Fields by which a message is framed and routed.
        const OURS: [&str; 7] = [
            "connection",
            "content-length",
            "host",
            "mcp-session-id",
            "te",
            "transfer-encoding",
            "upgrade",
        ];
        let written = text(node)?;
        match HeaderName::from_bytes(written.as_bytes()) {
            Ok(name) if !OURS.contains(&name.as_str()) => Ok(name),
            Ok(_) => Err(Wrong::new(
                "must be another field",
                "this one frames the message",
            )),
            Err(_) => Err(Wrong::new(
                "must be the name of a field",
                "letters, digits and dashes",
            )),
        }
    },
};

const FORM: Kind<'static, HeaderForm> = Kind {
    shape: "text",
    parse: &|node| {
        let written = text(node)?;
        let Some((before, after)) = written.split_once("{secret}") else {
            return Err(Wrong::new(
                "must contain {secret}",
                "the place where the secret goes",
            ));
        };
        if HeaderValue::from_str(&written).is_err() {
            return Err(Wrong::new("must be visible ASCII", "this cannot be sent"));
        }
        Ok(HeaderForm {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    },
};

const RELOAD: Kind<'static, ()> = Kind {
    shape: "text",
    parse: &|node| word(node, &[("on-401", ())]),
};

const OUTPUT: Kind<'static, ExecOutput> = Kind {
    shape: "text",
    parse: &|node| {
        word(
            node,
            &[
                ("auto", ExecOutput::Auto),
                ("token", ExecOutput::Token),
                ("json", ExecOutput::Json),
                ("exec-credential", ExecOutput::ExecCredential),
            ],
        )
    },
};

/// A duration, or "until-expiry".
const LIFE: Kind<'static, Option<Duration>> = Kind {
    shape: "text",
    parse: &|node| match text(node).as_deref() {
        Ok("until-expiry") => Ok(None),
        _ => (DURATION.parse)(node).map(Some).map_err(|wrong| Wrong {
            demand: wrong.demand + ", or \"until-expiry\"",
            ..wrong
        }),
    },
};
