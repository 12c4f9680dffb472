//! A stdio MCP server for programs without HTTP: messages of one agent on standard input and
//! output, Streamable HTTP to the daemon. Standard output carries JSON-RPC and nothing else.

mod events;
mod link;
mod message;
mod streams;
mod subscription;
mod talk;
mod wire;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use crate::api::Within;
use crate::ctl::{Client, Fault, Outcome};
use crate::model::catalogue::{Code, Problem};
use crate::model::invocation::Invocation;

use link::Link;
use message::{Message, not_understood};
use subscription::Running;
use talk::{LONGEST, Talk};

/// How long requests that run at the end of the input are waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How many messages of the agent wait for their turn before it has to wait itself.
const QUEUE: usize = 64;
/// How many lines wait for an agent that does not read before the server has to wait.
const UNREAD: usize = 1024;

/// What `bridge` was asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The upstream, or an account of it.
    pub upstream: String,
    /// What the person calls this session.
    pub label: Option<String>,
    /// What the project that it runs in leaves of a grant.
    pub within: Option<Within>,
    /// The session that it runs inside of, by its public id.
    pub parent: Option<String>,
    /// Whether a daemon that is away may be started.
    pub autostart: bool,
    /// How the person calls the program, for the commands in messages.
    pub invocation: Invocation,
}

/// How the daemon is found.
pub trait Daemon {
    /// Its address for agents. A daemon that is away is started where that is allowed.
    fn find(&self, may_start: bool) -> LocalBoxFuture<'_, Result<String, Fault>>;

    /// Its control socket.
    fn control(&self) -> &Client;

    /// Tells the person what is wrong; standard output is not for that.
    fn tell(&self, fault: &Fault);
}

/// Serves until the input ends, somebody sends a signal, or the agent reads no more.
pub async fn run(
    daemon: Rc<dyn Daemon>,
    options: Options,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin + 'static,
) -> Outcome {
    let tasks = tokio::task::LocalSet::new();
    tasks.run_until(serve(daemon, options, input, output)).await
}

