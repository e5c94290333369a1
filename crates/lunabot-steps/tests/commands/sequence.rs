//! ShellSequence, commands with hidden words, environments (06.002, 06.004, 06.039, 04.041).

use crate::support::{Bench, object, property};
use lunabot_model::{Json, Results};
use serde_json::json;

fn arg(args: Json) -> Json {
    object("util.ShellArg", args)
}

fn sequence(commands: Json) -> Json {
    object("steps.ShellSequence", json!({"commands": commands, "logEnviron": false, "name": "many"}))
}

#[tokio::test]
async fn rows_05_045_06_004_commands_run_in_order_with_logs_and_flags_of_their_own() {
    let bench = Bench::new().await;
    let steps = [
        sequence(json!([
            arg(json!({"command": ["echo", "one"], "logname": "first"})),
            arg(json!({"command": property("missing")})),
            arg(json!({"command": "echo two; exit 3", "flunkOnFailure": false, "warnOnFailure": true})),
            arg(json!({"command": ["echo", property("buildername")], "haltOnFailure": true})),
        ])),
        sequence(json!([
            arg(json!({"command": ["false"], "haltOnFailure": true})),
            arg(json!({"command": ["echo", "never"]})),
        ])),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.step(0), (Results::Warnings, "'echo b' (warnings)"));
    assert!(built.log(0, "first").contains("\noone\n"), "{}", built.log(0, "first"));
    assert_eq!(built.lines(0, 'o'), ["two", "b"]);
    assert_eq!(built.step(1), (Results::Failure, "'false' (failure)"));
    assert!(built.lines(1, 'o').is_empty());
}

#[tokio::test]
async fn row_06_004_what_is_no_shell_arg_is_an_error() {
    let kind = lunabot_steps::kinds().find(|kind| kind.name == "ShellSequence").unwrap();
    let problems = |args: Json| -> Vec<String> {
        (kind.check)(&args).iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    };
    assert_eq!(
        problems(json!({"commands": ["make"]})),
        ["commands[0]: expected a util.ShellArg, got \"make\""]
    );
    let own = problems(json!({"commands": [], "command": ["x"]}));
    assert_eq!(own, ["command: this step makes its own command"]);
    let bench = Bench::new().await;
    // Found only when it is rendered.
    let built = bench.build(&[sequence(json!([property("buildername")]))]).await;
    assert_eq!(built.step(0).0, Results::Exception);
    assert!(built.log(0, "err.text").contains("expected a util.ShellArg"), "{}", built.log(0, "err.text"));
}

#[tokio::test]
async fn row_04_041_an_obfuscated_word_is_run_and_its_fake_is_shown() {
    let bench = Bench::new().await;
    let hidden = object("util.Obfuscated", json!({"real": property("buildername"), "fake": "XXX"}));
    let command = json!(["sh", "-c", "test \"$0\" = b && echo \"length ${#0}\"", hidden]);
    let shell = |args: Json| object("steps.ShellCommand", args);
    let steps = [
        shell(json!({"command": command, "logEnviron": false})),
        shell(json!({"command": ["true", object("util.Obfuscated", json!({"real": "x", "fake": "YYY"}))]})),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.step(0), (Results::Success, "'sh -c ...'"));
    assert_eq!(built.lines(0, 'o'), ["length 1"]);
    let headers = built.lines(0, 'h').join("\n");
    assert!(headers.contains("XXX") && !headers.contains("b'b'"), "{headers}");
    assert_eq!(built.step(1).1, "'true YYY'");
}

#[tokio::test]
async fn row_06_002_lists_are_joined_names_filled_in_and_null_removes() {
    let bench = Bench::new().await;
    let env = json!({
        "LIST": ["/a", "/b"], "PATH": ["/own", "${PATH}"], "HOME": null, "N": 3, "PYTHONPATH": "/py",
    });
    let script = "echo $LIST; echo $PATH; echo ${HOME-gone}; echo $N; echo $PYTHONPATH";
    let built = bench
        .build(&[object("steps.ShellCommand", json!({"command": script, "env": env, "logEnviron": false}))])
        .await;
    let lines = built.lines(0, 'o');
    assert_eq!((lines[0], lines[2], lines[3]), ("/a:/b", "gone", "3"));
    assert!(lines[1].starts_with("/own:/"), "{lines:?}");
    assert!(lines[4].starts_with("/py"), "{lines:?}");
}

#[tokio::test]
async fn row_06_039_properties_come_from_the_workers_environment() {
    let bench = Bench::new().await;
    let step = json!({"variables": ["PATH", "NOT_THERE_AT_ALL"]});
    let built = bench.build(&[object("steps.SetPropertiesFromEnv", step)]).await;
    assert_eq!(built.step(0), (Results::Success, "Set"));
    let path = std::env::var("PATH").unwrap();
    assert_eq!(built.properties["PATH"], path.as_str());
    assert!(!built.properties.contains_key("NOT_THERE_AT_ALL"));
    assert_eq!(built.log(0, "properties").trim_end(), format!("PATH = '{path}'"));
    let stored = bench.data.build_properties(built.build.buildid).await.unwrap();
    assert_eq!(stored.property("PATH").unwrap().source, "WorkerEnvironment");
}
