//! What a test makes simulated workers answer.

use lunabot_model::{Callback, Duration, FromLua, Json, glob};
use lunabot_proto::Value;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// What comes of one command. Where nothing is said, it succeeds without a word.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// The exit status.
    pub rc: i64,
    pub stdout: String,
    pub stderr: String,
    pub header: String,
    /// The text of log files that the command watches (`logfiles`), by name.
    pub logs: BTreeMap<String, String>,
    /// What commands of one's own report, by name.
    pub updates: BTreeMap<String, Json>,
    /// How long it takes on the virtual clock.
    pub seconds: Option<Duration>,
    /// It never ends by itself.
    pub hangs: bool,
    /// The worker is lost meanwhile.
    pub lost: bool,
    /// The command breaks in itself, with this text.
    pub breaks: Option<String>,
}

impl Answer {
    /// A number is an exit status, a text is output, nothing is success.
    ///
    /// # Errors
    /// It is none of these, or a table with names that mean nothing here.
    pub fn read(value: &Json) -> Result<Self, String> {
        match value {
            Json::Null => Ok(Answer::default()),
            Json::Number(rc) => {
                let rc = rc.as_i64().ok_or_else(|| format!("{rc} is no exit status"))?;
                Ok(Answer { rc, ..Answer::default() })
            }
            Json::String(stdout) => Ok(Answer { stdout: stdout.clone(), ..Answer::default() }),
            Json::Object(fields) => {
                let told: serde_json::Map<String, Json> = fields
                    .iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                let told = Json::Object(told);
                FromLua(&told).read().map_err(|error| error.to_string())
            }
            other => Err(format!("{other} is no answer; write {{rc = 1, stdout = \"…\"}}")),
        }
    }
}

/// Who answers.
#[derive(Debug, Clone)]
enum Rule {
    /// The first ones once each, the last one from then on.
    Fixed(Vec<Answer>),
    Function(Callback),
}

/// What is to be done about a command.
pub enum Said {
    Answer(Answer),
    /// The function is asked.
    Ask(Callback),
}

/// Answers by command line, in which `*`, `?` and `[…]` stand for what they stand for in names of files.
#[derive(Debug, Default)]
pub struct Answers {
    rules: HashMap<String, Rule>,
    /// Patterns that no command has been like so far, in the order in which they were given.
    unfit: Vec<String>,
}

impl Answers {
    /// Adds answers; those for the same pattern are replaced.
    ///
    /// # Errors
    /// The pattern whose answer is none, and why.
    pub fn add(&mut self, table: &Json) -> Result<(), String> {
        let wanted = "answers takes a table: {[\"make test\"] = {rc = 1}}";
        let table = table.as_object().ok_or(wanted)?;
        for (pattern, value) in table {
            let rule = Self::rule(value).map_err(|error| format!("answers: {pattern}: {error}"))?;
            self.unfit.retain(|known| known != pattern);
            self.unfit.push(pattern.clone());
            self.rules.insert(pattern.clone(), rule);
        }
        Ok(())
    }

    /// A command is run, whoever answers.
    pub fn see(&mut self, line: &str) {
        self.unfit.retain(|pattern| pattern != line && !glob::matches(pattern, line));
    }

    /// Patterns that no command was like.
    pub fn unfit(&self) -> &[String] {
        &self.unfit
    }

    fn rule(value: &Json) -> Result<Rule, String> {
        if let Some(callback) = Callback::from_json(value) {
            return Ok(Rule::Function(callback));
        }
        let Json::Array(items) = value else { return Ok(Rule::Fixed(vec![Answer::read(value)?])) };
        let all: Result<Vec<Answer>, String> = items.iter().map(Answer::read).collect();
        let mut all = all?;
        // Taken from the end.
        all.reverse();
        if all.is_empty() { Err("an empty list is no answer".into()) } else { Ok(Rule::Fixed(all)) }
    }

    /// The answer to a command line: of the same text first, else of the longest pattern that matches.
    pub fn of(&mut self, line: &str) -> Option<Said> {
        let key = self.key_of(line)?;
        Some(match self.rules.get_mut(&key)? {
            Rule::Function(callback) => Said::Ask(callback.clone()),
            Rule::Fixed(all) if all.len() > 1 => Said::Answer(all.pop()?),
            Rule::Fixed(all) => Said::Answer(all.first()?.clone()),
        })
    }

    fn key_of(&self, line: &str) -> Option<String> {
        if self.rules.contains_key(line) {
            return Some(line.to_owned());
        }
        let matching = self.rules.keys().filter(|pattern| glob::matches(pattern, line));
        matching.max_by_key(|pattern| (pattern.len(), pattern.as_str())).cloned()
    }
}

/// A value of the wire.
pub fn wire(value: &Json) -> Value {
    match value {
        Json::Null => Value::None,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::List(items.iter().map(wire).collect()),
        Json::Object(fields) => {
            Value::Dict(fields.iter().map(|(name, value)| (name.clone(), wire(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rc(answers: &mut Answers, line: &str) -> Option<i64> {
        match answers.of(line)? {
            Said::Answer(answer) => Some(answer.rc),
            Said::Ask(_) => None,
        }
    }

    #[test]
    fn the_same_text_wins_over_the_longest_pattern_and_lists_are_used_up_to_their_last() {
        let mut answers = Answers::default();
        answers.add(&json!({"make test": 1, "make *": {"rc": 2}, "*": 3, "flaky": [4, 0]})).unwrap();
        assert_eq!(rc(&mut answers, "make test"), Some(1));
        assert_eq!(rc(&mut answers, "make all"), Some(2));
        assert_eq!(rc(&mut answers, "ls"), Some(3));
        assert_eq!([(); 3].map(|()| rc(&mut answers, "flaky")), [Some(4), Some(0), Some(0)]);
    }

    #[test]
    fn patterns_that_nothing_was_like_are_known() {
        let mut answers = Answers::default();
        answers.add(&json!({"make test": 1, "make *": 2, "make tset": 3})).unwrap();
        answers.see("make test");
        assert_eq!(answers.unfit(), ["make tset"]);
    }

    #[test]
    fn what_is_no_answer_is_told_with_its_command() {
        let error = Answers::default().add(&json!({"make": {"rcc": 1}})).unwrap_err();
        assert!(error.starts_with("answers: make: ") && error.contains("rcc"), "{error}");
    }
}
