//! `steps.SVN` with the real svn (06.014, 06.015, 06.025).

use crate::support::{Bench, Built, Functions, SvnRepo, object};
use lunabot_data::new::{NewChange, NewPatch, NewSourceStamp, StampRef};
use lunabot_model::{Json, Results};
use serde_json::json;

fn svn(repo: &SvnRepo, options: Json) -> Json {
    let mut args = json!({"repourl": repo.url("trunk"), "logEnviron": false});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    object("steps.SVN", args)
}

fn at(revision: &str) -> NewSourceStamp {
    NewSourceStamp { revision: Some(revision.into()), ..NewSourceStamp::default() }
}

/// Succeeded, on that revision.
fn assert_got(built: &Built, revision: &str) {
    assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
    assert_eq!(built.properties["got_revision"], revision);
}

/// The command lines of svn, without what all have and without addresses.
fn ran(built: &Built, repo: &SvnRepo) -> Vec<String> {
    let lines = built.lines(0, 'h').into_iter().filter_map(|line| line.strip_prefix("svn "));
    let plain = |line: &str| {
        line.replace(&repo.url("trunk"), "URL").replace(" --non-interactive --no-auth-cache", "")
    };
    lines.map(plain).collect()
}

const BEGIN: &str = "--version";
const END: &str = "info --xml";

/// 06.025: each mode and method, twice; what is run, and what is left of earlier builds.
#[tokio::test]
async fn row_06_025_each_mode_and_method_twice() {
    let (checkout, update) = ("checkout URL .", "update");
    let again: [(&str, &str, &[&str], [bool; 2]); 7] = [
        ("incremental", "", &[END, update], [true, true]),
        ("full", "", &[END, "status --xml --no-ignore", update], [false, false]),
        ("full", "fresh", &[END, "status --xml --no-ignore", update], [false, false]),
        ("full", "clean", &[END, "status --xml", update], [false, true]),
        ("full", "clobber", &[checkout], [false, false]),
        ("full", "copy", &[END, update], [false, false]),
        ("full", "export", &[END, update, "export source full-export"], [false, false]),
    ];
    let bench = Bench::new().await;
    for (mode, method, commands, stays) in again {
        let case = format!("{mode}-{method}");
        let repo = SvnRepo::new();
        repo.write("trunk/a", "one\n");
        repo.svn(&["propset", "svn:ignore", "ignored", "trunk"]);
        repo.commit("first");
        let mut options = json!({"mode": mode, "workdir": case});
        if !method.is_empty() {
            options["method"] = json!(method);
        }
        let step = [svn(&repo, options)];
        let built = bench.build(&step).await;
        assert_got(&built, "2");
        let mut wanted = vec![BEGIN, checkout];
        wanted.extend((method == "export").then_some("export source full-export"));
        wanted.push(END);
        assert_eq!(ran(&built, &repo), wanted, "{case}");
        let tree = bench.builddir().join(&case);
        std::fs::write(tree.join("untracked"), "").unwrap();
        std::fs::write(tree.join("ignored"), "").unwrap();
        if mode == "full" {
            std::fs::write(tree.join("a"), "changed").unwrap();
        }
        repo.write("trunk/a", "two\n");
        repo.commit("second");
        let built = bench.build(&step).await;
        assert_got(&built, "3");
        let wanted: Vec<&str> = [BEGIN].into_iter().chain(commands.iter().copied()).chain([END]).collect();
        assert_eq!(ran(&built, &repo), wanted, "{case}");
        assert_eq!(std::fs::read_to_string(tree.join("a")).unwrap(), "two\n", "{case}");
        let left = ["untracked", "ignored"].map(|name| tree.join(name).exists());
        assert_eq!(left, stays, "{case}");
        assert_eq!(tree.join(".svn").exists(), method != "export", "{case}");
        if matches!(method, "copy" | "export") {
            std::fs::remove_dir_all(bench.builddir().join("source")).unwrap();
        }
    }
}

