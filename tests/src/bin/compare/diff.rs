//! Where two records differ, and which of the differences are meant.

use serde_json::{Map, Value};

/// One difference.
#[derive(Debug)]
pub struct Difference {
    /// `builder/steps/2/state_string`.
    pub path: String,
    pub buildbot: Option<Value>,
    pub lunabot: Option<Value>,
}

pub fn differences(buildbot: &Map<String, Value>, lunabot: &Map<String, Value>) -> Vec<Difference> {
    let mut found = Vec::new();
    objects("", buildbot, lunabot, &mut found);
    found
}

fn objects(path: &str, a: &Map<String, Value>, b: &Map<String, Value>, found: &mut Vec<Difference>) {
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let inner = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
        values(inner, a.get(key), b.get(key), found);
    }
}

fn values(path: String, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<Difference>) {
    match (a, b) {
        (Some(a), Some(b)) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => objects(&path, a, b, found),
        (Some(Value::Array(a)), Some(Value::Array(b))) if !path.contains("/properties/") => {
            for index in 0..a.len().max(b.len()) {
                values(format!("{path}/{index}"), a.get(index), b.get(index), found);
            }
        }
        _ => found.push(Difference { path, buildbot: a.cloned(), lunabot: b.cloned() }),
    }
}

/// Prints all; gives the number of those that are not expected. `expected` maps a path, in which `*` stands for
/// any one part, to the reason.
#[expect(clippy::print_stdout, reason = "the list is the output of this program")]
pub fn report(found: &[Difference], expected: &Value) -> usize {
    let reasons = expected.as_object();
    let mut unexpected = 0;
    for difference in found {
        let reason = reasons
            .into_iter()
            .flatten()
            .find(|(pattern, _)| fits(pattern, &difference.path))
            .and_then(|(_, reason)| reason.as_str());
        let shown = |value: &Option<Value>| value.as_ref().map_or("–".into(), Value::to_string);
        println!("{}", difference.path);
        println!("  buildbot: {}", shown(&difference.buildbot));
        println!("  lunabot:  {}", shown(&difference.lunabot));
        match reason {
            Some(reason) => println!("  meant:    {reason}"),
            None => unexpected += 1,
        }
    }
    println!("{} differences, {unexpected} of them not meant", found.len());
    unexpected
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    let same = |(wanted, part): (&&str, &&str)| *wanted == "*" || wanted == part;
    pattern.len() == path.len() && pattern.iter().zip(&path).all(same)
}
