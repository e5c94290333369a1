//! Files that are not ours, locks, indexes.

use crate::support::*;
use lunabot_db::ListQuery;
use lunabot_model::Results;
use lunabot_model::resources::{Build, BuildRequest, Buildset, Change, Log, Master, Step};
use lunabot_model::result_spec::ResultSpec;
use sqlx::{Connection, SqliteConnection};
use std::time::Duration;

async fn sqlite(place: &Place) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", place.file().display())).await.unwrap()
}

async fn refusal(place: &Place) -> String {
    open(&place.url, place.dir.path(), place.clock.clone()).await.err().unwrap().to_string()
}

#[tokio::test]
async fn foreign_and_newer_databases_are_refused_with_a_hint_14_021() {
    let place = Place::sqlite();
    let mut conn = sqlite(&place).await;
    sqlx::raw_sql("CREATE TABLE songs (id INTEGER)").execute(&mut conn).await.unwrap();
    assert!(refusal(&place).await.contains("it holds songs, but no table of Lunabot's"));
    sqlx::raw_sql("CREATE TABLE alembic_version (v TEXT)").execute(&mut conn).await.unwrap();
    assert!(refusal(&place).await.contains("a database of Buildbot, not of Lunabot"));

    let place = Place::sqlite();
    place.open().await.close().await.unwrap();
    let mut conn = sqlite(&place).await;
    sqlx::raw_sql("INSERT INTO lunabot_schema VALUES (999)").execute(&mut conn).await.unwrap();
    assert!(refusal(&place).await.contains("schema version 999"));

    let place = Place::sqlite();
    std::fs::write(place.file(), "this is not a database, but long enough to look at").unwrap();
    assert!(refusal(&place).await.contains("file is not a database"));
    let url = "mysql://user:secret@host/db";
    let error = open(url, place.dir.path(), place.clock.clone()).await.err().unwrap().to_string();
    assert!(
        error.contains("neither sqlite:///FILE nor postgresql://") && !error.contains("secret"),
        "{error}"
    );
}

#[tokio::test]
async fn opening_again_changes_nothing_14_019_14_023() {
    let place = Place::sqlite();
    for _ in 0..2 {
        let data = place.open().await;
        assert_eq!(data.master_id(), 1);
        assert_eq!(one(&data, "masters/1").await["active"], true);
        data.close().await.unwrap();
        let store = open_store(&place).await;
        assert!(!store.by_id::<Master>(1).await.unwrap().unwrap().active, "15.004");
        store.close().await;
    }
    assert_eq!(std::fs::read_dir(place.dir.path()).unwrap().count(), 1, "one file, no backup");
}

