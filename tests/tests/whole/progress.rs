//! When a build should end: learned from earlier builds, told by metrics, kept over restarts (lua-api § 3, "Builds").

use anyhow::Result;
use lunabot_tests::{Master, running};
use serde_json::{Value, json};

/// A build that counts lines, is half done with its work, and goes on when the gate is open.
fn config(gate: &str) -> String {
    running(&format!(
        r#"
f:addStep(steps.ShellCommand:extend("Lines", {{
  observers = {{stdio = util.PatternObserver{{"^ok", progress = "lines"}}}},
}}){{name = "lines", command = {{"printf", "ok\nno\nok\n"}}}})
f:addStep(steps.ShellMixin:extend("Work", {{name = "work", progressMetrics = {{"batches", "others"}}, run = function(self)
  self:setProgress("batches", 5)
  self:addURL("half", "http://x/")
  local cmd = self:makeRemoteShellCommand{{command = "sleep 2; until test -e {gate}/open; do sleep 0.05; done"}}
  self:runCommand(cmd)
  self:setProgress("batches", 10)
  return cmd:results()
end}}){{}})
f:addStep(steps.ShellCommand{{command = {{"true"}}, name = "somebody's", useProgress = false}})
"#
    ))
}

async fn half_done(master: &Master, build: i64) -> Result<Value> {
    let half = |answer: &Value| {
        let steps = answer["steps"].as_array().map_or(&[][..], Vec::as_slice);
        steps.iter().any(|step| step["urls"].as_array().is_some_and(|urls| !urls.is_empty()))
    };
    master.until(&format!("builds/{build}/steps"), half).await?;
    Ok(master.get(&format!("builds/{build}/progress")).await?["progress"][0].clone())
}

#[tokio::test]
async fn the_end_of_a_build_is_expected_by_what_earlier_ones_took() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let open = gate.path().join("open");
    let master = Master::start(&config(&gate.path().display().to_string())).await?;
    master.force("runtests").await?;
    let first = half_done(&master, 1).await?;
    assert_eq!(
        [&first["basis"], &first["expected"], &first["remaining"], &first["eta"]],
        [&json!(0), &Value::Null, &Value::Null, &Value::Null]
    );
    let steps: Vec<_> = first["steps"].as_array().into_iter().flatten().map(|step| &step["name"]).collect();
    assert_eq!(steps, ["lines", "work"]);
    assert_eq!(first["steps"][0]["metrics"]["lines"], json!({"value": 2.0, "expected": null}));
    assert_eq!(first["steps"][1]["metrics"]["others"], json!({"value": null, "expected": null}));
    std::fs::write(&open, "")?;
    let build = master.finished_build(1).await?;
    let ended = master.get("builders/1/builds/1/progress").await?["progress"][0].clone();
    assert_eq!((&ended["remaining"], &ended["eta"]), (&json!(0), &build["complete_at"]), "{ended}");

    std::fs::remove_file(&open)?;
    let mut events = master.listen("builds/*/progress/updated").await?;
    master.force("runtests").await?;
    let second = half_done(&master, 2).await?;
    let work = &second["steps"][1];
    assert_eq!(
        (&second["basis"], &work["metrics"]["batches"]),
        (&json!(1), &json!({"value": 5.0, "expected": 10.0}))
    );
    assert!(second["steps"][0]["metrics"]["output"]["expected"].as_f64().is_some_and(|bytes| bytes > 9.0));
    // It slept for two seconds; half of that is left, whatever the clock says.
    let number = |value: &Value| value.as_i64().unwrap_or(-1);
    let (usual, left) = (number(&work["expected"]), number(&second["remaining"]));
    assert!(usual >= 2 && (usual - 2 * left).abs() <= 1, "{second}");
    assert!(number(&second["eta"]) >= number(&build["complete_at"]) + left, "{second}");
    let event = events.next().await?;
    assert_eq!((&event["buildid"], &event["basis"]), (&json!(2), &json!(1)), "{event}");
    let (_, page) = master.text("/builders/1/builds/2").await?;
    assert!(page.contains("Average by step of 1 build"), "{page}");
    assert_eq!(master.get("builds/2/progress?field=basis").await?["progress"], json!([{"basis": 1}]));
    assert_eq!(master.try_get("builds/99/progress").await?.0, 404);

    // What was learned is there when the master comes again; a build that was cut off taught nothing.
    let master = Master::start_in(master.kill().await?).await?;
    let third = half_done(&master, 3).await?;
    assert_eq!(
        (&third["basis"], &third["steps"][1]["metrics"]["batches"]["expected"]),
        (&json!(1), &json!(10.0))
    );
    std::fs::write(&open, "")?;
    assert_eq!(master.finished_build(3).await?["results"], 0);
    Ok(())
}

/// A factory's `useProgress = false` leaves its builds unmeasured. When it is on again, what they took is read from their
/// rows, as after an update of a master that kept nothing.
#[tokio::test]
async fn row_05_065_builds_that_were_not_measured_are_read_from_their_rows_after_a_restart() -> Result<()> {
    let gate = tempfile::tempdir()?;
    let open = gate.path().join("open");
    let measured = config(&gate.path().display().to_string()).replace("sleep 2; ", "");
    let begin = "f:addStep(steps.ShellCommand:extend";
    let master =
        Master::start(&measured.replacen(begin, &format!("f.useProgress = false\n{begin}"), 1)).await?;
    std::fs::write(&open, "")?;
    for build in [1, 2] {
        master.force("runtests").await?;
        assert_eq!(master.finished_build(build).await?["results"], 0);
    }
    std::fs::remove_file(&open)?;
    master.force("runtests").await?;
    let third = half_done(&master, 3).await?;
    assert_eq!([&third["basis"], &third["eta"], &third["steps"]], [&json!(0), &Value::Null, &json!([])]);

    let dir = master.kill().await?;
    std::fs::write(dir.path().join("master.lua"), &measured)?;
    let master = Master::start_in(dir).await?;
    let fourth = half_done(&master, 4).await?;
    assert_eq!(fourth["basis"], 2, "two builds ended well: {fourth}");
    assert!(fourth["expected"].is_number() && fourth["eta"].is_number(), "{fourth}");
    for (step, name) in [(0, "lines"), (1, "work")] {
        let step = &fourth["steps"][step];
        assert!(step["name"] == name && step["expected"].is_number(), "{fourth}");
    }
    assert_eq!(fourth["steps"][1]["metrics"]["batches"], json!({"value": 5.0, "expected": null}));
    std::fs::write(&open, "")?;
    assert_eq!(master.finished_build(4).await?["results"], 0);
    Ok(())
}
