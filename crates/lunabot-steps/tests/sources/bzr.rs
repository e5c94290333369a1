//! `steps.Bzr` with the real program (06.015, 06.028).

use crate::support::{Bench, Built, BzrRepo, object};
use lunabot_data::new::{NewPatch, NewSourceStamp};
use lunabot_model::{Json, Results};
use serde_json::json;

fn bzr(repo: &BzrRepo, options: Json) -> Json {
    let mut args = json!({"repourl": repo.url(), "logEnviron": false});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    args.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object("steps.Bzr", args)
}

fn at(revision: &str) -> NewSourceStamp {
    NewSourceStamp { revision: Some(revision.into()), ..NewSourceStamp::default() }
}

fn assert_got(built: &Built, revision: &str) {
    assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
    assert_eq!(built.properties["got_revision"], revision);
}

fn ran(built: &Built, repo: &BzrRepo) -> Vec<String> {
    let lines = built.lines(0, 'h').into_iter().filter_map(|line| line.strip_prefix("bzr "));
    lines.map(|line| line.replace(&repo.base(), "BASE")).collect()
}

const END: &str = "revno --tree";

/// 06.028: each mode and method, twice; what is run, and what is left of earlier builds.
#[tokio::test]
async fn row_06_028_each_mode_and_method_twice() {
    let (repo, bench) = (BzrRepo::new(), Bench::new().await);
    repo.write("trunk/.bzrignore", "ignored\n");
    repo.write("trunk/a", "one\n");
    let first = repo.commit("trunk", "first");
    repo.write("trunk/a", "two\n");
    let second = repo.commit("trunk", "second");
    let update = ["switch --force BASE/trunk", "update -r 2"];
    let clean = ["revert --no-backup", "clean-tree --force --unknown --detritus"];
    let fresh = [clean[0], "clean-tree --force --unknown --detritus --ignored"];
    let anew: &[&str] = &["checkout BASE/trunk . -r 2"];
    for (mode, method, commands, stays) in [
        ("incremental", "", &update[..], [true, true]),
        ("full", "", &[fresh[0], fresh[1], update[0], update[1]], [false, false]),
        ("full", "clean", &[clean[0], clean[1], update[0], update[1]], [false, true]),
        ("full", "clobber", anew, [false, false]),
        ("full", "copy", &[fresh[0], fresh[1], update[0], update[1]], [false, false]),
    ] {
        let case = format!("{mode}-{method}");
        let mut options = json!({"mode": mode, "workdir": case});
        if !method.is_empty() {
            options["method"] = json!(method);
        }
        let step = [bzr(&repo, options)];
        let tree = bench.builddir().join(&case);
        std::fs::create_dir_all(&tree).unwrap();
        std::fs::write(tree.join("something else"), "").unwrap();
        let built = bench.build_for(&step, vec![at(&first)]).await;
        assert_got(&built, &first);
        assert_eq!(ran(&built, &repo), ["--version", "checkout BASE/trunk . -r 1", END], "{case}");
        for name in ["untracked", "ignored"] {
            std::fs::write(tree.join(name), "").unwrap();
        }
        if mode == "full" {
            std::fs::write(tree.join("a"), "changed").unwrap();
        }
        let built = bench.build_for(&step, vec![at(&second)]).await;
        assert_got(&built, &second);
        let wanted: Vec<&str> =
            ["--version"].into_iter().chain(commands.iter().copied()).chain([END]).collect();
        assert_eq!(ran(&built, &repo), wanted, "{case}");
        assert_eq!(std::fs::read_to_string(tree.join("a")).unwrap(), "two\n", "{case}");
        assert_eq!(["untracked", "ignored"].map(|name| tree.join(name).exists()), stays, "{case}");
        assert!(!tree.join("something else").exists());
    }
}

/// 06.028: the build's branch below `baseURL`, one after the other in one tree.
#[tokio::test]
async fn row_06_028_branches_below_an_address() {
    let (repo, bench) = (BzrRepo::new(), Bench::new().await);
    repo.write("trunk/a", "one\n");
    repo.commit("trunk", "first");
    repo.brz(&["branch", "--quiet", "trunk", "stable"]);
    repo.write("stable/a", "stable\n");
    repo.commit("stable", "on stable");
    let step = [bzr(
        &repo,
        json!({"repourl": null, "baseURL": format!("{}/", repo.base()), "defaultBranch": "trunk"}),
    )];
    let on = |branch: &str| NewSourceStamp { branch: Some(branch.into()), ..NewSourceStamp::default() };
    let read = || std::fs::read_to_string(bench.workdir().join("a")).unwrap();
    assert_got(&bench.build_for(&step, vec![on("stable")]).await, "2");
    assert_eq!(read(), "stable\n");
    assert_got(&bench.build(&step).await, "1");
    assert_eq!(read(), "one\n");
    repo.write("trunk/a", "two\n");
    repo.commit("trunk", "second");
    assert_got(&bench.build(&step).await, "2");
    assert_eq!(read(), "two\n");
}

#[tokio::test]
async fn row_06_015_a_patch_of_bzr_is_gone_at_the_next_checkout() {
    let (repo, bench) = (BzrRepo::new(), Bench::new().await);
    repo.write("trunk/a", "one\n");
    repo.commit("trunk", "first");
    let body =
        b"--- a/a\n+++ b/a\n@@ -1 +1,2 @@\n one\n+patched\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n";
    let patch = NewPatch { body: body.to_vec(), level: 1, author: "P".into(), ..NewPatch::default() };
    let step = [bzr(&repo, json!({}))];
    assert_got(&bench.build_for(&step, vec![NewSourceStamp { patch: Some(patch), ..at("1") }]).await, "1");
    let read = |name: &str| std::fs::read_to_string(bench.workdir().join(name)).unwrap_or_default();
    assert_eq!((read("a").as_str(), read("new").as_str()), ("one\npatched\n", "new\n"));
    assert_got(&bench.build_for(&step, vec![at("1")]).await, "1");
    assert_eq!(
        (read("a").as_str(), read("new").as_str(), read(".buildbot-patched").as_str()),
        ("one\n", "", "")
    );
}

#[tokio::test]
async fn row_06_028_failures_are_retried_or_told() {
    let (repo, bench) = (BzrRepo::new(), Bench::new().await);
    let away = format!("{}/none", repo.base());
    let built = bench.build(&[bzr(&repo, json!({"repourl": away, "retry": [0, 2]}))]).await;
    let tries = ran(&built, &repo).iter().filter(|line| line.starts_with("checkout BASE")).count();
    assert_eq!((built.step(0), tries), ((Results::Failure, "update (failure)"), 3));
}

#[test]
fn row_06_028_options_that_do_not_go_together_are_told() {
    let kind = lunabot_steps::STEPS.iter().find(|step| step.kind.name == "Bzr").unwrap();
    for (args, want) in [
        (json!({}), "repourl: say where the branch is"),
        (
            json!({"repourl": "a", "baseURL": "b", "defaultBranch": "c"}),
            "repourl: repourl and baseURL exclude each other",
        ),
        (json!({"baseURL": "b"}), "defaultBranch: baseURL needs the branch"),
        (json!({"repourl": "-x"}), "repourl: must be the address"),
        (json!({"repourl": "x", "mode": "full", "method": "export"}), "method: \"export\" is none of fresh"),
    ] {
        let problems = (kind.kind.check)(&args);
        let told: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        assert!(told.len() == 1 && told[0].starts_with(want), "{args}: {told:?}");
    }
}
