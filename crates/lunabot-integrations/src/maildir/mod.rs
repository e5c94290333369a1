//! Change sources that read notification mails out of a maildir (02.008, 02.026).
//!
//! Whatever delivers mail puts a message into `new/`; it is read, its change stored, and it moves to `cur/`. A message that
//! cannot be read moves to `bad/`, where somebody can look at it. The folder is watched, and looked through now and then all the
//! same. What a mail means is said by one file per format.

mod cvs;
mod folder;
mod launchpad;
mod mail;
mod subversion;

use crate::kinds::{ChangeSourceKind, checked};
use crate::poller_params::{CATEGORY, CHANGE_FN, CategoryOption, poller_kind};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use folder::{Folder, Letter};
use lunabot_data::Answer;
use lunabot_data::intake::ChangeFunctions;
use lunabot_data::new::NewChange;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::{AnyObject, Callback, CallbackSpec, Json, Kind, Problem};
use mail::Mail;
use notify::event::{ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How often the folder is looked through, whatever is heard of it.
const RESCAN: Duration = Duration::from_secs(10);
/// The message that is being added. After a process was killed in between, it says which one has to be looked up before it
/// is added again.
const ADDING: &str = "adding";

/// Declares the options of a source: its own, and those that all have.
macro_rules! maildir_params {
    ($(#[$attr:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$attr])*
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// The maildir; relative to the master's folder.
            pub maildir: String,
            /// Only files below this folder count, and lose it from their names.
            #[serde(default)]
            pub prefix: Option<String>,
            /// The category of the changes: a text, or a function of the change.
            #[serde(default)]
            pub category: Option<CategoryOption>,
            /// The repository, where the mail names none.
            #[serde(default)]
            pub repository: Option<String>,
            /// Default: the kind and the maildir.
            #[serde(default)]
            #[allow(dead_code, reason = "the manager of the sources reads it before they are made")]
            pub name: Option<String>,
            /// Alters or, by returning nil, drops a change before it is stored.
            #[serde(default)]
            pub change_fn: Option<Callback>,
            $($own)*
        }

        impl $name {
            fn common(&self) -> Common {
                Common {
                    maildir: self.maildir.clone(),
                    prefix: self.prefix.clone(),
                    category: self.category.clone(),
                    repository: self.repository.clone(),
                    change_fn: self.change_fn.clone(),
                }
            }
        }

        impl Params for $name {
            fn validate(&self) -> Vec<Problem> {
                let empty = self.maildir.trim().is_empty();
                empty.then(|| Problem::new("maildir", "must be the path of a maildir")).into_iter().collect()
            }
        }
    };
}

maildir_params! {
/// `changes.SVNCommitEmailMaildirSource`.
pub struct SubversionParams {}
}
maildir_params! {
/// `changes.CVSMaildirSource`.
pub struct CvsParams {
    /// Properties of the changes.
    #[serde(default)]
    pub properties: BTreeMap<String, Json>,
}
}
maildir_params! {
/// `changes.BzrLaunchpadEmailMaildirSource`.
pub struct LaunchpadParams {
    /// Launchpad's name of a branch (`lp:~joe/project/trunk`, or without `lp:`) → the branch of the changes.
    #[serde(default, rename = "branchMap")]
    pub branch_map: BTreeMap<String, String>,
    /// The branch of changes that `branchMap` does not name. Default: Launchpad's name.
    #[serde(default, rename = "defaultBranch")]
    pub default_branch: Option<String>,
}
}

/// The options that all have.
struct Common {
    maildir: String,
    prefix: Option<String>,
    category: Option<CategoryOption>,
    repository: Option<String>,
    change_fn: Option<Callback>,
}

const CALLBACKS: &[CallbackSpec] = &[CATEGORY, CHANGE_FN];

static CVS_KIND: Kind = poller_kind(
    "CVSMaildirSource",
    &["maildir", "prefix", "category", "repository", "properties"],
    "Reports what the mails of buildbot-cvs-mail in a maildir tell.",
    schema_of::<CvsParams>,
    check_as::<CvsParams>,
    CALLBACKS,
);
static SUBVERSION_KIND: Kind = poller_kind(
    "SVNCommitEmailMaildirSource",
    &["maildir", "prefix", "category", "repository"],
    "Reports what the mails of Subversion's commit-email.pl in a maildir tell.",
    schema_of::<SubversionParams>,
    check_as::<SubversionParams>,
    CALLBACKS,
);
static LAUNCHPAD_KIND: Kind = poller_kind(
    "BzrLaunchpadEmailMaildirSource",
    &["maildir", "prefix", "branchMap", "defaultBranch"],
    "Reports what the mails of Launchpad about branches of Bazaar in a maildir tell.",
    schema_of::<LaunchpadParams>,
    check_as::<LaunchpadParams>,
    CALLBACKS,
);

/// See [`ChangeSourceKind`].
pub const CVS: ChangeSourceKind = ChangeSourceKind { kind: &CVS_KIND, default_name, build: build_cvs };
/// See [`ChangeSourceKind`].
pub const SUBVERSION: ChangeSourceKind =
    ChangeSourceKind { kind: &SUBVERSION_KIND, default_name, build: build_subversion };
/// See [`ChangeSourceKind`].
pub const LAUNCHPAD: ChangeSourceKind =
    ChangeSourceKind { kind: &LAUNCHPAD_KIND, default_name, build: build_launchpad };

fn default_name(object: &AnyObject) -> String {
    let kind = object.kind.rsplit('.').next().unwrap_or_default();
    format!("{kind}:{}", object.arg("maildir").and_then(Json::as_str).unwrap_or_default())
}

fn build_cvs(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let params: CvsParams = checked(object)?;
    Ok(Source::shared(params.common(), Format::Cvs(params.properties)))
}

fn build_subversion(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let params: SubversionParams = checked(object)?;
    Ok(Source::shared(params.common(), Format::Subversion))
}

fn build_launchpad(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let params: LaunchpadParams = checked(object)?;
    let (map, default) = (params.branch_map.clone(), params.default_branch.clone());
    Ok(Source::shared(params.common(), Format::Launchpad(launchpad::Branches { map, default })))
}

/// What the mails look like.
enum Format {
    Cvs(BTreeMap<String, Json>),
    Subversion,
    Launchpad(launchpad::Branches),
}

struct Source {
    common: Common,
    format: Format,
    /// Heard from the folder since the last look.
    heard: Arc<Notify>,
    watcher: Mutex<Option<RecommendedWatcher>>,
}

impl Source {
    fn shared(common: Common, format: Format) -> Arc<dyn Poller> {
        Arc::new(Source { common, format, heard: Arc::default(), watcher: Mutex::default() })
    }

    /// Watches `new/`. Where that cannot be done, the folder is looked through all the same.
    fn watch(&self, new: &Path, cx: &SourceContext) {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if watcher.is_some() {
            return;
        }
        let heard = self.heard.clone();
        let hear = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_delivery(event.kind)) {
                heard.notify_one();
            }
        };
        let started = notify::recommended_watcher(hear).and_then(|mut watcher| {
            watcher.watch(new, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match started {
            Ok(started) => *watcher = Some(started),
            Err(error) => {
                tracing::warn!("{}: cannot watch {}: {error}", cx.concerns(), new.display());
            }
        }
    }

    /// The change that a mail tells of; `None`: none that is of interest.
    fn read(&self, mail: &Mail) -> Option<NewChange> {
        let mut change = match &self.format {
            Format::Cvs(properties) => cvs::read(mail, properties),
            Format::Subversion => subversion::read(mail),
            Format::Launchpad(branches) => launchpad::read(mail, branches),
        }?;
        if let Some(prefix) = &self.common.prefix {
            let below = |file: String| file.strip_prefix(prefix.as_str()).map(str::to_string);
            change.files = change.files.into_iter().filter_map(below).collect();
            if change.files.is_empty() {
                return None;
            }
        }
        let category = match &self.common.category {
            Some(CategoryOption::Text(text)) => Some(text.clone()),
            Some(CategoryOption::Function(_)) | None => None,
        };
        Some(NewChange {
            category: change.category.or(category),
            repository: match change.repository.is_empty() {
                true => self.common.repository.clone().unwrap_or_default(),
                false => change.repository,
            },
            ..change
        })
    }

    fn functions(&self) -> ChangeFunctions {
        let category = match &self.common.category {
            Some(CategoryOption::Function(function)) => Some(function.clone()),
            Some(CategoryOption::Text(_)) | None => None,
        };
        ChangeFunctions { category, change_fn: self.common.change_fn.clone() }
    }

    async fn take_in(
        &self,
        folder: &Folder,
        letter: &Letter,
        cx: &SourceContext,
    ) -> Result<Outcome, SourceError> {
        let bytes = match folder.read(letter).await? {
            Ok(bytes) => bytes,
            Err(fault) => return Ok(Outcome::Bad(fault)),
        };
        let Some(mail) = Mail::read(&bytes) else { return Ok(Outcome::Bad("it is no mail".into())) };
        let Some(change) = self.read(&mail) else {
            tracing::info!("{}: {} tells of no change that counts", cx.concerns(), letter.name);
            return Ok(Outcome::Done);
        };
        let doubtful = cx.first && cx.state(ADDING).await?.is_some_and(|adding| adding == letter.name);
        if doubtful && is_stored(&change, cx).await? {
            return Ok(Outcome::Done);
        }
        // Not waited for: the store keeps the order of what is written.
        cx.data().set_state(&cx.key(ADDING), json!(letter.name)).await?.detach();
        cx.intake.add(change, &self.functions(), &cx.concerns()).await?;
        Ok(Outcome::Done)
    }
}

/// Whether a file came into the folder. That it was looked at, or left, is no news.
fn is_delivery(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) => true,
        EventKind::Modify(ModifyKind::Name(mode)) => mode != RenameMode::From,
        EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Access(_)
        | EventKind::Any
        | EventKind::Other => false,
    }
}

