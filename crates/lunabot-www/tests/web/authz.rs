//! Who may do what, by every way in: REST, forms of the pages, WebSocket, event streams, raw logs (10.027–10.031, 09.052).

use crate::support::{World, function, object, seed, text};
use futures::{SinkExt, StreamExt};
use lunabot_data::new::{NewBuildset, StampRef};
use lunabot_model::Properties;
use lunabot_www::{Endpoint, listen, serve};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn users() -> Value {
    object("UserPasswordAuth", json!({"users": {"joe": "pw", "dev": "pw", "boss@example.org": "pw"}}))
}

fn roles() -> Value {
    json!([
        object("RolesFromUsername", json!({"roles": ["developers"], "usernames": ["dev"]})),
        object("RolesFromEmails", json!({"admins": ["Boss@example.org"]})),
        object("RolesFromOwner", json!({"role": "owner"})),
        object("Roles", json!({"fn": function("roles")})),
    ])
}

pub fn rules(rules: Value) -> Value {
    json!({"auth": users(), "authz": object("Authz", json!({"allowRules": rules, "roleMatchers": roles()}))})
}

/// Somebody's cookie, by the first letter: anonymous, joe, dev, boss.
pub struct People([String; 4]);

impl People {
    async fn new(world: &World) -> People {
        let mut all = [const { String::new() }; 4];
        for (place, name) in [(1, "joe"), (2, "dev"), (3, "boss@example.org")] {
            all[place] = world.login(name, "pw").await;
        }
        People(all)
    }

    pub fn cookie(&self, letter: char) -> &str {
        &self.0["ajdb".find(letter).unwrap()]
    }
}

pub async fn world(www: Value) -> (World, People) {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 5).await;
    world.access(www).await;
    world.answer(Ok(json!([1, {"1": 1}])));
    let people = People::new(&world).await;
    (world, people)
}

/// A control call over REST; its status, and what it says.
async fn call(world: &World, cookie: &str, path: &str, method: &str, params: Value) -> (u16, String) {
    let body = json!({"jsonrpc": "2.0", "method": method, "id": 1, "params": params}).to_string();
    text(world.post(&format!("/api/v2/{path}"), JSON, &[("cookie", cookie)], body).await).await
}

