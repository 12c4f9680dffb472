//! Reading what was compressed on its way, where we have to know what it says. What is passed on
//! stays as it came.

use std::borrow::Cow;
use std::io::Read;

use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use ruzstd::decoding::StreamingDecoder;

/// The largest window of a body in Zstandard (RFC 9659 §3).
const WINDOW: u64 = 8 << 20;
/// What brotli is read through.
const BUFFER: usize = 4 << 10;

/// How a body is coded: what clients of MCP ask for (RFC 9110 §8.4.1 and its registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    /// RFC 1952; the only one that every client and server has.
    Gzip,
    /// RFC 1950, and what some call by its name, RFC 1951.
    Deflate,
    /// RFC 7932
    Brotli,
    /// RFC 8878
    Zstandard,
}

impl Coding {
    /// That of a body with these fields; `None` for one that is not read here (RFC 9110 §8.4).
    pub(super) fn of(fields: &HeaderMap) -> Option<Self> {
        const NAMES: [(&[u8], Coding); 6] = [
            (b"identity", Coding::Plain),
            (b"gzip", Coding::Gzip),
            (b"x-gzip", Coding::Gzip),
            (b"deflate", Coding::Deflate),
            (b"br", Coding::Brotli),
            (b"zstd", Coding::Zstandard),
        ];
        let mut codings = fields.get_all(CONTENT_ENCODING).iter();
        let Some(coding) = codings.next() else {
            return Some(Self::Plain);
        };
        let is = |(name, _): &&(&[u8], Self)| coding.as_bytes().eq_ignore_ascii_case(name);
        let known = NAMES.iter().find(is).map(|(_, coding)| *coding);
        known.filter(|_| codings.next().is_none())
    }

    /// What `body` says; `None` where that is more than `longest` bytes, or broken.
    pub(super) fn read(self, body: &[u8], longest: usize) -> Option<Cow<'_, [u8]>> {
        let said = match self {
            Self::Plain => return (body.len() <= longest).then_some(Cow::Borrowed(body)),
            Self::Gzip => whole(MultiGzDecoder::new(body), longest),
            Self::Deflate if has_header(body) => whole(ZlibDecoder::new(body), longest),
            Self::Deflate => whole(DeflateDecoder::new(body), longest),
            Self::Brotli => whole(Decompressor::new(body, BUFFER), longest),
            Self::Zstandard => zstandard(body, longest),
        };
        said.map(Cow::Owned)
    }
}

/// All that `plain` gives, which is no more than `longest` bytes.
fn whole(plain: impl Read, longest: usize) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    let bound = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    plain.take(bound).read_to_end(&mut said).ok()?;
    (said.len() <= longest).then_some(said)
}

/// Whether it begins as RFC 1950 §2.2 says.
fn has_header(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
        }
        _ => false,
    }
}

fn zstandard(body: &[u8], longest: usize) -> Option<Vec<u8>> {
    let plain = StreamingDecoder::new_with_max_window_size(body, WINDOW).ok()?;
    whole(plain, longest)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    /// Eight MiB of spaces, by another implementation of brotli.
    const BROTLI: [u8; 14] = [
        155, 255, 255, 127, 248, 37, 64, 226, 177, 64, 32, 247, 254, 15,
    ];
    const UNFOLDED: usize = 8 << 20;

    /// `text` in each coding that tests can write.
    fn coded(text: &[u8]) -> [(Coding, Vec<u8>); 4] {
        let level = Compression::best();
        let mut gzip = GzEncoder::new(Vec::new(), level);
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        let mut bare = DeflateEncoder::new(Vec::new(), level);
        for coder in [&mut gzip as &mut dyn Write, &mut zlib, &mut bare] {
            coder.write_all(text).expect("memory");
        }
        [
            (Coding::Gzip, gzip.finish().expect("memory")),
            (Coding::Deflate, zlib.finish().expect("memory")),
            (Coding::Deflate, bare.finish().expect("memory")),
            (
                Coding::Zstandard,
                compress_to_vec(text, CompressionLevel::Fastest),
            ),
        ]
    }

    #[test]
    fn a_compressed_body_is_read_as_far_as_it_is_whole_and_not_too_long() {
        let brotli = (Coding::Brotli, vec![139, 0, 128, 123, 125, 3]);
        for (coding, coded) in coded(b"{}").into_iter().chain([brotli]) {
            assert_eq!(
                coding.read(&coded, 2).as_deref(),
                Some(&b"{}"[..]),
                "{coding:?}"
            );
            assert_eq!(coding.read(&coded, 1), None, "{coding:?}");
            for broken in [&coded[..coded.len() - 1], b"", b"{}"] {
                assert_eq!(coding.read(broken, 9), None, "{coding:?} {broken:?}");
            }
        }
        assert_eq!(Coding::Plain.read(b"{}", 2).as_deref(), Some(&b"{}"[..]));
        assert_eq!(Coding::Plain.read(b"{}", 1), None);
    }

    #[test]
    fn what_unfolds_to_a_thousand_times_its_length_is_given_up() {
        let brotli = (Coding::Brotli, BROTLI.to_vec());
        for (coding, bomb) in coded(&vec![b' '; UNFOLDED]).into_iter().chain([brotli]) {
            assert!(bomb.len() < UNFOLDED / 500, "{coding:?}: {}", bomb.len());
            assert_eq!(coding.read(&bomb, 1 << 20), None, "{coding:?}");
            let whole = coding.read(&bomb, UNFOLDED).expect("whole");
            assert_eq!(whole.len(), UNFOLDED, "{coding:?}");
        }
    }

    #[test]
    fn a_frame_that_asks_for_much_memory_is_not_begun() {
        // Magic number, no flags, and a window of 128 MiB (RFC 8878 §3.1.1).
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
        assert_eq!(Coding::Zstandard.read(&frame, 9), None);
        let mut small = frame;
        small[5] = 0;
        assert_eq!(Coding::Zstandard.read(&small, 9).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn only_codings_that_are_known_are_read() {
        let of = |codings: &[&'static str]| {
            let mut fields = HeaderMap::new();
            for coding in codings {
                fields.append(CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            Coding::of(&fields)
        };
        assert_eq!(of(&[]), Some(Coding::Plain));
        assert_eq!(of(&["identity"]), Some(Coding::Plain));
        assert_eq!(of(&["GZip"]), Some(Coding::Gzip));
        assert_eq!(of(&["deflate"]), Some(Coding::Deflate));
        assert_eq!(of(&["br"]), Some(Coding::Brotli));
        assert_eq!(of(&["zstd"]), Some(Coding::Zstandard));
        for other in [&["dcb"][..], &["gzip, br"], &["gzip", "gzip"], &[""]] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }
}
