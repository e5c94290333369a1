//! What operators and browsers' fences ask.

use crate::support::World;
use axum::body::Body;
use axum::http::Request;

#[tokio::test]
async fn metrics_and_probes() {
    let world = World::new().await;
    assert_eq!(world.get("/metrics").await, (200, "lunabot_up 1\n".into()));
    assert_eq!(world.get("/livez").await, (200, "ok\n".into()));
    assert_eq!(world.get("/readyz").await, (200, "ok\n".into()));
    *world.health.unready.lock().unwrap() = Some("the database is read-only".into());
    assert_eq!(world.get("/readyz").await, (503, "the database is read-only\n".into()));
    assert_eq!(world.get("/livez").await.0, 200, "not ready is not dead");
}

#[tokio::test]
async fn every_answer_is_fenced() {
    let world = World::new().await;
    for path in ["/", "/nope", "/api/v2/builders", "/static/style.css", "/metrics"] {
        let response = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe-inline"), "{path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_their_version_only() {
    let world = World::new().await;
    let page = world.page("/").await;
    let link = page.split("static/style.css?v=").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let ask = async |path: String| {
        let response = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        response.headers()["cache-control"].to_str().unwrap().to_string()
    };
    assert!(ask(format!("/static/style.css?v={link}")).await.contains("immutable"));
    assert_eq!(ask("/static/style.css?v=old".into()).await, "no-cache");
    assert_eq!(world.get("/static/nothing.js").await.0, 404);
}
