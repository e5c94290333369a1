//! Observers of logs (reference 05.051–05.054, 13.005, 13.025).
//!
//! An observer sees what a log stores: whole lines, secrets masked, line ends normalised; but all of it, also what a
//! size limit leaves out. It is told in a task of whoever writes: text from a worker waits for its observers, so a slow
//! one slows the worker down and nothing piles up.

use super::StepError;
use crate::build::Patience;
use crate::logs::Channel;
use async_trait::async_trait;
use futures::FutureExt;
use lunabot_data::Data;
use lunabot_model::LogId;
use lunabot_model::resources::LogType;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The longest line, in characters, that observers of single lines are given; longer ones are dropped (05.052).
pub const MAX_LINE_LENGTH: usize = 16_384;

/// Lines read at once for an observer that comes late.
const REPLAYED: i64 = 1000;

/// Sees the text of one log (05.051). Its first error is the step's EXCEPTION, and then it sees no more (13.025).
#[async_trait]
pub trait LogObserver: Send {
    /// Whole lines of one channel, each ending in a newline.
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError>;

    /// The log is finished: nothing more comes.
    async fn finished(&mut self) -> Result<(), StepError> {
        Ok(())
    }
}

/// Sees single lines, without their newline (05.052).
pub trait LineObserver: Send {
    fn line(&mut self, channel: Channel, line: &str);
}

/// A [`LineObserver`] that its step reads meanwhile and afterwards.
#[derive(Debug, Default)]
pub struct Observed<T>(Arc<Mutex<T>>);

impl<T> Observed<T> {
    pub fn new(observer: T) -> Self {
        Observed(Arc::new(Mutex::new(observer)))
    }

    /// What it has seen so far. Not to be held while anything is awaited.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Observed<T> {
    fn clone(&self) -> Self {
        Observed(self.0.clone())
    }
}

#[async_trait]
impl<T: LineObserver> LogObserver for Observed<T> {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        let mut observer = self.lock();
        short_lines(lines, MAX_LINE_LENGTH).for_each(|line| observer.line(channel, line));
        Ok(())
    }
}

/// The lines of a text that are not longer than `most` characters, without their newlines.
pub fn short_lines(lines: &str, most: usize) -> impl Iterator<Item = &str> {
    lines.split_terminator('\n').filter(move |line| line.len() <= most || line.chars().count() <= most)
}

/// The observers of one log.
#[derive(Default)]
pub(super) struct Audience {
    /// What they were not told yet, in order.
    news: Mutex<VecDeque<News>>,
    /// One for each [`News::Joined`], in order.
    joining: Mutex<VecDeque<Box<dyn LogObserver>>>,
    observers: tokio::sync::Mutex<Vec<Box<dyn LogObserver>>>,
    faults: Mutex<Vec<StepError>>,
}

pub(super) enum News {
    /// There is a new observer (in `joining`), which is told what the log holds already: so many lines.
    Joined(i64),
    Lines(Channel, String),
    Finished,
}

/// The log that an audience sees.
pub(super) struct Source<'a> {
    pub patience: &'a Patience,
    pub data: &'a Data,
    pub id: LogId,
    pub log_type: LogType,
}

impl Audience {
    /// Admits an observer of a log of which so many lines are stored.
    pub fn admit(&self, observer: Box<dyn LogObserver>, stored: i64) {
        self.joining().push_back(observer);
        self.post([News::Joined(stored)]);
    }

    pub fn post(&self, news: impl IntoIterator<Item = News>) {
        self.news().extend(news);
    }

    /// Tells everything that is not told yet, or waits until another has.
    pub async fn tell(&self, source: Source<'_>) {
        self.tell_with(source, self.observers.lock().await).await;
    }

    /// Tells everything that is not told yet, unless another is about it: an observer may itself write to the log.
    pub async fn tell_unless_busy(&self, source: Source<'_>) {
        if let Ok(observers) = self.observers.try_lock() {
            self.tell_with(source, observers).await;
        }
    }

