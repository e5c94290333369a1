//! Latent workers (reference 8d): the test plays the class and the instances.

use crate::support::config::{builder_with, object};
use crate::support::host::callback;
use crate::support::{Master, Setup, TestWorker, builder, step};
use lunabot_engine::worker::WorkerLink;
use lunabot_engine::{EngineError, Stop};
use lunabot_model::config::Config;
use lunabot_model::{AnyObject, Arg, Json};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const START: u64 = 1;
const STOP: u64 = 2;
const SUITS: u64 = 3;
const CHECK: u64 = 4;

/// The worker `l` of a class, and a builder on it.
fn setup(fingerprint: &str, options: Json) -> Setup {
    Setup::new(&[]).builder(builder("b", &["l"], vec![step("true")])).with(|config| {
        let mut args = json!({"name": "l"});
        args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let mut hooks = json!({"start_instance": callback(START), "stop_instance": callback(STOP)});
        if args.get("builds_may_be_incompatible").is_some() {
            hooks["isCompatibleWithBuild"] = callback(SUITS);
        }
        if args.get("check_instance_interval").is_some() {
            hooks["check_instance"] = callback(CHECK);
        }
        let class = json!({"name": "Mine", "fingerprint": fingerprint, "hooks": hooks, "params": {}});
        let latent = object("worker.AbstractLatentWorker", args);
        config.workers.push(AnyObject { class: Some(class), ..latent });
    })
}

/// A master whose class starts and stops without fail.
async fn master(options: Json) -> Master {
    let master = Master::start(setup("1", options)).await;
    master.host.set(START, |_| Ok(json!({"id": 7})));
    master.host.set(STOP, |_| Ok(Json::Null));
    master
}

async fn becomes(master: &mut Master, state: &str) {
    master.wait_for("workers/*/state_updated", |row| row["workerinfo"]["latent_state"] == state).await;
}

fn pass(master: &Master, seconds: u64) {
    master.clock.advance(Duration::from_secs(seconds));
}

/// Waits until the distributor knows that no build runs.
async fn idle(master: &Master) {
    master.until("idle", |status| status.builds_running == 0).await;
}

/// Waits until nothing of an instance is left; its events may have been read over already.
async fn is_gone(master: &Master) {
    while master.one("workers/1").await["workerinfo"]["latent_state"] != "not substantiated" {
        tokio::task::yield_now().await;
    }
}

fn calls(master: &Master) -> Vec<String> {
    let calls = master.host.calls.lock().unwrap();
    calls.iter().filter_map(|call| Some(call.strip_suffix(" of worker l")?.to_owned())).collect()
}

