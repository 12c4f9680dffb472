//! `connect` and `disconnect`: shows what would change in a client's file, asks, remembers how to
//! undo it, and writes. What to change is decided in `connect`; here are the person, the files
//! and the daemon.

mod fixed;
mod place;
mod show;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::arguments::{ConnectArgs, DisconnectArgs, ModeForm, ScopeForm};
use super::run::Context;
use super::{local, start};
use crate::api::{Account, AccountState};
use crate::config;
use crate::connect::{
    self, Client, Connection, Connections, Draft, Entry, FileError, Mode, Ours, Plan, Refused,
    Scope, Server, Wish,
};
use crate::ctl::{Fault, Outcome};
use crate::model::catalogue::{Code, Problem};
use crate::model::nearest::nearest;

/// The exit code where some of several targets failed.
const PARTIAL: u8 = 10;

/// `connect`
pub(super) async fn connect(context: &Context, asked: ConnectArgs) -> Outcome {
    if asked.list {
        return show::list(context, &connections(context)?);
    }
    let servers = servers(context, &asked).await?;
    let named = asked.client.as_deref().unwrap_or_default();
    if named != "all" {
        let document = Connecting::new(context, &asked, known(named)?, &servers)?;
        let document = document.carry_out().await?;
        show::documents(context, document.into_iter().collect(), false);
        return Ok(0);
    }
    let clients = Client::ALL.into_iter();
    let clients: Vec<_> = clients.filter(|it| place::is_installed(*it)).collect();
    if clients.is_empty() {
        let problem = Problem::new(Code::ClientUnknown).with("name", "all");
        return Err(problem.because("none was found on this machine").into());
    }
    let mut tally = Tally::default();
    for client in clients {
        let outcome = match Connecting::new(context, &asked, client, &servers) {
            Ok(connecting) => connecting.carry_out().await,
            Err(fault) => Err(fault),
        };
        tally.note(context, outcome);
    }
    tally.finish(context)
}

/// `disconnect`
pub(super) async fn disconnect(context: &Context, asked: DisconnectArgs) -> Outcome {
    let all = asked.client == "all";
    if !all {
        known(&asked.client)?;
    }
    let file = asked.file.as_deref().map(absolute);
    let meant = |it: &&Connection| {
        (all || it.client == asked.client) && file.as_ref().is_none_or(|file| it.file == *file)
    };
    let connections = connections(context)?;
    let meant: Vec<_> = connections.items.iter().filter(meant).cloned().collect();
    if meant.is_empty() {
        let name = if all {
            "nothing"
        } else {
            asked.client.as_str()
        };
        let screen = &context.ctl.screen;
        screen.say(
            format!("{name} is connected by doorward here: nothing to undo").replacen(
                "is connected",
                if all {
                    "is connected"
                } else {
                    "is not connected"
                },
                1,
            ),
        );
        show::documents(context, Vec::new(), true);
        return Ok(0);
    }
    let mut tally = Tally::default();
    for connection in meant {
        let outcome = undo(context, &asked, connection).await;
        tally.note(context, outcome);
    }
    tally.finish(context)
}

/// What became of several targets.
#[derive(Default)]
struct Tally {
    documents: Vec<Value>,
    failed: Vec<u8>,
}

impl Tally {
    fn note(&mut self, context: &Context, outcome: Result<Option<Value>, Fault>) {
        match outcome {
            Ok(document) => self.documents.extend(document),
            Err(fault) => {
                fault.tell(&context.ctl.screen, None);
                self.failed.push(fault.exit());
            }
        }
    }

    fn finish(self, context: &Context) -> Outcome {
        let none = self.documents.is_empty();
        show::documents(context, self.documents, true);
        match self.failed.as_slice() {
            [] => Ok(0),
            [only] if none => Err(Fault::Said(*only)),
            [first, rest @ ..] if none && rest.iter().all(|it| it == first) => {
                Err(Fault::Said(*first))
            }
            _ => Err(Fault::Said(PARTIAL)),
        }
    }
}

/// One client that is being connected.
struct Connecting<'a> {
    context: &'a Context,
    asked: &'a ConnectArgs,
    client: Client,
    mode: Mode,
    file: PathBuf,
    servers: &'a [Server],
}

