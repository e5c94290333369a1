//! A store with a life behind it: builders well and broken, running builds, queues, a long log.

use super::TestClock;
use lunabot_data::Data;
use lunabot_data::new::*;
use lunabot_model::resources::{Build, Change, ForceScheduler, LogType, Step};
use lunabot_model::{Id, Properties, Results};
use serde_json::json;
use std::sync::Arc;

/// What to make of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Ends(Results),
    Runs,
}

pub struct Seed<'a> {
    pub data: &'a Data,
    pub clock: &'a Arc<TestClock>,
    /// Lines of a failing build's log.
    pub lines: usize,
}

const AUTHORS: [&str; 4] = [
    "Ann Bell <ann@example.org>",
    "Jörg Weiß <joerg@example.org>",
    "Mei Lin <mei@example.org>",
    "Sam O'Neil <sam@example.org>",
];
const COMMENTS: [&str; 4] = [
    "parser: keep the position of a macro's arguments\n\nThey were taken from the expansion.",
    "Let the cache forget entries that were never read",
    "Fix the race between flush and close",
    "docs: say what happens when the disk is full",
];

impl Seed<'_> {
    pub fn later(&self, secs: i64) {
        self.clock.set(self.clock.get() + secs);
    }

    /// Builders `names`, all on the workers `fast1`, `fast2`, `slow`; the first two connected.
    pub async fn configure(&self, names: &[String]) -> Vec<Id> {
        let tags = |i: usize| vec![["linux", "macos", "windows"][i % 3].to_string(), "nightly".into()];
        let decls: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, name)| BuilderDecl {
                name: name.clone(),
                tags: tags(i)[..1 + i % 2].to_vec(),
                description: (i == 0).then(|| "Builds and tests every commit.".into()),
                ..BuilderDecl::default()
            })
            .collect();
        let ids = self.data.sync_builders(&decls).await.unwrap();
        let workers: Vec<_> = ["fast1", "fast2", "slow"]
            .iter()
            .map(|name| WorkerDecl { name: (*name).into(), builders: names.to_vec() })
            .collect();
        let workers = self.data.sync_workers(&workers).await.unwrap();
        for name in ["fast1", "fast2"] {
            let info = json!({"version": "4.3.0", "system": "posix", "os_name": "Debian", "numcpus": 16,
                "basedir": "/srv/worker", "environ": {"SECRET": "x"}});
            self.data.worker_connected(workers[name].workerid, info).await.unwrap().await.unwrap();
        }
        self.data.set_force_schedulers(vec![force_scheduler(names)]);
        names.iter().map(|name| ids[name]).collect()
    }

    pub async fn change(&self, n: usize) -> Change {
        let change = NewChange {
            author: AUTHORS[n % 4].into(),
            files: vec!["src/parser.c".into(), "tests/macro.t".into()],
            comments: COMMENTS[n % 4].into(),
            revision: Some(format!(
                "{:x}",
                (n as u128 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
            )),
            branch: Some("main".into()),
            repository: "https://git.example.org/app.git".into(),
            revlink: Some("https://git.example.org/app/commit/1".into()),
            ..NewChange::default()
        };
        self.data.add_change(change).await.unwrap()
    }

    /// A request for a builder, of a change.
    pub async fn request(&self, builder: Id, change: &Change, reason: &str) -> Id {
        let set = NewBuildset {
            scheduler: "commits".into(),
            reason: reason.into(),
            builderids: vec![builder],
            sourcestamps: vec![StampRef::Id(change.sourcestamp.ssid)],
            ..NewBuildset::default()
        };
        self.data.add_buildset(set).await.unwrap().1[&builder]
    }

    /// A build of three steps that takes about `secs`.
    pub async fn build(&self, builder: Id, change: &Change, worker: Id, fate: Fate, secs: i64) -> Build {
        let request = self
            .request(builder, change, "The AnyBranchScheduler named 'commits' triggered this build")
            .await;
        self.later(2);
        assert!(self.data.claim(&[request]).await.unwrap());
        let new = NewBuild {
            builderid: builder,
            buildrequestid: request,
            workerid: Some(worker),
            state_string: "starting".into(),
            generation: Some("abcdef123456".into()),
        };
        let (build, _) = self.data.add_build(new).await.unwrap();
        self.data.announce_build(build.buildid).await.unwrap().detach();
        self.properties(&build, change).await;
        let ok = Fate::Ends(Results::Success);
        self.step(&build, "git", "update", ok, secs / 10, 12).await;
        self.step(&build, "compile", "compile", if fate == Fate::Runs { fate } else { ok }, secs / 2, 200)
            .await;
        match fate {
            Fate::Runs => {
                self.data.set_build_state(build.buildid, "building").await.unwrap().detach();
            }
            Fate::Ends(results) => {
                let lines = if results == Results::Success { 90 } else { self.lines };
                self.step(&build, "test", "tests", fate, secs / 3, lines).await;
                let state = match results {
                    Results::Success => "build successful",
                    Results::Warnings => "warnings test (warnings)",
                    _ => "failed test (failure)",
                };
                self.data.finish_build(build.buildid, results, state).await.unwrap().detach();
                self.data.complete_requests(&[request], results).await.unwrap().await.unwrap();
            }
        }
        build
    }

    async fn properties(&self, build: &Build, change: &Change) {
        let mut all = Properties::new();
        all.set("branch", "main", "Build");
        all.set("revision", change.revision.clone(), "Build");
        all.set("owners", json!([change.author]), "Build");
        all.set("buildername", "app-linux", "Builder");
        all.set("options", json!({"jobs": 8, "lto": false, "targets": ["x86_64", "aarch64"]}), "Builder");
        self.data.set_build_properties(build.buildid, all).await.unwrap().detach();
    }

    pub async fn step(
        &self,
        build: &Build,
        name: &str,
        doing: &str,
        fate: Fate,
        secs: i64,
        lines: usize,
    ) -> Step {
        let (step, _) = self.data.add_step(build.buildid, name, doing).await.unwrap();
        self.data.start_step(step.stepid, true).await.unwrap().detach();
        let (log, _) = self.data.add_log(step.stepid, "stdio", LogType::Stdio).await.unwrap();
        let broken = matches!(fate, Fate::Ends(Results::Failure));
        for part in (0..lines.max(1)).step_by(5000) {
            let end = lines.min(part + 5000);
            let text = log_text(name, part, end, lines, broken);
            self.data.append_log(log.logid, LogText(text)).await.unwrap().detach();
        }
        if let Fate::Ends(results) = fate {
            self.later(secs);
            self.data.finish_log(log.logid).await.unwrap().detach();
            let state = if broken { format!("{doing} (2 failed)") } else { doing.to_string() };
            self.data.finish_step(step.stepid, results, &state, false).await.unwrap().detach();
        }
        step
    }
}

