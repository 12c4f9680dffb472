//! Whom we trust: the platform's certificates, and those of a file that the configuration names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::Verifier;

/// Makes `ring` the process's TLS provider. May be called any number of times.
pub fn install_crypto_provider() {
    // The error means that it is installed already.
    let _ = ring::default_provider().install_default();
}

/// What the configuration says about TLS towards upstreams and authorization servers.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// Certificates to trust besides the platform's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, as PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why nobody can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The platform has no trusted certificates: a bare container, usually.
    #[error("this machine has no trusted certificates ({0}); set `tls.ca_file`")]
    NoTrust(String),
    /// A file cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The TLS side of every outgoing connection. ALPN is left to the caller.
pub fn client_config(settings: &TlsSettings) -> Result<ClientConfig, TlsFault> {
    let provider = Arc::new(ring::default_provider());
    let extra = match &settings.ca_file {
        Some(path) => certificates(path)?,
        None => Vec::new(),
    };
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .map_err(|error| TlsFault::NoTrust(error.to_string()))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match &settings.client {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let fault = |why: &dyn std::fmt::Display| TlsFault::File {
                path: key.clone(),
                why: why.to_string(),
            };
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| fault(&error))?;
            builder
                .with_client_auth_cert(certificates(chain)?, secret)
                .map_err(|error| fault(&error))
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let fault = |why: String| TlsFault::File {
        path: path.to_owned(),
        why,
    };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(error.to_string()))?;
    if found.is_empty() {
        return Err(fault("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_file_that_cannot_be_used_is_named() {
        install_crypto_provider();
        install_crypto_provider();
        let file = tempfile::NamedTempFile::new().expect("a file");
        let settings = TlsSettings {
            ca_file: Some(file.path().to_owned()),
            client: None,
        };
        let fault = client_config(&settings).expect_err("an empty file");
        assert!(fault.to_string().contains("no certificate"), "{fault}");
        let missing = TlsSettings {
            ca_file: Some("/nonexistent/ca.pem".into()),
            client: None,
        };
        assert!(client_config(&missing).is_err());
    }
}
