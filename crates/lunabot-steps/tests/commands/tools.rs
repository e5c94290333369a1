//! Steps that know the output of a tool, with scripts in the tools' place (06.011, 06.012, 06.052–06.058).

use crate::support::{Bench, Built, object};
use lunabot_data::new::NewSourceStamp;
use lunabot_model::{Json, Results};
use serde_json::json;

/// A step whose program is found first in the folder `tools` of the worker.
fn step(kind: &str, mut args: Json) -> Json {
    args["logEnviron"] = false.into();
    args["flunkOnFailure"] = args.get("flunkOnFailure").cloned().unwrap_or(false.into());
    args["haltOnFailure"] = false.into();
    args["env"] = args.get("env").cloned().unwrap_or(json!({}));
    args["env"]["PATH"] = "tools:${PATH}:".into();
    object(&format!("steps.{kind}"), args)
}

/// A step that puts a script into the folder `tools`; it prints these lines and says how it was called.
fn tool(name: &str, lines: &str, status: i32) -> Json {
    let script = format!("#!/bin/sh\necho \"args: $*\"\ncat <<'END'\n{lines}\nEND\nexit {status}\n");
    let quoted = script.replace('\'', "'\\''");
    let command = format!("mkdir -p tools; printf %s '{quoted}' > tools/{name}; chmod +x tools/{name}");
    object("steps.ShellCommand", json!({"command": command, "logEnviron": false}))
}

/// Runs one step after tools were made.
async fn run(tools: Vec<Json>, last: Json) -> (Built, usize) {
    let bench = Bench::new().await;
    let at = tools.len();
    let steps: Vec<Json> = tools.into_iter().chain([last]).collect();
    (bench.build_for(&steps, vec![NewSourceStamp::default()]).await, at)
}

#[tokio::test]
async fn row_06_012_cmake() {
    let args =
        json!({"path": "src", "generator": "Ninja", "definitions": {"A": "b"}, "options": ["-Wno-dev"]});
    let (built, at) = run(vec![tool("cmake", "", 0)], step("CMake", args)).await;
    assert_eq!(built.step(at), (Results::Success, "cmake"));
    assert_eq!(built.lines(at, 'o')[0], "args: -G Ninja -DA=b -Wno-dev src");
}

#[tokio::test]
async fn row_06_011_tree_size() {
    let (built, at) = run(vec![], step("TreeSize", json!({}))).await;
    let size = built.properties["tree-size-KiB"].as_u64().unwrap();
    assert_eq!(built.step(at), (Results::Success, format!("treesize {size} KiB").as_str()));
    let (built, at) = run(vec![], step("TreeSize", json!({"command": ["echo", "huge"]}))).await;
    assert_eq!(built.step(at), (Results::Warnings, "treesize unknown (warnings)"));
}

#[tokio::test]
async fn row_06_052_cppcheck() {
    let lines =
        "Checking a.c...\n[a.c:3]: (error) bad\n[a.c:4]: (style) ugly\n(information) look\n[x] (style) no";
    let (built, at) =
        run(vec![tool("cppcheck", lines, 0)], step("Cppcheck", json!({"enable": ["style"]}))).await;
    assert_eq!(built.step(at), (Results::Failure, "cppcheck error=1 style=1 information=1 (failure)"));
    assert_eq!(built.lines(at, 'o')[0], "args: . --enable=style");
    assert_eq!(built.log(at, "style"), "[a.c:4]: (style) ugly\n");
    assert_eq!(
        (&built.properties["cppcheck-total"], &built.properties["cppcheck-warning"]),
        (&json!(3), &json!(0))
    );
}

#[tokio::test]
async fn row_06_053_pyflakes() {
    let lines = "make: nothing\na.py:1: 'os' imported but unused\na.py:2: undefined name 'x'\nb.py:3: 'from a import *' used; unable to detect undefined names\nb.py:4: strange";
    let command = format!("cat <<'END'\n{lines}\nEND\nexit 1");
    let (built, at) = run(vec![], step("PyFlakes", json!({"command": command}))).await;
    assert_eq!(built.step(at).0, Results::Failure);
    assert_eq!(built.step(at).1, "pyflakes unused=1 undefined=1 import*=1 misc=2 (failure)");
    assert_eq!(built.properties["pyflakes-total"], 5);
    assert_eq!(built.log(at, "unused"), "a.py:1: 'os' imported but unused\n");
    let fine = step("PyFlakes", json!({"command": ["sh", "-c", "echo plain; exit 1"]}));
    let (built, at) = run(vec![], fine).await;
    assert_eq!(built.step(at), (Results::Success, "pyflakes"));
    let syntax = step("PyFlakes", json!({"command": "echo 'a.py:1: invalid syntax'; exit 1"}));
    let (built, at) = run(vec![], syntax).await;
    assert_eq!(
        (built.step(at).0, built.log(at, "syntax-error")),
        (Results::Failure, "a.py:1: invalid syntax\n")
    );
    assert!(!built.properties.contains_key("pyflakes-total"));
}

