//! The msgpack protocol: messages of a worker, each with its length in front; the header of its login.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lunabot_proto::master::{Call, Heard, MasterProtocol};
use lunabot_proto::msgpack::{Credentials, MsgpackMaster, decode, encode};
use lunabot_proto::{Command, Dict};

fuzz_target!(|bytes: &[u8]| {
    let _ = Credentials::read(Some(bytes));
    let mut master = MsgpackMaster::new();
    for call in [
        Call::Info,
        Call::Settings,
        Call::Start { builder: None, command: Command::new("1", "uploadFile", Dict::new()) },
    ] {
        let _ = master.call(call);
    }
    let mut rest = bytes;
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let (message, more) = more.split_at(more.len().min(usize::from(u16::from_be_bytes(*length))));
        rest = more;
        let message = Bytes::copy_from_slice(message);
        again(&message);
        let Ok(all) = master.receive(message) else { return };
        for heard in all {
            match heard {
                Heard::Updates { token, .. } | Heard::Complete { token, .. } | Heard::WantsToStop { token } => {
                    master.answer(token, Ok(Bytes::new()));
                }
                Heard::Transfer { token, .. } => master.answer(token, Ok(Bytes::from_static(b"data"))),
                Heard::Answered { .. } => {}
            }
        }
        let _ = master.output();
    }
});

/// A value that was read is written and read again, and is the same.
fn again(message: &Bytes) {
    let Ok(value) = decode(message) else { return };
    let mut out = Vec::new();
    encode(&value, &mut out);
    let read = decode(&Bytes::from(out)).expect("what was written can be read");
    assert_eq!(format!("{read:?}"), format!("{value:?}"));
}
