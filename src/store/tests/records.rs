//! What is kept, and what survives.

use super::*;

#[tokio::test]
async fn tl_storage_confidential() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    store
        .put_grant(grant("linear", CANARY))
        .await
        .expect("kept");
    store.put_client(client("client-1")).await.expect("kept");
    store.put_session(session(1)).await.expect("kept");
    store.close().await.expect("closed");

    let Paths { store, key, .. } = &fixture.paths;
    assert_eq!(mode(&fixture.paths.state_dir), 0o700);
    assert_eq!((mode(store), mode(key)), (0o600, 0o600));
    for needle in [CANARY, CLIENT_CANARY, "as.example", "client-1", "label"] {
        assert!(!contains(store, needle), "{needle} stands in the store");
    }
    let key_text = fs::read_to_string(key).expect("text");
    assert!(!contains(store, &key_text));
}

#[tokio::test]
async fn tl_rotation_crash_safety() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    store
        .put_grant(grant("linear", "rt-1"))
        .await
        .expect("kept");
    let linear = account("linear");
    store.begin_refresh(&linear, intent(1)).await.expect("kept");

    // What a process killed now leaves behind: the file as it is, with nothing closed.
    let after_intent = copy_of(&fixture);
    let rotated = GrantRecord {
        generation: Generation(2),
        ..grant("linear", "rt-2")
    };
    store.put_grant(rotated.clone()).await.expect("kept");
    let after_result = copy_of(&fixture);

    let reopened = after_intent.file().await;
    assert_eq!(
        reopened.grants().await.expect("read"),
        [(grant("linear", "rt-1"), Some(intent(1)))]
    );
    let reopened = after_result.file().await;
    assert_eq!(reopened.grants().await.expect("read"), [(rotated, None)]);
}

/// The files of a store in the middle of its work, as a crash would leave them.
fn copy_of(fixture: &Fixture) -> Fixture {
    let copy = Fixture::new();
    copy.paths.prepare().expect("made");
    for (from, to) in [
        (&fixture.paths.store, &copy.paths.store),
        (&fixture.paths.key, &copy.paths.key),
    ] {
        fs::copy(from, to).expect("copied");
    }
    copy
}

#[tokio::test]
async fn a_new_sign_in_takes_the_intent_and_the_signed_out_record_with_it() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let linear = account("linear");
    store
        .put_grant(grant("linear", "rt-1"))
        .await
        .expect("kept");
    let why = rejected("linear");
    store
        .delete_grant(&linear, why.clone())
        .await
        .expect("done");
    assert_eq!(store.signed_out().await.expect("read"), [why]);
    store.begin_refresh(&linear, intent(2)).await.expect("kept");

    store
        .put_grant(grant("linear", "rt-2"))
        .await
        .expect("kept");
    assert_eq!(store.signed_out().await.expect("read"), []);
    assert_eq!(
        store.grants().await.expect("read"),
        [(grant("linear", "rt-2"), None)]
    );
}

#[tokio::test]
async fn a_rejected_token_deletes_only_the_very_sign_in_it_belongs_to() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let (linear, why) = (account("linear"), rejected("linear"));
    store.put_grant(grant("linear", "new")).await.expect("kept");
    store.put_grant(grant("github", "old")).await.expect("kept");

    let old = RefreshToken::new("old");
    let kept = store
        .delete_grant_if_among(&linear, vec![old.clone()], why.clone())
        .await;
    assert_eq!(kept, Ok(false));
    assert_eq!(store.grants().await.expect("read").len(), 2);
    assert_eq!(store.signed_out().await.expect("read"), []);

    let new = RefreshToken::new("new");
    let deleted = store
        .delete_grant_if_among(&linear, vec![old, new], why.clone())
        .await;
    assert_eq!(deleted, Ok(true));
    assert_eq!(
        store.grants().await.expect("read"),
        [(grant("github", "old"), None)]
    );
    assert_eq!(store.signed_out().await.expect("read"), [why]);
}

#[tokio::test]
async fn clients_are_kept_by_issuer_and_id() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let elsewhere = ClientRecord {
        issuer: "https://other.example".into(),
        ..client("a")
    };
    store.put_client(client("a")).await.expect("kept");
    store.put_client(client("a")).await.expect("kept");
    store.put_client(elsewhere.clone()).await.expect("kept");
    assert_eq!(store.clients().await.expect("read").len(), 2);
    store
        .delete_client("https://as.example", "a")
        .await
        .expect("done");
    assert_eq!(store.clients().await.expect("read"), [elsewhere]);
}

