//! What builds of a builder take, step by step: moving averages over those that ended well.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much of a new value goes into an average.
const SHARE: f64 = 0.5;

/// Steps that are kept of a build.
pub(super) const MAX_STEPS: usize = 500;

/// A number that the master counts itself: bytes of the step's logs.
pub(super) const OUTPUT: &str = "output";

/// What is expected of the next build. Serialises as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// From how many builds.
    pub builds: i64,
    /// In the order of the newest build.
    pub steps: Vec<ExpectedStep>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExpectedStep {
    pub name: String,
    /// Without the time it waits for locks.
    pub seconds: f64,
    /// What its metrics are when it ends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// It did not run in the newest build: nothing new was learned of it.
    #[serde(skip)]
    pub skipped: bool,
}

impl Expected {
    /// Takes in a build that ended well, by its steps.
    pub fn learn(&mut self, build: Vec<ExpectedStep>) {
        self.builds += 1;
        let old: BTreeMap<String, ExpectedStep> =
            self.steps.drain(..).map(|step| (step.name.clone(), step)).collect();
        let learned = build.into_iter().take(MAX_STEPS).filter_map(|new| match old.get(&new.name) {
            Some(known) if new.skipped => Some(known.clone()),
            Some(known) => Some(known.averaged(new)),
            None => (!new.skipped).then_some(new),
        });
        self.steps = learned.collect();
    }

    /// What all of it takes.
    pub fn seconds(&self) -> f64 {
        self.steps.iter().map(|step| step.seconds).sum()
    }

    /// The step of this name, and its place.
    pub fn step(&self, name: &str) -> Option<(usize, &ExpectedStep)> {
        self.steps.iter().enumerate().find(|(_, step)| step.name == name)
    }
}

impl ExpectedStep {
    fn averaged(&self, new: ExpectedStep) -> ExpectedStep {
        let mean = |old: f64, new: f64| old * (1.0 - SHARE) + new * SHARE;
        let metrics = new.metrics.into_iter().map(|(name, value)| {
            let value = self.metrics.get(&name).map_or(value, |old| mean(*old, value));
            (name, value)
        });
        ExpectedStep {
            name: new.name,
            seconds: mean(self.seconds, new.seconds),
            metrics: metrics.collect(),
            skipped: false,
        }
    }

    /// What is left of it after so many seconds, with these metrics.
    ///
    /// Metrics that the step sets say how far it is; where it sets none, what it has printed and the time do, in equal
    /// shares.
    pub fn left(&self, elapsed: f64, metrics: &BTreeMap<String, f64>, output: f64) -> f64 {
        let part = |value: f64, whole: f64| (value / whole).clamp(0.0, 1.0);
        let known = metrics.iter().filter_map(|(name, value)| {
            let whole = self.metrics.get(name).filter(|whole| **whole > 0.0)?;
            Some(part(*value, *whole))
        });
        let mut parts: Vec<f64> = known.collect();
        if parts.is_empty() && self.seconds > 0.0 {
            parts.push(part(elapsed, self.seconds));
            let printed = self.metrics.get(OUTPUT).filter(|whole| **whole > 0.0);
            parts.extend(printed.map(|whole| part(output, *whole)));
        }
        let done = parts.iter().sum::<f64>() / parts.len().max(1) as f64;
        self.seconds * (1.0 - done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, seconds: f64, metrics: &[(&str, f64)]) -> ExpectedStep {
        let metrics = metrics.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        ExpectedStep { name: name.into(), seconds, metrics, skipped: false }
    }

    #[test]
    fn averages_move_and_steps_that_are_gone_are_forgotten() {
        let mut expected = Expected::default();
        expected.learn(vec![step("a", 10.0, &[("tests", 100.0)]), step("old", 5.0, &[])]);
        assert_eq!((expected.builds, expected.seconds()), (1, 15.0));
        expected.learn(vec![step("a", 20.0, &[("tests", 200.0), ("more", 3.0)]), step("b", 1.0, &[])]);
        assert_eq!(
            expected.steps,
            [step("a", 15.0, &[("tests", 150.0), ("more", 3.0)]), step("b", 1.0, &[])]
        );
        // One that was skipped keeps what is known of it, and is not taken for a short one.
        let skipped = |name: &str| ExpectedStep { skipped: true, ..step(name, 0.0, &[]) };
        expected.learn(vec![skipped("a"), skipped("never ran"), step("b", 1.0, &[])]);
        assert_eq!(expected.seconds(), 16.0);
    }

    #[test]
    fn a_step_is_as_far_as_its_metrics_and_else_its_output_and_time() {
        let of = |tests: f64| BTreeMap::from([("tests".to_string(), tests)]);
        let none = BTreeMap::new();
        let with_tests = step("a", 100.0, &[("tests", 50.0), ("output", 1000.0)]);
        for (elapsed, metrics, output, left) in [
            (0.0, of(25.0), 0.0, 50.0),
            (90.0, of(5.0), 990.0, 90.0),
            (10.0, of(80.0), 0.0, 0.0),
            (50.0, none.clone(), 1000.0, 25.0),
            (500.0, none.clone(), 1000.0, 0.0),
        ] {
            assert_eq!(with_tests.left(elapsed, &metrics, output), left, "{elapsed} {metrics:?} {output}");
        }
        assert_eq!(step("b", 100.0, &[]).left(30.0, &none, 5.0), 70.0);
        assert_eq!(step("c", 0.0, &[]).left(30.0, &none, 5.0), 0.0);
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let mut expected = Expected::default();
        expected.learn(vec![step("a", 10.0, &[("tests", 100.0)]), step("b", 5.0, &[])]);
        let stored = serde_json::to_value(&expected).unwrap();
        assert_eq!(serde_json::from_value::<Expected>(stored).unwrap(), expected);
    }
}
