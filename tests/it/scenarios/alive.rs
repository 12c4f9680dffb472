//! Real clients, kept open, while what is behind the daemon and the daemon itself come and go.

use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

use crate::support::away::{restart, signed_out};
use crate::support::parts::signed_in;
use crate::support::sdk::Sdk;

#[test]
fn pain_12_the_sdks_begin_signed_out_and_go_on_after_the_sign_in() {
    let (authority, upstream, daemon) = signed_out();
    let mut clients = Sdk::all_idle(&daemon);
    for client in &mut clients {
        assert_eq!(client.does("list")["tools"], 1, "the stub");
        let told = client.tries("call");
        let words = told["errors"][0]["message"].to_string();
        assert!(words.contains(&daemon.typed("login ev")), "{told}");
    }
    assert_eq!(upstream.count("post"), 0);
    daemon.sign_in(&authority, "ev");
    for client in &mut clients {
        client.does("call 2");
        let tools = client.does("list")["tools"].as_u64();
        assert!(tools > Some(5), "the real ones: {tools:?}");
    }
    let ran = 2 * clients.len() as u64;
    assert_eq!(upstream.count("tools_call"), ran, "each call ran once");
    // The next one that begins signed out knows the tools.
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    for mut client in Sdk::all_idle(&daemon) {
        let tools = client.does("list")["tools"].as_u64();
        assert!(tools > Some(5), "the last good list: {tools:?}");
    }
}

#[test]
fn pain_13_the_sdks_go_on_whatever_restarts_in_the_middle() {
    let (authority, upstream, mut daemon) = signed_in(&json!({}));
    let mut clients = Sdk::all_idle(&daemon);
    let mut all_go_on = || {
        for client in &mut clients {
            client.does("call 2");
            client.does("list");
        }
    };
    all_go_on();
    restart(&mut daemon);
    all_go_on();
    // What was known of the sessions is known to the new one: it can open them anew.
    upstream.tell("/end-sessions", &json!({}));
    all_go_on();
    restart(&mut daemon);
    all_go_on();
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

#[test]
fn pain_02_the_sdks_go_on_after_the_token_endpoint_was_down() {
    let (authority, _upstream, daemon) = signed_in(&json!({}));
    let mut clients = Sdk::all_idle(&daemon);
    for client in &mut clients {
        client.does("list");
    }
    let down = json!({"on": "token", "kind": "status", "status": 503, "times": "always"});
    authority.tell("/fault", &down);
    authority.tell("/expire-access-tokens", &json!({}));
    for client in &mut clients {
        client.does("list");
        let told = client.tries("call");
        assert_eq!(told["ok"], false, "it says so");
    }
    authority.tell("/heal", &json!({}));
    // The daemon tries again by itself after a while; a person need not wait for that.
    daemon.run(&["ctl", "refresh", "ev"]);
    for client in &mut clients {
        client.does("call 2");
    }
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

#[test]
fn pain_12_the_rust_sdk_begins_signed_out_and_goes_on_whatever_happens() {
    let (authority, upstream, mut daemon) = signed_out();
    let (_, credential) = daemon.mint("rust");
    let url = format!("{}/u/ev", daemon.url);
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(credential);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let _inside = runtime.enter();
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = runtime.block_on(().serve(transport)).expect("a handshake");
    let call = || {
        let arguments = json!({"message": "hello"});
        let params = CallToolRequestParams::new("echo")
            .with_arguments(arguments.as_object().expect("an object").clone());
        let result = runtime
            .block_on(client.call_tool(params))
            .expect("a result");
        let text = serde_json::to_string(&result).expect("JSON");
        (result.is_error == Some(true), text)
    };
    let tools = || runtime.block_on(client.list_all_tools()).expect("a list");
    assert_eq!(tools()[0].name, "sign_in");
    let (failed, text) = call();
    assert!(failed && text.contains(&daemon.typed("login ev")), "{text}");
    daemon.sign_in(&authority, "ev");
    let works = || {
        let (_, text) = call();
        assert!(text.contains("Echo: hello"), "{text}");
        assert!(tools().iter().any(|tool| tool.name == "echo"));
    };
    works();
    restart(&mut daemon);
    works();
    upstream.tell("/end-sessions", &json!({}));
    works();
    let down = json!({"on": "token", "kind": "status", "status": 503, "times": "always"});
    authority.tell("/fault", &down);
    authority.tell("/expire-access-tokens", &json!({}));
    assert!(
        tools().iter().any(|tool| tool.name == "echo"),
        "the last good list"
    );
    assert!(call().0, "it says so");
    authority.tell("/heal", &json!({}));
    daemon.run(&["ctl", "refresh", "ev"]);
    works();
    runtime.block_on(client.cancel()).expect("it ends");
}
