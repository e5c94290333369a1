//! What earlier builds took, in the store: as it was kept, or else read from their rows.

use super::MAX_STEPS;
use super::expected::{Expected, ExpectedStep};
use lunabot_data::new::StateKey;
use lunabot_data::{Data, DataError};
use lunabot_model::resources::{Build, Step};
use lunabot_model::{BuilderId, Json, Results};
use std::collections::BTreeMap;

/// Builds that are looked at, and those that are gone by.
const BUILDS: i64 = 12;
const GOOD: usize = 4;
/// Steps of the master's own.
const NOT_OF_STEPS: [&str; 2] = ["worker_preparation", "locks_acquire"];

fn key(builder: BuilderId) -> StateKey {
    StateKey { object: "progress".into(), class: "lunabot.progress".into(), name: builder.to_string() }
}

/// Two or six queries on indices, whatever the builder's past.
pub(super) async fn read(data: &Data, builder: BuilderId) -> Result<Expected, DataError> {
    let kept = data.get_state(&key(builder)).await?;
    // What another version has written is not worth an error.
    if let Some(kept) = kept.and_then(|kept| serde_json::from_value(kept).ok()) {
        return Ok(kept);
    }
    let mut newest = data.newest_builds(&[builder], BUILDS).await?;
    let mut good: Vec<Build> = newest.remove(&builder).unwrap_or_default();
    good.retain(|build| matches!(build.results, Some(Results::Success | Results::Warnings)));
    good.truncate(GOOD);
    let mut expected = Expected::default();
    for build in good.iter().rev() {
        let path = format!("builds/{}/steps", build.buildid);
        let answer = data.get(&path, &format!("order=number&limit={MAX_STEPS}")).await?.into_json();
        let rows = answer.get("steps").and_then(Json::as_array).into_iter().flatten();
        let steps = rows.filter_map(|row| serde_json::from_value::<Step>(row.clone()).ok());
        expected.learn(steps.filter_map(|step| taken(&step)).collect());
    }
    Ok(expected)
}

fn taken(step: &Step) -> Option<ExpectedStep> {
    let began = step.locks_acquired_at.or(step.started_at)?;
    let seconds = (step.complete_at? - began).max(0) as f64;
    (!NOT_OF_STEPS.contains(&step.name.as_str())).then(|| ExpectedStep {
        name: step.name.clone(),
        seconds,
        metrics: BTreeMap::new(),
        skipped: step.results == Some(Results::Skipped),
    })
}

pub(super) async fn store(data: &Data, builder: BuilderId, expected: &Expected) -> Result<(), DataError> {
    let value = serde_json::to_value(expected).unwrap_or_default();
    data.set_state(&key(builder), value).await?.detach();
    Ok(())
}
