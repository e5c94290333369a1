//! Retention: taking out the texts of old logs, old build data, old builds and old changes (14.024–14.026).
//!
//! It works behind everything else: transactions of a few milliseconds with pauses between them, so that no build waits for it.
//! Stopped at any moment it leaves a consistent store, and goes on the next time.

use crate::data::Data;
use crate::error::Result;
use crate::shared::Shared;
use lunabot_db::{Batch, OldBuild};
use lunabot_model::retention::Rule;
use std::collections::HashMap;
use std::time::Duration;

/// Builds looked at together.
const WINDOW: i64 = 200;
/// Chunks that one transaction drops, or about as many other rows; each is at most 128 KiB.
const CHUNKS: i64 = 100;
/// Changes that one transaction drops.
const CHANGES: i64 = 100;
/// Pages given back at once.
const PAGES: u32 = 256;
/// Between transactions. This is about the disk, not about the machine's time: it does not go by the injected clock.
const PAUSE: Duration = Duration::from_millis(10);

/// What was taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    pub builds: u64,
    pub logs: u64,
    pub chunks: u64,
    /// Entries of build data.
    pub data: u64,
}

/// Told after each slice.
pub type Progress<'a> = &'a (dyn Fn(&Tidied) + Send + Sync);

impl Data {
    /// Takes out what the rules want gone now; for each build the first rule that fits it counts. The newest build of a
    /// builder stays, so that its numbers go on.
    pub async fn tidy(&self, rules: &[Rule], progress: Progress<'_>) -> Result<Tidied> {
        let mut tidy = Tidy {
            shared: &self.shared,
            rules,
            kept: HashMap::new(),
            batch: Batch::default(),
            weight: 0,
            done: Tidied::default(),
            progress,
        };
        tidy.run().await?;
        let done = tidy.done;
        if done != Tidied::default() {
            self.give_back().await?;
        }
        Ok(done)
    }

    /// Takes out all but the newest `horizon` changes; how many were taken.
    pub async fn prune_changes(&self, horizon: i64) -> Result<u64> {
        let mut pruned = 0;
        loop {
            let old = self.shared.store.changes_beyond(horizon, CHANGES).await?;
            if old.is_empty() {
                return Ok(pruned);
            }
            let mut batch = Batch::default();
            old.iter().for_each(|change| batch.drop_change(*change));
            self.shared.take_out(&batch).await?;
            pruned += old.len() as u64;
        }
    }

