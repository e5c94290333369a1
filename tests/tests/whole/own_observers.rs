//! Observers of logs that a configuration brings: the examples of the documentation, and what may go wrong.

use crate::own_steps::{built, steps};
use anyhow::Result;
use lunabot_tests::{documented, running};
use serde_json::json;

const PAGE: &str = "customization/observers.md";

#[tokio::test]
async fn rows_05_052_05_054_06_064_an_observer_counts_tests() -> Result<()> {
    let (master, build) = built(&documented(PAGE, "Counting", "")?).await?;
    assert_eq!(build["results"], 0, "{build}");
    let properties = master.get("builds/1/properties").await?;
    assert_eq!(properties["properties"][0]["tests"], json!([2, "Framboozle"]));
    // Each run has a fresh one.
    master.force("runtests").await?;
    master.finished_build(2).await?;
    let properties = master.get("builds/2/properties").await?;
    assert_eq!(properties["properties"][0]["tests"], json!([2, "Framboozle"]));
    Ok(())
}

#[tokio::test]
async fn row_05_054_an_observer_adds_links() -> Result<()> {
    let (master, _) = built(&documented(PAGE, "A link out of the output", "")?).await?;
    let step = master.get("builds/1/steps/shell").await?;
    let url = "https://ci.example.org/poudriere/logs/103amd64/2018-10-03";
    assert_eq!(
        step["steps"][0]["urls"],
        json!([
            {"name": "Poudriere build web interface", "url": url},
            {"name": "Poudriere logs", "url": format!("{url}/logs/")},
        ])
    );
    Ok(())
}

#[tokio::test]
async fn a_pattern_counts_links_copies_and_judges() -> Result<()> {
    let (master, _) = built(&documented(PAGE, "Patterns", "")?).await?;
    assert_eq!(steps(&master, 1).await?[0].1, 1, "its result is no better than WARNINGS");
    let step = master.get("builds/1/steps/tests").await?;
    assert_eq!(step["steps"][0]["urls"][1], json!({"name": "test 3", "url": "https://example.org/tests/3"}));
    let failures = master.step_log(1, "tests", "failures").await?;
    assert!(failures.contains("not ok 2\nnot ok 3\n") && !failures.contains("not ok 4"), "{failures}");
    let properties = master.get("builds/1/properties").await?;
    assert_eq!(properties["properties"][0]["last_failed"][0], "3");
    Ok(())
}

#[tokio::test]
async fn several_observers_see_one_log_and_steps_take_them_as_an_option() -> Result<()> {
    let block = r#"
local function keeps(name)
  return util.LogLineObserver:extend(name, {
    outLineReceived = function(self, line) self.step:setProperty(name, line) end,
  })
end
local One, Two, Three = keeps("one"), keeps("two"), keeps("three")
local Both = steps.ShellCommand:extend("Both", {observers = {stdio = {One, Two{}}}})
local Six = Both:extend("Six", {init = function(self, args)
  args.observers = {stdio = {keeps(args.name)}}
  Both.init(self, args)
end})
f:addStep(Six{command = "echo d", name = "six"})
f:addStep(Six{command = "echo e", name = "seven", observers = {stdio = keeps("eight")}}:with{logEnviron = false})
f:addStep(Both{command = "echo a"})
f:addStep(Both{command = "echo b", observers = {stdio = Three}})
f:addStep(steps.SetPropertyFromCommand{command = "echo c", property = "four",
  observers = {stdio = {util.PatternObserver{pattern = "(c)", on = "stdout", property = "five"}, Three}}})
"#;
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["results"], 0, "{build}");
    let answer = master.get("builds/1/properties").await?;
    let of = |name: &str| answer["properties"][0][name][0].clone();
    let names = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    assert_eq!(names.map(of), ["b", "b", "c", "c", "c", "d", "e", "e"].map(|v| json!(v)));
    let all = steps(&master, 1).await?;
    assert_eq!(all[4].0, "setproperty", "{all:?}");
    Ok(())
}

#[tokio::test]
async fn row_05_053_a_function_walks_over_lines_and_a_buffer_keeps_them() -> Result<()> {
    let (master, build) = built(&documented(PAGE, "A function that walks over the lines", "")?).await?;
    assert_eq!(build["results"], 0, "{build}");
    let properties = master.get("builds/1/properties").await?;
    assert_eq!(properties["properties"][0]["seen"][0], "o:a o:b e:c");
    assert_eq!(properties["properties"][0]["kept"][0], "a\nb\nc\n");
    Ok(())
}

#[tokio::test]
async fn row_13_025_faults_of_observers_are_the_steps() -> Result<()> {
    for (class, observer, told) in [
        ("util.LogLineObserver:extend('X', {outLineReceived = function() error('oh') end})", "X{}", "oh"),
        (
            "util.LogLineObserver:extend('X', {outLineReceived = function() while true do end end})",
            "X{}",
            "computed longer",
        ),
        ("util.LogObserver:extend('X', {finishReceived = function() error('end') end})", "X{}", "end"),
        (
            "1",
            "util.LineConsumerLogObserver{function(lines) for stream, line in lines do error('walk') end end}",
            "walk",
        ),
    ] {
        let run = format!(
            "local X = {class} \
             f:addStep(steps.ShellMixin:extend('S', {{name = 's', run = function(self) self:addLogObserver('stdio', {observer}) \
             local cmd = self:makeRemoteShellCommand{{command = 'echo a'}} self:runCommand(cmd) return cmd:results() end}}){{}})"
        );
        let (master, build) = built(&running(&run)).await?;
        assert_eq!(build["results"], 4, "{class}: {build}");
        let log = master.step_log(1, "s", "err_text").await?;
        assert!(log.contains("log observer") && log.contains(told), "{class}: {log}");
    }
    for (observer, told) in [
        ("util.LogLineObserver{}", "alone sees nothing"),
        ("'text'", "expected an observer"),
        ("nil", "expected an observer"),
    ] {
        let run = format!(
            "f:addStep(steps.BuildStep:extend('S', {{name = 's', run = function(self) self:addLogObserver('stdio', {observer}) end}}){{}})"
        );
        let (master, _) = built(&running(&run)).await?;
        let log = master.step_log(1, "s", "err_text").await?;
        assert!(log.contains(told), "{observer}: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn an_observer_that_waits_loses_nothing() -> Result<()> {
    let block = r#"
local Slow = util.LogLineObserver:extend("Slow", {n = 0, outLineReceived = function(self, line)
  self.n = self.n + 1
  if self.n % 5000 == 0 then util.sleep(0.01) end
end, finishReceived = function(self) self.step:setProperty("lines", self.n, "Slow") end})
f:addStep(steps.ShellCommand:extend("S", {name = "s", observers = {stdio = Slow}}){command = {"seq", "1", "50000"}})
"#;
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["results"], 0, "{build}");
    let properties = master.get("builds/1/properties").await?;
    assert_eq!(properties["properties"][0]["lines"][0], 50000);
    Ok(())
}
