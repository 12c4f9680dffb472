//! Files as people have them, and what becomes of them.

mod edits;
mod forms;
mod golden;
mod life;

use super::{
    Client, Entry, Facts, Format, LineEnd, Mode, Plan, Program, Server, Wish, connect, disconnect,
    entry,
};

/// Two upstreams, as `client` is told of them.
fn entries(client: Client, mode: Mode) -> Vec<Entry> {
    let program = Program {
        command: "doorward".to_owned(),
        flags: Vec::new(),
    };
    let server = |name: &str, account: &str| Server {
        name: name.to_owned(),
        account: account.to_owned(),
        url: format!("http://127.0.0.1:5177/u/{account}"),
    };
    [
        server("linear", "linear"),
        server("notion-work", "notion@work"),
    ]
    .iter()
    .map(|server| entry(client, mode, server, &program, "dw_0_secret"))
    .collect()
}

fn wish(client: Client, entries: &[Entry]) -> Wish<'_> {
    let facts = client.facts();
    Wish {
        format: facts.format,
        path: facts.path,
        entries,
        only_these: true,
        replace: false,
    }
}

/// What `connect` makes of a text.
fn connected(client: Client, mode: Mode, old: Option<&str>) -> Plan {
    let entries = entries(client, mode);
    connect(old, None, &wish(client, &entries)).expect("it can be written")
}

/// What `disconnect` makes of it then.
fn undone(client: Client, now: Option<&str>, plan: &Plan) -> Option<String> {
    let format: Format = client.facts().format;
    let undone = disconnect(now, format, &plan.ours).expect("it can be undone");
    undone.text
}
