//! awc through a `CONNECT` proxy: a connector of our own that hands awc the tunnel in the place of
//! a connection.

use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::net::TcpStream;
use tower_service::Service as _;

use crate::egress::Proxy;

/// Makes connections through `proxy`.
pub(super) fn through(
    proxy: Proxy,
) -> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, TcpStream>, Error = ConnectError>
+ Clone
+ 'static {
    fn_service(move |info: ConnectInfo<Uri>| {
        let proxy = proxy.clone();
        async move {
            let failed = |why: String| {
                let why = format!("proxy {proxy}: {why}");
                ConnectError::Io(std::io::Error::other(why))
            };
            let target = http::Uri::builder()
                .scheme("https")
                .authority(format!("{}:{}", info.hostname(), info.port()))
                .path_and_query("/")
                .build()
                .map_err(|error| failed(error.to_string()))?;
            let mut tcp = HttpConnector::new();
            tcp.set_nodelay(true);
            let tunnel = proxy.tunnel(tcp).call(target).await;
            let tunnel = tunnel.map_err(|error| failed(innermost(&error)))?;
            Ok(Connection::new(info.request().clone(), tunnel.into_inner()))
        }
    })
}

/// The reason at the bottom: what the system or the proxy said.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reason = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string()
}
