//! Latent workers of classes of the configuration (08.038–08.050): real processes of `lunabot worker`.

use anyhow::Result;
use lunabot_tests::{Master, documented, lunabot_binary, running};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const PAGE: &str = "customization/latent-workers.md";

/// The page's first example at a port of its own, with a record of its calls and a step that tells where it runs.
fn machines(more: &str) -> Result<String> {
    let noting = r#"
for _, method in ipairs{"start_instance", "stop_instance"} do
  local inner = Machine[method]
  Machine[method] = function(self, arg)
    util.append_file("calls", method .. "\n")
    return inner(self, arg)
  end
end
f:addStep(steps.ShellCommand{command = {"pwd"}, name = "where"})
"#;
    let config = documented(PAGE, "A latent worker", &format!("{noting}{more}"))?;
    let program = format!("default = \"{}\"", lunabot_binary().display());
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok(config.replace("default = \"lunabot\"", &program).replace("9990", &port.to_string()))
}

fn calls(master: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(master.join("calls")).unwrap_or_default();
    text.lines().map(|call| call.trim_end_matches("_instance").to_owned()).collect()
}

/// Whether the process of the instance runs.
fn runs(master: &Path) -> bool {
    let pid = std::fs::read_to_string(master.join("machines/machine1/pid"));
    pid.is_ok_and(|pid| Path::new("/proc").join(pid.trim()).exists())
}

async fn becomes(master: &Master, state: &str) -> Result<()> {
    let is = |answer: &Value| {
        let workers = answer["workers"].as_array().into_iter().flatten();
        workers.into_iter().any(|worker| worker["workerinfo"]["latent_state"] == state)
    };
    master.until("workers", is).await.map(drop)
}