    async fn tell_with(
        &self,
        source: Source<'_>,
        mut observers: tokio::sync::MutexGuard<'_, Vec<Box<dyn LogObserver>>>,
    ) {
        loop {
            let Some(news) = self.news().pop_front() else { return };
            let told = match news {
                News::Joined(_) => self.joining().pop_front().into_iter().collect(),
                News::Lines(..) | News::Finished => std::mem::take(&mut *observers),
            };
            for mut observer in told {
                let told = tokio::select! {
                    biased;
                    told = source.tell(observer.as_mut(), &news) => told,
                    () = source.patience.ends() => Err(source.patience.interruption()),
                };
                match told {
                    Ok(()) if matches!(news, News::Finished) => {}
                    Ok(()) => observers.push(observer),
                    Err(error) if source.patience.gave_up(&error) => {
                        tracing::debug!(log = source.id, "an observer of a stopped step is given up");
                    }
                    Err(fault) => self.faults().push(fault),
                }
            }
        }
    }

    /// What observers broke on, once.
    pub fn take_faults(&self) -> Vec<StepError> {
        std::mem::take(&mut *self.faults())
    }

    fn news(&self) -> MutexGuard<'_, VecDeque<News>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn joining(&self) -> MutexGuard<'_, VecDeque<Box<dyn LogObserver>>> {
        self.joining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Vec<StepError>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source<'_> {
    async fn tell(&self, observer: &mut dyn LogObserver, news: &News) -> Result<(), StepError> {
        match news {
            News::Joined(stored) => self.replay(observer, *stored).await,
            News::Lines(channel, lines) => observer.received(*channel, lines).await,
            News::Finished => observer.finished().await,
        }
    }

    /// Tells an observer the first `stored` lines of the log.
    async fn replay(&self, observer: &mut dyn LogObserver, stored: i64) -> Result<(), StepError> {
        let mut first = 0;
        while first < stored {
            let last = (first + REPLAYED).min(stored) - 1;
            let text = self.data.log_lines(self.id, first, last).boxed().await?;
            for (channel, lines) in runs(self.log_type, &text) {
                observer.received(channel, &lines).await?;
            }
            first = last + 1;
        }
        Ok(())
    }
}

/// Stored lines as they were received: neighbours of one channel together, letters taken off.
fn runs(log_type: LogType, stored: &str) -> Vec<(Channel, String)> {
    let mut runs: Vec<(Channel, String)> = Vec::new();
    for line in stored.lines() {
        let (channel, line) = match log_type {
            LogType::Stdio => Channel::of_stored(line),
            LogType::Text | LogType::Html | LogType::Deleted => (Channel::Content, line),
        };
        match runs.last_mut() {
            Some((last, lines)) if *last == channel => {
                lines.push_str(line);
                lines.push('\n');
            }
            _ => runs.push((channel, format!("{line}\n"))),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_05_052_lines_longer_than_the_limit_are_dropped() {
        let long = "é".repeat(MAX_LINE_LENGTH + 1);
        let text = format!("a\n{long}\n\nb\n");
        assert_eq!(short_lines(&text, MAX_LINE_LENGTH).collect::<Vec<_>>(), ["a", "", "b"]);
        let fits = "é".repeat(MAX_LINE_LENGTH);
        assert_eq!(short_lines(&fits, MAX_LINE_LENGTH).count(), 1);
    }

    #[test]
    fn row_13_002_stored_lines_come_back_by_channel() {
        let stdio = runs(LogType::Stdio, "oa\nob\nec\nhd\noe\n");
        let texts: Vec<_> = stdio.iter().map(|(channel, lines)| (*channel, lines.as_str())).collect();
        assert_eq!(
            texts,
            [
                (Channel::Stdout, "a\nb\n"),
                (Channel::Stderr, "c\n"),
                (Channel::Header, "d\n"),
                (Channel::Stdout, "e\n")
            ]
        );
        assert_eq!(runs(LogType::Text, "ob\n"), [(Channel::Content, "ob\n".to_string())]);
    }
}
