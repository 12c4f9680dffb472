//! As much HTTP/1.1 as both ends of the benchmark need: cheap, so that what is measured is what
//! lies between them.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The beginning of a message, and how long all of it is.
pub(crate) struct Head {
    pub(crate) length: usize,
    pub(crate) body: usize,
}

impl Head {
    /// The head at the start of `bytes`, once it is there in full.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let length = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let body = field(&bytes[..length], "content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        Some(Self { length, body })
    }
}

/// The value of a field of a head.
pub(crate) fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let line = head.split(|byte| *byte == b'\n').find(|line| {
        line.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
            && line.get(name.len()) == Some(&b':')
    })?;
    Some(std::str::from_utf8(&line[name.len() + 1..]).ok()?.trim())
}

/// Reads a message into `buffer`, head and body; `None` where the peer has left before.
pub(crate) async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Head>> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        if let Some(head) = Head::of(buffer)
            && buffer.len() >= head.length + head.body
        {
            return Ok(Some(head));
        }
    }
}
