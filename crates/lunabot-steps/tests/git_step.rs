//! `steps.Git` with the real git on a real worker (06.014–06.022).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use lunabot_data::new::{NewChange, NewPatch, NewSourceStamp, StampRef};
use lunabot_model::{Json, Results};
use serde_json::json;
use support::{Bench, Built, Functions, Repo, object};

fn git(repo: &Repo, options: Json) -> Json {
    let mut args = json!({"repourl": repo.url(), "logEnviron": false});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    object("steps.Git", args)
}

fn at(revision: &str) -> NewSourceStamp {
    NewSourceStamp { revision: Some(revision.into()), ..NewSourceStamp::default() }
}

fn on(branch: &str) -> NewSourceStamp {
    NewSourceStamp { branch: Some(branch.into()), ..NewSourceStamp::default() }
}

/// Succeeded, on that commit.
fn assert_got(built: &Built, revision: &str) {
    assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
    assert_eq!(built.properties["got_revision"], revision);
    assert_eq!(built.step(0), (Results::Success, "update"));
}

const REST: &str = "rev-parse HEAD";

/// 06.016–06.021: each mode and method, twice; what is run, and what is left of earlier builds.
#[tokio::test]
async fn each_mode_and_method_twice() {
    let clone = "clone URL . --progress";
    let fetch = ["fetch -f --progress URL HEAD", "checkout -f FETCH_HEAD"];
    let again: [(&str, &str, &[&str], [bool; 2]); 6] = [
        ("incremental", "", &[fetch[0], fetch[1]], [true, true]),
        ("full", "", &["clean -f -f -d -x", fetch[0], fetch[1]], [false, false]),
        ("full", "fresh", &["clean -f -f -d -x", fetch[0], fetch[1]], [false, false]),
        ("full", "clean", &["clean -f -f -d", fetch[0], fetch[1]], [false, true]),
        ("full", "clobber", &[clone], [false, false]),
        ("full", "copy", &[fetch[0], fetch[1]], [false, false]),
    ];
    let bench = Bench::new().await;
    for (mode, method, commands, stays) in again {
        let repo = Repo::new();
        std::fs::write(repo.path().join(".gitignore"), "ignored\n").unwrap();
        let first = repo.commit("a", "one");
        let mut options = json!({"mode": mode, "workdir": format!("{mode}-{method}")});
        if !method.is_empty() {
            options["method"] = json!(method);
        }
        let step = [git(&repo, options)];
        let built = bench.build(&step).await;
        assert_got(&built, &first);
        assert_eq!(built.git(0, &repo), ["--version", clone, REST], "{mode} {method}");
        let tree = bench.builddir().join(format!("{mode}-{method}"));
        std::fs::write(tree.join("untracked"), "").unwrap();
        std::fs::write(tree.join("ignored"), "").unwrap();
        std::fs::write(tree.join("a"), "changed").unwrap();
        let second = repo.commit("a", "two");
        let built = bench.build(&step).await;
        assert_got(&built, &second);
        let mut wanted = vec!["--version"];
        wanted.extend(commands);
        wanted.push(REST);
        assert_eq!(built.git(0, &repo), wanted, "{mode} {method}");
        assert_eq!(std::fs::read_to_string(tree.join("a")).unwrap(), "one\ntwo\n");
        let left = ["untracked", "ignored"].map(|name| tree.join(name).exists());
        assert_eq!(left, stays, "{mode} {method}");
        if method == "copy" {
            assert!(bench.builddir().join("source/.git").exists());
            std::fs::remove_dir_all(bench.builddir().join("source")).unwrap();
        }
    }
}

