//! The worker's end of msgpack: recorded connections, and what a master must not be able to do to it.

use crate::recorded::{self, From, frames};
use bytes::Bytes;
use lunabot_proto::master::{Call, Heard, MasterProtocol};
use lunabot_proto::msgpack::{Answer, Message, MsgpackMaster, MsgpackWorker, Order, Told};
use lunabot_proto::{Command, Dict, Transfer, Update, Value, WorkerInfo};

/// The time of every line.
const NOW: f64 = 1_700_000_000.5;

fn message(frame: &[u8]) -> Message {
    Message::decode(&Bytes::copy_from_slice(frame)).unwrap().unwrap()
}

/// What a worker's frame says, read by the master's end.
fn heard(frame: &[u8]) -> Heard {
    let mut heard = MsgpackMaster::new().receive(Bytes::copy_from_slice(frame)).unwrap();
    assert_eq!(heard.len(), 1, "{frame:?}");
    heard.remove(0)
}

/// Makes the machine say what the frame says.
fn say(machine: &mut MsgpackWorker, frame: &[u8]) {
    match message(frame) {
        Message::Response { seq, result: Ok(Value::Dict(info)) } => {
            machine.describe(seq, &WorkerInfo::from_dict(info).unwrap());
        }
        Message::Response { seq, result } => machine.answer(seq, result.map(|_| ())),
        Message::Request { .. } => match heard(frame) {
            Heard::Updates { command, updates, .. } => assert!(machine.update(&command, updates, NOW)),
            Heard::Complete { command, failure, .. } => machine.complete(&command, failure),
            Heard::Transfer { command, request, .. } => drop(machine.transfer(&command, request)),
            other => panic!("{other:?}"),
        },
    }
}

/// Without what may differ: the times of lines, the order of a description's keys.
fn settled(message: Message) -> Message {
    match message {
        Message::Request { seq, op, fields } if op == "update" => {
            let settle = |(key, value): (String, Value)| {
                (key.clone(), if key == "args" { timeless(value) } else { value })
            };
            Message::Request { seq, op, fields: fields.into_iter().map(settle).collect() }
        }
        Message::Response { seq, result: Ok(Value::Dict(mut info)) } => {
            // The other worker says 0 for false.
            let deletes = info.get("delete_leftover_dirs").is_some_and(Value::is_truthy);
            info.insert("delete_leftover_dirs", deletes);
            let mut pairs: Vec<_> = info.into_iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Message::Response { seq, result: Ok(Value::Dict(pairs.into_iter().collect())) }
        }
        other => other,
    }
}

/// Every list of a text's times becomes the same.
fn timeless(value: Value) -> Value {
    match value {
        Value::List(items) => match items.as_slice() {
            [Value::Str(text), ends @ Value::List(_), Value::List(times)] => {
                let times = vec![Value::Float(NOW); times.len()];
                Value::List(vec![text.as_str().into(), ends.clone(), Value::List(times)])
            }
            _ => Value::List(items.into_iter().map(timeless).collect()),
        },
        other => other,
    }
}

#[test]
fn row_08_034_the_worker_of_every_recorded_connection_is_spoken_again() {
    let (mut said, mut ordered) = (0, 0);
    for name in recorded::all("mp-") {
        // There the worker lost text of long lines, and its line ends fit no text.
        let exact = name != "mp-long";
        let mut sides = [frames(&name, From::Worker).into_iter(), frames(&name, From::Master).into_iter()];
        let mut machine = MsgpackWorker::new();
        let order =
            recorded::decoded(&name).into_iter().filter(|(_, m)| m["kind"] == "frame" && m["opcode"] == 2);
        for (side, _) in order {
            let frame = sides[usize::from(side == From::Master)].next().unwrap();
            if side == From::Master {
                let told = machine.receive(&Bytes::from(frame)).unwrap();
                ordered += usize::from(matches!(told, Some(Told::Ordered { .. })));
                continue;
            }
            say(&mut machine, &frame);
            let spoken: Vec<Message> = machine.output().iter().map(|bytes| settled(message(bytes))).collect();
            if exact {
                assert_eq!(spoken, [settled(message(&frame))], "{name}");
            }
            said += 1;
        }
    }
    assert!(said > 250 && ordered > 100, "{said} {ordered}");
}

/// What the worker hears when the master calls.
fn called(call: Call) -> Order {
    let mut master = MsgpackMaster::new();
    master.call(call).unwrap();
    let output = master.output();
    match MsgpackWorker::new().receive(&output[0]).unwrap() {
        Some(Told::Ordered { request: 0, order }) => order,
        other => panic!("{other:?}"),
    }
}

