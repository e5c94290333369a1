//! The shell family of steps, and steps without the worker, in real builds (05.022–05.049, 06.001–06.012, 06.042,
//! 06.052–06.058).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod master_side;
mod sequence;
#[path = "../support/mod.rs"]
mod support;
mod texts;
mod tools;
mod transfers;
mod warnings;

use lunabot_data::new::NewSourceStamp;
use lunabot_model::{Json, Results};
use serde_json::json;
use support::{Bench, Functions, function, object, property};

fn shell(args: Json) -> Json {
    let mut args = args;
    args.as_object_mut().unwrap().entry("logEnviron").or_insert(json!(false));
    object("steps.ShellCommand", args)
}

fn from_command(args: Json) -> Json {
    object("steps.SetPropertyFromCommand", args)
}

/// 06.001, 06.003, 05.023.
#[tokio::test]
async fn rows_05_023_06_001_06_003_exit_status_decides_and_the_text_names_the_command() {
    let bench = Bench::new().await;
    let steps = [
        shell(json!({"command": "echo one; echo two >&2"})),
        shell(json!({"command": ["sh", "-c", "exit 5"], "decodeRC": {"0": 0, "5": 1}})),
        shell(json!({"command": ["false"], "descriptionDone": ["did", "it"], "flunkOnFailure": false})),
        shell(json!({"command": ["sh", ["-c", false, ["exit 3"]]]})),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.results(), Some(Results::Failure));
    assert_eq!(built.step(0), (Results::Success, "'echo one; ...'"));
    assert_eq!((built.lines(0, 'o'), built.lines(0, 'e')), (vec!["one"], vec!["two"]));
    assert_eq!(built.step(1), (Results::Warnings, "'sh -c ...' (warnings)"));
    assert_eq!(built.step(2), (Results::Failure, "did it (failure)"));
    assert_eq!(built.step(3), (Results::Failure, "'sh -c ...' (failure)"));
    let names: Vec<&str> = built.steps.iter().map(|(step, _)| step.name.as_str()).collect();
    assert_eq!(names, ["shell", "shell_1", "shell_2", "shell_3"]);
}

/// 05.043, 06.002: environment, folder, input, watched files.
#[tokio::test]
async fn rows_05_043_05_049_06_002_commands_get_environment_folder_input_and_watched_files() {
    let bench = Bench::new().await;
    let env = json!({"A": "a-${B}", "B": property("size"), "LIST": ["x", "y"], "HOME": null});
    let text = "echo $A:$LIST:${HOME-unset}; pwd; cat; echo watched > side.log";
    let steps = [
        object("steps.SetProperty", json!({"property": "size", "value": "big"})),
        shell(json!({
            "command": text, "env": env, "workdir": "elsewhere", "initialStdin": "input\n",
            "logfiles": {"side": "side.log"}, "lazylogfiles": true,
        })),
    ];
    let built = bench.build(&steps).await;
    let folder = bench.builddir().join("elsewhere").canonicalize().unwrap().display().to_string();
    let first = format!("a-{}:x:y:unset", std::env::var("B").unwrap_or_default());
    assert_eq!(built.lines(1, 'o'), [first.as_str(), &folder, "input"]);
    assert_eq!(built.log(1, "side").trim_start_matches('o'), "watched\n");
}

/// 05.042, 05.048: what limits end, and the text that says so.
#[tokio::test]
async fn rows_05_042_05_048_limits_end_commands() {
    let bench = Bench::new().await;
    let steps = [
        shell(json!({"command": ["sleep", "1000"], "timeout": 1, "flunkOnFailure": false})),
        shell(
            json!({"command": "while :; do echo x; sleep 0.1; done", "maxTime": 1, "flunkOnFailure": false}),
        ),
        shell(json!({"command": ["yes"], "max_lines": 10, "timeout": null})),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.step(0), (Results::Failure, "'sleep 1000' (failure) (timed out)"));
    assert_eq!(built.step(1), (Results::Failure, "'while :; ...' (failure) (timed out)"));
    assert_eq!(built.step(2).0, Results::Failure);
    assert!(built.step(2).1.starts_with("'yes' (failure) (max lines"), "{}", built.step(2).1);
}

