//! Codebases with their commits and branches.

use super::{field, int, opt_int, opt_text, text};
use crate::error::Result;
use crate::pool::Cols;
use crate::resource::{Column, Decl, Resource};
use crate::store::Store;
use lunabot_model::resources::{Branch, Codebase, Commit};
use lunabot_model::result_spec::FieldKind;

impl Resource for Codebase {
    const DECL: &'static Decl = &Decl {
        plural: "codebases",
        from: "codebases k",
        tables: &["codebases"],
        columns: "k.id, k.projectid, k.name, k.slug",
        key: "k.id",
        grows: false,
        fields: &[
            int("codebaseid", "k.id"),
            int("projectid", "k.projectid"),
            field("name", FieldKind::Identifier, Column::Set("k.name")),
            field("slug", FieldKind::Identifier, Column::Set("k.slug")),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Codebase {
            codebaseid: cols.int()?,
            projectid: cols.int()?,
            name: cols.text()?,
            slug: cols.text()?,
        })
    }
}

impl Resource for Commit {
    const DECL: &'static Decl = &Decl {
        plural: "commits",
        from: "codebase_commits q",
        tables: &["codebase_commits"],
        columns: "q.id, q.codebaseid, q.author, q.committer, q.comments, q.when_timestamp, q.revision, \
                  q.parent_commitid",
        key: "q.id",
        grows: false,
        fields: &[
            int("commitid", "q.id"),
            int("codebaseid", "q.codebaseid"),
            text("author", "q.author"),
            opt_text("committer", "q.committer"),
            text("comments", "q.comments"),
            int("when_timestamp", "q.when_timestamp"),
            text("revision", "q.revision"),
            opt_int("parent_commitid", "q.parent_commitid"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Commit {
            commitid: cols.int()?,
            codebaseid: cols.int()?,
            author: cols.text()?,
            committer: cols.opt_text()?,
            comments: cols.text()?,
            when_timestamp: cols.int()?,
            revision: cols.text()?,
            parent_commitid: cols.opt_int()?,
        })
    }
}

impl Resource for Branch {
    const DECL: &'static Decl = &Decl {
        plural: "branches",
        from: "codebase_branches y",
        tables: &["codebase_branches"],
        columns: "y.id, y.codebaseid, y.name, y.commitid, y.last_timestamp",
        key: "y.id",
        grows: false,
        fields: &[
            int("branchid", "y.id"),
            int("codebaseid", "y.codebaseid"),
            text("name", "y.name"),
            opt_int("commitid", "y.commitid").of("integer"),
            int("last_timestamp", "y.last_timestamp"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Branch {
            branchid: cols.int()?,
            codebaseid: cols.int()?,
            name: cols.text()?,
            commitid: cols.opt_int()?,
            last_timestamp: cols.int()?,
        })
    }
}

const LINE: &str = "WITH RECURSIVE line (id, parent, depth) AS ( \
    SELECT q.id, q.parent_commitid, 0 FROM codebase_commits q WHERE q.codebaseid = $1 AND q.id = $2 \
    UNION ALL SELECT q.id, q.parent_commitid, line.depth + 1 FROM codebase_commits q \
    JOIN line ON q.id = line.parent WHERE line.depth < $3) SELECT id FROM line ORDER BY depth";

impl Store {
    /// A commit of a codebase and those it comes from, each the parent of the one before; `most` of them.
    pub async fn line_of_commit(&self, codebase: i64, commit: i64, most: i64) -> Result<Vec<i64>> {
        let rows = self.fetch(LINE, vec![codebase.into(), commit.into(), most.into()]).await?;
        rows.iter().map(|row| row.cols().int()).collect()
    }
}
