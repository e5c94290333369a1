//! `steps.DebPbuilder`, `steps.DebCowbuilder`, `steps.UbuPbuilder`, `steps.UbuCowbuilder` (06.057).

use crate::common::{command_of, no_command, step_kind};
use crate::warning_counting_shell_command::CALLBACKS;
use crate::warnings::{Counting, HasWarnings, warning_params};
use async_trait::async_trait;
use lunabot_engine::command::{Dict, RemoteCommand, Stat, names};
use lunabot_engine::step::{
    Channel, CommandOutput, HasShell, LineObserver, OverAll, OwnChecks, Results, ShellOptions, Step,
    StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Kind, Problem, Renderable, StringOrList};
use regex::Regex;
use std::sync::LazyLock;

/// What counts as a warning here.
const PATTERN: &str = r".*(warning[: ]|\sW: ).*";
/// A chroot older than this is brought up to date first, in seconds.
const MAX_AGE: i64 = 7 * 24 * 60 * 60;

warning_params! {
    /// Builds Debian packages in a chroot.
    pub struct PbuilderParams {
        /// The architecture; default: the worker's own.
        pub architecture: Option<Renderable<Option<String>>>,
        /// The release, such as `stable`.
        pub distribution: Option<Renderable<String>>,
        /// The chroot on the worker; default: one beside others, by distribution and architecture.
        pub basetgz: Option<Renderable<Option<String>>>,
        /// Where packages come from.
        pub mirror: Option<Renderable<String>>,
        /// Further lines for `sources.list`.
        pub othermirror: Option<Renderable<StringOrList>>,
        /// Packages to install in the chroot.
        pub extrapackages: Option<Renderable<StringOrList>>,
        /// The keyring that the chroot is made with.
        pub keyring: Option<Renderable<Option<String>>>,
        /// Parts of the archive, such as `main universe`.
        pub components: Option<Renderable<String>>,
    }
}

impl OwnChecks for PbuilderParams {
    fn problems(&self) -> Vec<Problem> {
        no_command(&self.command).into_iter().chain(self.warning_problems()).collect()
    }
}

/// What the four differ in.
struct Flavour {
    program: &'static str,
    base_option: &'static str,
    /// The end of the name of a chroot.
    suffix: &'static str,
    distribution: Option<&'static str>,
    mirror: &'static str,
    components: Option<&'static str>,
}

const DEBIAN: Flavour = Flavour {
    program: "/usr/sbin/pbuilder",
    base_option: "--basetgz",
    suffix: "buildbot.tgz",
    distribution: Some("stable"),
    mirror: "http://cdn.debian.net/debian/",
    components: None,
};
const DEBIAN_COW: Flavour =
    Flavour { program: "/usr/sbin/cowbuilder", base_option: "--basepath", suffix: "buildbot.cow/", ..DEBIAN };
const UBUNTU: Flavour = Flavour {
    distribution: None,
    mirror: "http://archive.ubuntu.com/ubuntu/",
    components: Some("main universe"),
    ..DEBIAN
};
const UBUNTU_COW: Flavour = Flavour {
    distribution: UBUNTU.distribution,
    mirror: UBUNTU.mirror,
    components: UBUNTU.components,
    ..DEBIAN_COW
};

const POSITIONAL: &[&str] = &[
    "architecture",
    "distribution",
    "basetgz",
    "mirror",
    "othermirror",
    "extrapackages",
    "keyring",
    "components",
];

const fn kind(name: &'static str, doc: &'static str, check: fn(&Json) -> Vec<Problem>) -> Kind {
    Kind { callbacks: CALLBACKS, ..step_kind(name, POSITIONAL, doc, schema_of::<PbuilderParams>, check) }
}

/// Ubuntu has no release that goes without saying.
fn check_ubuntu(args: &Json) -> Vec<Problem> {
    let missing = args.get("distribution").is_none_or(Json::is_null);
    let missing = missing.then(|| Problem::new("", "distribution is missing"));
    check_as::<PbuilderParams>(args).into_iter().chain(missing).collect()
}

/// Declares the step.
pub static DEB_PBUILDER: StepKind = StepKind {
    kind: kind(
        "DebPbuilder",
        "Builds a Debian package with pdebuild in a chroot of pbuilder, which is made or brought up to date first; \
         the property `deb-changes` names its `.changes` file.",
        check_as::<PbuilderParams>,
    ),
    defaults: StepDefaults::named("pbuilder").halting().described("building", "built"),
    build: |rendered| build(rendered, &DEBIAN),
};

