//! `util.FailingBuildsetCanceller` (reference 03.026).

use super::kinds::FailingBuildsetCancellerParams;
use super::stamps::Rule;
use super::{Around, id_of};
use lunabot_data::{DataError, Delivery};
use lunabot_model::{AnyObject, BuildId, Results};

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
        let mut events = around.listen(&["builds/*/finished"]);
        while let Some(delivery) = events.next().await {
            let failed = match &delivery {
                Delivery::Event(event) => event.payload["results"] == Results::Failure.code(),
                Delivery::Lagged(count) => {
                    tracing::warn!(service = self.name, count, "ends of builds were missed");
                    false
                }
            };
            let Some(build) = id_of(&delivery).filter(|_| failed) else { continue };
            if let Err(error) = self.failed(around, build).await {
                tracing::error!(service = self.name, build, "could not look at a failed build: {error}");
            }
        }
    }

    async fn failed(&self, around: &Around, build: BuildId) -> Result<(), DataError> {
        let Some(row) = around.data.build(build).await? else { return Ok(()) };
        let Some(builder) = around.builders.get(&row.builderid) else { return Ok(()) };
        let Some(request) = around.data.build_request(row.buildrequestid).await? else { return Ok(()) };
        let open = around.data.incomplete_requests_of_set(request.buildsetid).await?;
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
                matches && meant && other.request.buildrequestid != row.buildrequestid
            });
            for other in doomed {
                around.cancel(&self.name, other.request.buildrequestid, REASON).await;
            }
        }
        Ok(())
    }
}
