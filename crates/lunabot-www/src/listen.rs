//! Where the web listens: `c.www.port` (10.001), an [`Endpoint`], bound.

pub use lunabot_model::Endpoint;
use lunabot_model::EndpointError;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};

/// Why the web cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("www.port: {0}")]
    Syntax(#[from] EndpointError),
    #[error("www.port: the pages are not served with TLS yet; put a proxy that speaks it in front")]
    Tls,
    #[error(
        "{0} is already in use: another program, or another master, listens there; stop it or choose another www.port"
    )]
    InUse(Endpoint),
    #[error("cannot listen at {0}: {1}")]
    Bind(Endpoint, std::io::Error),
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// What a person can open: `http://127.0.0.1:8010/`, or `unix:/path`.
    pub fn url(&self) -> String {
        match self {
            Listener::Tcp(socket) => match socket.local_addr() {
                Ok(at) if at.ip().is_unspecified() => format!("http://localhost:{}/", at.port()),
                Ok(at) => format!("http://{at}/"),
                Err(e) => format!("an unknown address ({e})"),
            },
            Listener::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    pub fn port(&self) -> Option<u16> {
        match self {
            Listener::Tcp(socket) => socket.local_addr().ok().map(|at| at.port()),
            Listener::Unix(..) => None,
        }
    }
}

/// Binds a place.
pub async fn listen(endpoint: &Endpoint) -> Result<Listener, ListenError> {
    let bound = match endpoint {
        Endpoint::Tcp { host, port } => TcpListener::bind((host.as_str(), *port)).await.map(Listener::Tcp),
        Endpoint::Unix { path, mode } => listen_unix(path, *mode).await,
        Endpoint::Ssl { .. } => return Err(ListenError::Tls),
    };
    bound.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::InUse(endpoint.clone()),
        _ => ListenError::Bind(endpoint.clone(), e),
    })
}

/// A socket file that nobody answers at is left over from a crash and is replaced.
async fn listen_unix(path: &Path, mode: u32) -> std::io::Result<Listener> {
    let is_socket = tokio::fs::metadata(path).await.is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err() {
        tokio::fs::remove_file(path).await?;
    }
    let socket = UnixListener::bind(path)?;
    tokio::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).await?;
    Ok(Listener::Unix(socket, path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_remedy() {
        let first = listen(&Endpoint::read(&json!("127.0.0.1:0")).unwrap()).await.unwrap();
        let taken = Endpoint::Tcp { host: "127.0.0.1".into(), port: first.port().unwrap() };
        let error = listen(&taken).await.unwrap_err().to_string();
        assert!(error.contains("already in use") && error.contains("www.port"), "{error}");
    }

    #[tokio::test]
    async fn a_socket_left_by_a_crash_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let at = Endpoint::Unix { path: dir.path().join("www"), mode: 0o600 };
        let first = listen(&at).await.unwrap();
        assert!(matches!(listen(&at).await, Err(ListenError::InUse(_))));
        drop(first);
        listen(&at).await.unwrap();
    }
}
