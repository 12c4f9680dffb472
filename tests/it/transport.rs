//! The conformance of an upstream transport: what it must not hide, confuse or leave open.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use doorward::model::route::Base;
use doorward::transport::{
    BodyLost, Break, Call, Connection, ForwardError, HyperTransport, Limits, Peer, RequestBody,
    ResponseBody, TlsTrust, UpstreamTransport,
};
use futures_util::StreamExt;
use http::{Method, Request, Response, Uri};

mod connections;
mod short;

use crate::support::raw::{EVENTS, Upstream, WATCHDOG, Wire, answer, chunk, ok};

pub(crate) fn request(method: Method, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_static("/mcp");
    request
}

fn peer(url: &str) -> Arc<Peer> {
    let base = Base::new(url).expect("a URL");
    Arc::new(Peer {
        origin: Arc::clone(base.origin()),
        trust: TlsTrust::of_platform(),
        egress: doorward::egress::Egress::direct(),
    })
}

pub(crate) async fn send(
    client: &Client,
    request: Request<RequestBody>,
    limits: Limits,
) -> Result<Response<ResponseBody>, ForwardError> {
    let call = Call {
        peer: &client.peer,
        request: Box::new(request),
        limits,
        connection: Connection::Any,
    };
    client.transport.send(call).await
}

async fn get(client: &Client) -> Result<Response<ResponseBody>, ForwardError> {
    let request = request(Method::GET, RequestBody::whole(Bytes::new()));
    send(client, request, Limits::default()).await
}

async fn post(client: &Client) -> Result<Response<ResponseBody>, ForwardError> {
    let request = request(Method::POST, RequestBody::whole(Bytes::from_static(b"{}")));
    send(client, request, Limits::default()).await
}

/// What came of a body, and whether it ended well.
pub(crate) async fn read(response: Response<ResponseBody>) -> (String, Result<(), ForwardError>) {
    let mut body = response.into_body();
    let mut text = String::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => text.push_str(&String::from_utf8_lossy(&chunk)),
            Err(error) => return (text, Err(error)),
        }
    }
    (text, Ok(()))
}

/// A transport and the server it talks to.
pub(crate) struct Client {
    pub(crate) transport: HyperTransport,
    pub(crate) peer: Arc<Peer>,
}

impl Client {
    fn of(upstream: &Upstream) -> Self {
        Self::at(&upstream.url("/"))
    }

    fn at(url: &str) -> Self {
        Self {
            transport: HyperTransport::new(),
            peer: peer(url),
        }
    }
}

/// Reads one request, writes `bytes`, closes.
pub(crate) fn once(bytes: &'static str) -> Upstream {
    Upstream::scripted(move |mut wire| {
        wire.message();
        wire.write(bytes);
    })
}

#[actix_web::test]
async fn a_body_shorter_than_its_length_is_an_error() {
    let upstream = once("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    let response = get(&Client::of(&upstream)).await.expect("a head");
    let (text, end) = read(response).await;
    assert_eq!(text, "abc");
    assert_eq!(end, Err(ForwardError::Broken(Break::Lost)));
}

#[actix_web::test]
async fn a_chunked_body_without_its_last_chunk_is_an_error() {
    let upstream = once("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let response = get(&Client::of(&upstream)).await.expect("a head");
    let (text, end) = read(response).await;
    assert_eq!(text, "abc");
    assert_eq!(end, Err(ForwardError::Broken(Break::Lost)));
}

#[actix_web::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let upstream = once("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc");
    let response = get(&Client::of(&upstream)).await.expect("a head");
    assert_eq!(read(response).await, ("abc".to_owned(), Ok(())));
}

#[actix_web::test]
async fn px_1xx_handling() {
    let upstream = Upstream::scripted(|mut wire| {
        for text in ["first", "second"] {
            wire.message();
            wire.write("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
            wire.write("HTTP/1.1 100 Continue\r\n\r\n");
            wire.write(ok(text));
        }
    });
    let client = Client::of(&upstream);
    for text in ["first", "second"] {
        let response = get(&client).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("link"));
        assert_eq!(read(response).await, (text.to_owned(), Ok(())));
    }
    assert_eq!(upstream.connections(), 1);
}

#[actix_web::test]
async fn a_stray_100_before_an_answer_is_skipped() {
    let upstream =
        once("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx");
    let response = post(&Client::of(&upstream)).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(read(response).await.0, "x");
}

#[actix_web::test]
async fn a_401_comes_through_while_the_body_is_still_being_sent() {
    let upstream = Upstream::scripted(|mut wire| {
        wire.head();
        wire.chunk().expect("a chunk");
        wire.write(answer("401 Unauthorized", "", "no"));
        wire.closed();
    });
    let first = futures_util::stream::iter([Ok::<_, BodyLost>(Bytes::from_static(b"first"))]);
    let never = futures_util::stream::pending();
    let body = RequestBody::streamed(first.chain(never), None);
    let client = Client::of(&upstream);
    let request = request(Method::POST, body);
    let response = send(&client, request, Limits::default()).await;
    let response = response.expect("an early answer");
    assert_eq!(response.status(), 401);
    assert_eq!(read(response).await.0, "no");
    // Its request is unfinished: the connection cannot serve another.
    let again = RequestBody::streamed(futures_util::stream::empty(), None);
    let request = crate::transport::request(Method::POST, again);
    let response = send(&client, request, Limits::default()).await;
    assert_eq!(response.expect("an answer").status(), 401);
    assert_eq!(upstream.connections(), 2);
}

#[actix_web::test]
async fn px_many_streams() {
    const STREAMS: usize = 200;
    let upstream = Upstream::scripted(|mut wire| {
        wire.message();
        wire.write(EVENTS);
        wire.write(chunk("data: open\n\n"));
        wire.closed();
    });
    let client = Client::of(&upstream);
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        let response = get(&client).await.expect("a stream");
        let mut body = response.into_body();
        let first = body.next().await.expect("an event").expect("whole");
        assert_eq!(first, "data: open\n\n");
        open.push(body);
    }
    assert_eq!(upstream.connections(), STREAMS);
}