#[tokio::test]
async fn row_10_028_the_first_rule_that_fits_decides_over_rest_and_forms() {
    let (world, people) = world(rules(json!([
        object("ForceBuildEndpointMatcher", json!({"builder": "docs", "role": "anonymous"})),
        object("ForceBuildEndpointMatcher", json!({"role": "developers"})),
        object("StopBuildEndpointMatcher", json!({"builder": "app-*", "role": "developers"})),
        object("StopBuildEndpointMatcher", json!({"role": "owner", "defaultDeny": false})),
        object("RebuildBuildEndpointMatcher", json!({"role": "b*ers"})),
        object("EnableSchedulerEndpointMatcher", json!({"role": "admins"})),
        object("AnyControlEndpointMatcher", json!({"role": "admins"})),
    ])))
    .await;
    // A request of joe's for docs.
    let change = seed::Seed { data: &world.data, clock: &world.clock, lines: 0 }.change(1).await;
    let mut properties = Properties::new();
    properties.set("owner", json!("joe"), "Force Build Form");
    let set = NewBuildset {
        scheduler: "force".into(),
        builderids: vec![3],
        sourcestamps: vec![StampRef::Id(change.sourcestamp.ssid)],
        properties,
        ..NewBuildset::default()
    };
    let joes = world.data.add_buildset(set).await.unwrap().1[&3];
    world.data.flush().await.unwrap();
    let joes = format!("buildrequests/{joes}");
    let table = [
        // path, action, params, form, who may
        ("forceschedulers/force", "force", json!({"builderid": "3"}), "/builders/3/force/force", "ajdb"),
        ("forceschedulers/force", "force", json!({"builderid": [[3]]}), "", "ajdb"),
        ("forceschedulers/force", "force", json!({"builderNames": ["docs"]}), "", "ajdb"),
        ("forceschedulers/force", "force", json!({"builderid": "1"}), "/builders/app-linux/force/force", "d"),
        ("forceschedulers/force", "force", json!({"builderid": [[1]]}), "", "d"),
        ("forceschedulers/force", "force", json!({"builderNames": ["docs", "app-linux"]}), "", "d"),
        ("forceschedulers/force", "force", json!({}), "", "d"),
        ("forceschedulers/force", "force", json!({"builderid": "99"}), "", "d"),
        ("builds/1", "stop", json!({}), "/builds/1/stop", "d"),
        ("builders/app-macos/builds/1", "stop", json!({}), "", "d"),
        ("builders/1/builds/1", "stop", json!({}), "", "d"),
        ("builds/3", "stop", json!({}), "/builds/3/stop", "b"),
        (&joes, "cancel", json!({}), "FORM", "jb"),
        ("buildrequests/1", "cancel", json!({}), "/buildrequests/1/cancel", "d"),
        ("buildrequests/1", "set_priority", json!({"priority": 1}), "", "b"),
        ("builds/3", "rebuild", json!({}), "/builds/3/rebuild", "j"),
        ("workers/1", "pause", json!({}), "/workers/1/pause", "b"),
        ("workers/fast1", "kill", json!({}), "", "b"),
        ("schedulers/1", "enable", json!({"enabled": false}), "/schedulers/1/disable", "b"),
    ];
    for (path, action, params, form, may) in table {
        for who in ['a', 'j', 'd', 'b'] {
            let allowed = may.contains(who);
            world.handler.calls.lock().unwrap().clear();
            let (status, body) = call(&world, people.cookie(who), path, action, params.clone()).await;
            let shown = format!("{who} {action} {path} {params}: {status} {body}");
            assert_eq!(status == 403, !allowed, "{shown}");
            if !allowed {
                assert!(
                    body.contains("\"code\": -32600") && body.contains("you need to have role '"),
                    "{shown}"
                );
            }
            let form = if form == "FORM" { format!("/{joes}/cancel") } else { form.to_owned() };
            if !form.is_empty() {
                let sent = [("cookie", people.cookie(who))];
                let response = world.post(&form, FORM, &sent, "reason=x&priority=1").await;
                assert_eq!(response.status() == 403, !allowed, "{who} {form}: {}", response.status());
            }
            let reached = !world.handler.calls.lock().unwrap().is_empty();
            assert!(allowed || !reached, "{shown}: it was carried out");
        }
    }
}

#[tokio::test]
async fn row_09_078_actions_are_in_the_name_of_who_is_logged_in() {
    let (world, people) = world(json!({"auth": users()})).await;
    let owner = || world.handler.calls.lock().unwrap().pop().unwrap().2["owner"].clone();
    for (who, name) in [('j', "joe"), ('b', "boss@example.org")] {
        let cookie = people.cookie(who);
        assert_eq!(call(&world, cookie, "builds/1", "rebuild", json!({"owner": "evil"})).await.0, 200);
        assert_eq!(owner(), name);
        world.post("/builders/3/force/force", FORM, &[("cookie", cookie)], "reason=x&priority=1").await;
        assert_eq!(owner(), name);
        world.post("/builds/1/stop", FORM, &[("cookie", cookie)], "owner=evil").await;
        assert_eq!(owner(), name);
    }
}

