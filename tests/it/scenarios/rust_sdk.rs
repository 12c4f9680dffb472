//! A third client: the official Rust SDK, in this process.

use std::collections::BTreeSet;

use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

use crate::support::parts::signed_in;

type Client = RunningService<RoleClient, ()>;

async fn tools(client: &Client) -> BTreeSet<String> {
    let tools = client.list_all_tools().await.expect("a list");
    tools
        .into_iter()
        .map(|tool| tool.name.into_owned())
        .collect()
}

async fn echoes(client: &Client) {
    let arguments = json!({"message": "hello"});
    let params = CallToolRequestParams::new("echo")
        .with_arguments(arguments.as_object().expect("an object").clone());
    let result = client.call_tool(params).await.expect("a result");
    assert_ne!(result.is_error, Some(true), "{result:?}");
    let text = serde_json::to_string(&result).expect("JSON");
    assert!(text.contains("Echo: hello"), "{text}");
}

#[test]
fn pain_03_the_rust_sdk_never_notices_an_expiry() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let (_, credential) = daemon.mint("rust");
    let url = format!("{}/u/ev", daemon.url);
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(credential);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let transport = StreamableHttpClientTransport::from_config(config);
        let client = ().serve(transport).await.expect("a handshake");
        let before = tools(&client).await;
        assert!(before.contains("echo"), "{before:?}");
        echoes(&client).await;
        for refreshes in 1..=3 {
            authority.tell("/expire-access-tokens", &json!({}));
            echoes(&client).await;
            assert_eq!(tools(&client).await, before);
            assert_eq!(authority.count("refresh_ok"), refreshes);
        }
        client.cancel().await.expect("it ends");
    });
    assert_eq!(
        upstream.ask("/tools")["echo"],
        4,
        "each call was carried out once"
    );
    assert_eq!(upstream.count("sessions"), 1, "one handshake for all of it");
    assert_eq!(authority.count("authorization_code_grants"), 1);
}
