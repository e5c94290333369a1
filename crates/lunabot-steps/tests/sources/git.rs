//! `steps.Git` with the real git on a real worker (06.014–06.022).

use crate::support::{Bench, Built, Functions, Repo, object};
use lunabot_data::new::{NewChange, NewPatch, NewSourceStamp, StampRef};
use lunabot_model::{Json, Results};
use serde_json::json;

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
async fn rows_06_016_to_06_021_each_mode_and_method_twice() {
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
async fn row_06_019_revisions_and_branches_are_checked_out() {
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
async fn row_06_014_the_newest_change_gives_the_revision() {
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
async fn rows_04_008_06_014_codebases_have_entries_in_the_properties() {
    let (one, two, bench) = (Repo::new(), Repo::new(), Bench::new().await);
    let (first, second) = (one.commit("a", "one"), two.commit("b", "two"));
    let steps = [
        git(&one, json!({"codebase": "one", "workdir": "one"})),
        git(&two, json!({"codebase": "two", "workdir": "two"})),
        git(&two, json!({"codebase": "three", "workdir": "three", "name": "sources"})),
    ];
    let stamp = |codebase: &str| NewSourceStamp { codebase: codebase.into(), ..NewSourceStamp::default() };
    let built = bench.build_for(&steps, vec![stamp("one"), stamp("two")]).await;
    assert_eq!(built.properties["got_revision"], json!({"one": first, "two": second}));
    let names: Vec<&str> = built.steps.iter().map(|(step, _)| step.name.as_str()).collect();
    assert_eq!(names, ["git-one", "git-two", "sources-three"]);
    assert_eq!(built.step(0), (Results::Success, "update one"));
    assert_eq!(built.step(2), (Results::Failure, "Codebase three not in build (failure)"));
    assert!(built.log(2, "log").contains("no source stamp of codebase 'three'"));
    assert_eq!(built.results(), Some(Results::Failure));
}

/// 04.009: a property is a text or a table by codebase, not both.
#[tokio::test]
async fn row_04_009_steps_with_and_without_codebase_do_not_mix() {
    let (one, two, bench) = (Repo::new(), Repo::new(), Bench::new().await);
    one.commit("a", "one");
    two.commit("b", "two");
    let plain = git(&one, json!({"workdir": "one", "haltOnFailure": false}));
    let named = git(&two, json!({"codebase": "two", "workdir": "two", "haltOnFailure": false}));
    let stamp = |codebase: &str| NewSourceStamp { codebase: codebase.into(), ..NewSourceStamp::default() };
    for (steps, complaint) in [([&plain, &named], "has a codebase"), ([&named, &plain], "has no codebase")] {
        let built = bench.build_for(&steps.map(Clone::clone), vec![stamp(""), stamp("two")]).await;
        assert_eq!((built.step(0).0, built.step(1).0), (Results::Success, Results::Exception));
        assert!(built.log(1, "err.text").contains(complaint), "{}", built.log(1, "err.text"));
    }
}

/// 06.015, 06.017: the patch is applied to index and tree, and cleaned away by the next checkout.
#[tokio::test]
async fn rows_06_015_06_017_a_patch_is_applied_and_gone_at_the_next_checkout() {
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
async fn row_06_016_depth_and_description_are_as_asked() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    repo.commit("a", "one");
    repo.git(&["tag", "v1"]);
    let second = repo.commit("a", "two");
    let built = bench.build(&[git(&repo, json!({"shallow": true, "workdir": "shallow"}))]).await;
    assert_got(&built, &second);
    let depth = Repo::depth(&bench.builddir().join("shallow"));
    assert_eq!(depth, "1");
    let describe = json!({"tags": true, "abbrev": 0});
    let built = bench.build(&[git(&repo, json!({"getDescription": describe}))]).await;
    assert_got(&built, &second);
    assert_eq!(built.properties["commit-description"], "v1");
    assert_eq!(built.git(0, &repo).last().unwrap(), "describe --tags --abbrev=0 HEAD");
}

/// 06.021: what happens when the server is gone, or the tree is broken.
#[tokio::test]
async fn rows_06_020_06_021_failures_are_retried_clobbered_or_told() {
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
async fn row_06_018_a_folder_with_something_else_is_replaced() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    let first = repo.commit("a", "one");
    std::fs::create_dir_all(bench.workdir()).unwrap();
    std::fs::write(bench.workdir().join("old"), "").unwrap();
    assert_got(&bench.build(&[git(&repo, json!({}))]).await, &first);
    assert!(!bench.workdir().join("old").exists());
}

/// 06.017: no git, or one that hangs.
#[tokio::test]
async fn row_06_017_a_missing_git_is_an_exception_and_a_hanging_server_a_failure() {
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
async fn row_06_022_keys_are_on_the_worker_only_while_the_step_runs() {
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
async fn row_06_017_a_stopped_step_takes_its_keys_away() {
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

/// A bare repository with one commit on `main`, and the commit.
fn bare() -> (Repo, tempfile::TempDir, String) {
    let (seed, dir) = (Repo::new(), tempfile::tempdir().unwrap());
    let first = seed.commit("a", "one");
    let path = dir.path().display().to_string();
    seed.git(&["clone", "--quiet", "--bare", &seed.url(), &path]);
    (seed, dir, first)
}

fn tip(dir: &tempfile::TempDir, reference: &str) -> String {
    let arg = format!("--git-dir={}", dir.path().display());
    crate::support::run(dir.path(), "git", &[&arg, "rev-parse", reference])
}

/// 06.023: what a build makes is committed, tagged and pushed.
#[tokio::test]
async fn row_06_023_commits_and_tags_are_made_and_pushed() {
    let (_, origin, first) = bare();
    let bench = Bench::new().await;
    let url = format!("file://{}", origin.path().display());
    let quiet = |kind: &str, options: Json| {
        let mut args = json!({"logEnviron": false, "config": {"user.name": "CI", "user.email": "ci@h"}});
        args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        object(kind, args)
    };
    let make =
        object("steps.ShellCommand", json!({"command": ["sh", "-c", "echo two >> a"], "logEnviron": false}));
    let stamp = || NewSourceStamp { branch: Some("main".into()), ..NewSourceStamp::default() };
    let commit = |more: Json| {
        let mut options = json!({"paths": ["a"], "messages": ["Two", "and why"], "haltOnFailure": true});
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        quiet("steps.GitCommit", options)
    };
    let source = quiet("steps.Git", json!({"repourl": url, "mode": "full"}));
    let push = quiet("steps.GitPush", json!({"repourl": url, "branch": "main"}));
    let steps = [
        source.clone(),
        make.clone(),
        commit(json!({"no_verify": true})),
        quiet("steps.GitTag", json!({"tagName": "v2", "annotated": true, "messages": ["Version two"]})),
        push.clone(),
        quiet("steps.GitPush", json!({"repourl": url, "branch": "v2", "name": "push tag"})),
    ];
    let built = bench.build_for(&steps, vec![stamp()]).await;
    assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
    let settings = "-c user.email=ci@h -c user.name=CI ";
    let ran = |built: &Built, step: usize| -> Vec<String> {
        let lines = built.lines(step, 'h').into_iter().filter_map(|line| line.strip_prefix("git "));
        lines.filter_map(|line| line.strip_prefix(settings)).map(|line| line.replace(&url, "URL")).collect()
    };
    let committed = ["--version", "symbolic-ref HEAD", "add a", "commit -m Two -m 'and why' --no-verify"];
    assert_eq!(ran(&built, 2), committed);
    assert_eq!(ran(&built, 3), ["--version", "tag -a v2 -m 'Version two'"]);
    assert_eq!(ran(&built, 4), ["--version", "push URL main"]);
    assert_eq!(tip(&origin, "main~1"), first);
    assert_eq!(tip(&origin, "v2^{}"), tip(&origin, "main"));

    let nothing = [source.clone(), commit(json!({})), push.clone()];
    assert_eq!(bench.build_for(&nothing, vec![stamp()]).await.step(1).0, Results::Failure);
    let ignored = [source.clone(), commit(json!({"emptyCommits": "ignore"})), push.clone()];
    let built = bench.build_for(&ignored, vec![stamp()]).await;
    assert_eq!(
        (built.results(), ran(&built, 1)[3].as_str()),
        (Some(Results::Success), "status --porcelain=v1")
    );
    let before = tip(&origin, "main");
    let created = [source.clone(), commit(json!({"emptyCommits": "create-empty-commit"})), push];
    assert_eq!(bench.build_for(&created, vec![stamp()]).await.results(), Some(Results::Success));
    assert_eq!(tip(&origin, "main~1"), before);

    let again = quiet("steps.GitTag", json!({"tagName": "v2"}));
    let detached =
        [quiet("steps.Git", json!({"repourl": url, "mode": "full", "tags": true})), again, commit(json!({}))];
    let stamps = vec![NewSourceStamp { revision: Some(first.clone()), ..NewSourceStamp::default() }];
    let built = bench.build_for(&detached, stamps).await;
    assert_eq!((built.step(1).0, built.step(2).0), (Results::Failure, Results::Failure));
    assert!(built.log(2, "stdio").contains("on no branch"), "{}", built.log(2, "stdio"));
    let forced = [
        source,
        quiet("steps.GitTag", json!({"tagName": "v2", "force": true})),
        quiet("steps.GitPush", json!({"repourl": url, "branch": "v2", "force": true})),
    ];
    assert_eq!(bench.build_for(&forced, vec![stamp()]).await.results(), Some(Results::Success));
    assert_eq!(tip(&origin, "v2"), tip(&origin, "main"));
}

/// 06.023: combinations that cannot work are errors of the configuration.
#[test]
fn row_06_023_options_are_checked() {
    let problems = |kind: &str, args: Json| {
        let step = lunabot_steps::STEPS.iter().find(|step| step.kind.path() == kind).unwrap();
        let text = |p: lunabot_model::Problem| format!("{}: {}", p.path, p.message);
        (step.kind.check)(&args).into_iter().map(text).collect::<Vec<_>>()
    };
    let missing =
        ["paths: must be given, with at least one text", "messages: must be given, with at least one text"];
    assert_eq!(problems("steps.GitCommit", json!({"paths": []})), missing);
    let tag = |more: Json| {
        let mut args = json!({"tagName": "v"});
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        problems("steps.GitTag", args)
    };
    assert_eq!(tag(json!({"annotated": true})), ["messages: must be given for an annotated tag"]);
    assert_eq!(tag(json!({"messages": ["m"]})), ["messages: need annotated = true"]);
    assert_eq!(problems("steps.GitPush", json!({"repourl": "u"})), [": branch is missing"]);
    let own = ["command: the step has its own; leave it out"];
    assert_eq!(problems("steps.GitDiffInfo", json!({"command": "x"})), own);
}

/// 06.024: what is checked out where a forge proposes it.
#[tokio::test]
async fn row_06_024_forges_name_what_is_built() {
    let (repo, fork, bench) = (Repo::new(), Repo::new(), Bench::new().await);
    let first = repo.commit("a", "one");
    let second = repo.commit("a", "merged");
    repo.git(&["update-ref", "refs/pull/7/merge", &second]);
    repo.git(&["update-ref", "refs/changes/34/1234/5", &second]);
    repo.git(&["reset", "--quiet", "--hard", &first]);
    let theirs = fork.commit("a", "theirs");
    fork.git(&["branch", "topic"]);
    let step = |kind: &str| {
        let args = json!({"repourl": repo.url(), "logEnviron": false, "workdir": kind});
        object(&format!("steps.{kind}"), args)
    };
    let set = |properties: Json| object("steps.SetProperties", json!({"properties": properties}));
    let stamp = |branch: Option<&str>, revision: Option<&str>, project: &str| NewSourceStamp {
        branch: branch.map(String::from),
        revision: revision.map(String::from),
        project: project.into(),
        ..NewSourceStamp::default()
    };
    let got = |built: &Built| {
        assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
        built.properties["got_revision"].as_str().unwrap().to_string()
    };
    let pull = stamp(Some("refs/pull/7/merge"), Some(&first), "");
    assert_eq!(got(&bench.build_for(&[step("GitHub")], vec![pull.clone()]).await), second);
    assert_eq!(got(&bench.build_for(&[step("GitHub")], vec![stamp(None, Some(&first), "")]).await), first);
    assert_eq!(got(&bench.build_for(&[step("Git")], vec![pull]).await), first);

    let request =
        json!({"target_branch": "main", "source_branch": "topic", "source_git_ssh_url": fork.url()});
    let steps = [set(request), step("GitLab")];
    assert_eq!(got(&bench.build_for(&steps, vec![stamp(Some("main"), None, "")]).await), theirs);
    assert_eq!(got(&bench.build_for(&[step("GitLab")], vec![stamp(Some("main"), None, "")]).await), first);

    let event = json!({"event.change.project": "p", "event.patchSet.ref": "refs/changes/34/1234/5"});
    let change = json!({"event.change.project": "p", "gerrit_change": "1234/5"});
    for properties in [event, change] {
        let steps = [set(properties), step("Gerrit")];
        let built = bench.build_for(&steps, vec![stamp(Some("main"), None, "p")]).await;
        assert_eq!(got(&built), second);
        assert_eq!(built.properties["gerrit_branch"], "refs/changes/34/1234/5");
        assert_eq!(got(&bench.build_for(&steps, vec![stamp(Some("main"), None, "q")]).await), first);
    }
}

/// 06.030: the lines that differ from the last common commit.
#[tokio::test]
async fn row_06_030_what_differs_is_stored() {
    let (repo, bench) = (Repo::new(), Bench::new().await);
    repo.commit("a", "one");
    let base = repo.commit("ü b", "one");
    repo.git(&["checkout", "--quiet", "-b", "topic"]);
    repo.commit("a", "two");
    repo.commit("ü b", "two");
    repo.git(&["checkout", "--quiet", "main"]);
    repo.commit("a", "elsewhere");
    let info = object("steps.GitDiffInfo", json!({"compareToRef": "origin/main", "dataName": "d"}));
    let built = bench.build_for(&[git(&repo, json!({})), info], vec![on("topic")]).await;
    assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
    assert_eq!(built.properties["diffinfo-merge-base-commit"], base);
    let raw = bench.data.raw(&format!("builds/{}/data/d/value", built.build.buildid)).await.unwrap();
    let body: Vec<_> = futures::TryStreamExt::try_collect(raw.body).await.unwrap();
    let files: Json = serde_json::from_slice(&body.concat()).unwrap();
    let file = |name: &str| {
        json!({"source_file": name, "target_file": name, "is_binary": false, "is_rename": false,
               "hunks": [{"ss": 1, "sl": 0, "ts": 2, "tl": 1}]})
    };
    assert_eq!(files, json!([file("a"), file("ü b")]));
    let missing = object("steps.GitDiffInfo", json!({"compareToRef": "nowhere"}));
    let built = bench.build_for(&[git(&repo, json!({})), missing], vec![on("topic")]).await;
    assert_eq!(built.step(1).0, Results::Failure);
}
