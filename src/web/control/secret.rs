//! Takes the secret of an upstream into the store.

use actix_web::{HttpResponse, web};

use super::{Answer, Control, Refused, named};
use crate::api;
use crate::config::{Auth, SecretSource};
use crate::model::catalogue::{Code, Problem};
use crate::model::secret::ClientSecret;

pub(super) async fn set(
    control: web::Data<Control>,
    asked: web::Path<String>,
    given: web::Json<api::SetSecret>,
) -> Answer {
    let (upstream, _) = named(&control, &asked)?;
    let elsewhere = |why: String| {
        let problem = Problem::new(Code::SecretElsewhere).with("upstream", &upstream.name);
        Refused(problem.because(why))
    };
    let item = match upstream.auth.secret() {
        Some(SecretSource::Stored(item)) => item.clone(),
        Some(SecretSource::File(path)) => {
            return Err(elsewhere(format!("the config says {}", path.display())));
        }
        Some(SecretSource::Variable(name)) => {
            return Err(elsewhere(format!("the config says the variable {name}")));
        }
        Some(SecretSource::Command(command)) => {
            let program = command.first().map_or("", String::as_str);
            return Err(elsewhere(format!("the config says the command {program}")));
        }
        None => {
            let kind = upstream.auth.kind();
            return Err(elsewhere(format!("its authentication is `{kind}`")));
        }
    };
    let secret = ClientSecret::new(given.into_inner().secret);
    let text = secret.expose();
    let is_key = text.starts_with("-----BEGIN ");
    let unfit = |c: char| c.is_control() && !(is_key && matches!(c, '\r' | '\n'));
    if text.is_empty() || text.contains(unfit) {
        let detail = "a secret is one line, or a key in PEM, and not empty";
        return Err(Refused(
            Problem::new(Code::BadRequest).with("detail", detail),
        ));
    }
    let directory = &control.directory;
    let deps = directory.deps();
    deps.store
        .put_secret(&item, secret)
        .await
        .map_err(|error| Problem::new(Code::StoreFailed).with("detail", error))?;
    // Whoever works with the old one begins anew. Sign-ins are not touched: their client goes with
    // the grant.
    for (other, account) in deps.config.load().accounts() {
        let same = other.auth.secret() == Some(&SecretSource::Stored(item.clone()));
        if same && !matches!(other.auth, Auth::Oauth(_)) {
            directory.close_account(&account);
            directory.open_account(&account);
        }
    }
    Ok(HttpResponse::NoContent().finish())
}
