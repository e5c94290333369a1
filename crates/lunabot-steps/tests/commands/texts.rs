//! What steps say of themselves (05.022–05.027).

use crate::support::{Bench, object};
use lunabot_model::{Json, Results};
use serde_json::json;

fn shell(mut args: Json) -> Json {
    args["logEnviron"] = false.into();
    object("steps.ShellCommand", args)
}

#[tokio::test]
async fn row_05_022_final_texts_follow_descriptions_result_and_what_killed_the_program() {
    let bench = Bench::new().await;
    let cases = [
        (json!({"command": "true"}), "'true'"),
        (json!({"command": ["a-b", "c"], "flunkOnFailure": false}), "'a-b c' (failure)"),
        (json!({"command": ["echo", "a b", "c d"]}), "'echo a b ...'"),
        (json!({"command": "true", "description": "doing"}), "'true'"),
        (
            json!({"command": "true", "descriptionDone": ["did", "it"], "descriptionSuffix": ["to", "x"]}),
            "did it to x",
        ),
        (json!({"command": "exit 3", "descriptionDone": "did", "decodeRC": {"3": 1}}), "did (warnings)"),
        (json!({"command": "sleep 60", "maxTime": 0.3}), "'sleep 60' (failure) (timed out)"),
        (
            json!({"command": "sleep 60", "timeout": 0.3, "descriptionDone": "did"}),
            "did (failure) (timed out)",
        ),
        (json!({"command": "seq 999; sleep 60", "max_lines": 2}), "'seq 999; ...' (failure) (max lines)"),
        (
            json!({"command": "seq 999; sleep 60", "max_lines": 2, "descriptionDone": "did"}),
            "did (failure) (max lines reached)",
        ),
        (json!({"command": "true", "doStepIf": false}), "'true' (skipped)"),
    ];
    let steps: Vec<Json> = cases.iter().map(|(args, _)| shell(args.clone())).collect();
    let built = bench.build(&steps).await;
    for (index, (args, want)) in cases.iter().enumerate() {
        assert_eq!(built.step(index).1, *want, "{args}");
    }
}

#[tokio::test]
async fn row_05_025_steps_speak_for_the_build_by_policy() {
    let bench = Bench::new().await;
    let steps = [
        shell(json!({"command": "exit 1", "descriptionDone": "one"})),
        shell(json!({"command": "exit 1", "descriptionDone": "two", "flunkOnFailure": false})),
        shell(json!({"command": "exit 1", "descriptionDone": "three", "updateBuildSummaryPolicy": false})),
        shell(json!({"command": "true", "descriptionDone": "four", "updateBuildSummaryPolicy": [0]})),
        shell(json!({"command": "exit 1", "descriptionDone": "five", "flunkOnFailure": false,
                     "updateBuildSummaryPolicy": true})),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.results(), Some(Results::Failure));
    assert_eq!(built.build.state_string, "failed one (failure) four five (failure)");
}
