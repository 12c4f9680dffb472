//! `logs`: the file that a daemon in the background writes, with or without that daemon. Its
//! lines are JSON, and a person gets them as sentences.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::arguments::LogsArgs;
use super::run::Context;
use crate::ctl::{Fault, Outcome};
use crate::model::catalogue::{Code, Problem};

/// Between two looks at a file that is followed.
const PERIOD: Duration = Duration::from_millis(200);
/// How much is read at a time on the way back from the end.
const BLOCK: u64 = 64 << 10;

/// `logs`
pub(super) async fn show(context: &Context, asked: LogsArgs) -> Outcome {
    let raw = context.ctl.screen.format().is_json();
    match print(&context.paths.log, asked, raw).await {
        Ok(()) => Ok(0),
        // Whoever read it has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(unreadable(&context.paths.log, &error)),
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Fault {
    let place = file.display();
    let problem = Problem::new(Code::NoLog).with("file", &place);
    match error.kind() {
        ErrorKind::NotFound => problem.into(),
        _ => problem.because(format!("{place}: {error}")).into(),
    }
}

async fn print(path: &Path, asked: LogsArgs, raw: bool) -> io::Result<()> {
    let mut log = open(path, |file| last_lines(file, asked.lines))?;
    let mut line = Vec::new();
    loop {
        if log.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            tell(&line, raw)?;
            line.clear();
            continue;
        }
        if !asked.follow {
            // What a daemon that was killed could not finish.
            return if line.is_empty() {
                Ok(())
            } else {
                tell(&line, raw)
            };
        }
        if is_another(path, &mut log)? {
            log = open(path, |_| Ok(0))?;
            line.clear();
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn open(
    path: &Path,
    start: impl FnOnce(&mut File) -> io::Result<u64>,
) -> io::Result<BufReader<File>> {
    let mut file = File::open(path)?;
    let start = start(&mut file)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(BufReader::new(file))
}

/// Whether the file was emptied or another one took its place. One that is missing for a moment
/// is waited for.
fn is_another(path: &Path, log: &mut BufReader<File>) -> io::Result<bool> {
    let Ok(present) = std::fs::metadata(path) else {
        return Ok(false);
    };
    let held = log.get_ref().metadata()?;
    let same = (present.dev(), present.ino()) == (held.dev(), held.ino());
    Ok(!same || present.len() < log.stream_position()?)
}

/// Where the last `count` lines begin.
fn last_lines<F: Read + Seek>(file: &mut F, count: usize) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if count == 0 {
        return Ok(end);
    }
    let mut block = Vec::new();
    let (mut position, mut found) = (end, 0);
    while position > 0 {
        let from = position.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(from))?;
        block.clear();
        file.by_ref()
            .take(position - from)
            .read_to_end(&mut block)?;
        for byte in block.iter().rev() {
            // The end of the last line begins no other.
            if *byte == b'\n' && position != end {
                found += 1;
                if found == count {
                    return Ok(position);
                }
            }
            position -= 1;
        }
    }
    Ok(0)
}

fn tell(line: &[u8], raw: bool) -> io::Result<()> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\n');
    let text = if raw { text.to_owned() } else { sentence(text) };
    writeln!(io::stdout().lock(), "{text}")
}

/// A line for a person. Names and messages in it may come from outside: a terminal must not obey
/// them.
fn sentence(line: &str) -> String {
    let told = serde_json::from_str(line)
        .ok()
        .and_then(|told| words(&told));
    let told = told.unwrap_or_else(|| line.to_owned());
    told.replace(|c: char| c.is_control() && c != '\t', " ")
}

fn words(told: &Map<String, Value>) -> Option<String> {
    let text = |name| told.get(name).and_then(Value::as_str);
    let fields = told.get("fields")?.as_object()?;
    let message = fields.get("message").and_then(Value::as_str).unwrap_or("");
    let mut words = format!("{} {:>5} {message}", text("timestamp")?, text("level")?);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "message") {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        words.extend([" ", name, "=", &value]);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let long = "x".repeat(usize::try_from(BLOCK).expect("small"));
        for (text, count, rest) in [
            ("", 3, ""),
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb\nc\n", 0, ""),
            ("a\nb\nunfinished", 1, "unfinished"),
            ("\n\n\n", 2, "\n\n"),
            (&format!("a\n{long}\n{long}\n"), 1, &format!("{long}\n")),
            (&format!("a\n{long}\nb\n"), 2, &format!("{long}\nb\n")),
        ] {
            let start = last_lines(&mut Cursor::new(text), count).expect("read");
            let start = usize::try_from(start).expect("small");
            assert_eq!(&text[start..], rest, "{count} of {} bytes", text.len());
        }
    }

    #[test]
    fn lines_are_sentences_and_terminals_are_left_alone() {
        let json = r#"{"timestamp":"2026-11-21T08:59:01Z","level":"INFO","fields":{"message":"listening","url":"http://127.0.0.1:5177","upstreams":6}}"#;
        assert_eq!(
            sentence(json),
            "2026-11-21T08:59:01Z  INFO listening upstreams=6 url=http://127.0.0.1:5177"
        );
        let evil = r#"{"timestamp":"t","level":"WARN","fields":{"message":"\u001b[2Jgone\n"}}"#;
        assert_eq!(sentence(evil), "t  WARN  [2Jgone ");
        assert_eq!(sentence("error: in use\u{7}"), "error: in use ");
        assert_eq!(sentence("{}"), "{}");
    }
}
