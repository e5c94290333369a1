//! How far a build is, and when it should end (lua-api § 3, "Builds").

use super::{Answer, parse, path, spec};
use crate::data::Data;
use crate::error::Result;
use lunabot_db::endpoints::Found;
use lunabot_model::progress::BuildProgress;
use lunabot_model::resources::Build;
use lunabot_model::result_spec::FieldSpec;

impl Data {
    pub(super) async fn build_progress(&self, found: &Found, query: &str) -> Result<Answer> {
        let fields: Vec<FieldSpec> =
            spec::kinds("build_progress").into_iter().map(|(name, kind)| FieldSpec { name, kind }).collect();
        let spec = parse(query, &fields, false)?;
        let build: Option<Build> = self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
        let build = build.ok_or_else(|| path::absent(found))?;
        let running = if build.complete { None } else { self.progress(build.buildid) };
        let mut item = super::json(&running.unwrap_or_else(|| ended(&build)));
        spec.project(&mut item);
        Ok(Answer::One { plural: "progress", item })
    }
}

/// Of a build that does not run.
fn ended(build: &Build) -> BuildProgress {
    BuildProgress {
        buildid: build.buildid,
        elapsed: build.complete_at.map_or(0, |end| (end - build.started_at).max(0)),
        expected: None,
        remaining: build.complete.then_some(0),
        eta: build.complete_at,
        late: 0,
        basis: 0,
        steps: Vec::new(),
    }
}
