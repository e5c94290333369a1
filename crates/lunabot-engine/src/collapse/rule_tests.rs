use super::*;
use lunabot_model::Properties;
use lunabot_model::resources::{BuildRequest, Buildset, Patch};
use proptest::prelude::*;

fn stamp(ssid: i64, codebase: &str, branch: &str, revision: Option<&str>) -> SourceStamp {
    SourceStamp {
        ssid,
        revision: revision.map(str::to_string),
        branch: Some(branch.into()),
        repository: "repo".into(),
        project: String::new(),
        codebase: codebase.into(),
        patch: None,
        created_at: 0,
    }
}

fn request(id: i64, bsid: i64, sourcestamps: Vec<SourceStamp>) -> PendingRequest {
    PendingRequest {
        request: BuildRequest {
            buildrequestid: id,
            buildsetid: bsid,
            builderid: 1,
            priority: 0,
            claimed: false,
            claimed_at: None,
            claimed_by_masterid: None,
            complete: false,
            results: None,
            submitted_at: id,
            complete_at: None,
            waited_for: false,
            properties: None,
        },
        buildset: Buildset {
            bsid,
            external_idstring: None,
            reason: String::new(),
            rebuilt_buildid: None,
            submitted_at: 0,
            complete: false,
            complete_at: None,
            results: None,
            sourcestamps,
            parent_buildid: None,
            parent_relationship: None,
        },
        properties: Properties::new(),
        limits: Default::default(),
    }
}

fn plain(id: i64) -> PendingRequest {
    request(id, id, vec![stamp(id, "", "main", Some("r1"))])
}

fn collapses(new: &PendingRequest, old: &PendingRequest) -> bool {
    can_be_collapsed(new, old, &BTreeSet::new())
}

#[test]
fn row_07_007_the_truth_table_of_the_default_rule() {
    assert!(collapses(&plain(2), &plain(1)), "equal revisions without changes");
    assert!(!collapses(&plain(1), &plain(2)), "an older one never makes a newer one needless");
    let mut same_set = plain(1);
    same_set.buildset.bsid = 2;
    assert!(collapses(&plain(2), &same_set), "same buildset, whatever else");
    type Edit = fn(&mut PendingRequest);
    let edits: [(&str, Edit); 7] = [
        ("codebases", |r| r.buildset.sourcestamps[0].codebase = "lib".into()),
        ("more codebases", |r| r.buildset.sourcestamps.push(stamp(9, "lib", "main", None))),
        ("repository", |r| r.buildset.sourcestamps[0].repository = "fork".into()),
        ("branch", |r| r.buildset.sourcestamps[0].branch = None),
        ("project", |r| r.buildset.sourcestamps[0].project = "p".into()),
        ("revision", |r| r.buildset.sourcestamps[0].revision = None),
        ("scheduler's property", |r| r.properties.set("x", 1, "Scheduler")),
    ];
    for (what, edit) in edits {
        let mut old = plain(1);
        edit(&mut old);
        assert!(!collapses(&plain(2), &old), "{what}");
    }
    let mut patched = plain(1);
    let patch = Patch {
        patchid: 1,
        body: String::new(),
        level: 0,
        subdir: String::new(),
        author: String::new(),
        comment: String::new(),
        raw: None,
    };
    patched.buildset.sourcestamps[0].patch = Some(patch.clone());
    assert!(!collapses(&plain(2), &patched), "a patch in the old one");
    let mut new = plain(2);
    new.buildset.sourcestamps[0].patch = Some(patch);
    assert!(!collapses(&new, &plain(1)), "a patch in the new one");
}

#[test]
fn row_07_007_changes_and_properties_that_do_not_matter() {
    let mut old = plain(1);
    old.buildset.sourcestamps[0].revision = Some("r0".into());
    let check = |changed: &[i64]| can_be_collapsed(&plain(2), &old, &changed.iter().copied().collect());
    assert!(check(&[1, 2]), "both have changes");
    assert!(!check(&[1]) && !check(&[2]), "exactly one has");
    assert!(!check(&[]), "neither has, and the revisions differ");
    let mut forced = plain(1);
    forced.properties.set("owner", "me", "Force Build Form");
    forced.properties.set("scheduler", "other", "Scheduler");
    assert!(collapses(&plain(2), &forced));
}

proptest! {
    #[test]
    fn row_07_007_of_two_requests_at_most_the_older_goes(
        branches in prop::collection::vec(0u8..2, 2), revisions in prop::collection::vec(0u8..2, 2), changed in prop::collection::btree_set(1i64..3, 0..3)
    ) {
        let make = |i: usize| {
            let (branch, revision) = (branches[i].to_string(), revisions[i].to_string());
            request(i as i64 + 1, i as i64 + 1, vec![stamp(i as i64 + 1, "", &branch, Some(&revision))])
        };
        let (old, new) = (make(0), make(1));
        prop_assert!(!can_be_collapsed(&old, &new, &changed));
        let expected = branches[0] == branches[1] && match changed.len() { 2 => true, 1 => false, _ => revisions[0] == revisions[1] };
        prop_assert_eq!(can_be_collapsed(&new, &old, &changed), expected);
    }
}
