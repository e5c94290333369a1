//! Logins and rights of a whole master: its configuration, the command line, and Buildbot's own web client in a browser.

use anyhow::{Context as _, Result};
use lunabot_net::reqwest::Client;
use lunabot_net::reqwest::redirect::Policy;
use lunabot_tests::{Browser, Master, lunabot_binary, site_packages};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

/// joe may force, ann may do everything; `WWW` stands for more of `c.www`.
fn config(www: &str) -> String {
    r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {}
c.workers = { worker.LocalWorker{"local"} }
local f = util.BuildFactory{ steps.ShellCommand{name = "greet", command = "echo hello"} }
c.builders = { util.BuilderConfig{name = "hello", workernames = {"local"}, factory = f} }
c.schedulers = { schedulers.ForceScheduler{name = "force", buttonName = "Force it", builderNames = {"hello"}} }
c.www = {
  port = 0, WWW
  auth = util.UserPasswordAuth{joe = "j", ["ann@example.org"] = "a"},
  authz = util.Authz{
    policy = function(user, action, endpoint)
      if action == "kill" then return "workers are not to be killed" end
    end,
    allowRules = {
      util.ForceBuildEndpointMatcher{builder = "hel*", role = "staff"},
      util.EndpointMatcher{role = "owner", defaultDeny = false, match = function(endpoint, action, user)
        return action == "rebuild" and endpoint.builder == "hello"
      end},
      util.AnyControlEndpointMatcher{role = "admins"},
    },
    roleMatchers = {
      util.RolesFromOwner{"owner"},
      util.RolesFromEmails{admins = {"ann@example.org"}},
      util.Roles{function(user) return not user.anonymous and "staff" or nil end},
    },
  },
}
return c
"#
    .replace("WWW", www)
}

async fn lunabot(args: &[&str], dir: &Path) -> Result<(Option<i32>, String)> {
    let output = Command::new(lunabot_binary()).args(args).arg(dir).env("NO_COLOR", "1").output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr))))
}

