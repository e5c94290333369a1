//! Schedulers against the real store: changes and force calls go in, buildsets come out; time moves by hand.

#[path = "support/schedulers.rs"]
mod support;

use lunabot_model::Json;
use serde_json::json;
use support::*;

#[tokio::test]
async fn an_important_change_is_built_at_once_03_005_to_03_011() {
    let world = World::new().await;
    world
        .apply(&[single(
            json!({"fileIsImportant": function("important"), "properties": {"p": property("branch_of")}}),
        )])
        .await;
    world.change(json!({"files": ["README"]})).await;
    let change = world.change(json!({"revision": "r2", "properties": {"branch_of": ["x", "Change"]}})).await;
    let sets = world.buildsets().await;
    assert_eq!(sets.len(), 1, "{sets:?}");
    assert_eq!(sets[0]["reason"], "The SingleBranchScheduler scheduler named 's' triggered this build");
    assert_eq!(sets[0]["sourcestamps"][0]["ssid"], json!(change.sourcestamp.ssid));
    let properties = world.properties(&sets[0]).await;
    assert_eq!(properties["scheduler"], json!(["s", "Scheduler"]));
    assert_eq!(properties["branch_of"], json!(["x", "Change"]));
    assert_eq!(properties["p"], json!(["x", "Scheduler"]));
    assert_eq!(world.requests(&sets[0]).await, ["b1"]);
}

#[tokio::test]
async fn changes_within_the_window_make_one_buildset_03_012() {
    let world = World::new().await;
    world.apply(&[single(json!({"treeStableTimer": 10, "fileIsImportant": function("important")}))]).await;
    world.change(json!({"properties": {"a": [1, "Change"]}})).await;
    world.clock.advance(9.0);
    world.change(json!({"files": ["README"]})).await;
    world.clock.advance(9.0);
    let newest = world.change(json!({"properties": {"b": [2, "Change"]}})).await;
    assert_eq!(world.buildsets().await, [] as [Json; 0]);
    world.clock.advance(10.0);
    let set = world.next_buildset().await;
    assert_eq!(set["sourcestamps"][0]["ssid"], json!(newest.sourcestamp.ssid));
    let properties = world.properties(&set).await;
    assert_eq!((&properties["a"][0], &properties["b"][0]), (&json!(1), &json!(2)));
    assert_eq!(world.classified("s").await, [] as [i64; 0]);
}

#[tokio::test]
async fn a_restart_in_the_window_keeps_what_was_classified_03_012() {
    let mut world = World::new().await;
    let schedulers = [single(json!({"treeStableTimer": 10}))];
    world.apply(&schedulers).await;
    let first = world.change(json!({})).await;
    assert_eq!(world.classified("s").await, [first.changeid]);
    world.restart().await;
    world.apply(&schedulers).await;
    let second = world.change(json!({})).await;
    world.clock.advance(10.0);
    let set = world.next_buildset().await;
    assert_eq!(set["sourcestamps"][0]["ssid"], json!(second.sourcestamp.ssid));
    assert_eq!(world.classified("s").await, [] as [i64; 0]);
}

#[tokio::test]
async fn a_change_that_came_while_nothing_ran_is_built_once() {
    let mut world = World::new().await;
    let schedulers = [single(json!({}))];
    world.apply(&schedulers).await;
    world.change(json!({})).await;
    world.restart().await;
    let missed = world.store_change(json!({})).await;
    world.apply(&schedulers).await;
    world.looked_at("s", missed.changeid).await;
    assert_eq!(world.buildsets().await.len(), 2);
    world.restart().await;
    world.apply(&schedulers).await;
    world.change(json!({})).await;
    assert_eq!(world.buildsets().await.len(), 3);
}

#[tokio::test]
async fn a_new_scheduler_begins_with_the_next_change() {
    let mut world = World::new().await;
    world.store_change(json!({})).await;
    world.apply(&[single(json!({}))]).await;
    world.change(json!({})).await;
    assert_eq!(world.buildsets().await.len(), 1);
    world.apply(&[]).await;
    world.store_change(json!({})).await;
    world.restart().await;
    world.apply(&[single(json!({}))]).await;
    world.change(json!({})).await;
    assert_eq!(world.buildsets().await.len(), 2);
}

