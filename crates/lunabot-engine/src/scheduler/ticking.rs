//! What the actor of a timed scheduler does beyond that of one that follows changes (03.016–03.020).

use super::actor::{Machine, Running};
use super::definition::Plan;
use super::timed::{Memory, Timed, Timetable};
use super::timing::{Event, Timing};
use super::trigger::TriggerOrder;
use super::triggerable;
use super::{buildset::Wanted, timed::When};
use lunabot_data::new::{StateKey, StateValue};
use lunabot_model::{AnyObject, Json, Mono, Time, percent};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const LAST_BUILD: &str = "last_build";
const LAST_ONLY_IF_CHANGED: &str = "last_only_if_changed";
/// Since when a calendar counts, and which: a changed one counts from when it was changed.
pub(super) const COUNTED: &str = "counted_since";
/// What a NightlyTriggerable was triggered with last.
pub(super) const LAST_TRIGGER: &str = "lastTrigger";

/// The wall clock may jump: it is looked at at least so often.
const GLANCE: Duration = Duration::from_secs(60);
/// How long one waits for those that come before it at the same moment.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

impl Running {
    /// The machine that the options want, with what is remembered.
    pub(super) async fn machine(&self) -> Option<Machine> {
        Some(match &self.definition.plan {
            Plan::Changes { delay, .. } => Machine::Changes(Timing::new(*delay)),
            Plan::Clock(table) | Plan::Stored(table) => {
                let memory = self.memory(table).await?;
                Machine::Clock(Timed::new(table.clone(), memory))
            }
        })
    }

    async fn memory(&self, table: &Arc<Timetable>) -> Option<Memory> {
        let seconds = |value: &Json| value.as_f64().map(|secs| Time((secs * 1e6) as i64));
        let last_build = seconds(&self.state(LAST_BUILD).await?);
        let last_only = self.state(LAST_ONLY_IF_CHANGED).await?.as_bool().unwrap_or(true);
        let mut since = self.definition.around.clock.now();
        if let When::Calendar(cron) = &table.when {
            let counted = self.state(COUNTED).await?;
            match seconds(&counted["at"]).filter(|_| counted["times"] == cron.to_string()) {
                Some(known) => since = known,
                None => {
                    let value = json!({"at": since.secs_f64(), "times": cron.to_string()});
                    self.set_state(COUNTED, value).await?;
                }
            }
        }
        Some(Memory { last_build, last_only_if_changed: last_only, since })
    }

    /// A calendar counts anew from now (03.003).
    pub(super) async fn count_anew(&self) -> Option<()> {
        match &self.definition.plan {
            Plan::Changes { .. } => Some(()),
            Plan::Clock(_) | Plan::Stored(_) => self.set_state(COUNTED, Json::Null).await,
        }
    }

    /// When the actor has to look at its machine again.
    pub(super) fn next_wake(&self) -> Option<Mono> {
        let clock = &self.definition.around.clock;
        match &self.machine {
            Machine::Changes(timing) => timing.next_wake(),
            Machine::Clock(timed) => {
                let (now, mono) = (clock.now(), clock.mono());
                let wait = timed.due(now)?.0.saturating_sub(now.0).max(0);
                // All look at the wall at the same moments.
                let glance =
                    Duration::from_secs((mono.0.as_secs() / GLANCE.as_secs() + 1) * GLANCE.as_secs());
                Some((mono + Duration::from_micros(wait.unsigned_abs())).min(Mono(glance)))
            }
        }
    }

    /// Tells the agenda when it acts next.
    pub(super) fn publish(&self) {
        let clock = &self.definition.around.clock;
        let (next, timed) = match &self.machine {
            Machine::Changes(timing) => {
                let wall = |deadline: Mono| clock.now() + (deadline - clock.mono());
                (timing.next_wake().map(wall), false)
            }
            Machine::Clock(timed) => (timed.due(clock.now()), true),
        };
        self.definition.around.agenda.next(self.definition.name(), next, timed);
    }

