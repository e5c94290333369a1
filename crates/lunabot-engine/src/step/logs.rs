//! Logs of a step (reference 13.002–13.005).

use super::StepError;
use crate::logs::{Channel, LogText, Masks, SizeLimits};
use lunabot_data::{Data, new};
use lunabot_model::LogId;
use lunabot_model::resources::LogType;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A log that a step writes. Clones write the same log.
#[derive(Clone)]
pub struct LogHandle(Arc<Inner>);

struct Inner {
    id: LogId,
    name: String,
    log_type: LogType,
    data: Data,
    masks: Arc<Masks>,
    /// `None` once finished. Held while a piece is handed to the store, so that lines keep their order.
    text: Mutex<Option<LogText>>,
}

impl LogHandle {
    pub(crate) fn new(
        data: Data,
        log: &lunabot_model::resources::Log,
        masks: Arc<Masks>,
        limits: SizeLimits,
    ) -> Self {
        LogHandle(Arc::new(Inner {
            id: log.logid,
            name: log.name.clone(),
            log_type: log.log_type,
            data,
            masks,
            text: Mutex::new(Some(LogText::new(limits))),
        }))
    }

    pub fn id(&self) -> LogId {
        self.0.id
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Text for standard output (logs of type `s`). Any split is fine: whole lines are stored (13.003), secrets masked.
    /// Waits while the store is behind.
    pub async fn add_stdout(&self, text: &str) -> Result<(), StepError> {
        self.add([(Channel::Stdout, text)]).await
    }

    pub async fn add_stderr(&self, text: &str) -> Result<(), StepError> {
        self.add([(Channel::Stderr, text)]).await
    }

    pub async fn add_header(&self, text: &str) -> Result<(), StepError> {
        self.add([(Channel::Header, text)]).await
    }

    /// Text for logs of type `t` and `h`.
    pub async fn add_content(&self, text: &str) -> Result<(), StepError> {
        self.add([(Channel::Content, text)]).await
    }

    /// Several pieces at once, stored together. Pieces for a finished log are dropped (13.021).
    pub(crate) async fn add<'a>(
        &self,
        pieces: impl IntoIterator<Item = (Channel, &'a str)>,
    ) -> Result<(), StepError> {
        let mut text = self.0.text.lock().await;
        let Some(log) = text.as_mut() else {
            tracing::debug!(log = self.0.id, "text for a finished log is dropped");
            return Ok(());
        };
        let mut out = String::new();
        for (channel, piece) in pieces {
            log.push(&self.0.masks, self.channel(channel), piece, &mut out);
        }
        self.store(out).await
    }

    /// Writes what is left of an unfinished line and closes the log. The engine does this for logs left open.
    pub async fn finish(&self) -> Result<(), StepError> {
        let mut text = self.0.text.lock().await;
        let Some(mut log) = text.take() else { return Ok(()) };
        let mut out = String::new();
        log.finish(&self.0.masks, &mut out);
        self.store(out).await?;
        self.0.data.finish_log(self.0.id).await?.detach();
        Ok(())
    }

    async fn store(&self, out: String) -> Result<(), StepError> {
        if !out.is_empty() {
            self.0.data.append_log(self.0.id, new::LogText(out)).await?.detach();
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
