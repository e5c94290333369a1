//! From a buildset to a finished build.

use crate::support::*;
use lunabot_data::new::{LogText, NewBuildset, Patience, RequestLimits};
use lunabot_data::{Collapser, Data};
use lunabot_model::resources::LogType;
use lunabot_model::{BoxFuture, Properties, Results};
use serde_json::json;
use std::sync::Arc;

pub async fn rows_07_001_14_003_to_14_009_14_032_a_build_is_stored_and_read_back(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    let mut events =
        listen(&data, &["buildsets/*/*", "buildrequests/*/*", "builds/*/*", "steps/*/*", "logs/*/*"]);
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let request = requests[&builder];
    let pending = data.pending_requests(None).await.unwrap();
    assert_eq!((pending.len(), pending[0].properties.get("answer")), (1, Some(&json!(42))));
    assert!(data.claim(&[request]).await.unwrap());
    assert!(!data.claim(&[request]).await.unwrap(), "twice");
    place.clock.advance(5);
    run_build(&data, builder, request, worker).await;
    let seen = topics(&mut events, 13).await;
    let expected = [
        "buildsets/1/new",
        "buildrequests/1/new",
        "buildrequests/1/claimed",
        "builds/1/new",
        "steps/1/new",
        "steps/1/started",
        "logs/1/new",
        "logs/1/append",
        "logs/1/finished",
        "steps/1/finished",
        "builds/1/finished",
        "buildrequests/1/complete",
        "buildsets/1/complete",
    ];
    assert_eq!(seen, expected);
    check_rows(&data).await;
}

async fn run_build(data: &Data, builder: i64, request: i64, worker: i64) {
    let (build, _) = data.add_build(new_build(builder, request, worker)).await.unwrap();
    data.announce_build(build.buildid).await.unwrap().detach();
    let mut properties = Properties::new();
    properties.set("got", "it", "Git");
    data.set_build_properties(build.buildid, properties).await.unwrap().detach();
    let (step, _) = data.add_step(build.buildid, "shell", "waiting").await.unwrap();
    data.start_step(step.stepid, true).await.unwrap().detach();
    let (log, _) = data.add_log(step.stepid, "stdio", LogType::Stdio).await.unwrap();
    data.append_log(log.logid, LogText("oone\netwo\n".into())).await.unwrap().detach();
    data.append_log(log.logid, LogText("hthree\n".into())).await.unwrap().detach();
    data.finish_log(log.logid).await.unwrap().detach();
    data.finish_step(step.stepid, Results::Warnings, "warned", false).await.unwrap().detach();
    data.finish_build(build.buildid, Results::Warnings, "done").await.unwrap().detach();
    data.complete_requests(&[request], Results::Warnings).await.unwrap().await.unwrap();
}

async fn check_rows(data: &Data) {
    let build = json!({
        "buildid": 1, "number": 1, "builderid": 1, "buildrequestid": 1, "workerid": 1, "masterid": 1,
        "started_at": 1005, "complete": true, "complete_at": 1005, "locks_duration_s": 0, "results": 1,
        "state_string": "done", "generation": "abc", "properties": {},
    });
    for path in ["builds/1", "builders/1/builds/1", "builders/b/builds/1"] {
        assert_eq!(one(data, path).await, build, "{path}");
    }
    let request = json!({
        "buildrequestid": 1, "buildsetid": 1, "builderid": 1, "priority": 0, "claimed": true,
        "claimed_at": 1000, "claimed_by_masterid": 1, "complete": true, "results": 1, "submitted_at": 1000,
        "complete_at": 1005, "waited_for": false, "properties": null,
    });
    assert_eq!(one(data, "buildrequests/1").await, request);
    let stamp = json!({
        "ssid": 1, "revision": null, "branch": "main", "repository": "r", "project": "", "codebase": "",
        "patch": null, "created_at": 1000,
    });
    let set = json!({
        "bsid": 1, "external_idstring": null, "reason": "because", "rebuilt_buildid": null,
        "submitted_at": 1000, "complete": true, "complete_at": 1005, "results": 1, "sourcestamps": [stamp],
        "parent_buildid": null, "parent_relationship": null,
    });
    assert_eq!(one(data, "buildsets/1").await, set);
    assert_eq!(one(data, "builds/1/properties").await, json!({"got": ["it", "Git"]}));
    assert_eq!(one(data, "buildsets/1/properties").await, json!({"answer": [42, "Scheduler"]}));
    assert_eq!(
        list(data, "builds", "property=*&field=properties").await,
        [json!({"properties": {"got": ["it", "Git"]}})]
    );
    assert_eq!(
        list(data, "buildrequests", "property=answer").await[0]["properties"],
        json!({"answer": [42, "Scheduler"]})
    );
    assert_eq!(
        list(data, "builds/1/property_list", "").await,
        [json!({"name": "got", "source": "Git", "value": "\"it\""})]
    );
    let step = one(data, "builders/b/builds/1/steps/shell").await;
    assert_eq!((&step["number"], &step["results"], &step["urls"]), (&json!(0), &json!(1), &json!([])));
}

