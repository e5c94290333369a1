//! `steps.P4` (06.027), by the command line of `p4`.

use crate::common::step_kind;
use crate::source::{SourceStep, Target, Tree, Vcs, full_by, highest, source_defaults, source_params};
use async_trait::async_trait;
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{OwnChecks, Step, StepContext, StepError, StepKind, VcCommand, given, read};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::resources::Change;
use lunabot_model::{Json, Problem, Renderable, StringOrList};
use std::collections::BTreeMap;

const CLASS: &str = "P4";

source_params! {
/// Checks out a part of a Perforce depot.
pub struct P4Params {
    /// Accepted for Buildbot's sake; `full` always begins with an empty folder.
    #[serde(default)]
    pub method: Option<Renderable<String>>,
    /// The folder of the depot, `//depot/project`, without a slash behind it.
    #[serde(default)]
    pub p4base: Option<Renderable<String>>,
    /// A folder below `p4base`.
    #[serde(default)]
    pub p4branch: Option<Renderable<String>>,
    /// The server, `host:port`. Default: the worker's.
    #[serde(default)]
    pub p4port: Option<Renderable<String>>,
    /// The user.
    #[serde(default)]
    pub p4user: Option<Renderable<String>>,
    /// The password; no log shows it.
    #[serde(default)]
    pub p4passwd: Option<Renderable<String>>,
    /// Further pairs of a folder in the depot and one in the tree.
    #[serde(default)]
    pub p4extra_views: Option<Renderable<Vec<(String, String)>>>,
    /// How lines end: `local` (default), `unix`, `mac`, `win` or `share`.
    #[serde(default)]
    pub p4line_end: Option<Renderable<String>>,
    /// In place of `p4base`: pairs of a folder in the depot and one in the tree, as in a client's view.
    #[serde(default)]
    pub p4viewspec: Option<Renderable<Vec<(String, String)>>>,
    /// What is added to both sides of `p4viewspec`. Default `...`.
    #[schemars(extend("default" = "..."))]
    #[serde(default)]
    pub p4viewspec_suffix: Option<Renderable<String>>,
    /// Name of the client. Default `buildbot_WORKER_BUILDER`.
    #[serde(default)]
    pub p4client: Option<Renderable<String>>,
    /// Options of the client. Default `allwrite rmdir`.
    #[schemars(extend("default" = "allwrite rmdir"))]
    #[serde(default)]
    pub p4client_spec_options: Option<Renderable<String>>,
    /// Type of the client: `readonly`, `partitioned` or `writeable`.
    #[serde(default)]
    pub p4client_type: Option<Renderable<String>>,
    /// Further arguments of `p4 sync`.
    #[serde(default)]
    pub p4extra_args: Option<Renderable<StringOrList>>,
    /// The program on the worker. Default `p4`.
    #[schemars(extend("default" = "p4"))]
    #[serde(default)]
    pub p4bin: Option<Renderable<String>>,
    /// Sign in by `p4 login`.
    #[serde(default)]
    pub use_tickets: bool,
    /// `p4base/p4branch` is a stream.
    #[serde(default)]
    pub stream: bool,
    /// Accepted; has no effect.
    #[serde(default)]
    pub debug: bool,
}
}

impl P4Params {
    /// Whether the tree is made anew.
    fn is_full(&self) -> Result<bool, Problem> {
        Ok(full_by(given(&self.mode).as_deref(), None, &[("", ())])?.is_some())
    }

    fn check_views(&self, add: &mut impl FnMut(&str, &str)) {
        let based = self.p4base.is_some() || self.p4branch.is_some() || self.p4extra_views.is_some();
        match (&self.p4viewspec, &self.p4base) {
            (None, None) => add("p4base", "p4base or p4viewspec must be given"),
            (Some(_), _) if based => add("p4viewspec", "excludes p4base, p4branch and p4extra_views"),
            (Some(_), _) | (None, Some(_)) => {}
        }
        if self.stream && (self.p4viewspec.is_some() || self.p4extra_views.is_some()) {
            add("stream", "excludes p4viewspec and p4extra_views: a stream has its own view");
        }
        if self.stream && self.p4branch.is_none() {
            add("stream", "needs p4base and p4branch");
        }
    }
}