/// 06.019: a commit that is here is not fetched; a branch is named.
#[tokio::test]
async fn revisions_and_branches_are_checked_out() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let first = repo.commit("a", "one");
    repo.git(&["checkout", "--quiet", "-b", "topic"]);
    let second = repo.commit("a", "two");
    repo.git(&["update-ref", "refs/pull/1/head", &second]);
    repo.git(&["checkout", "--quiet", "main"]);
    let step = [git(&repo, json!({}))];
    let built = bench.build_for(&step, vec![on("topic")]).await;
    assert_got(&built, &second);
    assert_eq!(built.git(0, &repo), ["--version", "clone --branch topic URL . --progress", REST]);
    let built = bench.build_for(&step, vec![at(&first)]).await;
    assert_got(&built, &first);
    let probe = format!("cat-file -e {first}");
    assert_eq!(built.git(0, &repo), ["--version", &probe, &format!("checkout -f {first}"), REST]);
    let built = bench.build_for(&step, vec![on("topic")]).await;
    assert_got(&built, &second);
    let fetch = ["fetch -f --progress URL topic", "checkout -f FETCH_HEAD", "checkout -B topic"];
    assert_eq!(built.git(0, &repo)[1..4], fetch);
    std::fs::remove_dir_all(bench.workdir()).unwrap();
    let built = bench.build_for(&step, vec![on("refs/pull/1/head")]).await;
    assert_got(&built, &second);
    let clone = [
        "clone --no-checkout URL . --progress",
        "fetch -f --progress URL refs/pull/1/head",
        "checkout -f FETCH_HEAD",
    ];
    assert_eq!(built.git(0, &repo)[1..4], clone);
}

/// 06.014: without a revision, the newest change's.
#[tokio::test]
async fn the_newest_change_gives_the_revision() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let first = repo.commit("a", "one");
    repo.commit("a", "two");
    let change = NewChange {
        author: "A <a>".into(),
        revision: Some(first.clone()),
        branch: Some("main".into()),
        ..NewChange::default()
    };
    let stamp = bench.data.add_change(change).await.unwrap().sourcestamp.ssid;
    let nothing = Functions::new(|name, _| panic!("unexpected call of {name}"));
    let built = bench.build_stamps(&[git(&repo, json!({}))], vec![StampRef::Id(stamp)], nothing).await;
    assert_got(&built, &first);
    let latest = git(&repo, json!({"alwaysUseLatest": true}));
    let nothing = Functions::new(|name, _| panic!("unexpected call of {name}"));
    let built = bench.build_stamps(&[latest], vec![StampRef::Id(stamp)], nothing).await;
    assert_got(&built, &repo.head());
}

/// 06.014: codebases.
#[tokio::test]
async fn codebases_have_entries_in_the_properties() {
    let (one, two, bench) = (Repo::new(), Repo::new(), Bench::new().await);
    let (first, second) = (one.commit("a", "one"), two.commit("b", "two"));
    let steps = [
        git(&one, json!({"codebase": "one", "workdir": "one"})),
        git(&two, json!({"codebase": "two", "workdir": "two"})),
        git(&two, json!({"codebase": "three", "workdir": "three"})),
    ];
    let stamp = |codebase: &str| NewSourceStamp { codebase: codebase.into(), ..NewSourceStamp::default() };
    let built = bench.build_for(&steps, vec![stamp("one"), stamp("two")]).await;
    assert_eq!(built.properties["got_revision"], json!({"one": first, "two": second}));
    assert_eq!(built.step(0), (Results::Success, "update one"));
    assert_eq!(built.step(2), (Results::Failure, "Codebase three not in build (failure)"));
    assert!(built.log(2, "log").contains("no source stamp of codebase 'three'"));
    assert_eq!(built.results(), Some(Results::Failure));
}

