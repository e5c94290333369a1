//! Changes and source stamps.

use crate::announce::Announcement;
use crate::data::Data;
use crate::error::{DataError, Result};
use crate::live::{Line, Live, next};
use crate::new::{NewChange, NewSourceStamp, StampRef};
use crate::pending::Forget;
use lunabot_db::{ChangeFileRow, ChangePropertyRow, PatchRow, StampRow};
use lunabot_model::object::is_dynamic;
use lunabot_model::resources::{Change, Patch, SourceStamp};
use lunabot_model::{ChangeId, Properties};
use sha1::{Digest, Sha1};

/// The hash over all that makes two stamps equal (14.012). Each part with its length, absent ones apart from empty.
fn stamp_hash(stamp: &NewSourceStamp, patchid: Option<i64>) -> String {
    let patch = patchid.map(|id| id.to_string());
    let parts = [
        stamp.branch.as_deref(),
        stamp.revision.as_deref(),
        patch.as_deref(),
        Some(stamp.repository.as_str()),
        Some(stamp.codebase.as_str()),
        Some(stamp.project.as_str()),
    ];
    let mut hash = Sha1::new();
    for part in parts {
        match part {
            Some(text) => {
                hash.update(text.len().to_le_bytes());
                hash.update(text.as_bytes());
            }
            None => hash.update(u64::MAX.to_le_bytes()),
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Live {
    /// Makes a stamp, and its patch.
    fn add_stamp(&mut self, new: &NewSourceStamp, now: i64) -> SourceStamp {
        let patch = new.patch.as_ref().map(|patch| {
            let row = PatchRow {
                id: next(&mut self.ids.patches),
                body: patch.body.clone(),
                level: patch.level,
                subdir: patch.subdir.clone(),
                author: patch.author.clone(),
                comment: patch.comment.clone(),
            };
            self.pending.bytes += row.body.len();
            self.pending.batch.patches.put(row.clone());
            let (body, raw) = Patch::text_and_raw(row.body);
            Patch {
                patchid: row.id,
                body,
                level: row.level,
                subdir: row.subdir,
                author: row.author,
                comment: row.comment,
                raw,
            }
        });
        let row = StampRow {
            id: next(&mut self.ids.sourcestamps),
            hash: stamp_hash(new, patch.as_ref().map(|p| p.patchid)),
            branch: new.branch.clone(),
            revision: new.revision.clone(),
            patchid: patch.as_ref().map(|p| p.patchid),
            repository: new.repository.clone(),
            codebase: new.codebase.clone(),
            project: new.project.clone(),
            created_at: now,
        };
        let stamp = SourceStamp {
            ssid: row.id,
            revision: row.revision.clone(),
            branch: row.branch.clone(),
            repository: row.repository.clone(),
            project: row.project.clone(),
            codebase: row.codebase.clone(),
            patch,
            created_at: now,
        };
        self.stamps.insert(row.hash.clone(), stamp.clone());
        self.pending.after.push(Forget::Stamp(row.hash.clone()));
        self.pending.batch.sourcestamps.put(row);
        stamp
    }

    fn put_change(&mut self, change: &Change) {
        let owner = change.changeid;
        for (position, filename) in change.files.iter().enumerate() {
            let position = i64::try_from(position).unwrap_or(i64::MAX);
            let row = ChangeFileRow { changeid: owner, position, filename: filename.clone() };
            self.pending.batch.change_files.put(row);
        }
        for (name, property) in change.properties.iter() {
            self.pending.batch.change_properties.put(ChangePropertyRow {
                owner,
                name: name.to_owned(),
                value: property.value.to_string(),
                source: property.source.clone(),
            });
        }
        self.pending.announcements.push(Announcement::Change(Box::new(change.clone())));
        self.pending.batch.changes.put(change.clone());
    }
}

impl Data {
    /// Finds or makes a source stamp. The caller holds the intake lock.
    pub(crate) async fn stamp(&self, stamp: &StampRef) -> Result<SourceStamp> {
        let new = match stamp {
            StampRef::Id(id) => {
                let found = self.shared.store.by_id(*id).await?;
                return found.ok_or_else(|| DataError::NotFound(format!("there is no source stamp {id}")));
            }
            StampRef::New(new) => new,
        };
        if new.patch.is_none() {
            let hash = stamp_hash(new, None);
            let fresh = self.shared.live().stamps.get(&hash).cloned();
            if let Some(stamp) = fresh {
                return Ok(stamp);
            }
            if let Some(id) = self.shared.store.stamp_by_hash(&hash).await?
                && let Some(stamp) = self.shared.store.by_id(id).await?
            {
                return Ok(stamp);
            }
        }
        let now = self.shared.now();
        Ok(self.shared.change(|live| live.add_stamp(new, now)).0)
    }

    /// The change before a new one (02.001). The caller holds the intake lock.
    async fn parent(&self, line: &Line) -> Result<Option<ChangeId>> {
        let fresh = self.shared.live().lines.get(line).copied();
        match fresh {
            Some(change) => Ok(Some(change)),
            None => Ok(self.shared.store.last_change(line.0.as_deref(), &line.1, &line.2, &line.3).await?),
        }
    }

    /// Stores a change with its source stamp; durable when it returns (02.002). Event changes/N/new.
    ///
    /// Its properties are plain values: one that looks like an object of the configuration would be rendered with all that
    /// the configuration knows, secrets too. It is left out, and the log says so.
    pub async fn add_change(&self, mut new: NewChange) -> Result<Change> {
        self.shared.refuse_when_stuck()?;
        new.properties = plain(&new.properties);
        cut(&mut new.comments);
        self.shared.room().await;
        let intake = self.shared.intake.lock().await;
        let stamp = self.stamp(&StampRef::New(stamp_of(&new))).await?;
        let line: Line =
            (new.branch.clone(), new.repository.clone(), new.codebase.clone(), new.project.clone());
        let parent = self.parent(&line).await?;
        let now = self.shared.now();
        let (change, epoch) = self.shared.change(|live| {
            let id = next(&mut live.ids.changes);
            let change = row_of(new, id, parent, stamp, now);
            live.lines.insert(line, id);
            live.pending.after.push(Forget::Line(id));
            live.put_change(&change);
            change
        });
        drop(intake);
        self.ack(epoch).await?;
        Ok(change)
    }
}

/// Bytes of a change's comment that are kept: lists of changes hold them whole, and nobody reads more.
const MAX_COMMENTS: usize = 256 * 1024;

fn cut(comments: &mut String) {
    if comments.len() <= MAX_COMMENTS {
        return;
    }
    let kept = comments.floor_char_boundary(MAX_COMMENTS);
    let left_out = comments.len() - kept;
    tracing::warn!("a change: its comment is longer than {MAX_COMMENTS} bytes; {left_out} are left out");
    comments.truncate(kept);
    comments.push_str(&format!("\n[{left_out} more bytes left out]\n"));
}

fn plain(properties: &Properties) -> Properties {
    let (dynamic, plain): (Vec<_>, Vec<_>) = properties.iter().partition(|(_, p)| is_dynamic(&p.value));
    for (name, _) in dynamic {
        tracing::warn!("a change: the property {name} is no plain value; left out");
    }
    plain.into_iter().map(|(name, property)| (name, property.clone())).collect()
}

fn stamp_of(change: &NewChange) -> NewSourceStamp {
    NewSourceStamp {
        revision: change.revision.clone(),
        branch: change.branch.clone(),
        repository: change.repository.clone(),
        project: change.project.clone(),
        codebase: change.codebase.clone(),
        patch: None,
    }
}

fn row_of(
    new: NewChange,
    id: ChangeId,
    parent: Option<ChangeId>,
    sourcestamp: SourceStamp,
    now: i64,
) -> Change {
    Change {
        changeid: id,
        parent_changeids: parent.into_iter().collect(),
        author: new.author,
        committer: new.committer,
        files: new.files,
        comments: new.comments,
        revision: new.revision,
        when_timestamp: new.when_timestamp.unwrap_or(now),
        branch: new.branch,
        category: new.category,
        revlink: new.revlink,
        properties: new.properties,
        repository: new.repository,
        project: new.project,
        codebase: new.codebase,
        sourcestamp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_of_megabytes_is_cut_between_characters() {
        let (mut short, mut long) = ("é".to_string(), "é".repeat(MAX_COMMENTS));
        cut(&mut short);
        cut(&mut long);
        assert_eq!(short, "é");
        assert!(long.ends_with("é\n[262144 more bytes left out]\n") && long.len() < MAX_COMMENTS + 64);
    }
}
