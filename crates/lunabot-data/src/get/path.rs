//! Paths: decoding, finding, and what is said of those that lead nowhere.

use crate::control::ControlError;
use crate::data::Data;
use crate::error::{DataError, Result};
use lunabot_db::Value;
use lunabot_db::endpoints::{self, Found, Target};
use lunabot_model::resources::*;

/// The endpoint of a path, or 404 (09.050). Parts may be percent-encoded; a trailing slash is not allowed (09.054), nor
/// a NUL, which no stored name has.
pub(super) fn find(path: &str) -> Result<Found> {
    let decoded = |part| percent_encoding::percent_decode_str(part).decode_utf8().ok();
    let parts: Option<Vec<String>> = path
        .split('/')
        .map(|part| decoded(part).filter(|part| !part.contains('\0')).map(Into::into))
        .collect();
    parts.and_then(|parts| endpoints::find(&parts)).ok_or_else(|| DataError::InvalidPath(path.to_owned()))
}

/// A path that is right, but names nothing that exists (09.050).
pub(super) fn absent(found: &Found) -> DataError {
    let names = found.endpoint.pattern.split('/').filter_map(|part| part.split_once(':'));
    let shown: Vec<String> = names
        .zip(&found.args)
        .map(|((_, name), value)| match value {
            Value::Int(n) => format!("'{name}': {n}"),
            Value::Text(text) => format!("'{name}': '{text}'"),
            other => format!("'{name}': {other:?}"),
        })
        .collect();
    DataError::NotFound(format!(
        "not found while getting from endpoint for /{} with arguments {{{}}}",
        found.endpoint.pattern,
        shown.join(", ")
    ))
}

impl Data {
    /// The resource type and id that a control path names (09.079–09.084).
    pub(crate) async fn controlled(
        &self,
        path: &str,
    ) -> std::result::Result<(&'static str, String), ControlError> {
        let found = find(path).map_err(|_| ControlError::InvalidPath(path.to_owned()))?;
        let internal = |e: lunabot_db::DbError| ControlError::Internal(e.to_string());
        let (scope, args) = (&found.endpoint.scope, found.args.clone());
        macro_rules! id_of {
            ($type:ty, $id:ident) => {{
                let row: Option<$type> = self.shared.store.one(scope, args).await.map_err(internal)?;
                row.map(|row| row.$id.to_string())
            }};
        }
        let (plural, id) = match (found.endpoint.target, found.endpoint.single) {
            (Target::Builds, true) => ("builds", id_of!(Build, buildid)),
            (Target::BuildRequests, true) => {
                // It may have been made a moment ago; its maker knows its id only when it is stored.
                ("buildrequests", id_of!(BuildRequest, buildrequestid))
            }
            (Target::Schedulers, true) => ("schedulers", id_of!(Scheduler, schedulerid)),
            (Target::Workers, true) => ("workers", id_of!(Worker, workerid)),
            (Target::ForceScheduler, _) => ("forceschedulers", self.force_scheduler_name(&found)),
            (target, _) => return Ok((other_plural(target), String::new())),
        };
        match id {
            Some(id) => Ok((plural, id)),
            None => Err(ControlError::NotFound(absent(&found).to_string())),
        }
    }

    fn force_scheduler_name(&self, found: &Found) -> Option<String> {
        let Some(Value::Text(name)) = found.args.first() else { return None };
        self.registered().force_schedulers.iter().find(|s| s.name == *name).map(|s| s.name.clone())
    }
}

/// The resources without control actions of their own: nobody registers for this (09.084).
fn other_plural(_target: Target) -> &'static str {
    ""
}
