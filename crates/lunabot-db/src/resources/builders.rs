//! Builders and workers.

use super::{belonging, field, flag, int, json, opt_int, opt_text, text};
use crate::error::Result;
use crate::pool::Cols;
use crate::resource::{Column, Decl, PoolRef, Resource};
use lunabot_model::BoxFuture;
use lunabot_model::resources::{Builder, ConfiguredOn, ConnectedTo, Worker};
use lunabot_model::result_spec::FieldKind;
use std::collections::HashMap;

const BUILDER_MASTERS: &str =
    "SELECT builderid, masterid FROM builder_masters WHERE builderid IN ({}) ORDER BY builderid, masterid";
const BUILDER_TAGS: &str = "SELECT x.builderid, g.name FROM builders_tags x JOIN tags g ON g.id = x.tagid \
    WHERE x.builderid IN ({}) ORDER BY x.builderid, x.position";

impl Resource for Builder {
    const DECL: &'static Decl = &Decl {
        plural: "builders",
        from: "builders u",
        tables: &["builders"],
        columns: "u.id, u.name, u.description, u.description_format, u.description_html, u.projectid",
        key: "u.id",
        grows: false,
        fields: &[
            int("builderid", "u.id"),
            text("name", "u.name"),
            field(
                "masterids",
                FieldKind::Ints,
                Column::Elements(
                    "EXISTS (SELECT 1 FROM builder_masters m WHERE m.builderid = u.id AND m.masterid {})",
                ),
            ),
            opt_text("description", "u.description"),
            opt_text("description_format", "u.description_format"),
            opt_text("description_html", "u.description_html"),
            opt_int("projectid", "u.projectid"),
            field(
                "tags",
                FieldKind::Texts,
                Column::Elements(
                    "EXISTS (SELECT 1 FROM builders_tags x JOIN tags g ON g.id = x.tagid \
                     WHERE x.builderid = u.id AND g.name {})",
                ),
            ),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Builder {
            builderid: cols.int()?,
            name: cols.text()?,
            description: cols.opt_text()?,
            description_format: cols.opt_text()?,
            description_html: cols.opt_text()?,
            projectid: cols.opt_int()?,
            masterids: Vec::new(),
            tags: Vec::new(),
        })
    }

    fn complete<'a>(pool: &'a PoolRef<'a>, rows: &'a mut [Self]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut masters: HashMap<i64, Vec<i64>> = HashMap::new();
            for row in belonging(pool.0, BUILDER_MASTERS, rows.iter().map(|b| b.builderid)).await? {
                let mut cols = row.cols();
                masters.entry(cols.int()?).or_default().push(cols.int()?);
            }
            let mut tags: HashMap<i64, Vec<String>> = HashMap::new();
            for row in belonging(pool.0, BUILDER_TAGS, rows.iter().map(|b| b.builderid)).await? {
                let mut cols = row.cols();
                tags.entry(cols.int()?).or_default().push(cols.text()?);
            }
            for builder in rows {
                builder.masterids = masters.remove(&builder.builderid).unwrap_or_default();
                builder.tags = tags.remove(&builder.builderid).unwrap_or_default();
            }
            Ok(())
        })
    }
}

const CONNECTED: &str =
    "SELECT workerid, masterid FROM connected_workers WHERE workerid IN ({}) ORDER BY workerid, masterid";
const CONFIGURED: &str = "SELECT workerid, masterid, builderid FROM configured_workers \
    WHERE workerid IN ({}) ORDER BY workerid, masterid, builderid";

impl Resource for Worker {
    const DECL: &'static Decl = &Decl {
        plural: "workers",
        from: "workers w",
        tables: &["workers"],
        columns: "w.id, w.name, w.info, w.paused, w.pause_reason, w.graceful",
        key: "w.id",
        grows: false,
        fields: &[
            int("workerid", "w.id"),
            text("name", "w.name"),
            json("connected_to").of("[master_id]"),
            json("configured_on").of("[master_builder]"),
            json("workerinfo"),
            flag("paused", "w.paused"),
            opt_text("pause_reason", "w.pause_reason"),
            flag("graceful", "w.graceful"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Worker {
            workerid: cols.int()?,
            name: cols.text()?,
            workerinfo: cols.json()?,
            paused: cols.bool()?,
            pause_reason: cols.opt_text()?,
            graceful: cols.bool()?,
            connected_to: Vec::new(),
            configured_on: Vec::new(),
        })
    }

    fn complete<'a>(pool: &'a PoolRef<'a>, rows: &'a mut [Self]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut connected: HashMap<i64, Vec<ConnectedTo>> = HashMap::new();
            for row in belonging(pool.0, CONNECTED, rows.iter().map(|w| w.workerid)).await? {
                let mut cols = row.cols();
                connected.entry(cols.int()?).or_default().push(ConnectedTo { masterid: cols.int()? });
            }
            let mut configured: HashMap<i64, Vec<ConfiguredOn>> = HashMap::new();
            for row in belonging(pool.0, CONFIGURED, rows.iter().map(|w| w.workerid)).await? {
                let mut cols = row.cols();
                let own = configured.entry(cols.int()?).or_default();
                own.push(ConfiguredOn { masterid: cols.int()?, builderid: cols.int()? });
            }
            for worker in rows {
                worker.connected_to = connected.remove(&worker.workerid).unwrap_or_default();
                worker.configured_on = configured.remove(&worker.workerid).unwrap_or_default();
            }
            Ok(())
        })
    }
}
