//! Updates as both wires write them: a key and a value (reference row 08.035).

use crate::{FailureReason, Stat, Update, Value};

/// Reads one update. A value of an unexpected shape is kept under its key: nothing is lost without a trace.
pub(crate) fn read(key: String, value: Value) -> Update {
    let known = match key.as_str() {
        "stdout" => text(&value).map(Update::Stdout),
        "stderr" => text(&value).map(Update::Stderr),
        "header" => text(&value).map(Update::Header),
        "log" => log(&value),
        "rc" => value.as_i64().map(Update::Rc),
        "elapsed" => value.as_f64().map(Update::Elapsed),
        "failure_reason" => value.as_str().and_then(FailureReason::from_wire).map(Update::FailureReason),
        "stat" => stat(&value).map(Update::Stat),
        "files" => files(&value).map(Update::Files),
        _ => None,
    };
    known.unwrap_or(Update::Other { key, value })
}

/// Text alone, or with the offsets and times of its lines, which are hints at most.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.clone()),
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => value.as_items()?.first()?.as_str().map(str::to_owned),
    }
}

fn log(value: &Value) -> Option<Update> {
    let [name, content] = value.as_items()? else { return None };
    Some(Update::Log { name: name.as_str()?.to_owned(), text: text(content)? })
}

fn files(value: &Value) -> Option<Vec<String>> {
    value.as_items()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

fn stat(value: &Value) -> Option<Stat> {
    let numbers: Option<Vec<i128>> = value.as_items()?.iter().map(integer).collect();
    let [mode, ino, dev, nlink, uid, gid, size, atime, mtime, ctime] = numbers?.try_into().ok()?;
    Some(Stat {
        mode: u32::try_from(mode).ok()?,
        ino: u64::try_from(ino).ok()?,
        dev: u64::try_from(dev).ok()?,
        nlink: u64::try_from(nlink).ok()?,
        uid: u32::try_from(uid).ok()?,
        gid: u32::try_from(gid).ok()?,
        size: u64::try_from(size).ok()?,
        atime: i64::try_from(atime).ok()?,
        mtime: i64::try_from(mtime).ok()?,
        ctime: i64::try_from(ctime).ok()?,
    })
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}
