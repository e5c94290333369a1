//! Schedulers for try jobs: patches of people's work trees, built before they are committed (03.022, 03.023).
//!
//! [`Try`] makes the buildset of a job, wherever it came from. Jobs for a Try_Userpass come in at a PB port
//! (`worker::remote`), those for a Try_Jobdir lie in a folder ([`jobdir`]).

mod jobdir;
mod kinds;
mod maildir;

pub(super) use jobdir::{Actor, CLASS, Definition, Order};
pub use kinds::{TRY_JOBDIR, TRY_USERPASS};
pub(crate) use kinds::{TryUserpassParams, port_problem};

use super::buildset::{AddError, Added, Common, Wanted, new_stamp};
use super::params::{CodebaseDefaults, Codebases};
use super::{Role, Schedulers, Surroundings};
use lunabot_data::DataError;
use lunabot_data::new::{NewPatch, NewSourceStamp, Settled};
use lunabot_model::Properties;
use lunabot_model::object::is_dynamic;
use lunabot_model::render::RenderError;
use lunabot_proto::TryJob;

/// Where properties of try jobs come from.
const SOURCE: &str = "try build";

/// What makes buildsets of try jobs, as one generation has it.
#[derive(Clone)]
pub(super) struct Try {
    pub common: Common,
    /// Its name, and what the job may leave out. Clients know no codebases.
    codebase: (String, CodebaseDefaults),
    around: Surroundings,
    /// Whether reasons tell the comment.
    comments: bool,
}

/// Why a job made no buildset.
#[derive(Debug, thiserror::Error)]
pub enum TryError {
    #[error("there is no Try_Userpass '{0}' any more")]
    Gone(String),
    #[error("scheduler '{0}' is disabled")]
    Disabled(String),
    /// A builder that the scheduler does not offer.
    #[error("builder '{0}' is not offered by this scheduler")]
    NotOffered(String),
    #[error("{0}")]
    Render(#[from] RenderError),
    #[error("{0}")]
    Data(#[from] DataError),
}

impl From<AddError> for TryError {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Render(error) => TryError::Render(error),
            AddError::Data(error) => TryError::Data(error),
        }
    }
}

impl Try {
    fn new(common: Common, codebases: &Codebases, around: &Surroundings, comments: bool) -> Self {
        // There is one: the options were checked.
        let codebase = codebases.0.iter().next().map(|(name, defaults)| (name.clone(), defaults.clone()));
        Try { common, codebase: codebase.unwrap_or_default(), around: around.clone(), comments }
    }

    pub(super) fn of_userpass(params: &TryUserpassParams, around: &Surroundings) -> Self {
        Self::new(params.common(), &params.codebases, around, true)
    }

    /// The builders that jobs may name.
    pub async fn offered(&self) -> Result<Vec<String>, RenderError> {
        self.common.offered(&self.around).await
    }

    /// Makes the buildset of a job: durable when it returns.
    pub async fn submit(&self, job: TryJob, settled: Option<Settled>) -> Result<Added, TryError> {
        let offered = self.offered().await?;
        if let Some(other) = job.builders.iter().find(|name| !offered.contains(name)) {
            return Err(TryError::NotOffered(other.clone()));
        }
        let names = if job.builders.is_empty() { &offered } else { &job.builders };
        let wanted = Wanted {
            reason: self.reason(&job),
            only_builders: Some(self.around.builder_ids(names)),
            properties: properties(&job),
            external_idstring: Some(job.id.clone()).filter(|id| !id.is_empty()),
            stamps: vec![new_stamp(self.stamp(job))],
            settled,
            ..Wanted::default()
        };
        Ok(self.common.add(&self.around, wanted).await?)
    }

    fn reason(&self, job: &TryJob) -> String {
        let who = job.who.as_ref().map(|who| format!(" by user {who}"));
        let comment = job.comment.as_ref().filter(|_| self.comments).map(|comment| format!(" ({comment})"));
        format!("'try' job{}{}", who.unwrap_or_default(), comment.unwrap_or_default())
    }

    fn stamp(&self, job: TryJob) -> NewSourceStamp {
        let (codebase, defaults) = &self.codebase;
        let given = Some(job.repository).filter(|repository| !repository.is_empty());
        let patch = NewPatch {
            body: job.patch,
            level: job.level,
            subdir: String::new(),
            author: job.who.unwrap_or_default(),
            comment: job.comment.unwrap_or_default(),
        };
        NewSourceStamp {
            branch: job.branch.or_else(|| defaults.branch.clone()),
            revision: job.revision.or_else(|| defaults.revision.clone()),
            repository: given.or_else(|| defaults.repository.clone()).unwrap_or_default(),
            project: job.project,
            codebase: codebase.clone(),
            patch: Some(patch).filter(|patch| !patch.body.is_empty()),
        }
    }
}

fn properties(job: &TryJob) -> Properties {
    let mut properties = Properties::new();
    for (name, value) in job.properties.iter() {
        let value = crate::values::plain(value);
        // It would be rendered, with all that the configuration knows.
        if is_dynamic(&value) {
            tracing::warn!("try job: the property {name} is no plain value; left out");
            continue;
        }
        properties.set(name, value, SOURCE);
    }
    properties
}

impl Schedulers {
    /// The builders that the Try_Userpass of this name offers (03.023).
    pub async fn offered_for_try(&self, name: &str) -> Result<Vec<String>, TryError> {
        let (tried, _) = self.tried(name)?;
        Ok(tried.offered().await?)
    }

    /// Hands a job to the Try_Userpass of this name, as the newest configuration has it.
    pub async fn submit_try(&self, name: &str, job: TryJob) -> Result<Added, TryError> {
        let (tried, enabled) = self.tried(name)?;
        if !enabled {
            return Err(TryError::Disabled(name.into()));
        }
        tried.submit(job, None).await
    }

    fn tried(&self, name: &str) -> Result<(Try, bool), TryError> {
        match self.current().all.get(name) {
            Some(super::Entry { role: Role::Tried(tried), enabled, .. }) => Ok((Try::clone(tried), *enabled)),
            Some(_) | None => Err(TryError::Gone(name.into())),
        }
    }
}
