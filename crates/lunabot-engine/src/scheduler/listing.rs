//! `GET /api/v2/schedules` ◆: when each scheduler acts next and acted last. Kept in memory; no table is read for it.

use super::buildset::last_acted;
use super::{Entry, Role, Schedulers, Surroundings, ticking};
use lunabot_data::DataError;
use lunabot_model::{AnyObject, BoxFuture, Json};
use serde_json::json;
use std::sync::Arc;

/// Makes the list available.
pub(super) fn register(schedulers: &Arc<Schedulers>, around: &Surroundings) {
    let (weak, agenda) = (Arc::downgrade(schedulers), around.agenda.clone());
    let rows = move || {
        let Some(schedulers) = weak.upgrade() else { return Vec::new() };
        let row = |(name, entry): (&String, &Entry)| {
            let times = agenda.times(name).unwrap_or_default();
            json!({
                "schedulerid": entry.id,
                "name": name,
                "kind": entry.object.kind,
                "enabled": entry.enabled,
                "trigger": trigger(entry),
                "builder_names": builder_names(&entry.object),
                "next_at": times.next.filter(|_| entry.enabled).map(lunabot_model::Time::secs),
                "last_at": times.last,
            })
        };
        schedulers.current().all.iter().map(row).collect()
    };
    around.data.set_virtual("schedules", Arc::new(rows));
}

/// Lets forms find out what can be chosen before they are shown.
pub(super) fn register_forms(schedulers: &Arc<Schedulers>, around: &Surroundings) {
    let weak = Arc::downgrade(schedulers);
    let refresh = move |only: Option<String>| -> BoxFuture<'static, ()> {
        let weak = weak.clone();
        Box::pin(async move {
            if let Some(schedulers) = weak.upgrade() {
                schedulers.refresh_forms(only.as_deref()).await;
            }
        })
    };
    around.data.before_force_schedulers(Arc::new(refresh));
}

impl Schedulers {
    /// Of one, or of all.
    async fn refresh_forms(&self, only: Option<&str>) {
        let current = self.current();
        let wanted = current.all.iter().filter(|(name, _)| only.is_none_or(|only| only == name.as_str()));
        let forms = wanted.filter_map(|(_, entry)| match &entry.role {
            Role::Forced(force) => Some(force.refresh()),
            Role::Follows { .. }
            | Role::Depends { .. }
            | Role::Triggered(_)
            | Role::Tried(_)
            | Role::Watches { .. } => None,
        });
        let asked = futures::future::join_all(forms).await.contains(&true);
        // A newer configuration has listed its own meanwhile.
        if asked && Arc::ptr_eq(&current, &self.current()) {
            current.list_forms();
        }
    }
}

/// Reads when those acted last that are not known yet, and forgets those that are gone.
pub(super) async fn remember_times<'a>(
    around: &Surroundings,
    names: impl Iterator<Item = &'a String> + Clone,
) -> Result<(), DataError> {
    for name in names.clone() {
        if around.agenda.times(name).and_then(|times| times.last).is_none()
            && let Some(last) = around.data.get_state(&last_acted(name)).await?.and_then(|last| last.as_i64())
        {
            around.agenda.acted(name, last);
        }
    }
    around.agenda.keep(|name| names.clone().any(|other| other == name));
    Ok(())
}

/// What makes it act, in words.
fn trigger(entry: &Entry) -> String {
    let text = |option| entry.object.arg(option).and_then(Json::as_str);
    let class = entry.object.class.as_ref().and_then(|class| class["name"].as_str());
    match &entry.role {
        Role::Follows { .. } if class.is_some() => format!("as {} says", class.unwrap_or_default()),
        Role::Follows { .. } => ticking::describe(&entry.object),
        Role::Depends { .. } => {
            let upstream = entry.object.arg("upstream");
            let name = upstream.and_then(|upstream| upstream.pointer("/$args/name")).and_then(Json::as_str);
            format!("when {} went well", name.or(text("upstream")).unwrap_or_default())
        }
        Role::Forced(_) => "when forced".into(),
        Role::Triggered(_) => "when triggered".into(),
        Role::Tried(_) => "when somebody tries a patch".into(),
        Role::Watches { .. } => format!("when a job comes into {}", text("jobdir").unwrap_or_default()),
    }
}

/// Those that are written plainly.
fn builder_names(object: &AnyObject) -> Vec<&str> {
    match object.arg("builderNames") {
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).collect(),
        Some(Json::String(name)) => vec![name],
        _ => Vec::new(),
    }
}
