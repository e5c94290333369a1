//! Where a class may live: the places of the documentation, up to a package that `luarocks` installs (lua-api § 4).

use anyhow::{Context, Result, ensure};
use lunabot_tests::{Master, documented_folder, lunabot_binary};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

const PAGE: &str = "customization/plug-ins.md";

/// A folder of an example, with a `framboozler` that runs three tests.
fn folder(heading: &str, more: &str) -> Result<Arc<TempDir>> {
    let dir = documented_folder(PAGE, heading, more)?;
    let program = dir.path().join("bin/framboozler");
    std::fs::create_dir(dir.path().join("bin"))?;
    std::fs::write(&program, "#!/bin/sh\nfor n in 1 2 3; do echo test $n; echo 'FNURRRGH!'; done\n")?;
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
    Ok(Arc::new(dir))
}

/// What runs after the step and tells what it counted.
const TELL: &str = r#"
local Tell = steps.BuildStep:extend("Tell", {name = "tell", run = function(self)
  self:setProperty("tests", self.build:getSummaryStatistic("tests", function(a, b) return a + b end, 0), "Tell")
  return util.SUCCESS
end})
f:addStep(Tell{})
"#;

async fn counted(master: Master) -> Result<()> {
    master.force("runtests").await?;
    let build = master.finished_build(1).await?;
    assert_eq!(build["results"], 0, "{build}");
    assert!(master.step_log(1, "framboozle", "stdio").await?.contains("test 3"));
    let properties = master.get("builds/1/properties").await?;
    assert_eq!(properties["properties"][0]["tests"], json!([3, "Tell"]));
    Ok(())
}

fn check(dir: &Path, path: &str) -> Result<String> {
    let output =
        Command::new(lunabot_binary()).arg("checkconfig").arg(dir).env("LUNABOT_LUA_PATH", path).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_step_lives_in_the_configuration() -> Result<()> {
    let master = Master::start_in(folder("In master.lua", "")?).await?;
    master.force("runtests").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    Ok(())
}

#[tokio::test]
async fn a_step_lives_in_a_file_beside_it_and_a_reload_changes_nothing() -> Result<()> {
    let dir = folder("In a file beside it", TELL)?;
    let master = Master::start_in(dir.clone()).await?;
    let again = Command::new(lunabot_binary()).arg("reconfig").arg(dir.path()).output()?;
    let told = String::from_utf8_lossy(&again.stdout).into_owned();
    ensure!(again.status.success() && told.starts_with("unchanged: 1 builder"), "{told}");
    counted(master).await
}

#[tokio::test]
async fn a_plug_in_is_found_by_its_name() -> Result<()> {
    counted(Master::start_in(folder("As a plug-in", TELL)?).await?).await
}

#[test]
fn what_is_wrong_with_a_plug_in_is_told_beside_other_mistakes() -> Result<()> {
    let dir = folder("As a plug-in", "f:addStep(steps.ShellCommand{comand = 'x'})")?;
    let file = dir.path().join("lunabot_plugins/steps/Framboozle.lua");
    let good = std::fs::read_to_string(&file)?;
    for (text, told) in [
        (good.replace(">=0.1", ">=99"), "Framboozle: requires Lunabot >=99, this is "),
        (good.replace(">=0.1", "new"), "requires: \"new\" is no range of versions such as \">=1.2\""),
        (
            "local x = 1".into(),
            "lunabot_plugins.steps.Framboozle returns nothing; it should return its class",
        ),
        ("return steps.".into(), "lunabot_plugins/steps/Framboozle.lua:1: "),
    ] {
        std::fs::write(&file, text)?;
        let output = check(dir.path(), "")?;
        assert!(output.contains(told) && output.contains("comand: unknown option"), "{output}");
    }
    let dir = folder("As a plug-in", "")?;
    let file = dir.path().join("lunabot_plugins/steps/Framboozle.lua");
    std::fs::remove_file(&file)?;
    let output = check(dir.path(), "")?;
    assert!(output.contains("steps.Framboozle: unknown name"), "{output}");
    std::fs::write(dir.path().join("lunabot_plugins/steps/ShellCommand.lua"), "error('not me')")?;
    std::fs::write(&file, good.replace("\"framboozler\"", "\"true\""))?;
    let output = check(dir.path(), "")?;
    assert!(
        output.contains("steps.ShellCommand: is built in; the plug-in ") && output.contains("is not used"),
        "{output}"
    );
    Ok(())
}

#[tokio::test]
async fn luarocks_installs_a_plug_in() -> Result<()> {
    let dir = folder("As a plug-in", TELL)?;
    let tree = TempDir::new()?;
    let source = TempDir::new()?;
    for name in ["lunabot_plugins", "lunabot-framboozle-1.0-1.rockspec"] {
        std::fs::rename(dir.path().join(name), source.path().join(name))?;
    }
    let made = Command::new("luarocks")
        .args(["--lua-version", "5.4", "--tree"])
        .arg(tree.path())
        .args(["make", "--deps-mode", "none", "lunabot-framboozle-1.0-1.rockspec"])
        .current_dir(source.path())
        .output()
        .context("luarocks")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let output = check(dir.path(), &tree.path().join("share/lua/5.4").display().to_string())?;
    assert!(output.contains("valid") || output.contains("good"), "{output}");
    Ok(())
}
