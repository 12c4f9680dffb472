use std::time::Duration;

use super::*;
use crate::model::record::EndedBy;
use crate::model::session::Death;

fn there_and_back<T: Stored + PartialEq + std::fmt::Debug>(record: &T) {
    assert_eq!(T::read(&record.write()).as_ref(), Some(record));
}

fn client() -> ClientRecord {
    ClientRecord {
        issuer: "https://as.example".into(),
        redirect_uri: "http://127.0.0.1:5177/oauth/callback".into(),
        client_id: "id \"quoted\"".into(),
        client_secret: Some(ClientSecret::new("s\u{e9}cret\n")),
        key: Some(ClientKey {
            key: PrivateKey::new("-----BEGIN"),
            id: Some("k1".into()),
        }),
        secret_expires: Some(Timestamp::from_millis(9)),
        auth: ClientAuth::Post,
        origin: ClientOrigin::Registered,
        management: Some(ClientManagement {
            uri: "https://as.example/reg/1".into(),
            token: RegistrationToken::new("rat"),
        }),
        created: Timestamp::MAX,
    }
}

#[test]
fn every_record_is_read_as_it_was_written() {
    let account: AccountRef = "notion@work".parse().expect("a name");
    there_and_back(&client());
    there_and_back(&GrantRecord {
        account: account.clone(),
        issuer: "https://as.example".into(),
        token_endpoint: "https://as.example/token".into(),
        revocation_endpoint: None,
        client: client(),
        resource: Some("https://mcp.example/".into()),
        upstream_url: "https://mcp.example/mcp".into(),
        scopes: vec!["a".into(), "b".into()],
        refresh: Some(RefreshToken::new("rt")),
        dpop: Some(PrivateKey::new("-----BEGIN")),
        generation: Generation(7),
        identity: None,
        signed_in: Timestamp::from_millis(1),
        refreshed: Timestamp::from_millis(2),
        expires: None,
    });
    there_and_back(&RefreshIntent {
        generation: Generation(7),
        at: Timestamp::from_millis(3),
        presented: 2,
    });
    let at = Timestamp::from_millis(4);
    for reason in [
        LoginReason::Never,
        LoginReason::Rejected {
            code: OauthCode("invalid_grant".into()),
            at,
            after_lost_answer: true,
        },
        LoginReason::NoRefreshToken { at },
        LoginReason::SignedOut { at },
        LoginReason::IssuerChanged { at },
    ] {
        there_and_back(&SignedOutRecord {
            account: account.clone(),
            reason,
        });
    }
    there_and_back(&SessionRecord {
        id: SessionId::from_random(5),
        digest: TokenDigest([200; 32]),
        label: Some("fix-login".into()),
        client: None,
        origin: SessionOrigin::Bridge,
        grant: Grant::Only(vec![account]),
        policy: SessionPolicy {
            max_age: Some(Duration::from_millis(1500)),
            ..SessionPolicy::default()
        },
        minted: at,
        last_used: at,
        calls: 3,
        bound: Some(BoundProcess {
            pid: 1,
            started: 2,
            boot: Some("3".into()),
            exe: None,
        }),
        ended: Some(Ending {
            death: Death::Revoked,
            at,
            by: EndedBy::Person,
            reason: Some("done".into()),
        }),
    });
}

#[test]
fn no_text_makes_reading_panic() {
    for text in ["", "{}", "null", "[1]", "{\"digest\":\"!\"}", "\u{0}"] {
        assert!(SessionRecord::read(text.as_bytes()).is_none());
        assert!(GrantRecord::read(text.as_bytes()).is_none());
    }
}
