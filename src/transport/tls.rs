//! Whom upstream connections trust: the roots of the operating system, and further ones that are
//! configured. There is no switch that turns verification off.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::Verifier;

/// HTTP/2 as ALPN calls it.
pub(super) const HTTP2: &[u8] = b"h2";

/// The TLS settings of connections, or why there are none: a machine without any root
/// certificates can still use plain upstreams on loopback.
#[derive(Clone)]
pub enum TlsTrust {
    /// Settings; without ALPN for servers that are asked in HTTP/1.1 only.
    Ready(Arc<ClientConfig>),
    /// Why no peer can be verified.
    Missing(Arc<str>),
}

impl fmt::Debug for TlsTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(_) => f.write_str("Ready"),
            Self::Missing(why) => write!(f, "Missing({why})"),
        }
    }
}

impl TlsTrust {
    /// Trust in the roots of the operating system.
    pub fn of_platform() -> Self {
        Self::with_files(None, None)
    }

    /// The same, for a server that is asked in HTTP/2 where it can (RFC 9113 §3.2).
    #[must_use]
    pub fn offering_http2(&self) -> Self {
        match self {
            Self::Ready(config) => {
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
                Self::Ready(Arc::new(config))
            }
            Self::Missing(why) => Self::Missing(Arc::clone(why)),
        }
    }

    /// Whether HTTP/2 is offered.
    pub fn offers_http2(&self) -> bool {
        matches!(self, Self::Ready(config) if !config.alpn_protocols.is_empty())
    }

    /// Trust in the roots of the operating system and those in the file `roots`; `own` are the
    /// files of a certificate chain of ours and its key. All are PEM.
    pub fn with_files(roots: Option<&Path>, own: Option<(&Path, &Path)>) -> Self {
        match build(roots, own) {
            Ok(config) => Self::Ready(Arc::new(config)),
            Err(why) => Self::Missing(why.into()),
        }
    }
}

fn build(roots: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<ClientConfig, String> {
    let roots = roots.map(certificates).transpose()?.unwrap_or_default();
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
    let verifier = verifier.map_err(|error| error.to_string())?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some((chain, key)) = own else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, &error))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| error.to_string())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| in_file(file, &error))?
        .collect();
    let all = all.map_err(|error| in_file(file, &error))?;
    if all.is_empty() {
        return Err(in_file(file, &"no certificate in it"));
    }
    Ok(all)
}

fn in_file(file: &Path, error: &dyn fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let missing = TlsTrust::with_files(Some(Path::new("/nonexistent/ca.pem")), None);
        assert!(
            format!("{missing:?}").contains("/nonexistent/ca.pem"),
            "{missing:?}"
        );
        let empty = TlsTrust::with_files(Some(Path::new("/dev/null")), None);
        assert!(format!("{empty:?}").contains("no certificate"), "{empty:?}");
    }
}