async fn serve(
    daemon: Rc<dyn Daemon>,
    options: Options,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin + 'static,
) -> Outcome {
    let (out, lines) = channel(UNREAD);
    let link = Link::new(daemon, options);
    let mut lines_in = Lines::new(input);
    // What is wrong from the start is better said by an exit than at every message.
    if let Err(fault) = link.prepare().await {
        link.tell(&fault);
        let exit = fault.exit();
        let problem = fault.into_problem();
        let told = refuse(&link, &problem, &mut lines_in, output);
        // An agent that says nothing is told nothing.
        let _ = tokio::time::timeout(LAST_WORDS, told).await;
        return Err(Fault::Said(exit));
    }
    let failed = |what| Fault::from(Problem::new(Code::Internal).with("detail", what));
    let mut terminate = signal(SignalKind::terminate()).map_err(|_| failed("no signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|_| failed("no signals"))?;
    let mut writing = tokio::task::spawn_local(write(output, lines));
    let talk = Rc::new(Talk::new(link, out));
    let mender = Rc::clone(&talk);
    let mending = tokio::task::spawn_local(async move { mender.mend().await });
    let (queue, queued) = channel(QUEUE);
    let mut working = tokio::task::spawn_local(work(Rc::clone(&talk), queued));
    // Nothing that the server does or leaves undone keeps us from the end.
    tokio::select! {
        () = read(lines_in, queue) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = &mut writing => {}
    }
    let _ = tokio::time::timeout(LAST_WORDS, &mut working).await;
    working.abort();
    mending.abort();
    let _ = tokio::time::timeout(LAST_WORDS, talk.take_leave()).await;
    talk.link.leave().await;
    // The last lines are written when nobody can add one.
    drop(talk);
    if !writing.is_finished() {
        let _ = tokio::time::timeout(LAST_WORDS, writing).await;
    }
    Ok(0)
}

/// Answers the first request, which shakes hands, with what keeps this bridge from working: some
/// agents show an error, and nothing of a server that just ends.
async fn refuse(
    link: &Link,
    problem: &Problem,
    lines: &mut Lines<impl AsyncBufRead + Unpin>,
    output: impl AsyncWrite + Unpin,
) {
    loop {
        let message = match lines.next().await {
            Line::End => return,
            Line::TooLong => continue,
            Line::Whole(bytes) => Message::parse(bytes),
        };
        if let Some(answer) = message.and_then(|message| link.failed(&message, problem)) {
            let (only, written) = channel(1);
            let _ = only.send(answer).await;
            drop(only);
            return write(output, written).await;
        }
    }
}

/// Queues what the agent says until it ends.
async fn read(mut lines: Lines<impl AsyncBufRead + Unpin>, queue: Sender<Line>) {
    loop {
        let line = lines.next().await;
        if matches!(line, Line::End) || queue.send(line).await.is_err() {
            return;
        }
    }
}

/// Carries what the agent says: in order what others build on, at the same time the requests
/// between. Ends when all that was queued is through.
async fn work(talk: Rc<Talk>, mut queued: Receiver<Line>) {
    let mut running = JoinSet::new();
    let mut listening = JoinSet::new();
    let mut cancellable = Running::default();
    while let Some(line) = queued.recv().await {
        // Finished ones are not kept.
        while running.try_join_next().is_some() {}
        let message = match line {
            Line::TooLong => {
                talk.tell(not_understood(-32600, "the message is too long"))
                    .await;
                continue;
            }
            Line::Whole(bytes) if bytes.is_empty() => continue,
            Line::Whole(bytes) => {
                if let Some(message) = Message::parse(bytes) {
                    message
                } else {
                    talk.tell(not_understood(-32700, "this is no JSON-RPC message"))
                        .await;
                    continue;
                }
            }
            Line::End => break,
        };
        let ready = message.is("notifications/initialized");
        if message.wants_answer() && !message.is("initialize") {
            let talk = Rc::clone(&talk);
            let carried = message.clone();
            let abort = running.spawn_local(async move { talk.carry(carried).await });
            cancellable.note(&message, abort);
        } else if cancellable.cancel(&message) {
            // Its server notices by the end of the connection.
        } else {
            talk.carry(message).await;
        }
        if ready && listening.is_empty() {
            let talk = Rc::clone(&talk);
            listening.spawn_local(async move { talk.listen().await });
        }
    }
    cancellable.leave();
    while running.join_next().await.is_some() {}
}

/// The only place that writes to the agent.
async fn write(mut output: impl AsyncWrite + Unpin, mut lines: Receiver<Bytes>) {
    while let Some(line) = lines.recv().await {
        let written = async {
            output.write_all(&line).await?;
            output.write_all(b"\n").await?;
            output.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
}

enum Line {
    Whole(Bytes),
    TooLong,
    End,
}

/// Lines of bounded length. Nothing is lost when `next` is dropped before it is done.
struct Lines<R> {
    input: R,
    held: Vec<u8>,
    skipping: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            held: Vec::new(),
            skipping: false,
        }
    }

    async fn next(&mut self) -> Line {
        loop {
            let Ok(ahead) = self.input.fill_buf().await else {
                return Line::End;
            };
            if ahead.is_empty() {
                // A last line without its end is a line too.
                return match std::mem::take(&mut self.held) {
                    held if held.is_empty() => Line::End,
                    held => Line::Whole(held.into()),
                };
            }
            let end = ahead.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(ahead.len());
            if !self.skipping {
                self.held.extend_from_slice(&ahead[..length]);
            }
            self.input.consume(length + usize::from(end.is_some()));
            if self.held.len() > LONGEST {
                self.held = Vec::new();
                self.skipping = true;
            }
            if end.is_some() {
                if std::mem::take(&mut self.skipping) {
                    return Line::TooLong;
                }
                let held = std::mem::take(&mut self.held);
                return Line::Whole(Bytes::copy_from_slice(held.trim_ascii()));
            }
        }
    }
}
