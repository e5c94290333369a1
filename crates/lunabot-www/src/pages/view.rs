//! What templates show of builds, steps and requests: a state as colour, sign and word; rows; trends.

use lunabot_data::Data;
use lunabot_model::progress::BuildProgress;
use lunabot_model::resources::{Build, Step};
use lunabot_model::{BuilderId, Json, Results};
use serde::Serialize;
use std::collections::HashMap;

/// A state, never told by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Status {
    pub class: &'static str,
    pub sign: &'static str,
    pub word: &'static str,
}

const fn status(class: &'static str, sign: &'static str, word: &'static str) -> Status {
    Status { class, sign, word }
}

impl Status {
    pub const PENDING: Status = status("pending", "○", "pending");
    pub const LOCKED: Status = status("locked", "◷", "waiting for a lock");
    pub const PREPARING: Status = status("preparing", "◔", "preparing");
    pub const RUNNING: Status = status("running", "▸", "running");

    pub const fn of(results: Results) -> Status {
        match results {
            Results::Success => status("success", "✓", "success"),
            Results::Warnings => status("warnings", "!", "warnings"),
            Results::Failure => status("failure", "✕", "failure"),
            Results::Skipped => status("skipped", "–", "skipped"),
            Results::Exception => status("exception", "‼", "exception"),
            Results::Retry => status("retry", "↻", "retry"),
            Results::Cancelled => status("cancelled", "⊘", "cancelled"),
        }
    }

    pub fn of_build(build: &Build) -> Status {
        match build.results {
            Some(results) if build.complete => Status::of(results),
            _ if build.state_string.contains("lock") => Status::LOCKED,
            _ if build.state_string.contains("prepar") => Status::PREPARING,
            _ => Status::RUNNING,
        }
    }

    pub fn of_step(step: &Step) -> Status {
        match (step.results, step.started_at) {
            (Some(results), _) if step.complete => Status::of(results),
            (_, None) => Status::PENDING,
            (_, Some(_)) if step.locks_acquired_at.is_none() => Status::LOCKED,
            _ => Status::RUNNING,
        }
    }
}

/// Ended badly, by a fault of what was built or of the infrastructure.
pub fn is_broken(results: Option<Results>) -> bool {
    matches!(results, Some(Results::Failure | Results::Exception))
}

/// A build in a list.
#[derive(Debug, Clone, Serialize)]
pub struct BuildRow {
    pub builder: String,
    pub builderid: i64,
    pub number: i64,
    pub status: Status,
    pub state: String,
    pub owner: String,
    pub branch: String,
    pub revision: String,
    pub started_at: i64,
    pub complete_at: Option<i64>,
    /// Of a running build: its expected end.
    pub estimate: Option<Estimate>,
}

impl BuildRow {
    pub fn new(build: &Build, names: &HashMap<BuilderId, String>) -> BuildRow {
        let text = |name: &str| text_property(build, name);
        let revision =
            Some(text("got_revision")).filter(|r| !r.is_empty()).unwrap_or_else(|| text("revision"));
        BuildRow {
            builder: names
                .get(&build.builderid)
                .cloned()
                .unwrap_or_else(|| format!("builder {}", build.builderid)),
            builderid: build.builderid,
            number: build.number,
            status: Status::of_build(build),
            state: build.state_string.clone(),
            owner: owner(build),
            branch: text("branch"),
            revision,
            started_at: build.started_at,
            complete_at: build.complete_at,
            estimate: None,
        }
    }
}

pub fn text_property(build: &Build, name: &str) -> String {
    build.properties.get(name).and_then(Json::as_str).unwrap_or_default().to_string()
}

/// Who asked for a build, or made the changes it is of.
pub fn owner(build: &Build) -> String {
    let one = text_property(build, "owner");
    if !one.is_empty() {
        return one;
    }
    let all = build.properties.get("owners").and_then(Json::as_array);
    let all = all.into_iter().flatten().filter_map(Json::as_str);
    all.map(person).collect::<Vec<_>>().join(", ")
}

/// `Ann Bell` of `Ann Bell <ann@example.org>`.
pub fn person(author: &str) -> String {
    let name = author.split('<').next().unwrap_or(author).trim();
    if name.is_empty() { author.trim().to_string() } else { name.to_string() }
}

/// When a running build should end, and what that is guessed from.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate {
    /// Seconds that such builds took.
    pub usual: i64,
    /// Seconds it has run, at most `usual`.
    pub done: i64,
    /// Seconds left; negative when it is late.
    pub left: i64,
    /// What `usual` is of the builds that it is from.
    pub by: &'static str,
    /// How many builds the guess is from.
    pub basis: i64,
}

impl Estimate {
    /// As its steps get on; where nothing is known of them, from earlier successful builds of the builder.
    pub fn new(data: &Data, build: &Build, earlier: &[Build], now: i64) -> Option<Estimate> {
        let progress = data.progress(build.buildid);
        progress.and_then(|progress| Self::by_steps(&progress)).or_else(|| Self::by_time(build, earlier, now))
    }

    fn by_steps(progress: &BuildProgress) -> Option<Estimate> {
        let (usual, remaining) = (progress.expected?.max(1), progress.remaining?);
        Some(Estimate {
            usual,
            done: (usual - remaining).clamp(0, usual),
            left: if remaining > 0 { remaining } else { -progress.late.max(0) },
            by: "Average by step",
            basis: progress.basis,
        })
    }

