//! What the steps for forges do differently from `steps.Git` (06.024).

use super::commands::Wanted;
use crate::source::{Target, Tree};
use lunabot_engine::step::{StepContext, StepError};

/// Which of the steps it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Git,
    GitHub,
    GitLab,
    Gerrit,
}

impl Variant {
    /// The class's name.
    pub fn class(self) -> &'static str {
        match self {
            Variant::Git => "Git",
            Variant::GitHub => "GitHub",
            Variant::GitLab => "GitLab",
            Variant::Gerrit => "Gerrit",
        }
    }

    /// Changes what is checked out, by the branch and the build's properties.
    pub fn adjust(self, wanted: &mut Wanted, target: &Target, tree: &Tree<'_>) -> Result<(), StepError> {
        match self {
            Variant::Git => {}
            // GitHub makes the merge anew whenever one of its sides moves: the change's revision is that of one side.
            Variant::GitHub if is_merge_of_pull_request(&wanted.branch) => wanted.revision = None,
            Variant::GitHub => {}
            Variant::GitLab => take_source_of_merge_request(wanted, tree.cx),
            Variant::Gerrit => {
                if let Some(reference) = patch_set(target, tree.cx) {
                    tree.note(self.class(), "gerrit_branch", &reference)?;
                    wanted.branch = reference;
                }
            }
        }
        Ok(())
    }
}

fn is_merge_of_pull_request(branch: &str) -> bool {
    let number = branch.strip_prefix("refs/pull/").and_then(|rest| rest.strip_suffix("/merge"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The branch of a merge request is in the repository of whoever asks for the merge.
fn take_source_of_merge_request(wanted: &mut Wanted, cx: &StepContext) {
    if text(cx, "target_branch").is_none() {
        return;
    }
    if let Some(branch) = text(cx, "source_branch") {
        wanted.branch = branch;
    }
    if let Some(repourl) = text(cx, "source_git_ssh_url") {
        wanted.repourl = repourl;
    }
}

/// The reference of the patch set to build, if it is one of this step's project.
fn patch_set(target: &Target, cx: &StepContext) -> Option<String> {
    let project = text(cx, "event.change.project");
    if target.project.is_none() || target.project != Some(project.unwrap_or_default()) {
        return None;
    }
    text(cx, "event.patchSet.ref").or_else(|| change_reference(&text(cx, "gerrit_change")?))
}

/// `1234/5` is patch set 5 of change 1234.
fn change_reference(change: &str) -> Option<String> {
    let (change, patch_set) = change.split_once('/')?;
    let (change, patch_set): (u64, u64) = (change.trim().parse().ok()?, patch_set.trim().parse().ok()?);
    Some(format!("refs/changes/{:02}/{change}/{patch_set}", change % 100))
}

fn text(cx: &StepContext, property: &str) -> Option<String> {
    let value = cx.get_property(property)?;
    value.as_str().filter(|text| !text.is_empty()).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_024_names_of_forges_are_recognised() {
        assert!(is_merge_of_pull_request("refs/pull/12/merge"));
        for other in ["refs/pull/12/head", "refs/pull//merge", "refs/pull/x/merge", "main"] {
            assert!(!is_merge_of_pull_request(other), "{other}");
        }
        assert_eq!(change_reference("1234/5").as_deref(), Some("refs/changes/34/1234/5"));
        assert_eq!(change_reference("7/1").as_deref(), Some("refs/changes/07/7/1"));
        assert_eq!(change_reference("7"), None);
    }
}
