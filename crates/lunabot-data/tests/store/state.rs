//! Free state, and schedulers' verdicts.

use crate::support::*;
use lunabot_data::new::{Classified, NewBuildset, NewChange, Settled, StateKey};
use serde_json::json;

fn key(name: &str) -> StateKey {
    StateKey { object: "poller".into(), class: "GitPoller".into(), name: name.into() }
}

pub async fn rows_14_013_14_017_14_028_state_and_verdicts_survive(place: Place) {
    let data = place.open().await;
    assert_eq!(data.get_state(&key("a")).await.unwrap(), None);
    data.set_state(&key("a"), json!({"main": "abc"})).await.unwrap().detach();
    data.set_state(&key("a"), json!([1])).await.unwrap().detach();
    assert_eq!(data.get_state(&key("a")).await.unwrap(), Some(json!([1])));

    let scheduler = data.sync_schedulers(&["s".into()]).await.unwrap()["s"].schedulerid;
    let mut changes = Vec::new();
    for _ in 0..3 {
        let change = data.add_change(NewChange { author: "a".into(), ..NewChange::default() }).await.unwrap();
        let verdict = Classified { changeid: change.changeid, important: change.changeid != 2 };
        data.classify_change(scheduler, verdict.clone()).await.unwrap().detach();
        changes.push(verdict);
    }
    data.close().await.unwrap();
    drop(data);

    let data = place.open().await;
    assert_eq!(data.get_state(&key("a")).await.unwrap(), Some(json!([1])));
    assert_eq!(data.classified_changes(scheduler).await.unwrap(), changes);
    let settled = Settled { schedulerid: scheduler, changes: vec![1], state: vec![(key("b"), json!(2))] };
    data.add_buildset(NewBuildset { settled: Some(settled), ..buildset(&[]) }).await.unwrap();
    assert_eq!(data.classified_changes(scheduler).await.unwrap(), changes[1..]);
    assert_eq!(data.get_state(&key("b")).await.unwrap(), Some(json!(2)));
    data.flush_classifications(scheduler, Some(2)).await.unwrap().await.unwrap();
    assert_eq!(data.classified_changes(scheduler).await.unwrap(), changes[2..]);
    data.flush_classifications(scheduler, None).await.unwrap().await.unwrap();
    assert!(data.classified_changes(scheduler).await.unwrap().is_empty());
}
