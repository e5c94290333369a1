//! Files that are not ours, locks, indexes.

use crate::support::*;
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
async fn opening_again_changes_nothing_14_023() {
    let place = Place::sqlite();
    for _ in 0..2 {
        let data = place.open().await;
        assert_eq!(data.master_id(), 1);
        data.close().await.unwrap();
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
