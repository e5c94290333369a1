//! A password of a worker or client, where it is not written down: a secret, or another renderable without a build.

use crate::Generation;
use lunabot_model::Json;
use lunabot_model::render::ServiceScope;

/// The password that `option` stands for; `concerns` says whose. The error says what is wrong with the option.
pub(crate) async fn password(
    generation: &Generation,
    concerns: &str,
    option: &Json,
) -> Result<String, String> {
    let (script, secrets) = (generation.host.clone(), generation.secrets.clone());
    match (ServiceScope { script, secrets, concerns: concerns.into() }).render(option).await {
        Ok(Json::String(text)) if !text.is_empty() => Ok(text),
        Ok(_) => Err("must be a text that is not empty".into()),
        Err(error) => Err(error.to_string()),
    }
}