fn log_text(name: &str, from: usize, to: usize, of: usize, broken: bool) -> String {
    let mut text = String::new();
    if from == 0 {
        text.push_str(&format!("hmake {name}\nh in dir /srv/worker/build (timeout 1200 secs)\nh argv: [b'make', b'{name}']\nh environment:\nh  HOME=/home/ci\nh  PATH=/usr/bin:/bin\n"));
    }
    for n in from..to {
        match (n % 29, broken && n + 6 > of) {
            (_, true) => text.push_str(&format!(
                "o\u{1b}[1mtests/macro.t:{n}: \u{1b}[31merror:\u{1b}[0m expected <ident> & found \"}}\"\n"
            )),
            (11, _) => text.push_str(&format!("esrc/parser.c:{n}: warning: unused variable 'x'\n")),
            (5, _) => text.push_str(&format!("o\u{1b}[32mok\u{1b}[0m {n} - macro keeps its position\n")),
            _ => text.push_str(&format!(
                "o[{n:6}/{of}] CC src/module_{n}.c -O2 -Wall -DNDEBUG -o build/module_{n}.o\n"
            )),
        }
    }
    if to == of {
        text.push_str(if broken {
            "hprogram finished with exit code 2\n"
        } else {
            "hprogram finished with exit code 0\n"
        });
    }
    text
}