#[tokio::test]
async fn branches_wait_on_their_own_and_forget_only_their_own_03_013() {
    let world = World::new().await;
    world.apply(&[any(json!({"treeStableTimer": 10}))]).await;
    let slow = world.change(json!({"branch": "a"})).await;
    let fast = world.change(json!({"branch": "b"})).await;
    world.clock.advance(9.0);
    let slower = world.change(json!({"branch": "a"})).await;
    world.clock.advance(1.0);
    let set = world.next_buildset().await;
    assert_eq!(set["sourcestamps"][0]["branch"], "b");
    assert_eq!(set["sourcestamps"][0]["ssid"], json!(fast.sourcestamp.ssid));
    assert_eq!(world.classified("any").await, [slow.changeid, slower.changeid]);
    world.clock.advance(9.0);
    assert_eq!(world.next_buildset().await["sourcestamps"][0]["branch"], "a");
    assert_eq!(world.classified("any").await, [] as [i64; 0]);
}

#[tokio::test]
async fn a_reload_keeps_the_timers_of_what_is_the_same_01_011() {
    let world = World::new().await;
    let applied = world.apply(&[single(json!({"treeStableTimer": 10})), force(json!({}))]).await;
    assert_eq!(applied.started, ["s", "force"]);
    world.change(json!({})).await;
    world.clock.advance(6.0);
    let applied = world.apply(&[moved(single(json!({"treeStableTimer": 10})))]).await;
    assert_eq!(
        (applied.started.len(), applied.changed.len(), applied.stopped),
        (0, 0, vec!["force".to_string()])
    );
    world.clock.advance(4.0);
    world.next_buildset().await;

    world.change(json!({})).await;
    world.clock.advance(6.0);
    let applied = world.apply(&[single(json!({"treeStableTimer": 20}))]).await;
    assert_eq!(applied.changed, ["s"]);
    let last = world.change(json!({})).await;
    world.clock.advance(19.0);
    assert_eq!(world.buildsets().await.len(), 1);
    world.clock.advance(1.0);
    assert_eq!(world.next_buildset().await["sourcestamps"][0]["ssid"], json!(last.sourcestamp.ssid));
}

#[tokio::test]
async fn without_its_timer_a_scheduler_forgets_what_waited_03_012() {
    let world = World::new().await;
    world.apply(&[single(json!({"treeStableTimer": 10}))]).await;
    world.change(json!({})).await;
    world.apply(&[single(json!({}))]).await;
    world.change(json!({})).await;
    assert_eq!(world.buildsets().await.len(), 1);
    assert_eq!(world.classified("s").await, [] as [i64; 0]);
}

#[tokio::test]
async fn a_disabled_scheduler_takes_no_changes_and_its_timers_stop_03_003() {
    let world = World::new().await;
    world.apply(&[single(json!({"treeStableTimer": 10}))]).await;
    world.change(json!({})).await;
    let path = format!("schedulers/{}", world.scheduler_id("s").await);
    world.control(&path, "enable", json!({"enabled": false})).await.unwrap();
    world.clock.advance(20.0);
    world.change(json!({})).await;
    assert_eq!(world.buildsets().await, [] as [Json; 0]);
    world.control(&path, "enable", json!({"enabled": true})).await.unwrap();
    let taken = world.change(json!({})).await;
    assert_eq!(world.classified("s").await.len(), 2);
    world.clock.advance(10.0);
    assert_eq!(world.next_buildset().await["sourcestamps"][0]["ssid"], json!(taken.sourcestamp.ssid));
    assert!(world.control(&path, "enable", json!({})).await.is_err());
    assert!(world.control(&path, "frob", json!({})).await.is_err());
}

#[tokio::test]
async fn changes_are_dropped_in_the_order_of_03_004() {
    let world = World::new().await;
    let filter =
        object("util.ChangeFilter", json!({"branch": ["main", "dev"], "category_fn": function("yes")}));
    let options = json!({"change_filter": filter, "codebases": ["lib"], "onlyImportant": true,
                         "treeStableTimer": 5, "fileIsImportant": function("important")});
    world.apply(&[single(options)]).await;
    world.change(json!({"branch": "other", "codebase": "lib"})).await;
    world.change(json!({"branch": "dev", "codebase": ""})).await;
    assert_eq!(world.host.asked("fileIsImportant"), 0);
    world.change(json!({"branch": "dev", "codebase": "lib", "files": ["README"]})).await;
    assert_eq!(world.host.asked("fileIsImportant"), 1);
    assert_eq!(world.classified("s").await, [] as [i64; 0]);
    let taken = world.change(json!({"branch": "main", "codebase": "lib"})).await;
    assert_eq!(world.classified("s").await, [taken.changeid]);
}

