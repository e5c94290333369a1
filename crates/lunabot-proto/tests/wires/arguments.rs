//! The same steps recorded over both protocols: what a step gives a PB worker, made into what a msgpack worker takes.

use crate::banana::trees;
use crate::recorded::{self, From, frames};
use bytes::Bytes;
use lunabot_proto::master::{Call, MasterProtocol};
use lunabot_proto::msgpack::{Message, MsgpackMaster};
use lunabot_proto::pb::{Jelly, Sexp};
use lunabot_proto::{Command, Dict, Value, WorkerInfo, names};

/// The commands of a recorded PB connection, as a step makes them.
fn pb_commands(scenario: &str) -> Vec<(String, Dict)> {
    let mut commands = Vec::new();
    for tree in trees(&recorded::bytes(&format!("pb-{scenario}"), From::Master), 1 << 20) {
        let Some([_, _, _, method, _, args, _]) = tree.as_list() else { continue };
        if *method != Sexp::word("startCommand") {
            continue;
        }
        let Jelly::Tuple(args) = Jelly::read(args).unwrap() else { panic!("a tuple") };
        let Value::Dict(options) = args[3].clone().plain() else { panic!("a dict") };
        let options = options.into_iter().filter(|(key, _)| key != "writer" && key != "reader").collect();
        commands.push((args[2].text().unwrap(), options));
    }
    commands
}

/// Those of a recorded msgpack connection that belong to a build.
fn msgpack_commands(scenario: &str) -> Vec<(String, Dict)> {
    let started = |frame: Vec<u8>| match Message::decode(&Bytes::from(frame)).unwrap().unwrap() {
        Message::Request { op, mut fields, .. }
            if op == "start_command" && fields.get("builder_name").is_some() =>
        {
            let (Some(Value::Str(name)), Some(Value::Dict(args))) =
                (fields.remove("command_name"), fields.remove("args"))
            else {
                panic!("a name and arguments")
            };
            Some((name, args))
        }
        _ => None,
    };
    frames(&format!("mp-{scenario}"), From::Master).into_iter().filter_map(started).collect()
}

/// A machine that knows where its worker's things are.
fn machine(scenario: &str) -> MsgpackMaster {
    let mut machine = MsgpackMaster::new();
    machine.call(Call::Info).unwrap();
    let info = WorkerInfo {
        system: "posix".into(),
        basedir: format!("/srv/w/mp-{scenario}"),
        environ: vec![("HOME".into(), "/srv/home".into())],
        ..WorkerInfo::default()
    };
    let answer = Message::Response { seq: 0, result: Ok(Value::Dict(info.to_dict())) };
    machine.receive(answer.encode()).unwrap();
    machine.output();
    machine
}

fn rewritten(machine: &mut MsgpackMaster, name: &str, args: Dict) -> (String, Dict) {
    let command = Command::new("1", name, args).in_builddir("bdir");
    machine.call(Call::Start { builder: Some("b".into()), command }).unwrap();
    let said = machine.output();
    let Message::Request { mut fields, .. } = Message::decode(&said[0]).unwrap().unwrap() else {
        panic!("a request")
    };
    let (Some(Value::Str(name)), Some(Value::Dict(args))) =
        (fields.remove("command_name"), fields.remove("args"))
    else {
        panic!("a name and arguments")
    };
    (name, args)
}

fn sorted(args: Dict) -> Vec<(String, Value)> {
    let mut pairs: Vec<_> = args.into_iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

/// Paths in the recordings name the scenario.
fn renamed(args: Dict, scenario: &str) -> Dict {
    let rename = |value: Value| match value {
        Value::Str(text) => {
            Value::Str(text.replace(&format!("/srv/w/pb-{scenario}"), &format!("/srv/w/mp-{scenario}")))
        }
        other => other,
    };
    args.into_iter().map(|(key, value)| (key, rename(value))).collect()
}

#[test]
fn row_08_036_the_same_step_gives_the_recorded_arguments() {
    let mut compared = 0;
    for scenario in ["shell", "long", "timeout", "interrupt", "transfer", "fs", "logfile", "badname"] {
        let (pb, msgpack) = (pb_commands(scenario), msgpack_commands(scenario));
        assert_eq!(pb.len(), msgpack.len(), "{scenario}");
        let mut machine = machine(scenario);
        for ((name, args), (wanted_name, wanted)) in pb.into_iter().zip(msgpack) {
            let (name, args) = rewritten(&mut machine, &name, renamed(args, scenario));
            assert_eq!((name.as_str(), sorted(args)), (wanted_name.as_str(), sorted(wanted)), "{scenario}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn an_obfuscated_word_is_sent_as_it_is() {
    let words =
        vec![Value::from("login"), Value::Tuple(vec!["obfuscated".into(), "s3cret".into(), "XXXX".into()])];
    let args =
        Dict::new().with("workdir", "build").with("command", Value::List(words)).with("usePTY", Value::None);
    let (_, args) =
        rewritten(&mut machine("shell"), names::SHELL, args.with("timeout", 1200.0).with("maxTime", 0.5));
    assert_eq!(args.get("command"), Some(&Value::from(vec!["login", "s3cret"])));
    assert_eq!(args.get("usePTY"), Some(&Value::Bool(false)));
    assert_eq!(
        (args.get("timeout"), args.get("maxTime")),
        (Some(&Value::Int(1200)), Some(&Value::Float(0.5)))
    );
}

#[test]
fn a_home_directory_is_expanded_where_workers_over_pb_would() {
    let mut machine = machine("fs");
    let upload = Dict::new().with("workdir", "build").with("workersrc", "~/a").with("blocksize", 10_000_000);
    let (name, args) = rewritten(&mut machine, names::UPLOAD_FILE, upload);
    assert_eq!((name.as_str(), args.get("path")), ("upload_file", Some(&"/srv/home/a".into())));
    assert_eq!(
        args.get("blocksize"),
        Some(&Value::Int(640 * 1024)),
        "no block that a PB connection would refuse"
    );
    let (_, args) = rewritten(&mut machine, names::RMFILE, Dict::new().with("path", "~/b"));
    assert_eq!(args.get("path"), Some(&"/srv/home/b".into()));
    let (_, args) = rewritten(&mut machine, names::RMDIR, Dict::new().with("dir", vec!["x", "/abs"]));
    assert_eq!(args.get("paths"), Some(&vec!["/srv/w/mp-fs/bdir/x", "/abs"].into()));
}