/// What became of a message.
enum Outcome {
    Done,
    /// Why it cannot be read.
    Bad(String),
}

/// Whether an earlier process has stored this change.
async fn is_stored(change: &NewChange, cx: &SourceContext) -> Result<bool, SourceError> {
    let revision = change.revision.as_deref().unwrap_or_default();
    let revision = percent_encoding::utf8_percent_encode(revision, percent_encoding::NON_ALPHANUMERIC);
    let Answer::List { items, .. } = cx.data().get("changes", &format!("revision={revision}")).await? else {
        return Ok(false);
    };
    Ok(items.iter().any(|stored| {
        stored["author"] == change.author
            && stored["comments"] == change.comments
            && stored["files"].as_array().is_some_and(|files| files.len() == change.files.len())
    }))
}

#[async_trait]
impl Poller for Source {
    fn times(&self) -> PollTimes {
        PollTimes { interval: RESCAN, at_launch: true, delay: (Duration::ZERO, Duration::ZERO) }
    }

    fn describe(&self) -> String {
        format!("mails in {}", self.common.maildir)
    }

    async fn check(&self, _: &SourceContext) -> Result<(), SourceError> {
        Ok(())
    }

    async fn arrived(&self) {
        self.heard.notified().await;
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let folder = Folder::open(&cx.basedir.join(&self.common.maildir)).await?;
        // Before the look, so that nothing falls between.
        self.watch(&folder.new_mail(), cx);
        let mut bad = 0;
        for letter in folder.letters().await? {
            match self.take_in(&folder, &letter, cx).await? {
                Outcome::Done => folder.done(&letter).await?,
                Outcome::Bad(fault) => {
                    let place = folder.set_aside(&letter).await?;
                    tracing::warn!("{}: {fault}; it is kept as {}", cx.concerns(), place.display());
                    bad += 1;
                }
            }
        }
        match bad {
            0 => Ok(()),
            _ => Err(SourceError::Other(format!(
                "{bad} messages could not be read and are kept in {}",
                folder.bad().display()
            ))),
        }
    }
}
