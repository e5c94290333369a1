//! Steps that are found while a build runs, and builds of classes of the configuration (05.010–05.012, 05.017).

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
        ("getNextStep = function() error('oh') end", "build exception", "oh"),
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