    /// Time has passed.
    pub(super) async fn woke(&mut self) -> Option<()> {
        let clock = self.definition.around.clock.clone();
        if let Machine::Clock(timed) = &self.machine
            && let Some(due) = timed.due(clock.now()).filter(|due| *due <= clock.now())
        {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = self.definition.around.agenda.turn(self.definition.name(), due) => {}
                () = clock.sleep(TURN_PATIENCE) => {}
            }
        }
        self.event(Event::Woke, None).await
    }

    /// States of a timed scheduler that belong to what it has just decided.
    pub(super) fn decided(&self) -> Vec<(StateKey, StateValue)> {
        let Machine::Clock(timed) = &self.machine else { return Vec::new() };
        let memory = timed.memory();
        let last_build = memory.last_build.map_or(Json::Null, |time| time.secs_f64().into());
        vec![
            (self.key(LAST_BUILD), last_build),
            (self.key(LAST_ONLY_IF_CHANGED), memory.last_only_if_changed.into()),
        ]
    }

    /// Nothing to build this time (03.018).
    pub(super) async fn skip(&self) -> Option<()> {
        tracing::info!(scheduler = %self.definition.name(), "nothing has changed; nothing is built this time");
        self.store_decided().await
    }

    pub(super) async fn store_decided(&self) -> Option<()> {
        for (key, value) in self.decided() {
            self.set_state(&key.name, value).await?;
        }
        Some(())
    }

    /// Remembers what it is triggered with, until its time comes (03.020).
    pub(super) async fn remember_trigger(&self, order: &TriggerOrder) -> Option<()> {
        let order = serde_json::to_value(order).unwrap_or_default();
        self.set_state_durably(LAST_TRIGGER, order).await
    }

    /// The buildset of what it was triggered with last; none if nothing came since the last one.
    pub(super) async fn stored_wanted(&self) -> Option<Option<Wanted>> {
        let stored = self.state(LAST_TRIGGER).await?;
        if stored.is_null() {
            return Some(None);
        }
        let reason = || self.definition.reason.clone();
        let codebases = &self.definition.intake.codebases;
        let wanted = serde_json::from_value::<TriggerOrder>(stored)
            .map_err(|error| error.to_string())
            .and_then(|order| triggerable::wanted(&order, codebases, reason));
        Some(match wanted {
            Ok(wanted) => Some(wanted),
            Err(error) => {
                tracing::error!(scheduler = %self.definition.name(), %error, "what triggered it last is unusable");
                None
            }
        })
    }
}

/// What makes it act, in words.
pub(super) fn describe(object: &AnyObject) -> String {
    let text = |option: &str, default: &str| match object.arg(option) {
        Some(Json::Array(items)) => items.iter().map(percent::text).collect::<Vec<_>>().join(","),
        Some(Json::Null) | None => default.to_string(),
        Some(one) => percent::text(one),
    };
    let calendar = || {
        let zone = object.arg("tz").map(|zone| format!(" ({})", percent::text(zone))).unwrap_or_default();
        format!(
            "at {} {} {} {} {}{zone}",
            text("minute", "0"),
            text("hour", "*"),
            text("dayOfMonth", "*"),
            text("month", "*"),
            text("dayOfWeek", "*")
        )
    };
    let changed =
        if object.arg("onlyIfChanged") == Some(&Json::Bool(true)) { ", if something changed" } else { "" };
    let seconds = |text: String| if text.parse::<f64>().is_ok() { format!("{text} s") } else { text };
    match object.kind.as_str() {
        "schedulers.Nightly" => format!("{}{changed}", calendar()),
        "schedulers.NightlyTriggerable" => format!("{}, what triggered it last", calendar()),
        "schedulers.Periodic" => format!("every {}{changed}", seconds(text("periodicBuildTimer", ""))),
        _ => match text("treeStableTimer", "") {
            none if none.is_empty() => "at each change".into(),
            timer => format!("{} after the last change", seconds(timer)),
        },
    }
}