/// Another process holds the write lock for longer than we wait: nothing is lost, and all goes on when it lets go.
#[tokio::test]
async fn a_locked_database_is_waited_for() {
    let place = Place::sqlite();
    let data = place.open().await;
    let (builder, _) = configured(&data).await;
    let mut other = sqlite(&place).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let writing = tokio::spawn({
        let data = data.clone();
        async move { data.add_buildset(buildset(&[builder])).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!writing.is_finished(), "acknowledged before it was stored");
    assert_eq!(list(&data, "buildsets", "").await.len(), 0, "reading goes on");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    writing.await.unwrap().unwrap();
    assert_eq!(list(&data, "buildsets", "").await.len(), 1);
}

/// The lock is held for too long: callers are told why, and what is queued is written once it is free.
#[tokio::test]
async fn a_database_locked_for_long_is_reported_and_recovers() {
    let place = Place::sqlite();
    let data = place.open().await;
    let (builder, worker) = configured(&data).await;
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let mut other = sqlite(&place).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let (build, ack) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
    let told = ack.await.unwrap_err().to_string();
    assert!(told.contains("locked by another process: stop whatever else has the file open"), "{told}");
    let refused = data.add_buildset(buildset(&[builder])).await.unwrap_err();
    assert!(refused.to_string().contains("locked"), "{refused}");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    let mut events = listen(&data, &["builds/*/finished"]);
    data.finish_build(build.buildid, Results::Success, "done").await.unwrap().detach();
    assert_eq!(topics(&mut events, 1).await, ["builds/1/finished"]);
    assert_eq!(one(&data, "builds/1").await["results"], 0, "nothing is lost");
    assert_eq!(list(&data, "buildsets", "").await.len(), 1, "what was refused is not there");
}

/// The pages that are asked for all day come from indexes: no sorting, no reading of a whole table.
#[tokio::test]
async fn hot_pages_are_answered_from_indexes() {
    let place = Place::sqlite();
    let store = open_store(&place).await;
    for (scope, query, wanted) in [
        ("", "order=-buildid&limit=50", "SCAN b"),
        ("", "order=-started_at&limit=50", "SCAN b USING INDEX builds_started"),
        ("", "order=-complete_at&limit=50", "SCAN b USING INDEX builds_complete"),
        ("", "complete=false", "USING INDEX builds_complete"),
        ("", "results=2&order=-buildid&limit=10", "SEARCH b USING INDEX builds_results"),
        ("b.builderid = $1", "order=-number&limit=20", "SEARCH b USING INDEX"),
        ("b.builderid = $1", "order=-buildid&limit=20", "SEARCH b USING INDEX builds_builder"),
        ("b.workerid = $1", "order=-buildid&limit=20", "SEARCH b USING INDEX builds_worker"),
        ("b.buildrequestid = $1", "", "SEARCH b USING INDEX builds_request"),
    ] {
        plan::<Build>(&store, scope, query, wanted).await;
    }
    plan::<BuildRequest>(&store, "", "claimed=false", "USING INDEX buildrequests_incomplete").await;
    plan::<BuildRequest>(&store, "", "complete=false", "USING INDEX buildrequests_incomplete").await;
    plan::<BuildRequest>(
        &store,
        "r.builderid = $1",
        "order=-buildrequestid&limit=5",
        "buildrequests_builder",
    )
    .await;
    plan::<Buildset>(&store, "", "order=-submitted_at&limit=5", "buildsets_submitted").await;
    plan::<Change>(&store, "", "order=-changeid&limit=5", "SCAN c").await;
    plan::<Change>(&store, "", "order=-when_timestamp&limit=5", "changes_when").await;
    plan::<Step>(&store, "s.buildid = $1", "", "SEARCH s USING INDEX").await;
    plan::<Log>(&store, "l.stepid = $1", "", "SEARCH l USING INDEX").await;
}

async fn plan<R: lunabot_db::Resource>(store: &lunabot_db::Store, scope: &str, query: &str, wanted: &str) {
    let spec = ResultSpec::parse(query, &lunabot_db::field_specs(R::DECL), true).unwrap();
    let args = if scope.is_empty() { vec![] } else { vec![1.into()] };
    let plan = store.explain::<R>(ListQuery { scope, args, spec: &spec, total: true }).await.unwrap();
    // A step has a handful of logs: sorting those is cheaper than one more index to keep.
    let sorted = plan.iter().any(|line| line.contains("TEMP B-TREE")) && !scope.contains("stepid");
    assert!(plan[0].contains(wanted) && !sorted, "{scope} {query}: {plan:?}");
}

#[tokio::test]
async fn an_older_database_is_copied_before_its_schema_changes_14_022() {
    let place = Place::sqlite();
    let mut conn = sqlite(&place).await;
    let first = include_str!("../../../../migrations/sqlite/0001_first.sql");
    let old = format!(
        "CREATE TABLE lunabot_schema (version BIGINT NOT NULL PRIMARY KEY); INSERT INTO lunabot_schema VALUES (1); {first} \
         INSERT INTO builders (id, name) VALUES (7, 'kept');"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(old)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    place.open().await.close().await.unwrap();
    let copy = place.dir.path().join("state.sqlite.backup-1");
    for (file, newer) in [(copy, false), (place.file(), true)] {
        let url = format!("sqlite://{}", file.display());
        let mut conn = SqliteConnection::connect(&url).await.unwrap();
        let (version, builder): (i64, String) =
            sqlx::query_as("SELECT MAX(v.version), MAX(b.name) FROM lunabot_schema v, builders b")
                .fetch_one(&mut conn)
                .await
                .unwrap();
        assert_eq!((version > 1, builder.as_str()), (newer, "kept"), "{url}");
    }
}
