//! Reading over `/api` (09c).

use crate::support::{URL, World, seed, text};
use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

#[tokio::test]
async fn envelopes_and_content_types_09_045_09_046() {
    let world = World::new().await;
    seed::Seed { data: &world.data, clock: &world.clock, lines: 0 }.configure(&["b".into()]).await;
    let builders = world.api("builders?field=name&field=builderid").await;
    assert_eq!(builders, json!({"builders": [{"builderid": 1, "name": "b"}], "meta": {"total": 1}}));
    assert_eq!(world.api("builders/b?field=name").await, json!({"builders": [{"name": "b"}], "meta": {}}));

    let plain = world.send(Request::get("/api/v2/builders/1?field=name").body(Body::empty()).unwrap()).await;
    assert_eq!(plain.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(
        text(plain).await.1,
        "{\n  \"builders\": [\n    {\n      \"name\": \"b\"\n    }\n  ],\n  \"meta\": {}\n}"
    );

    let request =
        Request::get("/api/latest/builders/1?field=name").header("accept", "text/html, application/json");
    let compact = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(compact.headers()["content-type"], "application/json; charset=utf-8");
    assert_eq!(text(compact).await.1, r#"{"builders":[{"name":"b"}],"meta":{}}"#);
}

#[tokio::test]
async fn head_has_the_length_and_no_body_09_047() {
    let world = World::new().await;
    let get = world.get("/api/v2/builders").await.1;
    let head = world.send(Request::head("/api/v2/builders").body(Body::empty()).unwrap()).await;
    assert_eq!(head.headers()["content-length"], get.len().to_string().as_str());
    assert_eq!(text(head).await, (200, String::new()));
}

#[tokio::test]
async fn long_answers_are_compressed_as_asked_09_047() {
    let world = World::new().await;
    seed::many(&world.data, &world.clock, 12).await;
    for encoding in ["br", "zstd", "gzip"] {
        let request = Request::get("/api/v2/builds").header("accept-encoding", encoding);
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()["content-encoding"], encoding);
    }
}

#[tokio::test]
async fn errors_are_texts_of_the_reference_09_049_to_09_054() {
    let world = World::new().await;
    let table = [
        ("/api/v2/nonsense/x", 404, r#"{"error": "Invalid path: nonsense/x"}"#),
        ("/api/v2/builds/", 404, r#"{"error": "Invalid path: builds/"}"#),
        ("/api/v2/builders?limit=x", 400, r#"{"error": "invalid limit"}"#),
        ("/api/v2/builders?nonsense=1", 400, r#"{"error": "unrecognized query parameter 'nonsense'"}"#),
        ("/api/v2/builders?field=nonsense", 400, r#"{"error": "no such field 'nonsense'"}"#),
        ("/api/v3/builders", 404, r#"{"error": "Invalid path: v3/builders"}"#),
    ];
    for (path, status, body) in table {
        assert_eq!(world.get(path).await, (status, body.to_string()), "{path}");
    }
    let (status, body) = world.get("/api/v2/builders/99").await;
    assert_eq!(status, 404);
    assert!(body.starts_with(r#"{"error": "not found while getting from endpoint for "#), "{body}");
}

#[tokio::test]
async fn hostile_paths_lead_nowhere() {
    let world = World::new().await;
    for path in [
        "/api/v2/builders/..%2f..%2fetc%2fpasswd",
        "/api/v2/builders/%00",
        "/api/v2/builders/%ff%fe",
        "/api/v2/builders/1;drop%20table%20builds",
        "/static/..%2fCargo.toml",
        "/static/../../Cargo.toml",
        "/change_hook/..%2f..%2fx",
        "/builders/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/builders/1/builds/99999999999999999999",
        "/changes/abc",
    ] {
        let (status, body) = world.get(path).await;
        assert!((400..500).contains(&status), "{path}: {status} {body}");
        assert!(!body.contains("<script>alert"), "{path}: {body}");
    }
}

#[tokio::test]
async fn versions_and_root_09_025_09_055() {
    let world = World::new().await;
    let (status, body) = world.get("/api").await;
    assert_eq!(status, 200);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, json!({"api_versions": {"v2": format!("{URL}api/v2")}}));
    let root = world.get("/api/v2").await;
    assert!(root.1.contains("rootlinks"), "{root:?}");
}

#[tokio::test]
async fn origins_and_methods_09_051_09_056() {
    let world = World::new().await;
    let ask = async |method: Method, headers: &[(&str, &str)]| {
        let mut request =
            Request::builder().method(method).uri("/api/v2/builders").header("host", "ci.example.org:8010");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        let echoed = response.headers().get("access-control-allow-origin").is_some();
        let (status, body) = text(response).await;
        (status, echoed, body)
    };
    let good = ("origin", "http://ci.example.org:8010");
    assert!(ask(Method::GET, &[good]).await.1);
    let (status, echoed, body) = ask(Method::GET, &[("origin", "http://evil.example")]).await;
    assert_eq!((status, echoed, body.as_str()), (400, false, r#"{"error": "invalid origin"}"#));
    assert_eq!(
        ask(Method::POST, &[("origin", "null")]).await.2,
        r#"{"error": {"message": "invalid origin"}}"#
    );
    assert_eq!(ask(Method::OPTIONS, &[good, ("access-control-request-method", "POST")]).await.0, 200);
    assert!(
        ask(Method::OPTIONS, &[good, ("access-control-request-method", "PUT")])
            .await
            .2
            .contains("invalid method")
    );
    for method in [Method::OPTIONS, Method::PUT, Method::DELETE, Method::PATCH] {
        let (status, _, body) = ask(method, &[]).await;
        assert_eq!((status, body.as_str()), (400, r#"{"error": "invalid HTTP method"}"#));
    }
}

#[tokio::test]
async fn raw_logs_are_files_of_whole_text_09_035_13_020() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 700).await;
    let log = format!("builders/{}/builds/4/steps/test/logs/stdio", ids[1]);
    let request = Request::get(format!("/api/v2/{log}/raw")).body(Body::empty()).unwrap();
    let response = world.send(request).await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(
        response.headers()["content-disposition"],
        "attachment; filename=\"app-macos_build_4_step_test_log_stdio\""
    );
    let body = text(response).await.1;
    assert!(
        body.starts_with("Builder: app-macos\nBuild number: 4\nWorker name: fast2\nmake test\n"),
        "{body}"
    );
    assert!(body.ends_with("program finished with exit code 2\n"));
    assert_eq!(body.lines().count(), 3 + 707);
    let inline = Request::get(format!("/api/v2/{log}/raw_inline")).body(Body::empty()).unwrap();
    assert!(world.send(inline).await.headers().get("content-disposition").is_none());
    assert_eq!(world.get("/api/v2/logs/9999/raw").await.0, 404);
}

#[tokio::test]
async fn html_logs_run_nothing_13_020() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 10).await;
    let steps = world.api(&format!("builders/{}/builds/7/steps", ids[0])).await;
    let step = steps["steps"][1]["stepid"].as_i64().unwrap();
    let (log, _) =
        world.data.add_log(step, "report.html", lunabot_model::resources::LogType::Html).await.unwrap();
    let page = "<script>alert(1)</script>\n".to_string();
    world.data.append_log(log.logid, lunabot_data::new::LogText(page)).await.unwrap().await.unwrap();
    let request = Request::get(format!("/api/v2/logs/{}/raw_inline", log.logid)).body(Body::empty()).unwrap();
    let response = world.send(request).await;
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("sandbox;"));
    let shown = world.page(&format!("/builders/{}/builds/7/steps/1/logs/{}", ids[0], log.slug)).await;
    assert!(shown.contains("sandbox") && !shown.contains("alert(1)"));
}

#[tokio::test]
async fn answers_may_be_kept_for_a_while_09_048() {
    let world = World::at(0).await;
    let mut site = (*world.site.load()).clone();
    site.www.json_cache_seconds = 60;
    world.site.store(site);
    let response = world.send(Request::get("/api/v2/builders").body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()["expires"], "Thu, 01 Jan 1970 00:01:00 GMT");
    assert_eq!(response.headers()["pragma"], "no-cache");
}
