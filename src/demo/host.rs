//! A server of the demo on a port of loopback that the system chose.

use std::net::TcpListener;

use actix_web::dev::ServerHandle;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use url::Url;

/// A server that runs.
pub(super) struct Host {
    /// Where it is.
    pub(super) url: Url,
    handle: ServerHandle,
}

impl Host {
    /// Serves what `routes` makes of the address of the server.
    pub(super) fn start<R>(path: &str, routes: impl FnOnce(&Url) -> R) -> std::io::Result<Self>
    where
        R: Fn(&mut ServiceConfig) + Clone + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let text = format!("http://{}{path}", listener.local_addr()?);
        let url = Url::parse(&text).map_err(std::io::Error::other)?;
        let routes = routes(&url);
        let server = HttpServer::new(move || App::new().configure(routes.clone()))
            .workers(1)
            .disable_signals()
            .shutdown_timeout(1)
            .listen(listener)?
            .run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Ok(Self { url, handle })
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        self.handle.stop(false).await;
    }
}
