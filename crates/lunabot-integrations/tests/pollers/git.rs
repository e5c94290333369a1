//! `changes.GitPoller` on real repositories (02.001–02.011).

use super::master::{Master, generation};
use crate::support::{Functions, Repo, eventually, function, script};
use lunabot_data::new::StateKey;
use lunabot_model::{AnyObject, Json};
use serde_json::json;
use std::sync::Arc;

fn poller(repo: &Repo, options: Json) -> AnyObject {
    let mut args = json!({"repourl": repo.url(), "pollInterval": 0});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    object(args)
}

fn object(args: Json) -> AnyObject {
    let object = json!({"$kind": "changes.GitPoller", "$id": 1, "$at": "master.lua:3", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

/// 02.010: the first poll records; then each commit is one change, in order; a restart repeats nothing.
#[tokio::test]
async fn rows_02_001_02_010_each_commit_is_one_change() {
    let (repo, mut master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    let declared = poller(&repo, json!({"project": "P", "category": "C"}));
    assert_eq!(master.apply(vec![declared.clone()]).await.started, [repo.url()]);
    master.poll_well().await;
    assert_eq!(master.told().await, [""; 0]);
    repo.commit("a", "one");
    let revision = repo.commit("b", "two\n\nbody");
    master.poll_well().await;
    master.poll_well().await;
    assert_eq!(master.told().await, ["main: one", "main: two\nbody"]);
    let newest = master.changes().await.pop().unwrap();
    assert_eq!(
        (newest.author.as_str(), newest.committer.as_deref()),
        ("Joe Ö <joe@example.org>", Some("Joe Ö <joe@example.org>"))
    );
    assert_eq!(
        (newest.revision, newest.files, newest.repository),
        (Some(revision), vec!["b".to_string()], repo.url())
    );
    assert_eq!(
        (newest.project.as_str(), newest.category.as_deref(), newest.codebase.as_str()),
        ("P", Some("C"), "")
    );
    let when: i64 = repo.git(&["log", "-1", "--format=%ct"]).parse().unwrap();
    assert_eq!(newest.when_timestamp, when);
    master.restart().await;
    master.apply(vec![declared]).await;
    repo.commit("a", "three");
    master.poll_well().await;
    assert_eq!(master.told().await, ["main: one", "main: two\nbody", "main: three"]);
}

/// A process that was killed between adding changes and remembering so does not add them again.
#[tokio::test]
async fn a_cut_off_poll_is_completed_without_repeating() {
    let (repo, mut master) = (Repo::new(), Master::new().await);
    let before = repo.commit("a", "before");
    let declared = poller(&repo, json!({}));
    master.apply(vec![declared.clone()]).await;
    master.poll_well().await;
    let revisions = [repo.commit("a", "one"), repo.commit("a", "two")];
    master.poll_well().await;
    let last = repo.commit("a", "three");
    master.restart().await;
    let key = |name: &str| StateKey { object: repo.url(), class: "GitPoller".into(), name: name.into() };
    let adding = json!([["main", revisions[0]], ["main", revisions[1]], ["main", last]]);
    master.data.set_state(&key("adding"), adding).await.unwrap().await.unwrap();
    master.data.set_state(&key("lastRev"), json!({"main": before})).await.unwrap().await.unwrap();
    master.apply(vec![declared]).await;
    master.poll_well().await;
    assert_eq!(master.told().await, ["main: one", "main: two", "main: three"]);
}

#[tokio::test]
async fn the_first_poll_may_report_the_newest_commits() {
    let (repo, mut master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    repo.commit("a", "newest");
    let declared = poller(&repo, json!({"newest_at_first_poll": true}));
    for _ in 0..2 {
        master.apply(vec![declared.clone()]).await;
        master.poll_well().await;
        master.poll_well().await;
        assert_eq!(master.told().await, ["main: newest"]);
        master.restart().await;
    }
}

#[tokio::test]
async fn messages_of_any_bytes_are_read() {
    let (repo, master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    master.apply(vec![poller(&repo, json!({"encoding": "latin-1"}))]).await;
    master.poll_well().await;
    repo.commit_bytes("a", b"caf\xe9");
    repo.commit_bytes("a", "naïve".as_bytes());
    master.poll_well().await;
    assert_eq!(master.told().await, ["main: café", "main: naïve"]);
}

#[tokio::test]
async fn branches_may_be_rewritten_deleted_and_made_again() {
    let (repo, master) = (Repo::new(), Master::new().await);
    let base = repo.commit("a", "before");
    repo.git(&["branch", "topic"]);
    master.apply(vec![poller(&repo, json!({"branches": true}))]).await;
    master.poll_well().await;
    repo.git(&["checkout", "--quiet", "topic"]);
    repo.commit("t", "first try");
    master.poll_well().await;
    repo.git(&["reset", "--quiet", "--hard", &base]);
    repo.commit("t", "second try");
    master.poll_well().await;
    repo.git(&["checkout", "--quiet", "main"]);
    repo.git(&["branch", "-D", "topic"]);
    master.poll_well().await;
    repo.commit("a", "on main");
    repo.git(&["checkout", "--quiet", "-b", "topic", &base]);
    repo.commit("t", "third try");
    master.poll_well().await;
    let told = master.told().await;
    assert_eq!(told, ["topic: first try", "topic: second try", "main: on main", "topic: third try"]);
}

#[tokio::test]
async fn many_branches_are_one_poll() {
    let (repo, master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    master.apply(vec![poller(&repo, json!({"branches": true}))]).await;
    master.poll_well().await;
    for number in 0..40 {
        repo.git(&["checkout", "--quiet", "-b", &format!("b/{number:02}"), "main"]);
        repo.commit("x", &format!("change {number}"));
    }
    master.poll_well().await;
    let told = master.told().await;
    assert_eq!(told.len(), 40);
    assert_eq!(told[7], "b/07: change 7");
}

#[tokio::test]
async fn row_02_010_references_are_chosen_by_list_function_and_tags() {
    let (repo, master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    repo.git(&["tag", "v0"]);
    for branch in ["one", "two"] {
        repo.git(&["branch", branch]);
    }
    let listed = poller(&repo, json!({"name": "listed", "branches": ["one", "gone"]}));
    let chosen =
        poller(&repo, json!({"name": "chosen", "branches": function("chosen"), "category": "chosen"}));
    let tagged = poller(&repo, json!({"name": "tags", "only_tags": true, "usetimestamps": false}));
    let choose = Functions::new(|name, args| match name {
        "branches" => Ok(json!(args[0].as_str().unwrap().ends_with("heads/two"))),
        other => panic!("unexpected call of {other}"),
    });
    master.sources.apply(&generation(vec![listed, chosen, tagged], choose)).await.unwrap();
    let poll_all = || async {
        let polls = || master.sources.status().iter().map(|row| row.polls).min().unwrap();
        let before = polls();
        master.sources.force(None).await.unwrap();
        eventually("all polls", || async { (polls() > before).then_some(()) }).await;
        assert!(
            master.sources.status().iter().all(|row| row.last_error.is_none()),
            "{:?}",
            master.sources.status()
        );
    };
    poll_all().await;
    for branch in ["one", "two", "main"] {
        repo.git(&["checkout", "--quiet", branch]);
        repo.commit("x", &format!("to {branch}"));
    }
    repo.git(&["tag", "-m", "annotated", "v1"]);
    poll_all().await;
    let mut told = master.told().await;
    told.sort();
    assert_eq!(told, ["one: to one", "refs/tags/v1: to main", "two: to two"]);
    let tag =
        master.changes().await.into_iter().find(|c| c.branch.as_deref() == Some("refs/tags/v1")).unwrap();
    assert_eq!(tag.revision, Some(repo.head()));
    assert!(tag.when_timestamp >= 1_700_000_000 && tag.when_timestamp < 1_700_000_600);
}

/// 02.011.
#[tokio::test]
async fn row_02_011_pushes_without_commits_are_changes_where_wanted() {
    let (repo, master) = (Repo::new(), Master::new().await);
    repo.commit("a", "zero");
    repo.commit("a", "one");
    master.apply(vec![poller(&repo, json!({"branches": true, "buildPushesWithNoCommits": true}))]).await;
    master.poll_well().await;
    repo.git(&["branch", "release"]);
    master.poll_well().await;
    repo.git(&["branch", "-f", "release", "HEAD~1"]);
    master.poll_well().await;
    master.poll_well().await;
    assert_eq!(master.told().await, ["release: one", "release: zero"]);
}

#[tokio::test]
async fn row_02_005_a_server_that_vanishes_is_shown_and_polled_again() {
    let (repo, master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    master.apply(vec![poller(&repo, json!({}))]).await;
    master.poll_well().await;
    repo.commit("a", "one");
    let (git, away) = (repo.path().join(".git"), repo.path().join("away"));
    std::fs::rename(&git, &away).unwrap();
    let row = master.poll().await;
    let error = row.last_error.unwrap();
    assert!(
        error.starts_with("git ls-remote failed") && error.contains("does not appear to be a git repository"),
        "{error}"
    );
    assert_eq!(row.failures, 1);
    std::fs::rename(&away, &git).unwrap();
    master.poll_well().await;
    assert_eq!(master.told().await, ["main: one"]);
}

#[tokio::test]
async fn stopping_ends_a_poll_that_hangs() {
    let (repo, master) = (Repo::new(), Master::new().await);
    let pid = repo.path().join("pid");
    let fake =
        script(repo.path(), "fake-git", &format!("#!/bin/sh\necho $$ > {}\nsleep 1000\n", pid.display()));
    master.apply(vec![poller(&repo, json!({"gitbin": fake, "pollAtLaunch": true}))]).await;
    let number = eventually("the poll began", || async {
        std::fs::read_to_string(&pid).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    master.sources.stop().await;
    assert_eq!(master.sources.status(), []);
    let stat = format!("/proc/{}/stat", number.trim());
    eventually("git is gone", || async {
        let state = std::fs::read_to_string(&stat).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    })
    .await;
}

/// 02.004, lua-api § 5: what is the same goes on, what differs is restarted, an error touches nothing.
#[tokio::test]
async fn row_02_004_a_reload_touches_only_what_differs() {
    let (repo, master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    let named = |name: &str, interval: u64| {
        poller(&repo, json!({"name": name, "pollInterval": interval, "workdir": name}))
    };
    master.apply(vec![named("a", 60), named("b", 60), named("c", 60)]).await;
    let mut moved = named("a", 60);
    moved.at = "master.lua:99".into();
    moved.id = 77;
    let applied = master.apply(vec![moved.clone(), named("b", 61), named("d", 60)]).await;
    let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(applied.kept, list(&["a"]));
    assert_eq!(
        (applied.changed, applied.stopped, applied.started),
        (list(&["b"]), list(&["c"]), list(&["d"]))
    );
    let nothing = Functions::new(|_, _| Ok(Json::Null));
    let bad =
        generation(vec![moved, named("a", 5), object(json!({"repourl": "x", "pollInterval": -1}))], nothing);
    let error = master.sources.apply(&bad).await.unwrap_err().to_string();
    assert!(error.contains("the name \"a\" is taken by the change source at master.lua:99"), "{error}");
    assert!(error.contains("master.lua:3: changes.GitPoller: pollInterval: must not be negative"), "{error}");
    let names: Vec<String> = master.sources.status().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["a", "b", "d"]);
    assert_eq!(master.sources.force(Some(&["x".to_string()])).await, Err("x".to_string()));
}

#[tokio::test]
async fn row_02_002_functions_see_and_alter_changes_and_their_errors_repeat_the_poll() {
    let (repo, master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    let options = json!({"category": function("category"), "change_fn": function("alter")});
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let fails = failing.clone();
    let functions = Functions::new(move |name, mut args| {
        let change = &mut args[0];
        match (name, change["comments"].as_str().unwrap_or_default()) {
            ("codebaseGenerator", _) => Ok(json!("base")),
            ("revlink", _) => Ok(json!(format!("http://link/{}", change.as_str().unwrap().len()))),
            ("category", text) => Ok(json!(format!("about {text}"))),
            ("change_fn", "drop me") => Ok(Json::Null),
            ("change_fn", "two") if fails.load(std::sync::atomic::Ordering::Relaxed) => {
                Err("master.lua:9: oh".into())
            }
            ("change_fn", _) => {
                change["properties"]["seen"] = json!(true);
                Ok(change.clone())
            }
            (other, _) => panic!("unexpected call of {other}"),
        }
    });
    let callback = lunabot_model::Callback::from_json(&function("x"));
    let mut generation = generation(vec![poller(&repo, options)], functions);
    generation.codebase_generator = callback.clone();
    generation.revlink = callback.map(lunabot_model::revlink::Revlink::Function);
    master.sources.apply(&generation).await.unwrap();
    master.poll_well().await;
    for message in ["one", "drop me", "two"] {
        repo.commit("a", message);
    }
    assert_eq!(master.poll().await.last_error.as_deref(), Some("master.lua:9: oh"));
    assert_eq!(master.told().await, ["main: one"]);
    failing.store(false, std::sync::atomic::Ordering::Relaxed);
    master.poll_well().await;
    assert_eq!(master.told().await, ["main: one", "main: two"]);
    let change = master.changes().await.pop().unwrap();
    assert_eq!((change.codebase.as_str(), change.category.as_deref()), ("base", Some("about two")));
    assert_eq!(change.revlink.as_deref(), Some("http://link/40"));
    assert_eq!(change.properties.property("seen").map(|p| p.source.as_str()), Some("Change"));
}

/// 12.009: a secret that nobody knows refuses the configuration.
#[tokio::test]
async fn an_unknown_secret_is_an_error_of_the_configuration() {
    let (repo, master) = (Repo::new(), Master::new().await);
    let secret =
        json!({"$kind": "util.Secret", "$id": 2, "$at": "master.lua:2", "$args": {"secret_name": "key"}});
    let generation = generation(
        vec![poller(&repo, json!({"sshPrivateKey": secret}))],
        Functions::new(|_, _| Ok(Json::Null)),
    );
    let errors = master.sources.check(&generation).await;
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().starts_with("master.lua:3: changes.GitPoller: "), "{}", errors[0]);
    assert!(errors[0].to_string().contains("key"), "{}", errors[0]);
}

/// Over the network protocol of git.
#[tokio::test]
async fn a_served_repository_is_polled() {
    let (repo, master) = (Repo::new(), Master::new().await);
    repo.commit("a", "before");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let base = repo.path().parent().unwrap().display().to_string();
    let mut server = tokio::process::Command::new("git")
        .args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1"])
        .args([format!("--port={port}"), format!("--base-path={base}"), base])
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .unwrap();
    let listening = || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok() };
    eventually("the server listens", listening).await;
    let url = format!("git://127.0.0.1:{port}/{}/.git", repo.path().file_name().unwrap().to_str().unwrap());
    master.apply(vec![object(json!({"repourl": url, "pollInterval": 0}))]).await;
    master.poll_well().await;
    repo.commit("a", "one");
    master.poll_well().await;
    assert_eq!(master.told().await, ["main: one"]);
    let group = nix::unistd::Pid::from_raw(server.id().unwrap().cast_signed());
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGTERM).unwrap();
    server.wait().await.unwrap();
    assert!(master.poll().await.last_error.unwrap().contains("refused"));
}

/// 02.012, 09.016–09.018: with a codebase, commits and branches are recorded beside the changes, each once.
#[tokio::test]
async fn rows_02_012_09_017_09_018_a_codebase_keeps_commits_and_branches() {
    let (repo, mut master) = (Repo::new(), Master::new().await);
    let project = lunabot_data::new::ProjectDecl { name: "p".into(), slug: "p".into(), ..Default::default() };
    master.data.sync_projects(&[project]).await.unwrap();
    let codebase = json!({"$kind": "util.Codebase", "$id": 2, "$at": "master.lua:2",
                          "$args": {"name": "lib", "project": "p"}});
    let declared = poller(&repo, json!({"codebase": codebase}));
    repo.commit("a", "before");
    master.apply(vec![declared.clone()]).await;
    master.poll_well().await;
    let first = repo.commit("a", "one");
    master.poll_well().await;
    master.restart().await;
    master.apply(vec![declared]).await;
    let second = repo.commit("b", "two");
    master.poll_well().await;

    let rows = |path: &'static str| {
        let data = master.data.clone();
        async move { data.get(path, "").await.unwrap().into_json() }
    };
    let commits = rows("codebases/1/commits").await["commits"].clone();
    let told = |i: usize| (commits[i]["revision"].clone(), commits[i]["parent_commitid"].clone());
    assert_eq!((told(0), told(1)), ((json!(first), json!(null)), (json!(second), json!(1))));
    assert_eq!((commits.as_array().unwrap().len(), &commits[1]["comments"]), (2, &json!("two")));
    let branches = rows("codebases/1/branches").await["branches"].clone();
    assert_eq!((&branches[0]["name"], &branches[0]["commitid"]), (&json!("main"), &json!(2)));
    assert_eq!(master.told().await, ["main: one", "main: two"]);
}
