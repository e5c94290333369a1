//! `changes.BzrPoller` on real branches (02.027).

use super::master::Master;
use crate::support::BzrRepo;
use lunabot_model::{AnyObject, Json};
use serde_json::json;

fn poller(repo: &BzrRepo, options: Json) -> AnyObject {
    let mut args = json!({"url": repo.url(), "pollInterval": 0});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let object = json!({"$kind": "changes.BzrPoller", "$id": 1, "$at": "master.lua:3", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

#[tokio::test]
async fn row_02_027_each_revision_is_one_change() {
    let (repo, mut master) = (BzrRepo::new(), Master::new().await);
    let declared = poller(
        &repo,
        json!({"branch_name": "trunk", "category": "C", "project": "P", "blame_merge_author": true}),
    );
    repo.write("trunk/a", "before\n");
    repo.commit("trunk", "before");
    master.apply(vec![declared.clone()]).await;
    master.poll_well().await;
    assert_eq!(master.told().await, [""; 0]);
    repo.write("trunk/b c", "one\n");
    repo.commit("trunk", "one: grüße\n\nadded:\n  body");
    repo.brz(&["mv", "--quiet", "trunk/a", "trunk/moved"]);
    repo.brz(&["commit", "--quiet", "--author", "Ann <ann@example.org>", "-m", "two", "trunk"]);
    master.poll_well().await;
    master.poll_well().await;
    assert_eq!(master.told().await, ["trunk: one: grüße\n\nadded:\n  body", "trunk: two"]);
    let changes = master.changes().await;
    let row = |index: usize| {
        let c = &changes[index];
        (c.author.as_str(), c.revision.clone().unwrap(), c.files.join("|"))
    };
    assert_eq!(row(0), ("Joe Ö <joe@example.org>", "2".into(), "b c".into()));
    assert_eq!(row(1), ("Ann <ann@example.org>", "3".into(), "a|moved".into()));
    assert_eq!(
        (changes[0].repository.clone(), changes[0].project.as_str(), changes[0].category.as_deref()),
        (repo.url(), "P", Some("C"))
    );
    assert!(changes[0].when_timestamp > 1_700_000_000);

    master.restart().await;
    master.apply(vec![declared.clone()]).await;
    repo.write("trunk/b c", "three\n");
    repo.commit("trunk", "three");
    master.poll_well().await;
    assert_eq!(master.told().await.len(), 3);
    // What is taken back counts as known, and what comes in its place is told.
    repo.brz(&["uncommit", "--quiet", "--force", "trunk"]);
    repo.brz(&["uncommit", "--quiet", "--force", "trunk"]);
    master.poll_well().await;
    repo.commit("trunk", "other three");
    master.poll_well().await;
    assert_eq!(master.told().await[2..], ["trunk: three", "trunk: other three"]);
}

#[tokio::test]
async fn a_branch_that_is_not_there_fails_the_poll() {
    let (repo, master) = (BzrRepo::new(), Master::new().await);
    master.apply(vec![poller(&repo, json!({"url": format!("{}/none", repo.base())}))]).await;
    let row = master.poll().await;
    assert!(row.last_error.unwrap().contains("Not a branch"));
}
