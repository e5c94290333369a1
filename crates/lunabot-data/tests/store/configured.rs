//! Builders, workers, schedulers, projects.

use crate::support::*;
use lunabot_data::new::{BuilderDecl, ProjectDecl, WorkerDecl};
use lunabot_data::{ControlError, ControlHandler, Data, DataError};
use lunabot_model::resources::ForceScheduler;
use lunabot_model::{BoxFuture, Json};
use serde_json::json;
use std::sync::Arc;

fn builder(name: &str, tags: &[&str]) -> BuilderDecl {
    BuilderDecl {
        name: name.into(),
        tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        project: Some("p".into()),
        ..BuilderDecl::default()
    }
}

pub async fn rows_14_001_14_002_14_013_what_is_configured_can_be_read(place: Place) {
    let data = place.open().await;
    let project = ProjectDecl {
        name: "p".into(),
        slug: "p".into(),
        description: Some("d".into()),
        ..Default::default()
    };
    data.sync_projects(&[project]).await.unwrap();
    let mut events = listen(&data, &["builders/*/*"]);
    let ids = data.sync_builders(&[builder("x/y", &["t", "u"]), builder("z", &[])]).await.unwrap();
    assert_eq!(topics(&mut events, 4).await[..2], ["builders/1/started", "builders/1/update"]);
    let row = one(&data, "builders/x%2Fy").await;
    assert_eq!(
        row,
        json!({"builderid": ids["x/y"], "name": "x/y", "masterids": [1], "description": null,
               "description_format": null, "description_html": null, "projectid": 1, "tags": ["t", "u"]})
    );
    let paths = ["builders", "projects/1/builders", "masters/1/builders"];
    for path in paths {
        assert_eq!(column(&data, path, "", "name").await, [json!("x/y"), json!("z")], "{path}");
    }
    assert_eq!(column(&data, "projects", "active=yes", "name").await, [json!("p")]);

    // The same again writes nothing; a builder less keeps its row, without a master.
    data.sync_builders(&[builder("x/y", &["t", "u"]), builder("z", &[])]).await.unwrap();
    let again = data.sync_builders(&[builder("x/y", &["u"])]).await.unwrap();
    assert_eq!(again["x/y"], ids["x/y"]);
    assert_eq!(topics(&mut events, 2).await, ["builders/1/update", "builders/2/stopped"]);
    assert_eq!(one(&data, "builders/z").await["masterids"], json!([]));
    assert_eq!(one(&data, "builders/1").await["tags"], json!(["u"]));
    assert_eq!(column(&data, "builders", "masterids__contains=1", "name").await, [json!("x/y")]);
    schedulers(&data).await;
}

async fn schedulers(data: &Data) {
    let found = data.sync_schedulers(&["one".into(), "two".into()]).await.unwrap();
    data.sync_change_sources(&["poller".into()]).await.unwrap();
    data.set_scheduler_enabled(found["two"].schedulerid, false).await.unwrap();
    let after = data.sync_schedulers(&["two".into()]).await.unwrap();
    assert!(!after["two"].enabled, "03: disabled survives a reload");
    assert_eq!(column(data, "schedulers", "enabled=0", "name").await, [json!("two")]);
    assert_eq!(column(data, "masters/1/schedulers", "", "name").await, [json!("two")]);
    assert_eq!(one(data, "schedulers/1").await["master"], Json::Null);
    assert_eq!(one(data, "changesources/1").await["master"]["name"], "host:/base");
    let force = |name: &str, builder: &str| ForceScheduler {
        name: name.into(),
        button_name: name.into(),
        label: name.into(),
        builder_names: vec![builder.into()],
        enabled: true,
        all_fields: vec![],
    };
    data.set_force_schedulers(vec![force("f", "x/y"), force("g", "z")]);
    assert_eq!(column(data, "builders/1/forceschedulers", "", "name").await, [json!("f")]);
    assert_eq!(column(data, "forceschedulers", "builder_names__contains=z", "name").await, [json!("g")]);
    assert_eq!(
        column(data, "generations", "number=1", "number").await,
        Vec::<Json>::new(),
        "nobody has told any"
    );
    assert!(matches!(data.get("generations", "numer=1").await, Err(DataError::BadQuery(_))));
    data.set_virtual("generations", Arc::new(|| vec![json!({"number": 1}), json!({"number": 2})]));
    assert_eq!(column(data, "generations", "order=-number&limit=1", "number").await, [json!(2)]);
}

/// Echoes what it is asked.
struct Echo;

impl ControlHandler for Echo {
    fn control<'a>(
        &'a self,
        id: &'a str,
        action: &'a str,
        params: Json,
    ) -> BoxFuture<'a, Result<Json, ControlError>> {
        Box::pin(async move { Ok(json!([id, action, params])) })
    }
}

pub async fn row_14_014_workers_come_and_go(place: Place) {
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    let mut events = listen(&data, &["workers/*/*"]);
    data.worker_connected(worker, json!({"host": "h"})).await.unwrap().await.unwrap();
    let row = one(&data, "workers/w").await;
    assert_eq!(row["connected_to"], json!([{"masterid": 1}]));
    assert_eq!(row["configured_on"], json!([{"builderid": builder, "masterid": 1}]));
    let since = row["workerinfo"]["connected_at"].as_i64().unwrap();
    assert_eq!(row["workerinfo"], json!({"host": "h", "connected_at": since}));
    data.worker_disconnected(worker).await.unwrap().await.unwrap();
    let row = one(&data, "workers/w").await;
    assert!(row["workerinfo"]["disconnected_at"].as_i64().unwrap() >= since, "{row}");
    data.set_worker_paused(worker, true, Some("why")).await.unwrap().await.unwrap();
    assert_eq!(
        topics(&mut events, 3).await,
        ["workers/1/connected", "workers/1/disconnected", "workers/1/state_updated"]
    );
    assert_eq!(column(&data, "workers", "paused=yes", "pause_reason").await, [json!("why")]);
    for path in ["builders/1/workers", "builders/b/workers", "masters/1/builders/1/workers"] {
        assert_eq!(column(&data, path, "", "name").await, [json!("w")], "{path}");
    }
    data.on_control("workers", Arc::new(Echo));
    let answer = data.control("workers/w", "pause", json!({})).await.unwrap();
    assert_eq!(answer, json!(["1", "pause", {}]));
    let refused = data.control("builders/1", "pause", json!({})).await.unwrap_err();
    assert_eq!(refused.to_string(), "action: pause is not supported");
    assert!(matches!(data.control("workers/9", "x", json!({})).await, Err(ControlError::NotFound(_))));

    data.close().await.unwrap();
    drop(data);
    let data = place.open().await;
    let workers = data.sync_workers(&[WorkerDecl { name: "w".into(), builders: vec![] }]).await.unwrap();
    assert!(workers["w"].paused, "08.008");
    assert_eq!(one(&data, "workers/1").await["configured_on"], json!([]));
}
