//! Short bodies, which come with their head or in pieces.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use bytes::Bytes;
use doorward::transport::{Break, ForwardError, ResponseBody};
use http::Response;

use super::{Client, get, once, read};
use crate::support::raw::Upstream;

async fn answer(upstream: &Upstream) -> Response<ResponseBody> {
    let answered = get(&Client::of(upstream)).await;
    answered.expect("a head")
}

#[actix_web::test]
async fn a_short_body_that_came_with_its_head_is_there_at_once() {
    let upstream = once("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd");
    let mut response = answer(&upstream).await;
    let whole = response.body_mut().at_once(4);
    assert_eq!(whole, Some(Bytes::from_static(b"abcd")));
    assert!(response.body().is_finished());
    assert_eq!(read(response).await, (String::new(), Ok(())));
}

#[actix_web::test]
async fn a_body_that_is_longer_than_wanted_or_of_no_known_length_is_left_as_it_is() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    ] {
        let upstream = once(bytes);
        let mut response = answer(&upstream).await;
        assert_eq!(response.body_mut().at_once(3), None, "{bytes}");
        assert_eq!(read(response).await, ("abcd".to_owned(), Ok(())), "{bytes}");
    }
}

#[actix_web::test]
async fn a_body_of_which_a_part_has_come_is_not_there_and_nothing_of_it_is_lost() {
    let (go, on) = channel();
    let on = Mutex::new(on);
    let upstream = Upstream::scripted(move |mut wire| {
        wire.message();
        wire.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
        let on = on.lock().expect("nobody else");
        on.recv().expect("it was looked at");
        wire.write("cd");
    });
    let mut response = answer(&upstream).await;
    assert_eq!(response.body_mut().at_once(4), None);
    assert_eq!(
        response.body_mut().at_once(4),
        None,
        "not at the second look"
    );
    assert_eq!(response.body().length(), Some(4));
    go.send(()).expect("it waits");
    assert_eq!(read(response).await, ("abcd".to_owned(), Ok(())));
}

#[actix_web::test]
async fn a_body_that_breaks_off_is_no_whole_one_and_its_break_is_told() {
    let upstream = once("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
    let mut response = answer(&upstream).await;
    assert_eq!(response.body_mut().at_once(4), None);
    let lost = Err(ForwardError::Broken(Break::Lost));
    assert_eq!(read(response).await, ("ab".to_owned(), lost));
}
