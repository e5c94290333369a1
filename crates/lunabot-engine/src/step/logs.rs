//! Logs of a step (reference 13.002–13.005).

use super::observe::{Audience, LogObserver, News, Source};
use super::{LogEncoding, StepError};
use crate::build::Patience;
use crate::logs::{Channel, LogText, Masks, SizeLimits};
use futures::FutureExt;
use lunabot_data::{Data, new};
use lunabot_model::resources::LogType;
use lunabot_model::{Crosses, LogId};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Mutex;

/// A log that a step writes. Clones write the same log.
#[derive(Clone)]
pub struct LogHandle(Crosses<Arc<Inner>>);

struct Inner {
    id: LogId,
    name: String,
    log_type: LogType,
    /// Of bytes that are written to it; `None`: the step's.
    encoding: Option<LogEncoding>,
    data: Data,
    masks: Arc<Masks>,
    /// `None` once finished. Held while a piece is handed to the store, so that lines keep their order.
    text: Mutex<Option<LogText>>,
    /// Lines that the store was given.
    stored: AtomicI64,
    /// Bytes of all logs of the step.
    output: Arc<AtomicU64>,
    audience: Audience,
    patience: Patience,
    /// How many ever joined the audience: without any, nothing is kept for it.
    observers: AtomicUsize,
}

impl LogHandle {
    pub(crate) fn new(
        data: Data,
        log: &lunabot_model::resources::Log,
        masks: Arc<Masks>,
        limits: SizeLimits,
        encoding: Option<LogEncoding>,
        output: Arc<AtomicU64>,
        patience: Patience,
    ) -> Self {
        LogHandle(Crosses::new(Arc::new(Inner {
            id: log.logid,
            name: log.name.clone(),
            log_type: log.log_type,
            encoding,
            data,
            masks,
            text: Mutex::new(Some(LogText::new(limits))),
            stored: AtomicI64::new(0),
            output,
            audience: Audience::default(),
            patience,
            observers: AtomicUsize::new(0),
        })))
    }

