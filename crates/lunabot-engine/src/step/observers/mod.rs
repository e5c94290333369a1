//! Observers of logs that a configuration declares: classes of its own, functions, patterns (reference 05e, lua-api § 3).

mod buffer;
mod consumer;
pub(crate) mod kinds;
mod pattern;
mod scripted;

use super::{LogObserver, StepContext, StepError};
use lunabot_model::AnyObject;

/// Makes the observer that was declared, for this step. The error says what would be right.
pub(crate) async fn make(cx: &StepContext, object: &AnyObject) -> Result<Box<dyn LogObserver>, StepError> {
    let made: Box<dyn LogObserver> = match object.kind.as_str() {
        "util.LogObserver" | "util.LogLineObserver" => {
            Box::new(scripted::ScriptObserver::begin(cx, object).await?)
        }
        "util.BufferLogObserver" => Box::new(buffer::begin(cx, object).await?),
        "util.LineConsumerLogObserver" => Box::new(consumer::Consumer::begin(cx, object)?),
        "util.PatternObserver" => Box::new(pattern::PatternObserver::begin(cx, object)?),
        other => return Err(StepError::Exception(format!("{other} is no observer of logs"))),
    };
    Ok(made)
}
