//! How callers learn that their update is durable.

use crate::error::DataError;
use crate::shared::Shared;
use lunabot_model::BoxFuture;
use std::sync::Arc;

/// Resolves when an update is durable; may be dropped.
#[must_use = "await it before answering the outside, or drop it with `.detach()`"]
pub struct Ack {
    shared: Arc<Shared>,
    epoch: u64,
}

impl Ack {
    pub(crate) fn new(shared: &Arc<Shared>, epoch: u64) -> Self {
        Ack { shared: shared.clone(), epoch }
    }

    /// Not waiting: the row will be written in its order all the same.
    pub fn detach(self) {}
}

impl std::future::IntoFuture for Ack {
    type Output = Result<(), DataError>;
    type IntoFuture = BoxFuture<'static, Result<(), DataError>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.shared.durable(self.epoch).await })
    }
}
