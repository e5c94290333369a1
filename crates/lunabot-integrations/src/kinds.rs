//! The list of what a configuration may declare in this room.

use crate::source::Poller;
use crate::{
    bzr_poller, gerrit, git_poller, hg_poller, maildir, own_source, p4_source, pull_requests, secrets,
    svn_poller, tokens,
};
use lunabot_model::kind::{Params, check_as};
use lunabot_model::{AnyObject, Kind, Problem};
use std::sync::Arc;

/// Makes a source of its declaration.
pub type Build = fn(&AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>>;

/// A kind of change source and how to make one.
pub struct ChangeSourceKind {
    pub kind: &'static Kind,
    /// The source's name where the configuration gives none.
    pub default_name: fn(&AnyObject) -> String,
    /// Reads the parameters; the host has checked them before, so problems are rare.
    pub build: Build,
}

/// Reads and checks the parameters of a source.
pub(crate) fn checked<P: Params>(object: &AnyObject) -> Result<P, Vec<Problem>> {
    let problems = check_as::<P>(&object.args);
    if !problems.is_empty() {
        return Err(problems);
    }
    P::deserialize(&object.args).map_err(|error| vec![Problem::new("", error.to_string())])
}

/// All change sources.
pub static CHANGE_SOURCES: &[ChangeSourceKind] = &[
    git_poller::SOURCE,
    svn_poller::SOURCE,
    hg_poller::SOURCE,
    p4_source::SOURCE,
    bzr_poller::SOURCE,
    pull_requests::GITHUB,
    pull_requests::BITBUCKET,
    gerrit::STREAM,
    gerrit::EVENT_LOG,
    maildir::CVS,
    maildir::SUBVERSION,
    maildir::LAUNCHPAD,
    own_source::SOURCE,
    own_source::POLLER,
];

/// All secret stores.
pub static SECRETS: &[&Kind] = &[&secrets::SECRET_IN_A_FILE, &secrets::SECRET_PROVIDER_BASE];

/// Every kind of this room.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    let sources = CHANGE_SOURCES.iter().map(|source| source.kind);
    sources.chain(SECRETS.iter().copied()).chain(tokens::KINDS).chain(crate::reporters::kinds::kinds())
}
