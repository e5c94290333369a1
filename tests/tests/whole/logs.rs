//! Logs as a reader finds them: their types, names, lines and ends (13.001–13.008, 13.017, 13.018).

use anyhow::{Context, Result};
use lunabot_tests::Master;
use serde_json::{Value, json};

/// One builder `b` of these steps.
fn config(steps: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{ worker.LocalWorker{{"local"}} }}, www = {{ port = 0 }} }}
c.builders = {{ util.BuilderConfig{{name = "b", workernames = {{"local"}}, factory = util.BuildFactory{{
{steps}
}}}} }}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"b"}}}} }}
return c
"#
    )
}

async fn logs(master: &Master, step: &str) -> Result<Vec<Value>> {
    let answer = master.get(&format!("builds/1/steps/{step}/logs?order=logid")).await?;
    Ok(answer["logs"].as_array().context("logs")?.clone())
}

fn seen(logs: &[Value], fields: &[&str]) -> Vec<Value> {
    logs.iter().map(|log| fields.iter().map(|field| log[field].clone()).collect()).collect()
}

#[tokio::test]
async fn rows_13_001_13_004_logs_have_types() -> Result<()> {
    let master = Master::start(&config(
        r#"
steps.ShellCommand{name = "prints", command = "echo one; echo two >&2", logEnviron = false},
steps.SetProperty{name = "raises", property = "x", value = util.renderer(function() error("<boom>") end)},"#,
    ))
    .await?;
    master.force("b").await?;
    assert_eq!(master.finished_build(1).await?["results"], 4);
    let fields = ["name", "slug", "type", "complete"];
    assert_eq!(seen(&logs(&master, "prints").await?, &fields), [json!(["stdio", "stdio", "s", true])]);
    assert_eq!(
        seen(&logs(&master, "raises").await?, &fields),
        [json!(["err.text", "err_text", "t", true]), json!(["err.html", "err_html", "h", true])]
    );
    // Lines of a stream tell their channel, those of texts are as they are (13.002).
    let content = async |path: &str| -> Result<String> {
        let answer = master.get(&format!("builds/1/steps/{path}/contents")).await?;
        Ok(answer["logchunks"][0]["content"].as_str().context("content")?.to_string())
    };
    let stdio = content("prints/logs/stdio").await?;
    for line in ["\noone\n", "\netwo\n", "\nhprogram finished with exit code 0\n"] {
        assert!(stdio.contains(line), "{stdio}");
    }
    assert!(content("raises/logs/err_text").await?.contains("<boom>"));
    let html = content("raises/logs/err_html").await?;
    assert!(html.starts_with("<pre>") && html.contains("&lt;boom&gt;"), "{html}");
    Ok(())
}

/// Whatever a log is called, its name is told as it is, and an address of its own finds it.
#[tokio::test]
async fn rows_13_006_13_007_logs_of_any_name_are_found() -> Result<()> {
    let odd = [
        "My Log!",
        "my-log",
        "my log",
        "a/b",
        "../../etc/passwd",
        ".",
        "%2F",
        "1st",
        "'\"<script>&",
        "tab\there",
        "line\nbreak",
        "ünïcödé 😀",
        "\u{202e}right",
        "stdio",
        "contents",
        "raw",
        "nul\0",
        "",
    ];
    let long = "x".repeat(300);
    let names: Vec<&str> = odd.into_iter().chain([long.as_str()]).collect();
    let files: String =
        names.iter().enumerate().map(|(n, name)| format!("[{}] = \"f{n}\", ", lua(name))).collect();
    let write: String = (0..names.len()).map(|n| format!("echo content {n} > f{n}; ")).collect();
    let master = Master::start(&config(&format!(
        "steps.ShellCommand{{name = \"prints\", command = \"{write}\", logfiles = {{{files}}}}},"
    )))
    .await?;
    master.force("b").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0, "{}", master.log());
    let all = logs(&master, "prints").await?;
    assert_eq!(all.len(), names.len() + 1);
    let mut slugs = std::collections::HashSet::new();
    for (n, name) in names.iter().enumerate() {
        // The one called stdio is another one than the command's own.
        let log =
            all.iter().rfind(|log| log["name"] == *name).with_context(|| format!("{name:?} in {all:#?}"))?;
        let slug = log["slug"].as_str().context("slug")?;
        let plain = slug.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        assert!(plain && slug.chars().count() <= 50, "{slug}");
        assert!(slugs.insert(slug), "{slug} twice");
        let text = master.step_log(1, "prints", slug).await?;
        assert!(
            text.ends_with(&format!(
                "
content {n}
"
            )),
            "{name:?}: {text}"
        );
    }
    let (status, page) = master.text("/builders/b/builds/1").await?;
    assert!(status == 200 && page.contains("My Log!") && !page.contains("<script>&"), "{status} {page}");
    Ok(())
}