#[actix_web::test]
async fn dropping_an_answer_closes_its_connection() {
    let (told, wait) = channel();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::scripted(move |mut wire| {
        wire.message();
        wire.write(EVENTS);
        told.lock()
            .expect("unpoisoned")
            .send(wire.closed())
            .expect("the test waits");
    });
    let client = Client::of(&upstream);
    let response = get(&client).await.expect("a stream");
    drop(response);
    tokio::task::yield_now().await;
    let closed = wait.recv_timeout(WATCHDOG).expect("the upstream notices");
    assert!(closed);
}

#[actix_web::test]
async fn giving_up_before_the_answer_closes_the_connection() {
    let (told, wait) = channel();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::scripted(move |mut wire: Wire| {
        wire.message();
        let told = told.lock().expect("unpoisoned");
        told.send(()).expect("the test waits");
        assert!(wire.closed());
        told.send(()).expect("the test waits");
    });
    let client = Client::of(&upstream);
    let mut waiting = Box::pin(post(&client));
    while wait.try_recv().is_err() {
        assert!(futures_util::poll!(&mut waiting).is_pending());
        tokio::task::yield_now().await;
    }
    drop(waiting);
    tokio::task::yield_now().await;
    wait.recv_timeout(WATCHDOG).expect("the upstream notices");
}

#[actix_web::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let upstream = Upstream::answering(|_| {
        answer(
            "307 Temporary Redirect",
            "location: http://127.0.0.1:1/\r\n",
            "",
        )
    });
    let response = post(&Client::of(&upstream)).await.expect("an answer");
    assert_eq!(response.status(), 307);
    assert_eq!(upstream.connections(), 1);
}

#[actix_web::test]
async fn no_answer_in_time_is_a_timeout_and_no_connection_an_error_of_its_own() {
    let silent = Upstream::scripted(|mut wire| {
        wire.message();
        wire.closed();
    });
    let limits = Limits {
        first_byte: Duration::from_millis(10),
        ..Limits::default()
    };
    let request = request(Method::POST, RequestBody::whole(Bytes::new()));
    let error = send(&Client::of(&silent), request, limits)
        .await
        .expect_err("silence");
    assert_eq!(error, ForwardError::TimedOut);

    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", gone.local_addr().expect("its address"));
    drop(gone);
    let client = Client::at(&url);
    let call = Call {
        peer: &client.peer,
        request: Box::new(crate::transport::request(
            Method::GET,
            RequestBody::whole(Bytes::new()),
        )),
        limits: Limits::default(),
        connection: Connection::Any,
    };
    let error = client.transport.send(call).await.expect_err("refused");
    assert!(matches!(error, ForwardError::Connect(_)), "{error}");
}

#[actix_web::test]
async fn what_is_not_http_is_told() {
    let upstream = once("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let error = get(&Client::of(&upstream)).await.expect_err("no HTTP");
    assert!(matches!(error, ForwardError::Invalid(_)), "{error}");
}

#[actix_web::test]
async fn a_request_body_that_fails_fails_the_request() {
    let upstream = Upstream::scripted(|mut wire| {
        let mut head = wire.head().expect("a head");
        wire.body(&mut head);
        assert!(!head.whole, "the upstream sees that it is unfinished");
    });
    let failing =
        futures_util::stream::iter([Ok(Bytes::from_static(b"some")), Err(BodyLost::HungUp)]);
    let request = request(Method::POST, RequestBody::streamed(failing, Some(10)));
    let error = send(&Client::of(&upstream), request, Limits::default()).await;
    assert_eq!(
        error.expect_err("unfinished"),
        ForwardError::Request(BodyLost::HungUp)
    );
}
