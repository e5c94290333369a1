//! From a stranger's bytes to a worker that is known by its password (reference rows 08.012, 08.016, 08.031).

use super::clients::{Client, Gate};
use super::hub::{Arrival, Hub, Newcomer};
use super::transport::{Stream, Transport};
use lunabot_proto::master::MasterProtocol;
use lunabot_proto::msgpack::{BadLogin, Credentials, MAX_MESSAGE, MsgpackMaster};
use lunabot_proto::pb::{Door, Knock};
use std::net::SocketAddr;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Bytes that a WebSocket holds to read into. Thousands of workers are silent most of the time, each with its buffer.
const READ_BUFFER: usize = 8 * 1024;

/// Logs a stranger in over msgpack; `None`: it may not come in, or gave up.
pub(super) async fn msgpack<S: Stream>(hub: &Hub, stream: S, from: SocketAddr) -> Option<Arrival> {
    let mut name = None;
    #[expect(clippy::result_large_err, reason = "the type that the WebSocket wants")]
    let check = |request: &Request, response: Response| match known(hub, request) {
        Ok(worker) => {
            name = Some(worker);
            Ok(response)
        }
        Err((status, why)) => {
            tracing::warn!("a worker at {from} may not come in: {why}");
            Err(refusal(status))
        }
    };
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(limits)).await;
    match accepted {
        Ok(socket) => Some(Arrival::Worker(Newcomer {
            name: name?,
            protocol: Box::new(MsgpackMaster::new()),
            transport: Transport::websocket(socket),
        })),
        Err(error) => {
            tracing::debug!("no WebSocket with {from}: {error}");
            None
        }
    }
}

/// Who asks for the connection, or the status and the reason of the refusal.
fn known(hub: &Hub, request: &Request) -> Result<String, (u16, String)> {
    let header = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let credentials = Credentials::read(header).map_err(|bad: BadLogin| (bad.status(), bad.to_string()))?;
    let Credentials { name, password } = credentials;
    let fits = |known: &str| lunabot_proto::same(known.as_bytes(), password.as_bytes());
    hub.recognise(&name, fits).map_err(|why| (401, why))?;
    Ok(name)
}

fn refusal(status: u16) -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::UNAUTHORIZED);
    response
}

/// Logs a stranger in over PB; `None`: it may not come in, or gave up.
pub(super) async fn pb<S: Stream>(hub: &Hub, gate: &Gate, stream: S, from: SocketAddr) -> Option<Arrival> {
    let mut transport = Transport::plain(stream);
    let mut door = Door::new(rand::random());
    loop {
        flush(&mut door, &mut transport).await?;
        // The end, or an error of a connection that nobody knows: nothing to be told.
        let bytes = transport.reader.read().await.ok().flatten()?;
        door.feed(&bytes);
        let knock = match door.knock() {
            Ok(Some(knock)) => knock,
            Ok(None) => continue,
            Err(error) => {
                tracing::debug!("no PB with {from}: {error}");
                return None;
            }
        };
        match recognised(hub, gate, &knock) {
            Ok(Known::Worker(mind)) => {
                let protocol: Box<dyn MasterProtocol> = Box::new(door.worker(&knock, mind));
                return Some(Arrival::Worker(Newcomer { name: knock.name, protocol, transport }));
            }
            Ok(Known::Client(Client::Changes(source))) => {
                return Some(Arrival::Client { client: Box::new(door.client(&knock)), transport, source });
            }
            Ok(Known::Client(Client::Try(user))) => {
                return Some(Arrival::Try { client: Box::new(door.tries(&knock)), transport, user });
            }
            Err(why) => {
                tracing::warn!("a client at {from} may not come in: {why}");
                // It closes the connection itself, or the time for logins ends it.
                door.refuse(knock.request);
            }
        }
    }
}

/// Who knocked.
enum Known {
    /// With its own object.
    Worker(i64),
    Client(Client),
}

fn recognised(hub: &Hub, gate: &Gate, knock: &Knock) -> Result<Known, String> {
    let client = hub.client(gate, &knock.name).filter(|_| knock.mind.is_none());
    if let Some(client) = client {
        let fits = knock.proof.fits(client.password());
        return if fits {
            Ok(Known::Client(client))
        } else {
            Err(format!("wrong password for {}", client.concerns()))
        };
    }
    if matches!(gate, Gate::Clients(_)) {
        let name: String = knock.name.chars().take(60).collect();
        return Err(format!("no client named {name:?} is configured at this port"));
    }
    hub.recognise(&knock.name, |password| knock.proof.fits(password))?;
    let strange = || format!("{} logs in as a worker, but brings no object to be called", knock.name);
    knock.mind.map(Known::Worker).ok_or_else(strange)
}

async fn flush(door: &mut Door, transport: &mut Transport) -> Option<()> {
    for bytes in door.output() {
        transport.writer.write(bytes).await.ok()?;
    }
    Some(())
}
