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

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 3).await;
    let path = "/api/v2/builders?order=name";
    let (status, headers, body) = world.ask(path, &[]).await;
    let tag = headers["etag"].to_str().unwrap();
    assert!(status == 200 && tag.starts_with("W/\"") && !body.is_empty());
    let (status, headers, again) = world.ask(path, &[("if-none-match", tag)]).await;
    assert_eq!((status, headers["etag"].to_str().unwrap(), again.as_str()), (304, tag, ""));
    // Another form, another question and another state have other tags; a bad question stays one.
    for (path, accept) in [(path, "application/json"), ("/api/v2/builders?order=-name", "*/*")] {
        let (status, headers, _) = world.ask(path, &[("if-none-match", tag), ("accept", accept)]).await;
        assert!(status == 200 && headers["etag"] != *tag, "{path}");
    }
    assert_eq!(world.ask("/api/v2/builders?foo=1", &[("if-none-match", tag)]).await.0, 400);
    let decl = lunabot_data::new::BuilderDecl { name: "app-linux".into(), ..Default::default() };
    world.data.sync_builders(&[decl]).await.unwrap();
    let (status, headers, _) = world.ask(path, &[("if-none-match", tag)]).await;
    assert!(status == 200 && headers["etag"] != *tag);
    let plain = world.ask(&format!("/api/v2/builders/{}/builds/1/properties", ids[0]), &[]).await;
    assert!(plain.0 == 200 && !plain.1.contains_key("etag"), "made of more than tables");
}

#[tokio::test]
async fn parts_of_complete_logs_can_be_asked_for() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 700).await;
    let path = format!("/api/v2/builders/{}/builds/4/steps/test/logs/stdio/raw", ids[1]);
    let (status, headers, whole) = world.ask(&path, &[]).await;
    assert_eq!((status, headers["accept-ranges"].to_str().unwrap()), (200, "bytes"));
    let (tag, total) = (headers["etag"].to_str().unwrap(), whole.len());
    for (range, from, to) in
        [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, total), ("bytes=-7", total - 7, total)]
    {
        let (status, headers, part) = world.ask(&path, &[("range", range), ("if-range", tag)]).await;
        assert_eq!((status, part.as_str()), (206, &whole[from..to]), "{range}");
        assert_eq!(headers["content-range"], format!("bytes {from}-{}/{total}", to - 1));
        assert_eq!(headers["content-length"], (to - from).to_string());
    }
    let (status, headers, _) = world.ask(&path, &[("range", "bytes=99999999-")]).await;
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (416, &*format!("bytes */{total}")));
    for other in [&[("range", "bytes=0-9"), ("if-range", "\"old\"")][..], &[("range", "lines=0-9")]] {
        assert_eq!(world.ask(&path, other).await.2, whole);
    }
    assert_eq!(world.ask(&path, &[("if-none-match", tag)]).await.0, 304);
    // A log that grows has no parts yet.
    let running = format!("/api/v2/builders/{}/builds/7/steps", ids[0]);
    let steps = world.api(running.trim_start_matches("/api/v2/")).await;
    let step =
        steps["steps"].as_array().unwrap().iter().find(|step| step["complete"] == false).unwrap().clone();
    let (log, _) = world
        .data
        .add_log(step["stepid"].as_i64().unwrap(), "more", lunabot_model::resources::LogType::Text)
        .await
        .unwrap();
    world.data.flush().await.unwrap();
    let (status, headers, _) =
        world.ask(&format!("/api/v2/logs/{}/raw", log.logid), &[("range", "bytes=0-1")]).await;
    assert!(status == 200 && !headers.contains_key("accept-ranges"));
}

#[tokio::test]
async fn rows_09_055_10_004_versions_below_the_minimum_are_hidden() {
    let world = World::new().await;
    for (minimum, status) in [(0, 200), (2, 200), (3, 404)] {
        let mut site = (*world.site.load()).clone();
        site.www.rest_minimum_version = minimum;
        world.site.store(site);
        assert_eq!(world.get("/api/v2/builders").await.0, status, "{minimum}");
        assert_eq!(world.get("/api/latest/builders").await.0, status, "{minimum}");
        assert_eq!(world.get("/api").await.1.contains("v2"), status == 200, "{minimum}");
    }
}

