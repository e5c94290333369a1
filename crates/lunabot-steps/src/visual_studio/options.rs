//! What all versions share.

use lunabot_engine::step::{ShellOptions, StepError, given};
use lunabot_model::{Json, Problem, Renderable, StringOrList};
use std::collections::BTreeMap;

/// Declares the options of a Visual Studio step: those of a command, the shared ones, and its own.
macro_rules! studio_params {
    ($(#[$attr:meta])* pub struct $name:ident { $($own:tt)* }) => {
        lunabot_engine::step_params! {
            $(#[$attr])*
            pub struct $name: shell {
                /// Where the Visual Studio is; default: where its setup puts it.
                pub installdir: Option<lunabot_model::Renderable<Option<String>>>,
                /// `rebuild` (the default), `clean` or `build`.
                pub mode: Option<lunabot_model::Renderable<String>>,
                /// The project or solution file.
                pub projectfile: lunabot_model::Renderable<String>,
                /// The configuration. Default `release`.
                #[schemars(extend("default" = "release"))]
                pub config: Option<lunabot_model::Renderable<String>>,
                /// Use the environment in place of the paths that the environment's settings name.
                pub useenv: Option<lunabot_model::Renderable<bool>>,
                /// Only this project of the solution.
                pub project: Option<lunabot_model::Renderable<Option<String>>>,
                /// Folders in front of `INCLUDE`; implies `useenv`.
                #[serde(rename = "INCLUDE")]
                pub include: Option<lunabot_model::Renderable<lunabot_model::StringOrList>>,
                /// Folders in front of `LIB`; implies `useenv`.
                #[serde(rename = "LIB")]
                pub lib: Option<lunabot_model::Renderable<lunabot_model::StringOrList>>,
                /// Folders in front of `PATH`.
                #[serde(rename = "PATH")]
                pub path: Option<lunabot_model::Renderable<lunabot_model::StringOrList>>,
                $($own)*
            }
        }

        impl $name {
            fn studio(&self) -> $crate::visual_studio::options::StudioParams<'_> {
                $crate::visual_studio::options::StudioParams {
                    has_command: self.command.is_some(),
                    installdir: &self.installdir,
                    mode: &self.mode,
                    projectfile: &self.projectfile,
                    config: &self.config,
                    useenv: &self.useenv,
                    project: &self.project,
                    include: &self.include,
                    lib: &self.lib,
                    path: &self.path,
                }
            }
        }
    };
}
pub(super) use studio_params;

type List = Option<Renderable<StringOrList>>;

/// The shared options, as written or rendered.
pub struct StudioParams<'a> {
    pub has_command: bool,
    pub installdir: &'a Option<Renderable<Option<String>>>,
    pub mode: &'a Option<Renderable<String>>,
    pub projectfile: &'a Renderable<String>,
    pub config: &'a Option<Renderable<String>>,
    pub useenv: &'a Option<Renderable<bool>>,
    pub project: &'a Option<Renderable<Option<String>>>,
    pub include: &'a List,
    pub lib: &'a List,
    pub path: &'a List,
}

/// What is done with the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Build,
    Clean,
    Rebuild,
}

/// The shared options, plain.
#[derive(Debug)]
pub struct Studio {
    pub installdir: Option<String>,
    pub mode: Mode,
    pub projectfile: String,
    pub config: String,
    pub useenv: bool,
    pub project: Option<String>,
}

impl StudioParams<'_> {
    pub fn problems(&self) -> Vec<Problem> {
        let command = self.has_command.then_some(());
        let mode = given(self.mode).and_then(|mode| read_mode(&mode).err());
        let mode = mode.map(|error| Problem::new("mode", error));
        crate::common::no_command(&command).into_iter().chain(mode).collect()
    }

    /// The plain options; folders of the configuration go into the environment first.
    pub fn read(&self, options: &mut ShellOptions) -> Result<Studio, StepError> {
        let list = |option: &List| given(option).unwrap_or_default().0;
        let (include, lib) = (list(self.include), list(self.lib));
        let useenv = given(self.useenv) == Some(true) || !include.is_empty() || !lib.is_empty();
        let path = list(self.path);
        for (name, folders) in [("PATH", path), ("INCLUDE", include), ("LIB", lib)] {
            folders.iter().for_each(|folder| add_path(&mut options.env, name, folder));
        }
        let mode = given(self.mode).unwrap_or_else(|| "rebuild".into());
        Ok(Studio {
            installdir: given(self.installdir).flatten().filter(|dir| !dir.is_empty()),
            mode: read_mode(&mode).map_err(|error| StepError::Exception(format!("mode: {error}")))?,
            projectfile: self.projectfile.literal().unwrap_or_default(),
            config: given(self.config).unwrap_or_else(|| "release".into()),
            useenv,
            project: given(self.project).flatten(),
        })
    }
}

fn read_mode(text: &str) -> Result<Mode, String> {
    match text {
        "build" => Ok(Mode::Build),
        "clean" => Ok(Mode::Clean),
        "rebuild" => Ok(Mode::Rebuild),
        other => Err(format!("expected \"build\", \"clean\" or \"rebuild\", got {other:?}")),
    }
}

/// Appends a folder to a variable of Windows.
pub fn add_path(env: &mut BTreeMap<String, Json>, name: &str, folder: &str) {
    let ended =
        |text: &str| if text.is_empty() || text.ends_with(';') { text.into() } else { format!("{text};") };
    let before = match env.get(name) {
        Some(Json::String(text)) => ended(text),
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).map(ended).collect(),
        _ => String::new(),
    };
    env.insert(name.into(), format!("{before}{}", ended(folder)).into());
}
