//! Lines that a step keeps for a log of their own.

use lunabot_engine::step::{StepContext, StepError};

/// The most text that is kept, in bytes; further lines are counted only.
const MAX_KEPT: usize = 16 * 1024 * 1024;

/// Lines, all counted and as many kept as is bearable.
#[derive(Debug, Default)]
pub struct Kept {
    count: u64,
    text: String,
    shown: u64,
}

impl Kept {
    pub fn add(&mut self, line: &str) {
        self.count += 1;
        if self.text.len() + line.len() < MAX_KEPT {
            self.text.push_str(line);
            self.text.push('\n');
            self.shown += 1;
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Makes a log of them, if there are any.
    pub async fn add_log(&self, cx: &StepContext, name: &str) -> Result<(), StepError> {
        if self.count == 0 { Ok(()) } else { self.add_log_anyway(cx, name).await }
    }

    /// Makes a log of them, which may be empty.
    pub async fn add_log_anyway(&self, cx: &StepContext, name: &str) -> Result<(), StepError> {
        let more = self.count - self.shown;
        let rest = if more == 0 { String::new() } else { format!("{more} more are not shown\n") };
        cx.add_complete_log(name, &format!("{}{rest}", self.text)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_past_the_limit_are_counted_and_not_kept() {
        let mut kept = Kept::default();
        let long = "x".repeat(MAX_KEPT / 2);
        for _ in 0..3 {
            kept.add(&long);
        }
        assert_eq!((kept.count(), kept.shown), (3, 1));
        assert!(kept.text.len() <= MAX_KEPT);
    }
}
