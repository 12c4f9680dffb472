//! Bad nights as agents live through them: every fault of a token endpoint while the token has
//! ended, a name that does not resolve, a certificate that is not trusted.

use std::sync::Arc;

use doorward::clock::{SystemClock, SystemRandom};
use doorward::model::record::StoreKind;
use doorward::paths::{Environment, Paths};
use doorward::store::Store;
use serde_json::{Value, json};

use super::outage::Outage;
use super::{refreshes, state};
use crate::support::parts::{Agent, Daemon, signed_in};
use crate::support::traffic::{Line, echo, works};

/// None of them is carried out: the token that was presented is good afterwards.
fn faults() -> [Value; 11] {
    let html = json!({"content-type": "text/html"});
    [
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 502, "body": "<html>bad</html>", "headers": html}),
        json!({"kind": "status", "status": 503, "headers": {"retry-after": "1"}}),
        json!({"kind": "status", "status": 429, "headers": {"retry-after": "1"}}),
        json!({"kind": "status", "status": 403, "body": "<html>no</html>", "headers": html}),
        json!({"kind": "broken_json"}),
        json!({"kind": "error_200"}),
        json!({"kind": "empty"}),
        json!({"kind": "cut_short"}),
        json!({"kind": "reset_before"}),
        json!({"kind": "reset_connect"}),
    ]
}

fn disturb(outage: &Outage, fault: &Value) {
    let mut fault = fault.clone();
    let connection = fault["kind"] == "reset_connect";
    fault["on"] = if connection { "connect" } else { "token" }.into();
    fault["times"] = "always".into();
    outage.authority.tell("/fault", &fault);
}

/// The outage is over within the patience of a call: it goes through, and nobody did anything.
#[test]
fn pain_02_a_call_outlives_each_fault_that_ends_in_time() {
    let mut outage = Outage::new();
    for fault in faults() {
        let name = fault.to_string();
        outage.authority.tell("/clear", &json!({}));
        outage.authority.tell("/expire-access-tokens", &json!({}));
        disturb(&outage, &fault);
        std::thread::scope(|scope| {
            let call = scope.spawn(|| echo(&outage.daemon, &outage.agent));
            let asked = outage
                .authority
                .ask("/wait?count=faults_injected&at_least=1");
            assert_eq!(asked["reached"], true, "{name}");
            outage.authority.tell("/heal", &json!({}));
            let (status, body) = call.join().expect("no panic");
            assert!(
                status == 200 && body.contains("Echo: hello"),
                "{name}: {body}"
            );
        });
        outage.held_until_now(&name);
    }
}

/// What agents are told where it is not, and how often the token endpoint is asked meanwhile.
#[test]
fn pain_02_what_agents_are_told_while_a_fault_lasts() {
    let mut outage = Outage::new();
    // Longer than a call waits.
    outage
        .daemon
        .configure("[refresh.retry]\nbase = \"40s\"\nmax = \"60s\"");
    for fault in faults() {
        let name = fault.to_string();
        outage.authority.tell("/clear", &json!({}));
        let mut fault = fault;
        if fault["headers"]["retry-after"].is_string() {
            fault["headers"]["retry-after"] = "40".into();
        }
        disturb(&outage, &fault);
        outage.daemon.kill();
        outage.daemon.serve();
        for _ in 0..5 {
            let (status, body) = echo(&outage.daemon, &outage.agent);
            assert_eq!(status, 200, "{name}: {body}");
            let answer: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(answer["result"]["isError"], true, "{name}: {body}");
            let text = answer["result"]["content"][0]["text"].to_string();
            let told = ["cannot be renewed right now", "next try in"];
            assert!(
                told.iter().all(|words| text.contains(words)),
                "{name}: {text}"
            );
            assert!(!text.contains("login"), "{name}: {text}");
        }
        let list = outage.daemon.call(&outage.agent, "tools/list", &json!({}));
        assert_eq!(
            list.json()["error"]["code"],
            -31014,
            "{name}: {}",
            list.body
        );
        let problem = state(&outage.daemon);
        assert_eq!(
            problem,
            ("error".into(), "refresh_unavailable".into()),
            "{name}"
        );
        // Where the answer may have been lost, it is asked for once more; and where nobody was
        // reached, a network is looked for every few seconds as long as a call waits for one.
        let most = if name.contains("reset_connect") {
            40
        } else {
            2
        };
        let asked = outage.authority.count("faults_injected");
        assert!((1..=most).contains(&asked), "{name}: {asked}");
        outage.authority.tell("/heal", &json!({}));
        outage.daemon.kill();
        outage.daemon.serve();
        assert!(works(&outage.daemon, &outage.agent), "{name}");
        outage.held_until_now(&name);
    }
}

