//! `steps.JSONStringDownload` and `steps.JSONPropertiesDownload` (06.035).

use crate::common::{OwnText, step_kind, text};
use crate::file_download::Download;
use crate::string_download::send_text;
use crate::transfer::{FileMode, SMALL_BLOCK};
use async_trait::async_trait;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::resources::SourceStamp;
use lunabot_model::{Json, Renderable};
use serde_json::json;

step_params! {
    /// Gives the worker a value as a JSON file.
    pub struct JsonStringDownloadParams {
        /// The value: a text, number, list or table, with renderables in it.
        pub o: Renderable<Json>,
        /// The file on the worker, relative to `workdir`; folders are made, `~` is the worker's home.
        pub workerdest: Renderable<String>,
        /// The most bytes that are sent: a longer text is cut, and the step fails. Default: no limit.
        pub maxsize: Option<Renderable<Option<u64>>>,
        /// Bytes that are sent at a time. Default 16384.
        #[schemars(extend("default" = 16384))]
        pub blocksize: Option<Renderable<u64>>,
        /// Permissions on the worker in octal digits, `"0600"`. Default: what the umask leaves.
        pub mode: Option<Renderable<Option<FileMode>>>,
    }
}

impl OwnChecks for JsonStringDownloadParams {}

/// Declares the step.
pub static JSON_STRING_DOWNLOAD: StepKind = StepKind {
    kind: step_kind(
        "JSONStringDownload",
        &["o", "workerdest"],
        "Gives the worker a value as a JSON file.",
        schema_of::<JsonStringDownloadParams>,
        check_as::<JsonStringDownloadParams>,
    ),
    defaults: StepDefaults::named("json_download").halting(),
    build: build_value,
};

step_params! {
    /// Gives the worker the build's properties and source stamps as a JSON file.
    pub struct JsonPropertiesDownloadParams {
        /// The file on the worker, relative to `workdir`; folders are made, `~` is the worker's home.
        pub workerdest: Renderable<String>,
        /// The most bytes that are sent: a longer text is cut, and the step fails. Default: no limit.
        pub maxsize: Option<Renderable<Option<u64>>>,
        /// Bytes that are sent at a time. Default 16384.
        #[schemars(extend("default" = 16384))]
        pub blocksize: Option<Renderable<u64>>,
        /// Permissions on the worker in octal digits, `"0600"`. Default: what the umask leaves.
        pub mode: Option<Renderable<Option<FileMode>>>,
    }
}

impl OwnChecks for JsonPropertiesDownloadParams {}

/// Declares the step.
pub static JSON_PROPERTIES_DOWNLOAD: StepKind = StepKind {
    kind: step_kind(
        "JSONPropertiesDownload",
        &["workerdest"],
        "Gives the worker the properties and source stamps of the build as a JSON file.",
        schema_of::<JsonPropertiesDownloadParams>,
        check_as::<JsonPropertiesDownloadParams>,
    ),
    defaults: StepDefaults::named("json_properties_download").halting(),
    build: build_properties,
};

struct JsonDownload {
    /// `None`: properties and source stamps.
    value: Option<Json>,
    to: Download,
    says: OwnText,
}

fn build_value(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: JsonStringDownloadParams = read(rendered)?;
    let to = Download {
        target: text("workerdest", &params.workerdest)?,
        max: given(&params.maxsize).flatten(),
        block: given(&params.blocksize).unwrap_or(SMALL_BLOCK),
        mode: given(&params.mode).flatten(),
    };
    let says = to.says(params.description.is_some());
    Ok(Box::new(JsonDownload { value: Some(params.o.source().clone()), to, says }))
}

fn build_properties(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: JsonPropertiesDownloadParams = read(rendered)?;
    let to = Download {
        target: text("workerdest", &params.workerdest)?,
        max: given(&params.maxsize).flatten(),
        block: given(&params.blocksize).unwrap_or(SMALL_BLOCK),
        mode: given(&params.mode).flatten(),
    };
    let says = to.says(params.description.is_some());
    Ok(Box::new(JsonDownload { value: None, to, says }))
}

#[async_trait]
impl Step for JsonDownload {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let content = match &self.value {
            Some(value) => value.to_string(),
            None => facts(cx).await?.to_string(),
        };
        send_text(cx, &self.to, content).await
    }

    fn current_summary(&self) -> Option<String> {
        self.says.current()
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.says.result()
    }
}

/// Properties as values, rendered, and source stamps in the reference's form.
async fn facts(cx: &StepContext) -> Result<Json, StepError> {
    let properties = Json::Object(cx.properties().as_dict().into_iter().collect());
    let stamps: Vec<Json> = cx.build().sourcestamps.iter().map(stamp).collect();
    Ok(json!({"properties": cx.render(&properties).await?, "sourcestamps": stamps}))
}

fn stamp(stamp: &SourceStamp) -> Json {
    let patch = stamp.patch.as_ref();
    json!({
        "branch": stamp.branch, "revision": stamp.revision, "repository": stamp.repository,
        "project": stamp.project, "codebase": stamp.codebase,
        "patch_level": patch.map(|patch| patch.level), "patch_body": patch.map(|patch| &patch.body),
        "patch_subdir": patch.map(|patch| &patch.subdir), "patch_author": patch.map(|patch| &patch.author),
        "patch_comment": patch.map(|patch| &patch.comment),
    })
}
