//! The gitlab dialect (02.035).

use super::sender::{changes, hostile_bodies_are_refused, payload, send, with, without};
use crate::support::World;
use lunabot_model::Json;
use serde_json::json;

const HEADERS: &[(&str, &str)] = &[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "s3cret")];

async fn world() -> World {
    let world = World::new().await;
    let secret =
        json!({"$kind": "util.Secret", "$id": 1, "$at": "m.lua:1", "$args": {"secret_name": "forge"}});
    world.hooks(json!({"gitlab": {"secret": secret}}), None);
    world
}

fn found(count: usize) -> (u16, String) {
    (202, if count == 0 { "no change found".into() } else { format!("{count} change found") })
}

#[tokio::test]
async fn a_push_is_one_change_per_commit_02_035() {
    let world = world().await;
    assert_eq!(send(&world, "gitlab?codebase=My+CB", HEADERS, &payload("gitlab_push")).await, found(2));
    let wanted = json!({
        "author": "dev user <dev@example.org>", "branch": "master", "category": "push", "codebase": "My CB",
        "comments": "fixed readme", "committer": null, "files": ["README", "OLD"], "project": "Diaspora",
        "properties": {"event": ["push", "Change"]}, "repository": "git@gitlab.example.com:mike/diaspora.git",
        "revision": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
        "revlink": "http://gitlab.example.com/mike/diaspora/commit/da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
        "when_timestamp": 1_797_078_571,
    });
    assert_eq!(changes(&world).await[1], wanted);
}

#[tokio::test]
async fn which_events_are_built_02_035() {
    let world = world().await;
    let (push, request, note) =
        (|| payload("gitlab_push"), || payload("gitlab_merge_request"), || payload("gitlab_note"));
    let state = |state: &str| with(request(), "object_attributes/state", state);
    let action = |action: &str| with(request(), "object_attributes/action", action);
    let table = [
        (without(push(), "object_kind"), found(2)),
        (with(with(push(), "object_kind", "tag_push"), "ref", "refs/tags/v1"), found(2)),
        (with(push(), "ref", "refs/keep-around/x"), found(0)),
        (with(push(), "deleted", true), found(0)),
        (with(push(), "commits", json!([])), found(0)),
        (with(push(), "commits/0/distinct", false), found(1)),
        (with(push(), "object_kind", "pipeline"), found(0)),
        (request(), found(1)),
        (state("closed"), found(0)),
        (state("merged"), found(0)),
        (state("approved"), found(0)),
        (action("reopen"), found(1)),
        (action("update"), found(0)),
        (with(action("update"), "object_attributes/oldrev", "abc"), found(1)),
        (action("approved"), found(0)),
        (without(request(), "object_attributes/action"), found(0)),
        (note(), found(1)),
        (without(note(), "merge_request"), found(0)),
        (
            without(without(push(), "project"), "repository/name"),
            (400, "the payload has no text at repository.name".into()),
        ),
        (
            without(request(), "object_attributes/target"),
            (400, "the payload has no text at object_attributes.target.git_http_url".into()),
        ),
    ];
    for (payload, wanted) in table {
        assert_eq!(send(&world, "gitlab", HEADERS, &payload).await, wanted, "{payload}");
    }
    hostile_bodies_are_refused(&world, "gitlab", HEADERS).await;
    let rows = changes(&world).await;
    assert_eq!(rows[0]["category"], "Push Hook", "where there is no object_kind, the header stands in");
    assert_eq!((&rows[2]["branch"], &rows[2]["category"]), (&json!("v1"), &json!("tag_push")));
}

#[tokio::test]
async fn merge_requests_and_notes_tell_both_sides_02_035() {
    let world = world().await;
    assert_eq!(send(&world, "gitlab", HEADERS, &payload("gitlab_merge_request")).await, found(1));
    let note = with(payload("gitlab_note"), "merge_request/url", "http://example.com/1");
    assert_eq!(send(&world, "gitlab", HEADERS, &note).await, found(1));
    let [request, note] = changes(&world).await.try_into().unwrap();
    let wanted = json!({
        "author": "GitLab dev user <gitlabdev@dv6700.(none)>", "branch": "master", "category": "merge_request",
        "codebase": "", "comments": "MR#1: MS-Viewport\n\nWide", "committer": null, "files": [],
        "project": "Awesome Project",
        "properties": {
            "event": ["merge_request", "Change"],
            "source_branch": ["ms-viewport", "Change"], "source_project_id": [14, "Change"],
            "source_repository": ["http://example.com/awesome/awesome.git", "Change"],
            "source_git_ssh_url": ["git@example.com:awesome/awesome.git", "Change"],
            "target_branch": ["master", "Change"], "target_project_id": [15, "Change"],
            "target_repository": ["http://example.com/gitlabhq/gitlab-test.git", "Change"],
            "target_git_ssh_url": ["git@example.com:gitlabhq/gitlab-test.git", "Change"],
        },
        "repository": "http://example.com/gitlabhq/gitlab-test.git",
        "revision": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
        "revlink": "http://example.com/gitlabhq/gitlab-test/merge_requests/1", "when_timestamp": 1_767_476_189,
    });
    assert_eq!(request, wanted);
    assert_eq!(note["properties"]["comments"], json!(["This MR needs work.", "Change"]));
    assert_eq!((&note["category"], &note["revlink"]), (&json!("note"), &json!("http://example.com/1")));
    assert_eq!(note["when_timestamp"], 1_775_707_225);
}

#[tokio::test]
async fn only_the_secret_opens_02_035() {
    let world = world().await;
    for token in [None, Some(""), Some("guess"), Some("s3cre"), Some("s3cret2")] {
        let headers: Vec<_> = token.into_iter().map(|token| ("x-gitlab-token", token)).collect();
        let got = send(&world, "gitlab", &headers, &payload("gitlab_push")).await;
        assert_eq!(got, (400, "Invalid secret".into()), "{token:?}");
    }
    assert_eq!(changes(&world).await, Vec::<Json>::new());
}

#[tokio::test]
async fn a_push_that_names_no_project_has_its_repositorys_name_02_035() {
    let world = world().await;
    let push = without(payload("gitlab_push"), "project");
    assert_eq!(send(&world, "gitlab", HEADERS, &push).await, found(2));
    assert_eq!(changes(&world).await[0]["project"], "Diaspora");
}
