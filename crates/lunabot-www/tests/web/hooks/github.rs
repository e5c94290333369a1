//! The github dialect (02.033, 02.034). Payloads and expected changes agree with what Buildbot 4.3.0 makes of them,
//! where `docs/differences.md` does not say otherwise.

use super::sender::{
    changes, hostile_bodies_are_refused, payload, send, send_text, sha1, sha256, with, without,
};
use crate::support::{World, text};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lunabot_model::Json;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Headers<'a> = Vec<(&'a str, &'a str)>;

const PUSH: &[(&str, &str)] = &[("x-github-event", "push")];
const PULL: &[(&str, &str)] = &[("x-github-event", "pull_request")];

async fn world(options: Json) -> World {
    let world = World::new().await;
    world.hooks(json!({"github": options}), None);
    world
}

fn found(count: usize) -> (u16, String) {
    (202, if count == 0 { "no change found".into() } else { format!("{count} change found") })
}

fn bad(text: &str) -> (u16, String) {
    (400, text.into())
}

#[tokio::test]
async fn a_push_is_one_change_per_commit_02_034() {
    let world =
        world(json!({"github_property_whitelist": ["github.repository.owner.*", "github.pusher.name"]}))
            .await;
    assert_eq!(send(&world, "github", PUSH, &payload("github_push")).await, found(2));
    let [first, second] = changes(&world).await.try_into().unwrap();
    let wanted = json!({
        "author": "Ann Ash <ann@example.org>", "committer": "Bob Birch <bob@example.org>", "branch": "main",
        "category": null, "codebase": "", "comments": "Mend the parser",
        "files": ["src/new.c", "src/parse.c", "src/old.c"], "project": "octo/hello",
        "properties": {
            "event": ["push", "Change"], "github_distinct": [true, "Change"], "github.pusher.name": ["ann", "Change"],
            "github.repository.owner.email": ["octo@example.org", "Change"],
            "github.repository.owner.login": ["octo", "Change"], "github.repository.owner.name": ["octo", "Change"],
        },
        "repository": "https://github.com/octo/hello", "revision": "b3a1d0f1aa1b40c5ba5e2c3f0f6c8d2f6c1f1a11",
        "revlink": "https://github.com/octo/hello/commit/b3a1d0f1aa1b40c5ba5e2c3f0f6c8d2f6c1f1a11",
        "when_timestamp": 1_771_196_237,
    });
    assert_eq!(first, wanted);
    assert_eq!(second["comments"], "Say why\n\nÜber alles");
    assert_eq!(second["properties"]["github_distinct"], json!([false, "Change"]));
    assert_eq!((&second["when_timestamp"], &second["author"]), (&json!(1_771_199_940), &first["author"]));
}

#[tokio::test]
async fn what_of_a_push_is_built_02_034() {
    let world = world(json!({})).await;
    let push = || payload("github_push");
    let skip = |message: &str| with(push(), "head_commit/message", message);
    let table = [
        (push(), found(2)),
        (with(push(), "ref", "refs/tags/v1"), found(2)),
        (with(push(), "ref", "refs/notes/commits"), found(0)),
        (with(with(push(), "deleted", true), "head_commit", Json::Null), found(0)),
        (with(push(), "created", true), found(1)),
        (skip("x [ci skip]"), found(0)),
        (skip("x\n\n[ skip  ci ]"), found(0)),
        (skip("x [CI SKIP]"), found(2)),
        (with(push(), "commits", json!([])), found(0)),
        (
            without(push(), "commits/0/author/email"),
            bad("the payload has no text at commits[0].author.email"),
        ),
        (with(push(), "commits/1/timestamp", "noon"), bad("commits[1].timestamp: 'noon' is not a time")),
        (with(push(), "head_commit", Json::Null), bad("the payload has no object at head_commit")),
        (without(push(), "repository/html_url"), bad("the payload has no text at repository.html_url")),
        (with(push(), "commits", 3), bad("the payload has no list at commits")),
    ];
    for (payload, wanted) in table {
        assert_eq!(send(&world, "github", PUSH, &payload).await, wanted, "{payload}");
    }
    let rows = changes(&world).await;
    assert_eq!(rows.len(), 7);
    assert_eq!((&rows[2]["branch"], &rows[2]["category"]), (&json!("v1"), &json!("tag")));
    assert_eq!(rows[4]["comments"], "Say why\n\nÜber alles", "of a new branch only the head");
}

