//! The command lines of git, as lists of arguments: what to say, not when (06.016–06.021).

use crate::source::Tree;
use lunabot_engine::step::StepError;
use lunabot_model::Renderable;
use std::collections::BTreeMap;

/// Settings for each command of git, by name.
pub type Config = Option<BTreeMap<String, Renderable<String>>>;

/// What the worker's git can do; the error of a worker without git (06.017).
pub async fn features(tree: &Tree<'_>, config: &Config) -> Result<Features, StepError> {
    let mut words = git(config);
    words.push("--version".into());
    // The tree may not exist yet; a version is told anywhere.
    let outcome = tree.run(words, BTreeMap::new(), None).await?;
    let found = Features::parse(&outcome.stdout).filter(|_| !outcome.did_fail());
    found.ok_or_else(|| StepError::Exception("git is not installed on the worker".into()))
}

/// `git` with the settings that every command gets.
pub fn git(config: &Config) -> Vec<String> {
    let settings = config.iter().flatten().flat_map(|(name, value)| {
        ["-c".to_string(), format!("{name}={}", value.literal().unwrap_or_default())]
    });
    std::iter::once("git".to_string()).chain(settings).collect()
}

/// What a version of git can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    pub branch: bool,
    pub progress: bool,
    pub submodule_force: bool,
    pub submodule_checkout: bool,
    pub credential_store: bool,
    pub ssh_variable: bool,
    pub ssh_option: bool,
    pub filters: bool,
}

impl Features {
    /// Reads the output of `git --version`; `None` if that is no git.
    pub fn parse(output: &str) -> Option<Self> {
        let version = output.trim().strip_prefix("git version ")?.split_whitespace().next()?;
        let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
        let have = (numbers.next()?, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let since = |major, minor, patch| have >= (major, minor, patch);
        Some(Features {
            branch: since(1, 6, 5),
            progress: since(1, 7, 2),
            submodule_force: since(1, 7, 6),
            submodule_checkout: since(1, 7, 8),
            credential_store: since(1, 7, 9),
            ssh_variable: since(2, 3, 0),
            ssh_option: since(2, 10, 0),
            filters: since(2, 27, 0),
        })
    }
}

/// What to check out, from where, and how.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub repourl: String,
    /// `HEAD`, a branch or tag, or a full reference.
    pub branch: String,
    pub revision: Option<String>,
    /// Depth of the history.
    pub shallow: Option<u32>,
    pub filters: Vec<String>,
    pub tags: bool,
    pub progress: bool,
    pub reference: Option<String>,
    pub origin: Option<String>,
    pub remote_submodules: bool,
    pub features: Features,
}

type Args = Vec<String>;

fn words(text: &str) -> Args {
    text.split(' ').map(String::from).collect()
}

impl Wanted {
    /// 06.019.
    pub fn fetch(&self) -> Args {
        let mut args = words("fetch -f");
        self.depth(&mut args, self.shallow);
        self.filter(&mut args);
        if self.tags {
            args.push("--tags".into());
        }
        self.show_progress(&mut args);
        args.extend([self.repourl.clone(), self.branch.clone()]);
        args
    }

    /// Whether the commit is here already, so that nothing has to be fetched.
    pub fn probe(&self) -> Option<Args> {
        let revision = self.revision.as_ref().filter(|_| !self.tags)?;
        Some(vec!["cat-file".into(), "-e".into(), revision.clone()])
    }

    pub fn checkout(&self) -> Args {
        let revision = self.revision.clone().unwrap_or_else(|| "FETCH_HEAD".into());
        vec!["checkout".into(), "-f".into(), revision]
    }

    /// Gives the commit that is checked out the name of the branch.
    pub fn name_branch(&self) -> Option<Args> {
        let named = self.branch != "HEAD";
        named.then(|| vec!["checkout".into(), "-B".into(), self.branch.clone()])
    }

