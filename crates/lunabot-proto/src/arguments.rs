//! Arguments as both wires want them, where steps may leave room.

use crate::{Command, Dict, Value, names};

/// The largest block of a transfer that every worker can send and every master take, in bytes.
const MAX_BLOCK: i64 = 640 * 1024;

/// The arguments of `command`, made acceptable: whole numbers of seconds without a fraction (workers print them), no
/// missing `usePTY`, no block that a connection would refuse.
pub(crate) fn accepted(command: Command) -> Dict {
    let Command { name, args, .. } = command;
    let mut accepted: Vec<(String, Value)> =
        args.into_iter().map(|(key, value)| (key, whole(value))).collect();
    for (key, value) in &mut accepted {
        match key.as_str() {
            // Workers take no null for it.
            "usePTY" if value.is_none() => *value = Value::Bool(false),
            "want_stdout" | "want_stderr" if name == names::SHELL => *value = Value::Bool(value.is_truthy()),
            "blocksize" => {
                let wanted = value.as_i64().unwrap_or(MAX_BLOCK);
                *value = wanted.clamp(1, MAX_BLOCK).into();
            }
            _ => {}
        }
    }
    accepted.into_iter().collect()
}

fn whole(value: Value) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => Value::Int(number as i128),
        other => other,
    }
}