#[tokio::test]
async fn names_with_slashes_and_blanks_are_found_percent_encoded() {
    let world = World::new().await;
    let name = "a/b c%20é\"<x>\r\nX-Evil: 1";
    let decl = lunabot_data::new::BuilderDecl { name: name.into(), ..Default::default() };
    world.data.sync_builders(&[decl]).await.unwrap();
    let encoded = "a%2Fb%20c%2520%C3%A9%22%3Cx%3E%0D%0AX-Evil%3A%201";
    let found = world.api(&format!("builders/{encoded}")).await;
    assert_eq!(found["builders"][0]["name"], name);
    assert_eq!(world.api(&format!("builders/{encoded}/builds")).await["meta"]["total"], 0);
    assert_eq!(world.get("/api/v2/builders/a/b%20c").await.0, 404);
}

/// Names of builders, steps and logs come from outside; none of them gets out of the header that holds it, or of a page.
#[tokio::test]
async fn hostile_names_and_texts_stay_what_they_are() {
    let world = World::new().await;
    let nasty =
        "x\"; filename=\"../../etc/passwd\"\r\nSet-Cookie: a=b\r\n\r\n<script>alert(1)</script>\u{1b}]0;é";
    let seed = seed::Seed { data: &world.data, clock: &world.clock, lines: 1 };
    let builder = seed.configure(&[nasty.to_owned()]).await[0];
    let change = seed.change(0).await;
    seed.build(builder, &change, 1, seed::Fate::Runs, 10).await;
    world.data.flush().await.unwrap();
    let build =
        world.api(&format!("builders/{builder}/builds/1")).await["builds"][0]["buildid"].as_i64().unwrap();
    let (step, _) = world.data.add_step(build, nasty, nasty).await.unwrap();
    for kind in [lunabot_model::resources::LogType::Text, lunabot_model::resources::LogType::Html] {
        let (log, _) = world.data.add_log(step.stepid, nasty, kind).await.unwrap();
        let line =
            format!("{}\u{1b}[31m\u{1b}]8;;javascript:alert(1)\u{7}\n", nasty.replace(['\r', '\n'], ""));
        world
            .data
            .append_log(log.logid, lunabot_data::new::LogText(line.clone()))
            .await
            .unwrap()
            .await
            .unwrap();
        let (status, headers, body) = world.ask(&format!("/api/v2/logs/{}/raw", log.logid), &[]).await;
        assert_eq!((status, body), (200, line));
        assert!(!headers.contains_key("set-cookie"), "{headers:?}");
        let disposition = headers["content-disposition"].to_str().unwrap();
        let name = disposition.strip_prefix("attachment; filename=\"").unwrap().strip_suffix('"').unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{disposition}");
        assert!(!name.starts_with('.') && !name.contains('/'));
        if kind == lunabot_model::resources::LogType::Html {
            assert!(headers["content-security-policy"].to_str().unwrap().starts_with("sandbox;"));
        }
        let page = format!("/builders/{builder}/builds/1/steps/{}/logs/{}", step.number, log.slug);
        let (status, _, shown) = world.ask(&page, &[]).await;
        assert_eq!(status, 200, "{shown}");
        assert!(!shown.contains("<script>alert") && !shown.contains("href=\"javascript"), "{shown}");
    }
    for path in [
        format!("/api/v2/builders/{builder}/builds/1/steps/{}/logs/..%2f..%2fetc%2fpasswd/raw", step.number),
        format!("/api/v2/builds/{build}/steps/..%2f/logs/x/raw"),
        "/api/v2/logs/..%2f1/raw".into(),
        "/static/..%5c..%5cetc%5cpasswd".into(),
        "/static/%2e%2e/%2e%2e/etc/passwd".into(),
        "/static/style.css%00.js".into(),
        "/plugins/badges/../../etc/passwd.svg".into(),
    ] {
        let (status, _, body) = world.ask(&path, &[]).await;
        assert!((400..500).contains(&status) && !body.contains("root:"), "{path}: {status}");
    }
}

/// The document names each path of the router that is the API's, all its references lead somewhere, and the page shows it.
#[tokio::test]
async fn the_api_describes_itself_09_025() {
    let world = World::new().await;
    let (status, headers, body) = world.ask("/api/openapi.json", &[]).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json; charset=utf-8"));
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/api/v2/builders/{builderid_or_buildername}",
        "/api/v2",
        "/api/v2/logs/{logid}/raw",
        "/metrics",
        "/api/v2/script_errors",
    ] {
        assert!(paths.contains_key(path), "{path} is not in {:?}", paths.keys());
    }
    let mut ids: Vec<&str> = paths
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each operation has a name of its own");
    for reference in body.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some_and(|found| !found.is_null()), "{reference}");
    }
    let page = world.page("/api/docs").await;
    assert!(page.contains("{builderid_or_buildername}") && page.contains("openapi.json"));
    assert!(world.page("/health").await.contains("api/docs"));
}
