//! `/ws`: live events over a WebSocket, as Buildbot's web client asks for them (09.099–09.101).
//!
//! A listener that does not keep up loses events and gets one of the key `lagged` with their number; it should read the data again.

use super::command;
use crate::auth::{User, Visitor};
use crate::origin;
use crate::router::App;
use crate::serve::Closing;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use lunabot_data::{Delivery, Subscription};
use lunabot_model::{Clock, Json};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Listeners at once.
const MAX_SOCKETS: usize = 4096;
/// Bytes of one command.
const MAX_COMMAND: usize = 64 << 10;
/// Bytes of events that are written at once when they come faster than they are sent.
const TOGETHER: usize = 16 << 10;
/// After such a silence, or `ws_ping_interval`, the client is pinged; after another it is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// A client must take a frame within this time.
const TAKING: Duration = Duration::from_secs(30);

/// Places for listeners.
pub struct Sockets(Arc<Semaphore>);

impl Default for Sockets {
    fn default() -> Self {
        Sockets(Arc::new(Semaphore::new(MAX_SOCKETS)))
    }
}

/// Upgrades a connection and serves it in a task of its own.
pub async fn ws(
    State(app): State<Arc<App>>,
    closing: Option<Extension<Closing>>,
    Visitor(user): Visitor,
    mut request: Request<Body>,
) -> Response {
    if !origin::may_listen(&app.www.site.load(), request.headers()) {
        return (StatusCode::BAD_REQUEST, "invalid origin\n").into_response();
    }
    let Some(key) = wanted(request.headers()) else {
        let upgrade = [(header::UPGRADE, HeaderValue::from_static("websocket"))];
        return (StatusCode::UPGRADE_REQUIRED, upgrade, "this address speaks WebSocket only\n")
            .into_response();
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return (StatusCode::UPGRADE_REQUIRED, "this connection cannot be upgraded\n").into_response();
    };
    let Ok(place) = app.sockets.0.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many listeners\n").into_response();
    };
    let closing = closing.map(|closing| closing.0.0).unwrap_or_default();
    tokio::spawn(async move {
        let served = async {
            match upgrade.await {
                Ok(upgraded) => Listener::new(app, user, upgraded, place).await.serve().await,
                Err(error) => tracing::debug!("a WebSocket was not opened: {error}"),
            }
        };
        closing.run_until_cancelled(served).await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, key),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// The answer to the key of a handshake; `None`: it is none.
fn wanted(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    let asked =
        has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade") && version == Some(b"13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asked)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

struct Listener {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    events: Subscription,
    clock: Arc<dyn Clock>,
    silence: Duration,
    app: Arc<App>,
    user: Arc<User>,
    _place: OwnedSemaphorePermit,
}

/// What ends a connection; a client may just go.
struct Gone;

impl Listener {
    async fn new(
        app: Arc<App>,
        user: Arc<User>,
        upgraded: Upgraded,
        place: OwnedSemaphorePermit,
    ) -> Listener {
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_COMMAND))
            .max_frame_size(Some(MAX_COMMAND))
            .write_buffer_size(TOGETHER);
        let io = TokioIo::new(upgraded);
        let interval = app.www.site.load().www.ws_ping_interval.map_or(0.0, lunabot_model::Duration::secs);
        Listener {
            socket: WebSocketStream::from_raw_socket(io, Role::Server, Some(limits)).await,
            events: app.www.data.bus().subscribe(Vec::new()),
            clock: app.www.clock.clone(),
            silence: if interval > 0.0 { Duration::from_secs_f64(interval) } else { SILENCE },
            app,
            user,
            _place: place,
        }
    }

    async fn serve(mut self) {
        while self.turn().await.is_ok() {}
        // The client may be gone already.
        let _ = self.socket.close(None).await;
    }

    /// One event, one command, or one silence.
    async fn turn(&mut self) -> Result<(), Gone> {
        tokio::select! {
            delivery = self.events.next() => self.tell(delivery.ok_or(Gone)?).await,
            message = self.socket.next() => self.heard(message.ok_or(Gone)?.map_err(|_| Gone)?).await,
            () = self.clock.sleep(self.silence) => self.is_there().await,
        }
    }

    /// Sends an event, and with it those that have come meanwhile, as long as they fit into one write.
    async fn tell(&mut self, first: Delivery) -> Result<(), Gone> {
        let Self { socket, events, clock, .. } = self;
        let telling = async {
            let (mut next, mut bytes) = (Some(first), 0);
            while let Some(delivery) = next {
                let text = frame(delivery);
                bytes += text.len();
                socket.feed(Message::text(text)).await?;
                next = if bytes < TOGETHER { events.ready() } else { None };
            }
            socket.flush().await
        };
        tokio::select! {
            told = telling => told.map_err(|_| Gone),
            () = clock.sleep(TAKING) => Err(Gone),
        }
    }

    async fn heard(&mut self, message: Message) -> Result<(), Gone> {
        match message {
            Message::Text(text) => {
                let answer = match self.refused(&text).await {
                    Some(refused) => refused,
                    None => command::answer(&text, &mut self.events).ok_or(Gone)?,
                };
                self.send(Message::text(answer.to_string())).await
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
            Message::Binary(_) | Message::Close(_) => Err(Gone),
        }
    }

    /// The answer to who may not read what is to be listened to.
    async fn refused(&mut self, said: &str) -> Option<Json> {
        if !self.app.www.site.load().access.authz.restricts_reading() {
            return None;
        }
        let (id, path) = command::wanted(said)?;
        let why = super::may_hear(&self.app, &self.user, &path).await.err()?;
        Some(command::refused(403, &why, id))
    }

    /// Asks a silent client whether it is there.
    async fn is_there(&mut self) -> Result<(), Gone> {
        self.send(Message::Ping(Vec::new().into())).await?;
        let answer = tokio::select! {
            answer = self.socket.next() => answer,
            () = self.clock.sleep(SILENCE) => None,
        };
        self.heard(answer.ok_or(Gone)?.map_err(|_| Gone)?).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        tokio::select! {
            sent = self.socket.send(message) => sent.map_err(|_| Gone),
            () = self.clock.sleep(TAKING) => Err(Gone),
        }
    }
}

fn frame(delivery: Delivery) -> String {
    match delivery {
        Delivery::Event(event) => {
            format!("{{\"k\":{},\"m\":{}}}", json!(event.topic.to_string()), event.payload)
        }
        Delivery::Lagged(dropped) => json!({"k": "lagged", "m": {"dropped": dropped}}).to_string(),
    }
}
