//! `util.jwt` and `util.GitHubAppToken`, with a small server as the forge.

use anyhow::{Context, Result};
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use base64::Engine as _;
use lunabot_tests::{Master, lunabot_binary, running};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;

/// The token that the forge gives.
const TOKEN: &str = "ghs_Vq83hfK20dkW";
const EXCHANGE: &str = "/app/installations/7/access_tokens";

/// Path and headers of every request.
type Seen = Arc<watch::Sender<Vec<(String, axum::http::HeaderMap)>>>;

/// Gives a token, or refuses to, and answers everything else by an empty list.
#[derive(Clone)]
struct Forge {
    url: String,
    seen: Seen,
    refuses: bool,
}

impl Forge {
    async fn start(refuses: bool) -> Result<Forge> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let forge = Forge { url, seen: Seen::default(), refuses };
        let app = axum::Router::new().fallback(answer).with_state(forge.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(forge)
    }

    /// A header of all requests for a path so far.
    fn headers(&self, path: &str, name: &str) -> Vec<String> {
        let header = |headers: &axum::http::HeaderMap| headers[name].to_str().unwrap_or_default().to_string();
        self.seen.borrow().iter().filter(|(at, _)| at == path).map(|(_, headers)| header(headers)).collect()
    }

    /// The same, when there have been so many.
    async fn until(&self, many: usize, path: &str, name: &str) -> Result<Vec<String>> {
        let count = |seen: &Vec<(String, _)>| seen.iter().filter(|(at, _)| at == path).count() >= many;
        self.seen.subscribe().wait_for(count).await?;
        Ok(self.headers(path, name))
    }
}

async fn answer(State(forge): State<Forge>, request: Request) -> axum::response::Response {
    let path = request.uri().path().to_string();
    let seen = (path.clone(), request.headers().clone());
    forge.seen.send_modify(|all| all.push(seen));
    let token = json!({"token": TOKEN, "expires_at": "2099-01-01T00:00:00Z"});
    match (path.as_str(), forge.refuses) {
        (EXCHANGE, false) => (axum::http::StatusCode::CREATED, axum::Json(token)).into_response(),
        (EXCHANGE, true) => {
            let told = axum::Json(json!({"message": "Bad credentials"}));
            (axum::http::StatusCode::UNAUTHORIZED, told).into_response()
        }
        ("/echo", _) => request.headers()["x-echo"].to_str().unwrap_or_default().to_string().into_response(),
        _ => axum::Json(json!([])).into_response(),
    }
}

/// A folder with the key of an app.
fn folder(config: &str) -> Result<Arc<TempDir>> {
    let dir = TempDir::new()?;
    let key = dir.path().join("app.pem");
    let made =
        Command::new("openssl").args(["genrsa", "-traditional", "-out"]).arg(&key).arg("2048").output()?;
    anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    std::fs::write(dir.path().join("master.lua"), config)?;
    Ok(Arc::new(dir))
}

fn config(forge: &Forge, more: &str) -> String {
    let block = format!(
        r#"
local app = util.GitHubAppToken{{app_id = 12, installation_id = 7, key_file = "app.pem", api_url = "{url}"}}
local jwt = util.jwt{{key_file = "app.pem", issuer = "me", claims = {{builder = util.Property "buildername"}}}}
local bearer = util.Interpolate{{"Bearer %(kw:t)s", t = app}}
local url = "{url}"
c.change_source = {{ changes.GitHubPullrequestPoller{{"octo", "hello", baseURL = url, token = app, pollInterval = 1, pollAtLaunch = true}} }}
{more}
"#,
        url = forge.url
    );
    running(&block)
}