#[tokio::test]
async fn who_is_not_logged_in_may_act_only_where_the_configuration_says_so() {
    let stop = object("StopBuildEndpointMatcher", json!({"role": "admins"}));
    let authz = object("Authz", json!({"allowRules": [stop]}));
    for (www, may) in [
        (json!({}), true),
        (json!({"allow_anonymous_control": false}), false),
        (json!({"auth": users()}), false),
        (json!({"auth": users(), "allow_anonymous_control": true}), true),
        (json!({"authz": authz}), true),
        (json!({"auth": users(), "authz": authz}), false),
    ] {
        let world = World::new().await;
        seed::small(&world.data, &world.clock, 5).await;
        world.access(www.clone()).await;
        let (status, body) = call(&world, "", "builds/1", "rebuild", json!({})).await;
        assert_eq!(status, if may { 200 } else { 403 }, "{www}: {body}");
        let form = world.post("/builds/1/rebuild", FORM, &[], "").await;
        assert_eq!(form.status(), if may { 303 } else { 403 }, "{www}");
        // Reading is free.
        assert_eq!(world.get("/builds/1").await.0 / 100, 3);
        assert_eq!(world.get("/api/v2/builds/1").await.0, 200);
    }
}

/// What opening a WebSocket and listening to a topic are answered.
pub async fn websocket(world: &World, cookie: &str, topic: &str) -> (u16, Option<Value>) {
    let listener =
        listen(&Endpoint::read(&json!("127.0.0.1:0")).unwrap(), std::path::Path::new(".")).await.unwrap();
    let port = listener.port().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, world.router.clone(), stop.clone()));
    let mut request = format!("ws://127.0.0.1:{port}/ws").into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let answer = match tokio_tungstenite::client_async(request, stream).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(refused)) => (refused.status().as_u16(), None),
        Err(e) => panic!("{e}"),
        Ok((mut socket, _)) => {
            let start = json!({"cmd": "startConsuming", "path": topic, "_id": 1}).to_string();
            socket.send(Message::text(start)).await.unwrap();
            let told = socket.next().await.unwrap().unwrap();
            (101, serde_json::from_str(told.to_text().unwrap()).ok())
        }
    };
    stop.cancel();
    serving.await.unwrap();
    answer
}

