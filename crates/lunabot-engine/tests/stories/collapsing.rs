//! Collapsing by functions and by keys (reference 07.002–07.006, lua-api § 2).

use crate::support::config::{builder_with, object};
use crate::support::host::callback;
use crate::support::{Master, Setup, step};
use futures::StreamExt;
use lunabot_model::config::Collapse;
use lunabot_model::{Arg, BuildRequestId, Json, Properties};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

fn with_rule(rule: Json) -> Setup {
    let options = json!({"name": "b", "workernames": ["w"], "collapseRequests": rule});
    Setup::new(&["w"]).builder(builder_with(options, vec![step("true")]))
}

fn by_key(options: Json) -> Json {
    let mut args = json!({"fn": callback(1)});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    serde_json::to_value(object("util.collapse_by", args)).unwrap()
}

fn fields(arg: &Arg) -> Json {
    match arg {
        Arg::Object(object) => object.all_fields(),
        other => panic!("{other:?} is no object"),
    }
}

/// A property of a request, as a function sees it.
fn property(request: &Json, name: &str) -> Json {
    let all = serde_json::to_value(&request["properties"]["$properties"]).unwrap();
    all[name][0].clone()
}

async fn request(master: &Master, key: Json) -> BuildRequestId {
    let mut properties = Properties::new();
    properties.set("key", key, "Scheduler");
    master.request_with("b", 0, properties).await
}

async fn results(master: &Master, requests: &[BuildRequestId]) -> Vec<Json> {
    let mut all = Vec::new();
    for id in requests {
        all.push(master.one(&format!("buildrequests/{id}")).await["results"].clone());
    }
    all
}

#[tokio::test]
async fn a_function_sets_properties_on_the_request_that_stays() {
    let master = Master::start(with_rule(callback(1))).await;
    master.host.set(1, |args| {
        let (new, old) = (property(&fields(&args[2]), "seen"), property(&fields(&args[3]), "seen"));
        let count = new.as_i64().unwrap_or(1) + old.as_i64().unwrap_or(1);
        Ok(json!([true, {"set_properties": {"seen": count}}]))
    });
    let (first, second) = (master.request("b").await, master.request("b").await);
    let third = master.request("b").await;
    assert_eq!(results(&master, &[first, second]).await, [3, 3]);
    let row = master.list("buildrequests", &format!("buildrequestid={third}&property=*")).await;
    assert_eq!(row[0]["properties"]["seen"], json!([3, "collapseRequests"]), "the second stood for two");
    let (dir, clock) = (master.dir.clone(), master.clock.clone());
    master.stop().await;
    let mut master = Master::start_in(dir, clock, with_rule(json!(true))).await;
    master.worker("w").await;
    let build = master.finished(third).await;
    assert_eq!(master.property(&build, "seen").await.unwrap().0, 3, "stored with the request");
    let again = master.control(&format!("builds/{}", build["buildid"]), "rebuild").await;
    let again = again[1][build["builderid"].to_string()].as_i64().unwrap();
    let rebuilt = master.finished(again).await;
    assert_eq!(master.property(&rebuilt, "seen").await.unwrap().0, 3, "a rebuild has them too (07.027)");
    master.stop().await;
}

#[tokio::test]
async fn equal_keys_collapse_and_nil_never() {
    let mut master = Master::start(with_rule(by_key(json!({})))).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    master.host.set(1, move |args| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(property(&fields(&args[0]), "key"))
    });
    let mut all = Vec::new();
    for key in [json!("a"), json!("b"), Json::Null, json!("a"), Json::Null, json!(["a"]), json!("a")] {
        all.push(request(&master, key).await);
    }
    assert_eq!(results(&master, &all).await, [3, -1, -1, 3, -1, -1, -1]);
    assert_eq!(asked.load(Ordering::SeqCst), all.len(), "each once, however many wait");
    master.apply(with_rule(by_key(json!({})))).await;
    all.push(request(&master, json!("b")).await);
    assert_eq!(results(&master, &all[1..2]).await, [3]);
    assert_eq!(
        asked.load(Ordering::SeqCst),
        7 + 6,
        "all that wait once more after a reload, and the new one"
    );
    master.worker("w").await;
    let left: Vec<_> = [2, 4, 5, 6, 7].map(|index| all[index]).to_vec();
    master.all_finished(&left).await;
    master.stop().await;
}