/// A text as Lua writes it.
fn lua(text: &str) -> String {
    let quoted: String = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
    format!("\"{quoted}\"")
}

#[tokio::test]
async fn row_13_008_a_log_grows_and_is_complete_in_the_end() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let step =
        |n: u8| format!("until test -e {}/{n}; do sleep 0.05; done; echo line {n}", gate.path().display());
    let master = Master::start(&config(&format!(
        "steps.ShellCommand{{name = \"prints\", command = \"{}; {}\", logEnviron = false}},",
        step(1),
        step(2)
    )))
    .await?;
    let mut events = master.listen("logs/*/*").await?;
    master.force("b").await?;
    let mut open = Vec::new();
    for n in 1..=2 {
        std::fs::write(gate.path().join(n.to_string()), "")?;
        let path = "builds/1/steps/prints/logs/stdio";
        let told = format!("\nline {n}\n");
        loop {
            let (status, text) = master.text(&format!("/api/v2/{path}/raw_inline")).await?;
            if status == 200 && text.contains(&told) {
                break;
            }
            events.next().await?;
        }
        let log = master.get(path).await?["logs"][0].clone();
        if n == 1 {
            assert_eq!(log["complete"], false);
        }
        open.push(log["num_lines"].as_i64().context("num_lines")?);
    }
    assert_eq!(master.finished_build(1).await?["results"], 0);
    let log = master.get("builds/1/steps/prints/logs/stdio").await?["logs"][0].clone();
    let content = master.get("builds/1/steps/prints/logs/stdio/contents").await?;
    let lines = content["logchunks"][0]["content"].as_str().context("content")?.lines().count();
    assert_eq!((&log["complete"], &log["num_lines"]), (&json!(true), &json!(lines)));
    assert!(open[0] < open[1] && open[1] <= lines as i64, "{open:?} {lines}");
    Ok(())
}

#[tokio::test]
async fn rows_13_017_13_018_progress_bars_become_lines() -> Result<()> {
    let master = Master::start(&config(
        r#"steps.ShellCommand{name = "prints", command = [[printf '10%%\r20%%\r30%%\r\nab\b\bcd\ndone'; printf ' late']]},"#,
    ))
    .await?;
    master.force("b").await?;
    master.finished_build(1).await?;
    let answer = master.get("builds/1/steps/prints/logs/stdio/contents").await?;
    let content = answer["logchunks"][0]["content"].as_str().context("content")?;
    let out: Vec<&str> = content.lines().filter_map(|line| line.strip_prefix('o')).collect();
    assert_eq!(out, ["10%", "20%", "30%", "ab", "cd", "done late"]);
    Ok(())
}

