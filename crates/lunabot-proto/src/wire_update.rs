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

/// Writes one update as msgpack has it: text with the offsets of its line ends, in characters, and the Unix time of each.
pub(crate) fn write(update: Update, now: f64) -> (String, Value) {
    let key = update.key().to_owned();
    let value = match update {
        Update::Header(text) | Update::Stdout(text) | Update::Stderr(text) => lines(text, now),
        Update::Log { name, text } => Value::List(vec![name.into(), lines(text, now)]),
        Update::Rc(rc) => rc.into(),
        Update::Elapsed(seconds) => seconds.into(),
        Update::FailureReason(reason) => reason.as_str().into(),
        Update::Stat(stat) => numbers(stat).into(),
        Update::Files(files) => files.into(),
        Update::Other { value, .. } => value,
    };
    (key, value)
}

fn lines(text: String, now: f64) -> Value {
    let ends = text.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(at, _)| Value::from(at));
    let ends: Vec<Value> = ends.collect();
    let times = vec![Value::Float(now); ends.len()];
    Value::List(vec![text.into(), Value::List(ends), Value::List(times)])
}

fn numbers(stat: Stat) -> Vec<i128> {
    let Stat { mode, ino, dev, nlink, uid, gid, size, atime, mtime, ctime } = stat;
    let unsigned = [mode.into(), ino, dev, nlink, uid.into(), gid.into(), size].map(i128::from);
    unsigned.into_iter().chain([atime, mtime, ctime].map(i128::from)).collect()
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
