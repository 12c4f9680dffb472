//! Private keys that sign.

use std::fmt;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::model::secret::PrivateKey;

/// How a key signs (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// Its name in `alg` and in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// Why a key cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is none in the text.
    #[error("it holds no private key in PEM")]
    NoKey,
    /// It is one in the older form of OpenSSL's `ecparam`.
    #[error("its key is in the old form: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW")]
    OldForm,
    /// It is of another kind.
    #[error("its key is neither one on P-256 nor one of RSA with at least 2048 bits")]
    Kind,
    /// It did not sign.
    #[error("it cannot sign")]
    Refused,
}

/// A private key, ready to sign. It says nothing of itself but its kind and its public half.
pub struct SigningKey(Pair);

enum Pair {
    // Both are large and of different sizes.
    Ecdsa(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
}

impl SigningKey {
    /// Reads the first key of a text in PEM: PKCS #8, or PKCS #1 for RSA.
    pub fn read(key: &PrivateKey) -> Result<Self, KeyFault> {
        let der = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
        let pair = match der.map_err(|_| KeyFault::NoKey)? {
            PrivateKeyDer::Pkcs1(der) => Pair::Rsa(
                RsaKeyPair::from_der(der.secret_pkcs1_der())
                    .map_err(kind)?
                    .into(),
            ),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                match ecdsa(der) {
                    Ok(pair) => Pair::Ecdsa(pair),
                    Err(_) => Pair::Rsa(RsaKeyPair::from_pkcs8(der).map_err(kind)?.into()),
                }
            }
            PrivateKeyDer::Sec1(_) => return Err(KeyFault::OldForm),
            _ => return Err(KeyFault::Kind),
        };
        Ok(Self(pair))
    }

    /// A new key on P-256, in PEM.
    pub fn generate() -> PrivateKey {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        // Without randomness nothing here can be done safely, and no caller could go on.
        let made = made.expect("the operating system gives random bytes");
        let text = Zeroizing::new(Base64::encode_string(made.as_ref()));
        PrivateKey::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            text.as_str()
        ))
    }

    /// Its public half as a JSON Web Key (RFC 7518 §6.2); `None` of one that is not on P-256.
    pub fn jwk(&self) -> Option<Value> {
        let Pair::Ecdsa(pair) = &self.0 else {
            return None;
        };
        // An uncompressed point (SEC 1 §2.3.3): 4, then both coordinates.
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..)?.split_at_checked(32)?;
        Some(json!({
            "kty": "EC",
            "crv": "P-256",
            "x": Base64UrlUnpadded::encode_string(x),
            "y": Base64UrlUnpadded::encode_string(y),
        }))
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Pair::Ecdsa(_) => Algorithm::Es256,
            Pair::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// Its public half as ring writes it: a point on the curve, or an `RSAPublicKey` in DER.
    #[cfg(test)]
    pub(super) fn public(&self) -> Vec<u8> {
        match &self.0 {
            Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// `claims` as a signed statement. `header` is added to the `alg` that the key has.
    pub fn sign(
        &self,
        mut header: Map<String, Value>,
        claims: &Map<String, Value>,
    ) -> Result<String, KeyFault> {
        header.insert("alg".to_owned(), self.algorithm().name().into());
        let part = |map: &Map<String, Value>| {
            let text = serde_json::to_vec(map).expect("a map of JSON values");
            Base64UrlUnpadded::encode_string(&text)
        };
        let mut text = format!("{}.{}", part(&header), part(claims));
        let signature = self.signature(text.as_bytes())?;
        text.push('.');
        text.push_str(&Base64UrlUnpadded::encode_string(&signature));
        Ok(text)
    }

    // ring takes the random part of a signature from the operating system, and from nothing else.
    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KeyFault> {
        let random = SystemRandom::new();
        match &self.0 {
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&random, message);
                Ok(signature.map_err(|_| KeyFault::Refused)?.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| KeyFault::Refused)?;
                Ok(signature)
            }
        }
    }
}

fn ecdsa(der: &[u8]) -> Result<Box<EcdsaKeyPair>, KeyFault> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new());
    pair.map(Box::new).map_err(kind)
}

fn kind(_: ring::error::KeyRejected) -> KeyFault {
    KeyFault::Kind
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm().name())
    }
}