    pub fn id(&self) -> LogId {
        self.0.id
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its own `logEncoding`.
    pub(crate) fn encoding(&self) -> Option<&LogEncoding> {
        self.0.encoding.as_ref()
    }

    /// Text for standard output (logs of type `s`). Any split is fine: whole lines are stored (13.003), secrets masked.
    /// Waits while the store is behind.
    pub async fn add_stdout(&self, text: &str) -> Result<(), StepError> {
        self.add_own(Channel::Stdout, text).await
    }

    pub async fn add_stderr(&self, text: &str) -> Result<(), StepError> {
        self.add_own(Channel::Stderr, text).await
    }

    pub async fn add_header(&self, text: &str) -> Result<(), StepError> {
        self.add_own(Channel::Header, text).await
    }

    /// Text for logs of type `t` and `h`.
    pub async fn add_content(&self, text: &str) -> Result<(), StepError> {
        self.add_own(Channel::Content, text).await
    }

    /// Text from the step itself, or from an observer of this log, which must not wait for itself.
    async fn add_own(&self, channel: Channel, text: &str) -> Result<(), StepError> {
        self.write([(channel, text)]).await?;
        self.0.audience.tell_unless_busy(self.source()).await;
        Ok(())
    }

    /// Several pieces at once, stored together. Pieces for a finished log are dropped (13.021). Waits for observers.
    pub(crate) async fn add<'a>(
        &self,
        pieces: impl IntoIterator<Item = (Channel, &'a str)>,
    ) -> Result<(), StepError> {
        self.write(pieces).await?;
        self.0.audience.tell(self.source()).await;
        Ok(())
    }

    async fn write<'a>(&self, pieces: impl IntoIterator<Item = (Channel, &'a str)>) -> Result<(), StepError> {
        let mut text = self.0.text.lock().await;
        let Some(log) = text.as_mut() else {
            tracing::debug!(log = self.0.id, "text for a finished log is dropped");
            return Ok(());
        };
        let (mut out, mut news) = (String::new(), Vec::new());
        for (channel, piece) in pieces {
            log.push(&self.0.masks, self.channel(channel), piece, &mut out, &mut |channel, lines| {
                self.note(channel, lines, &mut news);
            });
        }
        self.store(out).await?;
        self.0.audience.post(news);
        Ok(())
    }

    /// Keeps lines for observers, where there are any.
    fn note(&self, channel: Channel, lines: &str, news: &mut Vec<News>) {
        if !lines.is_empty() && self.0.observers.load(Ordering::Relaxed) > 0 {
            news.push(News::Lines(channel, lines.into()));
        }
    }

    /// Writes what is left of an unfinished line and closes the log. The engine does this for logs left open.
    pub async fn finish(&self) -> Result<(), StepError> {
        self.end(true).await
    }

    /// Writes what is left of an unfinished line, which observers then have seen; the log stays open.
    pub(crate) async fn end_lines(&self) -> Result<(), StepError> {
        self.end(false).await
    }

    /// Ends the newest line, and the log too if `for_good`.
    async fn end(&self, for_good: bool) -> Result<(), StepError> {
        let mut text = self.0.text.lock().await;
        let Some(log) = text.as_mut() else { return Ok(()) };
        let (mut out, mut news) = (String::new(), Vec::new());
        let mut note = |channel, lines: &str| self.note(channel, lines, &mut news);
        if for_good {
            log.finish(&self.0.masks, &mut out, &mut note);
            *text = None;
        } else {
            log.end_lines(&self.0.masks, &mut out, &mut note);
        }
        self.store(out).await?;
        if for_good {
            self.0.data.finish_log(self.0.id).boxed().await?.detach();
            news.push(News::Finished);
        }
        self.0.audience.post(news);
        drop(text);
        self.0.audience.tell(self.source()).await;
        Ok(())
    }

    /// Whether nothing more is taken.
    pub(crate) async fn is_finished(&self) -> bool {
        self.0.text.lock().await.is_none()
    }

    /// Lets `observer` see the log: what it holds already, then what comes (13.005).
    pub async fn observe(&self, observer: Box<dyn LogObserver>) {
        self.admit(observer, true).await;
    }

    /// Lets `observer` see what comes from now on.
    pub(crate) async fn observe_from_now(&self, observer: Box<dyn LogObserver>) {
        self.admit(observer, false).await;
    }

    async fn admit(&self, observer: Box<dyn LogObserver>, from_beginning: bool) {
        let text = self.0.text.lock().await;
        self.0.observers.fetch_add(1, Ordering::Relaxed);
        let stored = if from_beginning { self.0.stored.load(Ordering::Relaxed) } else { 0 };
        self.0.audience.admit(observer, stored);
        self.0.audience.post(text.is_none().then_some(News::Finished));
        drop(text);
        self.0.audience.tell_unless_busy(self.source()).await;
    }

    /// What observers broke on, once.
    pub(crate) fn take_faults(&self) -> Vec<StepError> {
        self.0.audience.take_faults()
    }

    fn source(&self) -> Source<'_> {
        Source { patience: &self.0.patience, data: &self.0.data, id: self.0.id, log_type: self.0.log_type }
    }

    async fn store(&self, out: String) -> Result<(), StepError> {
        if !out.is_empty() {
            let lines = out.bytes().filter(|byte| *byte == b'\n').count();
            self.0.output.fetch_add(out.len() as u64, Ordering::Relaxed);
            self.0.stored.fetch_add(i64::try_from(lines).unwrap_or(i64::MAX), Ordering::Relaxed);
            self.0.data.append_log(self.0.id, new::LogText(out)).boxed().await?.detach();
        }
        Ok(())
    }

    /// Only logs of type `s` have channels.
    fn channel(&self, wanted: Channel) -> Channel {
        match self.0.log_type {
            LogType::Stdio if wanted == Channel::Content => Channel::Stdout,
            LogType::Stdio => wanted,
            LogType::Text | LogType::Html | LogType::Deleted => Channel::Content,
        }
    }
}