#[tokio::test]
async fn row_06_053_pylint() {
    let lines = "a.py:1:0: C0111: Missing\na.py:2:0: W0611: Unused\nb.py:3: [R0201(x), f] refactor";
    let command = format!("cat <<'END'\n{lines}\nEND\nexit 28");
    let bench = Bench::new().await;
    let (built, at) = (bench.build(&[step("PyLint", json!({"command": command}))]).await, 0);
    let sets = bench.list("test_result_sets").await;
    let set =
        json!([sets[0]["description"], sets[0]["category"], sets[0]["complete"], sets[0]["tests_passed"]]);
    assert_eq!(set, json!(["Pylint warnings", "code_issue", true, null]));
    let results = bench.list(&format!("test_result_sets/{}/results", sets[0]["test_result_setid"])).await;
    let places: Vec<_> =
        results.iter().map(|r| (r["test_code_path"].as_str().unwrap(), r["line"].as_i64())).collect();
    assert_eq!(places, [("a.py", Some(1)), ("a.py", Some(2)), ("b.py", Some(3))]);
    assert_eq!(built.step(at), (Results::Warnings, "pylint convention=1 refactor=1 warning=1 (warnings)"));
    assert_eq!(
        (&built.properties["pylint-total"], &built.properties["pylint-error"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(built.log(at, "warning"), "a.py:2:0: W0611: Unused\n");
    for (status, want) in [(0, Results::Success), (2, Results::Failure), (32, Results::Failure)] {
        let (built, at) = run(vec![], step("PyLint", json!({"command": format!("exit {status}")}))).await;
        assert_eq!(built.step(at).0, want, "{status}");
    }
}

#[tokio::test]
async fn row_06_053_sphinx() {
    let lines =
        "a.rst:1: WARNING: oh\nWarning, treated as error:\nb.rst:2: this\nbuild succeeded, 2 warnings.";
    let args = json!({"sphinx_builddir": "out", "mode": "full", "tags": ["t"]});
    let (built, at) = run(vec![tool("sphinx-build", lines, 0)], step("Sphinx", args.clone())).await;
    assert_eq!(built.step(at), (Results::Warnings, "sphinx 2 warnings (warnings)"));
    assert_eq!(built.lines(at, 'o')[0], "args: -t t -E . out");
    assert_eq!(built.log(at, "warnings"), "a.rst:1: WARNING: oh\nb.rst:2: this\n");
    let (built, at) = run(vec![tool("sphinx-build", "nothing", 0)], step("Sphinx", args)).await;
    assert_eq!(built.step(at), (Results::Failure, "sphinx 0 warnings (failure)"));
}

#[tokio::test]
async fn row_06_054_trial() {
    let rule = "=".repeat(79);
    let lines =
        format!("a.b.test_c ... [OK]\n{rule}\n[FAIL]\nRan 3 tests in 0.1s\nFAILED (failures=1, successes=2)");
    let args = json!({
        "testpath": "lib", "tests": ["a", "b"], "randomly": true, "reactor": "pollreactor",
        "env": {"PYTHONPATH": "/other"},
    });
    let log = "sed -i '2i mkdir -p _trial_temp; echo logged > _trial_temp/test.log' tools/trial";
    let log = object("steps.ShellCommand", json!({"command": log}));
    let (built, at) = run(vec![tool("trial", &lines, 1), log], step("Trial", args)).await;
    assert_eq!(built.step(at), (Results::Failure, "tests 1 failure (poll) (failure)"));
    assert_eq!(built.lines(at, 'o')[0], "args: --reporter=bwverbose --reactor=pollreactor --random=0 a b");
    assert_eq!(built.log(at, "problems").lines().count(), 4);
    assert_eq!(built.log(at, "test.log"), "ologged\n");
    let good = step("Trial", json!({"testpath": null, "tests": "a"}));
    let (built, at) = run(vec![tool("trial", "Ran 1 tests in 0.1s\n\nPASSED (successes=1)", 0)], good).await;
    assert_eq!(built.step(at), (Results::Success, "1 test passed"));
}

#[tokio::test]
async fn row_06_056_subunit() {
    let lines = "test: a\nsuccess: a\ntest: b\nfailure: b [\nwhy\n]\nsomething else";
    let command = format!("cat <<'END'\n{lines}\nEND");
    let (built, at) = run(vec![], step("SubunitShellCommand", json!({"command": command}))).await;
    assert_eq!(built.step(at), (Results::Failure, "shell Total 2 test(s) 1 failure (failure)"));
    assert_eq!((built.log(at, "problems"), built.log(at, "warnings")), ("b\nwhy\n", "something else\n"));
    for (strict, want) in [(false, Results::Success), (true, Results::Failure)] {
        let args = json!({"command": ["true"], "failureOnNoTests": strict, "name": "unit"});
        let (built, at) = run(vec![], step("SubunitShellCommand", args)).await;
        assert_eq!(built.step(at).0, want);
        assert!(built.step(at).1.starts_with("unit no tests run"), "{}", built.step(at).1);
    }
}

#[tokio::test]
async fn row_06_057_packages() {
    let lint = tool("rpmlint", "W: no-url\nE: bad", 0);
    let (built, at) = run(vec![lint], step("RpmLint", json!({"fileloc": "x.rpm", "config": "c"}))).await;
    assert_eq!(built.step(at), (Results::Success, "Finished checking RPM/SPEC issues"));
    assert_eq!(built.lines(at, 'o')[0], "args: -i -f c x.rpm");
    assert_eq!((built.log(at, "1 Warnings"), built.log(at, "1 Errors")), ("W: no-url\n", "E: bad\n"));
    let lintian = tool("lintian", "W: x", 0);
    let args = json!({"fileloc": "x.changes", "suppressTags": ["a", "b"]});
    let (built, at) = run(vec![lintian], step("DebLintian", args)).await;
    assert_eq!(built.step(at), (Results::Warnings, "Lintian (warnings)"));
    assert_eq!(built.lines(at, 'o')[0], "args: -v x.changes --suppress-tags a --suppress-tags b");
    let rpmbuild = tool("rpmbuild", "Wrote: /x.rpm\nerror: no", 1);
    let (built, at) = run(vec![rpmbuild], step("RpmBuild", json!({"specfile": "x.spec"}))).await;
    assert_eq!(built.step(at), (Results::Failure, "RPMBUILD (failure)"));
    assert_eq!(
        (built.log(at, "RPM Command Log"), built.log(at, "RPM Errors")),
        ("Wrote: /x.rpm\n", "error: no\n")
    );
    let quiet = tool("rpmbuild", "", 0);
    let (built, at) = run(vec![quiet], step("RpmBuild", json!({"specfile": "x.spec"}))).await;
    assert_eq!(built.log_names(at), ["RPM Command Log", "stdio"]);
}

#[tokio::test]
async fn row_06_057_mock_and_pbuilder() {
    let mock = tool("mock", "Wrote: /builddir/build/SRPMS/x-1.src.rpm", 0);
    let old = object("steps.ShellCommand", json!({"command": "mkdir -p r; echo old > r/build.log"}));
    let args = json!({"root": "f41", "resultdir": "r", "spec": "x.spec"});
    let (built, at) = run(vec![mock, old], step("MockBuildSRPM", args)).await;
    assert_eq!(built.step(at), (Results::Success, "mock buildsrpm"));
    assert_eq!(
        built.lines(at, 'o')[0],
        "args: --root f41 --resultdir r --buildsrpm --spec x.spec --sources ."
    );
    assert_eq!((&built.properties["srpm"], built.log(at, "build.log")), (&json!("x-1.src.rpm"), ""));
    let tools =
        vec![tool("sudo", "", 0), tool("pdebuild", " dpkg-genchanges  >../x_1.changes\nlintian W: odd", 0)];
    let (built, at) = run(tools, step("DebPbuilder", json!({"basetgz": "none.tgz"}))).await;
    assert_eq!(
        built.step(at),
        (Results::Failure, "built (failure)"),
        "sudo is not found without the step's PATH"
    );
    assert_eq!(built.log_names(at), ["pbuilder"]);
}

#[tokio::test]
async fn row_06_058_visual_studio_and_robocopy() {
    let lines = "------ Build started: Project: a ------\nmain.cpp\nmain.cpp(3) : warning C4101: x\n\
                 main.cpp(4): error C2065: y";
    let devenv = tool("devenv.com", lines, 0);
    let (built, at) =
        run(vec![devenv], step("VS2022", json!({"projectfile": "p.sln", "useenv": true}))).await;
    assert_eq!(
        built.step(at),
        (Results::Failure, "compile 1 projects 1 files 1 warnings 1 errors (failure)")
    );
    assert_eq!(built.lines(at, 'o')[0], "args: p.sln /Rebuild release /UseEnv");
    assert_eq!(built.log(at, "warnings").lines().count(), 2);
    assert!(
        built.log(at, "errors").ends_with("emain.cpp(4): error C2065: y\n"),
        "{}",
        built.log(at, "errors")
    );
    let robocopy = tool("robocopy", "", 3);
    let (built, at) = run(vec![robocopy], step("Robocopy", json!({"source": "a", "destination": "b"}))).await;
    assert_eq!(built.step(at), (Results::Warnings, "'robocopy a ...' (warnings)"));
}
