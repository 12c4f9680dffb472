//! How requests ask for a credential that is missing or ages.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tracing::warn;

use super::directory::Directory;
use super::login::{LoginOptions, LoginStarted};
use super::{Ask, BeginLogin, PATIENCE};
use crate::ledger::{CredentialSource, Published};
use crate::model::fault::{CredentialError, TransientCause};
use crate::model::id::{AccountRef, Generation};

/// Tells the actor when the caller goes away before the answer.
struct Waiting {
    directory: Directory,
    account: AccountRef,
    waiter: u64,
    answered: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.directory.abandon(&self.account, self.waiter);
    }
}

impl CredentialSource for Directory {
    fn ask(
        &self,
        account: &AccountRef,
        rejected: Option<Generation>,
    ) -> BoxFuture<'static, Result<Arc<Published>, CredentialError>> {
        let directory = self.clone();
        let account = account.clone();
        Box::pin(async move {
            let waiter = directory.next_waiter();
            let mut waiting = Waiting {
                directory: directory.clone(),
                account: account.clone(),
                waiter,
                answered: false,
            };
            let asking = async {
                loop {
                    // An account whose actor dies again and again becomes broken, which ends this.
                    match directory.send(&account, || Ask { waiter, rejected }).await {
                        Ok(Some(answer)) => return answer,
                        Ok(None) => warn!(%account, "its actor died over a question"),
                        Err(error) => {
                            return Err(CredentialError::Unavailable {
                                cause: TransientCause::Store(error.to_string()),
                                attempts: 0,
                                retry_at: directory.deps().clock.now(),
                            });
                        }
                    }
                }
            };
            let answer = tokio::time::timeout(PATIENCE, asking).await;
            waiting.answered = answer.is_ok();
            answer.unwrap_or(Err(CredentialError::TimedOut))
        })
    }

    fn sign_in_link(&self, account: &AccountRef) -> BoxFuture<'static, Option<String>> {
        let (directory, account) = (self.clone(), account.clone());
        Box::pin(async move {
            let begin = || BeginLogin(LoginOptions::default());
            match directory.send(&account, begin).await.ok()?.ok()? {
                LoginStarted::Pending { url, .. } => Some(url),
                LoginStarted::Device {
                    page, full_page, ..
                } => Some(full_page.unwrap_or(page)),
                LoginStarted::AlreadySignedIn(_) => None,
            }
        })
    }

    fn nudge(&self, account: &AccountRef) {
        self.nudge_account(account);
    }
}