#[tokio::test]
async fn failing_functions_have_the_outcomes_of_the_contract() {
    let world = World::new().await;
    world
        .apply(&[single(json!({"fileIsImportant": function("raise"), "priority": function("raise")}))])
        .await;
    world.change(json!({})).await;
    let sets = world.buildsets().await;
    assert_eq!(sets.len(), 1, "a fileIsImportant that fails counts as important");
    assert_eq!(world.priority(&sets[0]).await, 0);
    world.apply(&[single(json!({"builderNames": [renderer("raise")]}))]).await;
    world.change(json!({})).await;
    assert_eq!(world.buildsets().await.len(), 1);
}

#[tokio::test]
async fn builders_and_priority_are_worked_out_for_each_buildset_03_001_03_007() {
    let world = World::new().await;
    world
        .apply(&[single(json!({
            "builderNames": [property("target"), "b1", "missing", interpolate("%(src::branch)s")],
            "priority": function("count"),
            "reason": "%(name)s!",
        }))])
        .await;
    world.change(json!({"properties": {"target": ["b2", "Change"]}})).await;
    let sets = world.buildsets().await;
    assert_eq!(world.requests(&sets[0]).await, ["b1", "b2"]);
    assert_eq!((world.priority(&sets[0]).await, &sets[0]["reason"]), (7, &json!("s!")));
}

#[tokio::test]
async fn codebases_without_a_change_get_defaults_or_their_last_revision_03_005_03_009() {
    let world = World::new().await;
    let codebases = json!({"a": {}, "b": {"repository": "rb", "branch": "stable", "revision": "1"}});
    world.apply(&[single(json!({"codebases": codebases}))]).await;
    world.change(json!({"codebase": "a", "project": "pa"})).await;
    let stamps = |set: &Json| -> Vec<Json> {
        let mut stamps = set["sourcestamps"].as_array().unwrap().clone();
        stamps.sort_by_key(|stamp| stamp["codebase"].to_string());
        stamps
            .iter()
            .map(|s| json!([s["codebase"], s["project"], s["repository"], s["branch"], s["revision"]]))
            .collect()
    };
    let sets = world.buildsets().await;
    assert_eq!(stamps(&sets[0])[1], json!(["b", "", "rb", "stable", "1"]));
    assert_eq!(stamps(&sets[0])[0][1], "pa");

    world.apply(&[single(json!({"codebases": codebases, "createAbsoluteSourceStamps": true}))]).await;
    world.change(json!({"codebase": "b", "revision": "42", "branch": "main", "repository": "other"})).await;
    world.change(json!({"codebase": "a"})).await;
    let sets = world.buildsets().await;
    assert_eq!(stamps(&sets[2])[1], json!(["b", "", "other", "main", "42"]));
}

#[tokio::test]
async fn a_force_call_makes_a_buildset_03_024_03_032_03_033() {
    let world = World::new().await;
    let size = json!({"name": "size", "required": true});
    world
        .apply(&[force(json!({"properties": [object("util.IntParameter", size)]})), single(json!({}))])
        .await;
    let posted = json!({"builderNames": ["b2", "b1"], "owner": "joe", "reason": "why", "size": "3", "branch": "dev", "priority": 4});
    let answer = world.control("forceschedulers/force", "force", posted).await.unwrap();
    let sets = world.buildsets().await;
    let request = world.requests_of(&sets[0]).await[0].clone();
    assert_eq!(
        answer,
        json!([sets[0]["bsid"], {request["builderid"].to_string(): request["buildrequestid"]}])
    );
    assert_eq!((&request["priority"], world.requests(&sets[0]).await), (&json!(4), vec!["b1".to_string()]));
    assert_eq!(sets[0]["reason"], "A build was forced by 'joe': why");
    let properties = world.properties(&sets[0]).await;
    assert_eq!(
        properties,
        json!({"owner": ["joe", "Force Build Form"], "reason": ["why", "Force Build Form"],
               "size": [3, "Force Build Form"], "scheduler": ["force", "Scheduler"]})
    );
    assert_eq!(sets[0]["sourcestamps"][0]["branch"], "dev");
}

