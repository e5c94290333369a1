//! The step library: each step in a file of its own, listed in [`STEPS`].
//!
//! A step declares its options with [`lunabot_engine::step_params!`], and does its work in `run` with what
//! [`lunabot_engine::step::StepContext`] offers; the engine does not know any step. What must never enter: connections
//! to workers, the store, Lua.

mod assert;
mod build_step;
mod bzr;
mod cmake;
mod common;
mod configure;
mod cppcheck;
mod deb_lintian;
mod directories;
mod directory_upload;
mod file_download;
mod file_exists;
mod file_upload;
mod git;
mod http;
mod janitor;
mod json_download;
mod kept;
mod log_renderable;
mod master_shell_command;
mod mercurial;
mod mock;
mod multiple_file_upload;
mod p4;
mod package_messages;
mod pbuilder;
mod perl_module_test;
mod pyflakes;
mod pylint;
mod retired;
mod robocopy;
mod rpm_build;
mod rpm_lint;
mod secret_files;
mod set_properties_from_env;
mod set_property;
mod set_property_from_command;
mod shell_command;
mod shell_sequence;
mod source;
mod sphinx;
mod string_download;
mod subunit;
mod svn;
mod test;
mod transfer;
mod tree_size;
mod trial;
mod trigger;
mod visual_studio;
mod warning_counting_shell_command;
mod warnings;

use lunabot_engine::step::StepKind;
use lunabot_model::{Json, Kind};
use serde_json::Map;

/// Every step that a configuration can declare.
pub static STEPS: &[&StepKind] = &[
    &build_step::BUILD_STEP,
    &build_step::SHELL_MIXIN,
    &shell_command::SHELL_COMMAND,
    &configure::CONFIGURE,
    &warning_counting_shell_command::WARNING_COUNTING_SHELL_COMMAND,
    &warning_counting_shell_command::COMPILE,
    &test::TEST,
    &perl_module_test::PERL_MODULE_TEST,
    &shell_sequence::SHELL_SEQUENCE,
    &set_properties_from_env::SET_PROPERTIES_FROM_ENV,
    &cmake::CMAKE,
    &tree_size::TREE_SIZE,
    &cppcheck::CPPCHECK,
    &pyflakes::PYFLAKES,
    &pylint::PYLINT,
    &sphinx::SPHINX,
    &trial::TRIAL,
    &subunit::SUBUNIT_SHELL_COMMAND,
    &rpm_build::RPM_BUILD,
    &rpm_lint::RPM_LINT,
    &mock::MOCK,
    &mock::MOCK_BUILD_SRPM,
    &mock::MOCK_REBUILD,
    &pbuilder::DEB_PBUILDER,
    &pbuilder::DEB_COWBUILDER,
    &pbuilder::UBU_PBUILDER,
    &pbuilder::UBU_COWBUILDER,
    &deb_lintian::DEB_LINTIAN,
    &robocopy::ROBOCOPY,
    &visual_studio::VC6,
    &visual_studio::VC7,
    &visual_studio::VC8,
    &visual_studio::VC9,
    &visual_studio::VC10,
    &visual_studio::VC11,
    &visual_studio::VC12,
    &visual_studio::VC14,
    &visual_studio::VC141,
    &visual_studio::VS2019,
    &visual_studio::VS2022,
    &visual_studio::VCEXPRESS9,
    &visual_studio::MSBUILD4,
    &visual_studio::MSBUILD12,
    &visual_studio::MSBUILD14,
    &visual_studio::MSBUILD141,
    &visual_studio::MSBUILD16,
    &visual_studio::MSBUILD17,
    &set_property::SET_PROPERTY,
    &set_property::SET_PROPERTIES,
    &set_property_from_command::SET_PROPERTY_FROM_COMMAND,
    &git::GIT,
    &janitor::LOG_CHUNKS_JANITOR,
    &janitor::BUILD_DATA_JANITOR,
    &janitor::RETENTION_JANITOR,
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
    &master_shell_command::MASTER_SHELL_COMMAND,
    &assert::ASSERT,
    &log_renderable::LOG_RENDERABLE,
    &secret_files::DOWNLOAD_SECRETS_TO_WORKER,
    &secret_files::REMOVE_WORKER_FILE_SECRET,
    &http::HTTP_STEP,
    &http::POST,
    &http::GET,
    &http::PUT,
    &http::DELETE,
    &http::HEAD,
    &http::OPTIONS,
    &trigger::TRIGGER,
    &p4::P4,
    &git::GITHUB,
    &git::GITLAB,
    &git::GERRIT,
    &git::GIT_COMMIT,
    &git::GIT_TAG,
    &git::GIT_PUSH,
    &git::GIT_DIFF_INFO,
    &svn::SVN,
    &bzr::BZR,
    &mercurial::MERCURIAL,
];

