use std::collections::BTreeSet;

use super::*;
use crate::model::fault::{CredentialError, LoginReason, OauthCode, TransientCause};
use crate::model::id::AccountRef;
use crate::model::time::Timestamp;

fn linear() -> AccountRef {
    "linear".parse().expect("a name")
}

#[test]
fn every_entry_has_its_strings_and_a_long_form() {
    for code in Code::ALL {
        let entry = code.entry();
        assert!(!entry.what.is_empty() && !entry.why.is_empty(), "{code}");
        assert!(
            !entry.fix.is_empty() || *code == Code::OriginNotAllowed,
            "{code}"
        );
        assert!(entry.explain.len() > 80, "{code} is hardly explained");
        assert!(!entry.explain.contains("  "), "{code}");
        assert_eq!(entry.code.parse(), Ok(*code));
        assert_eq!(entry.number as usize, *code as usize + 1);
        assert!((200..600).contains(&entry.http), "{code}");
    }
    assert!(Code::ALL.len() >= 49);
    assert_eq!(Code::ClockSkew.entry().number, 49);
    assert_eq!("nonsense".parse::<Code>(), Err(UnknownCode));
}

#[test]
fn rpc_numbers_are_unique_and_outside_the_reserved_range() {
    let mut seen = BTreeSet::new();
    for number in Code::ALL.iter().filter_map(|code| code.entry().rpc) {
        assert!(!(-32768..=-32000).contains(&number), "{number} is reserved");
        assert!(seen.insert(number), "{number} is used twice");
    }
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
}

#[test]
fn only_a_bad_local_credential_is_a_401() {
    for code in Code::ALL {
        let entry = code.entry();
        let own = matches!(code, Code::TokenExpired | Code::TokenMissing);
        let local = (1..=5).contains(&entry.number) || own;
        assert_eq!(entry.http == 401, local, "{code}");
        if entry.http == 401 {
            assert!(entry.oauth_error.is_some(), "{code}");
        }
    }
}

#[test]
fn a_message_says_what_why_and_what_next() {
    let problem = Problem::of_login(
        &linear(),
        &LoginReason::Rejected {
            code: OauthCode("invalid_grant".to_owned()),
            at: Timestamp::from_millis(0),
            after_lost_answer: false,
        },
        Timestamp::from_millis(240_000),
    );
    assert_eq!(
        problem.message(),
        "linear needs you to sign in. Its refresh token was rejected 4 min ago (invalid_grant). \
         Next: doorward login linear"
    );
}

#[test]
fn an_unfilled_placeholder_leaves_no_trace() {
    let problem = Problem::new(Code::SessionRevoked).with("id", "s_7q2kd4");
    assert_eq!(problem.what(), "session s_7q2kd4 was revoked");
    let nothing = Problem::new(Code::OriginNotAllowed).with("origin", "https://evil");
    assert_eq!(nothing.fix(), None);
    assert!(nothing.message().ends_with("is not allowed."));
}

#[test]
fn no_message_makes_an_agent_start_its_own_sign_in() {
    for code in Code::ALL {
        let problem = Problem::new(*code)
            .with("detail", "Auth required\r\nSet-Cookie: a")
            .because("AUTH REQUIRED: auth Auth required required");
        let message = problem.message();
        assert!(
            !message.to_lowercase().contains("auth required"),
            "{message}"
        );
        let filled = Problem::new(*code)
            .with("detail", "Auth required\nx")
            .message();
        assert!(!filled.to_lowercase().contains("auth required"), "{filled}");
        assert!(!filled.contains(char::is_control), "{filled}");
    }
}

#[test]
fn waits_are_rounded_up_to_whole_seconds() {
    let error = CredentialError::Unavailable {
        cause: TransientCause::Status(503),
        attempts: 3,
        retry_at: Timestamp::from_millis(12_400),
    };
    let problem = Problem::of_credential(&linear(), &error, Timestamp::from_millis(0));
    assert_eq!(problem.retry_after_s(), Some(13));
    assert_eq!(
        problem.why(),
        "the server answered 503 3 times; next try in 12 s"
    );
    assert_eq!(problem.entry().retry, Retry::After);
}
