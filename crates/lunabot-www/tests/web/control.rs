//! Control over JSONRPC (09e) and over the forms of the pages.

use crate::support::{World, seed, text};
use lunabot_data::{ControlError, Delivery};
use lunabot_model::Pattern;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

async fn call(world: &World, path: &str, body: &str) -> (u16, String) {
    text(world.post(&format!("/api/v2/{path}"), JSON, &[], body.to_string()).await).await
}

#[tokio::test]
async fn replies_are_sorted_and_compact_09_076_09_078() {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 5).await;
    world.answer(Ok(json!([7, {"2": 9}])));
    let body = r#"{"jsonrpc": "2.0", "method": "rebuild", "id": "x", "params": {"owner": "evil", "a": 1}}"#;
    let reply = call(&world, "builds/1", body).await;
    assert_eq!(reply, (200, r#"{"id":"x","jsonrpc":"2.0","result":[7,{"2":9}]}"#.to_string()));
    let call = world.handler.calls.lock().unwrap().pop().unwrap();
    assert_eq!(call, ("1".into(), "rebuild".into(), json!({"a": 1, "owner": "anonymous"})));
}

#[tokio::test]
async fn row_09_096_orders_are_announced_when_they_are_carried_out() {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 5).await;
    let mut events = world.data.bus().subscribe(vec![Pattern::parse("control/*/*/*")]);
    let order = |path: &'static str, method: &'static str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "method": method, "id": 1, "params": params}).to_string();
        let world = &world;
        async move { call(world, path, &body).await.0 }
    };
    world.answer(Err(ControlError::Internal("broken".into())));
    assert_eq!(order("builds/1", "stop", json!({})).await, 500);
    for (path, method, params) in [
        ("builds/1", "rebuild", json!({})),
        ("builds/1", "stop", json!({"reason": "why"})),
        ("buildrequests/1", "cancel", json!({})),
    ] {
        world.answer(Ok(json!(null)));
        assert_eq!(order(path, method, params).await, 200);
    }
    for (topic, reason) in [("control/builds/1/stop", "why"), ("control/buildrequests/1/cancel", "no reason")]
    {
        let Some(Delivery::Event(event)) = events.next().await else { panic!("no {topic}") };
        assert_eq!((event.topic.to_string().as_str(), &event.payload["reason"]), (topic, &json!(reason)));
    }
}

#[tokio::test]
async fn refusals_have_codes_and_statuses_09_076_09_077() {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 5).await;
    let good = r#"{"jsonrpc": "2.0", "method": "stop", "id": 3, "params": {}}"#;
    let table = [
        (ControlError::Unsupported("fly".into()), 501, -32601, json!("action: fly is not supported")),
        (
            ControlError::InvalidParams(json!({"a_b": "'B' needs to be specified"})),
            400,
            -32602,
            json!({"a_b": "'B' needs to be specified"}),
        ),
        (ControlError::Internal("broken".into()), 500, -32603, json!("broken")),
    ];
    for (error, status, code, message) in table {
        world.answer(Err(error));
        let (got, body) = call(&world, "builds/1", good).await;
        let wanted =
            format!(r#"{{"jsonrpc": "2.0", "id": 3, "error": {{"code": {code}, "message": {message}}}}}"#);
        assert_eq!((got, body), (status, wanted));
    }
    let (status, body) = call(&world, "no/such/path", good).await;
    assert_eq!(status, 404);
    assert!(body.contains("-32600") && body.contains("Invalid path: no/such/path"), "{body}");
    assert_eq!(call(&world, "builds/999", good).await.0, 404);
}

#[tokio::test]
async fn bad_requests_reach_no_handler_09_075() {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 5).await;
    let (status, body) = text(world.post("/api/v2/builds/1", FORM, &[], "a=b").await).await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        r#"{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid content-type (use application/json)"}}"#
    );
    assert_eq!(call(&world, "builds/1", "{").await.0, 400);
    assert_eq!(call(&world, "builds/1", &"[".repeat(100_000)).await.0, 400);
    let huge = format!(r#"{{"jsonrpc": "2.0", "x": "{}"}}"#, "x".repeat(5 << 20));
    assert_eq!(call(&world, "builds/1", &huge).await.0, 413);
    let foreign = [("origin", "http://evil.example"), ("host", "ci.example.org:8010")];
    let good = r#"{"jsonrpc": "2.0", "method": "stop", "id": 3, "params": {}}"#;
    assert_eq!(world.post("/api/v2/builds/1", JSON, &foreign, good).await.status(), 400);
    assert!(world.handler.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_force_form_starts_builds_or_shows_what_is_wrong_03_024_03_032() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 5).await;
    let form = format!("/builders/{}/force/force", ids[0]);
    let page = world.page(&format!("{form}?reason=because")).await;
    assert!(page.contains(r#"name="app_branch""#) && page.contains(r#"value="because""#), "{page}");
    assert!(!page.contains(r#"name="username""#), "hidden fields are not shown");

    let errors = json!({"app_branch": "Branch:'<x>' does not match pattern 'p'"});
    world.answer(Err(ControlError::InvalidParams(errors)));
    let sent = "reason=r&priority=5&app_branch=%3Cx%3E&app_revision=&clean=true&os=fedora&notes=a%0D%0Ab";
    let (status, page) = text(world.post(&form, FORM, &[], sent).await).await;
    assert_eq!(status, 400);
    assert!(
        page.contains("does not match pattern") && page.contains("&lt;x&gt;") && !page.contains("<x>"),
        "{page}"
    );

    world.answer(Ok(json!([4, {"1": 77}])));
    let response = world.post(&form, FORM, &[], sent).await;
    assert_eq!(response.status(), 303);
    assert_eq!(response.headers()["location"], "../../../buildrequests/77");
    let (name, action, params) = world.handler.calls.lock().unwrap().pop().unwrap();
    assert_eq!((name.as_str(), action.as_str()), ("force", "force"));
    let wanted: Value = json!({"owner": "anonymous", "builderid": "1", "reason": "r", "priority": 5, "app_branch": "<x>",
        "app_revision": "", "clean": true, "os": "fedora", "notes": "a\nb"});
    assert_eq!(params, wanted);
}

#[tokio::test]
async fn buttons_act_for_our_own_pages_alone() {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 5).await;
    for path in ["/builds/1/stop", "/buildrequests/1/cancel", "/workers/1/pause", "/builders/1/force/force"] {
        for headers in [[("origin", "http://evil.example")], [("sec-fetch-site", "cross-site")]] {
            assert_eq!(world.post(path, FORM, &headers, "reason=x").await.status(), 403, "{path}");
        }
    }
    assert!(world.handler.calls.lock().unwrap().is_empty());
    let own = [("sec-fetch-site", "same-origin")];
    let response = world.post("/workers/1/pause", FORM, &own, "reason=disk+full").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (303, &"../../workers/1".parse().unwrap())
    );
    let call = world.handler.calls.lock().unwrap().pop().unwrap();
    assert_eq!(call, ("1".into(), "pause".into(), json!({"owner": "anonymous", "reason": "disk full"})));
    assert_eq!(world.post("/workers/1/explode", FORM, &own, "").await.status(), 404);
    assert_eq!(world.post("/builds/x/stop", FORM, &own, "").await.status(), 400);
}