/// RETRY gives a request back; the worst result is the set's (05.006, 07.025).
pub async fn rows_05_006_07_025_requests_come_back_and_end_their_set(place: Place) {
    let data = place.open().await;
    let (builder, _) = configured(&data).await;
    let (empty, none) = data.add_buildset(buildset(&[])).await.unwrap();
    assert!(none.is_empty());
    assert_eq!(one(&data, &format!("buildsets/{empty}")).await["results"], 0);

    let (set, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let request = requests[&builder];
    assert!(data.claim(&[request]).await.unwrap());
    data.unclaim(&[request]).await.unwrap().await.unwrap();
    assert_eq!(column(&data, "buildrequests", "claimed=false", "buildrequestid").await, [json!(request)]);
    assert_eq!(data.pending_requests(Some(&[request])).await.unwrap().len(), 1);
    data.set_request_priority(request, 7).await.unwrap().await.unwrap();
    assert_eq!(one(&data, &format!("buildrequests/{request}")).await["priority"], 7);
    assert!(data.claim(&[request]).await.unwrap());
    data.complete_requests(&[request], Results::Cancelled).await.unwrap().await.unwrap();
    let row = one(&data, &format!("buildsets/{set}")).await;
    assert_eq!((&row["complete"], &row["results"]), (&json!(true), &json!(6)));
    assert!(data.pending_requests(None).await.unwrap().is_empty());
    assert!(data.build_request(request).await.unwrap().unwrap().complete);
}

pub async fn a_request_has_properties_and_limits_of_its_own(place: Place) {
    let data = place.open().await;
    let (builder, _) = configured(&data).await;
    let patience = Patience { request: Some(60), offline_workers: Some(5) };
    let set = NewBuildset { patience, ..buildset(&[builder]) };
    let request = data.add_buildset(set).await.unwrap().1[&builder];
    let plain = data.add_buildset(buildset(&[builder])).await.unwrap().1[&builder];
    let mut own = Properties::new();
    own.set("answer", 43, "collapseRequests");
    data.set_request_properties(request, &own).await.unwrap().await.unwrap();
    data.close().await.unwrap();
    let data = place.open().await;
    let all = data.pending_requests(None).await.unwrap();
    let found = |id: i64| all.iter().find(|p| p.request.buildrequestid == id).unwrap();
    let limits = RequestLimits { expires_at: Some(1060), offline_timeout: Some(5) };
    assert_eq!((found(request).limits, found(plain).limits), (limits, RequestLimits::default()));
    assert_eq!(found(request).properties.get("answer"), Some(&json!(43)));
    assert_eq!(found(plain).properties.get("answer"), Some(&json!(42)));
    let shown = list(&data, "buildrequests", "property=answer&order=buildrequestid").await;
    assert_eq!(shown[0]["properties"], json!({"answer": [43, "collapseRequests"]}));
    assert_eq!(shown[1]["properties"], json!({"answer": [42, "Scheduler"]}));
    assert_eq!(data.request_properties(request).await.unwrap(), own);
    data.claim(&[request]).await.unwrap();
    data.complete_requests(&[request], Results::Success).await.unwrap().await.unwrap();
    assert_eq!(data.request_properties(request).await.unwrap(), own, "also of a complete one");
}

/// Skips every older request.
struct SkipOlder(Data);

impl Collapser for SkipOlder {
    fn collapse<'a>(&'a self, new: &'a [i64]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let all = self.0.pending_requests(None).await.unwrap();
            let older: Vec<i64> =
                all.iter().map(|p| p.request.buildrequestid).filter(|id| !new.contains(id)).collect();
            assert!(self.0.claim(&older).await.unwrap());
            self.0.complete_requests(&older, Results::Skipped).await.unwrap().await.unwrap();
        })
    }
}

pub async fn row_07_001_the_collapser_comes_before_the_announcement(place: Place) {
    let data = place.open().await;
    let (builder, _) = configured(&data).await;
    data.add_buildset(buildset(&[builder])).await.unwrap();
    data.set_collapser(Arc::new(SkipOlder(data.clone())));
    let mut events = listen(&data, &["buildsets/*/*", "buildrequests/*/*"]);
    data.add_buildset(NewBuildset { priority: 3, ..buildset(&[builder]) }).await.unwrap();
    let expected = [
        "buildrequests/1/claimed",
        "buildrequests/1/complete",
        "buildsets/1/complete",
        "buildsets/2/new",
        "buildrequests/2/new",
    ];
    assert_eq!(topics(&mut events, 5).await, expected);
    assert_eq!(column(&data, "buildrequests", "results=3", "buildrequestid").await, [json!(1)]);
}

pub async fn row_07_006_a_request_is_not_given_up_for_itself_nor_for_one_that_is_complete(place: Place) {
    let data = place.open().await;
    let (builder, _) = configured(&data).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(data.add_buildset(buildset(&[builder])).await.unwrap().1[&builder]);
    }
    let give_up = async |ids: &[i64], into: i64| {
        let why = Properties::new();
        let (ours, stored) = data.complete_free(ids, into, Results::Skipped, &why).await.unwrap();
        stored.await.unwrap();
        ours
    };
    assert_eq!(give_up(&ids[..2], ids[1]).await, [ids[0]], "it stays itself");
    assert_eq!(give_up(&ids[1..], ids[0]).await, [0; 0], "nobody would be left");
    assert_eq!(column(&data, "buildrequests", "complete=false", "buildrequestid").await, ids[1..]);
}

/// What changes nothing is durable at once.
pub async fn an_update_without_effect_does_not_wait(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let (build, _) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
    let (step, _) = data.add_step(build.buildid, "s", "").await.unwrap();
    let (log, _) = data.add_log(step.stepid, "l", LogType::Text).await.unwrap();
    data.add_step_url(step.stepid, "n", "u").await.unwrap().detach();
    data.finish_log(log.logid).await.unwrap().detach();
    data.flush().await.unwrap();
    let nothing = async {
        data.set_build_properties(build.buildid, Properties::new()).await?.await?;
        data.add_step_url(step.stepid, "n", "u").await?.await?;
        data.append_log(log.logid, LogText("late\n".into())).await?.await?;
        data.append_log(log.logid, LogText(String::new())).await?.await?;
        data.finish_log(log.logid).await?.await?;
        data.complete_requests(&[99], Results::Success).await?.await?;
        data.unclaim(&[99]).await?.await
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), nothing).await.unwrap().unwrap();
}
