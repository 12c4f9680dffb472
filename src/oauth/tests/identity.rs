//! A client whose id is the URL of its metadata.

use super::*;
use crate::oauth::metadata::RawServer;

const DOCUMENT: &str = "https://doorward.example/client.json";

fn chosen(plan: &Provider, found: &Discovered, stored: &[ClientRecord]) -> Option<ClientRecord> {
    match choose(plan, found, stored, NOW) {
        Ok(ClientChoice::Use(client)) => Some(*client),
        _ => None,
    }
}

#[test]
fn oc_cimd_url_override_is_used_where_the_server_fetches_it() {
    let mut plan = provider(url("https://h.example/mcp"));
    plan.metadata_document = Some(DOCUMENT.to_owned());
    let stored = [client(ClientAuth::None, None)];
    let mut found = discovered();
    let earlier = chosen(&plan, &found, &stored).expect("registered");
    assert_eq!(earlier.client_id, "client one", "it is not fetched there");

    found.server.metadata_documents = true;
    for plan_of in [ClientPlan::Register, ClientPlan::Never] {
        plan.client = plan_of;
        let used = chosen(&plan, &found, &stored).expect("the document");
        assert_eq!(
            (used.client_id.as_str(), used.auth),
            (DOCUMENT, ClientAuth::None)
        );
        assert_eq!(used.issuer, "https://id.example");
    }

    plan.client = ClientPlan::Configured {
        client_id: "mine".to_owned(),
        proof: None,
        auth: None,
    };
    let used = chosen(&plan, &found, &stored).expect("the configured one");
    assert_eq!(used.client_id, "mine", "oc_registration_priority");
}

#[test]
fn only_a_plain_yes_says_that_documents_are_fetched() {
    for (said, means) in [
        (json!(true), true),
        (json!("true"), false),
        (json!(1), false),
        (json!(null), false),
    ] {
        let mut document = server_document(&url("https://id.example"));
        document["client_id_metadata_document_supported"] = said.clone();
        let read = RawServer::parse(document.to_string().as_bytes()).expect("a document");
        let server = read.validate(|_| true).expect("usable");
        assert_eq!(server.metadata_documents, means, "{said}");
    }
}
