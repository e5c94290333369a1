//! How a stop goes, decided from signals alone (16.023, 16.024): a machine without I/O.
//!
//! ```text
//! running ─USR1─► clean ─TERM─► soft ─grace over─► now ─any─► at once
//!    ├─TERM──────────────────────► soft ─TERM, INT──► now
//!    └─INT, a task died───────────────────────────► now
//! ```

use std::time::Duration;

/// What asks for a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// SIGUSR1.
    Clean,
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// The time that running builds had is over.
    GraceOver,
    /// The process cannot go on.
    Fault,
}

/// How far the stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Running,
    /// No new builds; running ones have all the time they want.
    Clean,
    /// No new builds; running ones have until the grace is over.
    Soft,
    /// Running builds end with RETRY, everything is written, the process ends.
    Now,
    /// Not even that: the store repairs itself at the next start.
    AtOnce,
}

/// The stop of one process.
#[derive(Debug)]
pub struct Stop {
    stage: Stage,
    grace: Duration,
}

impl Stop {
    /// `grace` is how long running builds may go on after SIGTERM.
    pub fn new(grace: Duration) -> Self {
        Stop { stage: Stage::Running, grace }
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// How long [`Stage::Soft`] lasts.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// Takes in a cause; the new stage if it changed.
    pub fn handle(&mut self, cause: Cause) -> Option<Stage> {
        let next = match (self.stage, cause) {
            (Stage::Running, Cause::Clean) => Stage::Clean,
            (Stage::Running | Stage::Clean, Cause::Terminate) if self.grace.is_zero() => Stage::Now,
            (Stage::Running | Stage::Clean, Cause::Terminate) => Stage::Soft,
            (Stage::Running | Stage::Clean | Stage::Soft, Cause::Interrupt | Cause::Fault) => Stage::Now,
            (Stage::Soft, Cause::Terminate | Cause::GraceOver) => Stage::Now,
            (Stage::Now, Cause::Terminate | Cause::Interrupt) => Stage::AtOnce,
            // A clean stop asked for during a stop, a timer of an earlier stage, a fault on the way out.
            (Stage::Clean | Stage::Soft | Stage::Now | Stage::AtOnce, Cause::Clean)
            | (Stage::Running | Stage::Clean | Stage::Now | Stage::AtOnce, Cause::GraceOver)
            | (Stage::Now | Stage::AtOnce, Cause::Fault)
            | (Stage::AtOnce, Cause::Terminate | Cause::Interrupt) => return None,
        };
        self.stage = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(causes: &[Cause]) -> Vec<Option<Stage>> {
        let mut stop = Stop::new(Duration::from_secs(10));
        causes.iter().map(|cause| stop.handle(*cause)).collect()
    }

    #[test]
    fn the_first_term_is_soft_and_the_second_is_not() {
        use Cause::*;
        let expected = [Some(Stage::Soft), Some(Stage::Now), Some(Stage::AtOnce), None];
        assert_eq!(story(&[Terminate, Terminate, Terminate, Terminate]), expected);
        assert_eq!(story(&[Terminate, GraceOver, GraceOver]), [Some(Stage::Soft), Some(Stage::Now), None]);
    }

    #[test]
    fn a_clean_stop_can_be_hurried() {
        use Cause::*;
        let expected = [Some(Stage::Clean), None, None, Some(Stage::Soft), Some(Stage::Now)];
        assert_eq!(story(&[Clean, Clean, GraceOver, Terminate, Interrupt]), expected);
    }

    #[test]
    fn control_c_and_faults_do_not_wait_for_builds() {
        use Cause::*;
        assert_eq!(story(&[Interrupt, Fault, Interrupt]), [Some(Stage::Now), None, Some(Stage::AtOnce)]);
        assert_eq!(story(&[Fault, GraceOver]), [Some(Stage::Now), None]);
        assert_eq!(Stop::new(Duration::ZERO).handle(Terminate), Some(Stage::Now));
    }
}
