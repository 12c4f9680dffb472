//! Connections that serve one request after another, and when one must not.

use super::*;

#[actix_web::test]
async fn a_stray_answer_on_an_idle_connection_reaches_nobody() {
    let (told, wait) = channel();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::scripted(move |mut wire| {
        wire.message();
        wire.write(ok("mine"));
        if wire.number == 0 {
            wire.write(ok("stray"));
            told.lock()
                .expect("unpoisoned")
                .send(wire.closed())
                .expect("the test waits");
        }
    });
    let client = Client::of(&upstream);
    let (text, _) = read(get(&client).await.expect("an answer")).await;
    assert_eq!(text, "mine");
    // The connection's task sees what nobody asked for, and closes.
    while wait.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
    let (text, _) = read(get(&client).await.expect("an answer")).await;
    assert_eq!(text, "mine");
    assert_eq!(upstream.connections(), 2);
}

#[actix_web::test]
async fn a_reset_of_a_reused_connection_is_told_from_a_lost_answer() {
    let upstream = Upstream::scripted(|mut wire| {
        wire.message();
        wire.write(ok("first"));
        // It takes the second request and resets without a byte.
        wire.head();
        wire.reset();
    });
    let client = Client::of(&upstream);
    let response = post(&client).await.expect("an answer");
    assert_eq!(read(response).await.0, "first");
    let error = post(&client).await.expect_err("a reset");
    assert_eq!(error, ForwardError::Broken(Break::Stale));

    let fresh = Upstream::scripted(|mut wire| {
        wire.head();
        wire.reset();
    });
    let error = post(&Client::of(&fresh)).await.expect_err("a reset");
    assert_eq!(error, ForwardError::Broken(Break::Lost));

    let begun = Upstream::scripted(|mut wire| {
        wire.message();
        wire.write(ok("first"));
        wire.message();
        wire.write("HTTP/1.1 200");
    });
    let begun = Client::of(&begun);
    read(post(&begun).await.expect("an answer"))
        .await
        .1
        .expect("whole");
    let error = post(&begun).await.expect_err("half a head");
    assert_eq!(error, ForwardError::Broken(Break::Lost));
}

#[actix_web::test]
async fn what_was_never_sent_goes_out_on_another_connection() {
    let (closing, closed) = channel();
    let closing = std::sync::Mutex::new(closing);
    let upstream = Upstream::scripted(move |mut wire| {
        wire.message();
        wire.write(ok("x"));
        if wire.number == 0 {
            drop(wire);
            closing
                .lock()
                .expect("unpoisoned")
                .send(())
                .expect("the test waits");
        } else {
            wire.closed();
        }
    });
    let client = Client::of(&upstream);
    read(post(&client).await.expect("an answer"))
        .await
        .1
        .expect("whole");
    closed.recv_timeout(WATCHDOG).expect("it closed");
    // It rests for a while in which the runtime gets no turn: only the kernel knows.
    let since = tokio::time::Instant::now();
    while since.elapsed() < Duration::from_millis(2) {
        std::hint::spin_loop();
    }
    // Even what may not be repeated: nothing of it went out on the closed connection.
    let response = post(&client).await.expect("an answer");
    assert_eq!(read(response).await.0, "x");
    assert_eq!(upstream.connections(), 2);
}

#[actix_web::test]
async fn a_connection_serves_one_request_after_another() {
    let upstream = Upstream::answering(|_| ok("{}"));
    let client = Client::of(&upstream);
    for _ in 0..20 {
        let response = post(&client).await.expect("an answer");
        assert_eq!(read(response).await.0, "{}");
        let seen = upstream.seen();
        assert_eq!(
            seen.field("host"),
            Some(upstream.address.to_string().as_str())
        );
        assert_eq!(seen.all("content-length"), ["2"]);
        assert!(seen.all("transfer-encoding").is_empty());
    }
    assert_eq!(upstream.connections(), 1);
}

#[actix_web::test]
async fn an_idle_connection_is_closed_when_its_time_is_over() {
    let (told, wait) = channel();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::scripted(move |mut wire| {
        wire.message();
        wire.write(ok("x"));
        told.lock()
            .expect("unpoisoned")
            .send(wire.closed())
            .expect("the test waits");
    });
    let client = Client::of(&upstream);
    let limits = Limits {
        keep: Duration::from_millis(20),
        ..Limits::default()
    };
    let request = request(Method::GET, RequestBody::whole(Bytes::new()));
    let response = send(&client, request, limits).await.expect("an answer");
    read(response).await.1.expect("whole");
    while wait.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_server_that_asks_not_to_be_reused_is_not() {
    let upstream = Upstream::answering(|_| answer("200 OK", "keep-alive: timeout=0\r\n", "x"));
    let client = Client::of(&upstream);
    for _ in 0..3 {
        read(post(&client).await.expect("an answer"))
            .await
            .1
            .expect("whole");
    }
    assert_eq!(upstream.connections(), 3);
}
