//! `steps.P4` against a stand-in for `p4` that answers in its recorded form (06.027).

use crate::support::{Bench, Built, object, script};
use lunabot_data::new::NewSourceStamp;
use lunabot_model::{Json, Results};
use serde_json::json;
use std::path::Path;

/// A `p4` that keeps the client it is given, and syncs a file `a` with the number of the change.
fn stand_in(dir: &Path) -> String {
    let text = r#"#!/bin/sh
home=$(dirname "$0")
[ "$1" = -V ] && { echo "Perforce - The Fast Software Configuration Management System."; exit; }
while [ "${1#-}" != "$1" ]; do shift 2; done
for last; do :; done
case $1 in
login) read -r password; [ "$password" = s3cretword ];;
client) cat >"$home/client"; echo "Client $(sed -n 's/^Client: //p' "$home/client") saved.";;
changes) number=${last##*@}; [ "$number" = "$last" ] && number=9; echo "Change $number on 2008/04/07 by joe@host 'text'";;
sync) case $last in *@*) echo "${last##*@}" >a;; *) rm -f a;; esac;;
esac
"#;
    script(dir, "p4", text).display().to_string()
}

fn ran(built: &Built, p4: &str) -> Vec<String> {
    let lines = built.lines(0, 'h').into_iter().filter_map(|line| line.strip_prefix(p4));
    lines.map(|line| line.trim_start().to_string()).collect()
}

fn at(revision: &str) -> NewSourceStamp {
    NewSourceStamp { revision: Some(revision.into()), ..NewSourceStamp::default() }
}

#[tokio::test]
async fn row_06_027_a_view_is_synced_to_the_builds_change() {
    let (dir, bench) = (tempfile::tempdir().unwrap(), Bench::new().await);
    let p4 = stand_in(dir.path());
    let step = |options: Json| {
        let mut args = json!({"p4bin": p4, "p4base": "//depot/my project", "p4branch": "trunk", "p4port": "h:1666",
            "p4user": "bot", "p4passwd": "s3cretword", "logEnviron": false});
        args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        [object("steps.P4", args)]
    };
    let built =
        bench.build(&step(json!({"p4extra_views": [["//depot/lib", "lib"]], "p4extra_args": ["-q"]}))).await;
    assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
    assert_eq!(built.properties["got_revision"], "9");
    let all = "-p h:1666 -u bot -P XXXXXX -c buildbot_local_b";
    let wanted = [
        "-V".to_string(),
        format!("{all} client -i"),
        format!("{all} changes -m1 //buildbot_local_b/...#head"),
        format!("{all} sync -q //buildbot_local_b/...@9"),
    ];
    assert_eq!(ran(&built, &p4).iter().map(|line| line.replace('\'', "")).collect::<Vec<_>>(), wanted);
    assert!(!built.log(0, "stdio").contains("s3cretword"));
    let spec = std::fs::read_to_string(dir.path().join("client")).unwrap();
    let root = format!("Root:\t{}\n", bench.workdir().display());
    assert!(spec.contains(&root) && spec.contains("Options:\tallwrite rmdir\n"), "{spec}");
    let view = "View:\n\t\"//depot/my project/trunk/...\" //buildbot_local_b/...\n\t//depot/lib/... //buildbot_local_b/lib/...\n";
    assert!(spec.ends_with(view), "{spec}");

    std::fs::write(bench.workdir().join("left"), "").unwrap();
    let built = bench.build_for(&step(json!({})), vec![at("5")]).await;
    assert_eq!(built.properties["got_revision"], "5");
    assert!(bench.workdir().join("left").exists());
    let built = bench.build_for(&step(json!({"mode": "full", "use_tickets": true})), vec![at("6")]).await;
    assert_eq!(built.properties["got_revision"], "6");
    assert!(!bench.workdir().join("left").exists());
    assert_eq!(std::fs::read_to_string(bench.workdir().join("a")).unwrap(), "6\n");
    let told = ran(&built, &p4).join("\n");
    assert!(
        told.contains("-c buildbot_local_b login") && told.contains("sync #none")
            || told.contains("sync '#none'"),
        "{told}"
    );
    assert!(!told.contains("-P"), "{told}");

    let spec =
        json!({"p4base": null, "p4branch": null, "p4viewspec": [["//depot/a/", "x/"]], "p4client": "c"});
    let mut step = step(json!({}));
    for (name, value) in spec.as_object().unwrap() {
        step[0]["$args"].as_object_mut().unwrap().remove(name);
        if !value.is_null() {
            step[0]["$args"][name] = value.clone();
        }
    }
    let built = bench.build(&step).await;
    assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
    let spec = std::fs::read_to_string(dir.path().join("client")).unwrap();
    assert!(spec.ends_with("View:\n\t//depot/a/... //c/x/...\n"), "{spec}");
}

#[tokio::test]
async fn row_06_027_failures_and_mistakes_are_told() {
    let (dir, bench) = (tempfile::tempdir().unwrap(), Bench::new().await);
    let p4 = stand_in(dir.path());
    let wrong =
        json!({"p4bin": p4, "p4base": "//d", "use_tickets": true, "p4passwd": "guess", "p4user": "u"});
    assert_eq!(bench.build(&[object("steps.P4", wrong)]).await.step(0).0, Results::Failure);
    let missing = object("steps.P4", json!({"p4bin": "/nowhere/p4", "p4base": "//d"}));
    let built = bench.build(&[missing]).await;
    assert_eq!(built.step(0).0, Results::Exception);
    assert!(built.log(0, "err.text").contains("p4 is not installed"));
    let kind = &lunabot_steps::STEPS.iter().find(|step| step.kind.name == "P4").unwrap().kind;
    let problems = |args: Json| {
        (kind.check)(&args).into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>()
    };
    assert_eq!(problems(json!({})), ["p4base: p4base or p4viewspec must be given"]);
    assert_eq!(problems(json!({"p4base": "depot"})), ["p4base: must begin with //, as in //depot/project"]);
    assert_eq!(problems(json!({"p4base": "//d/"})), ["p4base: must not end in a slash"]);
    let both = json!({"p4base": "//d", "p4viewspec": [["//d/", ""]]});
    assert_eq!(problems(both), ["p4viewspec: excludes p4base, p4branch and p4extra_views"]);
    assert_eq!(problems(json!({"p4base": "//d", "stream": true})), ["stream: needs p4base and p4branch"]);
    assert!(problems(json!({"p4base": "//d", "mode": "clobber"}))[0].starts_with("mode: "));
}
