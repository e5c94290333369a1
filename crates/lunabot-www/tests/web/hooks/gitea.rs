//! The gitea dialect, of Gitea and Forgejo: the plug-in's for Buildbot.

use super::sender::{changes, hostile_bodies_are_refused, payload, send, send_text, sha256, with, without};
use crate::support::World;
use lunabot_model::Json;
use serde_json::json;

const PUSH: &[(&str, &str)] = &[("x-gitea-event", "push")];
const PULL: &[(&str, &str)] = &[("x-forgejo-event", "pull_request")];

async fn world(options: Json) -> World {
    let world = World::new().await;
    world.hooks(json!({"gitea": options}), None);
    world
}

fn found(count: usize) -> (u16, String) {
    (202, if count == 0 { "no change found".into() } else { format!("{count} change found") })
}

#[tokio::test]
async fn a_push_is_one_change_per_commit_oldest_first() {
    let world = world(json!({"codebase": "cb"})).await;
    assert_eq!(send(&world, "gitea", PUSH, &payload("gitea_push")).await, found(2));
    let rows = changes(&world).await;
    assert_eq!((&rows[0]["comments"], &rows[0]["codebase"]), (&json!("The older one\n"), &json!("cb")));
    let wanted = json!({
        "author": "Gitea <someone@example.org>", "branch": "main", "category": "push", "codebase": "cb",
        "comments": "Webhooks Yay!\n", "committer": null, "files": ["new", "README.md"], "project": "org/webhooks",
        "properties": {"event": ["push", "Change"], "owner": ["org", "Change"], "repository_name": ["webhooks", "Change"]},
        "repository": "ssh://git@forge.example.org/org/webhooks.git",
        "revision": "bffeb74224043ba2feb48d137756c8a9331c449a",
        "revlink": "https://forge.example.org/org/webhooks/commit/bffeb74224043ba2feb48d137756c8a9331c449a",
        "when_timestamp": 1_773_424_331,
    });
    assert_eq!(rows[1], wanted);
}

#[tokio::test]
async fn a_pull_request_tells_both_sides() {
    let world = world(json!({})).await;
    assert_eq!(send(&world, "gitea?codebase=cb", PULL, &payload("gitea_pull_request")).await, found(1));
    let wanted = json!({
        "author": "Max Mustermann <max@example.org>", "branch": "master", "category": "pull_request", "codebase": "cb",
        "comments": "PR#4: Feature/test branch\n\nsome feature", "committer": null, "files": [], "project": "max/test",
        "properties": {
            "base_branch": ["master", "Change"], "base_git_ssh_url": ["git@forge.example.org:max/test.git", "Change"],
            "base_repo_id": [20, "Change"], "base_repository": ["https://forge.example.org/max/test.git", "Change"],
            "base_sha": ["449a5a8ca05607106b5ba41988c1a658a8949a18", "Change"], "event": ["pull_request", "Change"],
            "head_branch": ["feature", "Change"], "head_git_ssh_url": ["git@forge.example.org:eva/test.git", "Change"],
            "head_owner": ["eva", "Change"], "head_repo_id": [21, "Change"], "head_reponame": ["test", "Change"],
            "head_repository": ["https://forge.example.org/eva/test.git", "Change"],
            "head_sha": ["53e3075cbe468f14c2801d186d703e64b2adee12", "Change"], "owner": ["max", "Change"],
            "pr_id": [36, "Change"], "pr_number": [4, "Change"], "repository_name": ["test", "Change"],
        },
        "repository": "git@forge.example.org:max/test.git", "revision": "449a5a8ca05607106b5ba41988c1a658a8949a18",
        "revlink": "https://forge.example.org/max/test/pulls/4", "when_timestamp": 1_788_451_891,
    });
    assert_eq!(changes(&world).await[0], wanted);
}

#[tokio::test]
async fn which_events_are_built() {
    let strict = world(json!({})).await;
    let pull = || payload("gitea_pull_request");
    for (action, count) in [
        ("reopened", 1),
        ("synchronized", 1),
        ("edited", 1),
        ("closed", 0),
        ("label_updated", 0),
        ("assigned", 0),
    ] {
        assert_eq!(
            send(&strict, "gitea", PULL, &with(pull(), "action", action)).await,
            found(count),
            "{action}"
        );
    }
    let conflicting = with(pull(), "pull_request/mergeable", false);
    let push = || payload("gitea_push");
    for (headers, payload, wanted) in [
        (PULL, conflicting.clone(), found(0)),
        (PULL, with(pull(), "pull_request/merged", true), found(0)),
        (PUSH, with(push(), "ref", "refs/tags/v1"), found(2)),
        (PUSH, with(push(), "ref", "refs/pull/1/head"), found(0)),
        (PUSH, with(push(), "commits", json!([])), found(0)),
        (&[("x-gitea-event", "release")], push(), found(0)),
        (&[], push(), found(0)),
        (
            PUSH,
            without(push(), "repository/ssh_url"),
            (400, "the payload has no text at repository.ssh_url".into()),
        ),
    ] {
        assert_eq!(send(&strict, "gitea", headers, &payload).await, wanted, "{payload}");
    }
    hostile_bodies_are_refused(&strict, "gitea", PUSH).await;
    let lax = world(json!({"onlyMergeablePullRequest": false, "onlyIncludePushCommit": true})).await;
    assert_eq!(send(&lax, "gitea", PULL, &conflicting).await, found(1));
    assert_eq!(send(&lax, "gitea", PUSH, &push()).await, found(1));
    assert_eq!(changes(&lax).await[1]["comments"], "Webhooks Yay!\n");
}

#[tokio::test]
async fn signatures_are_checked() {
    let world = world(json!({"secret": "s3cret"})).await;
    let body = payload("gitea_push").to_string();
    let good = sha256(&body, "s3cret");
    let bare = good.trim_start_matches("sha256=");
    for headers in
        [("x-gitea-signature", bare), ("x-forgejo-signature", bare), ("x-hub-signature-256", &good)]
    {
        assert_eq!(
            send_text(&world, "gitea", &[PUSH[0], headers], body.clone()).await,
            found(2),
            "{headers:?}"
        );
    }
    let other = sha256(&body, "guess");
    for headers in [
        vec![],
        vec![("x-gitea-signature", "")],
        vec![("x-gitea-signature", &bare[2..])],
        vec![("x-hub-signature-256", &other)],
        vec![("x-gitea-signature", "00"), ("x-hub-signature-256", &good)],
    ] {
        let all: Vec<_> = PUSH.iter().copied().chain(headers.clone()).collect();
        let got = send_text(&world, "gitea", &all, body.clone()).await;
        assert_eq!(got, (400, "Invalid secret".into()), "{headers:?}");
    }
    let inside = with(payload("gitea_push"), "secret", "s3cret");
    assert_eq!(send(&world, "gitea", PUSH, &inside).await, (400, "Invalid secret".into()));
    assert_eq!(changes(&world).await.len(), 6);
}
