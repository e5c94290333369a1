//! Secrets on their way through a build: in files only while the steps run, shown nowhere.

use anyhow::Result;
use lunabot_tests::Master;
use serde_json::json;

const CONFIG: &str = r#"
local lunabot = require "lunabot"
local schedulers, secrets, steps, util, worker =
  lunabot.schedulers, lunabot.secrets, lunabot.steps, lunabot.util, lunabot.worker
util.process{command = {"sh", "-c", "umask 077 && mkdir -p secrets && printf 's3cr3t/w0rd' > secrets/token"}}
local c = {}
c.secretsProviders = { secrets.SecretInAFile{"secrets"} }
c.workers = { worker.LocalWorker{"local"} }
local f = util.BuildFactory{}
local token = util.Secret "token"
f:withSecrets({{"token.txt", token}}, function()
  f:addStep(steps.ShellCommand{name = "use", command = "stat -c %a token.txt; cat token.txt; echo; base64 < token.txt; echo s3cr3t%2Fw0rd"})
end)
f:addSteps({steps.ShellCommand{name = "again", command = {"cat", "two.txt"}}},
           {withSecrets = {{"two.txt", util.Interpolate "%(secret:token)s!"}}})
f:addStep(steps.ShellCommand{name = "gone", command = "ls -A"})
f:addStep(steps.SetProperty{property = "p", value = token})
f:addStep(steps.StringDownload{"text", workerdest = "x"})
f:addStep(steps.FileUpload{workersrc = "x", masterdest = "up/x", mode = "0644", url = util.Interpolate "http://h/%(secret:token)s"})
f:addStep(steps.MasterShellCommand{command = {"cat", "up/x"}, env = {PATH = "${PATH}", T = token}})
f:addStep(steps.GET{util.Interpolate "http://127.0.0.1:1/?t=%(secret:token)s", flunkOnFailure = false})
c.builders = { util.BuilderConfig{name = "b", workernames = {"local"}, factory = f} }
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"b"}} }
c.www = { port = 0 }
return c
"#;

#[tokio::test]
async fn rows_05_066_12_012_13_024_a_secret_is_a_file_while_it_is_needed_and_shown_nowhere() -> Result<()> {
    let master = Master::start(CONFIG).await?;
    master.control("forceschedulers/force", "force", json!({"builderNames": ["b"]})).await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 0, "{build}");
    let mut shown = build.to_string();
    let steps = master.get("builds/1/steps").await?;
    let names = |steps: &serde_json::Value| -> Vec<String> {
        let steps = steps["steps"].as_array().into_iter().flatten();
        steps.map(|step| step["name"].as_str().unwrap_or_default().to_string()).collect()
    };
    let (before, after) = ("DownloadSecretsToWorker", "RemoveWorkerFileSecret");
    assert_eq!(
        names(&steps)[1..8],
        [before, "use", after, &format!("{before}_1"), "again", &format!("{after}_1"), "gone"]
    );
    for step in names(&steps) {
        for log in ["stdio", "log", "content"] {
            shown += &master.step_log(1, &step, log).await.unwrap_or_default();
        }
    }
    shown += &steps.to_string();
    shown += &master.get("builds/1/properties").await?.to_string();
    for form in ["s3cr3t", "czNjcjN0L3cwcmQ", "w0rd"] {
        assert!(!shown.contains(form), "{form} in {shown}");
    }
    let used = master.step_log(1, "use", "stdio").await?;
    assert!(used.contains("600\n") && used.matches("<token>").count() >= 3, "{used}");
    assert!(master.step_log(1, "again", "stdio").await?.contains("<token>!"));
    let gone = master.step_log(1, "gone", "stdio").await?;
    assert!(!gone.contains(".txt"), "{gone}");
    assert_eq!(std::fs::read_to_string(master.dir().join("up/x"))?, "text");
    assert!(master.step_log(1, "MasterShellCommand", "stdio").await?.contains("T=<token>"));
    Ok(())
}
