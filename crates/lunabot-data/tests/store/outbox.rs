//! What is to be reported: written with what happened, kept until it is told.

use crate::support::*;
use lunabot_data::{Data, Due, Happening, Interest, Wish};
use lunabot_model::Results;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;

fn interest(reporter: &str, happenings: &[Happening], tags: Option<&str>) -> Interest {
    let wish =
        Wish { happenings: happenings.to_vec(), builders: None, tags: tags.map(|tag| vec![tag.to_owned()]) };
    Interest { reporter: reporter.into(), wants: vec![wish], wake: Arc::new(Notify::new()) }
}

fn told(due: &[Due]) -> Vec<(&str, i64)> {
    due.iter().map(|one| (one.topic.as_str(), one.tries)).collect()
}

async fn run_build(data: &Data, builder: i64, worker: i64) -> i64 {
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let request = requests[&builder];
    assert!(data.claim(&[request]).await.unwrap());
    let (build, _) = data.add_build(new_build(builder, request, worker)).await.unwrap();
    data.announce_build(build.buildid).await.unwrap().detach();
    data.finish_build(build.buildid, Results::Failure, "done").await.unwrap().detach();
    data.complete_requests(&[request], Results::Failure).await.unwrap().await.unwrap();
    build.buildid
}

/// Whoever reports finds what happened, the oldest of each thing first, also after the end of the process.
pub async fn rows_11_002_11_006_what_happened_waits_until_it_is_reported(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    run_build(&data, builder, worker).await;
    assert!(data.outbox_counts().await.unwrap().is_empty(), "nobody wants to hear of it");
    let all = interest("all", &Happening::ALL, None);
    let wake = all.wake.clone();
    let ends = || interest("ends", &[Happening::BuildFinished], Some("t"));
    let other = interest("other", &[Happening::BuildFinished], Some("elsewhere"));
    data.set_reporting(vec![all, ends(), other]).await.unwrap();
    run_build(&data, builder, worker).await;
    wake.notified().await;
    run_build(&data, builder, worker).await;
    let due = data.outbox("all", 100).await.unwrap();
    // What a build does comes after its request.
    let first = [
        ("buildrequests/2/new", 0),
        ("buildsets/2/complete", 0),
        ("buildrequests/3/new", 0),
        ("buildsets/3/complete", 0),
    ];
    assert_eq!(told(&due), first);
    // One is told, and what follows comes; another failed, and comes last.
    data.outbox_done(due[0].id).await.unwrap();
    data.outbox_later(due[2].id, 5_000, 1).await.unwrap();
    let due = data.outbox("all", 100).await.unwrap();
    assert_eq!(told(&due)[..2], [("builds/2/new", 0), ("buildsets/2/complete", 0)]);
    assert_eq!((&due[0].payload["complete"], &due[0].payload["number"]), (&json!(false), &json!(2)));
    let last = due.last().map(|one| (one.topic.as_str(), one.next_at, one.tries));
    assert_eq!(last, Some(("buildrequests/3/new", 5_000, 1)));
    // What waits behind it waits as long.
    data.outbox_done(due.last().unwrap().id).await.unwrap();
    let behind = data.outbox("all", 100).await.unwrap();
    let last = behind.last().map(|one| (one.topic.as_str(), one.next_at, one.tries));
    assert_eq!(last, Some(("builds/3/new", 5_000, 0)));
    data.outbox_done(due[0].id).await.unwrap();
    let due = data.outbox("all", 1).await.unwrap();
    assert_eq!((told(&due), &due[0].payload["results"]), (vec![("builds/2/finished", 0)], &json!(2)));
    assert_eq!(told(&data.outbox("ends", 1).await.unwrap()), [("builds/2/finished", 0)]);
    drop(data);
    // After a start there may be fewer who report.
    let data = place.open().await;
    assert_eq!(data.outbox_counts().await.unwrap()["all"], (5, 0));
    data.set_reporting(vec![ends()]).await.unwrap();
    let counts = data.outbox_counts().await.unwrap();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [("ends".to_owned(), (2, 0))]);
}

