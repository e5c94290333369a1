//! Steps that would act on the master's machine or on other servers: in a test, the worker of the build plays them, so
//! that they are seen and answered like its other commands.

use lunabot_engine::step::{Step, StepError, StepKind};
use lunabot_model::{Json, Kind};
use serde_json::{Map, json};

type Made = Result<Box<dyn Step>, StepError>;

/// All steps, those replaced that would reach outside.
pub fn all() -> Vec<&'static StepKind> {
    lunabot_steps::STEPS.iter().map(|real| replaced(real).map_or(*real, |build| with(real, build))).collect()
}

/// The declaration of a step with other deeds. One for each of a dozen steps, for as long as the process lives.
fn with(real: &'static StepKind, build: fn(&Json) -> Made) -> &'static StepKind {
    Box::leak(Box::new(StepKind { kind: Kind { ..real.kind }, defaults: real.defaults, build }))
}

fn replaced(real: &StepKind) -> Option<fn(&Json) -> Made> {
    Some(match real.kind.name {
        "MasterShellCommand" => |rendered| made("ShellCommand", &shell(rendered)),
        "HTTPStep" => |rendered| http(rendered, &rendered["method"]),
        "POST" => |rendered| http(rendered, &"POST".into()),
        "GET" => |rendered| http(rendered, &"GET".into()),
        "PUT" => |rendered| http(rendered, &"PUT".into()),
        "DELETE" => |rendered| http(rendered, &"DELETE".into()),
        "HEAD" => |rendered| http(rendered, &"HEAD".into()),
        "OPTIONS" => |rendered| http(rendered, &"OPTIONS".into()),
        "FileDownload" => |rendered| made("StringDownload", &download(rendered)),
        "FileUpload" => |rendered| made("FileUpload", &upload(rendered)),
        "DirectoryUpload" => |rendered| made("DirectoryUpload", &upload(rendered)),
        "MultipleFileUpload" => |rendered| made("MultipleFileUpload", &upload(rendered)),
        _ => return None,
    })
}

/// The real step of this name with such options.
fn made(name: &str, options: &Json) -> Made {
    let find = |name: &str| lunabot_steps::STEPS.iter().find(|step| step.kind.name == name);
    let missing = || StepError::Exception(format!("there is no step {name}"));
    (find(name).ok_or_else(missing)?.build)(options)
}

fn shell(rendered: &Json) -> Json {
    json!({"command": rendered["command"], "workdir": "master", "logEnviron": false})
}

fn http(rendered: &Json, method: &Json) -> Made {
    let options = json!({"command": [method, rendered["url"]], "workdir": "master", "logEnviron": false});
    made("ShellCommand", &options)
}

/// A file of the master is not read: its content does not matter to a test, and may be missing where it runs.
fn download(rendered: &Json) -> Json {
    let mut options: Map<String, Json> = rendered.as_object().cloned().unwrap_or_default();
    let source = options.remove("mastersrc").unwrap_or_default();
    options.insert("s".into(), format!("(content of {})\n", source.as_str().unwrap_or_default()).into());
    Json::Object(options)
}

/// Nothing is written outside of the folder of the simulated master.
fn upload(rendered: &Json) -> Json {
    let mut options = rendered.clone();
    if let Some(target) = rendered["masterdest"].as_str() {
        let parts = target.split('/').filter(|part| !matches!(*part, "" | "." | ".." | "~"));
        options["masterdest"] = parts.collect::<Vec<_>>().join("/").into();
    }
    options
}
