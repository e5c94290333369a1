//! The dialects of Bitbucket: cloud (02.037) and server (02.038).

use super::sender::{changes, hostile_bodies_are_refused, payload, send, send_text, sha256, with, without};
use crate::support::{World, text};
use lunabot_model::Json;
use serde_json::json;

async fn world(dialect: &str, options: Json) -> World {
    let world = World::new().await;
    world.hooks(json!({dialect: options}), None);
    world
}

fn found(count: usize) -> (u16, String) {
    (202, if count == 0 { "no change found".into() } else { format!("{count} change found") })
}

#[tokio::test]
async fn a_push_to_the_cloud_is_one_change_per_reference_02_037() {
    let world = world("bitbucketcloud", json!({"codebase": "cc"})).await;
    let headers = [("x-event-key", "repo:push")];
    assert_eq!(send(&world, "bitbucketcloud", &headers, &payload("bitbucketcloud_push")).await, found(3));
    let rows = changes(&world).await;
    let wanted = json!({
        "author": "John <jo>", "branch": "refs/heads/branch_1496411680", "category": "push", "codebase": "cc",
        "comments": "Bitbucket Cloud commit 793d4754230023d85532f9a38dba3290f959beb4", "committer": null, "files": [],
        "project": "Continuous Integration", "properties": {},
        "repository": "https://api.bitbucket.org/2.0/repositories/ci/repo",
        "revision": "793d4754230023d85532f9a38dba3290f959beb4",
        "revlink": "https://bitbucket.org/ci/repo/commits/793d4754230023d85532f9a38dba3290f959beb4",
        "when_timestamp": 1_760_000_000,
    });
    assert_eq!(rows[0], wanted);
    assert_eq!((&rows[1]["branch"], &rows[1]["category"]), (&json!("refs/tags/1.0.0"), &json!("push")));
    assert_eq!(
        (&rows[2]["branch"], &rows[2]["category"]),
        (&json!("refs/heads/gone"), &json!("ref-deleted"))
    );
    hostile_bodies_are_refused(&world, "bitbucketcloud", &headers).await;
}

/// The names that the reference reads, in place of Bitbucket's own.
fn in_the_references_form(mut payload: Json) -> Json {
    let pull = payload["pullrequest"].as_object_mut().unwrap();
    for (own, other) in [("source", "fromRef"), ("destination", "toRef")] {
        let side = pull.remove(own).unwrap();
        pull.insert(other.into(), side);
    }
    payload
}

#[tokio::test]
async fn pull_requests_of_the_cloud_02_037() {
    let options = json!({"bitbucket_property_whitelist": ["bitbucket.title", "bitbucket.source.*name"]});
    let world = world("bitbucketcloud", options).await;
    let pull = || payload("bitbucketcloud_pull_request");
    for event in ["created", "updated", "fulfilled", "rejected"] {
        let headers = [("x-event-key", &format!("pullrequest:{event}")[..])];
        assert_eq!(send(&world, "bitbucketcloud", &headers, &pull()).await, found(1));
        assert_eq!(send(&world, "bitbucketcloud", &headers, &in_the_references_form(pull())).await, found(1));
    }
    let rows = changes(&world).await;
    let told: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["category"].as_str().unwrap(), row["branch"].as_str().unwrap())).collect();
    let (merge, after) = ("refs/pull-requests/21/merge", "refs/heads/master");
    // Buildbot's own choice: where it came from.
    let rejected = "refs/heads/branch_1496411680";
    let each = [
        ("pull-created", merge),
        ("pull-updated", merge),
        ("pull-fulfilled", after),
        ("pull-rejected", rejected),
    ];
    assert_eq!(told, each.into_iter().flat_map(|one| [one, one]).collect::<Vec<_>>());
    let wanted = json!({
        "author": "John Smith <John>", "branch": merge, "category": "pull-created", "codebase": "",
        "comments": "Bitbucket Cloud Pull Request #21", "committer": null, "files": [],
        "project": "Continuous Integration",
        "properties": {
            "bitbucket.title": ["dot 1496311906", "Change"],
            "bitbucket.source.branch.name": ["branch_1496411680", "Change"],
            "bitbucket.source.repository.full_name": ["ci/py-repo", "Change"],
            "bitbucket.source.repository.name": ["CI Repo", "Change"],
            "bitbucket.source.repository.project.name": ["Continuous Integration", "Change"],
            "pullrequesturl": ["https://bitbucket.org/ci/py-repo/pull-requests/21", "Change"],
        },
        "repository": "https://api.bitbucket.org/2.0/repositories/ci/py-repo",
        "revision": "a87e21f7433d8c16ac7be7413483fbb76c72a8ba",
        "revlink": "https://bitbucket.org/ci/py-repo/pull-requests/21", "when_timestamp": 1_760_000_000,
    });
    assert_eq!(rows[0], wanted);
}

