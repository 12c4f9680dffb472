//! Reading what was compressed on its way, where we have to know what it says. What is passed on
//! stays as it came.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    /// RFC 1952; the only one that every client and server has.
    Gzip,
}

impl Coding {
    /// That of a body with these fields; `None` for one that is not read here (RFC 9110 §8.4).
    pub(super) fn of(fields: &HeaderMap) -> Option<Self> {
        let mut codings = fields.get_all(CONTENT_ENCODING).iter();
        let Some(coding) = codings.next() else {
            return Some(Self::Plain);
        };
        let coding = coding.as_bytes();
        let is = |name: &[u8]| coding.eq_ignore_ascii_case(name);
        match codings.next() {
            Some(_) => None,
            None if is(b"identity") => Some(Self::Plain),
            None => (is(b"gzip") || is(b"x-gzip")).then_some(Self::Gzip),
        }
    }

    /// What `body` says; `None` where that is more than `longest` bytes, or broken.
    pub(super) fn read(self, body: &[u8], longest: usize) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Plain => (body.len() <= longest).then_some(Cow::Borrowed(body)),
            Self::Gzip => {
                let mut said = Vec::new();
                let bound = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
                let mut plain = MultiGzDecoder::new(body).take(bound);
                plain.read_to_end(&mut said).ok()?;
                (said.len() <= longest).then_some(Cow::Owned(said))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut coder = GzEncoder::new(Vec::new(), Compression::best());
        coder.write_all(text).expect("memory");
        coder.finish().expect("memory")
    }

    #[test]
    fn a_compressed_body_is_read_as_far_as_it_is_whole_and_not_too_long() {
        let coded = gzip(b"{}");
        assert_eq!(Coding::Gzip.read(&coded, 2).as_deref(), Some(&b"{}"[..]));
        assert_eq!(Coding::Gzip.read(&coded, 1), None);
        for broken in [&coded[..coded.len() - 1], b"", b"{}"] {
            assert_eq!(Coding::Gzip.read(broken, 9), None);
        }
        // A thousandth of the length that it unfolds to.
        let bomb = gzip(&vec![b' '; 8 << 20]);
        assert!(bomb.len() < 16 << 10);
        assert_eq!(Coding::Gzip.read(&bomb, 1 << 20), None);
        assert_eq!(Coding::Plain.read(b"{}", 2).as_deref(), Some(&b"{}"[..]));
        assert_eq!(Coding::Plain.read(b"{}", 1), None);
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
        for other in [&["br"][..], &["gzip, br"], &["gzip", "gzip"], &[""]] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }
}
