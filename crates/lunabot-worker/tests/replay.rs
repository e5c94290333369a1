//! Recorded traffic of the reference worker 4.3, command by command: what this worker makes of the same
//! commands must be the same, but for numbers that differ from run to run.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lunabot_proto::{Command, Dict, Stat, Transfer, Update, Value};
use serde_json::Value as Json;
use std::{collections::HashMap, fmt::Write};
use support::{Bench, Told};

/// Commands of the recordings that end differently here on purpose; each has a test of its own.
const DIFFERENT: &[(&str, &str)] = &[
    ("shell", "101"),    // the message about a missing program
    ("failure", "2"),    // refused, as recorded, without any update
    ("failure", "4"),    // refused
    ("failure", "6"),    // wording of a failure
    ("failure", "8"),    // wording of a failure
    ("failure", "14"),   // an obfuscated word stays hidden
    ("long", "89"),      // text of long lines is lost there, not here
    ("timeout", "106"),  // whether it ends before it is killed is chance
    ("logfile", "155"),  // text of followed files is lost there, not here
    ("transfer", "105"), // a defect of the recorded master
    ("transfer", "115"), // wording of an error of the system
    ("transfer", "122"), // downloads are empty: a defect of the recorded master
    ("transfer", "123"),
    ("transfer", "124"),
    ("transfer", "126"),
    ("transfer", "127"),
];

