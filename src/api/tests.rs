use super::*;
use crate::model::record::SessionOrigin;

fn session() -> Session {
    Session {
        id: "s_7q2kd4".to_owned(),
        label: Some("claude · web-app".to_owned()),
        client: Some(Client {
            name: "claude".to_owned(),
            version: None,
            user_agent: None,
        }),
        origin: SessionOrigin::Run,
        state: SessionState::Idle,
        grant: vec![GrantedAccount {
            upstream: "notion".to_owned(),
            account: "work".to_owned(),
        }],
        grant_all: false,
        created_at: Moment(Timestamp::from_millis(0)),
        last_used_at: None,
        expires_at: Moment(Timestamp::from_millis(2_592_000_000)),
        idle_expires_at: None,
        max_expires_at: None,
        bound: None,
        counters: Counters::default(),
        parent: None,
        ended_at: None,
        ended_by: None,
        ended_reason: None,
        fingerprint: "sha256:000000000000".to_owned(),
        later_fingerprints: Vec::new(),
    }
}

#[test]
fn documents_carry_times_in_utc_and_null_for_what_is_empty() {
    let json = serde_json::to_value(session()).expect("writes");
    assert_eq!(json["created_at"], "1970-01-01T00:00:00Z");
    assert_eq!(json["expires_at"], "1970-01-31T00:00:00Z");
    assert!(json["last_used_at"].is_null() && json["ended_by"].is_null());
    assert_eq!(json["origin"], "run");
    assert_eq!(json["state"], "idle");
    let back: Session = serde_json::from_value(json).expect("reads");
    assert_eq!(back, session());
}

#[test]
fn a_filter_means_the_sessions_that_meet_every_condition() {
    let at = Timestamp::from_millis(3_600_000);
    let covers = |filter: RevokeFilter| filter.covers(&session(), at);
    let text = |text: &str| Some(text.to_owned());
    let none = RevokeFilter::default();
    assert!(!covers(none.clone()));
    assert!(covers(RevokeFilter {
        all: true,
        ..none.clone()
    }));
    assert!(covers(RevokeFilter {
        client: text("claude"),
        ..none.clone()
    }));
    assert!(covers(RevokeFilter {
        upstream: text("notion"),
        ..none.clone()
    }));
    assert!(covers(RevokeFilter {
        upstream: text("notion@work"),
        ..none.clone()
    }));
    assert!(!covers(RevokeFilter {
        upstream: text("notion@home"),
        ..none.clone()
    }));
    assert!(covers(RevokeFilter {
        label: text("claude*"),
        ..none.clone()
    }));
    assert!(covers(RevokeFilter {
        label: text("*·*app"),
        ..none.clone()
    }));
    assert!(!covers(RevokeFilter {
        label: text("claude"),
        ..none.clone()
    }));
    assert!(covers(RevokeFilter {
        idle_s: Some(3600),
        ..none.clone()
    }));
    assert!(!covers(RevokeFilter {
        idle_s: Some(3601),
        ..none.clone()
    }));
    assert!(!covers(RevokeFilter {
        client: text("codex"),
        all: true,
        ..none
    }));
}

#[test]
fn a_request_with_an_unknown_field_is_refused() {
    let read: Result<Mint, _> = serde_json::from_str(r#"{"origin":"mint","forever":true}"#);
    assert!(read.is_err());
}

#[test]
fn the_answer_to_a_mint_does_not_print_its_credential() {
    let minted = Minted::new(session(), "dw_secret".to_owned(), "http://x".to_owned());
    assert!(!format!("{minted:?}").contains("dw_secret"));
}

#[test]
fn a_failure_has_the_exit_code_of_its_entry() {
    let failure = Failure::from(&Problem::new(Code::LoginRequired).with("upstream", "linear"));
    assert_eq!(failure.exit(), 4);
    assert_eq!(failure.error.message, "linear needs you to sign in");
}
