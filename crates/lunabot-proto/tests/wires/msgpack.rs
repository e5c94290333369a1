//! Whole recorded msgpack connections, and the codec against another one.

use crate::recorded::{self, From, frames};
use bytes::Bytes;
use lunabot_proto::master::{Answer, Call, Heard, MasterProtocol, Token};
use lunabot_proto::msgpack::{Message, MsgpackMaster, decode, encode};
use lunabot_proto::{Command, Dict, Update, Value};
use std::collections::HashMap;

fn message(frame: &[u8]) -> Message {
    Message::decode(&Bytes::copy_from_slice(frame)).unwrap().unwrap()
}

#[test]
fn every_recorded_message_is_read_and_written_back() {
    let mut read = 0;
    for name in recorded::all("mp-") {
        for side in [From::Worker, From::Master] {
            for frame in frames(&name, side) {
                let value = decode(&Bytes::from(frame.clone())).unwrap();
                let mut out = Vec::new();
                encode(&value, &mut out);
                // The other master did not write numbers in their shortest form.
                let same = out == frame || (name == "mp-independent-master" && side == From::Master);
                assert!(same, "{name}: other bytes for {value:?}");
                let theirs = rmpv::decode::read_value(&mut &frame[..]).unwrap();
                assert_eq!(theirs.as_map().map(Vec::len), value.as_dict().map(Dict::len), "{name}");
                message(&frame);
                read += 1;
            }
        }
    }
    assert!(read > 500, "{read}");
}

/// Feeds the worker's words and makes the machine say the master's, in the recorded order.
fn replay(name: &str) -> Vec<Heard> {
    let mut sides = HashMap::new();
    for side in [From::Worker, From::Master] {
        let mut all = frames(name, side);
        all.reverse();
        sides.insert(side == From::Worker, all);
    }
    let mut machine = MsgpackMaster::new();
    let mut tokens: HashMap<i64, Token> = HashMap::new();
    let mut all = Vec::new();
    let order = recorded::decoded(name).into_iter().filter(|(_, m)| m["kind"] == "frame" && m["opcode"] == 2);
    for (side, _) in order {
        let frame = sides.get_mut(&(side == From::Worker)).unwrap().pop().unwrap();
        if side == From::Worker {
            let heard = machine.receive(Bytes::copy_from_slice(&frame)).unwrap();
            if let (Message::Request { seq, .. }, [heard]) = (message(&frame), heard.as_slice()) {
                let (Heard::Updates { token, .. }
                | Heard::Complete { token, .. }
                | Heard::Transfer { token, .. }) = heard
                else {
                    panic!("{heard:?}")
                };
                tokens.insert(seq, *token);
            }
            all.extend(heard);
            continue;
        }
        let wanted = message(&frame);
        let compared = say(&mut machine, &mut tokens, &wanted);
        let said: Vec<Message> = machine.output().iter().map(|bytes| message(bytes)).collect();
        if compared {
            assert_eq!(said, [wanted], "{name}");
        }
    }
    all
}

/// False: what was said need not be the same.
fn say(machine: &mut MsgpackMaster, tokens: &mut HashMap<i64, Token>, wanted: &Message) -> bool {
    let (op, fields) = match wanted {
        Message::Response { seq, result } => {
            let result = result.clone().map(|value| match value {
                Value::Bytes(data) => data,
                _ => Bytes::new(),
            });
            // The recorded master answers reads with nothing: a defect.
            let reads = matches!(result, Ok(ref data) if data.is_empty());
            let token = tokens.remove(seq).unwrap();
            let is_read = format!("{token:?}").contains("Data");
            machine.answer(token, result);
            return !(reads && is_read);
        }
        Message::Request { op, fields, .. } => (op.as_str(), fields),
    };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let call = match op {
        "print" => Call::Print(text("message").unwrap()),
        "keepalive" => Call::Keepalive,
        "get_worker_info" => Call::Info,
        "set_worker_settings" => Call::Settings,
        "start_command" => {
            let args = fields.get("args").and_then(Value::as_dict).unwrap().clone();
            let command = Command::new(text("command_id").unwrap(), text("command_name").unwrap(), args);
            Call::Start { builder: text("builder_name"), command }
        }
        "interrupt_command" => Call::Interrupt {
            builder: text("builder_name"),
            command: text("command_id").unwrap(),
            why: text("why").unwrap(),
        },
        "shutdown" => Call::Shutdown,
        other => panic!("{other}"),
    };
    machine.call(call).unwrap();
    // Our settings are others, on purpose.
    op != "set_worker_settings"
}

#[test]
fn row_08_032_every_recorded_connection_is_spoken_again() {
    for name in recorded::all("mp-") {
        // A missing usePTY is mended on the way.
        if name == "mp-failure" {
            continue;
        }
        let heard = replay(&name);
        let described = heard.iter().any(|heard| matches!(heard, Heard::Answered { result: Ok(Answer::Info(info)), .. } if info.version == "4.3.0"));
        let unanswered = [
            "mp-badenv",
            "mp-noauth",
            "mp-badauth",
            "mp-badbasic",
            "mp-wrong-password",
            "mp-unknown-worker",
            "mp-dup-second",
        ];
        assert_eq!(described, !unanswered.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn row_08_035_text_comes_without_its_offsets() {
    let updates: Vec<Update> = replay("mp-shell")
        .into_iter()
        .filter_map(|heard| match heard {
            Heard::Updates { updates, .. } => Some(updates),
            _ => None,
        })
        .flatten()
        .collect();
    assert!(updates.contains(&Update::Stdout("héllo 世界 😀\n".into())), "{updates:?}");
    assert!(!updates.iter().any(|update| matches!(update, Update::Other { .. })), "{updates:?}");
}

#[test]
fn row_08_031_a_wrong_answer_or_no_message_ends_the_connection_and_odd_ones_do_not() {
    let mut machine = MsgpackMaster::new();
    let encoded = |message: Message| message.encode();
    assert!(machine.receive(encoded(Message::Response { seq: 5, result: Ok(Value::None) })).is_err());
    assert!(machine.receive(Bytes::from_static(&[0xc1])).is_err());
    assert_eq!(machine.receive(Bytes::from_static(&[0x80])).unwrap(), [], "without op and number");
    // 08.037.
    let request = Message::Request { seq: 3, op: "explode".into(), fields: Dict::new() };
    assert_eq!(machine.receive(encoded(request)).unwrap(), []);
    let answer = message(&machine.output()[0]);
    assert_eq!(answer, Message::Response { seq: 3, result: Err("Command explode does not exist.".into()) });
}

#[test]
fn downloads_are_answered_with_bytes() {
    let mut machine = MsgpackMaster::new();
    let fields = Dict::new().with("command_id", "7").with("length", 4);
    let request = Message::Request { seq: 0, op: "update_read_file".into(), fields };
    let heard = machine.receive(request.encode()).unwrap();
    let [Heard::Transfer { token, .. }] = heard.as_slice() else { panic!("{heard:?}") };
    machine.answer(*token, Ok(Bytes::from_static(b"\xff\x00")));
    let answer = message(&machine.output()[0]);
    assert_eq!(answer, Message::Response { seq: 0, result: Ok(Bytes::from_static(b"\xff\x00").into()) });
}
