//! Whether a scheduler takes a change (03.004): filter, codebase, importance, in this order.

use super::definition::Definition;
use lunabot_model::Arg;
use lunabot_model::change_filter::{change_object, decide};
use lunabot_model::resources::Change;
use lunabot_model::script::CallSite;

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Dropped,
    Taken { important: bool },
}

pub(super) async fn judge(definition: &Definition, change: &Change) -> Verdict {
    let host = &*definition.around.host;
    let concerns = definition.common.concerns();
    if !definition.intake.filter.matches(change, host, &concerns).await {
        return Verdict::Dropped;
    }
    let intake = &definition.intake;
    if !intake.codebases.0.contains_key(&change.codebase) {
        tracing::warn!(
            scheduler = %definition.name(), change = change.changeid, codebase = %change.codebase,
            "dropped a change of a codebase that is not among the scheduler's codebases"
        );
        return Verdict::Dropped;
    }
    let important = match &intake.file_is_important {
        None => true,
        Some(function) => {
            let site = CallSite::new("fileIsImportant", concerns);
            // A function that fails must not make a build go missing.
            decide(host, function, site, vec![Arg::Object(change_object(change))]).await.unwrap_or(true)
        }
    };
    if important || !intake.only_important { Verdict::Taken { important } } else { Verdict::Dropped }
}