const USES: &str = r#"
f:addStep(steps.ShellCommand{name = "tell", env = {T = app}, command = {"sh", "-c", "echo \"$T, ${#T} letters\"; echo \"$1\"", "sh", jwt}})
f:addStep(steps.GET{name = "get", url = url .. "/get", headers = {Authorization = bearer, ["X-Jwt"] = jwt}})
f:addStep(steps.BuildStep:extend("Asks", {params = {token = {type = "secret"}}, run = function(self)
  util.http.get{url .. "/function", token = self.token}
  util.http.session{token = app}:get{url .. "/session", headers = {["X-Token"] = app, ["X-Text"] = "text"}}
  util.log.warn("asked with " .. self.token)
  return util.SUCCESS
end}){name = "asks", token = app})
f:addStep(steps.BuildStep:extend("Echoes", {run = function(self)
  local own = util.jwt{key_file = "app.pem", issuer = "echo", claims = {builder = util.Property "buildername"}}
  local res = util.http.get{url .. "/echo", headers = {["X-Echo"] = own}}
  self:addCompleteLog("echo", #res.body > 100 and res.body)
  self:setProperty("echoed", res.body)
  local ok, told = pcall(util.http.get, {url, token = util.Property "not there"})
  assert(not ok and tostring(told):find("token: yields nothing"), told)
  ok, told = pcall(util.http.post, {url, json = {t = own}})
  assert(not ok and tostring(told):find("json holds what has to be rendered"), told)
  return util.SUCCESS
end}){name = "echoes"})
c.logCompressionMethod = "raw"
f:addStep(steps.ShellCommand{name = "renders", command = util.renderer(function(p) return {"echo", p:render(app)} end)})
f:addStep(steps.SetProperty{name = "sets", property = "mine", value = bearer})
f:addStep(steps.Trigger{name = "hands on", schedulerNames = {"child"}, waitForFinish = true, set_properties = {whole = app, part = bearer}})
f:addStep(steps.Trigger{name = "shows", schedulerNames = {"child"}, set_properties = {whole = jwt}})
local function letters(name)
  return steps.ShellCommand{name = name, command = {"sh", "-c", "echo \"$1, ${#1} letters\"", "sh", util.Property(name)}}
end
c.workers[2] = worker.LocalWorker{"other"}
c.builders[2] = util.BuilderConfig{name = "child", workernames = {"other"}, factory = util.BuildFactory{letters "whole", letters "part"}}
c.schedulers[2] = schedulers.Triggerable{name = "child", builderNames = {"child"}}
"#;

#[tokio::test]
async fn a_token_goes_wherever_a_secret_does_and_is_shown_nowhere() -> Result<()> {
    let forge = Forge::start(false).await?;
    let mut master = Master::start_in(folder(&config(&forge, USES))?).await?;
    let given = forge.until(2, "/repos/octo/hello/pulls", "authorization").await?;
    assert!(given.iter().all(|given| *given == format!("token {TOKEN}")), "{given:?}");
    master.force("runtests").await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 4, "the last step cannot hand its token on: {build}");
    assert_eq!(master.finished_build(2).await?["results"], 0);
    let exchanges = forge.headers(EXCHANGE, "accept");
    assert_eq!(exchanges, ["application/vnd.github+json"], "one exchange for all");

    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(forge.headers("/get", "authorization"), [bearer.as_str()]);
    assert_eq!(forge.headers("/function", "authorization"), [bearer.as_str()]);
    assert_eq!(forge.headers("/session", "authorization"), [bearer.as_str()]);
    assert_eq!(forge.headers("/session", "x-token"), [TOKEN]);
    assert_eq!(forge.headers("/session", "x-text"), ["text"]);
    let jwt = forge.headers("/get", "x-jwt").pop().context("a header")?;
    let claims =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).context("claims")?)?;
    let claims: Value = serde_json::from_slice(&claims)?;
    assert_eq!((&claims["iss"], &claims["builder"]), (&json!("me"), &json!("runtests")));

    for (build, step, log, shown) in [
        (1, "tell", "stdio", "\n<GitHubAppToken>, 16 letters\n<jwt>\n"),
        (1, "echoes", "echo", "<jwt>\n"),
        (1, "renders", "stdio", "\n<GitHubAppToken>\n"),
        (1, "shows", "err_text", "the property whole holds <jwt>, which another build cannot make"),
        (2, "whole", "stdio", "\n<GitHubAppToken>, 16 letters\n"),
        (2, "part", "stdio", "\nBearer <GitHubAppToken>, 23 letters\n"),
    ] {
        let text = master.step_log(build, step, log).await?;
        assert!(text.contains(shown) && !text.contains(TOKEN) && !text.contains(&jwt), "{step}: {text}");
    }
    let properties = master.get("builds/1/properties").await?["properties"][0].clone();
    assert_eq!(properties["echoed"][0], "<jwt>");
    assert_eq!(properties["mine"][0], "Bearer <GitHubAppToken>");
    let handed = master.get("buildsets/2/properties").await?["properties"][0].clone();
    assert_eq!(handed["whole"][0], "<GitHubAppToken>", "{handed}");
    assert_eq!(handed["part"][0], "Bearer <GitHubAppToken>", "{handed}");
    let said = master.log();
    assert!(said.contains("asked with <GitHubAppToken>") && !said.contains(TOKEN), "{said}");
    master.signal(nix::sys::signal::Signal::SIGTERM)?;
    master.ended().await?;
    holds_none(master.dir(), &[TOKEN, &jwt])
}