#[tokio::test]
async fn row_10_031_reading_can_be_kept_to_some_by_every_way_in() {
    let (world, people) =
        world(rules(json!([object("AnyEndpointMatcher", json!({"role": "developers"}))]))).await;
    let (log, request) = {
        let logs = world.get_as(people.cookie('d'), "/api/v2/steps/1/logs").await.1;
        let logs: Value = serde_json::from_str(&logs).unwrap();
        (logs["logs"][0]["logid"].clone(), 1)
    };
    let api = [
        "/api".to_string(),
        "/api/v2".into(),
        "/api/v2/builds?limit=1".into(),
        "/api/v2/builders/docs".into(),
        format!("/api/v2/logs/{log}/contents"),
        format!("/api/v2/logs/{log}/raw"),
        format!("/api/v2/logs/{log}/raw_inline"),
        "/api/latest/masters".into(),
        format!("/api/v2/buildrequests/{request}/explanation"),
    ];
    for path in &api {
        for (who, status) in [('a', 403), ('j', 403), ('b', 403), ('d', 200)] {
            let (got, body) = world.get_as(people.cookie(who), path).await;
            assert_eq!(got, status, "{who} {path}: {body}");
            assert!(got == 200 || body == r#"{"error": "you need to have role 'developers'"}"#, "{body}");
        }
    }
    let pages = [
        "/".to_string(),
        "/builders".into(),
        "/builders/docs?q=x".into(),
        "/builders/1/builds/1".into(),
        "/builders/1/force/force".into(),
        format!("/buildrequests/{request}"),
        "/changes".into(),
        "/workers/1".into(),
        "/pending".into(),
        "/health".into(),
        "/metrics".into(),
        "/avatar?email=x".into(),
        "/nosuch".into(),
    ];
    for path in &pages {
        let status = |who: char| world.get_as(people.cookie(who), path);
        let browser = axum::http::Request::get(path).header("accept", "text/html,*/*;q=0.8");
        let anonymous = world.send(browser.body(axum::body::Body::empty()).unwrap()).await.status();
        assert_eq!(anonymous, 302, "{path} leads people to the login");
        assert_eq!(status('a').await.0, 403, "{path} tells programs");
        assert_eq!(status('j').await.0, 403, "{path}");
        assert!(matches!(status('d').await.0, 200 | 302 | 303 | 404), "{path}");
    }
    let request = axum::http::Request::get("/builders/docs?q=x").header("accept", "text/html");
    let response = world.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(response.headers()["location"], "../auth/login?redirect=%2Fbuilders%2Fdocs%3Fq%3Dx");
    // A part of an open page is not to become a login.
    let request = axum::http::Request::get("/builders").header("x-part", "1").body(axum::body::Body::empty());
    assert_eq!(world.send(request.unwrap()).await.status(), 403);

    for path in ["/sse/listen/builds/*/*", "/sse/add/x/builds/*/*", "/live?on=builds/*/*"] {
        for who in ['a', 'j'] {
            assert!(matches!(world.get_as(people.cookie(who), path).await.0, 302 | 403), "{who} {path}");
        }
    }
    assert_eq!(websocket(&world, people.cookie('j'), "builds/*/*").await.0, 403);
    let (status, told) = websocket(&world, people.cookie('d'), "builds/*/*").await;
    assert_eq!((status, told.unwrap()["msg"].clone()), (101, json!("OK")));

    for path in ["/ws", "/ws/", "/sse/listen/builds/*/*", "/builders"] {
        let response = world.post(path, JSON, &[("upgrade", "websocket")], "").await;
        assert!(matches!(response.status().as_u16(), 403 | 405), "{path}: {}", response.status());
    }
    // What says nothing of builds is open, and an answer is for nobody else's cache.
    for path in ["/livez", "/readyz", "/robots.txt", "/static/style.css", "/auth/login"] {
        assert!(matches!(world.get(path).await.0, 200 | 401), "{path}");
    }
    let request = axum::http::Request::get("/api/v2/builds?limit=1").header("cookie", people.cookie('d'));
    let response = world.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(response.headers()["cache-control"], "private");
}

#[tokio::test]
async fn a_function_can_keep_one_builder_to_some() {
    let matcher = object("EndpointMatcher", json!({"role": "developers", "match": function("about docs")}));
    let (world, people) = world(rules(json!([matcher]))).await;
    let mut site = (*world.site.load()).clone();
    site.www.plugins.insert("badges".into(), json!({}));
    site.badges = lunabot_www::Badges::load(&site.www).unwrap();
    world.site.store(site);
    let dev = people.cookie('d');
    let steps: Value = serde_json::from_str(&world.get_as(dev, "/api/v2/builds/3/steps").await.1).unwrap();
    let step = steps["steps"][0]["stepid"].clone();
    let logs: Value =
        serde_json::from_str(&world.get_as(dev, &format!("/api/v2/steps/{step}/logs")).await.1).unwrap();
    let log = logs["logs"][0]["logid"].clone();
    assert!(log.is_i64(), "{logs}");
    for (path, status) in [
        ("/api/v2/builders/docs".to_string(), 403),
        ("/api/v2/builders/3".into(), 403),
        ("/api/v2/builders/3/builds/1/steps".into(), 403),
        ("/api/v2/masters/1/builders/3".into(), 403),
        ("/api/v2/builds/3".into(), 403),
        ("/api/v2/builds/3/properties".into(), 403),
        (format!("/api/v2/steps/{step}"), 403),
        (format!("/api/v2/logs/{log}/raw"), 403),
        ("/builders/docs".into(), 403),
        ("/builders/3/builds/1".into(), 403),
        ("/sse/listen/builds/3/*".into(), 403),
        ("/sse/listen/builders/docs/builds/*/new".into(), 403),
        ("/plugins/badges/docs.svg".into(), 403),
        ("/plugins/badges/3.png?style=flat".into(), 403),
        ("/plugins/badges/%64ocs.svg".into(), 403),
        ("/plugins/badges/1.svg".into(), 200),
        ("/plugins/badges/no.such.svg".into(), 200),
        ("/api/v2/builders/1".into(), 200),
        ("/api/v2/builds/1".into(), 200),
        ("/builders/1".into(), 200),
    ] {
        assert_eq!(world.get_as(people.cookie('j'), &path).await.0, status, "{path}");
    }
    assert_eq!(world.get_as(dev, "/api/v2/builds/3").await.0, 200);
    let (status, told) = websocket(&world, people.cookie('j'), "builds/3/finished").await;
    let told = told.unwrap();
    assert_eq!((status, &told["code"], &told["_id"]), (101, &json!(403), &json!(1)), "{told}");
    assert_eq!(websocket(&world, people.cookie('j'), "builds/1/finished").await.1.unwrap()["msg"], "OK");
}

#[tokio::test]
async fn a_function_that_fails_lets_nobody_in() {
    for role in ["developers", "anonymous"] {
        let matcher = object("EndpointMatcher", json!({"role": role, "match": function("fails")}));
        let (world, people) = world(rules(json!([matcher]))).await;
        for who in ['a', 'd'] {
            assert_eq!(
                call(&world, people.cookie(who), "builds/1", "stop", json!({})).await.0,
                403,
                "{role} {who}"
            );
        }
    }
    let policy = json!({"auth": users(), "authz": object("Authz", json!({"policy": function("fails")}))});
    let (world, people) = world(policy).await;
    assert_eq!(world.get_as(people.cookie('d'), "/api/v2/builds/1").await.0, 403);
}

#[tokio::test]
async fn a_policy_is_asked_before_the_rules() {
    let rules = json!([object("AnyEndpointMatcher", json!({"role": "builders"}))]);
    let groups = object("RolesFromGroups", json!({"groupPrefix": "sta"}));
    let authz = json!({"allowRules": rules, "roleMatchers": [object("Roles", json!({"fn": function("roles")})), groups],
        "policy": function("policy")});
    let (world, people) = world(json!({"auth": users(), "authz": object("Authz", authz)})).await;
    let (status, body) = call(&world, people.cookie('j'), "builds/3", "stop", json!({})).await;
    assert!(status == 403 && body.contains("the docs are frozen"), "{body}");
    assert_eq!(call(&world, people.cookie('j'), "builds/1", "stop", json!({})).await.0, 200);
    let (status, body) = call(&world, people.cookie('d'), "builds/1", "stop", json!({})).await;
    assert!(status == 403 && body.contains("you need to have role 'builders'"), "{body}");
}

#[tokio::test]
async fn patterns_of_roles_and_builders_fit_as_in_buildbot_10_027() {
    for (strings, role, builder, may) in [
        ("fnmatch", "dev*", "app-*", true),
        ("fnmatch", "dev", "app-*", false),
        ("fnmatch", "*", "app-*", true),
        ("regex", "dev.*|x", "app-.*", true),
        ("regex", "dev", "app-", true),
        ("regex", "dev$", "app-.*", false),
        ("regex", "evelopers", "app-.*", false),
        ("regex", "x|d", "app-.*", true),
        ("regex", "nobody|e", "app-.*", false),
        // The rule is not about it.
        ("regex", "nobody", "pp-.*", true),
    ] {
        let rule = object("StopBuildEndpointMatcher", json!({"role": role, "builder": builder}));
        let authz = json!({"stringsMatcher": strings, "allowRules": [rule], "roleMatchers": roles()});
        let (world, people) = world(json!({"auth": users(), "authz": object("Authz", authz)})).await;
        let status = call(&world, people.cookie('d'), "builds/1", "stop", json!({})).await.0;
        assert_eq!(status, if may { 200 } else { 403 }, "{strings} {role}");
        // No pattern is about those who have no role.
        assert_eq!(call(&world, "", "builds/1", "stop", json!({})).await.0, 403, "{strings} {role}");
    }
}
