//! Contents of logs that may be larger than memory (09.034).

use crate::support::{World, seed, text};
use axum::body::Body;
use axum::http::Request;

#[tokio::test]
async fn contents_of_a_long_log_are_sent_as_they_are_read_09_034() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 3).await;
    let steps = world.api(&format!("builders/{}/builds/7/steps?complete=false", ids[0])).await;
    let step = steps["steps"][0]["stepid"].as_i64().unwrap();
    let (log, _) = world.data.add_log(step, "long", lunabot_model::resources::LogType::Text).await.unwrap();
    let line = format!("\"quoted\" \\ <tag> \u{1b}[1m é 世 {}\n", "x".repeat(150));
    for _ in 0..40 {
        let text = lunabot_data::new::LogText(line.repeat(500));
        world.data.append_log(log.logid, text).await.unwrap().detach();
    }
    world.data.flush().await.unwrap();
    let path = format!("logs/{}/contents", log.logid);
    let ask = async |query: &str, headers: &[(&str, &str)]| {
        world.ask(&format!("/api/v2/{path}?{query}"), headers).await
    };
    for (query, pretty, long) in [
        ("", true, true),
        ("", false, true),
        ("offset=100&limit=19000", true, true),
        ("limit=2", true, false),
        ("limit=2", false, false),
        ("offset=5&limit=1&field=content", false, false),
        ("field=firstline", false, false),
    ] {
        let accept = if pretty { "*/*" } else { "application/json" };
        let (status, headers, body) = ask(query, &[("accept", accept)]).await;
        let whole = world.data.get_json(&path, query, pretty).await.unwrap().unwrap().body;
        assert!(status == 200 && body.as_bytes() == whole, "{query} {pretty}: {}", body.len());
        assert_eq!(headers.contains_key("content-length"), !long, "{query}");
        assert!(!headers.contains_key("etag"), "it grows");
        let head =
            Request::head(format!("/api/v2/{path}?{query}")).header("accept", accept).body(Body::empty());
        let head = world.send(head.unwrap()).await;
        assert_eq!(head.headers().get("content-length"), headers.get("content-length"), "{query}");
        assert_eq!(head.headers()["content-type"], headers["content-type"]);
        assert!(text(head).await.1.is_empty());
    }
    assert_eq!(ask("offset=20000", &[]).await.0, 404);
    assert_eq!(ask("limit=x", &[]).await.0, 400);
    world.data.finish_log(log.logid).await.unwrap().await.unwrap();
    let (_, headers, _) = ask("", &[]).await;
    let tag = headers["etag"].to_str().unwrap();
    assert_eq!(ask("", &[("if-none-match", tag)]).await.0, 304);
    for (query, accept) in [("limit=3", "*/*"), ("", "application/json")] {
        assert_eq!(
            ask(query, &[("if-none-match", tag), ("accept", accept)]).await.0,
            200,
            "{query} {accept}"
        );
    }
}