/// A field of `self` in a call.
fn of_self(args: &[Arg], field: &str) -> Json {
    let Arg::Instance(this) = &args[0] else { panic!("{args:?}") };
    this.live.field(field).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

/// Asks for a build, and plays the instance that is started for it.
async fn build_one(master: &mut Master) -> (Json, Arc<TestWorker>) {
    let request = master.request("b").await;
    becomes(master, "substantiating").await;
    let worker = master.worker("l").await;
    (master.finished(request).await, worker)
}

#[tokio::test]
async fn rows_08_041_08_045_08_046_one_start_serves_builds_until_it_was_idle_for_long_enough() {
    let mut master = master(json!({})).await;
    let (build, worker) = build_one(&mut master).await;
    assert_eq!((&build["results"], &build["state_string"]), (&json!(0), &json!("build successful")));
    idle(&master).await;
    pass(&master, 599);
    let again = master.request("b").await;
    assert_eq!(master.finished(again).await["results"], 0);
    idle(&master).await;
    pass(&master, 599);
    master.engine.status().await;
    assert_eq!(calls(&master), ["start_instance"]);
    pass(&master, 1);
    becomes(&mut master, "not substantiated").await;
    assert_eq!(calls(&master), ["start_instance", "stop_instance"]);
    assert!(worker.disconnected.load(std::sync::atomic::Ordering::SeqCst));
    master.detach("l", &worker).await;
    // The next one begins anew.
    let (build, _) = build_one(&mut master).await;
    assert_eq!(build["results"], 0);
    assert_eq!(calls(&master), ["start_instance", "stop_instance", "start_instance"]);
    master.stop().await;
}

#[tokio::test]
async fn row_08_046_with_no_time_to_wait_each_build_has_its_own_instance() {
    let mut master = master(json!({"build_wait_timeout": 0})).await;
    for _ in 0..2 {
        let (build, worker) = build_one(&mut master).await;
        assert_eq!(build["results"], 0);
        becomes(&mut master, "not substantiated").await;
        master.detach("l", &worker).await;
    }
    assert_eq!(calls(&master), ["start_instance", "stop_instance", "start_instance", "stop_instance"]);
    master.stop().await;
}

#[tokio::test]
async fn row_08_046_one_that_is_kept_is_stopped_with_the_master() {
    let mut master = master(json!({"build_wait_timeout": -1})).await;
    build_one(&mut master).await;
    idle(&master).await;
    pass(&master, 1_000_000);
    master.engine.status().await;
    assert_eq!(calls(&master), ["start_instance"]);
    master.engine.stop(Stop::Soft).await;
    assert_eq!(calls(&master), ["start_instance", "stop_instance"]);
    master.data.close().await.unwrap();
}

#[tokio::test]
async fn row_08_043_nobody_comes_without_having_been_asked_for() {
    let mut master = master(json!({})).await;
    let link: Arc<dyn WorkerLink> = TestWorker::new();
    let refused = master.engine.worker_attached("l", link).await;
    assert!(
        matches!(&refused, Err(EngineError::Refused(why)) if why.contains("no instance of it is being started")),
        "{refused:?}"
    );
    let (build, _) = build_one(&mut master).await;
    assert_eq!(build["results"], 0);
    master.stop().await;
}

/// What became of the first build, and its log `err.text`.
async fn failed(master: &mut Master) -> (Json, String, String) {
    let build = master.wait("builds/*/finished").await;
    let log = master.log(&build, "worker_preparation", "err.text").await.unwrap();
    (build["results"].clone(), build["state_string"].as_str().unwrap().to_owned(), log)
}

#[tokio::test]
async fn row_08_047_a_start_that_fails_ends_in_retry_and_quarantine_and_is_stopped() {
    for (answer, told) in [
        (Err("oh".to_owned()), "master.lua:1: oh"),
        (Ok(json!(false)), "start_instance returned false"),
        (Ok(json!("yes")), "start_instance returned \"yes\"; return true, false or a table"),
        (Ok(Json::Null), "start_instance returned nothing; return true, false or a table"),
    ] {
        let mut master = master(json!({})).await;
        master.host.set(START, move |_| answer.clone());
        let request = master.request("b").await;
        let (results, text, log) = failed(&mut master).await;
        assert_eq!((results, text.as_str()), (json!(5), "worker not available"), "{told}");
        assert!(log.contains(told), "{log}");
        is_gone(&master).await;
        assert_eq!(calls(&master), ["start_instance", "stop_instance"]);
        // The same request is tried again, ten seconds later.
        master.host.set(START, |_| Ok(json!(true)));
        idle(&master).await;
        pass(&master, 10);
        becomes(&mut master, "substantiating").await;
        master.worker("l").await;
        assert_eq!(master.finished(request).await["results"], 0, "{told}");
        master.stop().await;
    }
}

#[tokio::test]
async fn row_08_044_an_instance_that_never_connects_is_missed() {
    for starts in [true, false] {
        let mut master = master(json!({"missing_timeout": 50, "notify_on_missing": "ops@example.org"})).await;
        if !starts {
            master.host.set_waiting(START, |_| Box::pin(std::future::pending()));
        }
        master.request("b").await;
        becomes(&mut master, "substantiating").await;
        while calls(&master).is_empty() {
            tokio::task::yield_now().await;
        }
        // Whatever it answered is stored and known.
        for _ in 0..20 {
            master.data.flush().await.unwrap();
            master.engine.status().await;
        }
        pass(&master, 50);
        let missing = master.wait("workers/*/missing").await;
        assert_eq!((&missing["name"], &missing["notify"]), (&json!("l"), &json!(["ops@example.org"])));
        is_gone(&master).await;
        idle(&master).await;
        assert_eq!(calls(&master), ["start_instance", "stop_instance"]);
        let builds = master.list("builds", "").await;
        assert_eq!(builds[0]["results"], 5);
        let log = master.log(&builds[0], "worker_preparation", "err.text").await.unwrap();
        let told = if starts { "did not connect within 50 s" } else { "did not end within 50 s" };
        assert!(log.contains(told), "{log}");
        let told = master.host.nonsense.lock().unwrap().join("; ");
        assert_eq!(
            told.contains("start_instance did not end within 50 s (missing_timeout)"),
            !starts,
            "{told}"
        );
        master.stop().await;
    }
}

#[tokio::test]
async fn row_08_042_an_instance_that_says_that_it_broke_is_not_waited_for() {
    let mut master = master(json!({"check_instance_interval": 5, "missing_timeout": "100d"})).await;
    let answers = Arc::new(Mutex::new(vec![json!([false, "out of memory"]), json!("what?"), json!(true)]));
    master.host.set(CHECK, move |_| Ok(answers.lock().unwrap().pop().unwrap()));
    master.request("b").await;
    becomes(&mut master, "substantiating").await;
    for count in 1..=3 {
        // The timer of the next check is set once the answer before it is known.
        while calls(&master).iter().filter(|call| *call == "check_instance").count() < count {
            pass(&master, 5);
            master.engine.status().await;
        }
    }
    let (results, _, log) = failed(&mut master).await;
    assert_eq!(results, 5);
    assert!(log.contains("latent worker crashed before connecting: out of memory"), "{log}");
    let told = master.host.nonsense.lock().unwrap().join("; ");
    assert!(told.contains("check_instance returned \"what?\"; return true, or false and a text"), "{told}");
    master.stop().await;
}

#[tokio::test]
async fn row_08_039_a_stop_is_repeated_until_it_succeeds() {
    let mut master = master(json!({"build_wait_timeout": 0})).await;
    let left = Arc::new(Mutex::new(3));
    master.host.set(STOP, move |args| {
        assert_eq!(
            (of_self(&args, "instance"), &args[1].clone().into_json().unwrap()),
            (json!({"id": 7}), &json!(false))
        );
        let mut left = left.lock().unwrap();
        *left -= 1;
        if *left == 0 { Ok(Json::Null) } else { Err("not now".into()) }
    });
    build_one(&mut master).await;
    becomes(&mut master, "insubstantiating").await;
    while calls(&master).len() < 4 {
        pass(&master, 1);
        master.engine.status().await;
    }
    becomes(&mut master, "not substantiated").await;
    let stops = ["start_instance", "stop_instance", "stop_instance", "stop_instance"];
    assert_eq!(calls(&master), stops);
    master.stop().await;
}

#[tokio::test]
async fn row_08_049_each_instance_has_a_password_of_its_own() {
    let mut master = master(json!({"build_wait_timeout": 0})).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let passwords = seen.clone();
    master.host.set(START, move |args| {
        assert_eq!(of_self(&args, "instance"), Json::Null);
        assert_eq!(of_self(&args, "workername"), "l");
        assert_ne!(of_self(&args, "masterFQDN"), Json::Null);
        let Arg::Object(build) = &args[1] else { panic!("{args:?}") };
        let builder = build.field("properties").unwrap()["$properties"]["buildername"][0].clone();
        passwords.lock().unwrap().push((of_self(&args, "password"), builder));
        Ok(json!(true))
    });
    for _ in 0..2 {
        let (_, worker) = build_one(&mut master).await;
        becomes(&mut master, "not substantiated").await;
        master.detach("l", &worker).await;
    }
    let seen = seen.lock().unwrap().clone();
    assert_ne!(seen[0].0, seen[1].0);
    assert!(seen.iter().all(|(password, builder)| password.as_str().unwrap().len() == 20 && builder == "b"));
    master.stop().await;
}

#[tokio::test]
async fn a_start_is_on_record_before_it_is_made_and_stopped_by_the_next_master() {
    for returned in [true, false] {
        let mut master = master(json!({})).await;
        let held = |config: &mut Config| config.builders = vec![builder("b", &["l"], vec![step("hold a")])];
        master.apply(setup("1", json!({})).with(held)).await;
        if !returned {
            master.host.set_waiting(START, |_| Box::pin(std::future::pending()));
        }
        master.request("b").await;
        becomes(&mut master, "substantiating").await;
        while calls(&master).is_empty() {
            tokio::task::yield_now().await;
        }
        if returned {
            // With its connection, the start is known to have been answered.
            master.worker("l").await;
            becomes(&mut master, "substantiated").await;
        }
        master.data.flush().await.unwrap();
        // A kill: what is on disk now is all that is left.
        let killed = Arc::new(tempfile::tempdir().unwrap());
        for entry in std::fs::read_dir(master.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, killed.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        let clock = master.clock.clone();
        let stopped = Arc::new(Mutex::new(Vec::new()));
        let seen = stopped.clone();
        let mut next = Master::start_with(killed, clock, setup("1", json!({})), |host| {
            host.set(START, |_| Ok(json!(true)));
            host.set(STOP, move |args| {
                seen.lock().unwrap().push(of_self(&args, "instance"));
                Ok(Json::Null)
            });
        })
        .await;
        // The build that was cut off is built again, by a new instance.
        becomes(&mut next, "substantiating").await;
        next.worker("l").await;
        let build = next.wait_for("builds/*/finished", |build| build["results"] == 0).await;
        assert_eq!(build["state_string"], "build successful");
        assert_eq!(calls(&next), ["stop_instance", "start_instance"]);
        next.stop().await;
        // The one that was left, and its own.
        let left = if returned { json!({"id": 7}) } else { Json::Null };
        assert_eq!(*stopped.lock().unwrap(), [left, json!(true)]);
    }
}

#[tokio::test]
async fn a_reload_keeps_an_instance_of_the_same_class_and_ends_one_of_another() {
    let mut master = master(json!({})).await;
    build_one(&mut master).await;
    idle(&master).await;
    // Only what is about the master has changed: the instance goes on, and the new time counts.
    master.apply(setup("1", json!({"build_wait_timeout": 50}))).await;
    let request = master.request("b").await;
    assert_eq!(master.finished(request).await["results"], 0);
    assert_eq!(calls(&master), ["start_instance"]);
    idle(&master).await;
    master.apply(setup("2", json!({}))).await;
    becomes(&mut master, "not substantiated").await;
    assert_eq!(calls(&master), ["start_instance", "stop_instance"]);
    master.stop().await;
}

#[tokio::test]
async fn row_08_013_the_instance_of_a_worker_that_is_configured_away_is_stopped() {
    let mut master = master(json!({"build_wait_timeout": -1})).await;
    let (_, worker) = build_one(&mut master).await;
    idle(&master).await;
    let other = Setup::new(&["w"]).builder(builder("b", &["w"], vec![step("true")]));
    master.apply(other).await;
    while calls(&master).len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls(&master), ["start_instance", "stop_instance"]);
    master.detach("l", &worker).await;
    master.stop().await;
}

#[tokio::test]
async fn row_08_041_a_lost_instance_is_stopped_before_the_next_is_started() {
    let setup = setup("1", json!({})).with(|config| {
        config.builders = vec![builder("b", &["l"], vec![step("hold a")])];
    });
    let mut master = Master::start(setup).await;
    master.host.set(START, |_| Ok(json!(true)));
    master.host.set(STOP, |_| Ok(Json::Null));
    let request = master.request("b").await;
    becomes(&mut master, "substantiating").await;
    let worker = master.worker("l").await;
    worker.held("a").await;
    master.detach("l", &worker).await;
    assert_eq!(master.finished(request).await["results"], 5, "05.014");
    becomes(&mut master, "substantiating").await;
    let worker = master.worker("l").await;
    worker.held("a").await.end(0).await;
    assert_eq!(master.finished(request).await["results"], 0);
    assert_eq!(calls(&master), ["start_instance", "stop_instance", "start_instance"]);
    master.stop().await;
}

#[tokio::test]
async fn row_05_013_a_build_is_cancelled_while_its_instance_is_started() {
    let mut master = master(json!({})).await;
    let request = master.request("b").await;
    becomes(&mut master, "substantiating").await;
    let running = master.list("builds", "complete=false").await;
    master.control(&format!("builds/{}", running[0]["buildid"]), "stop").await;
    let build = master.finished(request).await;
    assert_eq!((&build["results"], &build["state_string"]), (&json!(6), &json!("cancelled (no more)")));
    becomes(&mut master, "not substantiated").await;
    assert_eq!(calls(&master), ["start_instance", "stop_instance"]);
    master.stop().await;
}

#[tokio::test]
async fn row_08_048_a_build_that_does_not_suit_waits_for_an_instance_of_its_own() {
    let options = json!({"builds_may_be_incompatible": true, "build_wait_timeout": 100});
    let setup = setup("1", options).with(|config| {
        let of = |name: &str| {
            let all = json!({"name": name, "workernames": ["l"], "properties": {"image": name}});
            builder_with(all, vec![step("true")])
        };
        config.builders = vec![of("b"), of("other")];
    });
    let mut master = Master::start(setup).await;
    let image = Arc::new(Mutex::new(String::new()));
    let started = image.clone();
    master.host.set(START, move |args| {
        let Arg::Object(build) = &args[1] else { panic!("{args:?}") };
        let wanted = build.field("properties").unwrap()["$properties"]["image"][0].clone();
        *started.lock().unwrap() = wanted.as_str().unwrap().to_owned();
        Ok(json!(true))
    });
    master.host.set(STOP, |_| Ok(Json::Null));
    master.host.set(SUITS, move |args| {
        let Arg::Properties(_, properties) = &args[1] else { panic!("{args:?}") };
        Ok((properties.text("image") == Some(image.lock().unwrap().as_str())).into())
    });
    let (_, worker) = build_one(&mut master).await;
    let (same, other) = (master.request("b").await, master.request("other").await);
    assert_eq!(master.finished(same).await["results"], 0);
    idle(&master).await;
    assert_eq!(master.one(&format!("buildrequests/{other}")).await["claimed"], false);
    pass(&master, 100);
    becomes(&mut master, "substantiating").await;
    // The old connection may be there for a while.
    master.detach("l", &worker).await;
    master.worker("l").await;
    assert_eq!(master.finished(other).await["results"], 0);
    let life = ["start_instance", "stop_instance", "start_instance"];
    assert_eq!(
        calls(&master).into_iter().filter(|call| call != "isCompatibleWithBuild").collect::<Vec<_>>(),
        life
    );
    master.stop().await;
}

#[tokio::test]
async fn row_08_009_a_latent_worker_that_is_told_to_stop_is_started_again_when_it_is_needed() {
    let mut master = master(json!({})).await;
    let (_, worker) = build_one(&mut master).await;
    idle(&master).await;
    master.control("workers/1", "stop").await;
    becomes(&mut master, "not substantiated").await;
    master.detach("l", &worker).await;
    let (build, _) = build_one(&mut master).await;
    assert_eq!(build["results"], 0);
    assert_eq!(calls(&master), ["start_instance", "stop_instance", "start_instance"]);
    assert_eq!(master.one("workers/1").await["graceful"], false);
    master.stop().await;
}
