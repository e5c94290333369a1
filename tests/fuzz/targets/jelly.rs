//! Jelly: any tree is a value or an error; a value is written and read again, and is the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lunabot_proto::pb::banana::Decoder;
use lunabot_proto::pb::{Failure, Jelly};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new(64 * 1024);
    decoder.feed(bytes);
    while let Ok(Some(tree)) = decoder.tree() {
        let Ok(value) = Jelly::read(&tree) else { continue };
        let _ = Failure::read(&value);
        let _ = value.text();
        let written = value.write();
        let read = Jelly::read(&written).expect("what was written can be read");
        assert_eq!(format!("{:?}", read), format!("{value:?}"));
        let _ = value.plain();
    }
});
