//! Secrets as types that cannot be printed or serialized by accident. [`Secret::expose`] is
//! called only where a secret has to leave: the store, the OAuth messages, the header of a
//! forwarded request, and the answer to a mint.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::id::SessionId;

/// A value that is wiped when dropped and never printed.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes `value` into custody.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the few places that must send or store it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

macro_rules! text_secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Secret<String>);

        impl $name {
            /// Takes the text into custody.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Secret::new(text.into()))
            }

            /// The text itself; see the module documentation for who may ask.
            pub fn expose(&self) -> &str {
                self.0.expose()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
            }
        }

        impl Eq for $name {}
    };
}

text_secret! {
    /// An access token of an upstream.
    AccessToken
}
text_secret! {
    /// A refresh token of an upstream: the thing that must never be lost.
    RefreshToken
}
text_secret! {
    /// The secret of a confidential OAuth client.
    ClientSecret
}
text_secret! {
    /// A private key in PEM, with which doorward signs.
    PrivateKey
}
impl From<ClientSecret> for PrivateKey {
    /// A stored secret that is a key.
    fn from(secret: ClientSecret) -> Self {
        Self::new(secret.expose())
    }
}
impl From<ClientSecret> for AccessToken {
    /// A stored secret that goes out as it is.
    fn from(secret: ClientSecret) -> Self {
        Self::new(secret.expose())
    }
}
text_secret! {
    /// An authorization code, good for one exchange.
    AuthorizationCode
}
text_secret! {
    /// The PKCE verifier of one sign-in (RFC 7636 §4.1).
    PkceVerifier
}
text_secret! {
    /// A statement about a person or a program that a token is given for (RFC 7521 §4.1).
    Assertion
}
impl From<ClientSecret> for Assertion {
    /// A stored secret that is such a statement.
    fn from(secret: ClientSecret) -> Self {
        Self::new(secret.expose())
    }
}
text_secret! {
    /// The code with which a sign-in on another device is asked for (RFC 8628 §3.2).
    DeviceCode
}
text_secret! {
    /// The `state` of one sign-in (RFC 6749 §10.12): who knows it may finish that sign-in.
    LoginState
}
text_secret! {
    /// The token with which a dynamic registration may be changed (RFC 7592 §3).
    RegistrationToken
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BODY_DIGITS: usize = 43;
/// With six digits of id the whole is 55 bytes, the most that SHA-256 digests in one block: half of
/// what admitting a request costs.
const CHECK_DIGITS: usize = 2;

/// The credential of a session as an agent presents it: `dw_` + the digits of the public id +
/// `_` + 32 random bytes in base 62 + two digits of checksum. Shown once, kept by nobody here.
#[derive(Clone, Debug)]
pub struct SessionToken(Secret<String>);

impl SessionToken {
    /// The credential of the session with these id digits, out of 32 random bytes.
    pub fn from_random(id_digits: &str, bytes: &[u8; 32]) -> Self {
        let body = base62(bytes, BODY_DIGITS);
        let unchecked = format!("dw_{id_digits}_{body}");
        let check = checksum(&unchecked);
        Self(Secret::new(unchecked + &check))
    }

    /// The text itself; for the answer to a mint only.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is kept of it.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.expose().as_bytes())
    }

    /// Whether `text` has the form of a credential with a right checksum: tells one that was
    /// mistyped from one that was made by another installation.
    pub fn is_well_formed(text: &str) -> bool {
        let Some(rest) = text.strip_prefix("dw_") else {
            return false;
        };
        let Some((_, body)) = rest.split_once('_') else {
            return false;
        };
        if body.len() != BODY_DIGITS + CHECK_DIGITS || !body.is_ascii() {
            return false;
        }
        let (unchecked, check) = text.split_at(text.len() - CHECK_DIGITS);
        checksum(unchecked) == check
    }

    /// The public id of the session that a well-formed credential belongs to.
    pub fn id_in(text: &str) -> Option<SessionId> {
        if !Self::is_well_formed(text) {
            return None;
        }
        let (digits, _) = text.strip_prefix("dw_")?.split_once('_')?;
        format!("s_{digits}").parse().ok()
    }
}

/// The SHA-256 of a credential: the only form that is kept, and the key of the ledger. Looking
/// up a digest tells an observer of timing nothing about the credential.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// The digest of a presented credential.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Twelve hexadecimal digits, enough for a person to compare.
    pub fn fingerprint(&self) -> String {
        let mut text = String::from("sha256:");
        for byte in &self.0[..6] {
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        text
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

fn checksum(text: &str) -> String {
    base62(&Sha256::digest(text.as_bytes())[..4], CHECK_DIGITS)
}

/// The last `width` digits of `bytes` as one big-endian number in base 62, with leading zeros.
fn base62(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_usize;
        for byte in &mut number {
            let value = remainder * 256 + usize::from(*byte);
            // value < 62 * 256, so the quotient fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder];
    }
    number.zeroize();
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_s2_01_credential_is_256_bits_and_kept_as_a_digest() {
        let token = SessionToken::from_random("7q2kd4", &[7; 32]);
        let text = token.expose();
        assert!(text.starts_with("dw_7q2kd4_"));
        assert_eq!(text.len(), "dw_7q2kd4_".len() + 45);
        assert!(SessionToken::is_well_formed(text));
        let id = SessionToken::id_in(text).expect("it names its session");
        assert_eq!(id.to_string(), "s_7q2kd4");
        assert_eq!(token.digest(), TokenDigest::of(text.as_bytes()));
        assert_eq!(format!("{token:?}"), "SessionToken([redacted])");
    }

    #[test]
    fn ls_credential_entropy_hash() {
        // Every bit of the 256 random ones counts, and the digest is of the whole text.
        let of = |bytes: &[u8; 32]| SessionToken::from_random("7q2kd4", bytes);
        let mut seen = std::collections::HashSet::new();
        assert!(seen.insert(of(&[0; 32]).digest()));
        for bit in 0..256 {
            let mut bytes = [0; 32];
            bytes[bit / 8] = 1 << (bit % 8);
            let token = of(&bytes);
            assert!(seen.insert(token.digest()), "bit {bit}");
            assert!(!token.expose().contains(&token.digest().fingerprint()[7..]));
        }
    }

    #[test]
    fn a_mistyped_credential_fails_its_checksum() {
        let token = SessionToken::from_random("7q2kd4", &[255; 32]);
        let mut typed = token.expose().to_owned().into_bytes();
        typed[20] = if typed[20] == b'a' { b'b' } else { b'a' };
        let typed = String::from_utf8(typed).expect("ascii");
        assert!(!SessionToken::is_well_formed(&typed));
        assert_eq!(SessionToken::id_in(&typed), None);
        assert!(!SessionToken::is_well_formed("Bearer"));
    }

    #[test]
    fn base62_of_the_largest_number_fits() {
        assert_eq!(base62(&[255; 32], 43).len(), 43);
        assert_ne!(base62(&[255; 32], 43), base62(&[254; 32], 43));
    }
}