    /// Lets the file of an SQLite database shrink.
    async fn give_back(&self) -> Result<()> {
        while self.shared.store.give_back_pages(PAGES).await? {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

impl Shared {
    /// One transaction, and a pause for those who wait.
    async fn take_out(&self, batch: &Batch) -> Result<()> {
        self.store.write(batch, false).await?;
        self.versions.bump(batch);
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

struct Tidy<'a> {
    shared: &'a Shared,
    rules: &'a [Rule],
    /// By builder and number to keep: the oldest build that is kept for it.
    kept: HashMap<(i64, i64), i64>,
    /// What the next transaction takes out, and about how many rows that is.
    batch: Batch,
    weight: usize,
    done: Tidied,
    progress: Progress<'a>,
}

/// What a rule says of one build.
#[derive(Clone, Copy)]
struct Verdict {
    build: bool,
    logs: bool,
    data: bool,
}

impl Tidy<'_> {
    async fn run(&mut self) -> Result<()> {
        let now = self.shared.now();
        let Some(shortest) = self.rules.iter().filter_map(Rule::shortest).min_by(f64::total_cmp) else {
            return Ok(());
        };
        let before = now - shortest as i64;
        let mut after = 0;
        loop {
            let builds = self.shared.store.old_builds(after, before, WINDOW).await?;
            let (Some(first), Some(last)) = (builds.first(), builds.last()) else { return Ok(()) };
            after = last.id;
            let logs = grouped(self.shared.store.logs_with_text(first.id, last.id).await?);
            let data: HashMap<i64, i64> =
                self.shared.store.count_build_data(first.id, last.id).await?.into_iter().collect();
            for build in &builds {
                let Some(verdict) = self.verdict(build, now).await? else { continue };
                if verdict.logs {
                    for log in logs.get(&build.id).into_iter().flatten() {
                        self.drop_log(*log).await?;
                    }
                }
                self.drop_rest(build, verdict, data.get(&build.id).copied().unwrap_or(0)).await?;
            }
            self.flush().await?;
        }
    }

    async fn verdict(&mut self, build: &OldBuild, now: i64) -> Result<Option<Verdict>> {
        let rule = {
            let live = self.shared.live();
            let builder = live.builders.get(&build.builderid);
            let (name, tags) = builder.map_or(("", &[][..]), |b| (b.name.as_str(), b.tags.as_slice()));
            self.rules.iter().find(|rule| rule.fits(name, tags, build.results))
        };
        let Some(rule) = rule else { return Ok(None) };
        let over = |horizon: Option<f64>| horizon.is_some_and(|h| build.complete_at < now - h as i64);
        let build_over = over(rule.builds_secs()) && build.id < self.oldest_kept(build, rule.keep()).await?;
        let spared = rule.keep.is_some() && build.id >= self.oldest_kept(build, rule.keep()).await?;
        Ok(Some(Verdict {
            build: build_over,
            logs: build_over || over(rule.logs_secs()) && !spared,
            data: over(rule.build_data_secs()) && !spared,
        }))
    }

    /// Builds of its builder from this id on are kept.
    async fn oldest_kept(&mut self, build: &OldBuild, keep: i64) -> Result<i64> {
        let key = (build.builderid, keep);
        if let Some(id) = self.kept.get(&key) {
            return Ok(*id);
        }
        // Fewer than that: all are kept.
        let id = self.shared.store.nth_newest_build(build.builderid, keep - 1).await?.unwrap_or(0);
        self.kept.insert(key, id);
        Ok(id)
    }

    /// Small logs go together, large ones a slice at a time.
    async fn drop_log(&mut self, log: i64) -> Result<()> {
        loop {
            let chunks = self.shared.store.first_chunks(log, CHUNKS).await?;
            let whole = (chunks.len() as i64) < CHUNKS;
            if let Some(last) = chunks.last() {
                self.batch.drop_log_lines(log, *last);
            }
            if whole {
                self.batch.mark_log_deleted(log);
                self.done.logs += 1;
            }
            self.done.chunks += chunks.len() as u64;
            self.add(chunks.len() + 1).await?;
            if whole {
                return Ok(());
            }
            self.flush().await?;
        }
    }

    async fn drop_rest(&mut self, build: &OldBuild, verdict: Verdict, data: i64) -> Result<()> {
        if verdict.build {
            let set = self.shared.store.buildset_of_request(build.buildrequestid).await?;
            self.batch.drop_build(build, set);
            self.done.builds += 1;
            // With its steps, properties and whatever else hangs on it.
            self.add(10).await?;
        } else if verdict.data && data > 0 {
            self.batch.drop_build_data(build.id);
            self.done.data += u64::try_from(data).unwrap_or(0);
            self.add(data as usize).await?;
        }
        Ok(())
    }

    async fn add(&mut self, weight: usize) -> Result<()> {
        self.weight += weight;
        if self.weight >= CHUNKS as usize { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.weight = 0;
        if !batch.is_empty() {
            self.shared.take_out(&batch).await?;
            (self.progress)(&self.done);
        }
        Ok(())
    }
}

fn grouped(pairs: Vec<(i64, i64)>) -> HashMap<i64, Vec<i64>> {
    let mut all: HashMap<i64, Vec<i64>> = HashMap::new();
    for (build, log) in pairs {
        all.entry(build).or_default().push(log);
    }
    all
}
