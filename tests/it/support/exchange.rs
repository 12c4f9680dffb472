//! Requests of a program or a browser, each on a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// One request on a connection of its own, in HTTP/1.0 so that the body ends with it.
pub(crate) struct Exchange {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Exchange {
    pub(crate) fn get(url: &str) -> Self {
        Self::send("GET", url, &[], "")
    }

    pub(crate) fn post(url: &str, body: &Value) -> Self {
        Self::send(
            "POST",
            url,
            &[("content-type", "application/json")],
            &body.to_string(),
        )
    }

    pub(crate) fn send(method: &str, url: &str, fields: &[(&str, &str)], body: &str) -> Self {
        let mut answer = Vec::new();
        let mut stream = open(method, url, fields, body);
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.expect("a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Sends a request and leaves the answer to the caller.
pub(crate) fn open(method: &str, url: &str, fields: &[(&str, &str)], body: &str) -> TcpStream {
    let rest = url.strip_prefix("http://").expect("http");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).expect("it listens");
    let wait = Some(Duration::from_mins(1));
    stream.set_read_timeout(wait).expect("a socket");
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let (fields, length) = (fields.concat(), body.len());
    let request = format!(
        "{method} /{path} HTTP/1.0\r\nhost: {authority}\r\n{fields}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}
