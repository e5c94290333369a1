//! Banana: bytes in pieces of any size; what was read is written and read again, and is the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lunabot_proto::pb::Sexp;
use lunabot_proto::pb::banana::{self, Decoder};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let mut decoder = Decoder::new(64 * 1024);
    for piece in bytes.chunks(usize::from(piece) + 1) {
        decoder.feed(piece);
        loop {
            match decoder.tree() {
                Ok(Some(tree)) => again(&tree),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});

fn again(tree: &Sexp) {
    let mut out = Vec::new();
    if banana::encode(tree, true, &mut out).is_err() {
        return;
    }
    let mut decoder = Decoder::new(16 * 1024 * 1024);
    decoder.feed(&out);
    let read = decoder.tree().expect("what was written can be read").expect("and is whole");
    // Not a number differs from itself.
    let mut second = Vec::new();
    banana::encode(&read, true, &mut second).expect("what was written can be written");
    assert_eq!(out, second);
}
