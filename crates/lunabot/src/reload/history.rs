//! Every load of the configuration, refused ones too: `GET /api/v2/generations` (lua-api § 5).

use lunabot_model::config::ConfigError;
use lunabot_model::{Json, Time};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many loads are remembered.
const REMEMBERED: usize = 100;

/// One load.
#[derive(Debug, Clone)]
pub struct Load {
    pub number: u64,
    /// Of all files that were read; equal for equal files.
    pub content_hash: String,
    pub loaded_at: Time,
    /// Empty: it was taken.
    pub errors: Vec<ConfigError>,
}

/// The newest loads; the current one is never forgotten.
#[derive(Debug, Default)]
pub struct History(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    loads: VecDeque<Load>,
    current: Option<u64>,
}

impl History {
    /// Remembers a load. One without errors is the current one from now on.
    pub fn add(&self, load: Load) {
        let mut inner = self.lock();
        if load.errors.is_empty() {
            inner.current = Some(load.number);
        }
        inner.loads.push_back(load);
        let current = inner.current;
        if inner.loads.len() > REMEMBERED
            && let Some(oldest) = inner.loads.iter().position(|load| Some(load.number) != current)
        {
            inner.loads.remove(oldest);
        }
    }

    /// The rows of the resource, newest last.
    pub fn rows(&self) -> Vec<Json> {
        let inner = self.lock();
        inner.loads.iter().map(|load| row(load, inner.current)).collect()
    }

    /// The newest load, if it was refused.
    pub fn refused(&self) -> Option<Load> {
        self.lock().loads.back().filter(|load| !load.errors.is_empty()).cloned()
    }

    /// The load that is in use.
    pub fn current(&self) -> Option<Load> {
        let inner = self.lock();
        inner.loads.iter().find(|load| Some(load.number) == inner.current).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row(load: &Load, current: Option<u64>) -> Json {
    let errors: Vec<String> = load.errors.iter().map(ToString::to_string).collect();
    json!({
        "number": load.number,
        "content_hash": load.content_hash,
        "loaded_at": load.loaded_at.secs(),
        "current": Some(load.number) == current,
        "errors": errors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(number: u64, wrong: bool) -> Load {
        let error = ConfigError {
            file: "master.lua".into(),
            line: Some(3),
            path: "www.prot".into(),
            message: "unknown".into(),
        };
        let errors = if wrong { vec![error] } else { Vec::new() };
        Load { number, content_hash: "abc".into(), loaded_at: Time::from_secs(5), errors }
    }

    #[test]
    fn a_refused_load_has_a_row_and_is_not_current() {
        let history = History::default();
        history.add(load(1, false));
        history.add(load(2, true));
        let rows = history.rows();
        assert_eq!((&rows[0]["current"], &rows[1]["current"]), (&json!(true), &json!(false)));
        assert_eq!(rows[1]["errors"], json!(["master.lua:3: www.prot: unknown"]));
        assert_eq!(history.refused().map(|load| load.number), Some(2));
        history.add(load(3, false));
        assert!(history.refused().is_none() && history.rows()[0]["current"] == false);
    }

    #[test]
    fn the_current_one_outlives_any_number_of_mistakes() {
        let history = History::default();
        history.add(load(1, false));
        (2..500).for_each(|number| history.add(load(number, true)));
        assert_eq!(history.rows().len(), REMEMBERED);
        assert_eq!(history.current().map(|load| load.number), Some(1));
    }
}
