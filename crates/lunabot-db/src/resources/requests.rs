//! Build requests, buildsets, source stamps.

use super::{belonging, field, flag, int, json, opt_int, opt_text, text};
use crate::error::Result;
use crate::pool::Cols;
use crate::resource::{Column, Decl, PoolRef, Resource};
use lunabot_model::BoxFuture;
use lunabot_model::resources::{BuildRequest, Buildset, Patch, SourceStamp};
use lunabot_model::result_spec::FieldKind;
use std::collections::HashMap;

impl Resource for BuildRequest {
    const DECL: &'static Decl = &Decl {
        plural: "buildrequests",
        from: "buildrequests r",
        tables: &["buildrequests", "buildrequest_properties"],
        columns: "r.id, r.buildsetid, r.builderid, r.priority, r.claimed_at, r.claimed_by_masterid, r.complete, \
                  r.results, r.submitted_at, r.complete_at, r.waited_for",
        key: "r.id",
        grows: true,
        fields: &[
            int("buildrequestid", "r.id"),
            int("buildsetid", "r.buildsetid"),
            int("builderid", "r.builderid"),
            int("priority", "r.priority"),
            // Not claimed also means not complete (09.072).
            field(
                "claimed",
                FieldKind::Bool,
                Column::Flag(
                    "r.claimed_by_masterid IS NOT NULL",
                    "r.claimed_by_masterid IS NULL AND r.complete = FALSE",
                ),
            ),
            opt_int("claimed_at", "r.claimed_at").of("datetime?"),
            opt_int("claimed_by_masterid", "r.claimed_by_masterid"),
            flag("complete", "r.complete"),
            int("results", "COALESCE(r.results, -1)").of("integer?"),
            int("submitted_at", "r.submitted_at").of("datetime"),
            opt_int("complete_at", "r.complete_at").of("datetime?"),
            flag("waited_for", "r.waited_for"),
            json("properties").of("sourcedproperties?"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        let mut request = BuildRequest {
            buildrequestid: cols.int()?,
            buildsetid: cols.int()?,
            builderid: cols.int()?,
            priority: cols.int()?,
            claimed: false,
            claimed_at: cols.opt_int()?,
            claimed_by_masterid: cols.opt_int()?,
            complete: cols.bool()?,
            results: cols.results()?,
            submitted_at: cols.int()?,
            complete_at: cols.opt_int()?,
            waited_for: cols.bool()?,
            properties: None,
        };
        request.claimed = request.claimed_by_masterid.is_some();
        Ok(request)
    }
}

const SET_STAMPS: &str = "SELECT x.buildsetid, s.id, s.revision, s.branch, s.repository, s.project, s.codebase, s.created_at, \
    p.id, p.body, p.level, p.subdir, p.author, p.comment \
    FROM buildset_sourcestamps x JOIN sourcestamps s ON s.id = x.sourcestampid LEFT JOIN patches p ON p.id = s.patchid \
    WHERE x.buildsetid IN ({}) ORDER BY x.buildsetid, s.id";

impl Resource for Buildset {
    const DECL: &'static Decl = &Decl {
        plural: "buildsets",
        from: "buildsets t",
        tables: &["buildsets"],
        columns: "t.id, t.external_idstring, t.reason, t.rebuilt_buildid, t.submitted_at, t.complete, t.complete_at, \
                  t.results, t.parent_buildid, t.parent_relationship",
        key: "t.id",
        grows: true,
        fields: &[
            int("bsid", "t.id"),
            opt_text("external_idstring", "t.external_idstring"),
            text("reason", "t.reason"),
            opt_int("rebuilt_buildid", "t.rebuilt_buildid"),
            int("submitted_at", "t.submitted_at"),
            flag("complete", "t.complete"),
            opt_int("complete_at", "t.complete_at"),
            int("results", "COALESCE(t.results, -1)").of("integer?"),
            json("sourcestamps").of("[sourcestamp]"),
            opt_int("parent_buildid", "t.parent_buildid"),
            opt_text("parent_relationship", "t.parent_relationship"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Buildset {
            bsid: cols.int()?,
            external_idstring: cols.opt_text()?,
            reason: cols.text()?,
            rebuilt_buildid: cols.opt_int()?,
            submitted_at: cols.int()?,
            complete: cols.bool()?,
            complete_at: cols.opt_int()?,
            results: cols.results()?,
            parent_buildid: cols.opt_int()?,
            parent_relationship: cols.opt_text()?,
            sourcestamps: Vec::new(),
        })
    }

    fn complete<'a>(pool: &'a PoolRef<'a>, rows: &'a mut [Self]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let found = belonging(pool.0, SET_STAMPS, rows.iter().map(|r| r.bsid)).await?;
            let mut stamps: HashMap<i64, Vec<SourceStamp>> = HashMap::new();
            for row in &found {
                let mut cols = row.cols();
                stamps.entry(cols.int()?).or_default().push(SourceStamp::read(&mut cols)?);
            }
            for row in rows {
                row.sourcestamps = stamps.remove(&row.bsid).unwrap_or_default();
            }
            Ok(())
        })
    }
}

impl Resource for SourceStamp {
    const DECL: &'static Decl = &Decl {
        plural: "sourcestamps",
        from: "sourcestamps s LEFT JOIN patches p ON p.id = s.patchid",
        tables: &["sourcestamps"],
        columns: "s.id, s.revision, s.branch, s.repository, s.project, s.codebase, s.created_at, \
                  p.id, p.body, p.level, p.subdir, p.author, p.comment",
        key: "s.id",
        grows: true,
        fields: &[
            int("ssid", "s.id"),
            opt_text("revision", "s.revision"),
            opt_text("branch", "s.branch"),
            text("repository", "s.repository"),
            text("project", "s.project"),
            text("codebase", "s.codebase"),
            json("patch").of("patch?"),
            int("created_at", "s.created_at").of("datetime"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(SourceStamp {
            ssid: cols.int()?,
            revision: cols.opt_text()?,
            branch: cols.opt_text()?,
            repository: cols.text()?,
            project: cols.text()?,
            codebase: cols.text()?,
            created_at: cols.int()?,
            patch: match cols.opt_int()? {
                Some(patchid) => {
                    let (body, raw) = Patch::text_and_raw(cols.blob()?);
                    Some(Patch {
                        patchid,
                        body,
                        level: cols.int()?,
                        subdir: cols.text()?,
                        author: cols.text()?,
                        comment: cols.text()?,
                        raw,
                    })
                }
                None => None,
            },
        })
    }
}