#[tokio::test]
async fn a_bad_force_call_is_refused_with_reasons_03_032() {
    let world = World::new().await;
    let size = json!({"name": "size", "required": true, "label": "Size"});
    world
        .apply(&[force(json!({"properties": [object("util.IntParameter", size)]})), single(json!({}))])
        .await;
    let refused = |error| match error {
        Err(lunabot_data::ControlError::InvalidParams(text)) => text,
        other => panic!("{other:?}"),
    };
    let path = "forceschedulers/force";
    let answer = world.control(path, "force", json!({"priority": "high"})).await;
    assert_eq!(
        refused(answer),
        json!({"size": "'Size' needs to be specified", "priority": "priority: 'high' is not a whole number"})
    );
    for posted in
        [json!({"size": 1, "builderNames": ["b2"]}), json!({"size": 1, "builderid": world.builder("b2")})]
    {
        let text = refused(world.control(path, "force", posted).await);
        assert!(text.as_str().unwrap().starts_with("builderNames not specified or not supported"), "{text}");
    }
    let id = world.scheduler_id("force").await;
    world.control(&format!("schedulers/{id}"), "enable", json!({"enabled": false})).await.unwrap();
    assert!(
        refused(world.control(path, "force", json!({"size": 1})).await)
            .as_str()
            .unwrap()
            .contains("disabled")
    );
    assert!(world.control("forceschedulers/s", "force", json!({})).await.is_err());
    assert_eq!(world.buildsets().await, [] as [Json; 0]);
}

#[tokio::test]
async fn force_schedulers_are_listed_09_014() {
    let world = World::new().await;
    world.apply(&[force(json!({"label": "Do it", "buttonName": "Go"}))]).await;
    let listed = world.list("forceschedulers", "").await;
    assert_eq!(
        (&listed[0]["name"], &listed[0]["label"], &listed[0]["button_name"], &listed[0]["enabled"]),
        (&json!("force"), &json!("Do it"), &json!("Go"), &json!(true))
    );
    assert_eq!(
        (&listed[0]["builder_names"], listed[0]["all_fields"].as_array().unwrap().len()),
        (&json!(["b1"]), 2)
    );
}

#[tokio::test]
async fn row_03_041_choices_of_a_function_are_good_for_a_minute() {
    let world = World::new().await;
    let version = json!({"name": "version", "choices": function("versions")});
    let group = object(
        "util.NestedParameter",
        json!({"name": "", "fields": [object("util.ChoiceStringParameter", version)]}),
    );
    world.apply(&[force(json!({"properties": [group]}))]).await;
    let offered =
        async || world.list("forceschedulers", "").await[0]["all_fields"][2]["fields"][0]["choices"].clone();
    for (seconds, choices, asked) in [
        (0.0, json!(["v1"]), 1),
        (59.0, json!(["v1"]), 1),
        // An error leaves them as they were, for another minute.
        (1.0, json!(["v1"]), 2),
        (59.0, json!(["v1"]), 2),
        (1.0, json!(["v3"]), 3),
    ] {
        world.clock.advance(seconds);
        assert_eq!((offered().await, world.host.asked("choices")), (choices, asked));
    }
    let path = "forceschedulers/force";
    assert!(world.control(path, "force", json!({"version": "v1"})).await.is_err());
    world.control(path, "force", json!({"version": "v3"})).await.unwrap();
    assert_eq!(
        world.properties(&world.buildsets().await[0]).await["version"],
        json!(["v3", "Force Build Form"])
    );
}

fn nightly(options: Json) -> lunabot_model::AnyObject {
    timed("Nightly", "n", json!({"tz": "UTC"}), options)
}

/// 2023-11-14 22:13:20 UTC is when the clock starts: a Tuesday.
const TO_MIDNIGHT: f64 = 6_400.0;

