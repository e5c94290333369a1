//! Typed reading of the data API, for pages.

use crate::error::PageError;
use lunabot_data::{Answer, Data, DataError};
use lunabot_model::resources::{Build, Builder, Change};
use lunabot_model::{BuilderId, Json};
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// Properties that rows of builds show.
pub const ROW_PROPERTIES: &str =
    "property=owner&property=owners&property=branch&property=revision&property=got_revision";

/// A part of a path, encoded.
pub fn part(text: &str) -> impl std::fmt::Display + '_ {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

/// A list, and how many there are in all where that is known.
pub async fn list<T: DeserializeOwned>(
    data: &Data,
    path: &str,
    query: &str,
) -> Result<(Vec<T>, Option<i64>), PageError> {
    match data.get(path, query).await? {
        Answer::List { items, total, .. } => Ok((typed(items)?, total)),
        Answer::One { item, .. } => Ok((typed(vec![item])?, Some(1))),
        Answer::Raw => Err(PageError::Internal(format!("{path} is not a list"))),
    }
}

pub async fn one<T: DeserializeOwned>(data: &Data, path: &str, query: &str) -> Result<T, PageError> {
    let (items, _) = list(data, path, query).await?;
    let first = items.into_iter().next();
    first.ok_or_else(|| PageError::NotFound(format!("{path} does not exist")))
}

/// `None` if it does not exist.
pub async fn maybe<T: DeserializeOwned>(data: &Data, path: &str) -> Result<Option<T>, PageError> {
    match one(data, path, "").await {
        Ok(item) => Ok(Some(item)),
        Err(PageError::NotFound(_)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A list; empty where this master has no such resource.
pub async fn optional<T: DeserializeOwned>(
    data: &Data,
    path: &str,
    query: &str,
) -> Result<Vec<T>, PageError> {
    match data.get(path, query).await {
        Err(DataError::InvalidPath(_) | DataError::NotFound(_)) => Ok(Vec::new()),
        Err(e) => Err(e.into()),
        Ok(Answer::List { items, .. }) => typed(items),
        Ok(Answer::One { item, .. }) => typed(vec![item]),
        Ok(Answer::Raw) => Err(PageError::Internal(format!("{path} is not a list"))),
    }
}

fn typed<T: DeserializeOwned>(items: Vec<Json>) -> Result<Vec<T>, PageError> {
    let items = items.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
    items.map_err(|e| PageError::Internal(format!("a resource is not as expected: {e}")))
}

/// All builders, past ones too.
pub async fn builders(data: &Data) -> Result<Vec<Builder>, PageError> {
    Ok(list(data, "builders", "").await?.0)
}

/// Builder id → name.
pub fn names(builders: &[Builder]) -> HashMap<BuilderId, String> {
    builders.iter().map(|b| (b.builderid, b.name.clone())).collect()
}

/// Builds that run, newest first, at most `limit`.
pub async fn running(data: &Data, limit: usize) -> Result<(Vec<Build>, Option<i64>), PageError> {
    list(data, "builds", &format!("complete=false&order=-buildid&limit={limit}&{ROW_PROPERTIES}")).await
}

/// The changes that came with a build (09.037), at most `limit`.
pub async fn blame(data: &Data, build: &Build, limit: usize) -> Result<Vec<Change>, PageError> {
    optional(data, &format!("builds/{}/changes", build.buildid), &format!("limit={limit}")).await
}

/// `name__eq=1&name__eq=2…`: membership.
pub fn any_of(name: &str, ids: impl IntoIterator<Item = i64>) -> String {
    ids.into_iter().map(|id| format!("{name}__eq={id}")).collect::<Vec<_>>().join("&")
}