#[tokio::test]
async fn pushes_to_a_server_in_both_forms_02_038() {
    let world = world("bitbucketserver", json!({})).await;
    let own = [("x-event-key", "repo:refs_changed")];
    assert_eq!(
        send(&world, "bitbucketserver", &own, &payload("bitbucketserver_refs_changed")).await,
        found(3)
    );
    let old = [("x-event-key", "repo:push")];
    assert_eq!(send(&world, "bitbucketserver", &old, &payload("bitbucketserver_push")).await, found(1));
    assert_eq!(send(&world, "bitbucketserver", &own, &payload("bitbucketserver_push")).await, found(1));
    let rows = changes(&world).await;
    let told: Vec<_> =
        rows.iter().map(|row| format!("{} {} {}", row["branch"], row["category"], row["author"])).collect();
    let push = r#""refs/heads/branch_1496411680" "push" "John Smith <John>""#;
    assert_eq!(
        told,
        [
            r#""refs/heads/master" "push" "John Smith <john>""#,
            r#""refs/tags/1.0" "push" "John Smith <john>""#,
            r#""refs/heads/gone" "ref-deleted" "John Smith <john>""#,
            push,
            push,
        ]
    );
    assert_eq!(rows[2]["revision"], "ecddabb624f6f5ba43816f5926e580a5f680a932", "the newest there was");
    let wanted = json!({
        "author": "John Smith <John>", "branch": "refs/heads/branch_1496411680", "category": "push", "codebase": "",
        "comments": "Bitbucket Server commit 793d4754230023d85532f9a38dba3290f959beb4", "committer": null, "files": [],
        "project": "Continuous Integration", "properties": {},
        "repository": "http://localhost:7990/projects/CI/repos/py-repo/",
        "revision": "793d4754230023d85532f9a38dba3290f959beb4",
        "revlink": "http://localhost:7990/projects/CI/repos/py-repo/commits/793d4754230023d85532f9a38dba3290f959beb4",
        "when_timestamp": 1_760_000_000,
    });
    assert_eq!(rows[3], wanted);
    hostile_bodies_are_refused(&world, "bitbucketserver", &own).await;
}

/// The form of the server's own web hooks, where only the request has an address.
fn own_pull() -> Json {
    let side = |name: &str, commit: &str| {
        json!({"id": format!("refs/heads/{name}"), "displayId": name, "latestCommit": commit,
               "repository": {"slug": "repo", "name": "repo", "project": {"key": "P", "name": "proj"}}})
    };
    json!({"eventKey": "pr:opened", "actor": {"name": "admin", "displayName": "Administrator"},
           "pullRequest": {"id": 1, "title": "a new file", "fromRef": side("a-branch", "ef8755f06ee4b28c96a847a95cb8ec8ed6ddd1ca"),
                           "toRef": side("master", "7e48f426f0a6e20f263d9b254a9a1ca0a0f1b1c5"), "links": {"self": [null]}}})
}

