//! Where the web listens: `c.www.port` (10.001), an [`Endpoint`], bound.

mod passed;

pub use lunabot_model::Endpoint;
pub use passed::take_passed_sockets;

use lunabot_model::EndpointError;
use lunabot_net::tls::{ServerConfig, Tls};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};

/// Why the web cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Syntax(#[from] EndpointError),
    #[error("{0}")]
    Tls(String),
    #[error(
        "{0} is already in use: another program, or another master, listens there; stop it or choose another www.port"
    )]
    InUse(Endpoint),
    #[error("cannot listen at {0}: {1}")]
    Bind(Endpoint, std::io::Error),
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: Socket,
    /// What secures it; its certificate may change.
    pub tls: Option<Arc<Tls>>,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    /// With its file, if that is ours. The file goes first: while the socket is there, nobody replaces it.
    Unix(Option<SocketFile>, UnixListener),
}

/// A file that goes when nobody is to come by it any more, whether or not anybody was served there.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// What a person can open: `http://127.0.0.1:8010/`, or `unix:/path`.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match &self.socket {
            Socket::Tcp(socket) => match socket.local_addr() {
                Ok(at) if at.ip().is_unspecified() => format!("{scheme}://localhost:{}/", at.port()),
                Ok(at) => format!("{scheme}://{at}/"),
                Err(e) => format!("an unknown address ({e})"),
            },
            Socket::Unix(Some(file), _) => format!("unix:{}", file.0.display()),
            Socket::Unix(None, socket) => match socket.local_addr() {
                Ok(at) => format!("unix:{}", at.as_pathname().unwrap_or(Path::new("")).display()),
                Err(e) => format!("an unknown address ({e})"),
            },
        }
    }

    pub fn port(&self) -> Option<u16> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok().map(|at| at.port()),
            Socket::Unix(..) => None,
        }
    }
}

/// Binds a place. Relative paths of sockets and certificates start at `home`.
pub async fn listen(endpoint: &Endpoint, home: &Path) -> Result<Listener, ListenError> {
    let tls = certificate(endpoint, home).await?.map(|config| Arc::new(Tls::new(config)));
    let bound = match endpoint {
        Endpoint::Tcp { host, port } | Endpoint::Ssl { host, port, .. } => {
            TcpListener::bind((host.as_str(), *port)).await.map(Socket::Tcp)
        }
        Endpoint::Unix { path, mode } => listen_unix(&home.join(path), *mode).await,
        Endpoint::Systemd(which) => passed::passed(which).and_then(listen_passed),
    };
    bound.map(|socket| Listener { socket, tls }).map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::InUse(endpoint.clone()),
        _ => ListenError::Bind(endpoint.clone(), e),
    })
}

/// What a place shows to who comes, read from its files now; `None`: it has none.
pub async fn certificate(endpoint: &Endpoint, home: &Path) -> Result<Option<Arc<ServerConfig>>, ListenError> {
    let Endpoint::Ssl { private_key, certificate, .. } = endpoint else { return Ok(None) };
    let loaded = lunabot_net::tls::load(&home.join(private_key), &home.join(certificate)).await;
    loaded.map(Some).map_err(ListenError::Tls)
}

fn listen_passed(socket: socket2::Socket) -> std::io::Result<Socket> {
    if socket.local_addr()?.is_unix() {
        return Ok(Socket::Unix(None, UnixListener::from_std(socket.into())?));
    }
    Ok(Socket::Tcp(TcpListener::from_std(socket.into())?))
}

/// A socket file that nobody answers at is left over from a crash and is replaced.
async fn listen_unix(path: &Path, mode: u32) -> std::io::Result<Socket> {
    let is_socket = tokio::fs::metadata(path).await.is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err() {
        tokio::fs::remove_file(path).await?;
    }
    let socket = UnixListener::bind(path)?;
    let file = SocketFile(path.into());
    tokio::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).await?;
    Ok(Socket::Unix(Some(file), socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_remedy() {
        let first = listen(&Endpoint::read(&json!("127.0.0.1:0")).unwrap(), Path::new("")).await.unwrap();
        let taken = Endpoint::Tcp { host: "127.0.0.1".into(), port: first.port().unwrap() };
        let error = listen(&taken, Path::new("")).await.unwrap_err().to_string();
        assert!(error.contains("already in use") && error.contains("www.port"), "{error}");
    }

    #[tokio::test]
    async fn a_socket_left_by_a_crash_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("www");
        let at = Endpoint::Unix { path: path.clone(), mode: 0o600 };
        drop(UnixListener::bind(&path).unwrap());
        let first = listen(&at, dir.path()).await.unwrap();
        assert!(matches!(listen(&at, dir.path()).await, Err(ListenError::InUse(_))));
        drop(first);
        assert!(!path.exists());
    }
}
