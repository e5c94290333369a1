//! From an address to an open WebSocket, or why there is none.

use super::{RemoteOptions, tls};
use lunabot_proto::msgpack::{Credentials, MAX_MESSAGE};
use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, USER_AGENT};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// How long a connection may take from the look-up of the name to the answer to the login.
const CONNECT: Duration = Duration::from_secs(30);
/// Bytes of a WebSocket's buffers: a worker is to be small.
const BUFFER: usize = 16 * 1024;

/// A connection, whatever secures it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Why there is no connection; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot reach the master at {place}: {error}")]
    Tcp { place: String, error: std::io::Error },
    #[error("the master at {place} did not let us in within {} s", CONNECT.as_secs())]
    Slow { place: String },
    #[error("no TLS with the master at {place}: {why}")]
    Tls { place: String, why: String },
    #[error(
        "the master at {place} refuses the login: it has no worker named {name:?}, or another password for it"
    )]
    Login { place: String, name: String },
    #[error("the master at {place} answers with HTTP status {status}; is this its port for msgpack workers?")]
    Status { place: String, status: u16 },
    #[error(
        "the master at {place} answers no WebSocket ({error}); is this its port for msgpack workers \
         (msgpack_experimental_v7), and does it want wss:// or ws://?"
    )]
    NoWebSocket { place: String, error: String },
    #[error("a name or password that cannot be sent")]
    Unsendable,
}

pub(super) async fn connect(options: &RemoteOptions, password: String) -> Result<Socket, ConnectError> {
    let opened = timeout(CONNECT, open(options, password)).await;
    opened.unwrap_or_else(|_| Err(ConnectError::Slow { place: options.address.place() }))
}

async fn open(options: &RemoteOptions, password: String) -> Result<Socket, ConnectError> {
    let address = &options.address;
    let place = address.place();
    let request = request(options, password)?;
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await;
    let stream = stream.map_err(|error| ConnectError::Tcp { place: place.clone(), error })?;
    if let Err(error) = notice_loss(&stream) {
        tracing::debug!("options of a socket: {error}");
    }
    let stream: Box<dyn Stream> = if address.tls { secure(options, stream).await? } else { Box::new(stream) };
    let limits = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    match tokio_tungstenite::client_async_with_config(request, stream, Some(limits)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(match response.status() {
            StatusCode::UNAUTHORIZED => ConnectError::Login { place, name: options.name.clone() },
            status => ConnectError::Status { place, status: status.as_u16() },
        }),
        Err(Error::Io(error)) if is_of_tls(&error) => {
            Err(ConnectError::Tls { place, why: error.to_string() })
        }
        Err(error) => Err(ConnectError::NoWebSocket { place, error: error.to_string() }),
    }
}

fn request(options: &RemoteOptions, password: String) -> Result<Request, ConnectError> {
    let login = Credentials { name: options.name.clone(), password }.header();
    let mut login = HeaderValue::from_str(&login).map_err(|_| ConnectError::Unsendable)?;
    login.set_sensitive(true);
    let unsendable = |_: Error| ConnectError::Unsendable;
    let mut request = options.address.to_string().into_client_request().map_err(unsendable)?;
    request.headers_mut().insert(AUTHORIZATION, login);
    let agent = HeaderValue::from_static(concat!("lunabot-worker/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    Ok(request)
}

async fn secure(options: &RemoteOptions, stream: TcpStream) -> Result<Box<dyn Stream>, ConnectError> {
    let secured = tls::secure(&options.address.host, options.ca_file.clone(), stream).await;
    let fault = |why| ConnectError::Tls { place: options.address.place(), why };
    Ok(Box::new(secured.map_err(fault)?))
}

fn is_of_tls(error: &std::io::Error) -> bool {
    type Inner = dyn std::error::Error + Send + Sync;
    error.get_ref().is_some_and(<Inner>::is::<tokio_rustls::rustls::Error>)
}

/// From now on a master that vanished without a word is noticed within two minutes, whether or not anything is sent.
pub fn notice_loss(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(6);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(120)))?;
    Ok(())
}
