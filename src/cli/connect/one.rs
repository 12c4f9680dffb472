//! Connects one client: what is wanted, what would change, the question, and the writing.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::store::{self, Writing};
use super::target::Target;
use super::{absolute, fixed, place, show};
use crate::cli::arguments::{ConnectArgs, ModeForm, ScopeForm};
use crate::cli::run::Context;
use crate::connect::{self, Client, Connection, Entry, Mode, Ours, Plan, Scope, Server, Wish};
use crate::ctl::Fault;
use crate::model::catalogue::{Code, Problem};

/// One client that is being connected.
pub(super) struct Connecting<'a> {
    context: &'a Context,
    asked: &'a ConnectArgs,
    client: Client,
    mode: Mode,
    file: PathBuf,
    servers: &'a [Server],
    /// The command for this client.
    again: String,
}

impl<'a> Connecting<'a> {
    pub(super) fn new(
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
            again: asked.again(name),
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
        connect::connect(old, ours, &wish).map_err(|why| self.target().refused(why))
    }

    fn target(&self) -> Target<'_> {
        Target {
            client: self.client,
            file: &self.file,
            verb: "connect",
            again: &self.again,
        }
    }

    /// The document of what was done; nothing where only entries were printed.
    pub(super) async fn carry_out(&self) -> Result<Option<Value>, Fault> {
        let (context, client) = (self.context, self.client);
        let screen = &context.ctl.screen;
        let name = client.facts().name;
        if self.asked.print {
            let plan = self.plan(None, None, &self.entries(show::PLACEHOLDER))?;
            screen.out(plan.text.unwrap_or_default().trim_end());
            return Ok(None);
        }
        let draft = self.target().open(self.asked.follow)?;
        let before = store::load(context)?;
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
            target: self.target(),
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
            let warning = "this writes a credential into the file, for whoever can read that";
            screen.warn(warning);
        }
        if self.asked.dry_run {
            return Ok(Some(sight.document(&plan, false)));
        }
        if !screen.confirm("Write it?", &format!("{} --yes", self.again))? {
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
        let writing = Writing {
            target: self.target(),
            draft,
            text: plan.text.as_deref(),
            private: self.mode == Mode::Static,
        };
        let written = writing.put_in(context, &before, connection);
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
