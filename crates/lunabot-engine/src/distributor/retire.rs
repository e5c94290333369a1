//! Ending requests that wait (reference 07.024).

use crate::control::NO_REASON;
use lunabot_data::{CANCEL_REASON, Data, DataError};
use lunabot_model::{BuildRequestId, Event, Properties, Results, Topic};
use std::sync::Arc;

/// Source of the property that says why.
const SOURCE: &str = "Distributor";

/// Completes a request that nobody has taken, and notes why; false: somebody has.
pub(crate) async fn retire(
    data: &Data,
    request: BuildRequestId,
    results: Results,
    reason: &str,
) -> Result<bool, DataError> {
    if !data.claim(&[request]).await? {
        return Ok(false);
    }
    if reason != NO_REASON {
        let mut why = Properties::new();
        why.set(CANCEL_REASON, reason, SOURCE);
        data.set_request_properties(request, &why).await?.detach();
    }
    data.retire_request(request, results).await?.await?;
    announce(data, request).await?;
    tracing::info!(request, results = results.name(), "request ended without a build: {reason}");
    Ok(true)
}

/// Event …/cancel, after …/complete, under the shortest of a request's names alone (09.086).
async fn announce(data: &Data, request: BuildRequestId) -> Result<(), DataError> {
    let Some(row) = data.build_request(request).await? else { return Ok(()) };
    let payload = Arc::new(serde_json::to_value(&row).unwrap_or_default().into());
    data.bus().publish(Event { topic: Topic::new(&[&"buildrequests", &request, &"cancel"]), payload });
    Ok(())
}
