//! A real server of the revision without sessions (2026-07-28), by real clients of both eras, over
//! HTTP and over pipes, while it, the sign-in and the daemon come and go.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;

use std::sync::Arc;

use doorward::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::support::away::{before, restart};
use crate::support::parts::{Daemon, Exchange, Part, open};
use crate::support::pipe::Pipe;
use crate::support::sdk::Sdk;

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

fn signed_out() -> (Part, Part, Daemon) {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::stateless_server(&authority, 0);
    let daemon = before(&upstream);
    (authority, upstream, daemon)
}

/// Ends it, and starts another one in its place.
fn restart_server(authority: &Part, upstream: Part) -> Part {
    let url = url::Url::parse(&upstream.url).expect("an address");
    drop(upstream);
    Part::stateless_server(authority, url.port().expect("a port"))
}

fn meta(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

/// The fields of a request.
fn fields<'a>(bearer: &'a str, method: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("authorization", bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ]
}

fn wish() -> Value {
    json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": {
        "notifications": {"toolsListChanged": true}, "_meta": meta(&json!({})),
    }})
}

#[test]
fn pain_12_the_sdks_of_both_eras_begin_signed_out_and_go_on_before_a_server_without_sessions() {
    let (authority, upstream, mut daemon) = signed_out();
    let mut clients = Vec::from(Sdk::all_idle(&daemon));
    clients.extend(Sdk::both(&daemon, &["--sdk", "1"]));
    for client in &mut clients {
        assert_eq!(client.does("list")["tools"], 1, "the stub");
        let told = client.tries("call");
        let words = told["errors"][0]["message"].to_string();
        assert!(words.contains(&daemon.typed("login ev")), "{told}");
    }
    assert_eq!(upstream.count("post"), 0);
    daemon.sign_in(&authority, "ev");
    let mut all_go_on = || {
        for client in &mut clients {
            client.does("call 2");
            assert_eq!(client.does("list")["tools"], 6);
        }
    };
    all_go_on();
    let _upstream = restart_server(&authority, upstream);
    all_go_on();
    restart(&mut daemon);
    all_go_on();
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

/// Signs in for as long as it takes that the server's era and tools are known, and out again.
fn known(authority: &Part, daemon: &Daemon) {
    daemon.sign_in(authority, "ev");
    drop(Sdk::stateless(daemon, &[]));
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
}

#[test]
fn pain_12_a_server_without_sessions_that_is_known_begins_signed_out_in_its_own_revision() {
    let (authority, upstream, mut daemon) = signed_out();
    known(&authority, &daemon);
    let asked = upstream.count("post");
    let mut clients = Sdk::stateless(&daemon, &[]);
    for client in &mut clients {
        assert_eq!(client.does("list")["tools"], 6, "the last good list");
        let told = client.tries("call");
        let words = told["errors"][0]["message"].to_string();
        assert!(words.contains(&daemon.typed("login ev")), "{told}");
    }
    assert_eq!(upstream.count("post"), asked);
    daemon.sign_in(&authority, "ev");
    let mut all_go_on = || {
        for client in &mut clients {
            client.does("call 2");
            assert_eq!(client.does("list")["tools"], 6);
        }
    };
    all_go_on();
    let _upstream = restart_server(&authority, upstream);
    all_go_on();
    restart(&mut daemon);
    all_go_on();
}

#[test]
fn pain_44_an_sdk_that_listens_has_the_tools_of_now_whatever_comes_and_goes() {
    let (authority, upstream, mut daemon) = signed_out();
    known(&authority, &daemon);
    let mut clients = Sdk::stateless(&daemon, &["--listen"]);
    for client in &mut clients {
        client.does("tools 6");
    }
    // Nobody could tell them of this one when it came.
    upstream.tell("/another-tool", &json!({}));
    daemon.sign_in(&authority, "ev");
    for client in &mut clients {
        client.does("tools 7");
    }
    upstream.tell("/cut-answers", &json!({}));
    upstream.tell("/another-tool", &json!({}));
    for client in &mut clients {
        client.does("tools 8");
    }
    let upstream = restart_server(&authority, upstream);
    for client in &mut clients {
        client.does("tools 6");
        client.does("call");
    }
    restart(&mut daemon);
    upstream.tell("/another-tool", &json!({}));
    let [mut over_http, mut on_a_pipe] = clients;
    on_a_pipe.does("tools 7");
    // Over HTTP the stream went with the daemon, which the client sees.
    over_http.does("call");
    assert_eq!(over_http.does("list")["tools"], 7);
}

/// The messages of a stream.
struct Messages(BufReader<TcpStream>);

impl Messages {
    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).expect("a line");
            assert_ne!(read, 0, "it ended");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }
}

/// That the next message is this one, of the subscription.
fn is(message: &Value, method: &str) {
    assert_eq!(
        message["method"],
        format!("notifications/{method}"),
        "{message}"
    );
    assert_eq!(message["params"]["_meta"][SUBSCRIPTION], "l");
}