    fn by_time(build: &Build, earlier: &[Build], now: i64) -> Option<Estimate> {
        let mut seconds: Vec<i64> = earlier.iter().filter_map(good_duration).collect();
        seconds.sort_unstable();
        let usual = *seconds.get(seconds.len() / 2)?;
        let run = (now - build.started_at).max(0);
        Some(Estimate {
            usual: usual.max(1),
            done: run.min(usual.max(1)),
            left: usual - run,
            by: "Median",
            basis: i64::try_from(seconds.len()).unwrap_or(i64::MAX),
        })
    }
}

fn good_duration(build: &Build) -> Option<i64> {
    let good = matches!(build.results, Some(Results::Success | Results::Warnings));
    build.complete_at.filter(|_| good).map(|end| end - build.started_at)
}

/// The last results of a builder, oldest first, equal neighbours together.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Strip {
    pub runs: Vec<Run>,
    /// `9 success, 1 failure`, for who does not see the signs.
    pub words: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub class: &'static str,
    pub signs: String,
}

impl Strip {
    /// `builds` newest first.
    pub fn new(builds: &[Build]) -> Strip {
        let mut strip = Strip::default();
        let mut counts: Vec<(Status, usize)> = Vec::new();
        for build in builds.iter().rev() {
            let status = Status::of_build(build);
            match strip.runs.last_mut() {
                Some(run) if run.class == status.class => run.signs.push_str(status.sign),
                _ => strip.runs.push(Run { class: status.class, signs: status.sign.into() }),
            }
            match counts.iter_mut().find(|(s, _)| *s == status) {
                Some((_, n)) => *n += 1,
                None => counts.push((status, 1)),
            }
        }
        let words = counts.iter().map(|(s, n)| format!("{n} {}", s.word));
        strip.words = words.collect::<Vec<_>>().join(", ");
        strip
    }
}

/// Durations of finished builds, oldest first, as points of a line in a box of `width` × `height`.
pub fn trend(builds: &[Build], width: i64, height: i64) -> Option<String> {
    let seconds: Vec<i64> =
        builds.iter().rev().filter_map(|b| b.complete_at.map(|end| (end - b.started_at).max(0))).collect();
    let longest = *seconds.iter().max()?;
    if seconds.len() < 3 {
        return None;
    }
    let last = i64::try_from(seconds.len()).unwrap_or(1) - 1;
    let point = |(i, s): (usize, &i64)| {
        let x = i64::try_from(i).unwrap_or(0) * width / last;
        format!("{x},{}", height - s * height / longest.max(1))
    };
    Some(seconds.iter().enumerate().map(point).collect::<Vec<_>>().join(" "))
}

/// Pages of a long list.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pager {
    pub from: i64,
    pub to: i64,
    pub total: Option<i64>,
    pub newer: Option<String>,
    pub older: Option<String>,
}

impl Pager {
    /// `shown` rows from `offset` on; one more was there if `more`.
    pub fn new(
        asked: &super::render::Asked,
        offset: i64,
        shown: usize,
        limit: i64,
        total: Option<i64>,
    ) -> Pager {
        let to = offset + i64::try_from(shown).unwrap_or(0);
        let more = total.map_or(to - offset == limit, |total| to < total);
        let link = |at: i64| asked.with("offset", Some(&at.max(0).to_string()));
        Pager {
            from: offset + 1,
            to,
            total,
            newer: (offset > 0).then(|| link(offset - limit)),
            older: more.then(|| link(offset + limit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_model::Properties;

    fn build(number: i64, results: Option<Results>, seconds: i64) -> Build {
        Build {
            buildid: number,
            number,
            builderid: 1,
            buildrequestid: 1,
            workerid: None,
            masterid: 1,
            started_at: 0,
            complete: results.is_some(),
            complete_at: results.map(|_| seconds),
            locks_duration_s: 0,
            results,
            state_string: String::new(),
            generation: None,
            properties: Properties::new(),
        }
    }

    #[test]
    fn strips_join_equal_neighbours() {
        let ok = Some(Results::Success);
        let strip = Strip::new(&[build(3, None, 0), build(2, ok, 1), build(1, ok, 1)]);
        let runs: Vec<_> = strip.runs.iter().map(|r| (r.class, r.signs.as_str())).collect();
        assert_eq!(runs, [("success", "✓✓"), ("running", "▸")]);
        assert_eq!(strip.words, "2 success, 1 running");
    }

    #[test]
    fn an_estimate_tells_its_basis_and_ignores_failures() {
        let earlier = [
            build(4, Some(Results::Failure), 1),
            build(3, Some(Results::Success), 30),
            build(2, Some(Results::Success), 10),
            build(1, Some(Results::Success), 20),
        ];
        let estimate = Estimate::by_time(&build(5, None, 0), &earlier, 25).unwrap();
        assert_eq!((estimate.usual, estimate.left, estimate.basis), (20, -5, 3));
        assert!(Estimate::by_time(&build(5, None, 0), &earlier[..1], 25).is_none());
    }

    #[test]
    fn an_estimate_by_steps_is_late_only_when_nothing_is_left() {
        let progress = |remaining, late| BuildProgress {
            buildid: 1,
            elapsed: 25,
            expected: Some(20),
            remaining,
            eta: None,
            late,
            basis: 3,
            steps: Vec::new(),
        };
        for (remaining, late, want) in [
            (Some(5), -3, Some((15, 5))),
            (Some(5), 7, Some((15, 5))),
            (Some(0), 7, Some((20, -7))),
            (None, 0, None),
        ] {
            let estimate = Estimate::by_steps(&progress(remaining, late));
            assert_eq!(estimate.map(|e| (e.done, e.left)), want, "{remaining:?} {late}");
        }
    }

    #[test]
    fn authors_lose_their_address() {
        assert_eq!(person("Ann Bell <ann@x>"), "Ann Bell");
        assert_eq!(person("<ann@x>"), "<ann@x>");
    }
}