impl<'a> Connecting<'a> {
    fn new(
        context: &'a Context,
        asked: &'a ConnectArgs,
        client: Client,
        servers: &'a [Server],
    ) -> Result<Self, Fault> {
        let facts = client.facts();
        let mode = match asked.mode {
            None => facts.modes[0],
            Some(form) => mode(form),
        };
        let name = facts.name;
        if !facts.modes.contains(&mode) {
            let names: Vec<_> = facts.modes.iter().map(|mode| mode.name()).collect();
            let why = format!(
                "{} has no mode {}; it has: {}",
                facts.title,
                mode.name(),
                names.join(", ")
            );
            let next = format!("doorward connect {name} --mode {}", names[0]);
            let problem = Problem::new(Code::BadRequest).because(why);
            return Err(problem.next_step(next).into());
        }
        let scope = scope(asked.scope);
        if mode == Mode::Static && scope == Scope::Project {
            let why = "a project's file is shared, and `static` would write a credential into it";
            let next = format!(
                "doorward connect {name} --scope project --mode {}",
                facts.modes[0].name()
            );
            let problem = Problem::new(Code::BadRequest).because(why);
            return Err(problem.next_step(next).into());
        }
        let file = match &asked.file {
            Some(file) => absolute(file),
            None => client
                .file(scope, &place::places()?, Path::exists)
                .ok_or_else(|| {
                    let why = format!("{} has no file of a project", facts.title);
                    let problem = Problem::new(Code::BadRequest).because(why);
                    problem.next_step(format!("doorward connect {name}"))
                })?,
        };
        Ok(Self {
            context,
            asked,
            client,
            mode,
            file,
            servers,
        })
    }

    fn entries(&self, credential: &str) -> Vec<Entry> {
        let program = place::program(self.context);
        let servers = self.servers.iter();
        servers
            .map(|server| connect::entry(self.client, self.mode, server, &program, credential))
            .collect()
    }

    fn plan(
        &self,
        old: Option<&str>,
        ours: Option<&Ours>,
        entries: &[Entry],
    ) -> Result<Plan, Fault> {
        let facts = self.client.facts();
        let wish = Wish {
            format: facts.format,
            path: facts.path,
            entries,
            only_these: self.asked.upstreams.is_empty(),
            replace: self.asked.replace,
        };
        connect::connect(old, ours, &wish).map_err(|why| refused(self.client, &self.file, why))
    }

    /// The document of what was done; nothing where only entries were printed.
    async fn carry_out(&self) -> Result<Option<Value>, Fault> {
        let (context, client) = (self.context, self.client);
        let screen = &context.ctl.screen;
        let name = client.facts().name;
        if self.asked.print {
            let plan = self.plan(None, None, &self.entries(show::PLACEHOLDER))?;
            screen.out(plan.text.unwrap_or_default().trim_end());
            return Ok(None);
        }
        let draft = open(client, &self.file, self.asked.follow)?;
        let before = connections(context)?;
        let known = before.find(name, &self.file);
        let kept = match self.mode {
            Mode::Static => fixed::kept(context, client, known, draft.text(), self.servers).await,
            Mode::Helper | Mode::Env | Mode::Bridge => None,
        };
        let credential = kept.as_deref().unwrap_or(show::PLACEHOLDER);
        let entries = self.entries(credential);
        let ours = known.map(|it| &it.ours);
        let plan = self.plan(draft.text(), ours, &entries)?;
        let sight = show::Sight {
            client,
            file: &self.file,
            scope: self.asked.file.is_none().then(|| scope(self.asked.scope)),
            mode: self.mode,
        };
        let changes = plan.changes.iter().any(|it| it.operation.changes());
        if !changes {
            sight.nothing(context, &plan);
            return Ok(Some(sight.document(&plan, false)));
        }
        sight.preview(context, draft.text(), &plan);
        if self.mode == Mode::Static && kept.is_none() {
            let warning = "this writes a credential into the file, which lives until it is revoked";
            screen.warn(warning);
        }
        if self.asked.dry_run {
            return Ok(Some(sight.document(&plan, false)));
        }
        if !screen.confirm("Write it?", &format!("doorward connect {name} --yes"))? {
            return Err(Fault::Declined);
        }
        let old_session = known.and_then(|it| it.session.clone());
        let session = match (self.mode, kept) {
            (Mode::Static, None) => Some(fixed::mint(context, client, self.servers).await?),
            _ => None,
        };
        let plan = match &session {
            None => plan,
            Some(minted) => self.plan(draft.text(), ours, &self.entries(&minted.credential))?,
        };
        let document = sight.document(&plan, true);
        let connection = Connection {
            client: name.to_owned(),
            file: self.file.clone(),
            mode: self.mode,
            session: match (&session, self.mode) {
                (Some(minted), _) => Some(minted.id.clone()),
                (None, Mode::Static) => old_session.clone(),
                (None, _) => None,
            },
            ours: plan.ours,
        };
        let private = self.mode == Mode::Static;
        let text = plan.text.as_deref();
        let written = write(context, client, &before, connection, draft, text, private);
        if let Err(fault) = written {
            if let Some(minted) = &session {
                fixed::revoke(context, &minted.id, "it was not written").await;
            }
            return Err(fault);
        }
        let now = session.as_ref().map(|minted| &minted.id);
        let over =
            old_session.filter(|old| self.mode != Mode::Static || now.is_some_and(|it| it != old));
        if let Some(old) = over {
            fixed::revoke(context, &old, "another took its place in the file").await;
        }
        sight.written(context);
        Ok(Some(document))
    }
}