#[tokio::test]
async fn notes_of_use_never_go_back_and_never_touch_an_ended_session() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let ended = SessionRecord {
        ended: Some(Ending {
            death: Death::Revoked,
            at: Timestamp::from_millis(1_100),
            by: EndedBy::Person,
            reason: None,
        }),
        ..session(2)
    };
    store.put_session(session(1)).await.expect("kept");
    store.put_session(ended.clone()).await.expect("kept");
    let at = Timestamp::from_millis;
    let unknown = SessionId::from_random(99);
    let notes = vec![
        (session(1).id, at(5_000), 3),
        (ended.id, at(9_000), 9),
        (unknown, at(1), 1),
    ];
    store.note_sessions(notes).await.expect("noted");
    let earlier = vec![(session(1).id, at(4_000), 2)];
    store.note_sessions(earlier).await.expect("noted");
    store.close().await.expect("closed");

    let store = fixture.file().await;
    let brought_forward = SessionRecord {
        last_used: at(5_000),
        calls: 3,
        ..session(1)
    };
    let sessions = store.sessions().await.expect("read");
    assert_eq!(sessions, [brought_forward, ended]);
    let ids = sessions.iter().map(|session| session.id).collect();
    store.delete_sessions(ids).await.expect("done");
    assert_eq!(store.sessions().await.expect("read"), []);
}

#[tokio::test]
async fn se_fail_closed_a_record_that_cannot_be_read_is_told_of_and_kept() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    store.put_grant(grant("linear", "rt")).await.expect("kept");
    store.put_grant(grant("github", "rt")).await.expect("kept");
    store.close().await.expect("closed");
    let file = redb::Database::open(&fixture.paths.store).expect("a database");
    let change = file.begin_write().expect("begun");
    let broken = &b"not a sealed record"[..];
    change
        .open_table(db::GRANTS)
        .expect("there")
        .insert("linear", broken)
        .expect("written");
    change.commit().expect("committed");
    drop(file);

    let store = fixture.file().await;
    let grants = store.grants().await.expect("read");
    assert_eq!(grants, [(grant("github", "rt"), None)]);
    let detail = store.status().await.detail.expect("told");
    assert!(detail.starts_with("1 record"), "{detail}");
    store.put_grant(grant("linear", "new")).await.expect("kept");
    assert_eq!(store.status().await.detail, None);
}

#[tokio::test]
async fn one_process_has_the_store_at_a_time_and_a_closed_one_says_so() {
    let fixture = Fixture::new();
    let store = fixture.file().await;
    let none = FakeKeyring::failing(absent());
    let second = fixture.open(StoreKind::Auto, &none).await.map(drop);
    assert_eq!(second, Err(StoreError::InUse(fixture.paths.store.clone())));
    store.close().await.expect("closed");
    assert_eq!(store.grants().await, Err(StoreError::Closed));
    assert!(!store.status().await.is_ok());
    fixture.open(StoreKind::Auto, &none).await.expect("opens");
}

#[tokio::test]
async fn a_store_in_memory_writes_nothing() {
    let store = Store::in_memory(Arc::new(SystemRandom)).await;
    let store = store.expect("opens");
    store.put_grant(grant("linear", "rt")).await.expect("kept");
    assert_eq!(store.grants().await.expect("read").len(), 1);
    assert_eq!(store.status().await.kind, Some(KeyPlace::Memory));
    assert!(!Path::new("/store.redb").exists());
}

#[tokio::test]
async fn sessions_that_wait_for_the_disk_are_written_together_and_all_are_answered() {
    let store = Store::in_memory(Arc::new(SystemRandom))
        .await
        .expect("open");
    let (release, held) = mpsc::channel::<()>();
    let busy: Job = Box::new(move |_| held.recv().expect("released"));
    store.jobs.send(busy).expect("it runs");
    let mut first = Box::pin(store.put_session(session(1)));
    assert!(futures_util::poll!(&mut first).is_pending());
    let (tell, left) = mpsc::channel();
    let sessions = Arc::clone(&store.sessions);
    let look: Job = Box::new(move |_| tell.send(sessions.waiting().len()).expect("read"));
    store.jobs.send(look).expect("it runs");
    let mut others: Vec<_> = (2..50)
        .map(|n| Box::pin(store.put_session(session(n))))
        .collect();
    for other in &mut others {
        assert!(futures_util::poll!(other).is_pending());
    }
    assert_eq!(store.sessions.waiting().len(), 49);
    release.send(()).expect("it waits");
    first.await.expect("kept");
    assert_eq!(left.recv().expect("it looked"), 0, "written with the first");
    for other in others {
        other.await.expect("kept");
    }
    assert_eq!(store.sessions().await.expect("read").len(), 49);
    store.close().await.expect("closed");
    assert_eq!(
        store.put_session(session(50)).await,
        Err(StoreError::Closed)
    );
}
