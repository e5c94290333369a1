//! `util.PatternObserver`: what is found in lines, without a call into Lua (lua-api § 3).

use super::kinds::{On, PatternParams};
use crate::logs::Channel;
use crate::step::context::Inner;
use crate::step::observe::{LogObserver, MAX_LINE_LENGTH};
use crate::step::{StepContext, StepError, short_lines};
use async_trait::async_trait;
use lunabot_model::resources::LogType;
use lunabot_model::{AnyObject, pattern};
use regex::{Captures, Regex};
use std::sync::{Arc, PoisonError, Weak};

pub(super) struct PatternObserver {
    cx: Weak<Inner>,
    params: PatternParams,
    pattern: Regex,
    until: Option<Regex>,
    count: i64,
    over: bool,
}

impl PatternObserver {
    pub fn begin(cx: &StepContext, object: &AnyObject) -> Result<Self, StepError> {
        let params: PatternParams = super::super::read(&object.args)?;
        let compile = |written: &str| pattern::search(written).map_err(StepError::Exception);
        Ok(PatternObserver {
            cx: Arc::downgrade(&cx.0),
            pattern: compile(&params.pattern)?,
            until: params.until_pattern.as_deref().map(compile).transpose()?,
            params,
            count: 0,
            over: false,
        })
    }

    fn looks_at(&self, channel: Channel) -> bool {
        match self.params.on.unwrap_or(On::Stdout) {
            On::Stdout => matches!(channel, Channel::Stdout | Channel::Content),
            On::Stderr => channel == Channel::Stderr,
            On::Header => channel == Channel::Header,
            On::Both => channel != Channel::Header,
        }
    }

    /// One line in which the pattern was found.
    async fn found(&self, cx: &StepContext, found: &Captures<'_>) -> Result<(), StepError> {
        if let Some((name, template)) = &self.params.url {
            cx.add_url(&filled(name, found), &filled(template, found)).await?;
        }
        if let Some(name) = &self.params.property {
            let value = found.get(1).or(found.get(0)).map_or("", |part| part.as_str());
            cx.try_set_property(name, value.into(), "PatternObserver")?;
        }
        if let Some(result) = self.params.result {
            let mut best = cx.0.at_best.lock().unwrap_or_else(PoisonError::into_inner);
            *best = Some(best.map_or(result, |known| known.worst(result)));
        }
        Ok(())
    }
}

/// `%0` to `%9` are groups, `%%` is a percent sign.
fn filled(template: &str, found: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some(digit)) if digit.is_ascii_digit() => {
                let group = digit.to_digit(10).and_then(|n| found.get(n as usize));
                out.push_str(group.map_or("", |group| group.as_str()));
            }
            ('%', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    out
}

#[async_trait]
impl LogObserver for PatternObserver {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        if self.over || !self.looks_at(channel) {
            return Ok(());
        }
        let Some(cx) = self.cx.upgrade().map(StepContext::of) else { return Ok(()) };
        let (mut copied, before) = (String::new(), self.count);
        for line in short_lines(lines, MAX_LINE_LENGTH) {
            if self.until.as_ref().is_some_and(|until| until.is_match(line)) {
                self.over = true;
                break;
            }
            if let Some(found) = self.pattern.captures(line) {
                self.count += 1;
                self.found(&cx, &found).await?;
                if self.params.log.is_some() {
                    copied.push_str(line);
                    copied.push('\n');
                }
            }
        }
        if self.count == before {
            return Ok(());
        }
        if let Some(name) = &self.params.progress {
            cx.set_progress(name, self.count as f64)?;
        }
        if let Some(name) = &self.params.statistic {
            cx.set_statistic(name, self.count.into());
        }
        if let Some(name) = &self.params.log {
            let log = match cx.get_log(name) {
                Some(log) => log,
                None => cx.add_log(name, LogType::Text).await?,
            };
            log.add_stdout(&copied).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_with_groups() {
        let found = Regex::new(r"logs/(\w+)").unwrap();
        let found = found.captures("see logs/abc now").unwrap();
        assert_eq!(filled("100%% http://x/%1?%0%2", &found), "100% http://x/abc?logs/abc");
    }
}
