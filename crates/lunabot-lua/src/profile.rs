//! What the functions of the configuration cost, as `lunabot profile`, the page Health and `GET /api/v2/callbacks`
//! tell it (lua-api § 6).

use crate::script_errors::place_of;
use lunabot_model::Clock;
use lunabot_model::script::CallSite;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Functions kept apart; beyond it the one that was called longest ago goes.
const MAX_ROWS: usize = 2000;
/// Steps of durations within a doubling.
const FINE: f64 = 4.0;
/// From a microsecond to more than a day.
const BUCKETS: usize = 37 * FINE as usize;

/// What one function has cost at one place that calls it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// The option's or method's name: `canStartBuild`.
    pub callback: String,
    /// What it belongs to, in words: `builder runtests`.
    pub concerns: String,
    /// Where the function is.
    pub file: String,
    pub line: Option<u32>,
    pub calls: u64,
    pub errors: u64,
    /// Seconds from the call until its answer, waiting included: of all calls, of 99 % of them at most, of the slowest.
    pub total: f64,
    pub p99: f64,
    pub slowest: f64,
    /// When the slowest was, in epoch seconds.
    pub slowest_at: i64,
    /// Seconds of them in which it kept the interpreter to itself.
    pub busy: f64,
}

/// How a call went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub total: Duration,
    pub busy: Duration,
    pub failed: bool,
}

#[derive(Debug)]
struct Cost {
    callback: String,
    concerns: String,
    calls: u64,
    errors: u64,
    total: Duration,
    busy: Duration,
    slowest: Duration,
    slowest_at: i64,
    last_at: i64,
    /// How many calls took about so long, see [`bucket`].
    durations: Box<[u32; BUCKETS]>,
}

impl Cost {
    fn new(site: &CallSite) -> Self {
        Cost {
            callback: site.callback.clone(),
            concerns: site.concerns.clone(),
            calls: 0,
            errors: 0,
            total: Duration::ZERO,
            busy: Duration::ZERO,
            slowest: Duration::ZERO,
            slowest_at: 0,
            last_at: 0,
            durations: Box::new([0; BUCKETS]),
        }
    }

    fn is_of(&self, site: &CallSite) -> bool {
        self.callback == site.callback && self.concerns == site.concerns
    }

    fn add(&mut self, spent: Spent, now: i64) {
        self.calls += 1;
        self.last_at = now;
        self.errors += u64::from(spent.failed);
        self.total += spent.total;
        self.busy += spent.busy;
        if spent.total >= self.slowest {
            (self.slowest, self.slowest_at) = (spent.total, now);
        }
        let count = &mut self.durations[bucket(spent.total)];
        *count = count.saturating_add(1);
    }

    /// What 99 % of the calls took at most, to about a fifth.
    fn p99(&self) -> f64 {
        let wanted = self.calls - self.calls / 100;
        let mut seen = 0;
        let place = self.durations.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        let upper = ((place.unwrap_or(BUCKETS) + 1) as f64 / FINE).exp2() / 1e6;
        upper.min(self.slowest.as_secs_f64())
    }

    fn row(&self, at: &str) -> ProfileRow {
        let (file, line) = place_of(at).unwrap_or_default();
        ProfileRow {
            callback: self.callback.clone(),
            concerns: self.concerns.clone(),
            file,
            line,
            calls: self.calls,
            errors: self.errors,
            total: self.total.as_secs_f64(),
            p99: self.p99(),
            slowest: self.slowest.as_secs_f64(),
            slowest_at: self.slowest_at,
            busy: self.busy.as_secs_f64(),
        }
    }
}

/// Durations whose logarithms are alike.
fn bucket(duration: Duration) -> usize {
    let micros = (duration.as_secs_f64() * 1e6).max(1.0);
    ((micros.log2() * FINE) as usize).min(BUCKETS - 1)
}

/// By the place of the function; most are called from one place.
type Costs = HashMap<String, Vec<Cost>>;

/// The costs of all functions since the master started, shared by all generations.
#[derive(Debug, Default)]
pub struct Profile {
    costs: Mutex<Costs>,
}

impl Profile {
    /// All rows, the most expensive first.
    pub fn rows(&self) -> Vec<ProfileRow> {
        let costs = self.costs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<ProfileRow> =
            costs.iter().flat_map(|(at, all)| all.iter().map(|cost| cost.row(at))).collect();
        drop(costs);
        rows.sort_by(|a, b| b.total.total_cmp(&a.total));
        rows
    }

    /// A call that was counted as well done has had a result that makes no sense.
    pub(crate) fn nonsense(&self, site: &CallSite, at: &str) {
        let mut costs = self.costs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cost) = costs.get_mut(at).and_then(|all| all.iter_mut().find(|cost| cost.is_of(site))) {
            cost.errors += 1;
        }
    }

    /// Counts calls of one function from one place.
    pub(crate) fn record(
        &self,
        site: &CallSite,
        at: &str,
        spent: impl IntoIterator<Item = Spent>,
        clock: &dyn Clock,
    ) {
        let now = clock.now().secs();
        let mut costs = self.costs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cost) = costs.get_mut(at).and_then(|all| all.iter_mut().find(|cost| cost.is_of(site))) {
            spent.into_iter().for_each(|spent| cost.add(spent, now));
            return;
        }
        make_room(&mut costs);
        let mut cost = Cost::new(site);
        spent.into_iter().for_each(|spent| cost.add(spent, now));
        costs.entry(at.into()).or_default().push(cost);
    }
}

fn make_room(costs: &mut Costs) {
    if costs.values().map(Vec::len).sum::<usize>() < MAX_ROWS {
        return;
    }
    let oldest = costs.values().flatten().map(|cost| cost.last_at).min();
    costs.retain(|_, all| {
        all.retain(|cost| Some(cost.last_at) != oldest);
        !all.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_to_a_fifth() {
        let site = CallSite { callback: "c".into(), concerns: "x".into(), endless: false };
        for micros in [1, 10, 999, 1_000_000, 90_000_000_000] {
            let mut cost = Cost::new(&site);
            for _ in 0..300 {
                let total = Duration::from_micros(micros);
                cost.add(Spent { total, busy: total, failed: false }, 5);
            }
            cost.add(Spent { total: Duration::from_secs(100_000), busy: Duration::ZERO, failed: true }, 7);
            let row = cost.row("master.lua:3");
            let seconds = micros as f64 / 1e6;
            assert!(row.p99 >= seconds && row.p99 <= seconds * 1.2, "{micros}: {row:?}");
            assert_eq!((row.calls, row.errors, row.slowest_at, row.line), (301, 1, 7, Some(3)));
        }
    }
}
