//! Whom upstream connections trust: the roots of the operating system. There is no switch that
//! turns verification off.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;

/// The TLS settings of all workers, or why there are none: a machine without any root
/// certificates can still use plain upstreams on loopback.
#[derive(Clone)]
pub enum TlsTrust {
    /// Settings without ALPN: the data path speaks HTTP/1.1.
    Ready(Arc<ClientConfig>),
    /// Why no peer can be verified.
    Missing(Arc<str>),
}

/// Trust in the roots of the operating system.
pub fn platform_trust() -> TlsTrust {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let built = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier);
    match built {
        Ok(builder) => TlsTrust::Ready(Arc::new(builder.with_no_client_auth())),
        Err(error) => TlsTrust::Missing(error.to_string().into()),
    }
}
