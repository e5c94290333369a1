//! Uploads that would not end by themselves (05.013, 05.050).

use anyhow::Result;
use lunabot_tests::{Master, running};
use serde_json::json;

/// A step makes what is to be uploaded; the one after it tries.
fn config(make: &str, upload: &str) -> String {
    running(&format!("f:addStep(steps.ShellCommand{{command = {make:?}}})\nf:addStep({upload})"))
}

/// The archive of a terabyte of holes is packed for hours.
#[tokio::test]
async fn row_05_013_an_archive_that_is_packed_ends_with_its_build() -> Result<()> {
    let upload = "steps.DirectoryUpload{name = 'up', workersrc = 'd', masterdest = 'got', compress = 'bz2'}";
    let master = Master::start(&config("mkdir d && truncate -s 1T d/huge", upload)).await?;
    master.force("runtests").await?;
    master.until("builds/1/steps?name=up", |answer| answer["steps"][0]["started_at"].is_number()).await?;
    master.control("builds/1", "stop", json!({"reason": "too large"})).await?;
    assert_eq!(master.finished_build(1).await?["results"], 6);
    assert!(!master.dir().join("got").exists());
    Ok(())
}

/// Opening a pipe waits for somebody who writes into it.
#[tokio::test]
async fn row_05_050_a_pipe_is_refused() -> Result<()> {
    let upload = "steps.FileUpload{name = 'up', workersrc = 'pipe', masterdest = 'got'}";
    let master = Master::start(&config("mkfifo pipe", upload)).await?;
    master.force("runtests").await?;
    assert_eq!(master.finished_build(1).await?["results"], 2);
    let log = master.step_log(1, "up", "stdio").await?;
    assert!(log.contains("/pipe' for upload: it is no regular file"), "{log}");
    Ok(())
}
