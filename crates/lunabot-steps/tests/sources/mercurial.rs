//! `steps.Mercurial` with the real hg (06.014, 06.015, 06.026).

use crate::support::{Bench, Built, HgRepo, object};
use lunabot_data::new::{NewPatch, NewSourceStamp};
use lunabot_model::{Json, Results};
use serde_json::json;

fn hg(repo: &HgRepo, options: Json) -> Json {
    let mut args = json!({"repourl": repo.url(), "branchType": "inrepo", "logEnviron": false});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    object("steps.Mercurial", args)
}

fn at(revision: &str) -> NewSourceStamp {
    NewSourceStamp { revision: Some(revision.into()), ..NewSourceStamp::default() }
}

fn on(branch: &str) -> NewSourceStamp {
    NewSourceStamp { branch: Some(branch.into()), ..NewSourceStamp::default() }
}

fn assert_got(built: &Built, revision: &str) {
    assert_eq!(built.results(), Some(Results::Success), "{:#?}", built.steps);
    assert_eq!(built.properties["got_revision"], revision);
}

fn ran(built: &Built, repo: &HgRepo) -> Vec<String> {
    let lines = built.lines(0, 'h').into_iter().filter_map(|line| line.strip_prefix("hg --verbose "));
    lines.map(|line| line.replace(&repo.url(), "URL")).collect()
}

const CLONE: &str = "clone --noupdate URL .";
const END: &str = r"parents --template '{node}\n'";
const UPDATE: &str = "update --clean --rev REV";
const PULL: [&str; 4] = ["pull URL --rev REV", "identify --branch", "locate 'set:added()'", UPDATE];

/// 06.026: each mode and method, twice; what is run, and what is left of earlier builds.
#[tokio::test]
async fn row_06_026_each_mode_and_method_twice() {
    let purge = "--config extensions.purge= purge";
    let all = format!("{purge} --all");
    let again: [(&str, &str, &[&str], [bool; 2]); 4] = [
        ("incremental", "", &PULL, [true, true]),
        ("full", "", &[&all, PULL[0], PULL[1], PULL[2], PULL[3]], [false, false]),
        ("full", "clean", &[purge, PULL[0], PULL[1], PULL[2], PULL[3]], [false, true]),
        ("full", "clobber", &[CLONE, UPDATE], [false, false]),
    ];
    let (repo, bench) = (HgRepo::new(), Bench::new().await);
    repo.write(".hgignore", "ignored\n");
    repo.write("a", "one\n");
    let first = repo.commit("first");
    repo.write("a", "two\n");
    let second = repo.commit("second");
    for (mode, method, commands, stays) in again {
        let case = format!("{mode}-{method}");
        let mut options = json!({"mode": mode, "workdir": case});
        if !method.is_empty() {
            options["method"] = json!(method);
        }
        let step = [hg(&repo, options)];
        let tree = bench.builddir().join(&case);
        std::fs::create_dir_all(&tree).unwrap();
        std::fs::write(tree.join("something else"), "").unwrap();
        let built = bench.build_for(&step, vec![at(&first)]).await;
        assert_got(&built, &first);
        let told = |built: &Built, revision: &str| -> Vec<String> {
            ran(built, &repo).iter().map(|line| line.replace(revision, "REV")).collect()
        };
        assert_eq!(told(&built, &first), ["--version", CLONE, UPDATE, END], "{case}");
        for name in ["untracked", "ignored"] {
            std::fs::write(tree.join(name), "").unwrap();
        }
        std::fs::write(tree.join("a"), "changed").unwrap();
        let built = bench.build_for(&step, vec![at(&second)]).await;
        assert_got(&built, &second);
        let wanted: Vec<&str> =
            ["--version"].into_iter().chain(commands.iter().copied()).chain([END]).collect();
        assert_eq!(told(&built, &second), wanted, "{case}");
        assert_eq!(std::fs::read_to_string(tree.join("a")).unwrap(), "two\n", "{case}");
        assert_eq!(["untracked", "ignored"].map(|name| tree.join(name).exists()), stays, "{case}");
    }
}

