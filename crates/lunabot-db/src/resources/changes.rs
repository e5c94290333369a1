//! Changes.

use super::{belonging, field, int, json, opt_text, text};
use crate::error::Result;
use crate::pool::Cols;
use crate::resource::{Column, Decl, PoolRef, Resource};
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::result_spec::FieldKind;
use lunabot_model::{BoxFuture, Properties};
use std::collections::HashMap;

const FILES: &str =
    "SELECT changeid, filename FROM change_files WHERE changeid IN ({}) ORDER BY changeid, position";
const PROPERTIES: &str = "SELECT changeid, name, value, source FROM change_properties WHERE changeid IN ({})";

impl Resource for Change {
    const DECL: &'static Decl = &Decl {
        plural: "changes",
        from: "changes c JOIN sourcestamps s ON s.id = c.sourcestampid LEFT JOIN patches p ON p.id = s.patchid",
        tables: &["changes"],
        columns: "c.id, c.parent_changeid, c.author, c.committer, c.comments, c.revision, c.when_timestamp, c.branch, \
                  c.category, c.revlink, c.repository, c.project, c.codebase, \
                  s.id, s.revision, s.branch, s.repository, s.project, s.codebase, s.created_at, \
                  p.id, p.body, p.level, p.subdir, p.author, p.comment",
        key: "c.id",
        grows: true,
        fields: &[
            int("changeid", "c.id"),
            field("parent_changeids", FieldKind::Ints, Column::Elements("c.parent_changeid {}")),
            text("author", "c.author"),
            opt_text("committer", "c.committer").of("string"),
            field(
                "files",
                FieldKind::Texts,
                Column::Elements(
                    "EXISTS (SELECT 1 FROM change_files f WHERE f.changeid = c.id AND f.filename {})",
                ),
            ),
            text("comments", "c.comments"),
            opt_text("revision", "c.revision"),
            int("when_timestamp", "c.when_timestamp"),
            opt_text("branch", "c.branch"),
            opt_text("category", "c.category"),
            opt_text("revlink", "c.revlink"),
            json("properties").of("sourcedproperties"),
            text("repository", "c.repository"),
            text("project", "c.project"),
            text("codebase", "c.codebase"),
            json("sourcestamp").of("sourcestamp"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Change {
            changeid: cols.int()?,
            parent_changeids: cols.opt_int()?.into_iter().collect(),
            author: cols.text()?,
            committer: cols.opt_text()?,
            comments: cols.text()?,
            revision: cols.opt_text()?,
            when_timestamp: cols.int()?,
            branch: cols.opt_text()?,
            category: cols.opt_text()?,
            revlink: cols.opt_text()?,
            repository: cols.text()?,
            project: cols.text()?,
            codebase: cols.text()?,
            sourcestamp: SourceStamp::read(cols)?,
            files: Vec::new(),
            properties: Properties::new(),
        })
    }

    fn complete<'a>(pool: &'a PoolRef<'a>, rows: &'a mut [Self]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut files: HashMap<i64, Vec<String>> = HashMap::new();
            for row in belonging(pool.0, FILES, rows.iter().map(|c| c.changeid)).await? {
                let mut cols = row.cols();
                files.entry(cols.int()?).or_default().push(cols.text()?);
            }
            let mut properties: HashMap<i64, Properties> = HashMap::new();
            for row in belonging(pool.0, PROPERTIES, rows.iter().map(|c| c.changeid)).await? {
                let mut cols = row.cols();
                let own = properties.entry(cols.int()?).or_default();
                let (name, value) = (cols.text()?, cols.json::<serde_json::Value>()?);
                own.set(name, value, cols.text()?);
            }
            for change in rows {
                change.files = files.remove(&change.changeid).unwrap_or_default();
                change.properties = properties.remove(&change.changeid).unwrap_or_default();
            }
            Ok(())
        })
    }
}
