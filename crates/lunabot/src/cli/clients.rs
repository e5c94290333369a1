//! The commands that talk to a master from somebody's work tree: `sendchange`, `try`, `tryserver`.

use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

/// Speaks to Lunabot and to Buildbot. Whatever is not given is taken from .buildbot/options, where that says it.
#[derive(Debug, Args)]
pub struct Sendchange {
    /// Where the master's PBChangeSource listens; tls: in front, where its port is one for TLS
    #[arg(short, long, value_name = "[tls:]HOST:PORT")]
    pub master: Option<String>,
    /// TLS: the certificates to trust, PEM [default: the machine's]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// Who reports it; without a password, it is asked for [default: change:changepw]
    #[arg(
        short,
        long,
        value_name = "USER:PASSWORD",
        env = "LUNABOT_SENDCHANGE_AUTH",
        hide_env_values = true
    )]
    pub auth: Option<String>,
    /// The author of the commit
    #[arg(short = 'W', long, value_name = "WHO")]
    pub who: Option<String>,
    /// Where the change was made
    #[arg(short = 'R', long, value_name = "URL")]
    pub repository: Option<String>,
    /// The project that it belongs to
    #[arg(short = 'P', long, value_name = "NAME")]
    pub project: Option<String>,
    /// The branch that it is on
    #[arg(short, long, value_name = "NAME")]
    pub branch: Option<String>,
    /// A word for filters
    #[arg(short = 'C', long, value_name = "NAME")]
    pub category: Option<String>,
    /// The codebase, where the master is not to find it itself
    #[arg(long, value_name = "NAME")]
    pub codebase: Option<String>,
    /// What the repository calls it
    #[arg(short, long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// A file that holds the revision
    #[arg(long = "revision_file", value_name = "FILE", value_hint = ValueHint::FilePath, alias = "revision-file")]
    pub revision_file: Option<PathBuf>,
    /// A property of the change; may be given several times
    #[arg(short, long = "property", value_name = "NAME:VALUE")]
    pub properties: Vec<String>,
    /// The log message
    #[arg(short, long, value_name = "TEXT")]
    pub comments: Option<String>,
    /// A file that holds the log message; -: standard input
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "comments", value_hint = ValueHint::FilePath)]
    pub logfile: Option<PathBuf>,
    /// When it was made: seconds since 1970 [default: now]
    #[arg(short, long, value_name = "SECONDS")]
    pub when: Option<f64>,
    /// Where the change can be seen
    #[arg(short = 'l', long, value_name = "URL")]
    pub revlink: Option<String>,
    /// The kind of repository: cvs, svn, darcs, hg, bzr, git, mtn, p4
    #[arg(short = 's', long, value_name = "NAME")]
    pub vc: Option<String>,
    /// The encoding of the other values; only utf8
    #[arg(short, long, value_name = "NAME", default_value = "utf8")]
    pub encoding: String,
    /// The files that changed
    #[arg(value_name = "FILE")]
    pub files: Vec<String>,
}

/// How `try` reaches the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Connect {
    /// Over the network, to a Try_Userpass
    Pb,
    /// As a file in the folder of a Try_Jobdir, over ssh
    Ssh,
}

/// Speaks to Lunabot and to Buildbot. Whatever is not given is taken from .buildbot/options, where that says it.
/// Exit status 0: the job was taken and, with --wait, all builds went well; 1: not so.
#[derive(Debug, Args)]
pub struct Try {
    /// How to reach the master
    #[arg(short, long, value_enum)]
    pub connect: Option<Connect>,
    /// pb: where the Try_Userpass listens; tls: in front, where its port is one for TLS
    #[arg(short, long, value_name = "[tls:]HOST:PORT")]
    pub master: Option<String>,
    /// pb: the certificates to trust with TLS, PEM [default: the machine's]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// pb: the user of the Try_Userpass; ssh: the login
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// pb: the password; it is asked for where it is not given
    #[arg(long, value_name = "PASSWORD", env = "LUNABOT_TRY_PASSWD", hide_env_values = true)]
    pub passwd: Option<String>,
    /// ssh: the master's machine
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// ssh: its port
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// ssh: the folder of the Try_Jobdir, on the master's machine
    #[arg(long, value_name = "DIR")]
    pub jobdir: Option<String>,
    /// ssh: the command to use [default: ssh]
    #[arg(long, value_name = "COMMAND")]
    pub ssh: Option<String>,
    /// ssh: the program whose `tryserver` is called on the master's machine [default: lunabot]
    #[arg(long, value_name = "PROGRAM")]
    pub buildbotbin: Option<String>,
    /// Who tries; told in the reason of the builds
    #[arg(short, long, value_name = "WHO")]
    pub who: Option<String>,
    /// Why; told in the reason of the builds
    #[arg(short = 'C', long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Take the patch from a file instead of the work tree; -: standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub diff: Option<PathBuf>,
    /// How many leading folders the paths of --diff have to lose [default: 0]
    #[arg(short, long, value_name = "N")]
    pub patchlevel: Option<i64>,
    /// The revision that the patch is made against
    #[arg(long, value_name = "REVISION")]
    pub baserev: Option<String>,
    /// The kind of the work tree: git, hg, svn; none: no patch
    #[arg(long, value_name = "NAME")]
    pub vc: Option<String>,
    /// The branch, where the work tree does not tell or another one is meant
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// The repository to name, in place of the work tree's folder
    #[arg(long, value_name = "URL")]
    pub repository: Option<String>,
    /// Build on this builder; may be given several times [default: all that are offered]
    #[arg(short = 'b', long = "builder", value_name = "NAME")]
    pub builders: Vec<String>,
    /// Properties of the builds
    #[arg(long = "properties", value_name = "NAME=VALUE,…")]
    pub properties: Vec<String>,
    /// A property of the builds; may be given several times
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub property: Vec<String>,
    /// svn: a file that is at the top of the work tree
    #[arg(long, value_name = "FILE")]
    pub topfile: Option<String>,
    /// svn: the top of the work tree [default: svn is asked]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub topdir: Option<PathBuf>,
    /// Wait until the builds have ended (pb only)
    #[arg(long)]
    pub wait: bool,
    /// Show what would be sent, and send nothing
    #[arg(short = 'n', long)]
    pub dryrun: bool,
    /// Print the builders that may be named (pb only)
    #[arg(long)]
    pub get_builder_names: bool,
    /// Print nothing while waiting
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Tryserver {
    /// The folder of the Try_Jobdir
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub jobdir: PathBuf,
}