impl OwnChecks for P4Params {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.is_full().err().into_iter().collect();
        let mut add = |path: &str, message: &str| problems.push(Problem::new(path, message));
        self.check_views(&mut add);
        if given(&self.p4base).is_some_and(|base| !base.starts_with("//")) {
            add("p4base", "must begin with //, as in //depot/project");
        }
        for (option, value) in [("p4base", &self.p4base), ("p4branch", &self.p4branch)] {
            if given(value).is_some_and(|text| text.ends_with('/')) {
                add(option, "must not end in a slash");
            }
        }
        if self.use_tickets && self.p4passwd.is_none() {
            add("use_tickets", "needs p4passwd");
        }
        problems
    }
}

/// Declares the step.
pub static P4: StepKind = StepKind {
    kind: step_kind(
        CLASS,
        &[
            "mode",
            "method",
            "p4base",
            "p4branch",
            "p4port",
            "p4user",
            "p4passwd",
            "p4extra_views",
            "p4line_end",
            "p4viewspec",
            "p4viewspec_suffix",
            "p4client",
            "p4client_spec_options",
            "p4client_type",
            "p4extra_args",
            "p4bin",
            "use_tickets",
            "stream",
            "debug",
        ],
        "Syncs a part of a Perforce depot to the build's change, and sets the property got_revision.",
        schema_of::<P4Params>,
        check_as::<P4Params>,
    ),
    defaults: source_defaults("p4"),
    build,
};

struct Perforce {
    params: P4Params,
    full: bool,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: P4Params = read(rendered)?;
    let full = params.is_full().map_err(|p| StepError::Exception(format!("{}: {}", p.path, p.message)))?;
    let options = params.source();
    Ok(SourceStep::boxed(Perforce { params, full }, options))
}

#[async_trait]
impl Vcs for Perforce {
    fn class(&self) -> &'static str {
        CLASS
    }

    fn hidden(&self) -> Vec<String> {
        given(&self.params.p4passwd).into_iter().collect()
    }

    async fn command(&self, tree: Tree<'_>, command: VcCommand) -> Result<FinishedCommand, StepError> {
        let checkout = self.checkout(tree);
        let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
        checkout.tree.run(checkout.command(&args), BTreeMap::new(), command.stdin).await
    }

    async fn check_out(&mut self, tree: Tree<'_>, target: &Target) -> Result<(), StepError> {
        let checkout = self.checkout(tree);
        let version = checkout.tree.run(vec![checkout.program(), "-V".into()], BTreeMap::new(), None).await?;
        if version.did_fail() {
            return Err(StepError::Exception("p4 is not installed on the worker".into()));
        }
        checkout.sign_in().await?;
        checkout.declare_client().await?;
        let revision = checkout.revision(target.revision.as_deref()).await?;
        if self.full || checkout.tree.is_patched().await? {
            checkout.must(&["sync", "#none"], None).await?;
            checkout.tree.clobber().await?;
        }
        checkout.must(&["sync", &format!("//{}/...@{revision}", checkout.client)], None).await?;
        if let Some(patch) = &target.patch {
            checkout.tree.patch(patch).await?;
        }
        checkout.tree.note(CLASS, "got_revision", &revision)
    }

    fn newest(&self, changes: &[&Change]) -> Option<String> {
        highest(changes)
    }
}

impl Perforce {
    fn checkout<'a>(&'a self, tree: Tree<'a>) -> Checkout<'a> {
        let client = given(&self.params.p4client).unwrap_or_else(|| default_client(tree.cx));
        Checkout { tree, params: &self.params, client }
    }
}

fn default_client(cx: &StepContext) -> String {
    format!("buildbot_{}_{}", cx.build().worker, cx.build().builder)
}

/// One checkout under way.
struct Checkout<'a> {
    tree: Tree<'a>,
    params: &'a P4Params,
    client: String,
}