#[tokio::test]
async fn row_03_016_a_periodic_builds_at_once_and_then_each_period() {
    let mut world = World::new().await;
    let schedulers = [timed("Periodic", "p", json!({}), json!({"periodicBuildTimer": 100}))];
    world.apply(&schedulers).await;
    let set = world.next_buildset().await;
    assert_eq!(set["reason"], "The Periodic scheduler named 'p' triggered this build");
    assert_eq!(set["sourcestamps"][0]["revision"], Json::Null, "03.019");
    world.waits_for("p", 100).await;
    world.clock.advance(100.0);
    world.next_buildset().await;
    world.waits_for("p", 200).await;
    // A restart within the period does not begin it anew, one after it builds at once.
    world.restart().await;
    world.clock.advance(50.0);
    world.apply(&schedulers).await;
    world.waits_for("p", 200).await;
    assert_eq!(world.buildsets().await.len(), 2);
    world.restart().await;
    world.clock.advance(5000.0);
    world.apply(&schedulers).await;
    world.next_buildset().await;
    world.waits_for("p", 5250).await;
    assert_eq!(world.buildsets().await.len(), 3);
}

#[tokio::test]
async fn row_03_017_a_nightly_builds_when_its_time_comes_also_when_the_master_was_down() {
    let mut world = World::new().await;
    let schedulers = [nightly(json!({"hour": 0, "branch": "main", "reason": "%(classname)s"}))];
    world.apply(&schedulers).await;
    world.waits_for("n", TO_MIDNIGHT as i64).await;
    world.clock.advance(TO_MIDNIGHT);
    let set = world.next_buildset().await;
    assert_eq!((&set["reason"], &set["sourcestamps"][0]["branch"]), (&json!("Nightly"), &json!("main")));
    world.waits_for("n", TO_MIDNIGHT as i64 + 86_400).await;
    // Two nights without a master are made up for once.
    world.restart().await;
    world.clock.advance(2.5 * 86_400.0);
    world.apply(&schedulers).await;
    world.next_buildset().await;
    world.waits_for("n", TO_MIDNIGHT as i64 + 3 * 86_400).await;
    // A new calendar counts from now, and so does one that was away.
    world.apply(&[nightly(json!({"hour": 11}))]).await;
    world.waits_for("n", TO_MIDNIGHT as i64 + 3 * 86_400 + 11 * 3_600).await;
    world.apply(&[]).await;
    world.clock.advance(86_400.0);
    world.apply(&[nightly(json!({"hour": 11}))]).await;
    world.waits_for("n", TO_MIDNIGHT as i64 + 4 * 86_400 + 11 * 3_600).await;
    assert_eq!(world.buildsets().await.len(), 2);
}

#[tokio::test]
async fn row_03_018_only_if_changed_survives_a_restart() {
    let mut world = World::new().await;
    let options = json!({"onlyIfChanged": true, "change_filter": object("util.ChangeFilter", json!({"branch": "main"})),
                         "fileIsImportant": function("important")});
    let schedulers = [nightly(options.clone())];
    world.apply(&schedulers).await;
    world.waits_for("n", 2800).await;
    world.clock.advance(2800.0);
    world.next_buildset().await;
    world.waits_for("n", 6400).await;
    let unimportant = world.change(json!({"files": ["README"]})).await;
    world.change(json!({"branch": "other"})).await;
    world.clock.advance(3600.0);
    world.waits_for("n", 10_000).await;
    assert_eq!(world.buildsets().await.len(), 1, "nothing important has changed");
    assert_eq!(world.classified("n").await, [unimportant.changeid]);
    let newest = world.change(json!({})).await;
    world.restart().await;
    world.apply(&schedulers).await;
    world.waits_for("n", 10_000).await;
    world.clock.advance(3600.0);
    let set = world.next_buildset().await;
    assert_eq!(set["sourcestamps"][0]["ssid"], json!(newest.sourcestamp.ssid));
    world.waits_for("n", 13_600).await;
    assert_eq!(world.classified("n").await, [] as [i64; 0]);
    // What changed while onlyIfChanged was off is not asked for when it comes on again.
    let mut off = options.clone();
    off["onlyIfChanged"] = false.into();
    world.apply(&[nightly(off)]).await;
    world.waits_for("n", 13_600).await;
    world.clock.advance(3600.0);
    world.next_buildset().await;
    world.waits_for("n", 17_200).await;
    world.apply(&[nightly(options)]).await;
    world.waits_for("n", 17_200).await;
    world.clock.advance(3600.0);
    world.next_buildset().await;
}

