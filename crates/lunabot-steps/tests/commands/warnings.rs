//! Counting warnings (06.005–06.008).

use crate::support::{Bench, Functions, function, object};
use lunabot_data::new::NewSourceStamp;
use lunabot_model::{Json, Results};
use serde_json::json;

fn step(kind: &str, mut args: Json) -> Json {
    args["logEnviron"] = false.into();
    object(&format!("steps.{kind}"), args)
}

fn compile(script: &str, mut args: Json) -> Json {
    args["command"] = script.into();
    step("Compile", args)
}

/// What a compiler says, with directories as make says them.
const OUTPUT: &str = "cat <<'END'
make[1]: Entering directory '/src/lib'
a.c:3: warning: x is unused
a.c:9: Warning: y is odd
make[1]: Leaving directory '/src/lib'
b.c:4: warning: z is unused
that is no warning
END
";

#[tokio::test]
async fn row_06_006_warnings_are_a_log_a_statistic_and_a_property_that_adds_up() {
    let bench = Bench::new().await;
    let steps = [
        compile(OUTPUT, json!({})),
        compile(
            "echo 'one warning: here'; printf 'and warning: unended' >&2",
            json!({"flunkOnWarnings": true}),
        ),
        compile("echo fine", json!({})),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.step(0), (Results::Warnings, "compile (warnings)"));
    assert_eq!(
        built.log(0, "warnings (3)"),
        "a.c:3: warning: x is unused\na.c:9: Warning: y is odd\nb.c:4: warning: z is unused\n"
    );
    assert_eq!(built.log(1, "warnings (2)"), "one warning: here\nand warning: unended\n");
    assert_eq!(built.step(2), (Results::Success, "compile"));
    assert_eq!(built.properties["warnings-count"], 5);
    assert_eq!(built.results(), Some(Results::Failure));
    let names: Vec<&str> = built.steps.iter().map(|(step, _)| step.name.as_str()).collect();
    assert_eq!(names, ["compile", "compile_1", "compile_2"]);
}

#[tokio::test]
async fn row_06_006_the_result_is_the_worst_of_status_and_warnings() {
    let bench = Bench::new().await;
    let two = "echo 'warning: a'; echo 'warning: b'";
    let cases = [
        (two.to_string(), json!({"maxWarnCount": 2}), Results::Warnings),
        (two.to_string(), json!({"maxWarnCount": 1}), Results::Failure),
        (format!("{two}; exit 1"), json!({}), Results::Failure),
        ("exit 3".to_string(), json!({"decodeRC": {"3": 1}}), Results::Warnings),
        (two.to_string(), json!({"warningPattern": null}), Results::Success),
        (two.to_string(), json!({"warningPattern": "b"}), Results::Success),
        (two.to_string(), json!({"warningPattern": ".*b"}), Results::Warnings),
    ];
    let steps = cases.iter().map(|(script, args, _)| {
        let mut args = args.clone();
        args["haltOnFailure"] = false.into();
        compile(script, args)
    });
    let built = bench.build(&steps.collect::<Vec<_>>()).await;
    for (index, (script, args, want)) in cases.iter().enumerate() {
        assert_eq!(built.step(index).0, *want, "{script} {args}");
    }
}