/// Declares the step.
pub static DEB_COWBUILDER: StepKind = StepKind {
    kind: kind(
        "DebCowbuilder",
        "A DebPbuilder with cowbuilder in place of pbuilder.",
        check_as::<PbuilderParams>,
    ),
    defaults: StepDefaults::named("cowbuilder").halting().described("building", "built"),
    build: |rendered| build(rendered, &DEBIAN_COW),
};

/// Declares the step.
pub static UBU_PBUILDER: StepKind = StepKind {
    kind: kind("UbuPbuilder", "A DebPbuilder for Ubuntu; `distribution` must be given.", check_ubuntu),
    defaults: StepDefaults::named("pbuilder").halting().described("building", "built"),
    build: |rendered| build(rendered, &UBUNTU),
};

/// Declares the step.
pub static UBU_COWBUILDER: StepKind = StepKind {
    kind: kind("UbuCowbuilder", "A DebCowbuilder for Ubuntu; `distribution` must be given.", check_ubuntu),
    defaults: StepDefaults::named("cowbuilder").halting().described("building", "built"),
    build: |rendered| build(rendered, &UBUNTU_COW),
};

/// The options, plain.
struct Chroot {
    flavour: &'static Flavour,
    architecture: Option<String>,
    distribution: String,
    base: String,
    mirror: String,
    othermirror: String,
    extrapackages: String,
    keyring: Option<String>,
    components: Option<String>,
}

impl Chroot {
    fn new(params: &PbuilderParams, flavour: &'static Flavour) -> Result<Self, StepError> {
        let text = |option: &Option<Renderable<Option<String>>>| {
            given(option).flatten().filter(|text| !text.is_empty())
        };
        let own = |option: &Option<Renderable<String>>, class: Option<&str>| {
            given(option).filter(|text| !text.is_empty()).or_else(|| class.map(str::to_string))
        };
        let list = |option: &Option<Renderable<StringOrList>>| given(option).unwrap_or_default().0;
        let architecture = text(&params.architecture);
        let distribution = own(&params.distribution, flavour.distribution)
            .ok_or_else(|| StepError::Exception("distribution: nothing was given".into()))?;
        let base = text(&params.basetgz).unwrap_or_else(|| {
            let architecture = architecture.as_deref().unwrap_or("local");
            format!("/var/cache/pbuilder/{distribution}-{architecture}-{}", flavour.suffix)
        });
        Ok(Chroot {
            flavour,
            architecture,
            base,
            mirror: own(&params.mirror, Some(flavour.mirror)).unwrap_or_default(),
            othermirror: list(&params.othermirror).join("|"),
            extrapackages: list(&params.extrapackages).join(" "),
            keyring: text(&params.keyring),
            components: own(&params.components, flavour.components),
            distribution,
        })
    }

    fn build_words(&self) -> Vec<String> {
        let mut words = words(&["pdebuild", "--buildresult", ".", "--pbuilder", self.flavour.program]);
        pair(&mut words, "--architecture", self.architecture.as_deref());
        words.extend(self::words(&["--", "--buildresult", ".", self.flavour.base_option, &self.base]));
        pair(&mut words, "--extrapackages", Some(&self.extrapackages));
        words
    }

    fn create_words(&self) -> Vec<String> {
        let flavour = self.flavour;
        let mut words = words(&["sudo", flavour.program, "--create", flavour.base_option, &self.base]);
        pair(&mut words, "--distribution", Some(&self.distribution));
        pair(&mut words, "--mirror", Some(&self.mirror));
        pair(&mut words, "--othermirror", Some(&self.othermirror));
        pair(&mut words, "--architecture", self.architecture.as_deref());
        pair(&mut words, "--extrapackages", Some(&self.extrapackages));
        let keyring = self.keyring.as_ref().map(|keyring| format!("--keyring={keyring}"));
        pair(&mut words, "--debootstrapopts", keyring.as_deref());
        pair(&mut words, "--components", self.components.as_deref());
        words
    }

    fn update_words(&self) -> Vec<String> {
        let flavour = self.flavour;
        words(&["sudo", flavour.program, "--update", flavour.base_option, &self.base])
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).into()).collect()
}

