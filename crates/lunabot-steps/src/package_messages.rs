//! What checkers of packages print: lines that begin with `W: ` and `E: ` (06.057).

use crate::kept::Kept;
use lunabot_engine::step::{Channel, LineObserver, StepContext, StepError};

/// Warnings and errors.
#[derive(Debug, Default)]
pub struct PackageMessages {
    pub warnings: Kept,
    pub errors: Kept,
}

impl LineObserver for PackageMessages {
    fn line(&mut self, channel: Channel, line: &str) {
        match line.get(..3) {
            Some("W: ") if channel == Channel::Stdout => self.warnings.add(line),
            Some("E: ") if channel == Channel::Stdout => self.errors.add(line),
            _ => {}
        }
    }
}

impl PackageMessages {
    /// The logs `3 Warnings` and `1 Errors`, where there are any.
    pub async fn add_logs(&self, cx: &StepContext) -> Result<(), StepError> {
        self.warnings.add_log(cx, &format!("{} Warnings", self.warnings.count())).await?;
        self.errors.add_log(cx, &format!("{} Errors", self.errors.count())).await
    }
}
