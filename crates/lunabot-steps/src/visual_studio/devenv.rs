//! The versions that build by the development environment.

use super::VisualStudio;
use super::options::{Mode, Studio, add_path, studio_params};
use crate::common::{command_of, step_kind};
use lunabot_engine::step::{HasShell, OwnChecks, Step, StepDefaults, StepError, StepKind, given, read};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Kind, Problem, Renderable};
use std::collections::BTreeMap;

studio_params! {
    /// Builds with Visual Studio 6 or .NET 2003.
    pub struct VcParams {}
}

impl OwnChecks for VcParams {
    fn problems(&self) -> Vec<Problem> {
        self.studio().problems()
    }
}

studio_params! {
    /// Builds with Visual Studio 2005 or later.
    pub struct VcArchParams {
        /// `x86` (the default) or `x64`.
        pub arch: Option<Renderable<String>>,
    }
}

impl OwnChecks for VcArchParams {
    fn problems(&self) -> Vec<Problem> {
        self.studio().problems()
    }
}

const SHARED: &[&str] =
    &["installdir", "mode", "projectfile", "config", "useenv", "project", "INCLUDE", "LIB", "PATH"];
const DEFAULTS: StepDefaults = StepDefaults::named("compile").described("compiling", "compile");

const fn kind(name: &'static str, aliases: &'static [&'static str], doc: &'static str) -> Kind {
    Kind { aliases, ..step_kind(name, &["arch"], doc, schema_of::<VcArchParams>, check_as::<VcArchParams>) }
}

const fn old_kind(name: &'static str, aliases: &'static [&'static str], doc: &'static str) -> Kind {
    Kind { aliases, ..step_kind(name, SHARED, doc, schema_of::<VcParams>, check_as::<VcParams>) }
}

/// Declares the step.
pub static VC6: StepKind = StepKind {
    kind: old_kind("VC6", &[], "Builds with Visual Studio 6."),
    defaults: DEFAULTS,
    build: |rendered| {
        let params: VcParams = read(rendered)?;
        let mut options = params.shell()?;
        let studio = params.studio().read(&mut options)?;
        let dir = studio.installdir.as_deref().unwrap_or(r"C:\Program Files\Microsoft Visual Studio");
        vc6_folders(&mut options.env, dir);
        options.command = Some(command_of(msdev(&studio)));
        Ok(Box::new(VisualStudio::new(options)))
    },
};

/// Declares the step.
pub static VC7: StepKind = StepKind {
    kind: old_kind("VC7", &["VS2003"], "Builds with Visual Studio .NET 2003."),
    defaults: DEFAULTS,
    build: |rendered| {
        let params: VcParams = read(rendered)?;
        let mut options = params.shell()?;
        let studio = params.studio().read(&mut options)?;
        let dir =
            studio.installdir.as_deref().unwrap_or(r"C:\Program Files\Microsoft Visual Studio .NET 2003");
        vc7_folders(&mut options.env, dir);
        options.command = Some(command_of(devenv("devenv.com", &studio)));
        Ok(Box::new(VisualStudio::new(options)))
    },
};

macro_rules! versions {
    ($($(#[$attr:meta])* $name:ident = $kind:expr, $program:literal, $installdir:literal;)*) => {
        $(
            $(#[$attr])*
            pub static $name: StepKind = StepKind {
                kind: $kind,
                defaults: DEFAULTS,
                build: |rendered| build(rendered, $program, $installdir),
            };
        )*
    };
}

versions! {
    /// Declares the step.
    VC8 = kind("VC8", &["VS2005"], "Builds with Visual Studio 2005."),
        "devenv.com", r"C:\Program Files\Microsoft Visual Studio 8";
    /// Declares the step.
    VCEXPRESS9 = kind("VCExpress9", &[], "Builds with Visual C++ Express 2008."),
        "vcexpress", r"C:\Program Files\Microsoft Visual Studio 8";
    /// Declares the step.
    VC9 = kind("VC9", &["VS2008"], "Builds with Visual Studio 2008."),
        "devenv.com", r"C:\Program Files\Microsoft Visual Studio 9.0";
    /// Declares the step.
    VC10 = kind("VC10", &["VS2010"], "Builds with Visual Studio 2010."),
        "devenv.com", r"C:\Program Files\Microsoft Visual Studio 10.0";
    /// Declares the step.
    VC11 = kind("VC11", &["VS2012"], "Builds with Visual Studio 2012."),
        "devenv.com", r"C:\Program Files\Microsoft Visual Studio 11.0";
    /// Declares the step.
    VC12 = kind("VC12", &["VS2013"], "Builds with Visual Studio 2013."),
        "devenv.com", r"C:\Program Files\Microsoft Visual Studio 12.0";
    /// Declares the step.
    VC14 = kind("VC14", &["VS2015"], "Builds with Visual Studio 2015."),
        "devenv.com", r"C:\Program Files (x86)\Microsoft Visual Studio 14.0";
    /// Declares the step.
    VC141 = kind("VC141", &["VS2017"], "Builds with Visual Studio 2017."),
        "devenv.com", r"C:\Program Files (x86)\Microsoft Visual Studio\2017\Community";
    /// Declares the step.
    VS2019 = kind("VS2019", &[], "Builds with Visual Studio 2019."),
        "devenv.com", r"C:\Program Files (x86)\Microsoft Visual Studio\2019\Community";
    /// Declares the step.
    VS2022 = kind("VS2022", &[], "Builds with Visual Studio 2022."),
        "devenv.com", r"C:\Program Files (x86)\Microsoft Visual Studio\2022\Community";
}

fn build(rendered: &Json, program: &str, installdir: &str) -> Result<Box<dyn Step>, StepError> {
    let params: VcArchParams = read(rendered)?;
    let mut options = params.shell()?;
    let studio = params.studio().read(&mut options)?;
    let x64 = given(&params.arch).as_deref() == Some("x64");
    vc8_folders(&mut options.env, studio.installdir.as_deref().unwrap_or(installdir), x64);
    options.command = Some(command_of(devenv(program, &studio)));
    Ok(Box::new(VisualStudio::new(options)))
}

fn msdev(studio: &Studio) -> Vec<String> {
    let project = studio.project.as_deref().unwrap_or("ALL");
    let mode = match studio.mode {
        Mode::Rebuild => "/REBUILD",
        Mode::Clean => "/CLEAN",
        Mode::Build => "/BUILD",
    };
    let target = format!("{project} - {}", studio.config);
    let mut words = vec!["msdev".into(), studio.projectfile.clone(), "/MAKE".into(), target, mode.into()];
    words.extend(studio.useenv.then(|| "/USEENV".to_string()));
    words
}

fn devenv(program: &str, studio: &Studio) -> Vec<String> {
    let mode = match studio.mode {
        Mode::Rebuild => "/Rebuild",
        Mode::Clean => "/Clean",
        Mode::Build => "/Build",
    };
    let mut words = vec![program.into(), studio.projectfile.clone(), mode.into(), studio.config.clone()];
    words.extend(studio.useenv.then(|| "/UseEnv".to_string()));
    if let Some(project) = &studio.project {
        words.extend(["/Project".into(), project.clone()]);
    }
    words
}

type Env = BTreeMap<String, Json>;

/// Adds folders below `dir` to a variable.
fn add(env: &mut Env, name: &str, dir: &str, below: &[&str]) {
    below.iter().for_each(|folder| add_path(env, name, &format!("{dir}{folder}")));
}

fn vc6_folders(env: &mut Env, dir: &str) {
    let path = [r"\Common\msdev98\BIN", r"\VC98\BIN", r"\Common\TOOLS\WINNT", r"\Common\TOOLS"];
    add(env, "PATH", dir, &path);
    add(env, "INCLUDE", dir, &[r"\VC98\INCLUDE", r"\VC98\ATL\INCLUDE", r"\VC98\MFC\INCLUDE"]);
    add(env, "LIB", dir, &[r"\VC98\LIB", r"\VC98\MFC\LIB"]);
}

fn vc7_folders(env: &mut Env, dir: &str) {
    add(env, "PATH", dir, &[r"\Common7\IDE", r"\VC7\BIN", r"\Common7\Tools", r"\Common7\Tools\bin"]);
    let include =
        [r"\VC7\INCLUDE", r"\VC7\ATLMFC\INCLUDE", r"\VC7\PlatformSDK\include", r"\SDK\v1.1\include"];
    add(env, "INCLUDE", dir, &include);
    add(env, "LIB", dir, &[r"\VC7\LIB", r"\VC7\ATLMFC\LIB", r"\VC7\PlatformSDK\lib", r"\SDK\v1.1\lib"]);
}

fn vc8_folders(env: &mut Env, dir: &str, x64: bool) {
    add(env, "PATH", dir, &[r"\Common7\IDE"]);
    if x64 {
        add(env, "PATH", dir, &[r"\VC\BIN\x86_amd64"]);
    }
    let path = [
        r"\VC\BIN",
        r"\Common7\Tools",
        r"\Common7\Tools\bin",
        r"\VC\PlatformSDK\bin",
        r"\SDK\v2.0\bin",
        r"\VC\VCPackages",
    ];
    add(env, "PATH", dir, &path);
    add_path(env, "PATH", "${PATH}");
    add(env, "INCLUDE", dir, &[r"\VC\INCLUDE", r"\VC\ATLMFC\include", r"\VC\PlatformSDK\include"]);
    let end = if x64 { r"\amd64" } else { "" };
    for folder in [r"\VC\LIB", r"\VC\ATLMFC\LIB", r"\VC\PlatformSDK\lib", r"\SDK\v2.0\lib"] {
        add_path(env, "LIB", &format!("{dir}{folder}{end}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn studio(args: Json) -> (Studio, Env) {
        let params: VcArchParams = serde_json::from_value(args).unwrap();
        let mut options = params.shell().unwrap();
        (params.studio().read(&mut options).unwrap(), options.env)
    }

    #[test]
    fn row_06_058_the_commands_of_the_development_environments() {
        let (plain, _) = studio(json!({"projectfile": "p.dsw"}));
        assert_eq!(msdev(&plain).join("|"), "msdev|p.dsw|/MAKE|ALL - release|/REBUILD");
        assert_eq!(devenv("devenv.com", &plain).join("|"), "devenv.com|p.dsw|/Rebuild|release");
        let (full, env) = studio(json!({
            "projectfile": "p.sln", "mode": "clean", "config": "debug", "project": "x", "LIB": ["a", "b"],
        }));
        assert_eq!(msdev(&full).join("|"), "msdev|p.sln|/MAKE|x - debug|/CLEAN|/USEENV");
        assert_eq!(devenv("vcexpress", &full).join("|"), "vcexpress|p.sln|/Clean|debug|/UseEnv|/Project|x");
        assert_eq!(env["LIB"], "a;b;");
    }

    #[test]
    fn row_06_058_folders_follow_those_of_the_configuration() {
        let (_, mut env) = studio(json!({"projectfile": "p", "PATH": ["own"]}));
        vc8_folders(&mut env, "D", true);
        let path = env["PATH"].as_str().unwrap();
        assert!(path.starts_with(r"own;D\Common7\IDE;D\VC\BIN\x86_amd64;D\VC\BIN;"), "{path}");
        assert!(path.ends_with(r"D\VC\VCPackages;${PATH};"), "{path}");
        assert!(env["LIB"].as_str().unwrap().starts_with(r"D\VC\LIB\amd64;"));
    }
}
