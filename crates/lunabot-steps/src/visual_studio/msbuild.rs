//! The versions that build by msbuild.

use super::VisualStudio;
use super::options::{Mode, Studio, add_path, studio_params};
use crate::common::step_kind;
use lunabot_engine::step::{
    CommandLine, HasShell, OwnChecks, Step, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Kind, Problem, Renderable, StringOrList};

studio_params! {
    /// Builds with msbuild.
    pub struct MsBuildParams {
        /// The platform, such as `Win32`.
        pub platform: Renderable<String>,
        /// Constants to define.
        pub defines: Option<Renderable<StringOrList>>,
    }
}

impl OwnChecks for MsBuildParams {
    fn problems(&self) -> Vec<Problem> {
        self.studio().problems()
    }
}

const DEFAULTS: StepDefaults = StepDefaults::named("compile").described("compiling", "compile");

const fn kind(name: &'static str, aliases: &'static [&'static str], doc: &'static str) -> Kind {
    let positional = &["platform", "defines"];
    Kind {
        aliases,
        ..step_kind(name, positional, doc, schema_of::<MsBuildParams>, check_as::<MsBuildParams>)
    }
}

/// How the environment of a version is found.
#[derive(Clone, Copy)]
enum Version {
    /// By a variable that its setup made, which names a folder.
    Variable(&'static str),
    /// By asking `vswhere.exe` for this range of versions.
    Range(&'static str),
}

macro_rules! versions {
    ($($(#[$attr:meta])* $name:ident = $kind:expr, $version:expr;)*) => {
        $(
            $(#[$attr])*
            pub static $name: StepKind =
                StepKind { kind: $kind, defaults: DEFAULTS, build: |rendered| build(rendered, $version) };
        )*
    };
}

versions! {
    /// Declares the step.
    MSBUILD4 = kind("MsBuild4", &["MsBuild"], "Builds with msbuild of Visual Studio 2012."),
        Version::Variable("VS110COMNTOOLS");
    /// Declares the step.
    MSBUILD12 = kind("MsBuild12", &[], "Builds with msbuild of Visual Studio 2013."),
        Version::Variable("VS120COMNTOOLS");
    /// Declares the step.
    MSBUILD14 = kind("MsBuild14", &[], "Builds with msbuild of Visual Studio 2015."),
        Version::Variable("VS140COMNTOOLS");
    /// Declares the step.
    MSBUILD141 = kind("MsBuild141", &["MsBuild15"], "Builds with msbuild of Visual Studio 2017."),
        Version::Range("[15.0,16.0)");
    /// Declares the step.
    MSBUILD16 = kind("MsBuild16", &[], "Builds with msbuild of Visual Studio 2019."),
        Version::Range("[16.0,17.0)");
    /// Declares the step.
    MSBUILD17 = kind("MsBuild17", &[], "Builds with msbuild of Visual Studio 2022."),
        Version::Range("[17.0,18.0)");
}

fn build(rendered: &Json, version: Version) -> Result<Box<dyn Step>, StepError> {
    let params: MsBuildParams = read(rendered)?;
    let mut options = params.shell()?;
    let studio = params.studio().read(&mut options)?;
    let platform = params.platform.literal().unwrap_or_default();
    let defines = given(&params.defines).unwrap_or_default().0;
    match version {
        Version::Variable(name) => {
            options.env.insert("VCENV_BAT".into(), format!(r"${{{name}}}..\..\VC\vcvarsall.bat").into());
        }
        Version::Range(_) => {
            options.env.insert("VCENV_BAT".into(), r"\VC\Auxiliary\Build\vcvarsall.bat".into());
            let installer = r"\Microsoft Visual Studio\Installer\";
            for folder in [r"C:\Program Files (x86)", r"C:\Program Files"] {
                add_path(&mut options.env, "PATH", &format!("{folder}{installer}"));
            }
            add_path(&mut options.env, "PATH", "${PATH}");
        }
    }
    options.command = Some(CommandLine::Text(command(version, &studio, &platform, &defines)));
    let project = studio.project.as_deref().unwrap_or("solution");
    let subject = format!("{project} for {}|{platform}", studio.config);
    let mut step = VisualStudio::new(options);
    step.building = Some(format!("building {subject}"));
    step.subject = matches!(version, Version::Variable(_)).then_some(subject);
    Ok(Box::new(step))
}

fn command(version: Version, studio: &Studio, platform: &str, defines: &[String]) -> String {
    let prefix = match version {
        Version::Variable(_) => "\"%VCENV_BAT%\" x86".to_string(),
        Version::Range(range) => format!(
            "FOR /F \"tokens=*\" %%I in ('vswhere.exe -version \"{range}\" -products * -property installationPath')  \
             do \"%%I\\%VCENV_BAT%\" x86"
        ),
    };
    let mode = match studio.mode {
        Mode::Build => "Build",
        Mode::Clean => "Clean",
        Mode::Rebuild => "Rebuild",
    };
    let target = match (&studio.project, studio.mode) {
        (None, _) => format!("/t:{mode}"),
        // Rebuilding is what a project's own target does.
        (Some(project), Mode::Rebuild) => format!("/t:\"{project}\""),
        (Some(project), _) => format!("/t:\"{project}:{mode}\""),
    };
    let defines = match defines {
        [] => String::new(),
        some => format!(" /p:DefineConstants=\"{}\"", some.join(";")),
    };
    format!(
        "{prefix} && msbuild \"{}\" /p:Configuration=\"{}\" /p:Platform=\"{platform}\" /maxcpucount {target}{defines}",
        studio.projectfile, studio.config
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_06_058_the_commands_of_msbuild() {
        let studio = |args: Json| {
            let params: MsBuildParams = serde_json::from_value(args).unwrap();
            params.studio().read(&mut params.shell().unwrap()).unwrap()
        };
        let plain = studio(json!({"projectfile": "p.sln", "platform": "Win32"}));
        let common = "&& msbuild \"p.sln\" /p:Configuration=\"release\" /p:Platform=\"Win32\" /maxcpucount";
        assert_eq!(
            command(Version::Variable("V"), &plain, "Win32", &[]),
            format!("\"%VCENV_BAT%\" x86 {common} /t:Rebuild")
        );
        let one =
            studio(json!({"projectfile": "p.sln", "platform": "Win32", "project": "x", "mode": "build"}));
        let long = command(Version::Range("[16.0,17.0)"), &one, "Win32", &["A".into(), "B=1".into()]);
        assert!(
            long.starts_with("FOR /F \"tokens=*\" %%I in ('vswhere.exe -version \"[16.0,17.0)\""),
            "{long}"
        );
        assert!(long.ends_with(&format!("{common} /t:\"x:Build\" /p:DefineConstants=\"A;B=1\"")), "{long}");
    }
}