/// No file of a master's folder holds any of the texts.
fn holds_none(dir: &Path, texts: &[&str]) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            holds_none(&path, texts)?;
        } else if path.is_file() {
            let bytes = std::fs::read(&path)?;
            let found = |text: &&str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!texts.iter().any(found), "{} holds it", path.display());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_forge_that_refuses_is_told_where_the_token_was_wanted() -> Result<()> {
    let forge = Forge::start(true).await?;
    let more = "f:addStep(steps.ShellCommand{name = 'tell', command = {'echo', app}})";
    let master = Master::start_in(folder(&config(&forge, more))?).await?;
    let refused = format!(": 127.0.0.1{EXCHANGE} answers 401 Unauthorized Bad credentials");
    let line = master.log_line(|line| line.contains(&refused)).await?;
    assert!(line.contains("token: util.GitHubAppToken at master.lua:"), "{line}");
    master.force("runtests").await?;
    assert_eq!(master.finished_build(1).await?["results"], 4);
    let told = master.step_log(1, "tell", "err_text").await?;
    assert!(told.contains("util.GitHubAppToken at master.lua:") && told.contains(&refused), "{told}");
    Ok(())
}

#[test]
fn checkconfig_tells_keys_that_are_missing_or_none() -> Result<()> {
    for (block, good, told) in [
        (
            "f:addStep(steps.ShellCommand{command = {'x', util.jwt{key_file = 'gone.pem'}}})",
            true,
            "gone.pem: No such file or directory",
        ),
        (
            "c.www = {port = 0, change_hook_dialects = {github = {secret = 's', token = util.GitHubAppToken{app_id = 1, \
             installation_id = 2, key_file = 'master.lua'}}}}",
            true,
            "util.GitHubAppToken: key_file: ",
        ),
        (
            "f:addStep(steps.ShellCommand{command = {'x', util.jwt{key = 'x'}}})",
            false,
            "util.jwt: key: holds no private key in PEM form",
        ),
        (
            "f:addStep(steps.ShellCommand{command = {'x', util.jwt{key_fil = 'x'}}})",
            false,
            "util.jwt: key_fil: unknown option, did you mean key_file?",
        ),
        (
            "f:addStep(steps.ShellCommand{command = {'x', util.GitHubAppToken{app_id = 1, key_file = 'x'}}})",
            false,
            "util.GitHubAppToken: installation_id is missing",
        ),
        (
            "util.http.get{'http://127.0.0.1:1/', token = util.jwt{key = 'x', algorithm = 'HS256'}}",
            false,
            "util.http: token: is rendered in callbacks only, not while the file is loaded",
        ),
    ] {
        let dir = folder(&running(block))?;
        let output = Command::new(lunabot_binary()).arg("checkconfig").arg(dir.path()).output()?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() == good && said.contains(told), "{block}: {said}");
        assert!(said.contains("master.lua:"), "{block}: {said}");
    }
    Ok(())
}

const TESTS: &str = r#"
local t = require "lunabot.test"
t.test("a token is a text, unless the test says that there is none", function(m)
  m:worker("local"):answers{["echo <GitHubAppToken>"] = {rc = 1}}
  m:force{}
  t.equal(m:step(m:build(), "jwt").result, "success")
  t.equal(m:step(m:build(), "app").result, "failure")
  t.matches(m:log(m:build(), "jwt"), "echo <jwt>")
  m:secret("util.jwt", false)
  m:force{}
  t.equal(m:step(m:build(), "jwt").result, "exception")
end)
"#;

/// Neither the key nor the forge is there.
#[test]
fn lunabot_test_makes_no_tokens() -> Result<()> {
    let block = "f:addStep(steps.ShellCommand{name = 'jwt', command = {'echo', util.jwt{key_file = 'gone'}}}) \
                 f:addStep(steps.ShellCommand{name = 'app', command = {'echo', util.GitHubAppToken{app_id = 1, \
                 installation_id = 2, key_file = 'gone'}}})";
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("master.lua"), running(block))?;
    std::fs::write(dir.path().join("master_test.lua"), TESTS)?;
    let output = Command::new(lunabot_binary()).arg("test").arg(dir.path()).output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed, 0 failed"), "{said}");
    Ok(())
}
