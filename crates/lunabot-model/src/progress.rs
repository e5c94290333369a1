//! How far a build is, and when it should end (lua-api § 3, "Builds").

use crate::BuildId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of one build. Times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildProgress {
    pub buildid: BuildId,
    /// Since its start; of a build that has ended, all of its time.
    pub elapsed: i64,
    /// What the builder's builds take; `None`: none has ended well so far.
    pub expected: Option<i64>,
    /// How long it goes on; 0 when it is late or has ended.
    pub remaining: Option<i64>,
    /// The end, as epoch seconds.
    pub eta: Option<i64>,
    /// How much longer than usual the step that runs has run.
    pub late: i64,
    /// From so many earlier builds that is known.
    pub basis: i64,
    /// Those that have run or run, in their order.
    pub steps: Vec<StepProgress>,
}

/// One step of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepProgress {
    pub name: String,
    pub complete: bool,
    pub elapsed: i64,
    pub expected: Option<i64>,
    /// By name; `output` is what it printed, in bytes.
    pub metrics: BTreeMap<String, Metric>,
}

/// A number that grows while a step gets on.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Metric {
    /// `None`: nothing was said of it yet.
    pub value: Option<f64>,
    /// What it is at the end of such a step.
    pub expected: Option<f64>,
}
