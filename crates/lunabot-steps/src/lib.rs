//! The step library: each step in a file of its own, listed in [`STEPS`].
//!
//! A step declares its options with [`lunabot_engine::step_params!`], and does its work in `run` with what
//! [`lunabot_engine::step::StepContext`] offers; the engine does not know any step. What must never enter: connections
//! to workers, the store, Lua.

mod common;
mod directories;
mod directory_upload;
mod file_download;
mod file_exists;
mod file_upload;
mod git;
mod json_download;
mod mercurial;
mod multiple_file_upload;
mod p4;
mod set_property;
mod set_property_from_command;
mod shell_command;
mod source;
mod string_download;
mod svn;
mod transfer;

use lunabot_engine::step::StepKind;
use lunabot_model::Kind;

/// Every step that a configuration can declare.
pub static STEPS: &[&StepKind] = &[
    &shell_command::SHELL_COMMAND,
    &set_property::SET_PROPERTY,
    &set_property::SET_PROPERTIES,
    &set_property_from_command::SET_PROPERTY_FROM_COMMAND,
    &git::GIT,
    &file_upload::FILE_UPLOAD,
    &directory_upload::DIRECTORY_UPLOAD,
    &multiple_file_upload::MULTIPLE_FILE_UPLOAD,
    &file_download::FILE_DOWNLOAD,
    &string_download::STRING_DOWNLOAD,
    &json_download::JSON_STRING_DOWNLOAD,
    &json_download::JSON_PROPERTIES_DOWNLOAD,
    &file_exists::FILE_EXISTS,
    &directories::MAKE_DIRECTORY,
    &directories::REMOVE_DIRECTORY,
    &directories::COPY_DIRECTORY,
    &git::GITHUB,
    &git::GITLAB,
    &git::GERRIT,
    &git::GIT_COMMIT,
    &git::GIT_TAG,
    &git::GIT_PUSH,
    &git::GIT_DIFF_INFO,
    &svn::SVN,
    &mercurial::MERCURIAL,
    &p4::P4,
];

/// The kinds of [`STEPS`], for the script host.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    STEPS.iter().map(|step| &step.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_positional_options_are_in_the_schema() {
        let mut seen = std::collections::HashSet::new();
        for kind in kinds() {
            assert!(seen.insert(kind.path()), "{} is listed twice", kind.path());
            let schema = serde_json::to_value((kind.schema)()).unwrap();
            let callbacks = kind.callbacks.iter().map(|spec| spec.option);
            for option in kind.positional.iter().copied().chain(callbacks) {
                assert!(schema["properties"].get(option).is_some(), "{}: {option}", kind.path());
            }
        }
    }
}
