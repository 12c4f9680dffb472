//! What a credential command printed: a bare token, an object, or a Kubernetes `ExecCredential`.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::ExecOutput;
use crate::model::secret::AccessToken;
use crate::model::time::Timestamp;

/// A token, as a command printed it.
#[derive(Clone, Debug)]
pub struct Printed {
    /// The token.
    pub token: AccessToken,
    /// When it ends, where that was printed.
    pub expires: Option<Timestamp>,
}

/// Reads `text`, printed at `now`.
pub fn read(text: &[u8], form: ExecOutput, now: Timestamp) -> Result<Printed, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty");
    }
    let object = || match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err("it is not a JSON object"),
    };
    match form {
        ExecOutput::Json => json(&object()?, now),
        ExecOutput::ExecCredential => exec_credential(&object()?),
        ExecOutput::Auto if text.starts_with('{') => {
            let object = object()?;
            if string(&object, "kind") == Some("ExecCredential") {
                exec_credential(&object)
            } else {
                json(&object, now)
            }
        }
        ExecOutput::Token | ExecOutput::Auto => bare(text),
    }
}

fn bare(text: &str) -> Result<Printed, &'static str> {
    let line = text.lines().next().unwrap_or_default();
    Ok(Printed {
        token: token(line)?,
        expires: None,
    })
}

fn json(object: &Map<String, Value>, now: Timestamp) -> Result<Printed, &'static str> {
    if object.contains_key("headers") {
        return Err("it has `headers`, and this version sends a token only");
    }
    let text = string(object, "token").or_else(|| string(object, "access_token"));
    let expires = match (object.get("expires_at"), object.get("expires_in")) {
        (Some(at), _) => Some(instant(at).ok_or("its `expires_at` is no point in time")?),
        (None, Some(length)) => {
            let length = length
                .as_f64()
                .and_then(|s| Duration::try_from_secs_f64(s).ok());
            Some(now.plus(length.ok_or("its `expires_in` is no number of seconds")?))
        }
        (None, None) => None,
    };
    Ok(Printed {
        token: token(text.ok_or("there is no `token` in it")?)?,
        expires,
    })
}

fn exec_credential(object: &Map<String, Value>) -> Result<Printed, &'static str> {
    let Some(Value::Object(status)) = object.get("status") else {
        return Err("there is no `status` in it");
    };
    let text = match string(status, "token") {
        Some(text) => text,
        None if status.contains_key("clientCertificateData") => {
            return Err("it is a client certificate, and a token is needed");
        }
        None => return Err("there is no `status.token` in it"),
    };
    let expires = match status.get("expirationTimestamp") {
        None | Some(Value::Null) => None,
        Some(at) => Some(instant(at).ok_or("its `expirationTimestamp` is no point in time")?),
    };
    Ok(Printed {
        token: token(text)?,
        expires,
    })
}

fn token(text: &str) -> Result<AccessToken, &'static str> {
    let text = text.trim();
    let sendable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    sendable
        .then(|| AccessToken::new(text))
        .ok_or("its token fits in no header")
}

fn string<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// RFC 3339, or seconds since 1970.
fn instant(value: &Value) -> Option<Timestamp> {
    let millis = match value {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
        Value::Number(number) => number.as_i64()?.checked_mul(1000)?,
        _ => return None,
    };
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn of(text: &str, form: ExecOutput) -> Result<(String, Option<u64>), &'static str> {
        let printed = read(text.as_bytes(), form, NOW)?;
        let ends = printed.expires.map(|end| end.as_millis() / 1000);
        Ok((printed.token.expose().to_owned(), ends))
    }

    #[test]
    fn every_form_is_known_by_its_looks() {
        use ExecOutput::{Auto, ExecCredential, Json, Token};
        let credential = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
            "status":{"token":"t","expirationTimestamp":"2027-01-15T08:00:00Z"}}"#;
        let table = [
            ("t\n", Auto, ("t", None)),
            ("t\nmore\n", Token, ("t", None)),
            (r#"{"token":"t"}"#, Auto, ("t", None)),
            (
                r#"{"access_token":"t","expires_in":60}"#,
                Json,
                ("t", Some(1_800_000_060)),
            ),
            (
                r#"{"token":"t","expires_at":1800000005}"#,
                Auto,
                ("t", Some(1_800_000_005)),
            ),
            (credential, Auto, ("t", Some(1_800_000_000))),
            (credential, ExecCredential, ("t", Some(1_800_000_000))),
        ];
        for (text, form, (token, ends)) in table {
            assert_eq!(of(text, form), Ok((token.to_owned(), ends)), "{text}");
        }
    }

    #[test]
    fn what_is_no_credential_is_told() {
        for (text, form) in [
            ("", ExecOutput::Auto),
            ("Please open https://id.example.com", ExecOutput::Token),
            ("{", ExecOutput::Auto),
            ("t", ExecOutput::Json),
            (r#"{"token":""}"#, ExecOutput::Auto),
            (r#"{"token":"t","expires_at":"tomorrow"}"#, ExecOutput::Auto),
            (r#"{"token":"t","headers":{"x":"y"}}"#, ExecOutput::Auto),
            (r#"{"kind":"ExecCredential","status":{}}"#, ExecOutput::Auto),
            (
                r#"{"kind":"ExecCredential","status":{"clientCertificateData":"x"}}"#,
                ExecOutput::Auto,
            ),
        ] {
            assert!(of(text, form).is_err(), "{text}");
        }
    }
}
