//! What is reported of what the end of a process left behind (11.002, 14.033).

use anyhow::Result;
use lunabot_tests::{Master, running};
use std::net::TcpListener;

/// Tells of builds and requests by its log: `TOLD build 1 true 5`.
const TELLS: &str = r#"
c.services = { reporters.Reporter{name = "tells", generators = {
  reporters.BuildRequestGenerator{}, reporters.BuildStartEndStatusGenerator{},
}, send = function(reports)
  local build = reports[1].builds[1]
  local what, id = "build", build.buildid
  if not build.number then what, id = "request", build.buildrequestid end
  util.log.info(("TOLD %s %s %s %s"):format(what, id, build.complete, build.results or "none"))
end} }
"#;

/// The first start after the end of the process fails when everything is stored already.
#[tokio::test]
async fn rows_11_002_14_033_what_was_interrupted_is_told_by_the_start_that_succeeds() -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = running(&format!(
        r#"{TELLS}
c.protocols = {{ pb = {{ port = "tcp:{port}:interface=127.0.0.1" }} }}
c.workers[2] = worker.Worker{{"absent", "secret"}}
f:addStep(steps.ShellCommand{{command = "sleep 1000", name = "hangs", doStepIf = function(step) return step.build.number == 1 end}})
"#
    ));
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    master.log_line(|line| line.contains("TOLD build 1 false")).await?;
    let dir = master.kill().await?;
    let taken = TcpListener::bind(("127.0.0.1", port))?;
    assert!(Master::start_in(dir.clone()).await.is_err(), "the port is in use");
    drop(taken);
    let master = Master::start_in(dir).await?;
    master.log_line(|line| line.contains("TOLD build 1 true 5")).await?;
    Ok(())
}

/// What an interrupted build had triggered and waited for is cancelled by the next start, and told.
#[tokio::test]
async fn rows_11_015_06_046_requests_whose_parent_is_gone_are_told_as_cancelled() -> Result<()> {
    let config = running(&format!(
        r#"{TELLS}
c.builders[#c.builders + 1] = util.BuilderConfig{{name = "child", workernames = {{"local"}},
  factory = util.BuildFactory{{}}, canStartBuild = function() return false end}}
table.insert(c.schedulers, schedulers.Triggerable{{name = "children", builderNames = {{"child"}}}})
f:addStep(steps.Trigger{{schedulerNames = {{"children"}}, waitForFinish = true}})
"#
    ));
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    master.log_line(|line| line.contains("TOLD request 2 false")).await?;
    let master = Master::start_in(master.kill().await?).await?;
    master.log_line(|line| line.contains("TOLD request 2 true 6")).await?;
    Ok(())
}
