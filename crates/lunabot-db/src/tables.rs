//! How rows are written, table by table.

use crate::batch::{Record, Upsert};
use crate::pool::Value;
use lunabot_model::Results;
use lunabot_model::resources::{Build, BuildRequest, Buildset, Change, Log, Step, Worker};

macro_rules! record {
    ($type:ty, $table:literal, key $key:literal: $key_type:ty = |$k:ident| $key_expr:expr,
     update [$($update:literal),*], $(alike |$one:ident, $other:ident| $alike:expr,)? { $($column:literal: |$row:ident| $value:expr),* $(,)? }) => {
        impl Record for $type {
            type Key = $key_type;
            const UPSERT: &'static Upsert = {
                static UPSERT: Upsert = Upsert::new($table, &[$($column),*], $key, &[$($update),*]);
                &UPSERT
            };
            fn key(&self) -> Self::Key {
                let $k = self;
                $key_expr
            }
            fn values(&self, out: &mut Vec<Value>) {
                $({ let $row = self; out.push(Value::from($value)); })*
            }
            $(fn changes_like(&self, other: &Self) -> bool {
                let ($one, $other) = (self, other);
                $alike
            }
            fn id(&self) -> i64 {
                self.key()
            })?
        }
    };
}

fn code(results: Option<Results>) -> Option<i64> {
    results.map(Results::code)
}

record!(Build, "builds", key "id": i64 = |b| b.buildid,
    update ["complete_at", "locks_duration_s", "state_string", "results"], {
    "id": |b| b.buildid,
    "number": |b| b.number,
    "builderid": |b| b.builderid,
    "buildrequestid": |b| b.buildrequestid,
    "workerid": |b| b.workerid,
    "masterid": |b| b.masterid,
    "started_at": |b| b.started_at,
    "complete_at": |b| b.complete_at,
    "locks_duration_s": |b| b.locks_duration_s,
    "state_string": |b| b.state_string.clone(),
    "results": |b| code(b.results),
    "generation": |b| b.generation.clone(),
});

record!(BuildRequest, "buildrequests", key "id": i64 = |r| r.buildrequestid,
    update ["priority", "claimed_by_masterid", "claimed_at", "complete", "results", "complete_at"],
    alike |a, b| {
        let changed = |r: &BuildRequest| {
            (r.priority, r.claimed_by_masterid, r.claimed_at, r.complete, r.results, r.complete_at)
        };
        changed(a) == changed(b)
    }, {
    "id": |r| r.buildrequestid,
    "buildsetid": |r| r.buildsetid,
    "builderid": |r| r.builderid,
    "priority": |r| r.priority,
    "claimed_by_masterid": |r| r.claimed_by_masterid,
    "claimed_at": |r| r.claimed_at,
    "complete": |r| r.complete,
    "results": |r| code(r.results),
    "submitted_at": |r| r.submitted_at,
    "complete_at": |r| r.complete_at,
    "waited_for": |r| r.waited_for,
});

record!(Buildset, "buildsets", key "id": i64 = |s| s.bsid,
    update ["complete", "complete_at", "results"],
    alike |a, b| (a.complete, a.complete_at, a.results) == (b.complete, b.complete_at, b.results), {
    "id": |s| s.bsid,
    "external_idstring": |s| s.external_idstring.clone(),
    "reason": |s| s.reason.clone(),
    "submitted_at": |s| s.submitted_at,
    "complete": |s| s.complete,
    "complete_at": |s| s.complete_at,
    "results": |s| code(s.results),
    "parent_buildid": |s| s.parent_buildid,
    "parent_relationship": |s| s.parent_relationship.clone(),
    "rebuilt_buildid": |s| s.rebuilt_buildid,
});

record!(Step, "steps", key "id": i64 = |s| s.stepid,
    update ["started_at", "locks_acquired_at", "complete_at", "state_string", "results", "urls", "hidden"], {
    "id": |s| s.stepid,
    "number": |s| s.number,
    "name": |s| s.name.clone(),
    "buildid": |s| s.buildid,
    "started_at": |s| s.started_at,
    "locks_acquired_at": |s| s.locks_acquired_at,
    "complete_at": |s| s.complete_at,
    "state_string": |s| s.state_string.clone(),
    "results": |s| code(s.results),
    "urls": |s| json_text(&s.urls),
    "hidden": |s| s.hidden,
});