/// Agents that never stop asking do not make the daemon ask more often than its schedule says.
#[test]
fn pain_02_the_token_endpoint_is_asked_by_the_schedule_however_many_call() {
    const BASE: u64 = 200;
    const MAX: u64 = 800;
    let mut outage = Outage::new();
    let retry = format!("[refresh.retry]\nbase = \"{BASE}ms\"\nmax = \"{MAX}ms\"");
    outage.daemon.configure(&retry);
    outage.daemon.kill();
    outage.daemon.serve();
    outage.authority.tell("/clear", &json!({}));
    disturb(&outage, &json!({"kind": "status", "status": 500}));
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    Line::of(&outage.daemon, &outage.agent).echoes();
                })
            })
            .collect();
        let asked = outage
            .authority
            .ask("/wait?count=refresh_requests&at_least=8");
        assert_eq!(asked["reached"], true);
        outage.authority.tell("/heal", &json!({}));
        for call in calls {
            call.join().expect("it went through in the end");
        }
    });
    let refreshes = refreshes(&outage.authority);
    let at = |entry: &Value| entry["uptime_ms"].as_u64().expect("a time");
    for (number, pair) in refreshes.windows(2).enumerate() {
        let full = MAX.min(BASE << number.min(8));
        let gap = at(&pair[1]) - at(&pair[0]);
        // Half of it is jitter, and a clock of milliseconds may cut one off.
        assert!(
            gap + 2 >= full / 2,
            "{number} after {gap} ms: {refreshes:#?}"
        );
    }
    outage.held_until_now("schedule");
}

/// The request was carried out, and its answer lost: the token is spent.
#[test]
fn pain_19_an_answer_that_is_lost_costs_nothing_where_there_is_a_grace() {
    for kind in ["reset_after", "truncated"] {
        for grace in [60, 0] {
            let name = format!("{kind}, grace {grace}");
            let (authority, _upstream, mut daemon) = signed_in(&json!({"reuse_leeway": grace}));
            let agent = daemon.agent("one");
            daemon.configure("[login]\nhold = \"off\"");
            daemon.kill();
            daemon.serve();
            authority.tell("/fault", &json!({"on": "token", "kind": kind}));
            let (status, body) = echo(&daemon, &agent);
            assert_eq!(status, 200, "{name}: {body}");
            assert_eq!(authority.count("reuse_presented"), 1, "{name}");
            if grace > 0 {
                assert!(body.contains("Echo: hello"), "{name}: {body}");
                assert_eq!(state(&daemon).0, "ready", "{name}");
                continue;
            }
            assert!(body.contains("after an answer was lost"), "{name}: {body}");
            assert_eq!(state(&daemon), ("login".into(), "login_required".into()));
            for _ in 0..5 {
                assert!(!works(&daemon, &agent), "{name}");
            }
            assert_eq!(authority.count("refresh_requests"), 2, "{name}: no loop");
            assert!(daemon.try_sign_in(&authority), "{name}");
            assert!(works(&daemon, &agent), "{name}");
        }
    }
}

#[test]
fn pain_02_a_slow_body_is_waited_for() {
    let mut outage = Outage::new();
    outage.authority.tell("/expire-access-tokens", &json!({}));
    let slow = json!({"on": "token", "kind": "slow", "parts": 20, "delay_ms": 50});
    outage.authority.tell("/fault", &slow);
    assert!(works(&outage.daemon, &outage.agent));
    assert_eq!(outage.authority.count("refresh_requests"), 1);
    outage.held_until_now("slow");
}

/// Lets the sign-in of a daemon that does not run name another token endpoint.
fn move_token_endpoint(daemon: &Daemon, to: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let paths = Paths::resolve(Some(&daemon.state()), &Environment::default()).expect("paths");
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let kind = StoreKind::File(None);
        let store = Store::open(&paths, kind, "doorward", clock, random).await;
        let store = store.expect("opens");
        let (mut grant, _) = store
            .grants()
            .await
            .expect("read")
            .pop()
            .expect("signed in");
        let former = std::mem::replace(&mut grant.token_endpoint, to.to_owned());
        store.put_grant(grant).await.expect("kept");
        store.close().await.expect("closed");
        former
    })
}

