//! Through a real socket: answers, and a stop that waits for nobody.

use crate::support::{World, seed};
use futures::{SinkExt, StreamExt};
use lunabot_www::{Endpoint, listen, serve};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

/// Longer than a busy machine takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let (mut text, mut piece) = (String::new(), [0; 1024]);
    while !text.contains(wanted) {
        let n = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("an answer").unwrap();
        assert_ne!(n, 0, "closed after {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    text
}

#[tokio::test]
async fn a_stop_ends_event_streams_and_idle_connections() {
    let world = World::new().await;
    let listener = listen(&Endpoint::read(&json!("127.0.0.1:0")).unwrap(), Path::new(".")).await.unwrap();
    let port = listener.port().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, world.router.clone(), stop.clone()));

    let mut idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(read_until(&mut idle, "ok\n").await.starts_with("HTTP/1.1 200"));
    let mut events = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    events.write_all(b"GET /sse/listen/changes/*/new HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_until(&mut events, "event: handshake").await;

    stop.cancel();
    tokio::time::timeout(PATIENCE, serving).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let mut rest = Vec::new();
    events.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_serves_and_is_taken_away_10_001() {
    let world = World::new().await;
    let path = world.dir.path().join("www.sock");
    // A relative path begins at the master's folder, not where the master was started.
    let listener = listen(&Endpoint::read(&json!("unix:www.sock:mode=600")).unwrap(), world.dir.path()).await;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener.unwrap(), world.router.clone(), stop.clone()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("ok\n"), "{text}");
    stop.cancel();
    tokio::time::timeout(PATIENCE, serving).await.expect("the server ends").unwrap();
    assert!(!path.exists());
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn told(socket: &mut Socket) -> Option<Value> {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("a frame")?.ok()?;
    message.to_text().ok().and_then(|text| serde_json::from_str(text).ok())
}

#[tokio::test]
async fn row_09_101_a_websocket_hears_what_it_consumes_once_and_until_it_stops() {
    let world = World::new().await;
    let listener = listen(&Endpoint::read(&json!("127.0.0.1:0")).unwrap(), Path::new(".")).await.unwrap();
    let port = listener.port().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, world.router.clone(), stop.clone()));
    let connect = |origin: &'static str| async move {
        let mut request = format!("ws://127.0.0.1:{port}/ws").into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
    };
    assert!(connect("http://evil.example").await.is_err());

    let mut socket = connect("http://ci.example.org:8010").await.unwrap();
    for path in ["changes/*/new", "changes/*/new", "*/*/new"] {
        let start = json!({"cmd": "startConsuming", "path": path, "_id": path});
        socket.send(Message::text(start.to_string())).await.unwrap();
        assert_eq!(told(&mut socket).await, Some(json!({"msg": "OK", "code": 200, "_id": path})));
    }
    let seed = seed::Seed { data: &world.data, clock: &world.clock, lines: 0 };
    seed.change(0).await;
    seed.change(1).await;
    for id in 1..=2 {
        let event = told(&mut socket).await.unwrap();
        assert_eq!(
            (event["k"].clone(), event["m"]["changeid"].clone()),
            (json!(format!("changes/{id}/new")), json!(id))
        );
    }
    for path in ["*/*/new", "changes/*/new"] {
        let stop = json!({"cmd": "stopConsuming", "path": path, "_id": 1});
        socket.send(Message::text(stop.to_string())).await.unwrap();
        assert_eq!(told(&mut socket).await.unwrap()["msg"], "OK");
    }
    seed.change(2).await;
    socket.send(Message::text(r#"{"cmd": "ping", "_id": 2}"#)).await.unwrap();
    assert_eq!(told(&mut socket).await, Some(json!({"msg": "pong", "code": 200, "_id": 2})));

    // What is no command ends this connection, and a stop of the server the others.
    let mut other = connect("http://127.0.0.1:9").await;
    assert!(other.is_err(), "another port of this machine is another site");
    other = connect("http://ci.example.org:8010").await;
    socket.send(Message::text("[]")).await.unwrap();
    assert_eq!(told(&mut socket).await, None);
    stop.cancel();
    tokio::time::timeout(PATIENCE, serving).await.expect("the server ends").unwrap();
    assert_eq!(told(&mut other.unwrap()).await, None);
}
