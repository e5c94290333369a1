//! `master.data.updates`: changes and buildsets made by functions of the configuration.

use lunabot_data::Data;
use lunabot_data::intake::{ChangeFunctions, Intake, read_change};
use lunabot_data::new::{NewBuildset, NewSourceStamp, Patience, StampRef};
use lunabot_model::kind;
use lunabot_model::{Callback, Duration, Id, Json, Properties};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Answers with the id of the change.
pub(super) async fn add_change(intake: &Intake, args: Json) -> Result<Json, String> {
    let change = read_change(args).map_err(|error| format!("addChange: {error}"))?;
    let added = intake.add(change, &ChangeFunctions::default(), "master.data.updates.addChange").await;
    Ok(added.map_err(|error| error.to_string())?.map_or(Json::Null, |change| Json::from(change.changeid)))
}

/// Arguments of `addBuildset` (07.001).
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BuildsetArgs {
    scheduler: String,
    reason: String,
    external_idstring: Option<String>,
    sourcestamps: Vec<StampArg>,
    /// Values, or `[value, source]`.
    properties: BTreeMap<String, Json>,
    builderids: Vec<Id>,
    priority: i64,
    waited_for: bool,
    parent_buildid: Option<Id>,
    parent_relationship: Option<String>,
    /// Cancelled when they have not started by then.
    #[serde(rename = "requestTimeout")]
    request_timeout: Option<Duration>,
    /// Skipped when no worker of their builder was connected for so long.
    #[serde(rename = "ignoreOfflineWorkersTimeout")]
    ignore_offline_workers_timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum StampArg {
    Id(Id),
    New(StampFields),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StampFields {
    revision: Option<String>,
    branch: Option<String>,
    repository: String,
    project: String,
    codebase: String,
}

impl From<StampArg> for StampRef {
    fn from(arg: StampArg) -> Self {
        match arg {
            StampArg::Id(id) => StampRef::Id(id),
            StampArg::New(StampFields { revision, branch, repository, project, codebase }) => {
                StampRef::New(NewSourceStamp { revision, branch, repository, project, codebase, patch: None })
            }
        }
    }
}

/// Answers with `bsid` and the request of each builder, as several return values.
pub(super) async fn add_buildset(data: &Data, args: Json) -> Result<Json, String> {
    let args: BuildsetArgs = read("addBuildset", args)?;
    if args.builderids.is_empty() {
        return Err(
            "addBuildset: builderids is missing or empty; name what is to be built, such as builderids = {1}"
                .into(),
        );
    }
    for (name, value) in &args.properties {
        if let Some(why) = Callback::not_to_be_stored(value) {
            return Err(format!("addBuildset: properties: {name}: {why}"));
        }
    }
    let mut properties = Properties::from_plain(&args.properties, "Scheduler");
    for (name, value) in &args.properties {
        if let Json::Array(pair) = value
            && let [value, Json::String(source)] = pair.as_slice()
        {
            properties.set(name.clone(), value.clone(), source.clone());
        }
    }
    let buildset = NewBuildset {
        scheduler: args.scheduler,
        reason: args.reason,
        external_idstring: args.external_idstring,
        sourcestamps: args.sourcestamps.into_iter().map(Into::into).collect(),
        properties,
        builderids: args.builderids,
        priority: args.priority,
        waited_for: args.waited_for,
        parent_buildid: args.parent_buildid,
        parent_relationship: args.parent_relationship,
        patience: Patience::of(args.request_timeout, args.ignore_offline_workers_timeout),
        ..NewBuildset::default()
    };
    let (bsid, requests) = data.add_buildset(buildset).await.map_err(|error| error.to_string())?;
    let requests: serde_json::Map<String, Json> =
        requests.into_iter().map(|(builder, request)| (builder.to_string(), Json::from(request))).collect();
    Ok(Json::Array(vec![Json::from(bsid), Json::Object(requests)]))
}

/// Reads a table of arguments.
fn read<T: DeserializeOwned>(function: &str, mut args: Json) -> Result<T, String> {
    if let Json::Object(fields) = &mut args {
        fields.retain(|_, value| !value.is_null());
    }
    kind::read(&args).map_err(|problem| format!("{function}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_checked_by_name() {
        let args: BuildsetArgs =
            read("addBuildset", json!({"sourcestamps": [3, {"codebase": "x"}], "builderids": [1]})).unwrap();
        assert!(matches!(args.sourcestamps[..], [StampArg::Id(3), StampArg::New(_)]));
    }
}
