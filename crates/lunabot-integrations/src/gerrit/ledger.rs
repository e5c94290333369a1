//! Which events were taken in: so that those of the stream and those of the log, which overlap, count once (02.020).

use crate::source::{SourceContext, SourceError};
use lunabot_model::Json;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;

const STATE: &str = "events";
/// Events may come so much out of order, in seconds.
const WINDOW: i64 = 120;

/// The newest event's time, and marks of those around it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Seconds since 1970 of the newest event.
    pub newest: i64,
    /// Mark → time of the event.
    marks: BTreeMap<String, i64>,
}

impl Ledger {
    /// What an earlier process knew, or a new one that knows nothing before `start`.
    pub async fn load(cx: &SourceContext, start: i64) -> Result<Self, SourceError> {
        let stored = cx.state(STATE).await?;
        let stored = stored.and_then(|stored| serde_json::from_value(stored).ok());
        Ok(stored.unwrap_or(Ledger { newest: start, marks: BTreeMap::new() }))
    }

    pub async fn save(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let value = serde_json::to_value(self).map_err(|e| SourceError::Other(e.to_string()))?;
        Ok(cx.data().set_state(&cx.key(STATE), value).await?.await?)
    }

    /// From when on the log is asked.
    pub fn since(&self) -> i64 {
        self.newest - WINDOW / 2
    }

    pub fn knows(&self, event: &Json) -> bool {
        self.marks.contains_key(&mark(event))
    }

    pub fn note(&mut self, event: &Json, time: i64) {
        self.newest = self.newest.max(time);
        self.marks.insert(mark(event), time);
        let oldest = self.newest - WINDOW;
        self.marks.retain(|_, time| *time >= oldest);
    }
}

/// The same for equal events, in whatever order their names come.
fn mark(event: &Json) -> String {
    let mut text = String::new();
    write(event, &mut text);
    Sha1::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(value: &Json, text: &mut String) {
    match value {
        Json::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            text.push('{');
            for (name, value) in sorted {
                text.push_str(&Json::from(name.as_str()).to_string());
                write(value, text);
            }
            text.push('}');
        }
        Json::Array(items) => {
            text.push('[');
            items.iter().for_each(|item| write(item, text));
            text.push(']');
        }
        other => {
            text.push_str(&other.to_string());
            text.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_known_whatever_the_order_of_its_names_02_020() {
        let mut ledger = Ledger { newest: 1000, marks: BTreeMap::new() };
        let event: Json = serde_json::from_str(r#"{"a": 1, "b": {"c": [1, 2], "d": "x"}}"#).unwrap();
        let again: Json = serde_json::from_str(r#"{"b": {"d": "x", "c": [1, 2]}, "a": 1}"#).unwrap();
        ledger.note(&event, 1001);
        assert!(ledger.knows(&again) && !ledger.knows(&json!({"a": 1})));
        assert_ne!(mark(&json!({"a": "1"})), mark(&json!({"a": 1})));
        ledger.note(&json!({"z": 1}), 1001 + WINDOW + 1);
        assert!(!ledger.knows(&event), "what is long past is forgotten");
        assert_eq!((ledger.newest, ledger.marks.len()), (1002 + WINDOW, 1));
    }
}
