//! Codebases with the commits and branches that change sources see (01.070, 01.071).

use crate::announce::Announcement;
use crate::data::Data;
use crate::error::{DataError, Result};
use crate::live::{Live, next};
use crate::new::{CodebaseDecl, NewCommit};
use lunabot_db::Value;
use lunabot_model::Id;
use lunabot_model::resources::{Branch, Codebase, Commit};

impl Live {
    fn put_codebase(&mut self, decl: &CodebaseDecl) -> Option<Id> {
        let projectid = self.names.projects.get(&decl.project).copied()?;
        let known = self.codebases.values().find(|c| c.projectid == projectid && c.name == decl.name);
        let fresh = || 1 + self.codebases.keys().max().copied().unwrap_or(0);
        let codebase = Codebase {
            codebaseid: known.map_or_else(fresh, |c| c.codebaseid),
            projectid,
            name: decl.name.clone(),
            slug: decl.slug.clone(),
        };
        let id = codebase.codebaseid;
        if known != Some(&codebase) {
            self.pending.batch.codebase(&codebase);
            self.pending.announcements.push(Announcement::Codebase(codebase.clone()));
            self.codebases.insert(id, codebase);
        }
        Some(id)
    }
}

impl Data {
    /// After [`Data::sync_projects`]. Events codebases/N/update. The ids, in the order given.
    pub async fn sync_codebases(&self, codebases: &[CodebaseDecl]) -> Result<Vec<Id>> {
        let ids: Option<Vec<Id>> =
            self.configure(|live, _| codebases.iter().map(|decl| live.put_codebase(decl)).collect()).await?;
        ids.ok_or_else(|| DataError::NotFound("the project of a codebase is not configured".into()))
    }

    /// Adds a commit, unless it is there, and notes that `branch` has moved to it; durable when it returns.
    /// Events commits/N/new, codebases/C/commits/N/new, branches/N/update.
    pub async fn add_commit(&self, codebase: Id, branch: &str, new: NewCommit) -> Result<Id> {
        self.shared.room().await;
        // One at a time: what one looks for is what another may be adding.
        let _one_at_a_time = self.shared.configuring.lock().await;
        let known = self.commit_id(codebase, &new.revision).await?;
        let parent = match &new.parent {
            Some(revision) if known.is_none() => self.commit_id(codebase, revision).await?,
            _ => None,
        };
        let args = vec![Value::Int(codebase), Value::from(branch)];
        let before: Option<Branch> = self.shared.store.one("y.codebaseid = $1 AND y.name = $2", args).await?;
        let now = self.shared.now();
        let (id, epoch) = self.shared.change(|live| {
            let id = known.unwrap_or_else(|| live.put_commit(codebase, new, parent));
            let branchid = before.map_or_else(|| next(&mut live.ids.branches), |branch| branch.branchid);
            let name = branch.to_owned();
            let row =
                Branch { branchid, codebaseid: codebase, name, commitid: Some(id), last_timestamp: now };
            live.pending.batch.branch(&row);
            live.pending.announcements.push(Announcement::Branch(row));
            id
        });
        self.ack(epoch).await?;
        Ok(id)
    }

    async fn commit_id(&self, codebase: Id, revision: &str) -> Result<Option<Id>> {
        let args = vec![Value::Int(codebase), Value::from(revision)];
        let found: Option<Commit> =
            self.shared.store.one("q.codebaseid = $1 AND q.revision = $2", args).await?;
        Ok(found.map(|commit| commit.commitid))
    }
}

impl Live {
    fn put_commit(&mut self, codebaseid: Id, new: NewCommit, parent_commitid: Option<Id>) -> Id {
        let commit = Commit {
            commitid: next(&mut self.ids.commits),
            codebaseid,
            author: new.author,
            committer: new.committer,
            comments: new.comments,
            when_timestamp: new.when_timestamp,
            revision: new.revision,
            parent_commitid,
        };
        self.pending.batch.commit(&commit);
        let id = commit.commitid;
        self.pending.announcements.push(Announcement::Commit(Box::new(commit)));
        id
    }
}
