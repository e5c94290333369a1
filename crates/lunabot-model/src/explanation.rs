//! Why a request waits, or what became of it (lua-api § 6).

use crate::Id;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What `GET /api/v2/buildrequests/N/explanation` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub buildrequestid: Id,
    pub builderid: Id,
    /// The builder's name.
    pub builder: String,
    pub state: RequestState,
    /// What matters most, in a line.
    pub summary: String,
    /// Since when that is so, seconds since 1970, where it is known.
    pub since: Option<i64>,
    /// When the request was made, seconds since 1970.
    pub submitted_at: i64,
    /// The request that made this one needless (07.006).
    pub collapsed_into: Option<Id>,
    /// Each rule with its answer as it is now, in the order in which they are asked.
    pub answers: Vec<RuleAnswer>,
    /// Answers since the request was made, oldest first: the last different ones of each rule.
    pub history: Vec<RuleAnswer>,
}

/// Where a request is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// Nobody has claimed it.
    Pending,
    /// A build of it runs, or is about to.
    Building,
    Complete,
}

/// A rule's answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleAnswer {
    /// `worker`, `lock`, `queue`, `builder`, `master`, `build`, or the option of the configuration: `canStartBuild`.
    pub rule: Cow<'static, str>,
    /// The worker that it is about.
    pub worker: Option<String>,
    /// Reads on from the rule, or from the worker's name: `is not connected`.
    pub text: String,
    /// It keeps the request from starting.
    pub blocks: bool,
    /// When it was first given, seconds since 1970.
    pub since: Option<i64>,
    /// When it was last given.
    pub last_at: Option<i64>,
    /// When it ceased to hold, or will; `None`: it holds, as far as is known.
    pub until: Option<i64>,
    /// How often it was given, where it was given as an answer; otherwise 1.
    pub times: u32,
    /// The place of a function: `master.lua:40`.
    pub at: Option<String>,
}

impl RuleAnswer {
    pub fn new(rule: &'static str, text: impl Into<String>) -> Self {
        RuleAnswer { rule: rule.into(), text: text.into(), times: 1, ..RuleAnswer::default() }
    }

    /// The same as what keeps the request from starting.
    pub fn blocking(self) -> Self {
        RuleAnswer { blocks: true, ..self }
    }

    /// In a line, without times: `canStartBuild returned false for w1 (master.lua:40)`.
    pub fn told(&self) -> String {
        let place = self.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
        match (&*self.rule, &self.worker) {
            ("worker", Some(worker)) => format!("worker {worker} {}", self.text),
            ("worker" | "lock" | "queue" | "build" | "cancel", None) => format!("{}{place}", self.text),
            ("lock", Some(worker)) => format!("{} for worker {worker}", self.text),
            ("master" | "builder", None) => format!("the {} {}", self.rule, self.text),
            (rule, Some(worker)) => format!("{rule} {} for worker {worker}{place}", self.text),
            (rule, None) => format!("{rule} {}{place}", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_line() {
        let mut answer = RuleAnswer::new("worker", "is not connected");
        answer.worker = Some("w1".into());
        assert_eq!(answer.told(), "worker w1 is not connected");
        let mut answer = RuleAnswer { rule: "canStartBuild".into(), text: "returned false".into(), ..answer };
        answer.at = Some("master.lua:40".into());
        assert_eq!(answer.told(), "canStartBuild returned false for worker w1 (master.lua:40)");
        assert_eq!(RuleAnswer::new("master", "is stopping").told(), "the master is stopping");
        assert_eq!(RuleAnswer::new("cancel", "cancelled: enough").told(), "cancelled: enough");
    }
}