#[test]
fn pain_44_a_subscription_is_acknowledged_once_and_hears_what_the_server_says_after_it_broke() {
    let (authority, upstream, daemon) = signed_out();
    let (id, credential) = daemon.mint("listens");
    let bearer = format!("Bearer {credential}");
    let fields = fields(&bearer, "subscriptions/listen");
    let url = format!("{}/u/ev", daemon.url);
    let mut stream = Messages(BufReader::new(open(
        "POST",
        &url,
        &fields,
        &wish().to_string(),
    )));
    let mut pipe = Pipe::open(&daemon, "ev");
    pipe.write(&wish().to_string());
    let mut both = |method| {
        is(&stream.next(), method);
        is(&pipe.read().expect("a message"), method);
    };
    both("subscriptions/acknowledged");
    daemon.sign_in(&authority, "ev");
    both("tools/list_changed");
    for _ in 0..2 {
        let open = upstream.ask("/wait?count=answers_open&at_least=2");
        assert_eq!(open["reached"], true, "{open}");
        upstream.tell("/another-tool", &json!({}));
        both("tools/list_changed");
        upstream.tell("/cut-answers", &json!({}));
        both("tools/list_changed");
    }
    let (_, shown) = daemon.run(&["ctl", "show", &id]);
    assert_eq!(shown["kept_alive"]["resumed"]["count"], 2, "{shown}");
    drop(stream);
    // On a pipe it is cancelled by a message, and the server is hung up on.
    let cancel = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "l"},
    });
    pipe.write(&cancel.to_string());
    let gone = upstream.ask("/wait?count=answers_open&at_most=0");
    assert_eq!(gone["reached"], true, "{gone}");
    let listed = pipe.ask("tools/list", &json!({"_meta": meta(&json!({}))}));
    assert_eq!(
        listed["result"]["tools"].as_array().map(Vec::len),
        Some(8),
        "{listed}"
    );
    assert_eq!(pipe.close().0, Some(0));
}

#[test]
fn pain_05_one_sign_in_heals_every_call_that_waits_over_http_and_over_pipes() {
    const AGENTS: usize = 12;
    let (authority, upstream, mut daemon) = signed_out();
    hold(&mut daemon, "5m");
    let daemon = Arc::new(daemon);
    let wish = json!({
        "name": "echo", "arguments": {"message": "x"}, "_meta": meta(&json!({})),
    });
    let mut calling = Vec::new();
    for n in 0..AGENTS {
        let (daemon, wish) = (Arc::clone(&daemon), wish.clone());
        let mut pipe = (n % 4 == 0).then(|| Pipe::open(&daemon, "ev"));
        let (_, credential) = daemon.mint(&format!("agent {n}"));
        calling.push(std::thread::spawn(move || {
            let told = if let Some(pipe) = &mut pipe {
                pipe.ask("tools/call", &wish).to_string()
            } else {
                let call = json!({
                    "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": wish,
                });
                let bearer = format!("Bearer {credential}");
                let fields = [&fields(&bearer, "tools/call")[..], &[("mcp-name", "echo")]];
                let url = format!("{}/u/ev", daemon.url);
                Exchange::send("POST", &url, &fields.concat(), &call.to_string()).body
            };
            assert!(told.contains("Echo: x"), "{told}");
            SystemClock.now()
        }));
    }
    while running(&daemon) < AGENTS as u64 {}
    assert_eq!(upstream.count("post"), 0, "all of them wait");
    daemon.sign_in(&authority, "ev");
    let answered = calling
        .into_iter()
        .map(|call| call.join().expect("answered"));
    let last = answered.max().expect("some").as_millis();
    assert_eq!(upstream.count("tools_call"), AGENTS as u64, "each ran once");
    assert_eq!(authority.count("authorization_code_grants"), 1);
    let log = authority.ask("/log");
    let mut entries = log.as_array().expect("a list").iter();
    let signed_in = entries.find(|entry| entry["grant_type"] == "authorization_code");
    let at = signed_in.and_then(|entry| entry["at"].as_str()?.parse::<jiff::Timestamp>().ok());
    let at = u64::try_from(at.expect("a time").as_millisecond()).expect("now");
    eprintln!(
        "one sign-in healed {AGENTS} calls that waited, the last {} ms after it",
        last.saturating_sub(at)
    );
}

#[test]
fn px_url_elicitation_optin_by_a_real_client_of_each_era() {
    let (authority, upstream, mut daemon) = signed_out();
    let path = daemon.state().join("config.toml");
    let config = std::fs::read_to_string(&path).expect("text");
    let opted = config + "\n[compat]\nupstream_login_error = \"elicitation\"\n";
    std::fs::write(&path, opted).expect("a file");
    restart(&mut daemon);
    known(&authority, &daemon);
    let person = ["--person", &authority.control];
    for mut client in Sdk::both(&daemon, &[&["--sdk", "1"], &person[..]].concat()) {
        let told = client.tries("call");
        let error = &told["errors"][0];
        assert_eq!(error["code"], -32042, "{told}");
        let asked = &error["data"]["elicitations"][0];
        assert_eq!(asked["mode"], "url");
        assert!(
            asked["url"]
                .as_str()
                .expect("a link")
                .contains("/login/ev?t=")
        );
    }
    assert_eq!(upstream.count("tools_call"), 0);
    for mut client in Sdk::stateless(&daemon, &person) {
        // It opens the link, signs in and sends the same call again.
        client.does("call");
        assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    }
    assert_eq!(authority.count("authorization_code_grants"), 3);
    assert_eq!(upstream.count("tools_call"), 2);
}

/// The requests that agents wait for.
fn running(daemon: &Daemon) -> u64 {
    let (_, all) = daemon.run(&["ctl", "sessions"]);
    let items = all["items"].as_array().expect("items").iter();
    let open = items.map(|item| item["counters"]["streams_open"].as_u64());
    open.map(|open| open.expect("a count")).sum()
}

/// Lets calls wait for so long.
fn hold(daemon: &mut Daemon, long: &str) {
    let path = daemon.state().join("config.toml");
    let config = std::fs::read_to_string(&path).expect("text");
    let config = config.replace("hold = \"0s\"", &format!("hold = \"{long}\""));
    std::fs::write(&path, config).expect("a file");
    restart(daemon);
}