impl Checkout<'_> {
    fn program(&self) -> String {
        given(&self.params.p4bin).unwrap_or_else(|| "p4".into())
    }

    fn command(&self, args: &[&str]) -> Vec<String> {
        let mut words = vec![self.program()];
        let password = if self.params.use_tickets { &None } else { &self.params.p4passwd };
        for (flag, value) in [("-p", &self.params.p4port), ("-u", &self.params.p4user), ("-P", password)] {
            words.extend(given(value).into_iter().flat_map(|value| [flag.to_string(), value]));
        }
        words.extend(["-c".into(), self.client.clone()]);
        let mut args = args.iter().map(ToString::to_string);
        words.extend(args.next());
        if words.last().is_some_and(|command| command == "sync") {
            words.extend(given(&self.params.p4extra_args).unwrap_or_default().0);
        }
        words.extend(args);
        words
    }

    async fn must(&self, args: &[&str], stdin: Option<String>) -> Result<FinishedCommand, StepError> {
        let outcome = self.tree.run(self.command(args), BTreeMap::new(), stdin).await?;
        let name = args.first().copied().unwrap_or_default();
        if outcome.did_fail() { Err(StepError::Failed(format!("p4 {name} failed"))) } else { Ok(outcome) }
    }

    async fn sign_in(&self) -> Result<(), StepError> {
        match given(&self.params.p4passwd).filter(|_| self.params.use_tickets) {
            Some(password) => self.must(&["login"], Some(format!("{password}\n"))).await.map(drop),
            None => Ok(()),
        }
    }

    /// Makes the client, or makes it what it should be.
    async fn declare_client(&self) -> Result<(), StepError> {
        let outcome = self.must(&["client", "-i"], Some(self.client_spec())).await?;
        let told = ["saved.", "not changed."].iter().any(|end| {
            outcome.stdout.lines().any(|line| line.starts_with("Client ") && line.trim_end().ends_with(end))
        });
        if told { Ok(()) } else { Err(StepError::Failed("p4 client did not take the client".into())) }
    }

    fn client_spec(&self) -> String {
        let params = self.params;
        let text = |option: &Option<Renderable<String>>, default: &str| {
            given(option).unwrap_or_else(|| default.to_string())
        };
        let builddir = self.tree.cx.get_property("builddir");
        let builddir = builddir.as_ref().and_then(Json::as_str).unwrap_or_default();
        let root = self.tree.cx.join_path(&[builddir, &self.tree.workdir]);
        let user = text(&params.p4user, "");
        let mut spec =
            format!("Client: {}\n\nOwner: {user}\n\nDescription:\n\tCreated by {user}\n\n", self.client);
        spec += &format!(
            "Root:\t{root}\n\nOptions:\t{}\n\n",
            text(&params.p4client_spec_options, "allwrite rmdir")
        );
        spec += &format!("LineEnd:\t{}\n\n", text(&params.p4line_end, "local"));
        if let Some(kind) = given(&params.p4client_type) {
            spec += &format!("Type:\t{kind}\n\n");
        }
        if params.stream {
            spec += &format!("Stream:\t{}\n", self.folder());
        } else {
            spec += "View:\n";
            let views = self.views().into_iter();
            views.for_each(|(depot, tree)| spec += &format!("\t{} {}\n", quoted(&depot), quoted(&tree)));
        }
        spec
    }

    /// The folder of the depot.
    fn folder(&self) -> String {
        let base = given(&self.params.p4base).unwrap_or_default();
        given(&self.params.p4branch).filter(|b| !b.is_empty()).map_or(base.clone(), |b| format!("{base}/{b}"))
    }

    /// Pairs of a pattern in the depot and one in the client.
    fn views(&self) -> Vec<(String, String)> {
        let client = &self.client;
        if let Some(views) = given(&self.params.p4viewspec) {
            let suffix = given(&self.params.p4viewspec_suffix).unwrap_or_else(|| "...".into());
            let view = |(depot, tree)| (format!("{depot}{suffix}"), format!("//{client}/{tree}{suffix}"));
            return views.into_iter().map(view).collect();
        }
        let extra = given(&self.params.p4extra_views).unwrap_or_default();
        let extra =
            extra.into_iter().map(|(depot, tree)| (format!("{depot}/..."), format!("//{client}/{tree}/...")));
        [(format!("{}/...", self.folder()), format!("//{client}/..."))].into_iter().chain(extra).collect()
    }

    /// The newest change of the view, not after the one that is wanted.
    async fn revision(&self, wanted: Option<&str>) -> Result<String, StepError> {
        let until = wanted.map_or("#head".to_string(), |revision| format!("@{revision}"));
        let outcome = self.must(&["changes", "-m1", &format!("//{}/...{until}", self.client)], None).await?;
        let mut words = outcome.stdout.split_whitespace();
        let number = words.nth(1).filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        number.map(String::from).ok_or_else(|| {
            StepError::Failed(format!("p4 changes gave {:?}, not a change", outcome.stdout.trim()))
        })
    }
}

/// A side of a view, in quotes where it has blanks.
fn quoted(side: &str) -> String {
    if side.contains(char::is_whitespace) { format!("\"{side}\"") } else { side.to_string() }
}