/// 06.042, 04.003.
#[tokio::test]
async fn row_06_042_properties_are_set_and_marked_as_made_by_the_build() {
    let bench = Bench::new().await;
    let interpolated = object("util.Interpolate", json!({"fmtstring": "%(prop:buildername)s!"}));
    let steps = [
        object("steps.SetProperty", json!({"property": "one", "value": interpolated})),
        object("steps.SetProperties", json!({"properties": {"two": 2, "three": [1, null]}})),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.results(), Some(Results::Success));
    assert_eq!((built.step(0).1, built.step(1).1), ("Set", "Properties Set"));
    assert_eq!(built.properties["one"], "b!");
    assert_eq!((&built.properties["two"], &built.properties["three"]), (&json!(2), &json!([1, null])));
    let stored = bench.data.build_properties(built.build.buildid).await.unwrap();
    assert_eq!(stored.property("one").unwrap().source, "SetProperty");
}

/// 06.010.
#[tokio::test]
async fn row_06_010_output_becomes_properties() {
    let bench = Bench::new().await;
    let steps = [
        from_command(json!({"property": "said", "command": "echo ' it'\"'\"'s '; echo no >&2"})),
        from_command(json!({"property": "raw", "command": "printf 'a\\n'", "strip": false})),
        from_command(
            json!({"extract_fn": function("extract"), "command": "echo out; echo err >&2; exit 3", "decodeRC": {"3": 0}}),
        ),
        from_command(json!({"property": "never", "command": "echo x; exit 1", "flunkOnFailure": false})),
    ];
    let functions = Functions::new(|name, args| match name {
        "extract_fn" => Ok(json!({"rc": args[0], "out": args[1], "err": args[2]})),
        other => panic!("unexpected call of {other}"),
    });
    let built = bench.build_with(&steps, vec![NewSourceStamp::default()], functions).await;
    assert_eq!(built.results(), Some(Results::Success));
    assert_eq!((&built.properties["said"], &built.properties["raw"]), (&json!("it's"), &json!("a\n")));
    assert_eq!(
        (&built.properties["rc"], &built.properties["out"], &built.properties["err"]),
        (&json!(3), &json!("out\n"), &json!("err\n"))
    );
    assert_eq!((built.step(0).1, built.step(2).1), ("property 'said' set", "3 properties set"));
    assert_eq!(built.log(0, "property changes").trim_end(), "said: \"it's\"");
    assert_eq!(built.log(2, "property changes").trim_end(), "err: 'err\\n'\nout: 'out\\n'\nrc: 3");
    assert!(!built.properties.contains_key("never"));
    assert_eq!(built.step(3), (Results::Failure, "'echo x; ...' (failure)"));
    let stored = bench.data.build_properties(built.build.buildid).await.unwrap();
    assert_eq!(stored.property("said").unwrap().source, "SetPropertyFromCommand Step");
}

#[tokio::test]
async fn row_06_010_an_extract_fn_that_fails_is_an_exception_of_the_step() {
    let bench = Bench::new().await;
    for answer in [Err("master.lua:4: oh".to_string()), Ok(json!("text"))] {
        let steps = [from_command(json!({"extract_fn": function("extract"), "command": "true"}))];
        let functions = Functions::new(move |_, _| answer.clone());
        let built = bench.build_with(&steps, vec![NewSourceStamp::default()], functions).await;
        assert_eq!(built.step(0).0, Results::Exception);
        let text = built.log(0, "err.text");
        assert!(text.contains("master.lua:4: oh") || text.contains("extract_fn returned \"text\""), "{text}");
    }
}

/// 06.001: what is wrong is told when the configuration is loaded.
#[test]
fn rows_05_044_06_001_mistakes_are_found_when_loaded() {
    let problems = |name: &str, args: Json| -> Vec<String> {
        let kind = lunabot_steps::kinds().find(|kind| kind.name == name).unwrap();
        (kind.check)(&args).iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    };
    assert_eq!(problems("ShellCommand", json!({})), [": command is missing"]);
    assert_eq!(
        problems("ShellCommand", json!({"command": "x", "timout": 1})),
        ["timout: unknown option, did you mean timeout?"]
    );
    assert_eq!(problems("ShellCommand", json!({"command": "x", "haltOnFailure": "yes"})).len(), 1);
    let exactly = ": exactly one of property and extract_fn must be given";
    assert_eq!(problems("SetPropertyFromCommand", json!({"command": "x"})), [exactly]);
    assert_eq!(problems("SetProperty", json!({"property": "x"})), [": value is missing"]);
    assert_eq!(problems("SetProperty", json!({"property": "x", "value": null})), [""; 0]);
}
