//! TLS of a port of the master's: certificates from files, read again with each load of the configuration.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
pub use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
pub use tokio_rustls::server::TlsStream;

/// What new connections are shown; the certificate may change while the port stays.
#[derive(Debug)]
pub struct Tls(RwLock<Arc<ServerConfig>>);

impl Tls {
    /// Shows `config` until [`Tls::set`].
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Tls(RwLock::new(config))
    }

    /// From the next connection on.
    pub fn set(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Secures a connection that came in.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> std::io::Result<TlsStream<S>> {
        let config = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Reads a private key and a chain of certificates, both PEM (`ssl:` of 01.026, 10.001). The error names the file.
pub async fn load(key: &Path, certificate: &Path) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(&read(certificate).await?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("{}: {error}", certificate.display()))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate (certKey)", certificate.display()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key).await?);
    let private = private.map_err(|error| format!("{} holds no private key: {error}", key.display()))?;
    let fault = |error: tokio_rustls::rustls::Error| format!("{}: {error}", certificate.display());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(fault)?;
    Ok(Arc::new(config))
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| format!("cannot read {}: {error}", path.display()))
}
