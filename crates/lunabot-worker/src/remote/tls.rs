//! Which masters are trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Secures a connection to `host`, a name or an IP address without brackets. `ca_file`: as in [`trust`]. The error says what
/// is wrong with the certificate and, where it is home-made, what to do.
pub async fn secure(
    host: &str,
    ca_file: Option<PathBuf>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let trusted = tokio::task::spawn_blocking(move || trust(ca_file.as_deref())).await;
    let config = trusted.map_err(|error| error.to_string())??;
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} can have no certificate"))?;
    let secured = TlsConnector::from(config).connect(name, stream).await;
    secured.map_err(|error| explained(&error.to_string()))
}

/// Adds the remedy where the certificate is one that nobody has signed.
fn explained(error: &str) -> String {
    let strange = ["UnknownIssuer", "CaUsedAsEndEntity"].iter().any(|reason| error.contains(reason));
    let remedy =
        if strange { "; if the certificate is home-made, name it or its authority with ca_file" } else { "" };
    format!("{error}{remedy}")
}

/// Trust in the certificates of a file (PEM), or in those of the machine (and of the variable `SSL_CERT_FILE`). Blocks. The error
/// names the file.
pub fn trust(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let trusted = match ca_file {
        Some(file) => read(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(trusted.iter().cloned());
    if added == 0 {
        let place = ca_file.map_or("this machine".into(), |path| path.display().to_string());
        return Err(format!("{place} holds no certificate that could be trusted; name one with ca_file"));
    }
    let provider = Arc::new(default_provider());
    let web = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone()).build();
    let web = web.map_err(|error| format!("certificates cannot be checked: {error}"))?;
    let verifier = Verifier { web, trusted };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    all.map_err(|error| format!("{}: {error}", path.display()))
}

/// The web's rules, and one more: a certificate that is trusted is trusted as a server's too, if it names the host. Home-made ones
/// say of themselves that they are authorities, and the web's rules take no authority for a server.
#[derive(Debug)]
struct Verifier {
    web: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trusted.iter().any(|trusted| trusted == end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.web.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.web.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.web.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.web.supported_verify_schemes()
    }
}