/// 06.026: branches that are names, and branches that are repositories.
#[tokio::test]
async fn row_06_026_branches_of_both_types() {
    let (repo, bench) = (HgRepo::new(), Bench::new().await);
    repo.write("a", "one\n");
    let first = repo.commit("first");
    repo.hg(&["branch", "--quiet", "stable"]);
    repo.write("a", "two\n");
    let second = repo.commit("second");
    let step = [hg(&repo, json!({}))];
    assert_got(&bench.build_for(&step, vec![on("stable")]).await, &second);
    let built = bench.build(&step).await;
    assert_got(&built, &first);
    assert!(ran(&built, &repo).contains(&CLONE.to_string()), "{:?}", ran(&built, &repo));
    let kept = [hg(&repo, json!({"clobberOnBranchChange": false, "defaultBranch": "stable"}))];
    let built = bench.build(&kept).await;
    assert_got(&built, &second);
    assert!(!ran(&built, &repo).contains(&CLONE.to_string()), "{:?}", ran(&built, &repo));
    assert_got(&bench.build_for(&kept, vec![at(&first)]).await, &first);

    let other = HgRepo::new();
    other.write("b", "other\n");
    let third = other.commit("other");
    let (base, names) = (repo.path().parent().unwrap(), [&repo, &other].map(HgRepo::name));
    let options =
        json!({"repourl": format!("{}/", base.display()), "branchType": "dirname", "workdir": "dirs"});
    let step = [hg(&repo, options)];
    for (name, revision, clones) in
        [(0, &first, true), (0, &first, false), (1, &third, true), (1, &third, false)]
    {
        let built = bench.build_for(&step, vec![on(&names[name])]).await;
        assert_got(&built, revision);
        let cloned = ran(&built, &repo).iter().any(|line| line.starts_with("clone"));
        assert_eq!(cloned, clones, "{:?}", ran(&built, &repo));
    }
}

/// 06.015.
#[tokio::test]
async fn row_06_015_a_patch_is_gone_at_the_next_checkout() {
    let (repo, bench) = (HgRepo::new(), Bench::new().await);
    repo.write("a", "one\n");
    let first = repo.commit("first");
    let body =
        b"--- a/a\n+++ b/a\n@@ -1 +1,2 @@\n one\n+patched\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n";
    let patch = NewPatch { body: body.to_vec(), level: 1, author: "P".into(), ..NewPatch::default() };
    let step = [hg(&repo, json!({}))];
    let built = bench.build_for(&step, vec![NewSourceStamp { patch: Some(patch), ..at(&first) }]).await;
    assert_got(&built, &first);
    let read = |name: &str| std::fs::read_to_string(bench.workdir().join(name)).unwrap_or_default();
    assert_eq!((read("a").as_str(), read("new").as_str()), ("one\npatched\n", "new\n"));
    assert!(ran(&built, &repo).contains(&"import --no-commit -p 1 -".to_string()));
    assert_got(&bench.build_for(&step, vec![at(&first)]).await, &first);
    assert_eq!(
        (read("a").as_str(), read("new").as_str(), read(".buildbot-patched").as_str()),
        ("one\n", "", "")
    );
}

/// 06.026: a failed clone is tried again as often as asked; without hg the worker is at fault.
#[tokio::test]
async fn row_06_026_failures_are_retried_or_told() {
    let (repo, bench) = (HgRepo::new(), Bench::new().await);
    let away = format!("{}/none", repo.url());
    let built = bench.build(&[hg(&repo, json!({"repourl": away, "retry": [0, 2]}))]).await;
    let tries = ran(&built, &repo).iter().filter(|line| line.starts_with("clone")).count();
    assert_eq!((built.step(0), tries), ((Results::Failure, "update (failure)"), 3));
    let empty = json!({"PATH": repo.path().display().to_string()});
    let built = bench.build(&[hg(&repo, json!({"env": empty}))]).await;
    assert_eq!(built.step(0).0, Results::Exception);
    assert!(built.log(0, "err.text").contains("hg is not installed on the worker"));
}