#[tokio::test]
async fn row_03_003_a_disabled_nightly_waits_until_it_is_enabled_and_then_for_its_next_time() {
    let world = World::new().await;
    world.apply(&[nightly(json!({"hour": 0}))]).await;
    world.waits_for("n", TO_MIDNIGHT as i64).await;
    let path = format!("schedulers/{}", world.scheduler_id("n").await);
    world.control(&path, "enable", json!({"enabled": false})).await.unwrap();
    world.clock.advance(2.0 * 86_400.0);
    world.control(&path, "enable", json!({"enabled": true})).await.unwrap();
    world.waits_for("n", TO_MIDNIGHT as i64 + 2 * 86_400).await;
    assert_eq!(world.buildsets().await, [] as [Json; 0]);
}

#[tokio::test]
async fn rows_03_016_03_017_two_that_are_due_at_one_moment_build_in_the_order_of_their_names() {
    let mut world = World::new().await;
    let names = ["e", "b", "d", "a", "c"];
    let all: Vec<_> = names
        .map(|name| timed("Nightly", name, json!({"tz": "UTC"}), json!({"properties": {"by": name}})))
        .into();
    world.apply(&all).await;
    for name in names {
        world.waits_for(name, 2800).await;
    }
    let order = async |world: &World| {
        let mut found = String::new();
        for set in world.buildsets().await.iter().rev().take(5).rev() {
            found.push_str(world.properties(set).await["by"][0].as_str().unwrap());
        }
        found
    };
    world.clock.advance(2800.0);
    for name in names {
        world.waits_for(name, 6400).await;
    }
    assert_eq!(order(&world).await, "abcde");
    // Also when all of them were missed.
    world.restart().await;
    world.clock.advance(36_000.0);
    world.apply(&all).await;
    for name in names {
        world.waits_for(name, 42_400).await;
    }
    assert_eq!((order(&world).await.as_str(), world.buildsets().await.len()), ("abcde", 10));
}

/// The wall clock is set forward, and back, while a master runs.
#[tokio::test]
async fn rows_03_012_03_017_a_clock_that_jumps_repeats_nothing_and_stops_nothing() {
    let world = World::new().await;
    world.apply(&[nightly(json!({})), single(json!({"treeStableTimer": 10}))]).await;
    world.waits_for("n", 2800).await;
    // An hour ahead: what was missed is made up for once, when the clock is looked at next.
    world.clock.set_wall(3600);
    world.clock.advance(60.0);
    world.next_buildset().await;
    world.waits_for("n", 6400).await;
    // Back again: the same hour comes a second time, and does not count.
    world.clock.set_wall(0);
    world.clock.advance(60.0);
    world.clock.advance(2700.0);
    // Timers of changes go by a clock that does not jump.
    world.change(json!({})).await;
    world.clock.set_wall(-50_000);
    world.clock.advance(10.0);
    assert_eq!(world.properties(&world.next_buildset().await).await["scheduler"][0], "s");
    world.clock.set_wall(0);
    world.waits_for("n", 6400).await;
    world.clock.advance(3570.0);
    assert_eq!(world.properties(&world.next_buildset().await).await["scheduler"][0], "n");
    assert_eq!(world.buildsets().await.len(), 3);
}

#[tokio::test]
async fn row_03_020_a_nightly_triggerable_builds_what_triggered_it_last_once() {
    let mut world = World::new().await;
    let schedulers = [timed("NightlyTriggerable", "nt", json!({"tz": "UTC"}), json!({}))];
    world.apply(&schedulers).await;
    world.waits_for("nt", 2800).await;
    for revision in ["old", "new"] {
        let triggered = world.trigger("nt", json!({"revision": revision})).await;
        assert_eq!((triggered.bsid, triggered.requests.len()), (None, 0));
    }
    world.restart().await;
    world.apply(&schedulers).await;
    world.waits_for("nt", 2800).await;
    world.clock.advance(2800.0);
    let set = world.next_buildset().await;
    assert_eq!(set["sourcestamps"][0]["revision"], "new");
    assert_eq!((&set["parent_buildid"], &set["parent_relationship"]), (&json!(5), &json!("from")));
    assert_eq!(set["reason"], "The NightlyTriggerable scheduler named 'nt' triggered this build");
    world.waits_for("nt", 6400).await;
    world.clock.advance(3600.0);
    world.waits_for("nt", 10_000).await;
    assert_eq!(world.buildsets().await.len(), 1);
}

