//! Steps that are found while a build runs, and builds of classes of the configuration (05.010–05.012, 05.017).

use crate::own_configurators::checked;
use crate::own_steps::{built, steps};
use anyhow::Result;
use lunabot_tests::{documented, running};
use serde_json::json;

const PAGE: &str = "customization/builds.md";

#[tokio::test]
async fn rows_05_011_05_012_steps_add_steps() -> Result<()> {
    let (master, build) = built(&documented(PAGE, "Steps that add steps", "")?).await?;
    assert_eq!(build["results"], 0, "{build}");
    let names: Vec<String> = steps(&master, 1).await?.into_iter().map(|step| step.0).collect();
    assert_eq!(names, ["plan", "unit", "lint", "last of the factory", "SetProperty"]);
    assert!(master.step_log(1, "unit", "stdio").await?.contains("unit\n"));
    let properties = master.get("builds/1/properties").await?;
    assert_eq!(properties["properties"][0]["planned"][0], "2");
    Ok(())
}

#[tokio::test]
async fn row_05_017_a_class_chooses_the_steps() -> Result<()> {
    let (master, build) = built(&documented(PAGE, "A class of builds", "")?).await?;
    assert_eq!(build["results"], 0, "{build}");
    let told: Vec<(String, i64)> =
        steps(&master, 1).await?.into_iter().map(|step| (step.0, step.1)).collect();
    let step = |name: &str, results| (name.to_string(), results);
    assert_eq!(told, [step("try", 2), step("again", 2), step("again_1", 0), step("rest", 0)]);
    master.force("runtests").await?;
    master.finished_build(2).await?;
    let told: Vec<String> = steps(&master, 2).await?.into_iter().map(|step| step.0).collect();
    assert_eq!(told, ["try", "again", "rest"], "its fields are its own");
    Ok(())
}

#[tokio::test]
async fn rows_05_010_05_007_faults_of_a_class_of_builds() -> Result<()> {
    for (methods, state, told) in [
        ("getNextStep = function() error('<oh> & no') end", "build exception", "<oh> & no"),
        ("getNextStep = function() return 3 end", "build exception", "getNextStep returned 3"),
        ("getNextStep = function() while true do end end", "build exception", "computed longer"),
        ("getNextStep = function() return steps.ShellCommand{} end", "build exception", "command is missing"),
        ("setupBuild = function() error('early') end", "Build.setupBuild failed", "early"),
    ] {
        let block = format!(
            "f.buildClass = util.Build:extend('B', {{{methods}}}) f:addStep(steps.ShellCommand{{command = 'true'}})"
        );
        let (master, build) = built(&running(&block)).await?;
        assert_eq!(
            (&build["results"], &build["state_string"]),
            (&json!(4), &json!(state)),
            "{methods}: {build}"
        );
        let errors = master.get("script_errors").await?.to_string();
        assert!(errors.contains(told), "{methods}: {errors}");
        let of = if methods.contains("setupBuild") { "worker_preparation" } else { "getNextStep" };
        let page = master.step_log(1, of, "err_text").await?;
        assert!(page.contains(told) && page.contains("master.lua:"), "{methods}: {page}");
        let html = master.step_log(1, of, "err_html").await?;
        let told = told.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        assert!(html.contains(&told), "{methods}: {html}");
    }
    Ok(())
}

#[tokio::test]
async fn a_step_may_end_its_build() -> Result<()> {
    let block = r#"
f:addStep(steps.BuildStep:extend("Enough", {name = "enough", run = function(self)
  self.build:finish(util.WARNINGS)
  return util.SUCCESS
end}){})
f:addStep(steps.ShellCommand{command = "true", name = "not"})
f:addStep(steps.ShellCommand{command = "true", name = "always", alwaysRun = true})
"#;
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["results"], 1, "{build}");
    let names: Vec<String> = steps(&master, 1).await?.into_iter().map(|step| step.0).collect();
    assert_eq!(names, ["enough", "always"]);
    Ok(())
}

/// A build of a class with these methods; of the factory's steps the second runs always.
fn of_class(methods: &str) -> String {
    running(&format!(
        "local made = 0
f.buildClass = util.Build:extend('B', {{{methods}}})
f:addStep(steps.ShellCommand{{command = 'true', name = 'not'}})
f:addStep(steps.ShellCommand{{command = 'true', name = 'always', alwaysRun = true}})"
    ))
}

