//! Web hooks of classes of the configuration (02.031), and what change sources serve.

use anyhow::Result;
use lunabot_tests::{Master, documented, lunabot_binary, running};
use serde_json::{Value, json};

const PAGE: &str = "customization/web-hooks.md";
const PUSH: &str = r#"{"ref":"refs/heads/main","created":true,"head_commit":{"id":"4f1a","message":"Mend","timestamp":"2026-02-15T22:57:17Z","url":"https://g/c/4f1a","author":{"name":"A","email":"a@b"},"committer":{"name":"A","email":"a@b"},"added":["x"]},"repository":{"name":"hello","full_name":"o/hello","html_url":"https://g/o/hello"},"pusher":{"name":"ann"}}"#;

/// Sends a request; `sign`: with the HMAC of the body under this secret in this header.
async fn post(
    master: &Master,
    path: &str,
    headers: &[(&str, &str)],
    sign: Option<(&str, &str)>,
    body: &str,
) -> Result<(u16, String)> {
    let request = reqwest::Client::new().post(format!("{}/change_hook/{path}", master.base()));
    let mut request = request.header("content-type", "application/json").body(body.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some((header, secret)) = sign {
        request = request.header(header, format!("sha256={}", hmac(secret, body)?));
    }
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

fn hmac(secret: &str, body: &str) -> Result<String> {
    use std::io::Write;
    let mut openssl = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", secret, "-r"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    openssl.stdin.take().expect("piped").write_all(body.as_bytes())?;
    let output = openssl.wait_with_output()?;
    Ok(String::from_utf8(output.stdout)?.split(' ').next().unwrap_or_default().to_string())
}

fn first(answer: &Value) -> &Value {
    &answer["changes"][0]
}

#[tokio::test]
async fn row_02_031_a_dialect_of_ones_own_reads_what_was_proven() -> Result<()> {
    let master = Master::start(&documented(PAGE, "A dialect of your own", "")?).await?;
    let sign = Some(("X-Signature", "a long random text"));
    let merged = r#"{"state":"merged","by":"ann","commit":"c0ffee","number":7,"files":["a","b"]}"#;
    assert_eq!(post(&master, "tracker", &[], None, merged).await?, (400, "Invalid secret".into()));
    let forged = Some(("X-Signature", "another text"));
    assert_eq!(post(&master, "tracker", &[], forged, merged).await?, (400, "Hash mismatch".into()));
    assert_eq!(master.get("changes").await?["meta"]["total"], 0);
    assert_eq!(post(&master, "tracker", &[], sign, merged).await?, (202, "1 change found".into()));
    let changes = master.get("changes").await?;
    let change = first(&changes);
    assert_eq!((&change["author"], &change["branch"]), (&json!("ann"), &json!("main")), "{change}");
    assert_eq!(change["files"], json!(["a", "b"]));
    assert_eq!(change["properties"]["ticket"], json!([7, "Change"]));
    for (body, wanted) in [
        (r#"{"state":"open"}"#, (202, "no change found")),
        (r#"{"state":"merged"}"#, (400, "the ticket does not say who merged it")),
        (r#"{"state":"merged","by":{"$kind":"util.Secret"}}"#, (400, "the payload has $kind and $fn")),
        ("{", (400, "Error loading JSON")),
        (r#"{"state":"merged","by":"ann"}"#, (500, "Error processing changes.")),
    ] {
        let (status, text) = post(&master, "tracker", &[], sign, body).await?;
        assert!(status == wanted.0 && text.starts_with(wanted.1), "{body}: {status} {text}");
    }
    // Joining nil to a text is the class's fault: the line is told, what the sender did wrong is not.
    let errors = master.get("script_errors").await?;
    let rows = errors["script_errors"].as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 1, "{errors}");
    assert_eq!(
        (&rows[0]["callback"], &rows[0]["concerns"]),
        (&json!("getChanges"), &json!("change hook tracker"))
    );
    assert!(
        rows[0]["line"].as_i64() > Some(0) && rows[0]["message"].to_string().contains("concatenate"),
        "{errors}"
    );
    assert_eq!(master.get("changes").await?["meta"]["total"], 1);
    Ok(())
}

#[tokio::test]
async fn rows_02_031_02_034_a_forge_has_another_event() -> Result<()> {
    let master = Master::start(&documented(PAGE, "Another event of a forge", "")?).await?;
    let sign = Some(("X-Hub-Signature-256", "a long random text"));
    let release = r#"{"action":"published","sender":{"login":"ann"},"release":{"tag_name":"v1","name":"One"},"repository":{"html_url":"https://g/o/hello","full_name":"o/hello"}}"#;
    let event = |name: &'static str| [("x-github-event", name)];
    assert_eq!(post(&master, "github", &event("release"), None, release).await?.0, 400, "it has a secret");
    assert_eq!(
        post(&master, "github", &event("release"), sign, release).await?,
        (202, "1 change found".into())
    );
    assert_eq!(post(&master, "github", &event("push"), sign, PUSH).await?, (202, "1 change found".into()));
    assert_eq!(post(&master, "github", &event("ping"), sign, "{}").await?, (202, "no change found".into()));
    assert_eq!(
        post(&master, "github", &event("fork"), sign, "{}").await?,
        (400, "Unknown event: fork".into())
    );
    // What the sender left out is the sender's mistake also where the class asks the dialect.
    let (status, text) = post(&master, "github", &event("push"), sign, "{}").await?;
    assert_eq!((status, text.as_str()), (400, "the payload has no text at ref"));
    let changes = master.get("changes?order=changeid").await?;
    let (release, push) = (&changes["changes"][0], &changes["changes"][1]);
    assert_eq!((&release["category"], &release["revision"]), (&json!("release"), &json!("v1")), "{release}");
    assert_eq!(push["properties"]["pusher"], json!(["ann", "Change"]), "{push}");
    assert_eq!(push["properties"]["event"], json!(["push", "Change"]), "{push}");
    Ok(())
}

/// What a handler for GitHub has of its dialect; an API that answers on this machine.
#[tokio::test]
async fn row_02_033_a_handler_asks_the_api() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let api = format!("http://{}/api/v3", listener.local_addr()?);
    let app = axum::Router::new()
        .route(
            "/api/v3/repos/o/hello/commits/c0ffee",
            axum::routing::get(|headers: axum::http::HeaderMap| async move {
                let token = headers["authorization"].to_str().unwrap_or_default().to_string();
                axum::Json(json!({"commit": {"message": format!("Mend [ci skip] {token}")}}))
            }),
        )
        .route(
            "/api/v3/who",
            axum::routing::get(|headers: axum::http::HeaderMap| async move {
                headers["authorization"].to_str().unwrap_or_default().to_string()
            }),
        );
    let served = tokio::spawn(async move { axum::serve(listener, app).await });
    let block = format!(
        r#"
local X = webhooks.GitHubEventHandler:extend("X", {{
  handle_asked = function(self, payload)
    local message = self:getCommitMessage("o/hello", "c0ffee")
    local elsewhere, why = pcall(function() return self.http:get{{"http://127.0.0.1.example.org/"}} end)
    return {{{{
      author = "x", comments = message, branch = self.pullrequest_ref,
      properties = util.merge(self:extractProperties(payload), {{
        skip = self:hasSkip(message), who = self.http:get{{"/who"}}.text, elsewhere = elsewhere, why = tostring(why),
      }}),
    }}}}
  end,
}})
c.secretsProviders = {{ secrets.SecretInAFile{{".", suffixes = {{".secret"}}}} }}
util.write_file("t.secret", "t0ken")
util.process{{command = {{"chmod", "600", "t.secret"}}}}
c.www = {{ port = 0, change_hook_dialects = {{ github = {{ class = X, secret = "s", token = util.Secret "t",
  github_api_endpoint = "{api}", pullrequest_ref = "head", github_property_whitelist = {{"github.a.*"}} }} }} }}
"#
    );
    let master = Master::start(&running(&block)).await?;
    let headers = [("x-github-event", "asked")];
    let answer =
        post(&master, "github", &headers, Some(("x-hub-signature", "s")), r#"{"a":{"b":1},"c":2}"#).await?;
    assert_eq!(answer, (202, "1 change found".into()));
    let changes = master.get("changes").await?;
    let change = first(&changes);
    assert!(change["comments"].to_string().starts_with("\"Mend [ci skip] "), "{change}");
    assert_eq!(change["branch"], "head");
    let properties = &change["properties"];
    assert_eq!((&properties["skip"][0], &properties["github.a.b"][0]), (&json!(true), &json!(1)), "{change}");
    assert!(properties["who"][0].to_string().contains("Bearer "), "{change}");
    assert_eq!(properties["elsewhere"][0], false, "{change}");
    assert!(properties["why"][0].to_string().contains("alone"), "{change}");
    served.abort();
    Ok(())
}

#[tokio::test]
async fn faults_of_handlers_are_told_and_harm_nothing_else() -> Result<()> {
    for (getchanges, told) in [
        ("error('oh')", "oh"),
        ("while true do end", "computed longer"),
        ("return 3", "returned 3; wanted a list of changes"),
        ("return {{comments = 'x'}}", "change 1: author is missing"),
        ("return {{whom = 'x'}}", "whom: unknown option, did you mean who?"),
        ("return {{author = 'x', properties = {p = util.Secret 's'}}}", "properties: p: values are plain"),
        ("request:getHeader()", "getHeader(name): the name of a header is wanted"),
        ("return request.headrs", "request has no headrs, did you mean headers?"),
        ("local s = {} while true do s[#s + 1] = ('x'):rep(1000):rep(100000) .. #s end", "memory"),
    ] {
        let class = format!(
            "webhooks.BaseHookHandler:extend('X', {{getChanges = function(self, request) {getchanges} end}})"
        );
        let web = format!(
            "c.lua = {{memory_limit = '64 MB'}}\nc.www = {{ port = 0, change_hook_dialects = {{ base = true, x = {{class = {class}}} }} }}"
        );
        let master = Master::start(&running(&web)).await?;
        let answer = post(&master, "x", &[], None, "{}").await?;
        assert_eq!(answer, (500, "Error processing changes.".into()), "{getchanges}");
        let line = master.log_line(|line| line.contains(told) && line.contains("change hook x")).await;
        let line = line.map_err(|error| error.context(getchanges))?;
        assert!(line.contains("master.lua:"), "{line}");
        let errors = master.get("script_errors").await?;
        let rows = errors["script_errors"].as_array().cloned().unwrap_or_default();
        assert!(rows.iter().any(|row| row["message"].to_string().contains(told)), "{getchanges}: {errors}");
        assert_eq!(master.get("changes").await?["meta"]["total"], 0);
        assert_eq!(post(&master, "base?author=ann", &[], None, "").await?, (202, "1 change found".into()));
        master.force("runtests").await?;
        master.finished_build(1).await?;
    }
    Ok(())
}

#[test]
fn what_is_wrong_with_a_dialect_is_told_when_it_is_checked() -> Result<()> {
    for (dialects, told) in [
        ("{ x = { class = util.Secret 's' } }", "x.class: expected a class of webhooks"),
        (
            "{ x = { class = webhooks.BaseHookHandler:extend{}, secret = 's' } }",
            "where does the sender prove",
        ),
        ("{ custom = { class = webhooks.BaseHookHandler:extend{} } }", "take another name"),
        (
            "{ x = { class = webhooks.GitHubEventHandler, sceret = 's' } }",
            "sceret: unknown option, did you mean secret?",
        ),
        ("{ x = true }", "one of your own needs a class"),
        ("{ x = { class = webhooks.GitHubHandlr } }", "did you mean webhooks.GitHubHandler?"),
    ] {
        let dir = tempfile::tempdir()?;
        let web = format!("c.www = {{ port = 0, change_hook_dialects = {dialects} }}");
        std::fs::write(dir.path().join("master.lua"), running(&web))?;
        let output =
            std::process::Command::new(lunabot_binary()).arg("checkconfig").arg(dir.path()).output()?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && text.contains(told), "{dialects}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_source_serves_requests_until_it_leaves() -> Result<()> {
    const SOURCES: &str = "customization/change-sources.md";
    let config = documented(SOURCES, "A source that is told", "")?;
    let master = Master::start(&config).await?;
    let ring = async |master: &Master, query: &str, body: &str| -> Result<(u16, String)> {
        let url = format!("{}/change_hook/custom/{query}", master.base());
        let request = reqwest::Client::new().post(url).basic_auth("ringer", Some("password"));
        let response = request.body(body.to_string()).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    };
    master.until("changesources", |answer| answer["changesources"][0]["master"].is_object()).await?;
    // The row is there before the source has begun to act.
    master.log_line(|line| line.contains("change source Bell serves")).await?;
    assert_eq!(ring(&master, "bell?project=p", "ding").await?, (202, String::new()));
    let changes = master.get("changes").await?;
    let change = first(&changes);
    assert_eq!((&change["author"], &change["comments"]), (&json!("ringer"), &json!("ding")), "{change}");
    assert_eq!(ring(&master, "bell", "ding").await?, (400, "which project?".into()));
    assert_eq!(ring(&master, "bell?project=closed", "ding").await?, (409, "not any more".into()));
    assert_eq!(ring(&master, "bells?project=p", "ding").await?.0, 404);
    assert_eq!(post(&master, "custom/bell?project=p", &[], None, "ding").await?.0, 401, "change_hook_auth");
    let got = reqwest::Client::new().get(format!("{}/change_hook/custom/bell", master.base()));
    assert_eq!(got.basic_auth("ringer", Some("password")).send().await?.status().as_u16(), 405);

    // Two sources want one path, and one of them fails when it is asked.
    let two = config
        .replace("c.change_source = { Bell{} }", "c.change_source = { Bell{name = 'A'}, Bell{name = 'B'} }");
    let two = two.replace("util.fail(\"which project?\")", "error('which?')");
    master.rewrite_config(&two)?;
    let output = std::process::Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output()?;
    assert!(output.status.success(), "{output:?}");
    master.log_line(|line| line.contains("is served by change source") && line.contains("already")).await?;
    assert_eq!(ring(&master, "bell?project=p", "dong").await?.0, 202);
    assert_eq!(ring(&master, "bell", "dong").await?, (500, "Error processing the request.".into()));
    let errors = master.get("script_errors").await?.to_string();
    assert!(errors.contains("which?") && errors.contains("\"serve\""), "{errors}");

    // None is left.
    master.rewrite_config(&running("c.www = { port = 0 }"))?;
    let output = std::process::Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output()?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ring(&master, "bell?project=p", "dong").await?.0, 404);
    Ok(())
}