/// 06.014: the build's revision, else the highest of its changes; another address means another tree.
#[tokio::test]
async fn row_06_014_revisions_and_addresses_are_the_builds() {
    let (repo, bench) = (SvnRepo::new(), Bench::new().await);
    for text in ["one\n", "two\n", "three\n"] {
        repo.write("trunk/a", text);
        repo.commit(text);
    }
    let read = || std::fs::read_to_string(bench.workdir().join("a")).unwrap();
    let step = [svn(&repo, json!({}))];
    let built = bench.build_for(&step, vec![at("2")]).await;
    assert_got(&built, "2");
    assert_eq!((ran(&built, &repo)[1].as_str(), read().as_str()), ("checkout URL . --revision 2", "one\n"));
    let built = bench.build_for(&step, vec![at("3")]).await;
    assert_got(&built, "3");
    assert_eq!((ran(&built, &repo)[2].as_str(), read().as_str()), ("update --revision 3", "two\n"));

    let change = |revision: &str| NewChange {
        author: "joe".into(),
        revision: Some(revision.into()),
        ..NewChange::default()
    };
    bench.data.add_change(change("4")).await.unwrap();
    let stamp = bench.data.add_change(change("3")).await.unwrap().sourcestamp.ssid;
    let nothing = Functions::new(|name, _| panic!("unexpected call of {name}"));
    assert_got(&bench.build_stamps(&step, vec![StampRef::Id(stamp)], nothing).await, "3");

    repo.svn(&["copy", "-q", &repo.url("trunk"), &repo.url("branches/b"), "-m", "branch"]);
    let other = [svn(&repo, json!({"repourl": repo.url("branches/b/")}))];
    let built = bench.build(&other).await;
    assert_got(&built, "5");
    assert!(ran(&built, &repo)[2].starts_with("checkout"), "{:?}", ran(&built, &repo));
    assert_eq!(ran(&bench.build(&other).await, &repo)[2], "update");
}

/// 06.015: the patch is applied, and the next checkout takes it away, in mode incremental too.
#[tokio::test]
async fn row_06_015_a_patch_is_gone_at_the_next_checkout() {
    let (repo, bench) = (SvnRepo::new(), Bench::new().await);
    repo.write("trunk/sub/a", "one\n");
    repo.commit("first");
    let patch = NewPatch {
        body: b"--- a/a\n+++ b/a\n@@ -1 +1,2 @@\n one\n+patched\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n".to_vec(),
        level: 1,
        subdir: "sub".into(),
        author: "P".into(),
        ..NewPatch::default()
    };
    let stamp = |patch: &NewPatch| NewSourceStamp { patch: Some(patch.clone()), ..at("2") };
    let step = [svn(&repo, json!({}))];
    let built = bench.build_for(&step, vec![stamp(&patch)]).await;
    assert_got(&built, "2");
    let read = |name: &str| std::fs::read_to_string(bench.workdir().join(name)).unwrap_or_default();
    assert_eq!((read("sub/a").as_str(), read("sub/new").as_str()), ("one\npatched\n", "new\n"));
    let command = "patch -p1 --remove-empty-files --force --forward -i .buildbot-diff";
    assert!(built.lines(0, 'h').contains(&command), "{:?}", built.lines(0, 'h'));
    assert!(built.log(0, "patch").contains("+patched"));
    let built = bench.build_for(&step, vec![at("2")]).await;
    assert_got(&built, "2");
    assert_eq!(
        (read("sub/a").as_str(), read("sub/new").as_str(), read(".buildbot-patched").as_str()),
        ("one\n", "", "")
    );
    let broken = NewPatch { body: b"--- a/a\n+++ b/a\n@@ -1 +1 @@\n-other\n+x\n".to_vec(), ..patch };
    let built = bench.build_for(&step, vec![stamp(&broken)]).await;
    assert_eq!(built.step(0).0, Results::Failure);
}