/// What options of steps take besides plain values.
static VALUES: &[Kind] = &warnings::EXTRACTORS;

/// Steps that there are no more.
static RETIRED: &[Kind] = retired::RETIRED;

/// What the steps have where the configuration gives nothing, beside what their schemas tell: the path of the kind, and
/// options by name.
pub fn defaults() -> impl Iterator<Item = (String, Map<String, Json>)> {
    STEPS.iter().map(|step| (step.kind.path(), step.defaults.options()))
}

/// The kinds of [`STEPS`] and of their options, for the script host.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    STEPS.iter().map(|step| &step.kind).chain(VALUES).chain(RETIRED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags, and the steps with their names where none is given. h: haltOnFailure, f: flunkOnFailure, w: warnOnFailure.
    const DEFAULTS: &[(&str, &str)] = &[
        (
            "f",
            "Assert:Assert BuildStep:generic Cppcheck:cppcheck DELETE:HTTPStep GET:HTTPStep GitCommit:gitcommit GitDiffInfo:GitDiffInfo \
             GitPush:gitpush GitTag:gittag HEAD:HTTPStep HTTPStep:HTTPStep LogRenderable:LogRenderable \
             MsBuild12:compile MsBuild14:compile MsBuild141:compile MsBuild16:compile MsBuild17:compile \
             MsBuild4:compile OPTIONS:HTTPStep POST:HTTPStep PUT:HTTPStep PyLint:pylint \
             RemoveWorkerFileSecret:RemoveWorkerFileSecret Robocopy:generic SetProperties:SetProperties \
             SetPropertiesFromEnv:SetPropertiesFromEnv SetProperty:SetProperty SetPropertyFromCommand:setproperty \
             ShellCommand:shell ShellMixin:generic ShellSequence:generic SubunitShellCommand:shell TreeSize:treesize Trial:trial \
             Trigger:trigger VC10:compile VC11:compile VC12:compile VC14:compile VC141:compile VC6:compile \
             VC7:compile VC8:compile VC9:compile VCExpress9:compile VS2019:compile VS2022:compile \
             WarningCountingShellCommand:generic",
        ),
        (
            "hf",
            "BuildDataJanitor:BuildDataJanitor Bzr:bzr CMake:cmake Compile:compile Configure:configure \
             CopyDirectory:CopyDirectory DebCowbuilder:cowbuilder DebPbuilder:pbuilder DirectoryUpload:upload \
             DownloadSecretsToWorker:DownloadSecretsToWorker FileDownload:download FileExists:FileExists \
             FileUpload:upload Gerrit:git Git:git GitHub:git GitLab:git \
             JSONPropertiesDownload:json_properties_download JSONStringDownload:json_download \
             LogChunksJanitor:LogChunksJanitor MakeDirectory:MakeDirectory MasterShellCommand:MasterShellCommand \
             Mercurial:hg Mock:mock MockBuildSRPM:mockbuildsrpm MockRebuild:mock MultipleFileUpload:upload P4:p4 \
             RemoveDirectory:RemoveDirectory RetentionJanitor:RetentionJanitor RpmBuild:rpmbuilder SVN:svn \
             Sphinx:sphinx StringDownload:string_download UbuCowbuilder:cowbuilder UbuPbuilder:pbuilder",
        ),
        ("w", "DebLintian:lintian"),
        ("fw", "PerlModuleTest:test RpmLint:rpmlint Test:test"),
        ("", "PyFlakes:pyflakes"),
    ];

    #[test]
    fn rows_05_004_05_005_names_and_flags_where_none_are_given() {
        let mut expected: Vec<String> = DEFAULTS
            .iter()
            .flat_map(|(flags, steps)| steps.split_whitespace().map(move |step| format!("{step} {flags}")))
            .collect();
        let mut found: Vec<String> = STEPS
            .iter()
            .map(|step| {
                let flags = step.defaults.flags;
                assert!(!flags.flunk_on_warnings && !flags.warn_on_warnings, "{}", step.kind.name);
                let all = [
                    ("h", flags.halt_on_failure),
                    ("f", flags.flunk_on_failure),
                    ("w", flags.warn_on_failure),
                ];
                let letters: String = all.iter().filter(|(_, on)| *on).map(|(letter, _)| *letter).collect();
                format!("{}:{} {letters}", step.kind.name, step.defaults.name)
            })
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

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