/// Takes what is ours out of one file.
async fn undo(
    context: &Context,
    asked: &DisconnectArgs,
    connection: Connection,
) -> Result<Option<Value>, Fault> {
    let client = known(&connection.client)?;
    let file = connection.file.clone();
    let draft = open(client, &file, asked.follow)?;
    let plan = connect::disconnect(draft.text(), client.facts().format, &connection.ours)
        .map_err(|why| refused(client, &file, why))?;
    let sight = show::Sight {
        client,
        file: &file,
        scope: None,
        mode: connection.mode,
    };
    let screen = &context.ctl.screen;
    if plan.changes.iter().any(|it| it.operation.changes()) {
        sight.preview(context, draft.text(), &plan);
        if asked.dry_run {
            return Ok(Some(sight.document(&plan, false)));
        }
        let command = format!("doorward disconnect {} --yes", asked.client);
        if !screen.confirm("Take it out?", &command)? {
            return Err(Fault::Declined);
        }
    } else {
        sight.nothing(context, &plan);
        if asked.dry_run {
            return Ok(Some(sight.document(&plan, false)));
        }
    }
    let document = sight.document(&plan, true);
    let left = Connection {
        session: None,
        ours: plan.ours,
        ..connection.clone()
    };
    let before = connections(context)?;
    let text = plan.text.as_deref();
    take_out(context, client, &before, left, draft, text)?;
    if let Some(session) = &connection.session {
        fixed::revoke(context, session, "its client was disconnected").await;
    }
    sight.taken_out(context);
    Ok(Some(document))
}

/// Remembers first and writes then: what was remembered and not written is noticed when it is
/// undone, what was written and not remembered could not be.
fn write(
    context: &Context,
    client: Client,
    before: &Connections,
    connection: Connection,
    draft: Draft,
    text: Option<&str>,
    private: bool,
) -> Result<(), Fault> {
    let file = connection.file.clone();
    let records = records(context);
    let (_lock, now) = alone(context, client, before, &connection)?;
    let mut next = now.clone();
    next.set(connection);
    next.save(&records)
        .map_err(|error| store(&records, &error))?;
    draft.write(text, private).map_err(|error| {
        // The file is as it was; the new record would do no harm, the old one is right.
        let _ = now.save(&records);
        failed(client, &file, error)
    })
}

/// Writes first and forgets then.
fn take_out(
    context: &Context,
    client: Client,
    before: &Connections,
    left: Connection,
    draft: Draft,
    text: Option<&str>,
) -> Result<(), Fault> {
    let file = left.file.clone();
    let records = records(context);
    let (_lock, mut now) = alone(context, client, before, &left)?;
    let unchanged = draft.text() == text;
    if !unchanged {
        draft
            .write(text, false)
            .map_err(|error| failed(client, &file, error))?;
    }
    now.set(left);
    now.save(&records).map_err(|error| store(&records, &error))
}

/// The lock of the records, and them as they are: still those that the person was shown.
fn alone(
    context: &Context,
    client: Client,
    before: &Connections,
    connection: &Connection,
) -> Result<(std::fs::File, Connections), Fault> {
    let records = records(context);
    let prepared = context.paths.prepare();
    prepared.map_err(|error| Problem::new(Code::StoreFailed).with("detail", error))?;
    let lock = Connections::lock(&records).map_err(|error| store(&records, &error))?;
    let now = connections(context)?;
    let of = |all: &Connections| all.find(&connection.client, &connection.file).cloned();
    if of(&now) != of(before) {
        return Err(failed(client, &connection.file, FileError::Changed));
    }
    Ok((lock, now))
}

fn records(context: &Context) -> PathBuf {
    context.paths.state_dir.join("connections.json")
}

fn connections(context: &Context) -> Result<Connections, Fault> {
    let records = records(context);
    Connections::load(&records).map_err(|error| store(&records, &error))
}