#[tokio::test]
async fn events_and_forms_02_034() {
    let world = world(json!({})).await;
    for event in ["ping", "workflow_run"] {
        assert_eq!(
            send(&world, "github", &[("x-github-event", event)], &json!({"zen": "x"})).await,
            found(0)
        );
    }
    let unknown = send(&world, "github", &[("x-github-event", "issues")], &json!({})).await;
    assert_eq!(unknown, bad("Unknown event: issues"));
    assert_eq!(send(&world, "github", &[], &payload("github_push")).await.0, 400);
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload("github_push").to_string())
        .finish();
    let post = async |kind: &str, body: String| {
        text(world.post("/change_hook/github", kind, PUSH, body).await).await
    };
    assert_eq!(post(super::FORM, form).await, found(2));
    assert_eq!(post(super::FORM, "other=1".into()).await, bad("the form has no argument payload"));
    assert_eq!(post("text/plain", "{}".into()).await, bad("Unknown content type: text/plain"));
    hostile_bodies_are_refused(&world, "github", PUSH).await;
}

#[tokio::test]
async fn signatures_are_checked_02_033() {
    let secret =
        json!({"$kind": "util.Secret", "$id": 1, "$at": "m.lua:1", "$args": {"secret_name": "forge"}});
    let world = world(json!({"secret": secret, "strict": true})).await;
    let body = payload("github_push").to_string();
    let forged = body.replace("Mend the parser", "Run my miner");
    let (one, two) = (sha1(&body, "s3cret"), sha256(&body, "s3cret"));
    let (mismatch, new, old) = (bad("Hash mismatch"), "x-hub-signature-256", "x-hub-signature");
    let table: Vec<(&str, Headers<'_>, (u16, String))> = vec![
        (&body, vec![(new, &two)], found(2)),
        (&body, vec![(old, &one)], found(2)),
        (&body, vec![(new, &two), (old, "sha1=00")], found(2)),
        (&body, vec![], bad("Request has no required signature")),
        (&forged, vec![(new, &two)], mismatch.clone()),
        (&forged, vec![(old, &one)], mismatch.clone()),
        (&body, vec![(new, "sha256="), (old, &one)], mismatch.clone()),
        (&body, vec![(old, &one[..one.len() - 1])], mismatch.clone()),
        (&body, vec![(new, "sha256=zz")], mismatch),
        (&body, vec![(old, "nonsense")], bad("Wrong signature format: nonsense")),
        (&body, vec![(old, "md5=00")], bad("Unknown hash type: md5")),
    ];
    for (body, headers, wanted) in table {
        let all: Vec<_> = PUSH.iter().copied().chain(headers.clone()).collect();
        assert_eq!(send_text(&world, "github", &all, body.into()).await, wanted, "{headers:?}");
    }
    let other = sha256(&body, "guessed");
    let guessed = send_text(&world, "github", &[PUSH[0], (new, &other)], body).await;
    assert_eq!(guessed, bad("Hash mismatch"));
    assert_eq!(changes(&world).await.len(), 6);
}

#[tokio::test]
async fn a_secret_that_is_not_there_lets_nobody_in_12_009() {
    let secret =
        json!({"$kind": "util.Secret", "$id": 1, "$at": "m.lua:1", "$args": {"secret_name": "lost"}});
    let world = world(json!({"secret": secret})).await;
    let body = payload("github_push").to_string();
    let headers = [PUSH[0], ("x-hub-signature-256", &sha256(&body, "")[..])];
    let got = send_text(&world, "github", &headers, body).await;
    assert_eq!(got, (500, "Error processing changes.".into()));
}