#[tokio::test]
async fn functions_of_the_configuration_decide_and_explain_says_how_10_027() -> Result<()> {
    let master = Master::start(&config("")).await?;
    // Nobody is logged in here.
    let refused = master.control("forceschedulers/force", "force", json!({"builderid": "1"})).await;
    assert!(refused.is_err(), "{refused:?}");

    let http = Http::of(master.base());
    let cookie = http.login("joe", "j").await?;
    let (status, body) = http.control(&cookie, "forceschedulers/force", "force").await?;
    assert_eq!(status, 200, "{body}");
    master.until("builds?complete=true", |a| a["meta"]["total"] == 1).await?;
    let owner = master.get("builds/1/properties").await?;
    assert_eq!(owner["properties"][0]["owner"][0], "joe", "09.078");
    assert_eq!(http.control(&cookie, "builds/1", "stop").await?.0, 403);
    assert_eq!(http.control(&cookie, "builds/1", "rebuild").await?.0, 200, "it is joe's own");
    let (status, body) = http.control(&cookie, "workers/1", "kill").await?;
    assert!(status == 403 && body.contains("workers are not to be killed"), "{body}");

    for (question, code, wanted) in [
        (
            &["joe", "force", "forceschedulers/force"][..],
            0,
            "rule 1, ForceBuildEndpointMatcher at master.lua:17 allows it",
        ),
        (
            &["joe", "rebuild", "/api/v2/builds/1"][..],
            0,
            "rule 2, EndpointMatcher at master.lua:18 allows it",
        ),
        (&["jim", "rebuild", "builds/1"][..], 1, "denied: you need to have role 'admins'"),
        (&["joe", "kill", "workers/1"][..], 1, "denied: workers are not to be killed"),
        (&["anonymous", "stop", "builds/1"][..], 1, "denied: you need to have role 'admins'"),
        (&["anonymous", "GET", "builds/1"][..], 0, "allowed: no rule is about it"),
        (&["jim", "--email=ann@example.org", "stop", "builds/1"][..], 0, "rule 3, AnyControlEndpointMatcher"),
        (&["jim", "POST", "builds/1"][..], 1, "rebuild:\n"),
        (&["joe", "post", "masters/1"][..], 1, "denied: nothing can be posted to masters/1"),
        (&["joe", "frob", "builds/1"][..], 1, "denied: builds/1 has no action frob; it has stop, rebuild"),
    ] {
        let args: Vec<&str> = ["authz", "explain"].iter().chain(question).copied().collect();
        let (got, told) = lunabot(&args, master.dir()).await?;
        assert!(got == Some(code) && told.contains(wanted), "{question:?}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn explain_works_by_the_configuration_alone_and_checkconfig_warns_of_open_doors() -> Result<()> {
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("master.lua"), config(""))?;
    let (code, told) = lunabot(
        &["authz", "explain", "joe", "force", "forceschedulers/force", "--builder=hello"],
        dir.path(),
    )
    .await?;
    assert!(told.contains("no master runs here"), "{told}");
    assert!(code == Some(0) && told.contains("it is about builder hello"), "{told}");
    let (code, told) = lunabot(&["checkconfig"], dir.path()).await?;
    assert!(code == Some(0) && !told.contains("warning"), "{told}");

    let open = config("")
        .replace("  auth = ", "  json_cache_seconds = 0, } local unused = { auth = ")
        .replace("port = 0", "port = 8010");
    std::fs::write(dir.path().join("master.lua"), open)?;
    let (code, told) = lunabot(&["checkconfig"], dir.path()).await?;
    assert!(
        code == Some(0)
            && told.contains("warning: master.lua:")
            && told.contains(": www: nobody has to log in"),
        "{told}"
    );
    std::fs::write(
        dir.path().join("master.lua"),
        config("").replace("[\"ann@example.org\"] = \"a\"", "userInfoProvider = 3"),
    )?;
    let (code, told) = lunabot(&["checkconfig"], dir.path()).await?;
    assert!(
        code == Some(1) && told.contains("util.UserPasswordAuth: userInfoProvider: not supported yet"),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn people_log_in_and_out_in_buildbots_client_and_on_our_pages_10_013() -> Result<()> {
    let client = format!("client = {{ dir = \"{}/buildbot_www/static\" }},", site_packages()?.display());
    let master = Master::start(&config(&client)).await?;
    let browser = Browser::start().await?;

    // In the client: its own link, our form, and back to where the person was.
    browser.open(&format!("{}/client/#/builders/1", master.base())).await?;
    browser.read("*", "Anonymous").await?;
    browser.open(&format!("{}/client/auth/login?redirect=/builders/1", master.base())).await?;
    browser.fill("#username", "joe").await?;
    browser.fill("#password", "wrong").await?;
    browser.click("form.force button").await?;
    browser.read("p", "No such name and password").await?;
    browser.fill("#username", "joe").await?;
    browser.fill("#password", "j").await?;
    browser.click("form.force button").await?;
    browser.read("button", "Force it").await?.click().await?;
    browser.find(".modal-dialog").await?;
    browser.read("button", "Start build").await?.click().await?;
    master.until("builds?complete=true", |a| a["meta"]["total"] == 1).await.context("joe's build")?;
    let owner = master.get("builds/1/properties").await?;
    assert_eq!(owner["properties"][0]["owner"][0], "joe");
    let known = browser.script("return window.buildbotFrontendConfig.user.username").await?;
    assert_eq!(known, "joe");

    // The same session on our own pages, until the person logs out.
    browser.open(&format!("{}/builders/1", master.base())).await?;
    browser.read("span", "joe").await?;
    browser.read("a", "Log out").await?.click().await?;
    browser.read("a", "Log in").await?;
    browser.open(&format!("{}/builders/1/builds/1", master.base())).await?;
    browser.click("form[action$=rebuild] button").await?;
    browser.read("p", "you need to have role").await?;
    Ok(())
}

/// A client that keeps no cookies of its own.
struct Http<'a>(&'a str, Client);

impl Http<'_> {
    fn of(base: &str) -> Http<'_> {
        let client = lunabot_net::http::builder().redirect(Policy::none()).no_proxy().build();
        Http(base, client.expect("a client"))
    }

    async fn login(&self, user: &str, password: &str) -> Result<String> {
        let request = self.1.get(format!("{}/auth/login", self.0)).basic_auth(user, Some(password));
        let response = request.send().await?;
        let cookie = response.headers().get("set-cookie").context("no session")?.to_str()?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    async fn control(&self, cookie: &str, path: &str, method: &str) -> Result<(u16, String)> {
        let call = json!({"jsonrpc": "2.0", "method": method, "id": 1, "params": {}});
        let request = self.1.post(format!("{}/api/v2/{path}", self.0)).header("cookie", cookie).json(&call);
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}
