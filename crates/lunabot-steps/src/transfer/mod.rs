//! Files between master and worker (06c, 05.050): what the transfer steps share.

mod directory_writer;
mod file_reader;
mod file_writer;
mod mode;
mod unpack;
mod upload;

pub use file_reader::FileReader;
pub use mode::FileMode;
pub use unpack::Compression;
pub use upload::{Upload, base_name, refuse, run, show_url};

use lunabot_engine::command::{Dict, Stat, Value};

/// Bytes per block of an uploaded file, where the step does not say (06.031).
pub const FILE_BLOCK: u64 = 256 * 1024;
/// The same for the other transfers.
pub const SMALL_BLOCK: u64 = 16 * 1024;

/// The arguments that all transfer commands take.
pub fn limits(args: Dict, workdir: &str, max: Option<u64>, block: u64) -> Dict {
    args.with("workdir", workdir).with("maxsize", count(max)).with("blocksize", count(Some(block)))
}

fn count(number: Option<u64>) -> Value {
    number.map_or(Value::None, |number| i64::try_from(number).unwrap_or(i64::MAX).into())
}

/// The kind of a file in its mode.
const KIND: u32 = 0o170_000;

pub fn is_directory(stat: &Stat) -> bool {
    stat.mode & KIND == 0o040_000
}

pub fn is_regular(stat: &Stat) -> bool {
    stat.mode & KIND == 0o100_000
}
