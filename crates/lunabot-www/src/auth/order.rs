//! Control actions in somebody's name: allowed or not, and whose they are (09.078).

use super::User;
use crate::authz::Asked;
use crate::router::App;
use lunabot_data::ControlError;
use lunabot_model::Json;

/// Why an action was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The reason is for people: `you need to have role 'x'` (09.052).
    #[error("{0}")]
    Denied(String),
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl App {
    /// Carries out an action if that person may; the one door through which REST and pages control anything.
    pub async fn order(
        &self,
        user: &User,
        path: &str,
        action: &str,
        mut params: Json,
    ) -> Result<Json, OrderError> {
        let verdict = self.judge(user, &Asked { path, action, params: &params }).await;
        if !verdict.allowed {
            tracing::info!("{} may not {action} {path}: {}", user.name(), verdict.why);
            return Err(OrderError::Denied(verdict.why));
        }
        params["owner"] = user.name().into();
        Ok(self.www.data.control(path, action, params).await?)
    }
}
