//! Where one request ends and the next begins.

use super::case::Reaches::{Bodies, Nothing, Part};
use super::case::Then::{Closed, Garbled, GoesOn};
use super::case::{Case, row};

// A row a line.
#[rustfmt::skip]
pub(super) const FRAMING: &[Case] = &[
    // Lengths and chunks.
    row("Length and chunks", "{call}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Chunks and length", "{call}transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Chunks and no length: a request in the body", "{call}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n5c\r\nGET /u/up HTTP/1.1\r\nx: ", &[400], Closed, Nothing),
    row("Two lengths", "{call}content-length: 2\r\ncontent-length: 3\r\n\r\n{} ", &[400], Closed, Nothing),
    row("Two equal lengths", "{call}content-length: 2\r\ncontent-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("A list of lengths", "{call}content-length: 2, 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("Length with a sign", "{call}content-length: +2\r\n\r\n{}", &[400], Closed, Nothing),
    row("Length below zero", "{call}content-length: -2\r\n\r\n{}", &[400], Closed, Nothing),
    row("Length in hexadecimal", "{call}content-length: 0x2\r\n\r\n{}", &[400], Closed, Nothing),
    row("Length with a fraction", "{call}content-length: 2.0\r\n\r\n{}", &[400], Closed, Nothing),
    row("Length beyond 64 bits", "{call}content-length: 18446744073709551618\r\n\r\n{}", &[400], Closed, Nothing),
    row("Length beyond the limit", "{call}content-length: 18446744073709551615\r\n\r\n{}", &[413], Closed, Nothing),
    row("Empty length", "{call}content-length:\r\n\r\n{}", &[400], Closed, Nothing),
    row("Length with a space before the colon", "{call}content-length : 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("Length too short: the rest is another request", "{call}content-length: 2\r\n\r\n{}XYZ ", &[200], Garbled, Bodies(&["{}"])),
    row("Length of a GET", "GET /u/up HTTP/1.1\r\n{host}{bearer}content-length: 2\r\n\r\n{}", &[200], GoesOn, Bodies(&["{}"])),
    row("A call without length and chunks", "{call}\r\n", &[200], GoesOn, Bodies(&[""])),
    row("Coding: identity", "{call}transfer-encoding: identity\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: gzip, chunked", "{call}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: chunked, identity", "{call}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: chunked twice", "{call}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: chunked, then another", "{call}transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: unknown", "{call}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: a vertical tab before it", "{call}transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: quoted", "{call}transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: empty", "{call}transfer-encoding:\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: a space before the colon", "{call}transfer-encoding : chunked\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("Coding: capitals", "{call}transfer-encoding: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n", &[200], GoesOn, Bodies(&["{}"])),
    row("Chunks", "{call}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n01\r\n}\r\n0\r\n\r\n", &[200], GoesOn, Bodies(&["{}"])),
    row("Chunk extension", "{call}transfer-encoding: chunked\r\n\r\n2;a=b;c=\"d\"\r\n{}\r\n0;e\r\n\r\n", &[200], GoesOn, Bodies(&["{}"])),
    row("Chunk extension with a bare line feed", "{call}transfer-encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n", &[], Closed, Part),
    row("Chunk size with a bare line feed", "{call}transfer-encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", &[], Closed, Part),
    row("Chunk without its end of line", "{call}transfer-encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n", &[], Closed, Part),
    row("Chunk size with a sign", "{call}transfer-encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n", &[], Closed, Part),
    row("Chunk size with 0x", "{call}transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n", &[], Closed, Part),
    row("Chunk size with a space before it", "{call}transfer-encoding: chunked\r\n\r\n 2\r\n{}\r\n0\r\n\r\n", &[], Closed, Part),
    row("Chunk size with an underscore", "{call}transfer-encoding: chunked\r\n\r\n2_\r\n{}\r\n0\r\n\r\n", &[], Closed, Part),
    row("Chunk size beyond 64 bits", "{call}transfer-encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n", &[], Closed, Part),
    row("Empty chunk size", "{call}transfer-encoding: chunked\r\n\r\n\r\n{}\r\n0\r\n\r\n", &[], Closed, Part),
    row("Trailers", "{call}transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nauthorization: Bearer evil\r\nhost: evil.example\r\n\r\n", &[200], GoesOn, Bodies(&["{}"])),
    // Lines and fields.
    row("A folded field", "{call}x-folded: a\r\n b\r\ncontent-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("A folded coding", "{call}transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n", &[400], Closed, Nothing),
    row("A bare carriage return in a field", "{call}x-bare: a\rb\r\ncontent-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("A zero byte in a field", "{call}x-nul: a\0b\r\ncontent-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("A field without a name", "{call}: x\r\ncontent-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("A field without a colon", "{call}nothing\r\ncontent-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("A name with a space in it", "{call}x y: z\r\ncontent-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("A field before the first", "POST /u/up HTTP/1.1\r\n x: y\r\n{host}{bearer}{json}content-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("Bare line feeds for ends of lines", "POST /u/up HTTP/1.1\nhost: {own}\nauthorization: Bearer {token}\ncontent-type: application/json\ncontent-length: 2\n\n{}", &[200], GoesOn, Bodies(&["{}"])),
    row("A bare line feed that adds a field", "{call}x: a\ncontent-length: 0\r\ncontent-length: 2\r\n\r\n{}", &[400], Closed, Nothing),
    row("Empty lines before a request", "\r\n\r\n{call}content-length: 2\r\n\r\n{}", &[200], GoesOn, Bodies(&["{}"])),
    // Sizes.
    row("97 fields", "{call}{97 fields}content-length: 2\r\n\r\n{}", &[431], Closed, Nothing),
    row("A field of 200 KiB", "{call}x-large: {200 KiB}\r\ncontent-length: 2\r\n\r\n{}", &[431], Closed, Nothing),
    row("A target of 200 KiB", "POST /u/up?{200 KiB} HTTP/1.1\r\n{host}{bearer}{json}content-length: 2\r\n\r\n{}", &[431], Closed, Nothing),
    row("A credential of 60 KiB", "POST /u/up HTTP/1.1\r\n{host}authorization: Bearer {60 KiB}\r\n{json}content-length: 2\r\n\r\n{}", &[401], Closed, Nothing),
    // Requests behind one another.
    row("Three calls at once", "{call}content-length: 3\r\n\r\n[1]{call}content-length: 3\r\n\r\n[2]{call}content-length: 3\r\n\r\n[3]", &[200, 200, 200], GoesOn, Bodies(&["[1]", "[2]", "[3]"])),
    row("A call behind one without credential", "POST /u/up HTTP/1.1\r\n{host}{json}content-length: 3\r\n\r\n[1]{call}content-length: 3\r\n\r\n[2]", &[401, 200], GoesOn, Bodies(&["[2]"])),
    row("No credential behind a call", "{call}content-length: 3\r\n\r\n[1]POST /u/up HTTP/1.1\r\n{host}{json}content-length: 3\r\n\r\n[2]", &[200, 401], GoesOn, Bodies(&["[1]"])),
    row("A call behind a foreign Host", "GET /u/up HTTP/1.1\r\nhost: evil.example\r\n\r\n{call}content-length: 3\r\n\r\n[2]", &[421, 200], GoesOn, Bodies(&["[2]"])),
    row("A call behind `Connection: close`", "{call}connection: close\r\ncontent-length: 3\r\n\r\n[1]{call}content-length: 3\r\n\r\n[2]", &[200, 200], GoesOn, Bodies(&["[1]", "[2]"])),
];
