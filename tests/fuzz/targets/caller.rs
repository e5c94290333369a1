//! What a master could say to `sendchange` and `try`, in pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lunabot_proto::pb::{Errand, PbCaller};
use lunabot_proto::{Dict, TryJob};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (errand, piece, bytes) = input;
    let errand = match errand % 3 {
        0 => Errand::Change(Dict::new().with("who", "ann")),
        1 => Errand::BuilderNames,
        _ => Errand::Try { job: Box::new(TryJob::default()), follow: true },
    };
    let mut caller = PbCaller::new("ann", "secret", errand);
    for piece in bytes.chunks(usize::from(piece) * 16 + 1) {
        caller.feed(piece);
        loop {
            match caller.told() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let _ = caller.output();
    }
});
