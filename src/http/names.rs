//! What addresses a name has: the system's answer, or in tests one that changes from one question
//! to the next, as a name does whose owner means harm.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Finds the addresses of a name, with a port on each.
pub type Names =
    Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Asks the system.
pub(super) fn of_system() -> Names {
    Arc::new(|name, port| {
        async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) }.boxed()
    })
}
