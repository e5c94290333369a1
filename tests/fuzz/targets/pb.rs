//! A whole PB connection: everything that a worker or a client could send, from the first byte on, in pieces.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lunabot_proto::master::{Call, Heard, MasterProtocol};
use lunabot_proto::pb::{Door, PbClient, PbMaster, PbTry, Status, TryAnswer, TryNews, TryQuestion};
use lunabot_proto::{Command, Dict};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let mut pieces = bytes.chunks(usize::from(piece) * 16 + 1);
    let mut door = Door::new([7; 16]);
    let knock = loop {
        let Some(piece) = pieces.next() else { return };
        door.feed(piece);
        match door.knock() {
            Ok(Some(knock)) => break knock,
            Ok(None) => drop(door.output()),
            Err(_) => return,
        }
    };
    let _ = knock.proof.fits("secret");
    match knock.mind {
        Some(mind) => worker(door.worker(&knock, mind), pieces),
        None if piece % 2 == 0 => client(door.client(&knock), pieces),
        None => tries(door.tries(&knock), pieces),
    }
});

fn worker<'a>(mut master: PbMaster, pieces: impl Iterator<Item = &'a [u8]>) {
    master.welcome();
    for call in [
        Call::Print("attached".into()),
        Call::Info,
        Call::Builders(vec![("b".into(), "b".into())]),
        Call::StartBuild("b".into()),
        Call::Start { builder: Some("b".into()), command: Command::new("1", "shell", Dict::new()) },
    ] {
        let _ = master.call(call);
    }
    for piece in pieces {
        let Ok(all) = master.receive(Bytes::copy_from_slice(piece)) else { return };
        for heard in all {
            match heard {
                Heard::Updates { token, .. } | Heard::Complete { token, .. } | Heard::Transfer { token, .. } => {
                    master.answer(token, Ok(Bytes::from_static(b"data")));
                }
                Heard::WantsToStop { token } => master.answer(token, Err("no".into())),
                Heard::Answered { .. } => {
                    let builder = Some("b".into());
                    let _ = master.call(Call::Interrupt { builder, command: "1".into(), why: "why".into() });
                }
            }
        }
        let _ = master.output();
    }
}

fn client<'a>(mut client: PbClient, pieces: impl Iterator<Item = &'a [u8]>) {
    for piece in pieces {
        client.feed(piece);
        while let Ok(Some(reported)) = client.reported() {
            client.answer(reported.request, Ok(()));
        }
        let _ = client.output();
    }
}

fn tries<'a>(mut client: PbTry, pieces: impl Iterator<Item = &'a [u8]>) {
    for piece in pieces {
        client.feed(piece);
        while let Ok(Some(asked)) = client.asked() {
            let answer = match asked.what {
                TryQuestion::BuilderNames => TryAnswer::Names(vec!["b".into()]),
                TryQuestion::Try(_) => TryAnswer::Status(Status::Buildset(1)),
                TryQuestion::Requests(_) => TryAnswer::Requests(vec![("b".into(), 1)]),
                TryQuestion::FollowRequest { observer, .. } => {
                    let _ = client.tell(observer, TryNews::Build { build: Status::Build(1), builder: "b".into() });
                    TryAnswer::Nothing
                }
                TryQuestion::FollowBuild { .. } | TryQuestion::Leave(_) => TryAnswer::Nothing,
                TryQuestion::WaitForBuild(build) => TryAnswer::Status(build),
                TryQuestion::Results(_) => TryAnswer::Results(0),
                TryQuestion::Text(_) => TryAnswer::Text("done".into()),
            };
            client.answer(asked.call, Ok(answer));
        }
        let _ = client.output();
    }
}