fn force_scheduler(names: &[String]) -> ForceScheduler {
    ForceScheduler {
        name: "force".into(),
        button_name: "Build now".into(),
        label: "Start a build".into(),
        builder_names: names.to_vec(),
        enabled: true,
        all_fields: vec![
            json!({"name": "", "fullName": "", "type": "nested", "fields": [
                {"name": "username", "fullName": "username", "label": "Your name", "type": "username", "hide": true, "default": ""},
                {"name": "reason", "fullName": "reason", "label": "Reason", "type": "text", "size": 20, "default": "force build", "required": true},
                {"name": "priority", "fullName": "priority", "label": "Priority", "type": "int", "default": 0}]}),
            json!({"name": "app", "fullName": "app", "label": "Codebase app", "type": "nested", "codebase": "app", "fields": [
                {"name": "branch", "fullName": "app_branch", "label": "Branch", "type": "text", "default": "main"},
                {"name": "revision", "fullName": "app_revision", "label": "Revision", "type": "text", "default": ""},
                {"name": "project", "fullName": "app_project", "type": "fixed", "default": "app"}]}),
            json!({"name": "clean", "fullName": "clean", "label": "Clean build", "type": "bool", "default": false, "tooltip": "Throws away what earlier builds left."}),
            json!({"name": "os", "fullName": "os", "label": "System", "type": "list", "choices": ["debian", "fedora"], "default": "debian", "multiple": false}),
            json!({"name": "notes", "fullName": "notes", "label": "Notes", "type": "textarea", "default": ""}),
        ],
    }
}

/// Some builders with histories: the second broken for three builds, the third running, one without builds.
pub async fn small(data: &Data, clock: &Arc<TestClock>, lines: usize) -> Vec<Id> {
    use Results::{Failure, Success, Warnings};
    let seed = Seed { data, clock, lines };
    let names: Vec<String> =
        ["app-linux", "app-macos", "docs", "fuzz-nightly"].iter().map(|n| (*n).to_string()).collect();
    let ids = seed.configure(&names).await;
    let workers = [1, 2];
    for n in 0..6 {
        let change = seed.change(n).await;
        seed.later(5);
        let results = if n == 3 { Warnings } else { Success };
        seed.build(ids[0], &change, workers[0], Fate::Ends(results), 140 + 20 * n as i64).await;
        let results = if n >= 3 { Failure } else { Success };
        seed.build(ids[1], &change, workers[1], Fate::Ends(results), 300 - 10 * n as i64).await;
        seed.build(ids[2], &change, workers[0], Fate::Ends(Success), 60).await;
        seed.later(1800);
    }
    let change = seed.change(9).await;
    seed.build(ids[0], &change, workers[0], Fate::Runs, 200).await;
    seed.build(ids[2], &change, workers[1], Fate::Runs, 60).await;
    seed.request(ids[3], &change, "The Nightly scheduler named 'night' triggered this build").await;
    seed.request(ids[1], &change, "The AnyBranchScheduler named 'commits' triggered this build").await;
    data.flush().await.unwrap();
    seed.later(47);
    ids
}

/// Many builders with three builds each.
pub async fn many(data: &Data, clock: &Arc<TestClock>, count: usize) -> Vec<Id> {
    let seed = Seed { data, clock, lines: 30 };
    let names: Vec<String> =
        (0..count).map(|n| format!("{}-{n:03}", ["core", "gui", "net", "tools"][n % 4])).collect();
    let ids = seed.configure(&names).await;
    for round in 0..3 {
        let change = seed.change(round).await;
        for (n, id) in ids.iter().enumerate() {
            let broken = n % 23 == 7 && round > 0;
            let results = if broken { Results::Failure } else { Results::Success };
            seed.build(*id, &change, 1 + (n % 2) as Id, Fate::Ends(results), 20).await;
        }
    }
    data.flush().await.unwrap();
    ids
}
