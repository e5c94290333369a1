//! What is shown while the builds of a try job run.

use crate::ui;
use lunabot_proto::pb::Told;
use std::collections::BTreeMap;

const RETRY: i64 = 5;

/// The builds that are waited for.
pub struct Progress {
    quiet: bool,
    /// By builder; `None`: not ended.
    results: BTreeMap<String, Option<(i64, String)>>,
}

impl Progress {
    pub fn new(quiet: bool) -> Self {
        Progress { quiet, results: BTreeMap::new() }
    }

    /// Takes news in; whether all builds have ended.
    pub fn take(&mut self, told: Told) -> bool {
        match told {
            Told::Queued(builders) => {
                self.say(&format!("waiting for: {}", builders.join(", ")));
                self.results = builders.into_iter().map(|builder| (builder, None)).collect();
            }
            Told::Started { builder } => self.say(&format!("{builder}: started")),
            Told::StepStarted { builder, step } => self.say(&format!("{builder}: {step}")),
            Told::StepFinished { builder, step, results } if results != 0 => {
                self.say(&format!("{builder}: {step}: {}", name(results)));
            }
            // The same request is built again: the next build tells.
            Told::Finished { builder, results: RETRY, .. } => {
                self.say(&format!("{builder}: {}; it is built again", name(RETRY)));
            }
            Told::Finished { builder, results, text } => {
                self.say(&format!("{builder}: {}", name(results)));
                self.results.insert(builder, Some((results, text)));
            }
            Told::StepFinished { .. } | Told::Entered | Told::Done | Told::Names(_) | Told::Taken(_) => {
                return false;
            }
        }
        self.results.values().all(Option::is_some)
    }

    /// One line per builder.
    pub fn summary(&self) -> Vec<String> {
        let line = |(builder, ended): (&String, &Option<(i64, String)>)| match ended {
            Some((results, text)) => format!("{builder}: {} ({text})", name(*results)),
            None => format!("{builder}: not known"),
        };
        self.results.iter().map(line).collect()
    }

    /// Whether every build went well; warnings do no harm.
    pub fn went_well(&self) -> bool {
        self.results.values().all(|ended| matches!(ended, Some((0 | 1, _))))
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            ui::out(line);
        }
    }
}

fn name(results: i64) -> &'static str {
    lunabot_model::Results::from_code(results).map_or("unknown", lunabot_model::Results::name)
}