#[tokio::test]
async fn pull_requests_of_a_server_in_both_forms_02_038() {
    let options = json!({"bitbucket_property_whitelist": ["bitbucket.title", "bitbucket.toRef.branch.*"]});
    let world = world("bitbucketserver", options).await;
    let old = || payload("bitbucketserver_pull_request");
    for (event, payload) in [
        ("pullrequest:created", old()),
        ("pullrequest:updated", old()),
        ("pullrequest:fulfilled", old()),
        ("pullrequest:rejected", old()),
        ("pr:opened", own_pull()),
        ("pr:from_ref_updated", own_pull()),
        ("pr:merged", own_pull()),
        ("pr:declined", own_pull()),
    ] {
        assert_eq!(
            send(&world, "bitbucketserver", &[("x-event-key", event)], &payload).await,
            found(1),
            "{event}"
        );
    }
    let rows = changes(&world).await;
    let told: Vec<_> =
        rows.iter().map(|row| format!("{} {}", row["category"], row["branch"]).replace('"', "")).collect();
    let (merge, own_merge, after) =
        ("refs/pull-requests/21/merge", "refs/pull-requests/1/merge", "refs/heads/master");
    let of = |merge: &str, from: &str| {
        [
            format!("pull-created {merge}"),
            format!("pull-updated {merge}"),
            format!("pull-fulfilled {after}"),
            format!("pull-rejected refs/heads/{from}"),
        ]
    };
    assert_eq!(told, [of(merge, "branch_1496411680"), of(own_merge, "a-branch")].concat());
    let link = "http://localhost:7990/projects/CI/repos/py-repo/pull-requests/21";
    let wanted = json!({
        "author": "John Smith <John>", "branch": merge, "category": "pull-created", "codebase": "",
        "comments": "Bitbucket Server Pull Request #21", "committer": null, "files": [],
        "project": "Continuous Integration",
        "properties": {
            "bitbucket.title": ["dot 1496311906", "Change"], "bitbucket.toRef.branch.name": ["master", "Change"],
            "bitbucket.toRef.branch.rawNode": ["7aebbb0089c40fce138a6d0b36d2281ea34f37f5", "Change"],
            "pullrequesturl": [link, "Change"],
        },
        "repository": "http://localhost:7990/projects/CI/repos/py-repo/",
        "revision": "a87e21f7433d8c16ac7be7413483fbb76c72a8ba", "revlink": link, "when_timestamp": 1_760_000_000,
    });
    assert_eq!(rows[0], wanted);
    assert_eq!(
        (&rows[4]["revision"], &rows[4]["repository"]),
        (&json!("ef8755f06ee4b28c96a847a95cb8ec8ed6ddd1ca"), &json!(""))
    );
}

#[tokio::test]
async fn what_neither_understands_is_told_02_037_02_038() {
    for (dialect, event) in [("bitbucketcloud", "repo:fork"), ("bitbucketserver", "pr:comment:added")] {
        let world = world(dialect, json!({})).await;
        let send =
            async |headers: &[(&str, &str)], payload: Json| send(&world, dialect, headers, &payload).await;
        let unknown = format!("Unknown event: {}", event.replace(':', "_"));
        assert_eq!(send(&[("x-event-key", event)], json!({})).await, (400, unknown));
        assert_eq!(send(&[], json!({})).await, (400, "Header X-Event-Key was not present".into()));
        let path = format!("/change_hook/{dialect}");
        let plain = text(world.post(&path, "text/plain", &[("x-event-key", "repo:push")], "{}").await).await;
        assert_eq!(plain, (400, "Unknown content type: text/plain".into()));
    }
    let server = world("bitbucketserver", json!({})).await;
    assert_eq!(
        send(&server, "bitbucketserver", &[("x-event-key", "diagnostics:ping")], &json!({"test": true}))
            .await,
        found(0)
    );
    let cloud = world("bitbucketcloud", json!({})).await;
    let headers = [("x-event-key", "repo:push")];
    let lacking = without(payload("bitbucketcloud_push"), "push/changes/1/new/target");
    let told = (400, "the payload has no text at push.changes[1].new.target.hash".to_string());
    assert_eq!(send(&cloud, "bitbucketcloud", &headers, &lacking).await, told);
    assert_eq!(changes(&cloud).await.len(), 0, "all of a request or nothing");
}

#[tokio::test]
async fn signatures_are_checked_where_there_is_a_secret_02_037_02_038() {
    for (dialect, name) in
        [("bitbucketcloud", "bitbucketcloud_push"), ("bitbucketserver", "bitbucketserver_push")]
    {
        let world = world(dialect, json!({"secret": "s3cret"})).await;
        let body = payload(name).to_string();
        let (event, good) = (("x-event-key", "repo:push"), sha256(&body, "s3cret"));
        let forged = with(payload(name), "push/changes", json!([])).to_string();
        for (body, headers, status) in [
            (&body, vec![event, ("x-hub-signature", &good)], 202),
            (&body, vec![event], 400),
            (&forged, vec![event, ("x-hub-signature", &good)], 400),
        ] {
            assert_eq!(send_text(&world, dialect, &headers, body.clone()).await.0, status, "{headers:?}");
        }
    }
}
