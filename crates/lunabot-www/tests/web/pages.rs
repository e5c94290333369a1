//! The pages, with and without data, and with hostile data.

use crate::support::{World, seed, text};
use axum::body::Body;
use axum::http::Request;
use lunabot_data::new::*;
use lunabot_model::explanation::{Explanation, RequestState, RuleAnswer};
use lunabot_model::resources::LogType;
use lunabot_model::{Properties, Results};
use lunabot_net::reqwest::Url;
use serde_json::{Value as Json, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const ALL: &[&str] = &["/", "/builders", "/changes", "/workers", "/pending", "/schedulers", "/health"];
/// No page may be longer, in bytes, before compression.
const LONGEST: usize = 60 * 1024;

#[tokio::test]
async fn empty_pages_say_what_to_do_next() {
    let world = World::new().await;
    for (path, wanted) in [
        ("/", "No builder is configured"),
        ("/builders", "c.builders"),
        ("/changes", "changes.GitPoller"),
        ("/workers", "worker.LocalWorker"),
        ("/pending", "Nothing waits"),
        ("/schedulers", "schedulers.ForceScheduler"),
        ("/health", "The master is well"),
    ] {
        let page = world.page(path).await;
        assert!(page.contains(wanted), "{path}: {page}");
        assert!(page.starts_with("<!doctype html>") && page.contains("</html>"), "{path}");
    }
}

#[tokio::test]
async fn the_schedulers_page_says_what_comes_next() {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 5).await;
    let now = 1_760_000_000;
    world.clock.set(now);
    let row = |name: &str, next: Option<i64>, enabled: bool| {
        json!({"schedulerid": name.len(), "name": name, "kind": "schedulers.Nightly", "enabled": enabled,
               "trigger": "at 0 3 * * *", "builder_names": ["app-macos", "gone"], "next_at": next, "last_at": now - 3600})
    };
    let rows = vec![
        row("off", None, false),
        row("<later>", Some(now + 7200), true),
        row("soon", Some(now + 300), true),
    ];
    world.data.set_virtual("schedules", std::sync::Arc::new(move || rows.clone()));
    let page = world.page("/schedulers").await;
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in {page}"));
    assert!(place("soon") < place("&lt;later&gt;") && place("&lt;later&gt;") < place("<b>off"), "{page}");
    assert!(page.contains(">in 5 min</time>") && page.contains(">1 h ago</time>"), "{page}");
    assert!(
        page.contains("Nightly, at 0 3 * * *")
            && page.contains(">app-macos</a>")
            && page.contains("<span>gone</span>")
    );
    assert!(page.contains("schedulers/4/disable") && page.contains("schedulers/3/enable"));
    assert!(page.contains(r#"aria-current="page">Schedulers"#));
}

#[tokio::test]
async fn home_shows_what_is_broken_first() {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 50).await;
    let page = world.page("/").await;
    assert!(page.contains("1 of 4 builders is failing"));
    let failing = page.split("h-failing").nth(2).and_then(|rest| rest.split("</section>").next()).unwrap();
    assert!(failing.contains("app-macos #6") && failing.contains("3×"), "{failing}");
    assert!(failing.contains("Sam O&#x27;Neil"), "the author of the first broken build's changes: {failing}");
    assert!(page.contains("<b>2</b> running") && page.contains("<b>2</b> waiting"), "{page}");
    assert!(page.contains("missing: slow"));
    assert!(page.contains("Median of 6 builds"), "an estimate tells its basis");
}

#[tokio::test]
async fn a_build_page_opens_the_step_that_broke() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 500).await;
    let page = world.page(&format!("/builders/{}/builds/6", ids[1])).await;
    assert!(page.contains("477 earlier lines of stdio"), "{page}");
    assert!(page.contains("program finished with exit code 2"));
    assert!(page.contains(r#"<span class="f1 bo">error:</span>"#) && page.contains("&lt;ident&gt; &amp;"));
    assert!(page.contains("/rebuild") && !page.contains("/stop\""));
    assert!(page.contains("Let the cache forget entries") && page.contains("docs: say what happens"));
    let running = world.page(&format!("/builders/{}/builds/7", ids[0])).await;
    assert!(running.contains("/stop\"") && running.contains("<progress"));
    let by_id = world.send(Request::get("/builds/1").body(Body::empty()).unwrap()).await;
    assert_eq!(by_id.headers()["location"], "../builders/1/builds/1");
}

#[tokio::test]
async fn logs_are_read_by_range_and_searched() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 3000).await;
    let log = format!("/builders/{}/builds/6/steps/2/logs/stdio", ids[1]);
    let page = world.page(&log).await;
    assert!(
        page.contains(r#"data-total="3007""#)
            && page.contains(r#"id="L3007""#)
            && !page.contains(r#"id="L10""#)
    );
    let earlier = world.page(&format!("{log}?from=10")).await;
    assert!(
        earlier.contains(r#"id="L10""#)
            && earlier.contains(r#"id="L209""#)
            && !earlier.contains(r#"id="L210""#)
    );

    let lines =
        world.send(Request::get(format!("{log}/lines?offset=5&limit=2")).body(Body::empty()).unwrap()).await;
    assert_eq!(
        (&lines.headers()["x-total"], &lines.headers()["x-complete"]),
        (&"3007".parse().unwrap(), &"1".parse().unwrap())
    );
    let body = text(lines).await.1;
    assert!(
        body.contains(r#"id="L6""#) && body.contains(r#"id="L7""#) && body.matches("class=\"l ").count() == 2,
        "{body}"
    );
    let beyond = world.page(&format!("{log}/lines?offset=99999999&limit=5")).await;
    assert_eq!(beyond.trim(), "");
    let all = world.page(&format!("{log}/lines?offset=0&limit=999999")).await;
    assert_eq!(all.matches("class=\"l ").count(), 1000, "bounded");

    let found = world.send(Request::get(format!("{log}/search?q=ERROR:")).body(Body::empty()).unwrap()).await;
    assert_eq!(found.headers()["x-found"], "5");
    let found = world.send(Request::get(format!("{log}/search?q=cc+src")).body(Body::empty()).unwrap()).await;
    assert_eq!(
        (&found.headers()["x-found"], found.headers()["x-next"].is_empty()),
        (&"200".parse().unwrap(), false)
    );
    assert!(world.page(&format!("{log}?q=error:")).await.contains("5 lines found"));
}

/// An engine that tells the same of each request that waits, and of one worker that it is in quarantine.
struct Teller(i64);

impl lunabot_data::Explainer for Teller {
    fn explain(&self, requests: Vec<i64>) -> lunabot_model::BoxFuture<'_, HashMap<i64, Explanation>> {
        let told = requests.into_iter().map(|id| (id, waits_for_db(id))).collect();
        Box::pin(std::future::ready(told))
    }

    fn quarantines(&self) -> lunabot_model::BoxFuture<'_, HashMap<i64, Duration>> {
        Box::pin(std::future::ready(HashMap::from([(self.0, Duration::from_secs(59))])))
    }

    fn downtimes(&self) -> lunabot_model::BoxFuture<'_, HashMap<i64, i64>> {
        Box::pin(std::future::ready(HashMap::new()))
    }
}

fn waits_for_db(request: i64) -> Explanation {
    let lock = RuleAnswer::new("lock", "lock \"db\" is held by <docs> #7").blocking();
    let refused = RuleAnswer {
        worker: Some("fast1".into()),
        times: 12,
        at: Some("master.lua:40".into()),
        ..RuleAnswer::new("canStartBuild", "returned false")
    };
    Explanation {
        buildrequestid: request,
        builderid: 1,
        builder: "app-linux".into(),
        state: RequestState::Pending,
        summary: lock.told(),
        since: None,
        submitted_at: 0,
        collapsed_into: None,
        answers: vec![lock],
        history: vec![refused],
    }
}

#[tokio::test]
async fn row_07_021_a_workers_page_says_since_when_it_is_here_and_why_it_gets_nothing() {
    let world = World::new().await;
    let seed = seed::Seed { data: &world.data, clock: &world.clock, lines: 1 };
    let ids = seed.configure(&["b".to_string()]).await;
    let change = seed.change(1).await;
    seed.request(ids[0], &change, "because").await;
    let workers = world.data.get("workers", "order=workerid").await.unwrap();
    let lunabot_data::Answer::List { items, .. } = workers else { panic!("a list") };
    let (id, name) = (items[0]["workerid"].as_i64().unwrap(), items[0]["name"].as_str().unwrap());
    assert!(items[0]["workerinfo"]["connected_at"].is_i64(), "{items:?}");
    let page = world.page(&format!("/workers/{name}")).await;
    assert!(page.contains("It connected") && page.contains("Shut down at once"), "{page}");
    assert!(page.contains("id=\"waiting\"") && !page.contains("connected_at"), "{page}");
    world.data.set_explainer(Arc::new(Teller(id)));
    let page = world.page(&format!("/workers/{name}")).await;
    assert!(page.contains("In quarantine for 1 m 0 s"), "{page}");
    assert!(world.page("/workers").await.contains("in quarantine"));
    world.data.worker_disconnected(id).await.unwrap().await.unwrap();
    let page = world.page(&format!("/workers/{name}")).await;
    assert!(page.contains("Not connected: it left"), "{page}");
}

#[tokio::test]
async fn pending_says_why() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 5).await;
    world.data.set_explainer(Arc::new(Teller(0)));
    for path in ["/pending".to_string(), format!("/builders/{}", ids[3])] {
        let page = world.page(&path).await;
        assert!(page.contains("is held by &lt;docs&gt; #7"), "{path}: {page}");
    }
    let waiting =
        world.api("buildrequests?claimed=false").await["buildrequests"][0]["buildrequestid"].clone();
    let page = world.page(&format!("/buildrequests/{waiting}")).await;
    for part in
        ["Why it waits", "is held by &lt;docs&gt; #7", "12 times", "master.lua:40", "keeps it from starting"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let told = world.api(&format!("buildrequests/{waiting}/explanation?field=summary&field=history")).await;
    let told = &told["explanations"][0];
    assert_eq!((&told["history"][0]["times"], &told["state"]), (&json!(12), &Json::Null), "{told}");
    let built = world.send(Request::get("/buildrequests/1").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (built.status().as_u16(), &built.headers()["location"]),
        (303, &"../builders/1/builds/1".parse().unwrap())
    );
}

#[tokio::test]
async fn two_hundred_builders_fit_a_short_page() {
    let world = World::new().await;
    seed::many(&world.data, &world.clock, 200).await;
    for path in ["/", "/builders", "/builders?offset=80", "/builders/1", "/workers", "/changes"] {
        let page = world.page(path).await;
        assert!(page.len() < LONGEST, "{path}: {} bytes", page.len());
    }
    let page = world.page("/builders").await;
    assert!(page.contains("1–80 of 200 builders") && page.contains("offset=80"), "{page}");
    let found = world.page("/builders?q=NET-1&tag=linux").await;
    assert!(found.contains("net-102") && !found.contains("net-101") && !found.contains("core-"), "{found}");
}

#[tokio::test]
async fn nothing_from_outside_becomes_markup() {
    const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}";
    let world = World::new().await;
    let seed = seed::Seed { data: &world.data, clock: &world.clock, lines: 5 };
    let decl = BuilderDecl {
        name: EVIL.into(),
        tags: vec![EVIL.into()],
        description: Some(EVIL.into()),
        ..BuilderDecl::default()
    };
    let builder = world.data.sync_builders(&[decl]).await.unwrap()[EVIL];
    let workers = [WorkerDecl { name: EVIL.into(), builders: vec![EVIL.into()] }];
    let worker = world.data.sync_workers(&workers).await.unwrap()[EVIL].workerid;
    world
        .data
        .worker_connected(worker, json!({"version": EVIL, "os_name": EVIL}))
        .await
        .unwrap()
        .await
        .unwrap();
    world.data.set_worker_paused(worker, true, Some(EVIL)).await.unwrap().await.unwrap();
    let change = NewChange {
        author: EVIL.into(),
        comments: EVIL.into(),
        branch: Some(EVIL.into()),
        revision: Some(EVIL.into()),
        revlink: Some("javascript:alert(3)".into()),
        repository: EVIL.into(),
        files: vec![EVIL.into()],
        ..NewChange::default()
    };
    let change = world.data.add_change(change).await.unwrap();
    let build = seed.build(builder, &change, worker, seed::Fate::Runs, 10).await;
    let mut properties = Properties::new();
    properties.set(EVIL, json!({EVIL: [EVIL]}), EVIL);
    properties.set("owner", EVIL, "x");
    world.data.set_build_properties(build.buildid, properties).await.unwrap().await.unwrap();
    let step = seed.step(&build, EVIL, EVIL, seed::Fate::Runs, 1, 5).await;
    world.data.add_step_url(step.stepid, EVIL, "javascript:alert(4)").await.unwrap().await.unwrap();
    let (log, _) = world.data.add_log(step.stepid, EVIL, LogType::Text).await.unwrap();
    world.data.append_log(log.logid, LogText(format!("{EVIL}\n"))).await.unwrap().await.unwrap();
    world.data.finish_step(step.stepid, Results::Failure, EVIL, false).await.unwrap().detach();
    seed.request(builder, &change, EVIL).await;
    world.data.set_virtual(
        "script_errors",
        std::sync::Arc::new(|| {
            vec![json!({"callback": EVIL, "concerns": EVIL,
        "kind": EVIL, "message": EVIL, "traceback": EVIL, "count": 1, "last_at": 5.5})]
        }),
    );

    let mut pages: Vec<String> = ALL.iter().map(|p| (*p).to_string()).collect();
    pages.push(format!("/builders/{builder}"));
    pages.push(format!("/builders/{builder}/builds/1"));
    pages.push(format!("/builders/{builder}/builds/1/steps/2/logs/{}", log.slug));
    pages.push(format!("/changes/{}", change.changeid));
    pages.push(format!("/workers/{worker}"));
    pages.push(
        "/builders?q=%3Cscript%3Ealert(1)%3C/script%3E&tag=%22%3E%3Cimg%20src=x%20onerror=alert(2)%3E".into(),
    );
    pages.push("/changes?branch=%22%3E%3Cimg%20src=x%20onerror=alert(2)%3E".into());
    for path in pages {
        let page = world.page(&path).await;
        for bad in
            ["<script>alert", "<img src=x", "href=\"javascript:", " onerror=alert(2)>{{ 7*7 }}\"'>", ">49<"]
        {
            assert!(!page.contains(bad), "{path} holds {bad}: {page}");
        }
    }
    let log_page = world.page(&format!("/builders/{builder}/builds/1/steps/2/logs/{}", log.slug)).await;
    assert!(log_page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{log_page}");
}

#[tokio::test]
async fn health_shows_refused_configurations_and_failed_functions() {
    let world = World::new().await;
    let error = lunabot_model::config::ConfigError {
        file: "master.lua".into(),
        line: Some(12),
        path: "www.prot".into(),
        message: "unknown option; did you mean port?".into(),
    };
    world.health.report.lock().unwrap().config_errors = vec![error];
    let rows = |n: i64| json!({"number": n, "content_hash": "abcdef", "loaded_at": 5, "current": n == 1, "errors": []});
    world.data.set_virtual("generations", std::sync::Arc::new(move || (0..20).map(rows).collect()));
    let page = world.page("/health").await;
    assert!(page.contains("the newest configuration was refused"));
    assert!(page.contains("master.lua:12: www.prot: unknown option; did you mean port?"), "{page}");
    assert!(page.contains("<td>19</td>"), "the newest load: {page}");
}

#[tokio::test]
async fn errors_are_pages_too() {
    let world = World::new().await;
    for path in
        ["/nope", "/builders/99", "/builders/1/builds/1", "/changes/5", "/workers/x", "/buildrequests/9"]
    {
        let (status, page) = world.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(page.contains("</html>") && page.contains("Home"), "{path}");
    }
}

#[tokio::test]
async fn a_builder_page_shows_how_it_is_configured() {
    let world = World::new().await;
    let ids = seed::small(&world.data, &world.clock, 5).await;
    let path = format!("/builders/{}", ids[0]);
    assert!(!world.page(&path).await.contains("h-configuration"), "nothing is known of it");
    let step = json!({"$kind": "steps.ShellCommand", "$id": 2, "$at": "master.lua:9",
                      "$args": {"command": ["make", "<all>"], "haltOnFailure": true}});
    let factory =
        json!({"$kind": "util.BuildFactory", "$id": 1, "$at": "master.lua:8", "$args": {"steps": [step]}});
    let config = json!({"name": "x", "factory": factory,
                        "canStartBuild": {"$fn": {"id": 1, "generation": 1, "fingerprint": "", "at": "master.lua:30"}}});
    let builder = lunabot_model::config::DeclaredBuilder {
        at: "master.lua:12".into(),
        config: serde_json::from_value(config).unwrap(),
        factory: serde_json::from_value(json!({"steps": [step]})).unwrap(),
    };
    let mut site = (*world.site.load()).clone();
    site.builders = lunabot_www::Declared::new(move |_| Some(builder.clone()));
    world.site.store(site);
    let page = world.page(&path).await;
    let shown = page.split("h-configuration").nth(2).unwrap();
    for wanted in
        ["make &lt;all&gt;", "ends the build if it fails", "master.lua:9", "canStartBuild", "master.lua:30"]
    {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}

/// Where the links of a page below a proxy's prefix lead, without query and fragment.
fn links(page: &str, at: &Url) -> Vec<Url> {
    let attribute = regex::Regex::new(r#" (?:href|src|action)="([^"]*)""#).unwrap();
    let found = attribute.captures_iter(page).filter_map(|one| {
        at.join(&one[1].replace("&#x2f;", "/").replace("&#x27;", "'").replace("&amp;", "&")).ok()
    });
    let found = found.filter(|to| to.origin() == at.origin());
    found
        .map(|mut to| {
            to.set_query(None);
            to.set_fragment(None);
            to
        })
        .collect()
}

#[tokio::test]
async fn every_link_of_every_page_holds_below_a_prefix() {
    let world = World::new().await;
    seed::small(&world.data, &world.clock, 50).await;
    let (mut seen, mut todo) = (BTreeSet::new(), vec![Url::parse("http://ci.example.org/a/ci/").unwrap()]);
    while let Some(at) = todo.pop() {
        let Some(path) = at.path().strip_prefix("/a/ci").map(str::to_owned) else {
            panic!("a link leads out of the prefix: {at}");
        };
        if !seen.insert(path.clone()) {
            continue;
        }
        let response = world.send(Request::get(&path).body(Body::empty()).unwrap()).await;
        let status = response.status().as_u16();
        let html = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        assert!(matches!(status, 200 | 303 | 405), "{path}: {status}");
        if let Some(to) = response.headers().get("location") {
            todo.push(at.join(to.to_str().unwrap()).unwrap());
        }
        if html {
            todo.extend(links(&text(response).await.1, &at));
        }
    }
    for part in [
        "/builders/",
        "/builds/",
        "/changes/",
        "/workers/",
        "/force/",
        "/logs/",
        "/static/",
        "/buildrequests/",
    ] {
        assert!(seen.iter().any(|path| path.contains(part)), "no link with {part} among {seen:?}");
    }
}