/// 06.025: keep_on_purge, depth and preferLastChangedRev.
#[tokio::test]
async fn row_06_025_options_are_followed() {
    let (repo, bench) = (SvnRepo::new(), Bench::new().await);
    repo.write("trunk/a", "one\n");
    repo.write("trunk/deep/b", "one\n");
    repo.commit("first");
    repo.write("branches/x", "elsewhere\n");
    repo.commit("second");
    let options =
        json!({"mode": "full", "keep_on_purge": ["kept"], "depth": "files", "preferLastChangedRev": true});
    let step = [svn(&repo, options)];
    assert_got(&bench.build(&step).await, "2");
    assert!(!bench.workdir().join("deep").exists());
    for name in ["kept", "lost"] {
        std::fs::write(bench.workdir().join(name), "").unwrap();
    }
    assert_got(&bench.build(&step).await, "2");
    assert!(bench.workdir().join("kept").exists() && !bench.workdir().join("lost").exists());
    assert_got(&bench.build(&[svn(&repo, json!({"workdir": "other"}))]).await, "3");
}

/// 06.025: a server that wants a password gets it, and no log does.
#[tokio::test]
async fn row_06_025_passwords_are_used_and_not_shown() {
    let (repo, bench) = (SvnRepo::new(), Bench::new().await);
    repo.write("trunk/a", "one\n");
    repo.commit("first");
    let server = repo.serve("joe", "s3cretword");
    let step = |password: &str| {
        let options =
            json!({"repourl": server.url("trunk"), "username": "joe", "password": password, "mode": "full"});
        [svn(&repo, options)]
    };
    for command in ["checkout", "update"] {
        let built = bench.build(&step("s3cretword")).await;
        assert_got(&built, "2");
        let stdio = built.log(0, "stdio");
        assert!(stdio.contains(command) && stdio.contains("--username joe --password XXXXXX"), "{stdio}");
        assert!(!stdio.contains("s3cretword"), "{stdio}");
    }
    let built = bench.build(&[svn(&repo, json!({"repourl": server.url("trunk"), "workdir": "x"}))]).await;
    assert_eq!(built.step(0).0, Results::Failure);
    assert_eq!(bench.build(&step("wrong")).await.step(0).0, Results::Failure);
}

/// 06.025: a failed checkout is tried again as often as asked; without svn the worker is at fault.
#[tokio::test]
async fn row_06_025_failures_are_retried_or_told() {
    let (repo, bench) = (SvnRepo::new(), Bench::new().await);
    let built = bench.build(&[svn(&repo, json!({"repourl": repo.url("none"), "retry": [0, 2]}))]).await;
    let tries = ran(&built, &repo).iter().filter(|line| line.starts_with("checkout file:")).count();
    assert_eq!((built.step(0), tries), ((Results::Failure, "update (failure)"), 3));
    let empty = json!({"PATH": repo.path().display().to_string()});
    let built = bench.build(&[svn(&repo, json!({"env": empty}))]).await;
    assert_eq!(built.step(0).0, Results::Exception);
    assert!(built.log(0, "err.text").contains("svn is not installed on the worker"));
}

/// A codebase has a source folder of its own, and is part of the step's name.
#[tokio::test]
async fn row_06_014_codebases_are_kept_apart() {
    let (repo, bench) = (SvnRepo::new(), Bench::new().await);
    repo.write("trunk/a", "one\n");
    repo.commit("first");
    let stamp = NewSourceStamp { codebase: "lib".into(), ..NewSourceStamp::default() };
    let options = json!({"codebase": "lib", "mode": "full", "method": "copy"});
    let built = bench.build_for(&[svn(&repo, options)], vec![stamp]).await;
    assert_eq!(built.properties["got_revision"], json!({"lib": "2"}));
    assert_eq!(
        (built.steps[0].0.name.as_str(), built.step(0)),
        ("svn-lib", (Results::Success, "update lib"))
    );
    assert!(bench.builddir().join("source/lib/.svn").exists());
}
