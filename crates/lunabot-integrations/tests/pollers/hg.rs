//! `changes.HgPoller` on real repositories (02.018).

use super::master::{Master, generation};
use crate::support::{Functions, HgRepo, function};
use lunabot_model::resources::Change;
use lunabot_model::{AnyObject, Json};
use serde_json::json;

fn poller(repo: &HgRepo, options: Json) -> AnyObject {
    let mut args = json!({"repourl": repo.url(), "pollInterval": 0});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let object = json!({"$kind": "changes.HgPoller", "$id": 1, "$at": "master.lua:3", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

/// 02.018: the first poll notes; then each revision of the branch is one change, in order, once.
#[tokio::test]
async fn row_02_018_each_revision_is_one_change() {
    let (repo, mut master) = (HgRepo::new(), Master::new().await);
    let declared = poller(&repo, json!({"project": "P", "category": "C", "revlink": function("link")}));
    let functions = || {
        Functions::new(|name, args| {
            assert_eq!(name, "revlink");
            Ok(json!(format!("http://h/{}/{}", args[0].as_str().unwrap(), &args[1].as_str().unwrap()[..7])))
        })
    };
    master.sources.apply(&generation(vec![declared.clone()], functions())).await.unwrap();
    // There is nothing to note yet, and that is no failure.
    master.poll_well().await;
    repo.write("a", "before\n");
    repo.commit("before");
    master.poll_well().await;
    assert_eq!(master.told().await, [""; 0]);
    repo.write("a", "one\n");
    repo.write("b c", "one\n");
    let first = repo.commit("one: grüße\n\nbody");
    repo.hg(&["branch", "--quiet", "stable"]);
    repo.write("a", "stable\n");
    repo.commit("elsewhere");
    repo.hg(&["update", "--quiet", "default"]);
    repo.write("a", "two\n");
    repo.commit("two");
    master.poll_well().await;
    master.poll_well().await;
    assert_eq!(master.told().await, ["default: one: grüße\n\nbody", "default: two"]);
    let change = master.changes().await.remove(0);
    let when: i64 = repo
        .hg(&["log", "-r", &first, "--template", "{date|hgdate}"])
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!((change.author.as_str(), change.when_timestamp), ("Joe Ö <joe@example.org>", when));
    assert_eq!(change.revlink.as_deref(), Some(format!("http://h/default/{}", &first[..7]).as_str()));
    assert_eq!((change.files.join("|"), change.revision), ("a|b c".to_string(), Some(first)));
    assert_eq!(
        (change.repository, change.project, change.category.as_deref()),
        (repo.url(), "P".into(), Some("C"))
    );

    master.restart().await;
    master.sources.apply(&generation(vec![declared], functions())).await.unwrap();
    repo.write("a", "three\n");
    repo.commit("three");
    master.poll_well().await;
    assert_eq!(master.told().await.len(), 3);
    // A mirror that went missing is made again, and nothing is told twice.
    std::fs::remove_dir_all(master.dir.path().join("hgpoller-work")).unwrap();
    repo.write("a", "four\n");
    repo.commit("four");
    master.poll_well().await;
    assert_eq!(master.told().await[2..], ["default: three", "default: four"]);
}

/// 02.018: several branches, several heads of one, and bookmarks.
#[tokio::test]
async fn row_02_018_branches_heads_and_bookmarks() {
    let (repo, master) = (HgRepo::new(), Master::new().await);
    repo.write("a", "zero\n");
    let zero = repo.commit("zero");
    repo.hg(&["bookmark", "--inactive", "mark"]);
    repo.hg(&["branch", "--quiet", "side branch"]);
    repo.write("a", "side\n");
    repo.commit("side");
    let branches =
        poller(&repo, json!({"name": "b", "branches": ["default", "side branch"], "workdir": "b"}));
    let marks = poller(&repo, json!({"name": "m", "bookmarks": "mark", "workdir": "m"}));
    master.apply(vec![branches, marks]).await;
    let poll = || async {
        for name in ["b", "m"] {
            let polls = || master.sources.status().into_iter().find(|row| row.name == name).unwrap();
            let before = polls().polls;
            master.sources.force(Some(&[name.to_string()])).await.unwrap();
            let row = crate::support::eventually("a poll", || async {
                Some(polls()).filter(|row| row.polls > before && !row.polling)
            });
            assert_eq!(row.await.last_error, None);
        }
    };
    poll().await;
    let line = |c: &Change| format!("{}: {}", c.branch.as_deref().unwrap(), c.comments);
    for (text, mark) in [("head one", true), ("head two", false)] {
        repo.hg(&["update", "--quiet", "--clean", &zero]);
        repo.write("a", text);
        repo.commit(text);
        if mark {
            repo.hg(&["bookmark", "--force", "--rev", ".", "--inactive", "mark"]);
        }
    }
    repo.hg(&["update", "--quiet", "side branch"]);
    repo.write("a", "side two\n");
    repo.commit("side two");
    poll().await;
    poll().await;
    let mut told: Vec<String> = master.changes().await.iter().map(line).collect();
    told.sort();
    assert_eq!(told, ["default: head one", "default: head two", "mark: head one", "side branch: side two"]);
    // Back again: nothing new.
    repo.hg(&["bookmark", "--force", "--rev", &zero, "--inactive", "mark"]);
    poll().await;
    assert_eq!(master.changes().await.len(), 4);
}

/// What goes wrong is told and repeated; a change that a function cannot bear does not repeat those before it.
#[tokio::test]
async fn row_02_018_failures_are_told_and_repeated() {
    let (repo, master) = (HgRepo::new(), Master::new().await);
    repo.write("a", "zero\n");
    repo.commit("zero");
    let fails = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let failing = fails.clone();
    let functions = Functions::new(move |_, args| {
        match args[0]["comments"] == "two" && failing.load(std::sync::atomic::Ordering::Relaxed) {
            true => Err("not two".into()),
            false => Ok(args[0].clone()),
        }
    });
    let declared = poller(&repo, json!({"change_fn": function("change")}));
    master.sources.apply(&generation(vec![declared], functions)).await.unwrap();
    master.poll_well().await;
    for text in ["one", "two", "three"] {
        repo.write("a", text);
        repo.commit(text);
    }
    for _ in 0..2 {
        assert!(master.poll().await.last_error.unwrap().contains("not two"));
    }
    assert_eq!(master.told().await, ["default: one"]);
    fails.store(false, std::sync::atomic::Ordering::Relaxed);
    master.poll_well().await;
    assert_eq!(master.told().await, ["default: one", "default: two", "default: three"]);
    master.apply(vec![poller(&repo, json!({"branch": "nowhere"}))]).await;
    let error = master.poll().await.last_error.unwrap();
    assert!(error.contains("hg pull failed") && error.contains("nowhere"), "{error}");
    let problem = master.sources.skip(&repo.url(), "3").await.unwrap_err();
    assert!(problem.contains("does not number its revisions"), "{problem}");
}
