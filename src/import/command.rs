//! `mcp-remote`: a program that many configurations start to reach a remote server, with its
//! address among the arguments: `npx -y mcp-remote@latest https://… --header "X: y"`.

use super::Transport;
use super::entry::Remote;

/// The server behind a command line, where `mcp-remote` is in it.
pub(super) fn remote(words: &[&str]) -> Option<Remote> {
    let at = words.iter().position(|word| is_mcp_remote(word))?;
    let mut words = words[at + 1..].iter();
    let (mut url, mut sse, mut fields) = (None, false, Vec::new());
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value)),
            _ => (*word, None),
        };
        match flag {
            "--header" => {
                let field = value.or_else(|| words.next().copied()).unwrap_or_default();
                let name = field.split(':').next().unwrap_or_default();
                fields.push(name.trim().to_owned());
            }
            "--transport" => {
                let kind = value.or_else(|| words.next().copied());
                sse = kind == Some("sse-only");
            }
            _ if url.is_none() && is_address(word) => url = Some((*word).to_owned()),
            _ => {}
        }
    }
    Some(Remote {
        url: url?,
        transport: if sse { Transport::Sse } else { Transport::Http },
        fields,
        through_command: true,
    })
}

/// The package in some version, or the program in some directory.
fn is_mcp_remote(word: &str) -> bool {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let name = name.split('@').next().unwrap_or(name);
    name == "mcp-remote"
}

fn is_address(word: &str) -> bool {
    word.starts_with("https://") || word.starts_with("http://")
}
