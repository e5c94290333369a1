//! Mails of Launchpad about branches of Bazaar (02.026): the branch is in the subject, the revision in the text.
//!
//! ```text
//! Subject: [Branch ~joe/project/trunk] Rev 12: the message
//! ```

use super::mail::Mail;
use crate::bzr_log::{self, Deed};
use lunabot_data::new::NewChange;
use std::collections::BTreeMap;

/// What the branches of Launchpad are called in changes.
pub struct Branches {
    pub map: BTreeMap<String, String>,
    pub default: Option<String>,
}

impl Branches {
    fn of(&self, repository: Option<&str>) -> Option<String> {
        let named = |name: &str| self.map.get(name).or_else(|| self.map.get(&format!("lp:{name}"))).cloned();
        repository
            .and_then(named)
            .or_else(|| self.default.clone())
            .or_else(|| repository.map(|name| format!("lp:{name}")))
    }
}

/// `None` for a mail that names no revision or no committer.
pub fn read(mail: &Mail, branches: &Branches) -> Option<NewChange> {
    let lines = mail.lines.iter().map(String::as_str);
    let revision = bzr_log::read(lines).into_iter().find(|revision| !revision.revno.is_empty())?;
    if revision.committer.is_empty() {
        return None;
    }
    let repository = branch_of(&mail.subject);
    Some(NewChange {
        author: revision.committer,
        revision: Some(revision.revno),
        when_timestamp: revision.when,
        branch: branches.of(repository),
        repository: repository.unwrap_or_default().to_string(),
        files: revision.files.into_iter().map(|(deed, file)| noted(deed, &file)).collect(),
        comments: revision.message,
        ..NewChange::default()
    })
}

/// `a.c MODIFIED`, `a.c RENAMED b.c`.
fn noted(deed: Deed, file: &str) -> String {
    let what = match deed {
        Deed::Removed => "REMOVED",
        Deed::Added => "ADDED",
        Deed::Renamed => "RENAMED",
        Deed::Modified | Deed::KindChanged => "MODIFIED",
    };
    match file.split_once(" => ") {
        Some((old, new)) if deed == Deed::Renamed => format!("{old} {what} {new}"),
        _ => format!("{file} {what}"),
    }
}

/// The branch in the subject.
fn branch_of(subject: &str) -> Option<&str> {
    let name = subject.trim_start().strip_prefix("[Branch")?.split(']').next()?.trim();
    (!name.is_empty()).then_some(name)
}
