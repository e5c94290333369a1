//! Web hooks of a real master: signatures with a secret of a store, functions, pollers, what is told at load.

use anyhow::Result;
use lunabot_tests::{Master, Repo, lunabot_binary};
use std::process::Command;

const PUSH: &str = r#"{"ref":"refs/heads/main","created":true,"head_commit":{"id":"4f1a","message":"Mend","timestamp":"2026-02-15T22:57:17Z","url":"https://g/c/4f1a","author":{"name":"A","email":"a@b"},"committer":{"name":"A","email":"a@b"},"added":["x"]},"repository":{"name":"hello","full_name":"o/hello","html_url":"https://g/o/hello"}}"#;
/// HMAC-SHA256 of [`PUSH`] under `s3cret`, made with openssl.
const SIGNATURE: &str = "sha256=909efea6b4b579a4b5ebee23077a768567aa86353ee151a8b763f8515fe9e6a2";

fn config(repository: &str, secret: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local changes, schedulers, secrets, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.secrets, lunabot.steps, lunabot.util, lunabot.worker
local f = util.BuildFactory{{}}
f:addStep(steps.ShellCommand{{name = "tell", command = {{"echo", util.Interpolate "%(prop:event)s of %(src:cb-hello:repository)s"}}}})
return {{
  workers = {{ worker.LocalWorker{{"local"}} }},
  builders = {{ util.BuilderConfig{{name = "b", workernames = {{"local"}}, factory = f}} }},
  schedulers = {{ schedulers.AnyBranchScheduler{{name = "all", builderNames = {{"b"}}, codebases = {{"cb-hello"}},
                  change_filter = util.ChangeFilter{{codebase = "cb-hello"}}}} }},
  secretsProviders = {{ secrets.SecretInAFile{{"secrets"}} }},
  change_source = {{ changes.GitPoller{{"{repository}", name = "asked", pollInterval = 0, newest_at_first_poll = true}} }},
  www = {{ port = 0, change_hook_dialects = {{
    github = {{ secret = util.Secret "{secret}", strict = true, codebase = function(p) return "cb-" .. p.repository.name end }},
    poller = {{ allowed = {{"asked"}} }},
    gitea = true,
  }} }},
}}
"#
    )
}

async fn post(
    master: &Master,
    dialect: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Result<(u16, String)> {
    let mut request =
        reqwest::Client::new().post(format!("{}/change_hook/{dialect}", master.base())).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[tokio::test]
async fn a_signed_push_is_built_and_a_poller_asked_02_033_02_034_02_040() -> Result<()> {
    let repo = Repo::new()?;
    let dir = std::sync::Arc::new(tempfile::TempDir::new()?);
    std::fs::create_dir(dir.path().join("secrets"))?;
    std::fs::write(dir.path().join("secrets/forge"), "s3cret\n")?;
    restrict(&dir.path().join("secrets/forge"))?;
    std::fs::write(dir.path().join("master.lua"), config(&repo.url(), "forge"))?;
    let master = Master::start_in(dir.clone()).await?;
    master.log_line(|line| line.contains("change_hook_dialects.gitea: has no secret")).await?;

    let headers = [("content-type", "application/json"), ("x-github-event", "push")];
    let unsigned = post(&master, "github", &headers, PUSH).await?;
    assert_eq!(unsigned, (400, "Request has no required signature".into()));
    let signed = [headers[0], headers[1], ("x-hub-signature-256", SIGNATURE)];
    assert_eq!(post(&master, "github", &signed, PUSH).await?, (202, "1 change found".into()));
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 0, "{build}");
    let told = master.step_log(1, "tell", "stdio").await?;
    assert!(told.contains("push of https://g/o/hello"), "{told}");

    assert_eq!(post(&master, "poller?poller=other", &[], "").await?.1, "Could not find pollers: other");
    assert_eq!(post(&master, "poller?poller=asked", &[], "").await?, (202, "no change found".into()));
    let polled = |answer: &serde_json::Value| answer["meta"]["total"] == 2;
    let answer = master.until("changes?order=changeid", polled).await?;
    assert_eq!(answer["changes"][1]["comments"].as_str().map(str::trim), Some("first"));

    master.rewrite_config(&config(&repo.url(), "lost"))?;
    let output = Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output()?;
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("www.change_hook_dialects.github: secret: "), "{told}");
    assert!(told.contains("\"lost\" is not known to any secrets provider"), "{told}");
    assert_eq!(post(&master, "github", &signed, PUSH).await?.0, 202, "the old configuration goes on");
    Ok(())
}

fn restrict(file: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))?)
}