record!(Log, "logs", key "id": i64 = |l| l.logid, update ["complete", "num_lines", "type"], {
    "id": |l| l.logid,
    "name": |l| l.name.clone(),
    "slug": |l| l.slug.clone(),
    "stepid": |l| l.stepid,
    "complete": |l| l.complete,
    "num_lines": |l| l.num_lines,
    "type": |l| l.log_type.code(),
});

record!(Worker, "workers", key "id": i64 = |w| w.workerid,
    update ["info", "paused", "pause_reason", "graceful"], {
    "id": |w| w.workerid,
    "name": |w| w.name.clone(),
    "info": |w| w.workerinfo.to_string(),
    "paused": |w| w.paused,
    "pause_reason": |w| w.pause_reason.clone(),
    "graceful": |w| w.graceful,
});

record!(Change, "changes", key "id": i64 = |c| c.changeid, update [], {
    "id": |c| c.changeid,
    "author": |c| c.author.clone(),
    "committer": |c| c.committer.clone(),
    "comments": |c| c.comments.clone(),
    "branch": |c| c.branch.clone(),
    "revision": |c| c.revision.clone(),
    "revlink": |c| c.revlink.clone(),
    "when_timestamp": |c| c.when_timestamp,
    "category": |c| c.category.clone(),
    "repository": |c| c.repository.clone(),
    "codebase": |c| c.codebase.clone(),
    "project": |c| c.project.clone(),
    "sourcestampid": |c| c.sourcestamp.ssid,
    "parent_changeid": |c| c.parent_changeids.first().copied(),
});

/// A file of a change.
#[derive(Debug, Clone)]
pub struct ChangeFileRow {
    pub changeid: i64,
    pub position: i64,
    pub filename: String,
}

record!(ChangeFileRow, "change_files", key "changeid, position": (i64, i64) = |f| (f.changeid, f.position), update [], {
    "changeid": |f| f.changeid,
    "position": |f| f.position,
    "filename": |f| f.filename.clone(),
});

/// A patch of a source stamp.
#[derive(Debug, Clone)]
pub struct PatchRow {
    pub id: i64,
    pub body: Vec<u8>,
    pub level: i64,
    pub subdir: String,
    pub author: String,
    pub comment: String,
}

record!(PatchRow, "patches", key "id": i64 = |p| p.id, update [], {
    "id": |p| p.id,
    "body": |p| p.body.clone(),
    "level": |p| p.level,
    "subdir": |p| p.subdir.clone(),
    "author": |p| p.author.clone(),
    "comment": |p| p.comment.clone(),
});

/// A source stamp with the hash that makes it unique (14.012).
#[derive(Debug, Clone)]
pub struct StampRow {
    pub id: i64,
    pub hash: String,
    pub branch: Option<String>,
    pub revision: Option<String>,
    pub patchid: Option<i64>,
    pub repository: String,
    pub codebase: String,
    pub project: String,
    pub created_at: i64,
}

record!(StampRow, "sourcestamps", key "id": i64 = |s| s.id, update [], {
    "id": |s| s.id,
    "ss_hash": |s| s.hash.clone(),
    "branch": |s| s.branch.clone(),
    "revision": |s| s.revision.clone(),
    "patchid": |s| s.patchid,
    "repository": |s| s.repository.clone(),
    "codebase": |s| s.codebase.clone(),
    "project": |s| s.project.clone(),
    "created_at": |s| s.created_at,
});

/// A source stamp of a buildset.
#[derive(Debug, Clone)]
pub struct BuildsetStampRow {
    pub buildsetid: i64,
    pub sourcestampid: i64,
}

record!(BuildsetStampRow, "buildset_sourcestamps",
    key "buildsetid, sourcestampid": (i64, i64) = |s| (s.buildsetid, s.sourcestampid), update [], {
    "buildsetid": |s| s.buildsetid,
    "sourcestampid": |s| s.sourcestampid,
});

