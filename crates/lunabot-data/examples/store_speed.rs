//! How fast the store is by itself: builds, log output, the page of the newest builds.
//!
//!     cargo run --release -p lunabot-data --example store_speed [seconds]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement")]

use lunabot_data::new::*;
use lunabot_data::{Data, OpenOptions};
use lunabot_model::resources::LogType;
use lunabot_model::{BoxFuture, Clock, Id, Mono, Properties, Results, Time};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

#[derive(Debug)]
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Time(i64::try_from(since.as_micros()).unwrap())
    }
    fn mono(&self) -> Mono {
        Mono(Duration::ZERO)
    }
    fn sleep_until(&self, _: Mono) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let time = |t: nix::sys::time::TimeVal| {
        Duration::new(u64::try_from(t.tv_sec()).unwrap(), u32::try_from(t.tv_usec() * 1000).unwrap())
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// Runs `work`, which says how much it did, and prints what that was per second.
async fn measure<F: Future<Output = u64>>(what: &str, work: F) {
    let (start, before) = (Instant::now(), cpu());
    let count = work.await;
    let (wall, used) = (start.elapsed().as_secs_f64(), (cpu() - before).as_secs_f64());
    let each = used * 1e6 / count as f64;
    println!(
        "{what:42} {:>10.0} /s   {each:>8.1} µs of CPU each   ({count} in {wall:.2} s)",
        count as f64 / wall
    );
}

async fn build(data: &Data, builder: Id, worker: Id) {
    let mut properties = Properties::new();
    for name in ["branch", "revision", "repository", "project", "codebase", "scheduler"] {
        properties.set(name, "some value", "Scheduler");
    }
    let set = NewBuildset { builderids: vec![builder], properties: properties.clone(), ..Default::default() };
    let (_, requests) = data.add_buildset(set).await.unwrap();
    let request = requests[&builder];
    assert!(data.claim(&[request]).await.unwrap());
    let new = NewBuild {
        builderid: builder,
        buildrequestid: request,
        workerid: Some(worker),
        state_string: "starting".into(),
        generation: None,
    };
    let (build, _) = data.add_build(new).await.unwrap();
    for name in ["buildername", "workername", "buildnumber", "builddir", "got_revision", "owner"] {
        properties.set(name, "some value", "Builder");
    }
    data.set_build_properties(build.buildid, properties).await.unwrap().detach();
    data.announce_build(build.buildid).await.unwrap().detach();
    for name in ["worker_preparation", "git", "compile", "test"] {
        step(data, build.buildid, name).await;
    }
    data.finish_build(build.buildid, Results::Success, "build successful").await.unwrap().detach();
    data.complete_requests(&[request], Results::Success).await.unwrap().detach();
}

async fn step(data: &Data, build: Id, name: &str) {
    let (step, _) = data.add_step(build, name, "pending").await.unwrap();
    data.start_step(step.stepid, true).await.unwrap().detach();
    data.set_step_state(step.stepid, "running").await.unwrap().detach();
    if name != "worker_preparation" {
        let (log, _) = data.add_log(step.stepid, "stdio", LogType::Stdio).await.unwrap();
        for _ in 0..3 {
            let text = "hmake all\nocc -c x.c\nodone\n".to_owned();
            data.append_log(log.logid, LogText(text)).await.unwrap().detach();
        }
        data.finish_log(log.logid).await.unwrap().detach();
    }
    data.finish_step(step.stepid, Results::Success, "done", false).await.unwrap().detach();
}

async fn builds(data: &Data, builder: Id, worker: Id, at_once: usize, seconds: f64) -> u64 {
    let start = Instant::now();
    let each = |_| {
        let data = data.clone();
        tokio::spawn(async move {
            let mut count = 0;
            while start.elapsed().as_secs_f64() < seconds {
                build(&data, builder, worker).await;
                count += 1;
            }
            count
        })
    };
    let tasks: Vec<_> = (0..at_once).map(each).collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    data.flush().await.unwrap();
    count
}

async fn log(data: &Data, builder: Id, worker: Id) -> Id {
    let set = NewBuildset { builderids: vec![builder], ..Default::default() };
    let (_, requests) = data.add_buildset(set).await.unwrap();
    let new = NewBuild {
        builderid: builder,
        buildrequestid: requests[&builder],
        workerid: Some(worker),
        state_string: String::new(),
        generation: None,
    };
    let (build, _) = data.add_build(new).await.unwrap();
    let (step, _) = data.add_step(build.buildid, "s", "").await.unwrap();
    data.add_log(step.stepid, "stdio", LogType::Stdio).await.unwrap().0.logid
}

/// Lines that pack about as well as a compiler's.
fn output(size: usize) -> String {
    let mut text = String::new();
    let mut n = 1u64;
    while text.len() < size {
        n = n.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        text.push_str(&format!("occ -O2 -c src/module_{:x}.c -o build/module_{:x}.o\n", n >> 44, n >> 40));
    }
    text
}

#[tokio::main]
async fn main() {
    let seconds: f64 = std::env::args().nth(1).map_or(5.0, |s| s.parse().unwrap());
    let dir = tempfile::tempdir_in(".").unwrap();
    let data = Data::open(OpenOptions {
        url: "sqlite:///state.sqlite".into(),
        basedir: dir.path().into(),
        master_name: "speed".into(),
        clock: Arc::new(Wall),
    })
    .await
    .unwrap();
    let decl = BuilderDecl { name: "b".into(), ..Default::default() };
    let builder = data.sync_builders(&[decl]).await.unwrap()["b"];
    let decl = WorkerDecl { name: "w".into(), builders: vec!["b".into()] };
    let worker = data.sync_workers(&[decl]).await.unwrap()["w"].workerid;

    for at_once in [1, 8, 64] {
        let name = format!("builds of three steps, {at_once} at once");
        measure(&name, builds(&data, builder, worker, at_once, seconds)).await;
    }
    let big = log(&data, builder, worker).await;
    let piece = output(64 * 1024);
    measure("MB of output of one step", async {
        for _ in 0..8000 {
            data.append_log(big, LogText(piece.clone())).await.unwrap().detach();
        }
        data.flush().await.unwrap();
        (piece.len() * 8000 / 1_000_000) as u64
    })
    .await;
    let small = log(&data, builder, worker).await;
    measure("small updates of a log", async {
        for n in 0..200_000 {
            data.append_log(small, LogText(format!("oline {n}\n"))).await.unwrap().detach();
            if n % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        data.flush().await.unwrap();
        200_000
    })
    .await;
    pages(&data).await;
    let size = std::fs::metadata(dir.path().join("state.sqlite")).unwrap().len();
    println!("{} MB in the file", size / 1_000_000);
    data.close().await.unwrap();
}

async fn pages(data: &Data) {
    let newest = "order=-buildid&limit=50";
    measure("pages of the newest 50 builds, kept", async {
        for _ in 0..100_000 {
            data.get_json("builds", newest, false).await.unwrap();
        }
        100_000
    })
    .await;
    measure("pages of the newest 50 builds, from tables", async {
        for n in 0..2_000 {
            data.get_json("builds", &format!("{newest}&x__{n}=1"), false).await.unwrap();
        }
        2_000
    })
    .await;
    measure("one build, from the table", async {
        for n in 1..5_000 {
            data.get_json(&format!("builds/{n}"), "", false).await.unwrap();
        }
        5_000
    })
    .await;
}