#[test]
fn row_08_032_every_call_of_our_master_is_heard() {
    assert_eq!(called(Call::Print("hi".into())), Order::Print("hi".into()));
    assert_eq!(called(Call::Keepalive), Order::Keepalive);
    assert_eq!(called(Call::Info), Order::Info);
    assert_eq!(called(Call::Shutdown), Order::Shutdown);
    let Order::Settings(settings) = called(Call::Settings) else { panic!("settings") };
    assert_eq!((settings.buffer_size, settings.buffer_timeout), (65_536, 1.0));
    let interrupt = Call::Interrupt { builder: None, command: "7".into(), why: "enough".into() };
    assert_eq!(called(interrupt), Order::Interrupt { command: "7".into(), why: "enough".into() });
    let start = Command::new("7", "glob", Dict::new().with("path", "/a*"));
    assert_eq!(
        called(Call::Start { builder: Some("b".into()), command: start.clone() }),
        Order::Start(start)
    );
}

#[test]
fn orders_that_cannot_be_read_are_refused_and_end_nothing() {
    let some = |key: &str| Dict::new().with(key, "x");
    for (op, fields, why) in [
        ("explode", Dict::new(), "Command explode does not exist."),
        ("print", Dict::new(), "print: 'message' is missing"),
        ("print", Dict::new().with("message", 5), "print: 'message' must be text"),
        ("start_command", some("command_id"), "start_command: 'command_name' is missing"),
        (
            "start_command",
            some("command_id").with("command_name", "shell"),
            "start_command: 'args' is missing",
        ),
        ("set_worker_settings", some("args"), "set_worker_settings: 'args' must be a map"),
        (
            "set_worker_settings",
            Dict::new().with("args", Dict::new().with("max_line_length", -1)),
            "set_worker_settings: 'max_line_length' is missing or of a wrong type",
        ),
    ] {
        let mut machine = MsgpackWorker::new();
        let request = Message::Request { seq: 3, op: op.into(), fields }.encode();
        assert_eq!(machine.receive(&request).unwrap(), None, "{op}");
        let answer = message(&machine.output()[0]);
        assert_eq!(answer, Message::Response { seq: 3, result: Err(why.into()) });
    }
}

#[test]
fn garbage_and_answers_that_nobody_asked_end_the_connection() {
    let stray = Message::Response { seq: 5, result: Ok(Value::None) }.encode();
    for (bytes, why) in [
        (stray, "the master answers 5, which nobody asked"),
        (Bytes::from_static(&[0xc1]), "stands for no value"),
        (Bytes::from_static(b"\x92\x01"), "too early"),
    ] {
        let error = MsgpackWorker::new().receive(&bytes).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(MsgpackWorker::new().receive(&Bytes::from_static(&[0x80])).unwrap(), None, "no op, no number");
}

#[test]
fn row_08_029_a_read_is_answered_with_bytes_or_it_failed() {
    for (result, wanted) in [
        (Ok(Value::Bytes(Bytes::from_static(b"\xff"))), Ok(Answer::Data(Bytes::from_static(b"\xff")))),
        (Ok(Value::Bytes(Bytes::new())), Ok(Answer::Data(Bytes::new()))),
        (Ok(Value::None), Err("nothing in place of data")),
        (Ok("text".into()), Err("other than bytes")),
        (Err("gone".to_owned()), Err("gone")),
    ] {
        let mut machine = MsgpackWorker::new();
        let call = machine.transfer("7", Transfer::Read { length: 4 });
        let told = machine.receive(&Message::Response { seq: call, result }.encode()).unwrap();
        match (told, wanted) {
            (Some(Told::Answered { result: Err(error), .. }), Err(part)) => {
                assert!(error.contains(part), "{error}");
            }
            (told, Ok(data)) => assert_eq!(told, Some(Told::Answered { call, result: Ok(data) })),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn news_that_no_master_would_take_is_not_told() {
    let mut machine = MsgpackWorker::new();
    let names = vec!["x".repeat(1024); 17 * 1024];
    assert!(!machine.update("7", vec![Update::Files(names)], NOW));
    assert_eq!(machine.output(), Vec::<Bytes>::new());
    assert!(machine.update("7", vec![Update::Rc(0)], NOW));
    assert_eq!(
        heard(&machine.output()[0]),
        heard(&{
            let fields = Dict::new().with("command_id", "7");
            let args = vec![Value::List(vec!["rc".into(), 0.into()])];
            Message::Request { seq: 0, op: "update".into(), fields: fields.with("args", args) }.encode()
        })
    );
}

#[test]
fn row_08_009_a_worker_can_ask_to_be_stopped() {
    let mut machine = MsgpackWorker::new();
    machine.wants_to_stop();
    assert!(matches!(heard(&machine.output()[0]), Heard::WantsToStop { .. }));
}
