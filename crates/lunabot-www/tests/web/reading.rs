//! Rules about reading cannot be gone around: by another way of writing a path, or another name of an event.

use crate::authz::{rules, websocket, world};
use crate::support::{function, object};
use serde_json::json;

/// The rule sees what the data room sees, however a path is written (10.027, 10.031).
#[tokio::test]
async fn no_way_of_writing_a_path_evades_a_rule() {
    let matcher = object("EndpointMatcher", json!({"role": "developers", "match": function("path of one")}));
    let (paths, people) = world(rules(json!([matcher]))).await;
    let docs = object("EndpointMatcher", json!({"role": "developers", "match": function("about docs")}));
    let (by_builder, others) = world(rules(json!([docs]))).await;
    for (path, joe) in [
        ("/api/v2/builders/1", 403),
        ("/api/v2/builders/%31", 403),
        ("/api/v2/%62uilders/1", 403),
        ("/api/v2/%62uilders/%31/builds", 403),
        ("/api/%762/builders/1", 403),
        ("/api/latest/builders/+1", 403),
        ("/api/v2/builders/01", 403),
        ("/api/v2/builders/%2B1", 403),
        ("/api/v2/masters/1/builders/1", 403),
        ("/api/v2/masters/%31/%62uilders/1", 403),
        ("/api/v2/builders/%2531", 404),
        ("/api/v2//builders/1", 404),
        ("/api/v2/./builders/1", 404),
        ("/api/v2/x/../builders/1", 404),
        ("/api/v2/builders/1/", 404),
        ("/api/v2/builders%2F1", 404),
        ("/api/v2/builders%2f1", 404),
        ("//api/v2/builders/1", 403),
        ("/%61pi/v2/builders/1", 404),
        ("/builders/1", 403),
        ("/builders/%31", 403),
        ("/builders/%2531", 404),
        ("/%62uilders/1", 403),
        ("/builders/1/", 404),
        ("/./builders/1", 404),
        ("/api/v2/builders/2", 200),
        ("/builders/2", 200),
    ] {
        let cookie = people.cookie('j');
        assert_eq!(paths.get_as(cookie, path).await.0, joe, "{path}");
        // Those who may find it, unless it is nowhere.
        let nowhere = joe == 404 || path.starts_with("//") || path.starts_with("/%");
        let dev = paths.get_as(people.cookie('d'), path).await.0;
        assert!(if nowhere { dev == 404 } else { matches!(dev, 200 | 303) }, "{path}: {dev}");
    }
    for path in [
        "/api/v2/builders/%64ocs",
        "/builders/d%6Fcs",
        "/builders/%33/builds/%31",
        "/api/v2/builders/%33/%62uilds",
    ] {
        assert_eq!(by_builder.get_as(others.cookie('j'), path).await.0, 403, "{path}");
        assert_ne!(by_builder.get_as(others.cookie('d'), path).await.0, 403, "{path}");
    }
}

/// 09.099, 09.102: what may not be read is not heard either, by whichever name.
#[tokio::test]
async fn a_rule_about_builds_holds_for_every_path_and_topic_of_builds() {
    let matcher = object("EndpointMatcher", json!({"role": "developers", "match": function("kind builds")}));
    let (world, people) = world(rules(json!([matcher]))).await;
    for path in [
        "/api/v2/builds",
        "/api/v2/workers/1/builds",
        "/api/v2/builders/2/builds",
        "/api/v2/buildrequests/1/builds",
        "/api/v2/builders/1/builds/1/steps",
        "/builders/1",
        "/workers/1",
        "/",
        "/sse/listen/*/*/*",
        "/sse/listen/builds/*/*",
        "/sse/listen/builders/*/builds/*/*",
        "/sse/listen/builders/1/builds/*/*",
        "/sse/listen/*/*/builds/*/*",
        "/sse/listen/*/*/*/*/*",
        "/sse/listen/workers/*/builds/*/new",
        "/sse/add/x/*/*/*",
        "/live?on=*/*/finished",
    ] {
        assert_eq!(world.get_as(people.cookie('j'), path).await.0, 403, "{path}");
    }
    for path in ["/api/v2/builders/2", "/api/v2/workers", "/workers", "/changes"] {
        assert_eq!(world.get_as(people.cookie('j'), path).await.0, 200, "{path}");
    }
    for (topic, code) in
        [("*/*/*", 403), ("builders/*/builds/*/*", 403), ("workers/*/*", 200), ("*/*/steps/*/*", 403)]
    {
        let told = websocket(&world, people.cookie('j'), topic).await.1.unwrap();
        assert_eq!(told["code"], code, "{topic}: {told}");
    }
}
