//! Many builds at once while people stop, cancel and workers come and go: nothing is lost, nothing runs twice.

use crate::support::{Master, Setup, builder, step};
use lunabot_model::BuildRequestId;
use lunabot_model::config::Collapse;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

const BUILDERS: [&str; 3] = ["a", "b", "c"];
const WORKERS: [&str; 3] = ["w", "v", "u"];
const REQUESTS: usize = 90;

fn setup() -> Setup {
    let steps = || vec![step("print one"), step("false"), step("true")];
    let all = BUILDERS
        .iter()
        .fold(Setup::new(&WORKERS), |setup, name| setup.builder(builder(name, &WORKERS, steps())));
    all.with(|config| config.collapse_requests = Some(Collapse::Switch(false)))
}

/// Waits until every request is complete.
async fn all_complete(master: &Master) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !master.list("buildrequests", "complete=false").await.is_empty() {
            master.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("every request is completed in the end");
}

async fn check(master: &Master, requests: &[BuildRequestId]) {
    let builds = master.list("builds", "limit=1000").await;
    let mut ended: HashMap<i64, usize> = HashMap::new();
    for build in &builds {
        assert_eq!(build["complete"], true, "{build}");
        if build["results"] != 5 {
            *ended.entry(build["buildrequestid"].as_i64().unwrap()).or_default() += 1;
        }
    }
    for request in requests {
        let row = master.one(&format!("buildrequests/{request}")).await;
        let times = ended.get(request).copied().unwrap_or_default();
        let cancelled = row["results"] == 6;
        assert!(times == 1 || cancelled && times == 0, "request {request} was built {times} times: {row}");
    }
    for build in &builds {
        let open = master.list(&format!("builds/{}/steps", build["buildid"]), "complete=false").await;
        assert!(open.is_empty(), "{open:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn row_07_010_a_burst_of_requests_is_built_each_once() {
    let master = Master::start(setup()).await;
    for name in WORKERS {
        master.worker(name).await;
    }
    let mut requests = Vec::new();
    for index in 0..REQUESTS {
        requests.push(master.request(BUILDERS[index % 3]).await);
    }
    all_complete(&master).await;
    check(&master, &requests).await;
    assert_eq!(master.list("builds", "limit=1000").await.len(), REQUESTS);
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn whatever_people_and_workers_do_every_request_ends_once() {
    let mut master = Master::start(setup()).await;
    let mut workers = Vec::new();
    for name in WORKERS {
        workers.push(master.worker(name).await);
    }
    let mut requests = Vec::new();
    for index in 0..REQUESTS {
        requests.push(master.request(BUILDERS[index % 3]).await);
        match index % 10 {
            3 => {
                let build = master.wait("builds/*/new").await;
                let path = format!("builds/{}", build["buildid"]);
                master.data.control(&path, "stop", json!({})).await.unwrap();
            }
            6 => {
                let path = format!("buildrequests/{}", requests[index - 1]);
                master.data.control(&path, "cancel", json!({})).await.unwrap();
            }
            9 => {
                let name = WORKERS[(index / 10) % 3];
                let worker = workers[(index / 10) % 3].clone();
                master.detach(name, &worker).await;
                master.attach(name, &worker).await;
            }
            _ => {}
        }
    }
    all_complete(&master).await;
    check(&master, &requests).await;
    master.stop().await;
}
