//! Files in the folder of a Try_Jobdir. One that is read is written and read again, and is the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lunabot_proto::try_job::{read, write};

fuzz_target!(|bytes: &[u8]| {
    let Ok(job) = read(bytes) else { return };
    let again = read(&write(&job)).expect("what was written can be read");
    assert_eq!(format!("{again:?}"), format!("{job:?}"));
});