#[tokio::test]
async fn row_03_015_a_dependent_follows_what_went_well() {
    let mut world = World::new().await;
    let dependent = timed("Dependent", "dep", json!({}), json!({"upstream": "up", "builderNames": ["b2"]}));
    let schedulers = [triggerable(json!({"name": "up"})), triggerable(json!({"name": "other"})), dependent];
    world.apply(&schedulers).await;
    for (results, follows) in [(0, true), (1, true), (2, false), (4, false), (6, false)] {
        let before = world.buildsets().await.len();
        // One of another scheduler is no concern of it.
        let other = world.trigger("other", json!({})).await;
        world.complete(&other, 0).await;
        let triggered = world.trigger("up", json!({"revision": format!("r{results}")})).await;
        world.complete(&triggered, results).await;
        world.dependent_has_seen(triggered.bsid.unwrap(), false).await;
        let sets = world.buildsets().await;
        assert_eq!(sets.len() - before, if follows { 3 } else { 2 }, "{results}");
        if follows {
            let set = sets.iter().rfind(|set| set["reason"] == "downstream").unwrap();
            let up = &sets[before + 1];
            assert_eq!(set["sourcestamps"], up["sourcestamps"]);
            assert_eq!(world.requests(set).await, ["b2"]);
        }
    }
    // What it waits for is forgotten when it is taken out of the configuration, and kept over a restart.
    let waiting = world.trigger("up", json!({"revision": "late"})).await;
    world.dependent_has_seen(waiting.bsid.unwrap(), true).await;
    world.restart().await;
    world.complete(&waiting, 0).await;
    world.apply(&schedulers[..2]).await;
    world.apply(&schedulers).await;
    // It was away: it begins with what comes now.
    let count = world.buildsets().await.len();
    let fresh = world.trigger("up", json!({"revision": "fresh"})).await;
    world.dependent_has_seen(fresh.bsid.unwrap(), true).await;
    assert_eq!(world.buildsets().await.len(), count + 1);
    world.restart().await;
    world.complete(&fresh, 0).await;
    world.apply(&schedulers).await;
    let set = world.until(async || world.buildsets().await.get(count + 1).cloned()).await;
    assert_eq!(
        (&set["reason"], &set["sourcestamps"][0]["revision"]),
        (&json!("downstream"), &json!("fresh"))
    );
}

#[tokio::test]
async fn what_schedulers_do_next_is_listed() {
    let world = World::new().await;
    world
        .apply(&[
            nightly(json!({"hour": [3, 4], "dayOfWeek": "mon-fri", "onlyIfChanged": true})),
            single(json!({"treeStableTimer": 10})),
            triggerable(json!({"name": "t"})),
            force(json!({})),
        ])
        .await;
    world.waits_for("n", 17_200).await;
    let rows = world.list("schedules", "order=name").await;
    let seen: Vec<Json> =
        rows.iter().map(|r| json!([r["name"], r["kind"], r["trigger"], r["last_at"]])).collect();
    assert_eq!(
        seen,
        [
            json!(["force", "schedulers.ForceScheduler", "when forced", null]),
            json!(["n", "schedulers.Nightly", "at 0 3,4 * * mon-fri (UTC), if something changed", null]),
            json!(["s", "schedulers.SingleBranchScheduler", "10 s after the last change", null]),
            json!(["t", "schedulers.Triggerable", "when triggered", null]),
        ]
    );
    world.change(json!({})).await;
    world.waits_for("s", 10).await;
    world.control("forceschedulers/force", "force", json!({})).await.unwrap();
    let rows = world.list("schedules", "name=force").await;
    assert_eq!(rows[0]["last_at"], 1_700_000_000);
}
