//! Steps.

use super::{IDENTIFIER, fitted, said};
use crate::ack::Ack;
use crate::announce::Announcement;
use crate::data::Data;
use crate::error::{DataError, Result};
use crate::live::{Live, LiveStep, next};
use lunabot_model::resources::{Step, StepUrl};
use lunabot_model::{BuildId, Results, StepId};
use std::collections::HashSet;

impl Live {
    fn put_step(&mut self, row: Step, what: &'static str) {
        self.pending.announcements.push(Announcement::Step(row.clone(), what));
        self.pending.batch.steps.put(row);
    }
}

/// `name`, `name_1`, `name_2` …: the first that the build does not have (05.009).
fn unique_name(taken: &HashSet<String>, name: &str) -> String {
    let first = fitted(name, "", IDENTIFIER);
    if !taken.contains(&first) {
        return first;
    }
    let numbered = |n: u64| fitted(name, &format!("_{n}"), IDENTIFIER);
    (1..).map(numbered).find(|name| !taken.contains(name)).unwrap_or(first)
}

/// Steps. These return as soon as the row has its place in the queue; the id is final.
impl Data {
    /// Adds a step with the build's next number and a unique name (05.009). Event …/new.
    pub async fn add_step(&self, build: BuildId, name: &str, state: &str) -> Result<(Step, Ack)> {
        self.shared.room().await;
        let (result, epoch) = self.shared.change(|live| {
            let stepid = next(&mut live.ids.steps);
            let running = live.builds.get_mut(&build).filter(|b| !b.row.complete);
            let running =
                running.ok_or_else(|| DataError::NotFound(format!("build {build} does not run")))?;
            let row = Step {
                stepid,
                number: running.next_step,
                name: unique_name(&running.step_names, name),
                buildid: build,
                started_at: None,
                locks_acquired_at: None,
                complete: false,
                complete_at: None,
                results: None,
                state_string: said(state),
                urls: Vec::new(),
                hidden: false,
            };
            running.next_step += 1;
            running.step_names.insert(row.name.clone());
            running.steps.push(stepid);
            live.steps.insert(stepid, LiveStep { row: row.clone(), slugs: HashSet::new(), logs: Vec::new() });
            live.put_step(row.clone(), "new");
            Ok(row)
        });
        result.map(|row| (row, self.ack(epoch)))
    }

    /// Changes a step, unless `change` says that there is nothing to do.
    async fn change_step(
        &self,
        id: StepId,
        what: &'static str,
        change: impl FnOnce(&mut Step) -> bool + Send,
    ) -> Result<Ack> {
        self.shared.room().await;
        let (result, epoch) = self.shared.change(|live| {
            let step = live.steps.get_mut(&id);
            let step = step.ok_or_else(|| DataError::NotFound(format!("step {id} does not run")))?;
            if change(&mut step.row) {
                let row = step.row.clone();
                live.put_step(row, what);
            }
            Ok(())
        });
        result.map(|()| self.ack(epoch))
    }

    /// Event …/started. `locks_acquired_at` now too, where the step takes no locks.
    pub async fn start_step(&self, step: StepId, locks_acquired: bool) -> Result<Ack> {
        let now = self.shared.now();
        self.change_step(step, "started", |row| {
            row.started_at = Some(now);
            row.locks_acquired_at = locks_acquired.then_some(now);
            true
        })
        .await
    }

    pub async fn set_step_locks_acquired(&self, step: StepId) -> Result<Ack> {
        let now = self.shared.now();
        self.change_step(step, "updated", |row| {
            row.locks_acquired_at = Some(now);
            true
        })
        .await
    }

    /// Event …/updated.
    pub async fn set_step_state(&self, step: StepId, state: &str) -> Result<Ack> {
        self.change_step(step, "updated", |row| {
            row.state_string = said(state);
            true
        })
        .await
    }

    /// Duplicates are dropped (05.030). Event …/updated.
    pub async fn add_step_url(&self, step: StepId, name: &str, url: &str) -> Result<Ack> {
        let link = StepUrl { name: name.to_owned(), url: url.to_owned() };
        self.change_step(step, "updated", |row| {
            let new = !row.urls.contains(&link);
            if new {
                row.urls.push(link);
            }
            new
        })
        .await
    }

    /// Event …/finished.
    pub async fn finish_step(
        &self,
        step: StepId,
        results: Results,
        state: &str,
        hidden: bool,
    ) -> Result<Ack> {
        let now = self.shared.now();
        self.change_step(step, "finished", |row| {
            row.complete = true;
            row.complete_at = Some(now);
            row.results = Some(results);
            row.hidden = hidden;
            row.state_string = said(state);
            true
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique_within_fifty_characters_05_009() {
        let long = "x".repeat(60);
        let mut taken: HashSet<String> = HashSet::new();
        let names: Vec<String> = ["a", "a", "a", &long, &long]
            .iter()
            .map(|name| {
                let name = unique_name(&taken, name);
                taken.insert(name.clone());
                name
            })
            .collect();
        assert_eq!(names[..3], ["a", "a_1", "a_2"]);
        assert_eq!((names[3].len(), names[4].as_str()), (50, format!("{}_1", &long[..48]).as_str()));
    }
}
