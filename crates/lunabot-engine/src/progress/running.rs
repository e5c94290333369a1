//! One build that runs, compared with what is expected of it.

use super::expected::{Expected, ExpectedStep, MAX_STEPS, OUTPUT};
use lunabot_model::progress::{BuildProgress, Metric, StepProgress};
use lunabot_model::{BuildId, Mono, Results, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Metrics that a step may set.
const MAX_METRICS: usize = 32;
/// An event follows the last at the earliest after so long.
const PAUSE: Duration = Duration::from_secs(10);
/// And only where the end has moved by so many seconds.
const MOVED: i64 = 5;

/// A build, from its first step on.
pub(crate) struct Running {
    build: BuildId,
    /// Epoch seconds.
    started_at: i64,
    expected: Option<Arc<Expected>>,
    steps: Vec<RunningStep>,
    /// When an expected end was announced last, and which.
    told: Option<(Mono, i64)>,
}

struct RunningStep {
    name: String,
    began: Mono,
    /// How long it took, once it has ended.
    took: Option<Duration>,
    results: Option<Results>,
    metrics: BTreeMap<String, Option<f64>>,
    output: Arc<AtomicU64>,
}

impl RunningStep {
    fn elapsed(&self, now: Mono) -> f64 {
        self.took.unwrap_or_else(|| now - self.began).as_secs_f64()
    }

    /// Of metrics that it has set.
    fn values(&self) -> BTreeMap<String, f64> {
        self.metrics.iter().filter_map(|(name, value)| Some((name.clone(), (*value)?))).collect()
    }

    fn output(&self) -> f64 {
        self.output.load(Ordering::Relaxed) as f64
    }

    fn learned(&self) -> ExpectedStep {
        let mut metrics = self.values();
        metrics.insert(OUTPUT.into(), self.output());
        ExpectedStep {
            name: self.name.clone(),
            seconds: self.took.unwrap_or_default().as_secs_f64(),
            metrics,
            skipped: self.results == Some(Results::Skipped),
        }
    }

    fn shown(&self, expected: Option<&ExpectedStep>, now: Mono) -> StepProgress {
        let usual = |name: &str| expected.and_then(|step| step.metrics.get(name).copied());
        let mut metrics: BTreeMap<String, Metric> = self
            .metrics
            .iter()
            .map(|(name, value)| (name.clone(), Metric { value: *value, expected: usual(name) }))
            .collect();
        metrics
            .entry(OUTPUT.into())
            .or_insert_with(|| Metric { value: Some(self.output()), expected: usual(OUTPUT) });
        StepProgress {
            name: self.name.clone(),
            complete: self.took.is_some(),
            elapsed: whole(self.elapsed(now)),
            expected: expected.map(|step| whole(step.seconds)),
            metrics,
        }
    }
}

fn whole(seconds: f64) -> i64 {
    seconds.round() as i64
}

impl Running {
    pub fn new(build: BuildId, started_at: i64) -> Self {
        Running { build, started_at, expected: None, steps: Vec::new(), told: None }
    }

    pub fn expect(&mut self, expected: Arc<Expected>) {
        self.expected = Some(expected).filter(|expected| expected.builds > 0);
    }

    /// A step begins; `output` counts the bytes of its logs.
    pub fn begin(&mut self, name: &str, metrics: &[String], output: Arc<AtomicU64>, now: Mono) {
        if self.steps.len() >= MAX_STEPS {
            return;
        }
        let metrics = metrics.iter().take(MAX_METRICS).map(|name| (name.clone(), None)).collect();
        let name = name.to_string();
        self.steps.push(RunningStep { name, began: now, took: None, results: None, metrics, output });
    }

    fn step(&mut self, name: &str) -> Option<&mut RunningStep> {
        // The newest is looked for nearly always.
        self.steps.iter_mut().rev().find(|step| step.name == name)
    }

    /// It has waited until now; its time counts from here.
    pub fn set_out(&mut self, name: &str, now: Mono) {
        if let Some(step) = self.step(name) {
            step.began = now;
        }
    }

    /// The error says why not.
    pub fn set(&mut self, name: &str, metric: &str, value: f64) -> Result<(), String> {
        let Some(step) = self.step(name) else { return Ok(()) };
        if !value.is_finite() {
            return Err(format!("the progress of {metric} must be a number, not {value}"));
        }
        if step.metrics.len() >= MAX_METRICS && !step.metrics.contains_key(metric) {
            return Err(format!("a step has at most {MAX_METRICS} metrics"));
        }
        step.metrics.insert(metric.into(), Some(value));
        Ok(())
    }

    pub fn end(&mut self, name: &str, results: Results, now: Mono) {
        if let Some(step) = self.step(name) {
            step.took = Some(now - step.began);
            step.results = Some(results);
        }
    }

    /// What the builder's next build can go by.
    pub fn learned(&self) -> Vec<ExpectedStep> {
        self.steps.iter().map(RunningStep::learned).collect()
    }

    /// Seconds left, and how much longer than usual the step that runs has run.
    fn left(&self, now: Mono) -> Option<(f64, f64)> {
        let expected = self.expected.as_ref()?;
        let places = self.steps.iter().filter_map(|step| expected.step(&step.name));
        // Steps that should have come before one that has begun come no more.
        let next = places.map(|(place, _)| place + 1).max().unwrap_or(0);
        let to_come: f64 = expected.steps.iter().skip(next).map(|step| step.seconds).sum();
        let (mut left, mut late) = (to_come, 0.0_f64);
        for step in self.steps.iter().filter(|step| step.took.is_none()) {
            let Some((_, usual)) = expected.step(&step.name) else { continue };
            let elapsed = step.elapsed(now);
            left += usual.left(elapsed, &step.values(), step.output());
            late = late.max(elapsed - usual.seconds);
        }
        Some((left, late))
    }

    pub fn shown(&self, now: Mono, wall: Time) -> BuildProgress {
        let left = self.left(now);
        let expected = self.expected.as_ref();
        let wall = wall.secs();
        BuildProgress {
            buildid: self.build,
            elapsed: (wall - self.started_at).max(0),
            expected: expected.map(|expected| whole(expected.seconds())),
            remaining: left.map(|(left, _)| whole(left)),
            eta: left.map(|(left, _)| wall + whole(left)),
            late: left.map_or(0, |(_, late)| whole(late)),
            basis: expected.map_or(0, |expected| expected.builds),
            steps: self
                .steps
                .iter()
                .map(|step| {
                    let usual = expected.and_then(|expected| expected.step(&step.name));
                    step.shown(usual.map(|(_, usual)| usual), now)
                })
                .collect(),
        }
    }

    /// What is to be announced by now, if anything.
    pub fn news(&mut self, now: Mono, wall: Time) -> Option<BuildProgress> {
        if self.expected.is_none() || self.told.is_some_and(|(at, _)| now - at < PAUSE) {
            return None;
        }
        let shown = self.shown(now, wall);
        let eta = shown.eta?;
        if self.told.is_some_and(|(_, told)| (eta - told).abs() < MOVED) {
            return None;
        }
        self.told = Some((now, eta));
        Some(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn wall(seconds: i64) -> Time {
        Time::from_secs(1000 + seconds)
    }

    /// Of a build with steps of 10, 20 and 30 seconds.
    fn running() -> Running {
        let step =
            |name: &str, seconds| ExpectedStep { name: name.into(), seconds, ..ExpectedStep::default() };
        let mut expected = Expected::default();
        expected.learn(vec![step("a", 10.0), step("b", 20.0), step("c", 30.0)]);
        let mut running = Running::new(7, 1000);
        running.expect(Arc::new(expected));
        running
    }

    #[test]
    fn what_is_left_is_what_has_not_begun_and_the_rest_of_what_runs() {
        let mut build = running();
        let told = |build: &Running, seconds: u64| {
            let shown = build.shown(at(seconds), wall(seconds as i64));
            (shown.remaining, shown.eta, shown.late)
        };
        assert_eq!(told(&build, 0), (Some(60), Some(1060), 0));
        build.begin("a", &[], Arc::default(), at(0));
        assert_eq!(told(&build, 4), (Some(56), Some(1060), 0));
        assert_eq!(told(&build, 15), (Some(50), Some(1065), 5));
        build.end("a", Results::Success, at(15));
        // `b` does not come any more when `c` has begun; nobody knows the one between.
        build.begin("new", &[], Arc::default(), at(15));
        assert_eq!(told(&build, 20), (Some(50), Some(1070), 0));
        build.end("new", Results::Success, at(20));
        build.begin("c", &[], Arc::default(), at(20));
        assert_eq!(told(&build, 20), (Some(30), Some(1050), 0));
        // Waiting for locks is no work.
        build.set_out("c", at(40));
        assert_eq!(told(&build, 50), (Some(20), Some(1070), 0));
    }

    #[test]
    fn events_are_rare_and_only_of_ends_that_move() {
        let mut build = running();
        assert!(build.news(at(0), wall(0)).is_some_and(|shown| shown.eta == Some(1060)));
        build.begin("a", &[], Arc::default(), at(0));
        assert_eq!(build.news(at(9), wall(9)), None, "on time");
        assert_eq!(build.news(at(14), wall(14)), None, "four seconds late");
        assert!(build.news(at(15), wall(15)).is_some());
        build.end("a", Results::Success, at(16));
        build.begin("c", &[], Arc::default(), at(16));
        assert_eq!(build.news(at(24), wall(24)), None, "too soon after the last");
        assert!(build.news(at(25), wall(25)).is_some_and(|shown| shown.eta == Some(1046)));
        assert_eq!(Running::new(7, 1000).news(at(0), wall(0)), None, "nothing to go by");
    }

    #[test]
    fn metrics_are_bounded_and_shown_beside_what_they_were() {
        let mut build = running();
        build.begin("a", &["tests".into()], Arc::default(), at(0));
        let metric = |build: &Running| build.shown(at(0), wall(0)).steps[0].metrics["tests"];
        assert_eq!(metric(&build), Metric::default());
        build.set("a", "tests", 3.0).unwrap();
        assert_eq!(metric(&build).value, Some(3.0));
        assert!(build.set("a", "tests", f64::NAN).is_err());
        let errors = (0..40).filter(|n| build.set("a", &n.to_string(), 1.0).is_err()).count();
        assert_eq!(errors, 9);
        assert_eq!(build.set("another", "tests", 1.0), Ok(()));
    }
}
