//! From a buildset to a finished build.

use crate::support::*;
use lunabot_data::new::LogText;
use lunabot_model::resources::LogType;
use lunabot_model::{Properties, Results};
use serde_json::json;

#[tokio::test]
async fn a_build_is_stored_and_read_back() {
    let place = Place::sqlite();
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    let mut events =
        listen(&data, &["buildsets/*/*", "buildrequests/*/*", "builds/*/*", "steps/*/*", "logs/*/*"]);
    let (set, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let request = requests[&builder];
    let pending = data.pending_requests(None).await.unwrap();
    assert_eq!((pending.len(), pending[0].properties.get("answer")), (1, Some(&json!(42))));
    assert!(data.claim(&[request]).await.unwrap());
    assert!(!data.claim(&[request]).await.unwrap(), "twice");

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

    let seen = topics(&mut events, 13).await;
    let expected: Vec<String> = [
        format!("buildsets/{set}/new"),
        format!("buildrequests/{request}/new"),
        format!("buildrequests/{request}/claimed"),
        "builds/1/new".into(),
        "steps/1/new".into(),
        "steps/1/started".into(),
        "logs/1/new".into(),
        "logs/1/append".into(),
        "logs/1/finished".into(),
        "steps/1/finished".into(),
        "builds/1/finished".into(),
        format!("buildrequests/{request}/complete"),
        format!("buildsets/{set}/complete"),
    ]
    .into();
    let _ = &expected;
    assert_eq!(seen[..13], expected[..]);
}