/// As over msgpack: a line is not cut before it has four million characters.
#[tokio::test]
async fn rows_13_010_13_019_a_long_line_stays_one() -> Result<()> {
    let master = Master::start(&config(
        r#"
steps.ShellCommand{name = "prints", logEnviron = false,
  command = "head -c 200000 /dev/zero | tr '\\0' r; echo; head -c 150000 /dev/urandom | base64 -w 0; echo; echo end"},"#,
    ))
    .await?;
    master.force("b").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    let text = master.step_log(1, "prints", "stdio").await?;
    let long: Vec<usize> = text.lines().map(str::len).filter(|length| *length > 1000).collect();
    assert_eq!(long, [200_000, 200_000]);
    assert!(text.contains("\nend\n") && text.lines().any(|line| line == "r".repeat(200_000)));
    Ok(())
}

#[tokio::test]
async fn row_13_016_each_log_may_have_its_encoding() -> Result<()> {
    let steps = r#"
steps.ShellMixin:extend("Encoded", {name = "encoded", run = function(self)
  -- What a command prints is read as each log wants it.
  local cmd = util.RemoteCommand{"shell", {
    command = [[printf 'caf\351\n'; printf '\202\240\n' > sjis; printf 'b\0\351\0\n\0' > wide; sleep 0.1]], workdir = ".",
    logfiles = {sjis = "sjis", wide = "wide", plain = "plain"},
  }, collectStdout = true}
  cmd:useLog(self:addLog("stdio", "s", "latin-1"))
  cmd:useLog(self:addLog("sjis", "s", {logEncoding = "shift_jis"}), true, "sjis")
  cmd:useLog(self:addLog("wide", "s", "utf-16le"), true, "wide")
  cmd:useLog(self:addLog("plain", "s"), true, "plain")
  self:runCommand(cmd)
  assert(cmd.stdout == "café\n", cmd.stdout)
  -- What a step writes: bytes in the log's encoding; without one, UTF-8 is text and other bytes are in the step's.
  local own = self:addLog("own", "s", "cp1252")
  own:addStdout("\128uro\n")
  own:addStderr("é\n")
  own:addHeader("é\n")
  local asked = self:addLog("asked", "t", function(bytes) return (bytes:upper():gsub("\255", "ÿ")) end)
  asked:addContent("ab\255")
  local rest = self:addLog("rest", "t")
  rest:addContent("é ")
  rest:addContent("\233\n")
  self:addCompleteLog("whole", "\233")
  for wrong, why in pairs{
    ["klingon"] = '"klingon" is no encoding', [5] = "expected the name of an encoding or a function, not 5",
  } do
    local ok, told = pcall(self.addLog, self, "x", "s", wrong)
    assert(not ok and tostring(told):find(why, 1, true), tostring(told))
  end
  return cmd:results()
end}){logEncoding = "cp1251"},
steps.MasterShellCommand{command = [[printf 'caf\351\n']], logEncoding = "latin-1", name = "master"},
steps.MasterShellCommand{command = [[printf 'caf\351\n']], name = "configured"},
"#;
    let config = config(steps)
        .replace("www = {", "logEncoding = function(bytes) return (bytes:gsub('\\233', 'E')) end, www = {");
    let master = Master::start(&config).await?;
    master.force("b").await?;
    let build = master.finished_build(1).await?;
    let told = master.step_log(1, "encoded", "err_text").await.unwrap_or_default();
    assert_eq!(build["results"], 0, "{told}");
    for (log, wanted) in [
        ("stdio", "café\n"),
        ("sjis", "あ\n"),
        ("wide", "bé\n"),
        ("own", "€uro\nÃ©\né\n"),
        ("asked", "ABÿ\n"),
        ("rest", "é й\n"),
        ("whole", "й\n"),
    ] {
        let text = master.step_log(1, "encoded", log).await?;
        assert!(text.starts_with(wanted) || text.contains(&format!("\n{wanted}")), "{log}: {text:?}");
    }
    for (step, wanted) in [("master", "\ncafé\n"), ("configured", "\ncafE\n")] {
        let text = master.step_log(1, step, "stdio").await?;
        assert!(text.contains(wanted), "{step}: {text}");
    }
    Ok(())
}
