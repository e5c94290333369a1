//! The query language on rows (09d).

use crate::support::*;
use lunabot_data::{Answer, Data};
use lunabot_model::Results;
use serde_json::json;

async fn builds(data: &Data, count: i64) {
    let (builder, worker) = configured(data).await;
    for n in 1..=count {
        let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
        let (build, _) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
        if n % 3 != 0 {
            let results = if n % 2 == 0 { Results::Failure } else { Results::Success };
            data.finish_build(build.buildid, results, &format!("done {n} 100%")).await.unwrap().detach();
        }
    }
    data.flush().await.unwrap();
}

pub async fn builds_are_filtered_ordered_and_counted(place: Place) {
    let data = place.open().await;
    builds(&data, 10).await;
    for (query, ids, total) in [
        ("complete=false", vec![3, 6, 9], 3),
        ("complete=no&order=-buildid&limit=2", vec![9, 6], 3),
        ("results=2", vec![2, 4, 8, 10], 4),
        ("results__ne=2", vec![1, 5, 7], 3),
        ("results__in=0&results__in=2&number__lt=5", vec![1, 2, 4], 3),
        ("results__notin=0&results__notin=1", vec![2, 4, 8, 10], 4),
        ("order=results&order=-buildid&limit=5", vec![9, 6, 3, 7, 5], 10),
        ("order=-results&order=buildid&limit=4", vec![2, 4, 8, 10], 10),
        ("order=-number&limit=3&offset=2", vec![8, 7, 6], 10),
        ("limit=3&offset=20", vec![], 10),
        ("number__ge=9&number__le=10", vec![9, 10], 2),
        ("buildid__lt=2&buildid__lt=9", vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 10),
        ("limit=0", vec![], 10),
    ] {
        let Answer::List { items, total: counted, .. } = data.get("builds", query).await.unwrap() else {
            panic!("{query}")
        };
        let found: Vec<i64> = items.iter().map(|b| b["buildid"].as_i64().unwrap()).collect();
        assert_eq!((found, counted), (ids, Some(total)), "{query}");
    }
    let body = data.get_json("builds", "limit=1&field=buildid", false).await.unwrap().unwrap().body;
    assert_eq!(body, r#"{"builds":[{"buildid":1}],"meta":{"total":10}}"#);
    let kept = data.get_json("builds", "limit=1&field=buildid", false).await.unwrap().unwrap().body;
    assert_eq!(kept.as_ptr(), body.as_ptr(), "the answer is kept");
    builds(&data, 1).await;
    let fresh = data.get_json("builds", "limit=1&field=buildid", false).await.unwrap().unwrap().body;
    assert_eq!(fresh, r#"{"builds":[{"buildid":1}],"meta":{"total":11}}"#);
}

pub async fn lists_tags_and_texts_are_searched(place: Place) {
    let data = place.open().await;
    builds(&data, 4).await;
    for (query, ids) in [
        ("state_string__contains=100%25", vec![1, 2, 4]),
        ("state_string__contains=1_0", vec![]),
        ("state_string__contains=done 1&state_string__contains=done 4", vec![1, 4]),
    ] {
        assert_eq!(
            column(&data, "builds", query, "buildid").await,
            ids.iter().map(|i| json!(i)).collect::<Vec<_>>()
        );
    }
    for (query, count) in [("tags__contains=t", 1), ("tags__contains=x&tags__contains=t", 1), ("tags=t", 0)] {
        assert_eq!(list(&data, "builders", query).await.len(), count, "{query}");
    }
    assert_eq!(
        data.newest_builds(&[1], 2).await.unwrap()[&1].iter().map(|b| b.number).collect::<Vec<_>>(),
        [4, 3]
    );
    assert_eq!(data.pending_counts().await.unwrap()[&1].count, 4);
}
