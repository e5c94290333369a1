//! A master that ends at any moment (14.033, 15.004). Its runtime is dropped, which ends the writer where it is.

use crate::support::*;
use lunabot_data::Data;
use lunabot_data::new::LogText;
use lunabot_model::Results;
use lunabot_model::resources::LogType;
use serde_json::json;
use std::sync::Arc;

/// Opens the store on a runtime of its own, lets `life` happen, and kills everything where it is.
async fn lives<F>(place: &Place, life: impl FnOnce(Data) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let (url, dir, clock) = (place.url.clone(), place.dir.path().to_owned(), place.clock.clone());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let data = runtime.block_on(async {
            let data = open(&url, &dir, clock).await.unwrap();
            life(data.clone()).await;
            data
        });
        runtime.shutdown_background();
        drop(data);
    });
    tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
}

pub async fn rows_14_006_14_033_what_a_killed_master_left_is_put_right(place: Place) {
    lives(&place, |data| async move {
        let (builder, worker) = configured(&data).await;
        data.worker_connected(worker, json!({})).await.unwrap().detach();
        let mut requests = Vec::new();
        for _ in 0..4 {
            let (_, added) = data.add_buildset(buildset(&[builder])).await.unwrap();
            requests.push(added[&builder]);
        }
        // 1: runs. 2: claimed, no build. 3: its build succeeded, but it is not complete. 4: waits.
        assert!(data.claim(&requests[..3]).await.unwrap());
        let (build, _) = data.add_build(new_build(builder, requests[0], worker)).await.unwrap();
        let (step, _) = data.add_step(build.buildid, "s", "running").await.unwrap();
        let (log, _) = data.add_log(step.stepid, "stdio", LogType::Stdio).await.unwrap();
        data.append_log(log.logid, LogText("oline\n".into())).await.unwrap().detach();
        let (done, _) = data.add_build(new_build(builder, requests[2], worker)).await.unwrap();
        data.finish_build(done.buildid, Results::Failure, "failed").await.unwrap().await.unwrap();
    })
    .await;
    place.clock.advance(60);
    let data = place.open().await;
    let build = one(&data, "builds/1").await;
    assert_eq!((&build["results"], &build["complete_at"]), (&json!(5), &json!(1060)));
    let step = one(&data, "builds/1/steps/0").await;
    assert_eq!((&step["results"], &step["complete"]), (&json!(5), &json!(true)));
    assert_eq!(one(&data, "steps/1/logs/stdio").await["complete"], true);
    let waiting: Vec<i64> =
        data.pending_requests(None).await.unwrap().iter().map(|p| p.request.buildrequestid).collect();
    assert_eq!(waiting, [1, 2, 4]);
    assert_eq!(column(&data, "buildrequests", "complete=1", "results").await, [json!(2)]);
    assert_eq!(one(&data, "buildsets/3").await["results"], 2, "nothing runs twice");
    assert_eq!(one(&data, "workers/w").await["connected_to"], json!([]));
    let (next, _) = data.add_build(new_build(1, 1, 1)).await.unwrap();
    assert_eq!((next.buildid, next.number), (3, 3), "14.006");
}

/// Lives end while builds run at full speed; after each, the store is whole.
pub async fn whatever_was_acknowledged_is_there(place: Place) {
    let acknowledged = Arc::new(std::sync::Mutex::new(Vec::<i64>::new()));
    for life in 0..5u64 {
        let told = acknowledged.clone();
        lives(&place, move |data| async move {
            let (builder, worker) = configured(&data).await;
            for n in 0..10 + life * 7 {
                let (_, added) = data.add_buildset(buildset(&[builder])).await.unwrap();
                told.lock().unwrap().push(added[&builder]);
                work(&data, builder, worker, added[&builder], n).await;
            }
        })
        .await;
        let data = place.open().await;
        let told = acknowledged.lock().unwrap().clone();
        check(&data, &told).await;
        data.close().await.unwrap();
    }
}

/// Part of a build, without waiting for anything.
async fn work(data: &Data, builder: i64, worker: i64, request: i64, n: u64) {
    assert!(data.claim(&[request]).await.unwrap());
    let (build, _) = data.add_build(new_build(builder, request, worker)).await.unwrap();
    let (step, _) = data.add_step(build.buildid, "s", "running").await.unwrap();
    let (log, _) = data.add_log(step.stepid, "stdio", LogType::Stdio).await.unwrap();
    data.append_log(log.logid, LogText(format!("o{n}\n"))).await.unwrap().detach();
    if n.is_multiple_of(2) {
        data.finish_build(build.buildid, Results::Success, "done").await.unwrap().detach();
    }
    if n.is_multiple_of(4) {
        data.complete_requests(&[request], Results::Success).await.unwrap().detach();
    }
}

async fn check(data: &Data, acknowledged: &[i64]) {
    let all = column(data, "buildrequests", "", "buildrequestid").await;
    assert!(acknowledged.iter().all(|id| all.contains(&json!(id))), "a request was lost");
    assert!(list(data, "builds", "complete=false").await.is_empty(), "a build runs for ever");
    assert!(list(data, "buildrequests", "claimed=true&complete=false").await.is_empty());
    for request in list(data, "buildrequests", "complete=true").await {
        let id = &request["buildrequestid"];
        let builds = column(data, &format!("buildrequests/{id}/builds"), "results__ne=5", "buildid").await;
        assert_eq!(builds.len(), 1, "request {id} was built twice");
    }
    for log in 1..=list(data, "builds", "").await.len() {
        let Ok(row) = data.get(&format!("logs/{log}"), "").await else { continue };
        let lunabot_data::Answer::One { item, .. } = row else { panic!("{row:?}") };
        let lines = item["num_lines"].as_i64().unwrap();
        assert_eq!(data.log_lines(log as i64, 0, 99).await.unwrap().lines().count() as i64, lines);
    }
}