fn pair(words: &mut Vec<String>, option: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        words.extend([option.into(), value.into()]);
    }
}

struct Pbuilder {
    chroot: Chroot,
    counting: Counting,
}

fn build(rendered: &Json, flavour: &'static Flavour) -> Result<Box<dyn Step>, StepError> {
    let params: PbuilderParams = read(rendered)?;
    let chroot = Chroot::new(&params, flavour)?;
    let mut warnings = params.warning_params().options(PATTERN)?;
    warnings.suppress(r"\.pbuilderrc does not exist")?;
    let shell = ShellOptions { command: Some(command_of(chroot.build_words())), ..params.shell()? };
    Ok(Box::new(Pbuilder { chroot, counting: Counting { shell, warnings, described: true } }))
}

#[async_trait]
impl Step for Pbuilder {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        match self.prepare(cx).await? {
            Results::Success => {}
            other => return Ok(other),
        }
        cx.observe_lines("stdio", Changes(cx.clone())).await;
        Ok(self.counting.run(cx).await?.results(&self.counting.warnings))
    }

    fn over_all(&self) -> Option<&dyn OverAll> {
        Some(&self.counting)
    }
}

impl Pbuilder {
    /// Makes the chroot, or brings it up to date.
    async fn prepare(&self, cx: &StepContext) -> Result<Results, StepError> {
        let Some(stat) = self.look(cx).await? else {
            cx.set_summary("PBuilder create.");
            return self.on_chroot(cx, self.chroot.create_words()).await;
        };
        if !stat.is_file() && !stat.is_dir() {
            let text = format!("{} is neither a file nor a folder", self.chroot.base);
            return Err(StepError::Failed(text));
        }
        match cx.now().secs() - stat.mtime {
            age if age >= MAX_AGE => self.on_chroot(cx, self.chroot.update_words()).await,
            _ => Ok(Results::Success),
        }
    }

    /// The chroot, if there is one. What the worker says is in no log: a missing one is no mistake.
    async fn look(&self, cx: &StepContext) -> Result<Option<Stat>, StepError> {
        let stat = RemoteCommand::new(names::STAT, Dict::new().with("file", self.chroot.base.as_str()));
        let found = cx.run_command(stat).await?;
        if found.interrupted {
            return Err(StepError::Cancelled);
        }
        Ok(found.stats.into_iter().next().filter(|_| found.rc == Some(0)))
    }

    async fn on_chroot(&self, cx: &StepContext, words: Vec<String>) -> Result<Results, StepError> {
        let output = CommandOutput { stdio_log_name: Some("pbuilder".into()), ..CommandOutput::default() };
        let command = cx.make_remote_shell_command(&ShellOptions::words(words), output).await?;
        Ok(cx.run_command(command).await?.results())
    }
}

/// Finds the `.changes` file.
struct Changes(StepContext);

static CHANGES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"dpkg-genchanges  >\.\./(.+\.changes)").expect("a constant pattern"));

impl LineObserver for Changes {
    fn line(&mut self, _: Channel, line: &str) {
        if let Some(found) = CHANGES.captures(line) {
            self.0.set_property("deb-changes", found[1].into(), "DebPbuilder");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_06_057_the_commands_of_pbuilder() {
        let chroot = |args, flavour| {
            Chroot::new(&serde_json::from_value::<PbuilderParams>(args).unwrap(), flavour).unwrap()
        };
        let plain = chroot(json!({}), &DEBIAN);
        assert_eq!(
            plain.build_words().join(" "),
            "pdebuild --buildresult . --pbuilder /usr/sbin/pbuilder -- --buildresult . --basetgz \
             /var/cache/pbuilder/stable-local-buildbot.tgz"
        );
        let full = json!({
            "architecture": "armel", "distribution": "trusty", "othermirror": ["a", "b"],
            "extrapackages": ["x", "y"], "keyring": "/k",
        });
        assert_eq!(
            chroot(full, &UBUNTU_COW).create_words().join(" "),
            "sudo /usr/sbin/cowbuilder --create --basepath /var/cache/pbuilder/trusty-armel-buildbot.cow/ \
             --distribution trusty --mirror http://archive.ubuntu.com/ubuntu/ --othermirror a|b --architecture armel \
             --extrapackages x y --debootstrapopts --keyring=/k --components main universe"
        );
        assert_eq!(check_ubuntu(&json!({}))[0].message, "distribution is missing");
    }
}
