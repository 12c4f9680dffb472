//! Keys that were made by OpenSSL, and signatures that ring checks.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};

use std::sync::Arc;

use super::*;
use crate::clock::{ManualClock, SystemRandom};
use crate::model::secret::{AccessToken, PrivateKey};
use crate::model::time::Timestamp;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

fn read(pem: &str) -> Result<SigningKey, KeyFault> {
    SigningKey::read(&PrivateKey::new(pem))
}

fn signed(key: &SigningKey) -> String {
    let claims = json!({"sub": "\u{e9}"});
    let claims = claims.as_object().expect("an object");
    key.sign(Map::new(), claims).expect("signed")
}

fn is_good(text: &str, how: &'static dyn VerificationAlgorithm, public: &[u8]) -> bool {
    let (message, signature) = text.rsplit_once('.').expect("three parts");
    let signature = Base64UrlUnpadded::decode_vec(signature).expect("base64url");
    let key = UnparsedPublicKey::new(how, public);
    key.verify(message.as_bytes(), &signature).is_ok()
}

#[test]
fn what_a_key_signs_is_checked_by_its_public_half() {
    for (pem, name) in [
        (include_str!("tests/ec.pem"), "ES256"),
        (include_str!("tests/rsa.pem"), "RS256"),
        (include_str!("tests/rsa1.pem"), "RS256"),
    ] {
        let key = read(pem).expect("a key");
        assert_eq!(key.algorithm().name(), name);
        let text = signed(&key);
        let header = text.split('.').next().expect("a header");
        let header = Base64UrlUnpadded::decode_vec(header).expect("base64url");
        let header: Value = serde_json::from_slice(&header).expect("JSON");
        assert_eq!(header["alg"], name);
        let how: &dyn VerificationAlgorithm = match key.algorithm() {
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        assert!(is_good(&text, how, &key.public()), "{name}");
        let forged = text.replacen("eyJ", "eyK", 1);
        assert!(!is_good(&forged, how, &key.public()), "{name}");
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("SigningKey({name})"));
    }
}

#[test]
fn keys_that_cannot_sign_are_told_apart() {
    let fault = |pem: &str| read(pem).expect_err("no key of ours");
    assert_eq!(fault(""), KeyFault::NoKey);
    assert_eq!(
        fault("-----BEGIN CERTIFICATE-----\nAAAA\n"),
        KeyFault::NoKey
    );
    assert_eq!(fault(include_str!("tests/sec1.pem")), KeyFault::OldForm);
    assert_eq!(fault(include_str!("tests/ed.pem")), KeyFault::Kind);
}

#[test]
fn a_proof_says_what_is_asked_and_by_which_key() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_999)));
    let fresh = Freshness::new(clock, Arc::new(SystemRandom));
    let key = SigningKey::generate();
    let prover = Prover::new(&key, fresh.clone()).expect("a key");
    let (origin, url) = ("https://h.example", "https://h.example/mcp");
    let hash = TokenHash::of(&AccessToken::new("the token"));
    let part = |proof: &str, number: usize| {
        let part = proof.split('.').nth(number).expect("three parts");
        let bytes = Base64UrlUnpadded::decode_vec(part).expect("base64url");
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let proof = |prover: &Prover| {
        let made = prover.proof("POST", origin, url, Some(&hash));
        made.expect("signed")
    };
    let (first, second) = (proof(&prover), proof(&prover));
    let header = part(&first, 0);
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("dpop+jwt"), &json!("ES256"))
    );
    assert_eq!(
        header["jwk"].as_object().expect("a key").len(),
        4,
        "the public half only"
    );
    let claims = part(&first, 1);
    assert_eq!(
        (&claims["htm"], &claims["htu"]),
        (&json!("POST"), &json!(url))
    );
    assert_eq!(claims["iat"], 1_700_000_000);
    assert_eq!(claims["nonce"], Value::Null);
    assert_ne!(claims["jti"], part(&second, 1)["jti"]);
    let wanted = Base64UrlUnpadded::encode_string(&Sha256::digest("the token"));
    assert_eq!(claims["ath"], wanted.as_str());
    let public = SigningKey::read(&key).expect("a key").public();
    assert!(is_good(&first, &ECDSA_P256_SHA256_FIXED, &public));

    prover.remember(origin, "n1");
    for nonsense in ["", "a b", "a\"b", "\u{e9}"] {
        prover.remember(origin, nonsense);
    }
    assert_eq!(part(&proof(&prover), 1)["nonce"], "n1");
    let elsewhere = prover.proof("POST", "https://other.example", url, None);
    let elsewhere = part(&elsewhere.expect("signed"), 1);
    assert_eq!(
        (&elsewhere["nonce"], &elsewhere["ath"]),
        (&Value::Null, &Value::Null)
    );
    let other = SigningKey::generate();
    assert_ne!(other, key, "each sign-in has a key of its own");
    assert!(Prover::new(&PrivateKey::new(include_str!("tests/rsa.pem")), fresh).is_err());
}
