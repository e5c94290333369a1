//! `util.FailingBuildsetCanceller` (reference 03.026).

use super::kinds::FailingBuildsetCancellerParams;
use super::stamps::Rule;
use super::{Around, id_of};
use lunabot_data::{DataError, Delivery};
use lunabot_model::resources::BuildRequest;
use lunabot_model::{AnyObject, BuildRequestId, Results};

const REASON: &str = "Another build of the buildset has failed";

/// See the module.
pub(super) struct FailingBuilds {
    name: String,
    rules: Vec<Rule>,
}

impl FailingBuilds {
    pub fn read(object: &AnyObject) -> Result<Self, String> {
        let params: FailingBuildsetCancellerParams = object.typed().map_err(|error| error.to_string())?.args;
        Ok(FailingBuilds { rules: Rule::all(&params.filters)?, name: params.name })
    }

    pub async fn live(self, around: &Around) {
        let mut events = around.listen(&["buildrequests/*/complete"]);
        // A reload or the end of the process may have come between a failure and what it leads to.
        self.look_at(around, None).await;
        while let Some(delivery) = events.next().await {
            match (id_of(&delivery), &delivery) {
                (Some(id), Delivery::Event(event)) => {
                    if event.payload["results"] == Results::Failure.code() {
                        self.look_at(around, Some(id)).await;
                    }
                }
                // Events were missed.
                (_, Delivery::Lagged(_)) | (None, _) => self.look_at(around, None).await,
            }
        }
    }

    /// Looks at one request whose build has failed, or at all such in open buildsets.
    async fn look_at(&self, around: &Around, only: Option<BuildRequestId>) {
        if let Err(error) = self.try_look_at(around, only).await {
            tracing::error!(service = self.name, "could not look at failed builds: {error}");
        }
    }

    async fn try_look_at(&self, around: &Around, only: Option<BuildRequestId>) -> Result<(), DataError> {
        let failed = match only {
            Some(id) => around.data.build_request(id).await?.into_iter().collect(),
            None => around.data.failed_requests_of_open_sets().await?,
        };
        for request in &failed {
            self.failed(around, request).await?;
        }
        Ok(())
    }

    async fn failed(&self, around: &Around, failed: &BuildRequest) -> Result<(), DataError> {
        let Some(builder) = around.builders.get(&failed.builderid) else { return Ok(()) };
        let open = around.data.incomplete_requests_of_set(failed.buildsetid).await?;
        let Some(any) = open.first() else { return Ok(()) };
        let concerns = format!("service {}", self.name);
        for rule in self.rules.iter().filter(|rule| rule.has(builder)) {
            let mut matches = false;
            for stamp in &any.buildset.sourcestamps {
                matches = matches || rule.matches(around, stamp, &concerns).await;
            }
            let doomed = open.iter().filter(|other| {
                let name = around.builders.get(&other.request.builderid);
                let meant =
                    rule.doomed.as_ref().is_none_or(|names| name.is_some_and(|n| names.0.contains(n)));
                matches && meant
            });
            for other in doomed {
                around.cancel(&self.name, other.request.buildrequestid, REASON).await;
            }
        }
        Ok(())
    }
}