/// Keys are asked for in parts, the newest first, and what a part tells is stored meanwhile.
#[tokio::test]
async fn of_thousands_one_is_left_also_where_a_newer_one_comes_while_keys_are_asked() {
    let mut master = Master::start(with_rule(json!(false))).await;
    let many = (0..1_500).map(|_| request(&master, json!("same")));
    let mut all: Vec<_> = futures::stream::iter(many).buffered(100).collect().await;
    all.sort_unstable();
    let (reached, open) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (gate, oldest) = ((reached.clone(), open.clone()), json!(all[0]));
    master.host.set_waiting(1, move |args| {
        let (asked, (reached, open)) = (fields(&args[0]), gate.clone());
        let waits = asked["buildrequestid"] == oldest;
        Box::pin(async move {
            if waits {
                reached.add_permits(1);
                open.acquire().await.unwrap().forget();
            }
            Ok(property(&asked, "key"))
        })
    });
    master.apply(with_rule(by_key(json!({})))).await;
    let newer = async {
        reached.acquire().await.unwrap().forget();
        let newer = request(&master, json!("same")).await;
        let open_still = master.list("buildrequests", "complete=false").await.len();
        open.add_permits(1);
        (newer, open_still)
    };
    let (new, (newer, open_still)) = futures::join!(request(&master, json!("same")), newer);
    all.push(new);
    assert!(open_still < 600, "those whose keys are known do not wait for the others: {open_still}");
    let left = master.list("buildrequests", "complete=false").await;
    assert_eq!(left.len(), 1, "also those whose keys came when the first new one was gone");
    assert_eq!(left[0]["buildrequestid"], newer);
    assert_eq!(results(&master, &[all[0], all[800], new]).await, [3, 3, 3]);
    master.stop().await;
}

#[tokio::test]
async fn compatible_asks_the_default_rule_too_and_errors_do_not_collapse() {
    let master = Master::start(with_rule(by_key(json!({"compatible": true})))).await;
    master.host.set(1, |args| match property(&fields(&args[0]), "key").as_str() {
        Some("broken") => Err("oh".into()),
        Some("odd") => Ok(json!({"$ref": "buildrequest:1"})),
        _ => Ok(json!("same")),
    });
    let mut all = Vec::new();
    for key in ["x", "y", "x", "broken", "broken", "odd", "odd"] {
        all.push(request(&master, json!(key)).await);
    }
    let want = [3, -1, -1, -1, -1, -1, -1];
    assert_eq!(results(&master, &all).await, want, "scheduler's properties differ between x and y (07.007)");
    let told = master.host.nonsense.lock().unwrap().clone();
    assert!(told.len() == 2 && told[0].contains("util.collapse_by returned"), "{told:?}");
    master.stop().await;
}

#[tokio::test]
async fn row_07_002_a_key_of_the_master_holds_where_the_builder_says_nothing() {
    let by: Collapse = serde_json::from_value(by_key(json!({}))).unwrap();
    let own = json!({"name": "own", "workernames": ["w"], "collapseRequests": false});
    let setup = Setup::new(&["w"])
        .builder(builder_with(json!({"name": "b", "workernames": ["w"]}), vec![step("true")]))
        .builder(builder_with(own, vec![step("true")]))
        .with(|config| config.collapse_requests = Some(by));
    let master = Master::start(setup).await;
    master.host.set(1, |_| Ok(json!(true)));
    let mut all = Vec::new();
    for builder in ["b", "own", "b", "own"] {
        all.push(master.request(builder).await);
    }
    assert_eq!(results(&master, &all).await, [3, -1, -1, -1]);
    master.stop().await;
}