/// 06.015, 06.017: the patch is applied to index and tree, and cleaned away by the next checkout.
#[tokio::test]
async fn a_patch_is_applied_and_gone_at_the_next_checkout() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let first = repo.commit("a", "one");
    let patch = NewPatch {
        body: b"--- a/a\n+++ b/a\n@@ -1 +1,2 @@\n one\n+patched\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n".to_vec(),
        level: 1,
        author: "P".into(),
        ..NewPatch::default()
    };
    let stamp = NewSourceStamp { patch: Some(patch.clone()), ..at(&first) };
    let step = [git(&repo, json!({}))];
    let built = bench.build_for(&step, vec![stamp]).await;
    assert_got(&built, &first);
    assert!(built.log(0, "patch").contains("+patched"));
    let read = |name: &str| std::fs::read_to_string(bench.workdir().join(name)).unwrap_or_default();
    assert_eq!((read("a").as_str(), read("new").as_str()), ("one\npatched\n", "new\n"));
    assert!(
        !bench.workdir().join(".buildbot-diff").exists()
            && bench.workdir().join(".buildbot-patched").exists()
    );
    let ran = built.git(0, &repo);
    assert!(
        ran.iter().any(|line| line == "update-index --refresh")
            && ran.iter().any(|line| line == "apply --index -p 1"),
        "{ran:?}"
    );
    let built = bench.build_for(&step, vec![at(&first)]).await;
    assert_got(&built, &first);
    assert_eq!(built.git(0, &repo)[1], "clean -f -f -d -x");
    assert_eq!((read("a").as_str(), read(".buildbot-patched").as_str()), ("one\n", ""));
    let broken = NewPatch { body: b"--- a/a\n+++ b/a\n@@ -1 +1 @@\n-other\n+x\n".to_vec(), ..patch };
    let built = bench.build_for(&step, vec![NewSourceStamp { patch: Some(broken), ..at(&first) }]).await;
    assert_eq!(built.step(0).0, Results::Failure);
}

#[tokio::test]
async fn submodules_are_checked_out_and_cleaned() {
    let (inner, repo, bench) = (Repo::new(), Repo::new(), Bench::new().await);
    inner.commit("in", "inner one");
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "add", "--quiet", &inner.url(), "sub"]);
    let first = repo.commit("a", "one");
    let options = json!({"submodules": true, "mode": "full", "method": "fresh", "config": {"protocol.file.allow": "always"}});
    let step = [git(&repo, options)];
    let built = bench.build(&step).await;
    assert_got(&built, &first);
    assert_eq!(std::fs::read_to_string(bench.workdir().join("sub/in")).unwrap(), "inner one\n");
    std::fs::write(bench.workdir().join("sub/untracked"), "").unwrap();
    let built = bench.build(&step).await;
    assert_got(&built, &first);
    assert!(!bench.workdir().join("sub/untracked").exists());
    let ran = built.git(0, &repo);
    let option = "-c protocol.file.allow=always ";
    let without: Vec<&str> =
        ran.iter().map(|line| line.strip_prefix(option).expect("every command has the settings")).collect();
    let wanted = [
        "clean -f -f -d -x",
        "fetch -f --progress URL HEAD",
        "checkout -f FETCH_HEAD",
        "submodule sync",
        "submodule update --init --recursive --force --checkout",
        "submodule foreach --recursive 'git clean -f -f -d -x'",
        "clean -f -f -d -x",
        REST,
    ];
    assert_eq!(without[1..], wanted);
}

#[tokio::test]
async fn depth_and_description_are_as_asked() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    repo.commit("a", "one");
    repo.git(&["tag", "v1"]);
    let second = repo.commit("a", "two");
    let built = bench.build(&[git(&repo, json!({"shallow": true, "workdir": "shallow"}))]).await;
    assert_got(&built, &second);
    let depth = support::Repo::depth(&bench.builddir().join("shallow"));
    assert_eq!(depth, "1");
    let describe = json!({"tags": true, "abbrev": 0});
    let built = bench.build(&[git(&repo, json!({"getDescription": describe}))]).await;
    assert_got(&built, &second);
    assert_eq!(built.properties["commit-description"], "v1");
    assert_eq!(built.git(0, &repo).last().unwrap(), "describe --tags --abbrev=0 HEAD");
}

