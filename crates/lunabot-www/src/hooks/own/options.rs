//! The options of dialects of one's own.

use crate::hooks::guard::{Guard, Proof};
use crate::hooks::options::empty_secret;
use crate::hooks::{Dialect, DialectOptions, HookError, HookRequest, HookScope, base};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Problem, Renderable};
use serde::Deserialize;
use serde_json::Map;
use std::sync::Arc;

/// Beside a class that extends `webhooks.BaseHookHandler`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Own {
    secret: Option<Renderable<String>>,
    /// Where the sender puts the HMAC of the body: `ALGORITHM=HEX`, or the bare hexadecimal HMAC-SHA256.
    signature_header: Option<String>,
    /// Where the sender puts the secret itself.
    token_header: Option<String>,
    /// What the class reads as `self.options`.
    #[serde(flatten)]
    options: Map<String, Json>,
}

impl Own {
    fn proof(&self) -> Option<Proof<'_>> {
        let signature = self.signature_header.as_deref().map(Proof::Either);
        signature.or(self.token_header.as_deref().map(Proof::Token))
    }
}

impl DialectOptions for Own {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = empty_secret(self.secret.as_ref()).into_iter().collect();
        let headers = [("signature_header", &self.signature_header), ("token_header", &self.token_header)];
        let given: Vec<_> =
            headers.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
        for (name, value) in &given {
            if axum::http::HeaderName::from_bytes(value.as_bytes()).is_err() {
                problems.push(Problem::new(*name, format!("{value:?} is not the name of a header")));
            }
        }
        match (&self.secret, given.as_slice()) {
            (Some(_), []) => problems.push(Problem::new(
                "secret",
                "where does the sender prove that it knows it? signature_header = \"X-Hub-Signature-256\" for an HMAC of \
                 the body, token_header = \"X-Token\" for the secret itself",
            )),
            (_, [_, _]) => problems.push(Problem::new("token_header", "give this or signature_header, not both")),
            (None, [(name, _)]) => problems.push(Problem::new(*name, "needs a secret")),
            _ => {}
        }
        problems
    }
}

#[async_trait]
impl Dialect for Own {
    fn guard(&self) -> Option<Guard<'_>> {
        Some(Guard { secret: Some(self.secret.as_ref()?), proof: self.proof()? })
    }

    /// Those of the base dialect: what `BaseHookHandler.getChanges` gives.
    async fn changes(
        &self,
        request: &Arc<HookRequest>,
        _: &Arc<HookScope>,
    ) -> Result<Vec<NewChange>, HookError> {
        base::changes(&request.arguments())
    }

    async fn fields(&self, scope: &HookScope) -> Result<Map<String, Json>, HookError> {
        let rendered = scope.service.render(&Json::Object(self.options.clone())).await;
        let options = rendered.map_err(|error| HookError::Failed(error.to_string()))?;
        Ok(Map::from_iter([("options".to_string(), options)]))
    }
}
