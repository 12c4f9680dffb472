//! Calling a person: where the desktop can show a notice, it says who must be signed in to, once for
//! each account and outage. It opens nothing by itself.

use std::time::Duration;

use tracing::debug;

use super::desktop::{self, Notice};
use crate::actor::directory::Directory;
use crate::ledger::{CredentialSource, Ring};

/// How long a link may take: its provider has to be found first.
const LINK: Duration = Duration::from_secs(5);

/// Shows what agents call for, as it comes. Goes on until it is dropped.
pub(super) async fn call(directory: Directory) {
    loop {
        let deps = directory.deps();
        let ring = deps.ledger.doorbell().next().await;
        if !deps.config.load().login.notify || !desktop::is_there() {
            continue;
        }
        let asking = directory.sign_in_link(&ring.account);
        let link = tokio::time::timeout(LINK, asking).await.ok().flatten();
        let shown = desktop::show(notice(&ring, link.as_deref())).await;
        if let Err(error) = shown {
            debug!(account = %ring.account, %error, "no notice was shown");
        }
    }
}

/// What a person reads.
fn notice(ring: &Ring, link: Option<&str>) -> Notice {
    let link = link.map_or_else(String::new, |link| format!("\nOr open {link}"));
    Notice {
        title: format!("{} needs you to sign in", ring.account),
        text: format!("{}{link}", ring.words),
    }
}