fn store(records: &Path, error: &std::io::Error) -> Fault {
    let detail = format!("{}: {error}", records.display());
    Problem::new(Code::StoreFailed)
        .with("detail", detail)
        .into()
}

fn open(client: Client, file: &Path, follow: bool) -> Result<Draft, Fault> {
    let home = place::home();
    let home = home.as_deref().filter(|_| !follow);
    Draft::open(file, home).map_err(|error| failed(client, file, error))
}

fn failed(client: Client, file: &Path, error: FileError) -> Fault {
    let name = client.facts().name;
    let shown = place::shown(file);
    let problem = |code| Problem::new(code).with("client", name).with("file", &shown);
    match error {
        FileError::Changed => problem(Code::ClientConfigChanged)
            .because(format!(
                "{} or somebody else wrote to it; nothing was written",
                client.facts().title
            ))
            .into(),
        FileError::Elsewhere(target) => {
            let detail = format!(
                "{shown} is a link to {}, outside of your home directory",
                target.display()
            );
            Problem::new(Code::ConfirmationNeeded)
                .with("detail", detail)
                .with("command", format!("doorward connect {name} --follow"))
                .into()
        }
        FileError::NotText { line, column } => problem(Code::ClientConfigUnreadable)
            .with("line", line)
            .with("col", column)
            .with("format", "text")
            .with("detail", "a byte here is not UTF-8; nothing was written")
            .into(),
        FileError::Io(error) => problem(Code::ClientFileFailed).with("detail", error).into(),
    }
}

fn refused(client: Client, file: &Path, why: Refused) -> Fault {
    let facts = client.facts();
    let shown = place::shown(file);
    let problem = |code| {
        Problem::new(code)
            .with("client", facts.name)
            .with("file", &shown)
    };
    match why {
        Refused::Unreadable {
            line,
            column,
            detail,
        } => problem(Code::ClientConfigUnreadable)
            .with("line", line)
            .with("col", column)
            .with("format", facts.format)
            .with("detail", format!("{detail}; nothing was written"))
            .into(),
        Refused::Form { .. } | Refused::Unsure => problem(Code::ClientFileRefused)
            .with("detail", format!("{why}; nothing was written"))
            .into(),
    }
}

/// The client of this name, or what was probably meant.
fn known(name: &str) -> Result<Client, Fault> {
    Client::of(name).ok_or_else(|| {
        let names = Client::ALL.map(|client| client.facts().name);
        let problem = Problem::new(Code::ClientUnknown)
            .with("name", name)
            .with("names", names.join(", "));
        match nearest(name, names) {
            Some(near) => problem.next_step(format!("doorward connect {near}")).into(),
            None => problem.into(),
        }
    })
}

/// What the client shall know, as a running daemon has it or else the configuration.
async fn servers(context: &Context, asked: &ConnectArgs) -> Result<Vec<Server>, Fault> {
    let loaded = config::load(&context.inputs());
    let loaded = loaded.map_err(|error| local::config_fault(context, &error))?;
    let status = match context.running().await? {
        Some(status) => status,
        None => start::stopped(context, &loaded.config),
    };
    let enabled = status.upstreams.iter();
    let enabled: Vec<&Account> = enabled
        .filter(|it| it.state != AccountState::Disabled)
        .collect();
    let chosen: Vec<&Account> = if asked.upstreams.is_empty() {
        enabled
    } else {
        let mut chosen = Vec::new();
        for name in &asked.upstreams {
            let found = enabled.iter().find(|it| it.reference() == *name);
            chosen.push(*found.ok_or_else(|| local::unknown(&loaded.config, name))?);
        }
        chosen
    };
    if chosen.is_empty() {
        return Err(Problem::new(Code::NoUpstream).into());
    }
    let prefix = asked.prefix.as_deref().unwrap_or_default();
    let named = crate::run::servers(&chosen).into_iter().zip(&chosen);
    let servers = named.map(|(server, account)| Server {
        name: format!("{prefix}{}", server.name),
        account: account.reference(),
        url: server.url,
    });
    Ok(servers.collect())
}

fn scope(form: ScopeForm) -> Scope {
    match form {
        ScopeForm::User => Scope::User,
        ScopeForm::Project => Scope::Project,
    }
}

fn mode(form: ModeForm) -> Mode {
    match form {
        ModeForm::Helper => Mode::Helper,
        ModeForm::Env => Mode::Env,
        ModeForm::Bridge => Mode::Bridge,
        ModeForm::Static => Mode::Static,
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
