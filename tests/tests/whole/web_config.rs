//! What `checkconfig` and a reload say of `c.www` and of ports.

use anyhow::Result;
use lunabot_tests::{Master, lunabot_binary};
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

fn config(www: &str, more: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{ worker.LocalWorker{{"local"}} }} }}
c.builders = {{ util.BuilderConfig{{name = "b", workernames = {{"local"}}, factory = util.BuildFactory{{}}}} }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"b"}}}} }}
c.www = {{ {www} }}
{more}
return c
"#
    )
}

async fn lunabot(command: &str, dir: &Path) -> Result<(bool, String)> {
    let output = Command::new(lunabot_binary()).arg(command).arg(dir).env("NO_COLOR", "1").output().await?;
    let told = [&output.stdout[..], &output.stderr[..]].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&told).into_owned()))
}

/// What is wrong, by the line of the configuration that says it; an empty text: nothing.
async fn check(table: &[(&str, &str, &str)]) -> Result<()> {
    for (www, more, wanted) in table {
        let dir = TempDir::new()?;
        std::fs::write(dir.path().join("master.lua"), config(www, more))?;
        let (good, told) = lunabot("checkconfig", dir.path()).await?;
        anyhow::ensure!(good == wanted.is_empty() && told.contains(wanted), "{www} {more}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn ports_that_are_none_are_told_by_checkconfig_10_001() -> Result<()> {
    check(&[
        ("port = 8010.0", "", ""),
        ("port = 99999", "", "www.port: 99999 (ports go from 0 to 65535) is not a place to listen at"),
        ("port = 8010.5", "", "www.port: 8010.5 (a port is a whole number) is not"),
        ("port = true", "", "www.port: true is not a place"),
        ("port = ''", "", "www.port: \"\" is not a place"),
        ("port = 'tcp:8010:backlog=9'", "", "backlog= has no use"),
        ("port = 'ssl:8010:privateKey=k.pem'", "", "it has no certKey=FILE"),
        ("port = 'le:/x:tcp:443'", "", "le: is not supported"),
        (
            "port = 0",
            "c.protocols = { pb = { port = 'http:80' } }",
            "protocols.pb.port: \"http:80\" (http: is not",
        ),
        (
            "port = 8010",
            "c.protocols = { pb = { port = '127.0.0.1:8010' } }",
            "protocols.pb.port: 127.0.0.1:8010 is the port of `www` already",
        ),
        ("port = 0, json_cache_seconds = -1", "", "www.json_cache_seconds: must not be below 0"),
        ("port = 0, rate_limit = {requests = -1}", "", "www.rate_limit.requests: must not be below 0"),
        ("port = 0, ws_ping_interval = -1", "", "www.ws_ping_interval: expected seconds"),
        ("port = 0, default_page = 'builders'", "", "www.default_page: is for Buildbot's web client"),
        ("port = 0, logfileName = 'http.log'", "", "lunabot_www::access=debug"),
    ])
    .await
}

#[tokio::test]
async fn a_port_is_told_once_at_a_reload_10_001() -> Result<()> {
    let master = Master::start(&config("port = 0", "")).await?;
    for port in ["99999", "'tcp:'", "'ssl:0:certKey=nowhere.pem'"] {
        master.rewrite_config(&config(&format!("port = {port}"), ""))?;
        let (good, told) = lunabot("reconfig", master.dir()).await?;
        let line = told.lines().find(|line| line.contains("www.port")).unwrap_or_default();
        assert!(!good && line.matches("www.port").count() == 1, "{port}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn logins_are_written_as_in_buildbot_10_021_10_024() -> Result<()> {
    let auth = |text: &'static str| format!("port = 0, auth = {text}");
    let oauth = "util.GitHubAuth{\"id\", \"secret\", \"https://github.example.org\", false, 4, true}";
    for (text, wanted) in [
        ("util.UserPasswordAuth{ann = \"a\", bob = \"b\"}", ""),
        ("util.UserPasswordAuth{{{\"ann\", \"a\"}, {\"bob\", \"b\"}}}", ""),
        ("util.UserPasswordAuth{users = {{\"ann\", \"a\"}}}", ""),
        (
            "util.UserPasswordAuth{{\"ann\", \"a\"}}",
            "users[1]: expected a list of texts, got the text \"ann\"",
        ),
        ("util.UserPasswordAuth{users = {\"ann\", \"a\"}}", "users[1]: expected a list of texts"),
        ("util.UserPasswordAuth{users = {{\"ann\"}}}", "or pairs {\"user\", \"password\"}"),
        ("util.NoAuth", ""),
        (oauth, ""),
        ("util.GoogleAuth{\"id\", \"secret\", true, false}", ""),
        ("util.GitHubAuth{\"id\", \"secret\", debug = true}", "debug: not supported yet"),
        ("util.GoogleAuth{\"id\", \"secret\", userInfoProvider = {}}", "userInfoProvider: not supported yet"),
        ("util.KeyCloakAuth{}", "use util.OpenIDConnectAuth"),
    ] {
        check(&[(auth(text).as_str(), "", wanted)]).await?;
    }
    let step = |options: &str| {
        format!(
            "c.builders = {{ util.BuilderConfig{{name = \"b\", workernames = {{\"local\"}}, factory = util.BuildFactory{{ \
             steps.ShellCommand{{command = \"x\", {options}}} }}}} }}"
        )
    };
    check(&[
        ("port = 0", step("env = {\"A=b\"}").as_str(), "env: expected a table with names, got an item 1"),
        ("port = 0", step("decodeRC = {[0] = 0, [3] = 1}").as_str(), ""),
        (
            "port = 0, change_hook_auth = \"file:nowhere\", change_hook_dialects = {base = true}",
            "",
            "www.change_hook_auth: ",
        ),
    ])
    .await
}

#[tokio::test]
async fn pairs_let_people_in_10_021() -> Result<()> {
    let www = "port = 0, allow_anonymous_control = false, auth = util.UserPasswordAuth{{{\"ann\", \"a\"}, {\"bob\", \"b\"}}}";
    let master = Master::start(&config(www, "")).await?;
    let http = lunabot_net::reqwest::Client::builder()
        .redirect(lunabot_net::reqwest::redirect::Policy::none())
        .build()?;
    for (user, password, status) in
        [("ann", "a", 302), ("bob", "b", 302), ("ann", "b", 401), ("1", "ann", 401)]
    {
        let request = http.get(format!("{}/auth/login", master.base())).basic_auth(user, Some(password));
        assert_eq!(request.send().await?.status(), status, "{user}");
    }
    Ok(())
}

/// 12.009: where a configuration is checked a secret may be unknown; where it is used it must not.
#[tokio::test]
async fn checkconfig_warns_of_secrets_that_nobody_has() -> Result<()> {
    let dir = TempDir::new()?;
    let www = "port = 0, auth = util.UserPasswordAuth{ann = util.Secret \"ann\"}, change_hook_dialects = {github = {secret = util.Secret \"forge\"}}";
    let text = config(www, "");
    std::fs::write(dir.path().join("master.lua"), &text)?;
    let line = text.lines().position(|line| line.contains("util.Secret")).map_or(0, |line| line + 1);
    let (good, told) = lunabot("checkconfig", dir.path()).await?;
    assert!(
        good && told.contains("warning: ") && told.contains("would not take this configuration up"),
        "{told}"
    );
    for path in ["www.auth", "www.change_hook_dialects.github"] {
        let wanted = format!("warning: master.lua:{line}: {path}");
        assert!(told.lines().any(|line| line.starts_with(&wanted)), "{wanted}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn requests_are_logged_for_who_asks_for_it_10_007() -> Result<()> {
    let config = config("port = 0, auth = util.UserPasswordAuth{ann = \"a\"}", "");
    let master = Master::start_logging(&config, "info,lunabot_www::access=debug").await?;
    assert_eq!(master.text("/auth/login?code=s3cret").await?.0, 401);
    assert_eq!(master.text("/builders/1?q=s3cret").await?.0, 200);
    assert_eq!(master.text("/nowhere").await?.0, 404);
    for parts in [
        &["/auth/login", "status=401", "client=", "127.0.0.1", "took=", "method=GET"][..],
        &["/builders/1", "status=200", "user=", "anonymous"],
        &["/nowhere", "status=404"],
    ] {
        let line = master.log_line(|line| line.contains("DEBUG request ") && line.contains(parts[0])).await?;
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {line}");
    }
    assert!(!master.log().contains("s3cret"), "{}", master.log());
    let quiet = Master::start(&config).await?;
    quiet.text("/builders/1").await?;
    assert!(!quiet.log().contains("request method="), "{}", quiet.log());
    Ok(())
}
