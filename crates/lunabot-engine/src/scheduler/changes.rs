//! Reading stored changes in the order in which they came.

use lunabot_data::{Answer, Data, DataError};
use lunabot_model::ChangeId;
use lunabot_model::resources::Change;

/// How many changes are read at once.
const PAGE: usize = 100;

/// The next changes after `cursor`, oldest first.
pub(super) async fn after(data: &Data, cursor: ChangeId) -> Result<Vec<Change>, DataError> {
    let query = format!("changeid__gt={cursor}&order=changeid&limit={PAGE}");
    let Answer::List { items, .. } = data.get("changes", &query).await? else {
        return Ok(Vec::new());
    };
    let read =
        |item| serde_json::from_value(item).map_err(|error| DataError::Storage(format!("a change: {error}")));
    items.into_iter().map(read).collect()
}

/// The id of the newest change; 0 if there is none.
pub(super) async fn newest(data: &Data) -> Result<ChangeId, DataError> {
    match data.get("changes", "order=-changeid&limit=1").await? {
        Answer::List { items, .. } => Ok(items.first().and_then(|c| c["changeid"].as_i64()).unwrap_or(0)),
        Answer::One { .. } | Answer::Raw => Ok(0),
    }
}