macro_rules! property_rows {
    ($($(#[$doc:meta])* $type:ident, $table:literal, $owner:literal, $key:literal;)*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $type {
            pub owner: i64,
            pub name: String,
            /// JSON text.
            pub value: String,
            pub source: String,
        }

        record!($type, $table, key $key: (i64, String) = |p| (p.owner, p.name.clone()),
            update ["value", "source"], {
            $owner: |p| p.owner,
            "name": |p| p.name.clone(),
            "value": |p| p.value.clone(),
            "source": |p| p.source.clone(),
        });)*
    };
}

property_rows! {
    /// A property of a change.
    ChangePropertyRow, "change_properties", "changeid", "changeid, name";
    /// A property of a buildset.
    BuildsetPropertyRow, "buildset_properties", "buildsetid", "buildsetid, name";
    /// A property of a request of its own.
    RequestPropertyRow, "buildrequest_properties", "buildrequestid", "buildrequestid, name";
    /// A property of a build.
    BuildPropertyRow, "build_properties", "buildid", "buildid, name";
}

/// How long a request may wait.
#[derive(Debug, Clone)]
pub struct RequestLimitRow {
    pub buildrequestid: i64,
    /// Seconds since 1970.
    pub expires_at: Option<i64>,
    /// Seconds without any connected worker of its builder.
    pub offline_timeout: Option<i64>,
}

record!(RequestLimitRow, "buildrequest_limits", key "buildrequestid": i64 = |l| l.buildrequestid, update [], {
    "buildrequestid": |l| l.buildrequestid,
    "expires_at": |l| l.expires_at,
    "offline_timeout": |l| l.offline_timeout,
});

/// A piece of data that a build keeps (09.021).
#[derive(Debug, Clone)]
pub struct BuildDataRow {
    pub buildid: i64,
    pub name: String,
    pub value: Vec<u8>,
    pub source: String,
}

record!(BuildDataRow, "build_data", key "buildid, name": (i64, String) = |d| (d.buildid, d.name.clone()),
    update ["value", "length", "source"], {
    "buildid": |d| d.buildid,
    "name": |d| d.name.clone(),
    "value": |d| d.value.clone(),
    "length": |d| i64::try_from(d.value.len()).unwrap_or(i64::MAX),
    "source": |d| d.source.clone(),
});

/// In the place of a reporter, of what happened when nobody could hear of it: between two processes, or before a build
/// was announced. The first who come are told, where they want to hear of it; its other columns say no more than its
/// topic does.
pub const UNHEARD: &str = "";

/// Something that is to be reported to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    pub id: i64,
    /// Its name, or [`UNHEARD`].
    pub reporter: String,
    /// Of the event, such as `builds/12/finished`.
    pub topic: String,
    /// What is reported in the order in which it happened, such as `buildrequests/12` with its builds.
    pub subject: String,
    /// JSON.
    pub payload: String,
    pub created_at: i64,
    /// When it is its turn: at first when it happened, so that it does not come before what is to be tried again earlier.
    pub next_at: i64,
    pub tries: i64,
}

record!(OutboxRow, "outbox", key "id": i64 = |o| o.id, update [], {
    "id": |o| o.id,
    "reporter": |o| o.reporter.clone(),
    "topic": |o| o.topic.clone(),
    "subject": |o| o.subject.clone(),
    "payload": |o| o.payload.clone(),
    "created_at": |o| o.created_at,
    "next_at": |o| o.next_at,
    "tries": |o| o.tries,
});

record!(crate::logs::ChunkRow, "logchunks", key "logid, last_line": (i64, i64) = |c| (c.logid, c.last_line),
    update ["first_line", "content", "compressed"], {
    "logid": |c| c.logid,
    "first_line": |c| c.first_line,
    "last_line": |c| c.last_line,
    "content": |c| c.content.clone(),
    "compressed": |c| c.compressed,
});

/// The JSON text of a value that always has one.
fn json_text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
