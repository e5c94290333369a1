//! Live events over SSE (09.102, 09.103).

use crate::support::{World, seed, text};
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures::StreamExt;
use lunabot_www::{Endpoint, listen, serve};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

/// An open stream, read frame by frame.
struct Sse {
    body: BodyDataStream,
    text: String,
}

impl Sse {
    async fn open(world: &World, path: &str) -> Sse {
        let response = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Sse { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event: its name and data.
    async fn next(&mut self) -> (String, String) {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = frame.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim().to_string()
                };
                let event = (field("event:"), field("data:"));
                self.text = rest.to_string();
                return event;
            }
            let piece =
                tokio::time::timeout(Duration::from_secs(30), self.body.next()).await.expect("an event");
            self.text.push_str(core::str::from_utf8(&piece.unwrap().unwrap()).unwrap());
        }
    }
}

async fn change(world: &World) {
    let seed = seed::Seed { data: &world.data, clock: &world.clock, lines: 0 };
    seed.change(0).await;
}

#[tokio::test]
async fn a_listener_hears_what_it_asked_for_09_102() {
    let world = World::new().await;
    let mut sse = Sse::open(&world, "/sse/listen/changes/*/new").await;
    let (event, uuid) = sse.next().await;
    assert_eq!((event.as_str(), uuid.len()), ("handshake", 36));
    change(&world).await;
    let (event, data) = sse.next().await;
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((event.as_str(), &data["key"]), ("event", &json!(["changes", "1", "new"])));
    assert_eq!(data["message"]["branch"], "main");
}

#[tokio::test]
async fn topics_are_added_and_removed_09_103() {
    let world = World::new().await;
    let mut sse = Sse::open(&world, "/sse/listen").await;
    let uuid = sse.next().await.1;
    // Orders are obeyed by the stream itself, so it must be read meanwhile.
    let asked = async |sse: &mut Sse, path: String| {
        tokio::select! {
            answer = world.get(&path) => answer,
            event = sse.next() => panic!("no event was due: {event:?}"),
        }
    };
    assert_eq!(asked(&mut sse, format!("/sse/add/{uuid}/changes/*/new")).await, (200, "ok".into()));
    change(&world).await;
    assert_eq!(sse.next().await.0, "event");
    let gone = (404, "consumer is not listening to this event".to_string());
    assert_eq!(asked(&mut sse, format!("/sse/remove/{uuid}/builds/*/new")).await, gone);
    assert_eq!(asked(&mut sse, format!("/sse/remove/{uuid}/changes/*/new")).await, (200, "ok".into()));
    assert_eq!(asked(&mut sse, format!("/sse/remove/{uuid}/changes/*/new")).await, gone);
    assert_eq!(world.get("/sse/add").await, (400, "need uuid".into()));
    assert_eq!(world.get("/sse/add/nonsense/changes/*/new").await, (400, "unknown uuid".into()));
    drop(sse);
    assert_eq!(world.get(&format!("/sse/add/{uuid}/x")).await, (400, "unknown uuid".into()));
}

#[tokio::test]
async fn query_arguments_filter_by_fields_09_103() {
    let world = World::new().await;
    let mut sse = Sse::open(&world, "/sse/listen/changes/*/new?changeid=2&branch=main").await;
    sse.next().await;
    change(&world).await;
    change(&world).await;
    let data: Value = serde_json::from_str(&sse.next().await.1).unwrap();
    assert_eq!(data["key"], json!(["changes", "2", "new"]));
}

#[tokio::test]
async fn events_of_several_topics_come_in_their_order_09_097() {
    let world = World::new().await;
    let mut sse = Sse::open(&world, "/sse/listen").await;
    let uuid = sse.next().await.1;
    let adding = async {
        for n in 1..=20 {
            assert_eq!(world.get(&format!("/sse/add/{uuid}/changes/{n}/new")).await.0, 200);
        }
        // A pattern that fits as well brings nothing twice.
        assert_eq!(world.get(&format!("/sse/add/{uuid}/changes/*/new?changeid=3")).await.0, 200);
    };
    tokio::select! {
        () = adding => {}
        event = sse.next() => panic!("no event was due: {event:?}"),
    }
    for _ in 1..=20 {
        change(&world).await;
    }
    for n in 1..=20 {
        let data: Value = serde_json::from_str(&sse.next().await.1).unwrap();
        assert_eq!(data["key"], json!(["changes", n.to_string(), "new"]));
    }
}

#[tokio::test]
async fn too_many_topics_are_refused() {
    let world = World::new().await;
    let mut sse = Sse::open(&world, "/sse/listen").await;
    let uuid = sse.next().await.1;
    let adding = async {
        for n in 0..64 {
            assert_eq!(world.get(&format!("/sse/add/{uuid}/x/{n}")).await.0, 200);
        }
        world.get(&format!("/sse/add/{uuid}/x/64")).await
    };
    tokio::select! {
        (status, text) = adding => assert_eq!((status, text.as_str()), (400, "too many paths for one consumer")),
        event = sse.next() => panic!("no event was due: {event:?}"),
    }
}

#[tokio::test]
async fn pages_get_one_notice_for_many_events() {
    let world = World::new().await;
    let mut sse = Sse::open(&world, "/live?on=changes/*/new&on=builds/*/*").await;
    assert_eq!(sse.next().await.0, "ready");
    for _ in 0..50 {
        change(&world).await;
    }
    assert_eq!(sse.next().await.0, "touch");
}

#[tokio::test]
async fn a_part_of_a_page_comes_without_its_frame() {
    let world = World::new().await;
    let request = Request::get("/").header("x-part", "1").body(Body::empty()).unwrap();
    let (_, part) = text(world.send(request).await).await;
    assert!(part.contains("<main") && !part.contains("<html") && !part.contains("<nav aria-label=\"Main\""));
}

#[tokio::test]
async fn a_listener_that_says_nothing_is_pinged_10_009() {
    let world = World::new().await;
    let mut site = (*world.site.load()).clone();
    site.www.ws_ping_interval = Some(lunabot_model::Duration(0.05));
    world.site.store(site);
    let listener =
        listen(&Endpoint::read(&json!("127.0.0.1:0")).unwrap(), std::path::Path::new(".")).await.unwrap();
    let (port, stop) = (listener.port().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(serve(listener, world.router.clone(), stop.clone()));
    let request = format!("ws://127.0.0.1:{port}/ws").into_client_request().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(socket.next().await.unwrap().unwrap(), Message::Ping(_)));
    }
    stop.cancel();
    serving.await.unwrap();
}