fn reconfig(master: &Master) -> Result<String> {
    let output = Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output()?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn rows_08_038_08_050_an_instance_is_started_for_a_build_and_stopped_when_it_is_idle() -> Result<()> {
    let config = machines("")?.replace("build_wait_timeout = \"5m\"", "build_wait_timeout = 0");
    let mut master = Master::start(&config).await?;
    becomes(&master, "not substantiated").await?;
    let (_, page) = master.text("/workers/machine1").await?;
    assert!(page.contains("started when needed") && page.contains("It is not substantiated"), "{page}");
    for number in 1..=2 {
        master.force("runtests").await?;
        let build = master.finished_build(number).await?;
        assert_eq!(build["results"], 0, "{build}\n{}", master.log());
        becomes(&master, "not substantiated").await?;
        assert!(!runs(master.dir()));
    }
    assert_eq!(calls(master.dir()), ["start", "stop", "start", "stop"]);
    master.signal(Signal::SIGTERM)?;
    assert_eq!(master.ended().await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_master_that_is_killed_leaves_an_instance_that_the_next_stops_once() -> Result<()> {
    let mut master = Master::start(&machines("")?).await?;
    master.force("runtests").await?;
    assert_eq!(master.finished_build(1).await?["results"], 0, "{}", master.log());
    becomes(&master, "substantiated").await?;
    assert!(runs(master.dir()));
    let dir = master.kill().await?;
    assert!(runs(dir.path()), "it is nobody's child");
    master = Master::start_in(dir).await?;
    becomes(&master, "not substantiated").await?;
    assert_eq!(calls(master.dir()), ["start", "stop"]);
    assert!(!runs(master.dir()));
    // And there is a next one; a soft stop of the master stops it, though its time is not over.
    master.force("runtests").await?;
    assert_eq!(master.finished_build(2).await?["results"], 0, "{}", master.log());
    assert!(runs(master.dir()));
    master.signal(Signal::SIGTERM)?;
    assert_eq!(master.ended().await?, Some(0));
    assert_eq!(calls(master.dir()), ["start", "stop", "start", "stop"]);
    assert!(!runs(master.dir()));
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_the_instance_until_its_class_changes_or_its_worker_goes() -> Result<()> {
    let config = machines("")?;
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    master.finished_build(1).await?;
    becomes(&master, "substantiated").await?;
    // Nothing of it has changed: the instance goes on, and builds under the new configuration.
    master.rewrite_config(&format!("-- moved\n{config}"))?;
    reconfig(&master)?;
    master.force("runtests").await?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    assert_eq!(calls(master.dir()), ["start"]);
    // A default of its class that says how it is used counts as the option does.
    let kept = config.replace("Machine\", {\n", "Machine\", {\n  max_builds = 3, keepalive_interval = 77,\n");
    master.rewrite_config(&kept)?;
    let told = reconfig(&master)?;
    assert!(told.contains("changed worker machine1") && !told.contains("the class"), "{told}");
    master.force("runtests").await?;
    assert_eq!(master.finished_build(3).await?["results"], 0);
    assert_eq!(calls(master.dir()), ["start"]);
    let changed = config
        .replace("local dir = \"machines/\" .. self.name", "local dir = \"machines/\" .. self.workername");
    master.rewrite_config(&changed)?;
    reconfig(&master)?;
    becomes(&master, "not substantiated").await?;
    assert_eq!(calls(master.dir()), ["start", "stop"]);
    master.force("runtests").await?;
    assert_eq!(master.finished_build(4).await?["results"], 0, "{}", master.log());
    // Configured away.
    master.rewrite_config(&running(""))?;
    let told = reconfig(&master)?;
    assert!(told.contains("stopped worker machine1"), "{told}");
    let gone = |answer: &Value| {
        let worker = answer["workers"].as_array().into_iter().flatten().find(|w| w["name"] == "machine1");
        worker.is_some_and(|worker| worker["workerinfo"].get("latent_state").is_none())
    };
    master.until("workers", gone).await?;
    assert_eq!(calls(master.dir()), ["start", "stop", "start", "stop"]);
    assert!(!runs(master.dir()));
    Ok(())
}

#[tokio::test]
async fn row_08_042_an_instance_that_breaks_is_told_in_the_build() -> Result<()> {
    // The password is wrong in the worker's folder: it will never get in, and is killed by somebody meanwhile.
    let config = machines("")?
        .replace("stdin = self.password", "stdin = \"wrong\"")
        .replace("build_wait_timeout = \"5m\"", "check_instance_interval = 0.2");
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    becomes(&master, "substantiating").await?;
    master.log_line(|line| line.contains("wrong password for worker machine1")).await?;
    let pid = std::fs::read_to_string(master.dir().join("machines/machine1/pid"))?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.trim().parse()?), Signal::SIGKILL)?;
    let build = master.finished_build(1).await?;
    assert_eq!(
        (&build["results"], build["state_string"].as_str()),
        (&5.into(), Some("worker not available"))
    );
    let text = master.step_log(1, "worker_preparation", "err_text").await?;
    assert!(text.contains("latent worker crashed before connecting"), "{text}");
    becomes(&master, "not substantiated").await?;
    assert_eq!(calls(master.dir()), ["start", "stop"]);
    Ok(())
}

/// A worker of a class with these methods, all in one.
fn faulty(methods: &str) -> String {
    running(&format!(
        "local X = worker.AbstractLatentWorker:extend('X', {{{methods}}})
c.protocols = {{ pb = {{ port = 0 }} }}
c.workers = {{ X{{'x1'}} }}
c.builders = {{ util.BuilderConfig{{name = 'runtests', workernames = {{'x1'}}, factory = f}} }}"
    ))
}

#[tokio::test]
async fn faults_of_latent_workers_end_the_build_and_nothing_else() -> Result<()> {
    let good = "stop_instance = function() end";
    for (start, results, told) in [
        ("error('no more machines')", 5, "no more machines"),
        ("util.fail('no such image')", 4, "no such image"),
        ("return 5", 5, "start_instance returned 5; return true, false or a table"),
        ("return false", 5, "start_instance returned false"),
        ("while true do end", 5, "computed longer"),
        ("return {[1] = 1, a = 2}", 5, "result"),
        ("build:getProperty(3)", 5, "getProperty"),
        ("self.password = 'mine'", 5, "the option password does not change while it runs"),
    ] {
        let methods = format!("start_instance = function(self, build) {start} end, {good}");
        let config = faulty(&methods);
        let line = 1 + config.lines().position(|line| line.contains("start_instance")).unwrap_or_default();
        let mut master = Master::start(&config).await?;
        master.force("runtests").await?;
        let build = master.finished_build(1).await?;
        assert_eq!(build["results"], results, "{start}: {}", master.log());
        let text = master.step_log(1, "worker_preparation", "err_text").await?;
        assert!(text.contains(told), "{start}: {text}");
        // Who gives up, or says that there is no machine, has failed at nothing.
        if !start.starts_with("util.fail") && start != "return false" {
            assert!(text.contains(&format!("master.lua:{line}:")), "{start}: {text}");
            let errors = master.get("script_errors").await?;
            let row = &errors["script_errors"][0];
            let wanted = (&json!("start_instance"), &json!("worker x1"), &json!(line));
            assert_eq!((&row["callback"], &row["concerns"], &row["line"]), wanted, "{start}: {errors}");
        }
        becomes(&master, "not substantiated").await?;
        master.signal(Signal::SIGTERM)?;
        assert_eq!(master.ended().await?, Some(0), "{start}");
    }
    Ok(())
}

#[tokio::test]
async fn row_08_044_one_that_waits_for_ever_is_given_up_and_its_stop_is_repeated() -> Result<()> {
    let methods = "missing_timeout = 1, start_instance = function() util.sleep(1e6) end,
        stop_instance = function(self, fast) util.append_file('calls', tostring(self.instance) .. '\\n')
          if not fast and util.read_file('calls') == 'nil\\n' then error('not yet') end end";
    let mut master = Master::start(&faulty(methods)).await?;
    master.force("runtests").await?;
    assert_eq!(master.finished_build(1).await?["results"], 5);
    becomes(&master, "not substantiated").await?;
    assert_eq!(calls(master.dir()), ["nil", "nil"]);
    let errors = master.get("script_errors").await?.to_string();
    for told in ["start_instance did not end within 1 s (missing_timeout)", "not yet"] {
        assert!(errors.contains(told), "{told}: {errors}");
    }
    master.signal(Signal::SIGTERM)?;
    assert_eq!(master.ended().await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_build_that_is_cancelled_answers_until_start_instance_has_returned() -> Result<()> {
    let methods = "start_instance = function(self, build)
          repeat util.sleep(0.05) until pcall(util.read_file, 'go')
          local rendered = build:render(util.Interpolate('%(prop:buildername)s!'))
          util.append_file('calls', rendered .. build:getProperty('workername') .. build.properties.buildername .. '\\n')
          return {id = 7}
        end,
        stop_instance = function(self) util.append_file('calls', 'stop ' .. self.instance.id .. '\\n') end";
    let master = Master::start(&faulty(methods)).await?;
    master.force("runtests").await?;
    becomes(&master, "substantiating").await?;
    master.control("builds/1", "stop", json!({"reason": "enough"})).await?;
    assert_eq!(master.finished_build(1).await?["results"], 6);
    std::fs::write(master.dir().join("go"), "")?;
    becomes(&master, "not substantiated").await?;
    assert_eq!(calls(master.dir()), ["runtests!x1runtests", "stop 7"], "{}", master.log());
    Ok(())
}

#[test]
fn a_latent_worker_that_cannot_start_anything_is_a_mistake() -> Result<()> {
    for (worker, told) in [
        (
            "worker.AbstractLatentWorker{'x1'}",
            "does nothing by itself: extend it with the methods start_instance and stop_instance",
        ),
        (
            "worker.LatentWorker:extend('X', {start_instance = function() end}){'x1'}",
            "X: does nothing by itself: give it a method stop_instance",
        ),
        ("worker.LatentWorker:extend('X', {missing_timeout = 0}){'x1'}", "must be more than 0 seconds"),
        (
            "worker.LatentWorker:extend('X', {start_instance = print, stop_instance = print}){'x1', build_wait = 3}",
            "build_wait: unknown option, did you mean build_wait_timeout?",
        ),
    ] {
        let dir = tempfile::tempdir()?;
        let config = format!("c.protocols = {{ pb = {{ port = 0 }} }}\nc.workers[2] = {worker}");
        std::fs::write(dir.path().join("master.lua"), running(&config))?;
        let output = Command::new(lunabot_binary()).arg("checkconfig").arg(dir.path()).output()?;
        let all =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && all.contains(told), "{worker}: {all}");
    }
    Ok(())
}

#[tokio::test]
async fn row_08_048_an_instance_takes_only_builds_that_suit_it() -> Result<()> {
    let more = r#"
for _, name in ipairs{"two", "three"} do table.insert(c.builders, c.builders[1]:with{name = name}) end
c.schedulers[1] = schedulers.ForceScheduler{
  name = "force", builderNames = {"runtests", "two", "three"}, properties = {util.StringParameter{name = "memory"}},
}
"#;
    let config = documented(PAGE, "Instances that do not suit every build", more)?;
    let master = Master::start(&config.replace("9989", "\"127.0.0.1:0\"")).await?;
    for (builder, memory) in [("runtests", "2G"), ("two", "1G"), ("three", "2G")] {
        let params = serde_json::json!({"builderNames": [builder], "memory": memory});
        master.control("forceschedulers/force", "force", params).await?;
        if builder == "runtests" {
            master.log_line(|line| line.contains("a machine with 2G")).await?;
            becomes(&master, "substantiating").await?;
        }
    }
    let two = |answer: &Value| answer["builds"].as_array().is_some_and(|all| all.len() == 2);
    let builds = master.until("builds?order=buildid", two).await?;
    let requests: Vec<&Value> =
        builds["builds"].as_array().into_iter().flatten().map(|build| &build["buildrequestid"]).collect();
    assert_eq!(requests, [1, 3], "the second would need another machine");
    let (_, told) = master.try_get("buildrequests/2/explanation").await?;
    assert!(told.to_string().contains("sized1"), "{told}");
    Ok(())
}

#[tokio::test]
async fn row_08_038_a_machine_is_had_from_a_cloud_and_given_back() -> Result<()> {
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let deleted = sender.clone();
    let app = axum::Router::new()
        .route(
            "/machines",
            axum::routing::post(move |axum::Json(wanted): axum::Json<Value>| async move {
                let _ = sender.send(format!("made for {}", wanted["worker"]));
                axum::Json(serde_json::json!({"id": 7}))
            }),
        )
        .route(
            "/machines/7",
            axum::routing::delete(move || async move {
                let _ = deleted.send("deleted".into());
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let cloud = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let config = documented(PAGE, "Options", "")?
        .replace("https://cloud.example.org", &cloud)
        .replace("9989", "\"127.0.0.1:0\"")
        .replace("max_builds = 1,", "max_builds = 1, missing_timeout = 2,");
    let master = Master::start(&config).await?;
    master.force("runtests").await?;
    // No machine comes of it, so it is given back.
    assert_eq!(master.finished_build(1).await?["results"], 5, "{}", master.log());
    let mut next = async || tokio::time::timeout(std::time::Duration::from_secs(60), told.recv()).await;
    assert!(next().await?.is_some_and(|told| told.starts_with("made for \"nightly")));
    assert_eq!(next().await?.as_deref(), Some("deleted"));
    Ok(())
}