#[tokio::test]
async fn a_codebase_is_a_text_or_asked_of_a_function_02_033() {
    let function =
        |print: &str| json!({"$fn": {"id": 1, "generation": 1, "fingerprint": print, "at": "m.lua:1"}});
    for (option, wanted) in [
        (json!("fixed"), Ok("fixed")),
        (function("echo"), Ok("hello")),
        (function("fails"), Err((500, "Error processing changes.".to_string()))),
    ] {
        let world = world(json!({"codebase": option})).await;
        let got = send(&world, "github", PUSH, &payload("github_push")).await;
        match wanted {
            Ok(codebase) => {
                assert_eq!(got, found(2));
                assert_eq!(changes(&world).await[0]["codebase"], codebase);
            }
            Err(error) => assert_eq!((got, changes(&world).await.len()), (error, 0)),
        }
    }
    let world = world(json!({"codebase": function("echo")})).await;
    let odd = with(payload("github_push"), "repository/name", 3);
    assert_eq!(send(&world, "github", PUSH, &odd).await.0, 500);
    assert!(world.script.nonsense.lock().unwrap()[0].contains("codebase returned 3"));
}

/// Answers as GitHub's API, and notes what it was asked.
struct Api {
    address: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

/// 101 files on two pages, the first renamed.
async fn files(Query(query): Query<BTreeMap<String, String>>) -> Response {
    let file = |i: usize| json!({"filename": format!("f{i}")});
    let mut first: Vec<Json> = (0..100).map(file).collect();
    first[0]["previous_filename"] = "old".into();
    let rows = if query["page"] == "1" { first } else { vec![file(100)] };
    assert_eq!(query["per_page"], "100");
    axum::Json(rows).into_response()
}

async fn commit(Path(sha): Path<String>) -> Response {
    match sha.as_str() {
        "skipped" => axum::Json(json!({"commit": {"message": "Mend [ci skip]"}})).into_response(),
        "odd" => "no json".into_response(),
        "lost" => (StatusCode::NOT_FOUND, "{}").into_response(),
        _ => axum::Json(json!({"commit": {"message": "Mend"}})).into_response(),
    }
}

impl Api {
    async fn start() -> Api {
        type Asked = Arc<Mutex<Vec<(String, String)>>>;
        let asked: Asked = Arc::default();
        async fn note(
            State(asked): State<Asked>,
            headers: HeaderMap,
            request: axum::extract::Request,
            next: axum::middleware::Next,
        ) -> Response {
            let token =
                headers.get("authorization").map(|v| v.to_str().unwrap().to_string()).unwrap_or_default();
            asked.lock().unwrap().push((request.uri().path().to_string(), token));
            next.run(request).await
        }
        let app = Router::new()
            .route("/api/v3/repos/octo/hello/commits/{sha}", get(commit))
            .route("/api/v3/repos/octo/hello/pulls/50/files", get(files))
            .layer(axum::middleware::from_fn_with_state(asked.clone(), note));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/api/v3", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Api { address, asked }
    }
}

#[tokio::test]
async fn a_pull_request_is_one_change_with_the_files_that_github_tells_02_034() {
    let api = Api::start().await;
    let token =
        json!({"$kind": "util.Secret", "$id": 1, "$at": "m.lua:1", "$args": {"secret_name": "forge"}});
    let options = json!({"github_api_endpoint": api.address, "token": token, "debug": true,
                         "github_property_whitelist": ["github.labels", "github.head.ref", "github.head.sh?"]});
    let world = world(options).await;
    assert_eq!(send(&world, "github", PULL, &payload("github_pull_request")).await, found(1));
    let mut change = changes(&world).await.remove(0);
    let files: Vec<String> = serde_json::from_value(change["files"].take()).unwrap();
    assert_eq!(
        (files.len(), &files[..3], &files[101][..]),
        (102, &["f0".into(), "old".into(), "f1".into()][..], "f100")
    );
    let wanted = json!({
        "author": "cleo", "branch": "refs/pull/50/merge", "category": "pull", "codebase": "", "committer": null,
        "comments": "GitHub Pull Request #50 (1 commit)\nMend the parser\nIt failed on empty lines.",
        "files": null, "project": "octo/hello",
        "properties": {
            "basename": ["main", "Change"], "event": ["pull_request", "Change"],
            "github.head.ref": ["changes", "Change"],
            "github.head.sha": ["05c588ba8cd510ecbe112d020f215facb17817a7", "Change"],
            "github.labels": [[{"name": "bug"}, {"name": "parser"}], "Change"],
            "pullrequesturl": ["https://github.com/octo/hello/pull/50", "Change"],
        },
        "repository": "https://github.com/octo/hello", "revision": "05c588ba8cd510ecbe112d020f215facb17817a7",
        "revlink": "https://github.com/octo/hello/pull/50", "when_timestamp": 1_778_024_427,
    });
    assert_eq!(change, wanted);
    let mut asked = api.asked.lock().unwrap().clone();
    asked.sort();
    asked.dedup();
    let at = |path: &str| (format!("/api/v3/repos/octo/hello/{path}"), "token s3cret".to_string());
    assert_eq!(asked, [at("commits/05c588ba8cd510ecbe112d020f215facb17817a7"), at("pulls/50/files")]);
}

#[tokio::test]
async fn which_pull_requests_are_built_02_034() {
    let api = Api::start().await;
    let world = world(json!({"github_api_endpoint": api.address, "pullrequest_ref": "head"})).await;
    let pull = || payload("github_pull_request");
    let table = [
        (with(pull(), "action", "reopened"), found(1)),
        (with(with(pull(), "action", "synchronize"), "pull_request/commits", 2), found(1)),
        (with(pull(), "action", "closed"), found(0)),
        (with(pull(), "action", "labeled"), found(0)),
        (without(pull(), "action"), found(0)),
        (with(pull(), "pull_request/head/sha", "skipped"), found(0)),
        // What the API does not tell costs no build.
        (with(pull(), "pull_request/head/sha", "lost"), found(1)),
        (with(pull(), "pull_request/head/sha", "odd"), found(1)),
        (with(pull(), "repository/full_name", "../../secrets?x=/y"), found(1)),
        (with(pull(), "pull_request/body", Json::Null), found(1)),
        (without(pull(), "sender/login"), bad("the payload has no text at sender.login")),
        (without(pull(), "pull_request/head/sha"), bad("the payload has no text at pull_request.head.sha")),
        (with(pull(), "pull_request", json!([])), bad("the payload has no object at pull_request")),
    ];
    for (payload, wanted) in table {
        assert_eq!(send(&world, "github", PULL, &payload).await, wanted, "{payload}");
    }
    let rows = changes(&world).await;
    assert!(rows[1]["comments"].as_str().unwrap().starts_with("GitHub Pull Request #50 (2 commits)\n"));
    assert_eq!(rows[0]["branch"], "refs/pull/50/head");
    assert_eq!(rows[4]["files"], json!([]));
    let asked = api.asked.lock().unwrap().clone();
    assert!(
        asked.iter().all(|(path, token)| path.starts_with("/api/v3/repos/") && token.is_empty()),
        "{asked:?}"
    );
}

#[tokio::test]
async fn own_skips_take_the_place_of_the_usual_ones_02_033() {
    let world = world(json!({"skips": [r"\[nobuild\]"]})).await;
    let skip = |message: &str| with(payload("github_push"), "head_commit/message", message);
    assert_eq!(send(&world, "github", PUSH, &skip("a [nobuild] b")).await, found(0));
    assert_eq!(send(&world, "github", PUSH, &skip("a [ci skip] b")).await, found(2));
}

#[tokio::test]
async fn a_token_may_depend_on_the_repository_02_033() {
    let api = Api::start().await;
    let token = json!({"$kind": "util.Interpolate", "$id": 1, "$at": "m.lua:1", "$args": {"fmtstring": "of %(prop:full_name)s"}});
    let world = world(json!({"github_api_endpoint": api.address, "token": token})).await;
    assert_eq!(send(&world, "github", PULL, &payload("github_pull_request")).await, found(1));
    let asked = api.asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|(_, token)| token == "token of octo/hello"), "{asked:?}");
}

#[tokio::test]
async fn an_event_is_taken_without_the_token_that_cannot_be_had_02_033() {
    let api = Api::start().await;
    let token = json!({"$kind": "util.Secret", "$id": 1, "$at": "m.lua:1", "$args": {"secret_name": "lost"}});
    let world = world(json!({"github_api_endpoint": api.address, "token": token})).await;
    assert_eq!(send(&world, "github", PULL, &payload("github_pull_request")).await, found(1));
    let asked = api.asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|(_, token)| token.is_empty()), "{asked:?}");
}
