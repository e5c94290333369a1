//! Codebases, their commits and branches.

use crate::support::*;
use lunabot_data::new::{CodebaseDecl, NewCommit, NewSourceStamp, NewTestResultSet, ProjectDecl, StampRef};
use lunabot_data::{Data, DataError};
use serde_json::json;

fn commit(revision: &str, parent: Option<&str>) -> NewCommit {
    NewCommit {
        author: "a".into(),
        comments: format!("made {revision}"),
        when_timestamp: 5,
        revision: revision.into(),
        parent: parent.map(Into::into),
        ..NewCommit::default()
    }
}

async fn codebase(data: &Data) -> i64 {
    let project = ProjectDecl { name: "p".into(), slug: "p".into(), ..ProjectDecl::default() };
    data.sync_projects(&[project]).await.unwrap();
    let decl = CodebaseDecl { name: "lib".into(), slug: "l".into(), project: "p".into() };
    data.sync_codebases(&[decl]).await.unwrap()[0]
}

pub async fn rows_09_016_to_09_018_09_043_09_094_commits_have_parents_and_branches_move(place: Place) {
    let data = place.open().await;
    let mut events =
        listen(&data, &["codebases/*/*", "commits/*/*", "codebases/*/commits/*/*", "branches/*/*"]);
    let id = codebase(&data).await;
    assert_eq!(codebase(&data).await, id, "the same again is the same");
    let expected = json!({"codebaseid": id, "projectid": 1, "name": "lib", "slug": "l"});
    for path in ["codebases/1", "projects/1/codebases/lib"] {
        assert_eq!(one(&data, path).await, expected, "{path}");
    }
    for (branch, revision, parent) in [
        ("main", "r1", None),
        ("main", "r2", Some("r1")),
        ("side", "r3", Some("r1")),
        ("main", "r2", Some("r1")),
    ] {
        data.add_commit(id, branch, commit(revision, parent)).await.unwrap();
    }
    let told = topics(&mut events, 11).await;
    assert_eq!(
        told,
        [
            "codebases/1/update",
            "commits/1/new",
            "codebases/1/commits/1/new",
            "branches/1/update",
            "commits/2/new",
            "codebases/1/commits/2/new",
            "branches/1/update",
            "commits/3/new",
            "codebases/1/commits/3/new",
            "branches/2/update",
            "branches/1/update",
        ]
    );
    let second = one(&data, "commits/2").await;
    assert_eq!(
        second,
        json!({"commitid": 2, "codebaseid": id, "author": "a", "committer": null, "comments": "made r2",
               "when_timestamp": 5, "revision": "r2", "parent_commitid": 1})
    );
    assert_eq!(one(&data, "codebases/1/commits_by_revision/r2").await, second);
    assert_eq!(column(&data, "codebases/1/commits", "order=-commitid", "commitid").await, [3, 2, 1]);
    assert_eq!(
        one(&data, "branches/1").await,
        json!({"branchid": 1, "codebaseid": id, "name": "main", "commitid": 2, "last_timestamp": 1000})
    );
    assert_eq!(column(&data, "codebases/1/branches", "name=side", "commitid").await, [3]);
    let graph = one(&data, "codebases/1/commit_range/2/3/commits_common_parent").await;
    assert_eq!(graph, json!({"common": 1, "to1": [1, 2], "to2": [1, 3]}));
    for absent in ["codebases/1/commit_range/2/9/commits_common_parent", "codebases/1/commits_by_revision/x"]
    {
        assert!(matches!(data.get(absent, "").await, Err(DataError::NotFound(_))), "{absent}");
    }

    data.close().await.unwrap();
    let again = place.open().await;
    assert_eq!(codebase(&again).await, id);
    assert_eq!(again.add_commit(id, "main", commit("r4", Some("r2"))).await.unwrap(), 4);
    assert_eq!(one(&again, "commits/4").await["parent_commitid"], 2);
}

pub async fn row_09_043_test_results_of_a_range_of_commits(place: Place) {
    let data = place.open().await;
    let id = codebase(&data).await;
    for (revision, parent) in [("r1", None), ("r2", Some("r1")), ("r3", Some("r2"))] {
        data.add_commit(id, "main", commit(revision, parent)).await.unwrap();
    }
    let (builder, worker) = configured(&data).await;
    let mut events = listen(&data, &["test_result_sets/*/*"]);
    for revision in ["r1", "r2", "r3"] {
        let mut set = buildset(&[builder]);
        let stamp = NewSourceStamp { revision: Some(revision.into()), ..NewSourceStamp::default() };
        set.sourcestamps = vec![StampRef::New(stamp)];
        let (_, requests) = data.add_buildset(set).await.unwrap();
        let (build, _) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
        let (step, _) = data.add_step(build.buildid, "st", "").await.unwrap();
        let set = NewTestResultSet {
            builderid: builder,
            buildid: build.buildid,
            stepid: step.stepid,
            description: None,
            category: "pass_fail".into(),
            value_unit: "boolean".into(),
        };
        let (set, _) = data.add_test_result_set(set).await.unwrap();
        data.complete_test_result_set(set).await.unwrap().detach();
    }
    data.flush().await.unwrap();
    // 09.095
    let wanted: Vec<String> = (1..=3)
        .flat_map(|id| ["new", "completed"].map(|what| format!("test_result_sets/{id}/{what}")))
        .collect();
    assert_eq!(topics(&mut events, 6).await, wanted);
    let found = |range: &'static str| {
        let path = format!("codebases/1/commit_range/{range}/test_result_sets");
        let data = data.clone();
        async move { column(&data, &path, "", "test_result_setid").await }
    };
    assert_eq!(found("2/3").await, [2, 3]);
    assert_eq!(found("1/1").await, [1]);
    assert_eq!(found("3/2").await, [0; 0], "the first does not lead to the second");
}
