//! Where the web listens: `c.www.port` (10.001) read into an [`Endpoint`], and bound.

use lunabot_model::Json;
use std::fmt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Tcp {
        host: String,
        port: u16,
    },
    /// With the permission bits of the socket.
    Unix {
        path: PathBuf,
        mode: u32,
    },
}

/// Why the web cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "www.port: {0} is not a place to listen at: a port, \"host:port\", \"tcp:8010:interface=127.0.0.1\" or \"unix:/path\" is"
    )]
    Syntax(String),
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

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(f, "{host}:{port}"),
            Endpoint::Unix { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

const ANY_HOST: &str = "0.0.0.0";
const SOCKET_MODE: u32 = 0o666;

impl Endpoint {
    /// Reads `c.www.port`.
    pub fn read(port: &Json) -> Result<Endpoint, ListenError> {
        let wrong = || ListenError::Syntax(port.to_string());
        match port {
            Json::Number(n) => {
                let port = n.as_u64().and_then(|n| u16::try_from(n).ok()).ok_or_else(wrong)?;
                Ok(Endpoint::Tcp { host: ANY_HOST.into(), port })
            }
            Json::String(text) => Self::parse(text).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    fn parse(text: &str) -> Option<Endpoint> {
        if let Some(rest) = text.strip_prefix("tcp:") {
            return Self::parse_tcp(&split_escaped(rest));
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            return Self::parse_unix(&split_escaped(rest));
        }
        if let Ok(port) = text.parse() {
            return Some(Endpoint::Tcp { host: ANY_HOST.into(), port });
        }
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Endpoint::Tcp { host: host.into(), port: port.parse().ok()? }).filter(|_| !host.is_empty())
    }

    fn parse_tcp(parts: &[String]) -> Option<Endpoint> {
        let (mut host, mut port) = (ANY_HOST.to_string(), None);
        for part in parts {
            match part.split_once('=') {
                None | Some(("port", _)) => port = part.trim_start_matches("port=").parse().ok(),
                Some(("interface", value)) => host = value.to_string(),
                Some(("backlog", _)) => {}
                Some(_) => return None,
            }
        }
        Some(Endpoint::Tcp { host, port: port? })
    }

    fn parse_unix(parts: &[String]) -> Option<Endpoint> {
        let (mut path, mut mode) = (None, SOCKET_MODE);
        for part in parts {
            match part.split_once('=') {
                Some(("mode", value)) => mode = u32::from_str_radix(value, 8).ok()?,
                Some(("lockfile" | "backlog", _)) => {}
                None | Some(("address", _)) => {
                    path = Some(PathBuf::from(part.trim_start_matches("address=")));
                }
                Some(_) => return None,
            }
        }
        path.filter(|p| !p.as_os_str().is_empty()).map(|path| Endpoint::Unix { path, mode })
    }
}

/// Splits at colons; `\:` is a colon of the text.
fn split_escaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => parts.push(String::new()),
            '\\' => parts.last_mut().into_iter().for_each(|part| part.extend(chars.next())),
            _ => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    parts
}

/// Binds a place.
pub async fn listen(endpoint: &Endpoint) -> Result<Listener, ListenError> {
    let bound = match endpoint {
        Endpoint::Tcp { host, port } => TcpListener::bind((host.as_str(), *port)).await.map(Listener::Tcp),
        Endpoint::Unix { path, mode } => listen_unix(path, *mode).await,
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

    fn tcp(host: &str, port: u16) -> Option<Endpoint> {
        Some(Endpoint::Tcp { host: host.into(), port })
    }

    #[test]
    fn ports_and_endpoints_10_001() {
        let table = [
            (json!(8010), tcp("0.0.0.0", 8010)),
            (json!("8010"), tcp("0.0.0.0", 8010)),
            (json!("127.0.0.1:0"), tcp("127.0.0.1", 0)),
            (json!("[::1]:8010"), tcp("::1", 8010)),
            (json!("tcp:8010"), tcp("0.0.0.0", 8010)),
            (json!("tcp:port=8010:interface=127.0.0.1"), tcp("127.0.0.1", 8010)),
            (json!(r"tcp:8010:interface=\:\:1"), tcp("::1", 8010)),
            (json!("unix:/run/x:mode=660"), Some(Endpoint::Unix { path: "/run/x".into(), mode: 0o660 })),
            (json!("unix:"), None),
            (json!("tcp:interface=127.0.0.1"), None),
            (json!("tcp:8010:colour=red"), None),
            (json!(70000), None),
            (json!(-1), None),
            (json!("nonsense"), None),
            (json!({}), None),
        ];
        for (port, wanted) in table {
            assert_eq!(Endpoint::read(&port).ok(), wanted, "{port}");
        }
    }

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