/// Builds that the end of a process interrupted have ended, too, and buildsets whose end it had not stored yet; however
/// often a start fails before somebody can hear of it.
pub async fn what_ended_between_two_processes_is_reported(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let (build, _) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
    data.announce_build(build.buildid).await.unwrap().await.unwrap();
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    assert!(data.claim(&[requests[&builder]]).await.unwrap());
    let (build, _) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
    data.finish_build(build.buildid, Results::Failure, "done").await.unwrap().await.unwrap();
    drop(data);
    drop(place.open().await);
    let data = place.open().await;
    assert!(data.outbox_counts().await.unwrap().is_empty(), "for nobody yet");
    let all = || interest("all", &Happening::ALL, None);
    data.set_reporting(vec![all()]).await.unwrap();
    let due = data.outbox("all", 10).await.unwrap();
    assert_eq!(told(&due), [("builds/1/finished", 0), ("buildsets/2/complete", 0)]);
    assert_eq!(due[0].payload["results"], Results::Retry.code());
    data.set_reporting(vec![all()]).await.unwrap();
    assert_eq!(data.outbox("all", 10).await.unwrap().len(), 2, "once");
    drop(data);
    let data = place.open().await;
    data.set_reporting(vec![all()]).await.unwrap();
    assert_eq!(data.outbox("all", 10).await.unwrap().len(), 2, "once");
}

/// A build that is stored and not announced when the process ends has begun all the same; so has one that ends at once.
pub async fn row_11_008_no_end_is_told_without_its_beginning(place: Place) {
    let all = || interest("all", &[Happening::BuildNew, Happening::BuildFinished], None);
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    data.set_reporting(vec![all()]).await.unwrap();
    let mut requests = Vec::new();
    for _ in 0..2 {
        requests.extend(data.add_buildset(buildset(&[builder])).await.unwrap().1.into_values());
    }
    let (_, stored) = data.add_build(new_build(builder, requests[0], worker)).await.unwrap();
    stored.await.unwrap();
    let (second, _) = data.add_build(new_build(builder, requests[1], worker)).await.unwrap();
    data.finish_build(second.buildid, Results::Exception, "broken").await.unwrap().await.unwrap();
    assert_eq!(data.outbox_counts().await.unwrap()["all"], (2, 0));
    drop(data);
    let data = place.open().await;
    data.set_reporting(vec![all()]).await.unwrap();
    let mut told = Vec::new();
    while let Some(due) = data.outbox("all", 1).await.unwrap().pop() {
        told.push((due.topic, due.payload["complete"].clone(), due.payload["results"].clone()));
        data.outbox_done(due.id).await.unwrap();
    }
    let one =
        |topic: &str, results: Option<i64>| (topic.to_owned(), json!(results.is_some()), json!(results));
    let wanted = [
        one("builds/2/new", None),
        one("builds/2/finished", Some(Results::Exception.code())),
        one("builds/1/new", None),
        one("builds/1/finished", Some(Results::Retry.code())),
    ];
    assert_eq!(told, wanted);
}

/// A request that is cancelled is reported as such, once.
pub async fn row_11_015_requests_that_nobody_builds_are_reported(place: Place) {
    let data = place.open().await;
    let (builder, _) = configured(&data).await;
    data.set_reporting(vec![interest("all", &[Happening::RequestCancelled], None)]).await.unwrap();
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    for _ in 0..2 {
        data.retire_request(requests[&builder], Results::Cancelled).await.unwrap().await.unwrap();
    }
    let due = data.outbox("all", 10).await.unwrap();
    assert_eq!(told(&due), [("buildrequests/1/cancel", 0)]);
    assert_eq!((&due[0].payload["complete"], &due[0].payload["results"]), (&json!(true), &json!(6)));
}