    /// 06.020.
    pub fn clone(&self, shallow: Option<u32>) -> Args {
        let mut args = words("clone");
        if self.fetches_after_clone() {
            args.extend(self.features.branch.then(|| "--no-checkout".to_string()));
        } else if self.branch != "HEAD" {
            args.extend(["--branch".into(), self.branch.clone()]);
        }
        self.depth(&mut args, shallow);
        for (option, value) in [("--reference", &self.reference), ("--origin", &self.origin)] {
            args.extend(value.iter().flat_map(|value| [option.to_string(), value.clone()]));
        }
        self.filter(&mut args);
        args.extend([self.repourl.clone(), ".".into()]);
        self.show_progress(&mut args);
        args
    }

    /// Whether the branch is one that `clone --branch` does not take.
    pub fn fetches_after_clone(&self) -> bool {
        self.branch != "HEAD" && (self.branch.starts_with("refs/") || !self.features.branch)
    }

    pub fn submodules_after_clone(&self, shallow: Option<u32>) -> Args {
        let mut args = words("submodule update --init --recursive");
        if self.remote_submodules {
            args.push("--remote".into());
        }
        self.depth(&mut args, shallow);
        args
    }

    /// 06.021.
    pub fn update_submodules(&self) -> Args {
        let mut args = words("submodule update --init --recursive");
        let options = [
            (self.features.submodule_force, "--force"),
            (self.features.submodule_checkout, "--checkout"),
            (self.remote_submodules, "--remote"),
        ];
        args.extend(options.into_iter().filter(|(wanted, _)| *wanted).map(|(_, option)| option.to_string()));
        args
    }

    fn depth(&self, args: &mut Args, shallow: Option<u32>) {
        args.extend(shallow.into_iter().flat_map(|depth| ["--depth".to_string(), depth.to_string()]));
    }

    fn filter(&self, args: &mut Args) {
        let filters = self.filters.iter().filter(|_| self.features.filters);
        args.extend(filters.flat_map(|filter| ["--filter".to_string(), filter.clone()]));
    }

    fn show_progress(&self, args: &mut Args) {
        if self.progress && self.features.progress {
            args.push("--progress".into());
        }
    }
}

/// Removes what is not tracked; with `ignored` also what is ignored.
pub fn clean(ignored: bool) -> Args {
    words(if ignored { "clean -f -f -d -x" } else { "clean -f -f -d" })
}

pub fn sync_submodules() -> Args {
    words("submodule sync")
}

pub fn clean_submodules(ignored: bool) -> Args {
    let mut args = words("submodule foreach --recursive");
    args.push(format!("git {}", clean(ignored).join(" ")));
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(branch: &str) -> Wanted {
        let features = Features::parse("git version 2.47.3\n").unwrap();
        Wanted { repourl: "URL".into(), branch: branch.into(), progress: true, features, ..Wanted::default() }
    }

    #[test]
    fn versions_tell_features() {
        assert_eq!(Features::parse("git version 2.39.5 (Apple Git-154)\n").map(|f| f.filters), Some(true));
        let old = Features::parse("git version 1.7.9").unwrap();
        assert_eq!((old.credential_store, old.ssh_variable, old.filters), (true, false, false));
        assert_eq!(Features::parse("sh: git: not found"), None);
    }

    /// 06.019, 06.020: the command lines word by word.
    #[test]
    fn command_lines_are_buildbots() {
        assert_eq!(wanted("HEAD").fetch().join(" "), "fetch -f --progress URL HEAD");
        assert_eq!(wanted("HEAD").clone(None).join(" "), "clone URL . --progress");
        assert_eq!(wanted("b").clone(Some(1)).join(" "), "clone --branch b --depth 1 URL . --progress");
        assert_eq!(wanted("refs/pull/1/head").clone(None).join(" "), "clone --no-checkout URL . --progress");
        let full = Wanted {
            tags: true,
            shallow: Some(3),
            filters: vec!["tree:0".into()],
            reference: Some("R".into()),
            origin: Some("O".into()),
            ..wanted("b")
        };
        assert_eq!(full.fetch().join(" "), "fetch -f --depth 3 --filter tree:0 --tags --progress URL b");
        let clone = "clone --branch b --reference R --origin O --filter tree:0 URL . --progress";
        assert_eq!(full.clone(None).join(" "), clone);
        assert_eq!(full.probe(), None);
        assert_eq!(clean_submodules(true)[3], "git clean -f -f -d -x");
    }
}