/// The names of the reserved top-level domain `invalid` do not exist (RFC 6761 §6.4).
#[test]
fn pain_02_an_authorization_server_without_an_address_or_a_certificate() {
    let mut outage = Outage::new();
    outage
        .daemon
        .configure("[login]\nhold = \"off\"\n[refresh.retry]\nbase = \"40s\"\nmax = \"60s\"");
    let plain = outage.authority.url.strip_prefix("http://").expect("http");
    let nobody = crate::tls::tls_server("right", false);
    let wrong = [
        ("https://as.invalid/token".to_owned(), "as.invalid"),
        (format!("https://{plain}/token"), ""),
        (
            format!("https://localhost:{}/token", nobody.port()),
            "ertificate",
        ),
    ];
    for (endpoint, words) in wrong {
        outage.authority.tell("/clear", &json!({}));
        outage.daemon.kill();
        let real = move_token_endpoint(&outage.daemon, &endpoint);
        outage.daemon.serve();
        for _ in 0..3 {
            let (status, body) = echo(&outage.daemon, &outage.agent);
            assert_eq!(status, 200, "{endpoint}: {body}");
            assert!(
                body.contains("cannot be renewed right now"),
                "{endpoint}: {body}"
            );
            assert!(body.contains(words), "{endpoint}: {body}");
            assert!(!body.contains(" login "), "{endpoint}: {body}");
        }
        let problem = state(&outage.daemon);
        assert_eq!(
            problem,
            ("error".into(), "refresh_unavailable".into()),
            "{endpoint}"
        );
        outage.daemon.kill();
        move_token_endpoint(&outage.daemon, &real);
        outage.daemon.serve();
        assert!(works(&outage.daemon, &outage.agent), "{endpoint}");
        outage.held_until_now(&endpoint);
    }
}

#[test]
fn pain_02_an_upstream_without_an_address_is_told_so() {
    let daemon = Daemon::start();
    let (code, told) = daemon.run(&[
        "upstream",
        "add",
        "ev",
        "https://mcp.invalid/mcp",
        "--auth",
        "none",
    ]);
    assert_eq!(code, 0, "{told}");
    let (id, credential) = daemon.mint("one");
    let agent = Agent::known(id, credential);
    // An agent that got an error for the first two would not ask again in its whole life.
    for method in ["initialize", "tools/list"] {
        let answer = daemon.call(&agent, method, &json!({}));
        assert_eq!(answer.status, 200, "{method}: {}", answer.body);
        assert!(answer.body.contains("cannot be reached"), "{}", answer.body);
    }
    let answer = daemon.call(&agent, "tools/call", &json!({}));
    assert_eq!(answer.status, 502, "{}", answer.body);
    let data = &answer.json()["error"]["data"];
    assert_eq!(data["code"], "upstream_unreachable", "{data}");
    // The way to a sign-in says the same, and not that one is needed.
    let (code, told) = daemon.run(&["login", "https://mcp.invalid/mcp", "--name", "other"]);
    assert_eq!(code, 8, "{told}");
}

/// A token that ends during an outage: it serves to its end, then the agents are told, and then
/// all goes on.
#[test]
fn pain_02_an_outage_around_the_end_of_the_token() {
    let (authority, _upstream, mut daemon) = signed_in(&json!({"access_token_ttl": 8}));
    let agent = daemon.agent("one");
    daemon.configure("[login]\nhold = \"off\"\n[refresh.retry]\nbase = \"200ms\"\nmax = \"1s\"");
    daemon.kill();
    daemon.serve();
    assert!(works(&daemon, &agent));
    authority.tell("/clear", &json!({}));
    authority.tell("/close", &json!({}));
    let (mut served, mut told) = (0, String::new());
    while told.is_empty() {
        let (status, body) = echo(&daemon, &agent);
        assert_eq!(status, 200, "{body}");
        if body.contains("Echo: hello") {
            served += 1;
        } else {
            told = body;
        }
    }
    assert!(served > 0, "the old token serves while it lives");
    assert!(told.contains("cannot be renewed right now"), "{told}");
    authority.tell("/open", &json!({}));
    assert!(works(&daemon, &agent), "it mends itself");
    assert_eq!(authority.count("refresh_rejected"), 0);
    assert_eq!(authority.count("reuse_presented"), 0);
}

/// A laptop wakes up, and its network twenty seconds later.
#[test]
fn pain_21_the_network_comes_back_late_and_eight_calls_go_through_on_one_refresh() {
    let (authority, upstream, mut daemon) = signed_in(&json!({}));
    let agents: Vec<_> = (0..8).map(|n| daemon.agent(&n.to_string())).collect();
    // As after two days of sleep: no token is good any more.
    daemon.kill();
    daemon.serve();
    authority.tell("/clear", &json!({}));
    upstream.tell("/clear", &json!({}));
    authority.tell("/close", &json!({}));
    std::thread::scope(|scope| {
        let calls: Vec<_> = agents
            .iter()
            .map(|agent| scope.spawn(|| echo(&daemon, agent)))
            .collect();
        late();
        authority.tell("/open", &json!({}));
        for call in calls {
            let (status, body) = call.join().expect("no panic");
            assert!(status == 200 && body.contains("Echo: hello"), "{body}");
        }
    });
    assert_eq!(authority.count("refresh_requests"), 1);
    assert_eq!(upstream.ask("/tools")["echo"], 8);
}

#[expect(clippy::disallowed_methods, reason = "how long is the point")]
fn late() {
    std::thread::sleep(std::time::Duration::from_secs(20));
}