/// 06.021: what happens when the server is gone, or the tree is broken.
#[tokio::test]
async fn failures_are_retried_clobbered_or_told() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let first = repo.commit("a", "one");
    let step = [git(&repo, json!({}))];
    assert_got(&bench.build(&step).await, &first);
    let (there, away) = (repo.path().join(".git"), repo.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let built = bench.build(&step).await;
    assert_eq!(
        (built.results(), built.step(0)),
        (Some(Results::Failure), (Results::Failure, "update (failure)"))
    );
    let built = bench.build(&[git(&repo, json!({"retryFetch": true}))]).await;
    let fetches = built.git(0, &repo).iter().filter(|line| line.starts_with("fetch -f")).count();
    assert_eq!((built.step(0).0, fetches), (Results::Failure, 2));
    let built = bench.build(&[git(&repo, json!({"workdir": "new", "retry": [0, 2]}))]).await;
    let clones = built.git(0, &repo).iter().filter(|line| line.starts_with("clone URL")).count();
    assert_eq!((built.step(0).0, clones), (Results::Failure, 3));
    std::fs::rename(&away, &there).unwrap();
    std::fs::write(bench.workdir().join(".git/HEAD"), "broken").unwrap();
    let built = bench.build(&[git(&repo, json!({"clobberOnFailure": true}))]).await;
    assert_got(&built, &first);
}

/// 06.018: a folder with something else in it is emptied first.
#[tokio::test]
async fn a_folder_with_something_else_is_replaced() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let first = repo.commit("a", "one");
    std::fs::create_dir_all(bench.workdir()).unwrap();
    std::fs::write(bench.workdir().join("old"), "").unwrap();
    assert_got(&bench.build(&[git(&repo, json!({}))]).await, &first);
    assert!(!bench.workdir().join("old").exists());
}

/// 06.017: no git, or one that hangs.
#[tokio::test]
async fn a_missing_git_is_an_exception_and_a_hanging_server_a_failure() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let empty = json!({"PATH": repo.path().display().to_string()});
    let built = bench.build(&[git(&repo, json!({"env": empty}))]).await;
    assert_eq!(built.step(0).0, Results::Exception);
    assert!(built.log(0, "err.text").contains("git is not installed on the worker"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("git://{}/x", listener.local_addr().unwrap());
    let built = bench.build(&[git(&repo, json!({"repourl": url, "timeout": 1, "workdir": "x"}))]).await;
    assert_eq!(built.step(0).0, Results::Failure);
    assert!(built.step(0).1.contains("timed out"), "{}", built.step(0).1);
}

/// 06.022: git finds keys and credentials, and nothing of them stays.
#[tokio::test]
async fn keys_are_on_the_worker_only_while_the_step_runs() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let first = repo.commit("a", "one");
    let secret = object("util.Secret", json!({"secret_name": "token"}));
    let options =
        json!({"sshPrivateKey": secret, "sshHostKey": "ssh-ed25519 AA", "auth_credentials": ["joe", secret]});
    let built = bench.build(&[git(&repo, options)]).await;
    assert_got(&built, &first);
    let ran = built.git(0, &repo);
    let clone = ran.iter().find(|line| line.contains(" clone ")).unwrap();
    let key = bench.builddir().join(".build.buildbot/ssh-key").display().to_string();
    assert!(clone.contains(&key) && clone.contains("credential.helper="), "{clone}");
    assert!(ran.iter().any(|line| line.ends_with("credential approve")), "{ran:?}");
    let names: Vec<_> =
        std::fs::read_dir(bench.builddir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["build"]);
    assert!(!built.log(0, "stdio").contains("s3cret"));
}

/// 06.017: the keys go in any case.
#[tokio::test]
async fn a_stopped_step_takes_its_keys_away() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("git://{}/x", listener.local_addr().unwrap());
    bench.declare(&[git(&repo, json!({"repourl": url, "sshPrivateKey": "KEY"}))]).await;
    let finished = bench.begin(vec![StampRef::New(NewSourceStamp::default())]).await;
    // The connection comes when the keys are there.
    let (_held, _) = listener.accept().await.unwrap();
    let dir = bench.builddir().join(".build.buildbot");
    assert_eq!(std::fs::read_to_string(dir.join("ssh-key")).unwrap(), "KEY\n");
    bench.stop_build(1).await;
    let built = bench.end(finished).await;
    assert_eq!((built.results(), built.step(0).0), (Some(Results::Cancelled), Results::Cancelled));
    assert!(!dir.exists());
}
