//! Through a real socket: answers, and a stop that waits for nobody.

use crate::support::World;
use lunabot_www::{Endpoint, listen, serve};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
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
    let listener = listen(&Endpoint::read(&json!("127.0.0.1:0")).unwrap()).await.unwrap();
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
    let listener =
        listen(&Endpoint::read(&json!(format!("unix:{}:mode=600", path.display()))).unwrap()).await;
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