#[tokio::test(flavor = "multi_thread")]
async fn shell() {
    replay("shell").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fs() {
    replay("fs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout() {
    replay("timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupt() {
    replay("interrupt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logfile() {
    replay("logfile").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer() {
    replay("transfer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failure() {
    replay("failure").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long() {
    replay("long").await;
}

#[derive(Default)]
struct Recorded {
    name: String,
    args: Dict,
    interrupted: bool,
    told: Told,
    /// Texts too long for the recording are given by length and digest only: not compared.
    cut: bool,
}

async fn replay(scenario: &str) {
    let bench = Bench::new();
    let base = bench.core.basedir().to_str().unwrap().to_owned();
    let path = format!("{}/tests/vectors/{scenario}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap().replace(&format!("/srv/w/mp-{scenario}"), &base);
    let mut compared = 0;
    for (id, recorded) in commands(&serde_json::from_str(&text).unwrap()) {
        let command = Command::new(&id, recorded.name.as_str(), recorded.args);
        let started = bench.core.start(command, bench.master.clone());
        if started.is_ok() {
            if recorded.interrupted {
                bench.master.wait_for(&id, |told| told.text("stdout").contains("started\n")).await;
                bench.core.interrupt(&id, "no longer needed");
            }
            let told = bench.ended(&id).await;
            // The first listing shows files of the recorded worker itself.
            let listing = recorded.name == "listdir" && compared == 0;
            let different = DIFFERENT.contains(&(scenario, id.as_str()));
            if !(different || recorded.cut || listing) {
                assert_eq!(story(&told), story(&recorded.told), "{scenario}: command {id}");
            }
        } else {
            assert!(DIFFERENT.contains(&(scenario, id.as_str())), "{scenario} {id}: {started:?}");
        }
        compared += 1;
    }
    assert!(compared > 2, "{compared}");
}

fn commands(messages: &Json) -> Vec<(String, Recorded)> {
    let mut order = Vec::new();
    let mut all: HashMap<String, Recorded> = HashMap::new();
    for message in messages.as_array().unwrap() {
        let id = message["command_id"].as_str().unwrap().to_owned();
        if message["op"] == "start_command" {
            order.push(id.clone());
        }
        let recorded = all.entry(id).or_default();
        match message["op"].as_str().unwrap() {
            "start_command" => {
                recorded.name = message["command_name"].as_str().unwrap().to_owned();
                let Value::Dict(args) = value(&message["args"]) else { panic!("arguments: {message}") };
                recorded.args = args;
            }
            "interrupt_command" => recorded.interrupted = true,
            "update" => {
                recorded.cut |= message.to_string().contains("\"$cut\"");
                recorded.told.updates.extend(message["args"].as_array().unwrap().iter().map(update));
            }
            "complete" => recorded.told.completed = Some(message["args"].as_str().map(str::to_owned)),
            op => recorded.told.transfers.push(request(op, message)),
        }
    }
    order.into_iter().map(|id| (id.clone(), all.remove(&id).unwrap())).collect()
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(b) => (*b).into(),
        Json::Number(n) => n.as_i64().map_or_else(|| n.as_f64().unwrap().into(), Value::from),
        Json::String(s) => s.as_str().into(),
        Json::Array(items) => Value::List(items.iter().map(value).collect()),
        Json::Object(pairs) => match pairs.get("$bin") {
            Some(Json::String(text)) => Value::Bytes(text.clone().into_bytes().into()),
            _ => Value::Dict(pairs.iter().map(|(k, v)| (k.clone(), value(v))).collect()),
        },
    }
}

fn update(pair: &Json) -> Update {
    let text = |json: &Json| json[0].as_str().unwrap_or_default().to_owned();
    let payload = &pair[1];
    match pair[0].as_str().unwrap() {
        "header" => Update::Header(text(payload)),
        "stdout" => Update::Stdout(text(payload)),
        "stderr" => Update::Stderr(text(payload)),
        "log" => Update::Log { name: payload[0].as_str().unwrap().into(), text: text(&payload[1]) },
        "rc" => Update::Rc(payload.as_i64().unwrap()),
        "elapsed" => Update::Elapsed(payload.as_f64().unwrap()),
        "failure_reason" => {
            Update::FailureReason(lunabot_proto::FailureReason::from_wire(payload.as_str().unwrap()).unwrap())
        }
        "stat" => {
            Update::Stat(Stat { mode: payload[0].as_u64().unwrap().try_into().unwrap(), ..Stat::default() })
        }
        "files" => Update::Files(
            payload.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        ),
        key => panic!("unknown key {key}"),
    }
}

fn request(op: &str, message: &Json) -> Transfer {
    // Blocks are compared by number; the recording abridges long ones.
    let block = || bytes::Bytes::from(message["args"]["$bin"].as_str().unwrap_or_default().to_owned());
    match op {
        "update_upload_file_write" => Transfer::Write(block()),
        "update_upload_file_close" => Transfer::Close,
        "update_upload_file_utime" => Transfer::Utime { accessed: 0.0, modified: 0.0 },
        "update_upload_directory_write" => Transfer::WriteDirectory(block()),
        "update_upload_directory_unpack" => Transfer::Unpack,
        "update_read_file" => Transfer::Read { length: 0 },
        "update_read_file_close" => Transfer::CloseRead,
        op => panic!("unknown operation {op}"),
    }
}

/// What happened, as text: stdout and stderr apart (their order is chance), everything else in order, what
/// differs from run to run masked.
fn story(told: &Told) -> String {
    let mut story = String::new();
    let mut after_rc = false;
    for update in &told.updates {
        match update {
            Update::Stdout(_) | Update::Stderr(_) if !after_rc => {}
            Update::Stdout(text) | Update::Stderr(text) => {
                _ = writeln!(story, "tail {}: {text}", update.key());
            }
            Update::Header(text) => story.push_str(&masked(text)),
            Update::Log { name, text } => _ = writeln!(story, "log {name}: {text}"),
            Update::Rc(rc) => {
                after_rc = true;
                _ = writeln!(story, "rc {rc}");
            }
            Update::Elapsed(_) => story.push_str("elapsed\n"),
            Update::FailureReason(reason) => _ = writeln!(story, "{}", reason.as_str()),
            Update::Stat(stat) => _ = writeln!(story, "stat {:o}", stat.mode),
            Update::Files(_) => _ = writeln!(story, "files {:?}", told.files()),
            Update::Other { key, value } => _ = writeln!(story, "{key} {value:?}"),
        }
    }
    let mut head = Told { updates: told.updates.clone(), ..Told::default() };
    head.updates.truncate(told.updates.iter().position(|u| u.key() == "rc").unwrap_or(usize::MAX));
    for key in ["stdout", "stderr"] {
        _ = writeln!(story, "{key}: {}", settled(&masked(&head.text(key))));
    }
    let requests = told.transfers.iter().map(|t| format!("{t:?}"));
    let names: Vec<_> = requests.map(|t| t.split(['(', ' ']).next().unwrap_or_default().to_owned()).collect();
    _ = writeln!(story, "transfers {names:?}\nfailed {}", told.failure().is_some());
    story
}

/// Lines whose order or number is chance: files that `cp` names, rounds of a loop until its limit, what a shell
/// says of a child that was killed.
fn settled(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().filter(|line| *line != "Terminated").collect();
    lines.dedup();
    if text.contains("' -> '") {
        lines.sort_unstable();
    }
    lines.join("\n")
}

/// Without times, and with the number of the terminal fixed.
fn masked(text: &str) -> String {
    let line = |line: &str| match line.split_once("elapsedTime=") {
        Some((before, _)) => format!("{before}elapsedTime=…\n"),
        None => line.to_owned(),
    };
    let text: String = text.split_inclusive('\n').map(line).collect();
    match text.split_once("/dev/pts/") {
        Some((before, after)) => {
            format!("{before}/dev/pts/N{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => text,
    }
}