#[tokio::test]
async fn row_06_006_suppressions_come_from_a_list_and_from_a_file_on_the_worker() {
    let bench = Bench::new().await;
    let groups = json!({
        "warningPattern": "^(.*?):([0-9]+): [Ww]arning: (.*)$",
        "warningExtractor": object("util.warnExtractFromRegexpGroups", json!({})),
    });
    let with = |more: Json| {
        let mut args = groups.clone();
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    let steps = [
        step(
            "ShellCommand",
            json!({"command": "printf '# known\\n/src/lib/a.c : odd\\n.*b.c : unused : 1-4\\n' > sup"}),
        ),
        compile(
            OUTPUT,
            with(json!({"suppressionList": [["/src/lib/.*", "unused", null, null], [null, "odd", 9, 9]]})),
        ),
        compile(OUTPUT, with(json!({"suppressionFile": "sup"}))),
        compile(OUTPUT, json!({"suppressionList": [["nothing", "y is"]]})),
        compile("true", json!({"suppressionFile": "missing"})),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.log(1, "warnings (1)"), "b.c:4: warning: z is unused\n");
    assert_eq!(built.log(2, "warnings (1)"), "a.c:3: warning: x is unused\n");
    // The whole line has no file: a pattern for files says nothing about it.
    assert_eq!(built.log(3, "warnings (2)").lines().count(), 2);
    assert_eq!(built.step(4).0, Results::Failure);
    assert!(
        built.log(4, "stdio").contains("cannot read the suppressionFile missing"),
        "{}",
        built.log(4, "stdio")
    );
}

#[tokio::test]
async fn row_06_006_a_function_extracts_and_its_error_is_the_steps_exception() {
    let bench = Bench::new().await;
    let args = json!({
        "warningPattern": "(.*): warning: (.*)",
        "warningExtractor": function("extract"),
        "suppressionList": [["bad", null, 5, 5]],
    });
    let script = "echo 'bad: warning: x'; echo 'good: warning: y'";
    let functions = Functions::new(|name, args| {
        assert_eq!(name, "warningExtractor");
        assert_eq!(args[0]["name"], "compile");
        Ok(json!([args[2][0], "5", args[2][1]]))
    });
    let steps = [compile(script, args.clone())];
    let built = bench.build_with(&steps, vec![NewSourceStamp::default()], functions).await;
    assert_eq!(built.log(0, "warnings (1)"), "good: warning: y\n");
    let broken = Functions::new(|_, _| Err("master.lua:7: oh".into()));
    let built = bench.build_with(&steps, vec![NewSourceStamp::default()], broken).await;
    assert_eq!(built.step(0).0, Results::Exception);
    assert!(built.log(0, "err.text").contains("master.lua:7: oh"), "{}", built.log(0, "err.text"));
}

#[tokio::test]
async fn row_06_005_configure_compile_and_test_have_commands_of_their_own() {
    let bench = Bench::new().await;
    let script = "printf '#!/bin/sh\\necho configured $1\\n' > configure; chmod +x configure; \
                  printf 'all:\\n\\t@echo made\\ntest:\\n\\t@echo tested; exit 1\\n' > Makefile";
    let steps = [
        step("ShellCommand", json!({"command": script})),
        step("Configure", json!({})),
        step("Compile", json!({})),
        step("Test", json!({})),
        step("Configure", json!({"command": ["./configure", "more"], "descriptionDone": "set up"})),
    ];
    let built = bench.build(&steps).await;
    let said = |index: usize| {
        (built.steps[index].0.name.as_str(), built.step(index).1, built.lines(index, 'o').join("|"))
    };
    assert_eq!(said(1), ("configure", "configure", "configured".into()));
    assert_eq!(said(2), ("compile", "compile", "made".into()));
    assert_eq!((said(3).0, said(3).1), ("test", "test (failure)"));
    assert_eq!(said(4), ("configure_1", "set up", "configured more".into()));
    assert_eq!(built.results(), Some(Results::Failure));
}

#[tokio::test]
async fn row_06_008_the_report_of_prove_decides() {
    let bench = Bench::new().await;
    let prove = |lines: &str, args: Json| {
        let mut args = args;
        args["command"] = format!("cat <<'END'\n{lines}\nEND\nexit 1").into();
        args["flunkOnFailure"] = false.into();
        step("PerlModuleTest", args)
    };
    let steps = [
        prove("All tests successful.\nFiles=1, Tests=9,  0 wallclock", json!({})),
        prove(
            "Test Summary Report\nt/a.t (Wstat: 256 Tests: 9 Failed: 2)\nFiles=1, Tests=9, 0\nResult: FAIL",
            json!({}),
        ),
        prove("sh: prove: not found", json!({})),
    ];
    let built = bench.build(&steps).await;
    assert_eq!(built.step(0), (Results::Success, "9 tests 9 passed"));
    assert_eq!(built.step(1), (Results::Failure, "9 tests 7 passed 2 failed (failure)"));
    assert_eq!(built.step(2), (Results::Failure, "test (failure)"));
}

#[test]
fn row_06_006_mistakes_are_found_when_loaded() {
    let problems = |name: &str, args: Json| -> Vec<String> {
        let kind = lunabot_steps::kinds().find(|kind| kind.name == name).unwrap();
        (kind.check)(&args).iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    };
    assert_eq!(problems("WarningCountingShellCommand", json!({})), [": command is missing"]);
    let wrong = problems("Compile", json!({"warningPattern": "(", "suppressionList": [["ok"], ["(?=x)"]]}));
    assert!(wrong[0].starts_with("warningPattern: '(' is not a regular expression"), "{wrong:?}");
    assert!(wrong[1].starts_with("suppressionList[1]: the pattern '(?=x)' uses look-around"), "{wrong:?}");
    let wrong = problems("Compile", json!({"warningExtractor": "x"}));
    assert!(wrong[0].contains("expected a function, util.warnExtractWholeLine"), "{wrong:?}");
    let wrong = problems("RemovePYCs", json!({"whatever": 1}));
    assert!(wrong[0].contains("-delete"), "{wrong:?}");
}
