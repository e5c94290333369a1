//! The environment of a program (rows 06.002, 08.024).

use crate::errors::Failure;
use lunabot_proto::{Dict, Value};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

const PATH_SEPARATOR: &str = ":";

/// Merges what a command asks for into the worker's environment: text sets, a list is joined, none
/// removes, `${NAME}` stands for the worker's own value (nothing if it has none), and the worker's
/// `PYTHONPATH` follows the one given. `PWD` is always the working directory.
pub(crate) fn merge(
    worker: &[(OsString, OsString)],
    asked: &Dict,
    workdir: &Path,
) -> Result<BTreeMap<OsString, OsString>, Failure> {
    let own: BTreeMap<_, _> = worker.iter().cloned().collect();
    let mut merged = own.clone();
    for (name, value) in asked.iter() {
        let text = match value {
            Value::None => {
                merged.remove(OsStr::new(name));
                continue;
            }
            Value::Str(text) => text.clone(),
            Value::List(items) | Value::Tuple(items) => joined(name, items)?,
            _ => return Err(wrong(name)),
        };
        let text = if name == "PYTHONPATH" { text + PATH_SEPARATOR + "${PYTHONPATH}" } else { text };
        merged.insert(valid(name)?.into(), expand(&text, &own));
    }
    merged.insert("PWD".into(), workdir.into());
    Ok(merged)
}

fn joined(name: &str, items: &[Value]) -> Result<String, Failure> {
    let texts: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
    Ok(texts.ok_or_else(|| wrong(name))?.join(PATH_SEPARATOR))
}

fn wrong(name: &str) -> Failure {
    Failure::new(format!("'env' values must be strings or lists; key '{name}' is incorrect"))
}

/// The system cannot pass such names on.
fn valid(name: &str) -> Result<&str, Failure> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Failure::new(format!("'env' names must not be empty or hold '=' or NUL: '{name}'")));
    }
    Ok(name)
}

fn expand(text: &str, own: &BTreeMap<OsString, OsString>) -> OsString {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let name = reference[2..].split('}').next().unwrap_or_default();
        let closed = reference.len() > 2 + name.len();
        if closed && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            out.extend_from_slice(own.get(OsStr::new(name)).map_or(&[], |value| value.as_bytes()));
            rest = &reference[name.len() + 3..];
        } else {
            out.extend_from_slice(b"${");
            rest = &reference[2..];
        }
    }
    out.extend_from_slice(rest.as_bytes());
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_ask_for_a_variable() {
        let worker: Vec<(OsString, OsString)> =
            [("EXTRA", "/e"), ("HOME", "/h"), ("RAW", "x")].map(|(k, v)| (k.into(), v.into())).into();
        let asked = Dict::new()
            .with("A", "${EXTRA}:${NOPE}:$EXTRA:${EX-TRA}:${EXTRA")
            .with("L", vec!["${EXTRA}", "b"])
            .with("E", "")
            .with("HOME", Value::None)
            .with("PYTHONPATH", vec!["/p", "/q"])
            .with("PWD", "elsewhere");
        let merged = merge(&worker, &asked, Path::new("/w")).unwrap();
        let shown: Vec<_> = merged.iter().map(|(k, v)| format!("{}={}", k.display(), v.display())).collect();
        let expected = [
            "A=/e::$EXTRA:${EX-TRA}:${EXTRA",
            "E=",
            "EXTRA=/e",
            "L=/e:b",
            "PWD=/w",
            "PYTHONPATH=/p:/q:",
            "RAW=x",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn wrong_values_are_named() {
        for (asked, message) in [
            (Dict::new().with("A", 5), "'env' values must be strings or lists; key 'A' is incorrect"),
            (Dict::new().with("A", vec![5]), "'env' values must be strings or lists; key 'A' is incorrect"),
            (Dict::new().with("A=B", "x"), "'env' names must not be empty or hold '=' or NUL: 'A=B'"),
        ] {
            assert_eq!(merge(&[], &asked, Path::new("/")), Err(Failure::new(message)));
        }
    }
}
