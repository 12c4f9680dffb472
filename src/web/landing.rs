//! Places beside the agent port that browsers come back to. Whoever asks there is looked at as at the
//! agent port, and finds one page (protocol.md OC-47).

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, middleware, web};
use tracing::warn;

use super::guard::{self, Doors};
use super::login::callback;
use crate::actor::directory::Directory;
use crate::actor::landing::Landing;

/// Answers at `landing` until its sign-in is over.
pub fn answer(directory: Directory, landing: Landing) {
    let over = landing.over.clone();
    let server = match serve(directory, landing) {
        Ok(server) => server,
        Err(error) => return warn!(%error, "nobody answers where a browser is to come back to"),
    };
    let handle = server.handle();
    actix_web::rt::spawn(server);
    actix_web::rt::spawn(async move {
        over.cancelled().await;
        // The page that ends the sign-in may still be on its way.
        handle.stop(true).await;
    });
}

fn serve(directory: Directory, landing: Landing) -> std::io::Result<actix_web::dev::Server> {
    let path = landing.path;
    let local = landing
        .listeners
        .first()
        .map(std::net::TcpListener::local_addr);
    let local = local.unwrap_or_else(|| Err(std::io::ErrorKind::AddrNotAvailable.into()))?;
    let doors = web::Data::new(Doors::new(local, &[], &[]));
    let mut server = HttpServer::new(move || {
        let doors = doors.clone();
        App::new()
            .app_data(web::Data::new(directory.clone()))
            .wrap(middleware::from_fn(move |request: ServiceRequest, next| {
                let doors = doors.clone();
                async move {
                    match guard::look(&doors, request.head(), true) {
                        Ok(()) => middleware::Next::call(&next, request).await,
                        Err(refusal) => {
                            let status = refusal.status.unwrap_or(refusal.problem.entry().http);
                            let status = StatusCode::from_u16(status);
                            let status = status.unwrap_or(StatusCode::FORBIDDEN);
                            Ok(request.into_response(HttpResponse::new(status)))
                        }
                    }
                }
            }))
            .route(&path, web::get().to(callback))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(2);
    for listener in landing.listeners {
        server = server.listen(listener)?;
    }
    Ok(server.run())
}