#[tokio::test]
async fn a_class_may_end_its_build_before_and_between_steps() -> Result<()> {
    let extra =
        "made = made + 1 if made < 4 then return steps.ShellCommand{command = 'true', name = 'extra'} end";
    let rest = "return util.Build.getNextStep(self, last)";
    for (methods, results, ran, told) in [
        ("setupBuild = function(self) self:finish(util.WARNINGS) end".to_string(), 1, vec!["always"], None),
        (format!("getNextStep = function(self, last) self:finish(2.0) {rest} end"), 2, vec!["always"], None),
        (
            format!("getNextStep = function(self, last) self:finish(util.WARNINGS) {extra} {rest} end"),
            1,
            vec!["always"],
            Some("build:finish was called"),
        ),
        (
            format!(
                "getNextStep = function(self, last) if not last then return steps.ShellCommand{{command = 'false', \
                 name = 'halt', haltOnFailure = true}} end {extra} {rest} end"
            ),
            2,
            vec!["halt", "always"],
            Some("a step has ended the build"),
        ),
    ] {
        let (master, build) = built(&of_class(&methods)).await?;
        assert_eq!(build["results"], results, "{methods}: {build}");
        let names: Vec<String> = steps(&master, 1).await?.into_iter().map(|step| step.0).collect();
        assert_eq!(names, ran, "{methods}");
        let log = master.log();
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains("does not run, because")).collect();
        match told {
            None => assert_eq!(warnings, [""; 0], "what the factory has is left out as always"),
            Some(why) => {
                assert_eq!(warnings.len(), 1, "{methods}: {warnings:?}");
                let parts = ["WARN", "build 1 of builder runtests", "the step extra (master.lua:", why];
                assert!(parts.iter().all(|part| warnings[0].contains(part)), "{methods}: {warnings:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_step_that_has_ended_tells_what_it_was() -> Result<()> {
    let block = r#"
local One = steps.ShellMixin:extend("One", {name = "one", params = {arch = {type = "string", renderable = true}}, run = function(self)
  self:setStatistic("tests", 7)
  self:setProperty("ran", true)
  return 2.0
end})
f.buildClass = util.Build:extend("B", {getNextStep = function(self, last)
  if last and last.name == "one" then
    local function error_of(f, ...) return (select(2, pcall(f, ...)):gsub("^.-: ", "")) end
    self:setProperty("told", {
      last.results, last.number, last.stopped, last.workdir, last.state_string, last.haltOnFailure, last.arch,
      last:getStatistic("tests"), last:getStatistic("none", 0), last:hasStatistic("tests"), last:getProperty("ran"),
      last.properties.ran, last.build.number, last.worker.name,
    })
    self:setProperty("errors", {
      error_of(last.addURL, last, "a", "http://x/"), error_of(function() return last.nubmer end),
      error_of(function() last.results = 0 end), tostring(last),
    })
  elseif last then
    return last
  end
  return util.Build.getNextStep(self, last)
end})
f:addStep(One{workdir = "sub", haltOnFailure = false, flunkOnFailure = false, arch = util.Property("buildername")})
f:addStep(steps.ShellCommand{command = "true", name = "two"})
"#;
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["state_string"], "build exception", "a step that has run is none to run: {build}");
    let properties = &master.get("builds/1/properties").await?["properties"][0];
    let told = r#"[2,1,false,"sub","finished (failure)",false,"runtests",7,0,true,true,true,1,"local"]"#;
    assert_eq!(properties["told"][0].to_string(), told);
    let errors = json!([
        "the step has ended",
        "step has no nubmer, did you mean number?",
        "step.results cannot be assigned",
        "step step:one",
    ]);
    assert_eq!(properties["errors"][0], errors);
    let told = master.step_log(1, "getNextStep", "err_text").await?;
    assert!(told.contains("getNextStep returned the object step two"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_class_of_factories_adds_steps_and_has_fields() -> Result<()> {
    let more = r#"
assert(c.builders[1].factory.arch == "arm64" and c.builders[1].factory.tags[3] == "slow")
local Base = util.BuildFactory:extend("Base", {buildClass = util.Build:extend("Own", {
  setupBuild = function(self) self:setProperty("setup", true, "Own") end,
})})
local Second = Base:extend("Second", {init = function(self, args)
  Base.init(self, args)
  self:addSteps({steps.ShellCommand{name = "second", command = "true"}})
  self.useProgress = false
end})
local second = Second{steps.ShellCommand{name = "first", command = "true"}}
assert(second.useProgress == false and second.workdir == nil and #second.steps == 2)
c.builders[2] = util.BuilderConfig{name = "second", workernames = {"local"}, factory = second}
c.schedulers[1] = schedulers.ForceScheduler{name = "force", builderNames = {"runtests", "second"}}
"#;
    let (master, build) = built(&documented(PAGE, "A class of factories", more)?).await?;
    assert_eq!(build["results"], 0, "{build}");
    let names: Vec<String> = steps(&master, 1).await?.into_iter().map(|step| step.0).collect();
    assert_eq!(names, ["configure", "test"]);
    let log = master.step_log(1, "configure", "stdio").await?;
    assert!(log.contains("configure for arm64") && log.contains("/src"), "{log}");
    let builders = master.get("builders?name=runtests").await?;
    assert_eq!(builders["builders"][0]["tags"], json!(["unix", "arm64", "slow"]));
    master.force("second").await?;
    master.finished_build(2).await?;
    let names: Vec<String> = steps(&master, 2).await?.into_iter().map(|step| step.0).collect();
    assert_eq!(names, ["first", "second"]);
    let properties = master.get("builds/2/properties").await?;
    assert_eq!(properties["properties"][0]["setup"], json!([true, "Own"]));
    Ok(())
}

#[test]
fn mistakes_in_a_class_of_factories_are_told() -> Result<()> {
    for (class, told) in [
        (
            "{init = function(self) self:addStep(steps.ShellCommand{'a'}) end}",
            "addStep: call Base.init(self, {…}) first",
        ),
        ("{init = function(self) self.workdir = 'a' end}", "workdir: call Base.init(self, {…}) first"),
        ("{init = function(self) end}", "init of F did not call its base's init"),
        ("{workdir = 3}", "F: workdir: "),
        (
            "{wrkdir = 'a', init = function(self) util.BuildFactory.init(self, {stps = 1}) end}",
            "F: stps: unknown option",
        ),
    ] {
        let (_, told_all) =
            checked(&running(&format!("local F = util.BuildFactory:extend('F', {class})\nlocal x = F{{}}")))?;
        assert!(told_all.contains(told), "{class}: {told_all}");
    }
    Ok(())
}
