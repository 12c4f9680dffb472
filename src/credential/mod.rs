//! Credentials that need no person: secrets from where the configuration says they are, and
//! commands that print a token. Everything is bounded in time and size, and nothing here can ask
//! anybody a question.

pub mod client;
pub mod command;
pub mod output;
pub mod source;

use crate::config::{Exec, ExecOutput};
use crate::model::fault::CommandFault;
use crate::model::time::Timestamp;
use command::Invocation;
use output::Printed;

/// Kubernetes plug-ins are told by this variable that nobody is there to be asked.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#input-and-output-formats>
const EXEC_INFO: (&str, &str) = (
    "KUBERNETES_EXEC_INFO",
    r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}"#,
);

/// Runs the command of `exec` and reads what it prints; `now` tells the age of the answer.
pub async fn run(exec: &Exec, now: impl Fn() -> Timestamp) -> Result<Printed, CommandFault> {
    let mut env = exec.env.clone();
    if matches!(exec.output, ExecOutput::Auto | ExecOutput::ExecCredential) {
        let (name, value) = EXEC_INFO;
        env.entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    let invocation = Invocation {
        command: &exec.command,
        env: &env,
        timeout: exec.timeout,
        install_hint: exec.install_hint.as_deref(),
    };
    let text = command::stdout(&invocation).await?;
    output::read(&text, exec.output, now()).map_err(|what| CommandFault::Output {
        command: invocation.name(),
        what: what.to_owned(),
    })
}
