//! Builds, steps, logs, build data.

use super::{field, flag, int, json, opt_int, opt_text, text};
use crate::error::Result;
use crate::pool::Cols;
use crate::resource::{Column, Decl, Resource};
use lunabot_model::Properties;
use lunabot_model::resources::{Build, BuildData, Log, LogType, Step};
use lunabot_model::result_spec::FieldKind;

impl Resource for Build {
    const DECL: &'static Decl = &Decl {
        plural: "builds",
        from: "builds b",
        tables: &["builds", "build_properties"],
        columns: "b.id, b.number, b.builderid, b.buildrequestid, b.workerid, b.masterid, b.started_at, b.complete_at, \
                  b.locks_duration_s, b.state_string, b.results, b.generation",
        key: "b.id",
        grows: true,
        fields: &[
            int("buildid", "b.id"),
            int("number", "b.number"),
            int("builderid", "b.builderid"),
            int("buildrequestid", "b.buildrequestid"),
            opt_int("workerid", "b.workerid").of("integer"),
            int("masterid", "b.masterid"),
            int("started_at", "b.started_at").of("datetime"),
            field("complete", FieldKind::Bool, Column::Present("b.complete_at")),
            opt_int("complete_at", "b.complete_at").of("datetime?"),
            int("locks_duration_s", "b.locks_duration_s"),
            opt_int("results", "b.results"),
            text("state_string", "b.state_string"),
            opt_text("generation", "b.generation"),
            json("properties").of("sourcedproperties?"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        let mut build = Build {
            buildid: cols.int()?,
            number: cols.int()?,
            builderid: cols.int()?,
            buildrequestid: cols.int()?,
            workerid: cols.opt_int()?,
            masterid: cols.int()?,
            started_at: cols.int()?,
            complete: false,
            complete_at: cols.opt_int()?,
            locks_duration_s: cols.int()?,
            results: None,
            state_string: cols.text()?,
            generation: None,
            properties: Properties::new(),
        };
        build.complete = build.complete_at.is_some();
        build.results = cols.results()?;
        build.generation = cols.opt_text()?;
        Ok(build)
    }
}

impl Resource for Step {
    const DECL: &'static Decl = &Decl {
        plural: "steps",
        from: "steps s",
        tables: &["steps"],
        columns: "s.id, s.number, s.name, s.buildid, s.started_at, s.locks_acquired_at, s.complete_at, s.state_string, \
                  s.results, s.urls, s.hidden",
        // Steps are read within one build, in the order of their numbers (09.074).
        key: "s.number",
        grows: false,
        fields: &[
            int("stepid", "s.id"),
            int("number", "s.number"),
            field("name", FieldKind::Identifier, Column::Set("s.name")),
            int("buildid", "s.buildid"),
            opt_int("started_at", "s.started_at").of("datetime?"),
            opt_int("locks_acquired_at", "s.locks_acquired_at").of("datetime?"),
            field("complete", FieldKind::Bool, Column::Present("s.complete_at")),
            opt_int("complete_at", "s.complete_at").of("datetime?"),
            opt_int("results", "s.results"),
            text("state_string", "s.state_string"),
            json("urls").of("[Url]"),
            flag("hidden", "s.hidden"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        let mut step = Step {
            stepid: cols.int()?,
            number: cols.int()?,
            name: cols.text()?,
            buildid: cols.int()?,
            started_at: cols.opt_int()?,
            locks_acquired_at: cols.opt_int()?,
            complete: false,
            complete_at: cols.opt_int()?,
            results: None,
            state_string: cols.text()?,
            urls: Vec::new(),
            hidden: false,
        };
        step.complete = step.complete_at.is_some();
        step.results = cols.results()?;
        step.urls = cols.json()?;
        step.hidden = cols.bool()?;
        Ok(step)
    }
}

impl Resource for Log {
    const DECL: &'static Decl = &Decl {
        plural: "logs",
        from: "logs l",
        tables: &["logs"],
        columns: "l.id, l.name, l.slug, l.stepid, l.complete, l.num_lines, l.type",
        key: "l.id",
        grows: false,
        fields: &[
            int("logid", "l.id"),
            text("name", "l.name"),
            field("slug", FieldKind::Identifier, Column::Set("l.slug")),
            int("stepid", "l.stepid"),
            flag("complete", "l.complete"),
            int("num_lines", "l.num_lines"),
            field("type", FieldKind::Identifier, Column::Set("l.type")),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Log {
            logid: cols.int()?,
            name: cols.text()?,
            slug: cols.text()?,
            stepid: cols.int()?,
            complete: cols.bool()?,
            num_lines: cols.int()?,
            log_type: match cols.text()?.as_str() {
                "s" => LogType::Stdio,
                "h" => LogType::Html,
                "d" => LogType::Deleted,
                _ => LogType::Text,
            },
        })
    }
}

impl Resource for BuildData {
    const DECL: &'static Decl = &Decl {
        plural: "build_data",
        from: "build_data d",
        tables: &["build_data"],
        columns: "d.buildid, d.name, d.length, d.source",
        key: "d.name",
        grows: false,
        fields: &[
            int("buildid", "d.buildid"),
            text("name", "d.name"),
            int("length", "d.length"),
            json("value").of("binary?"),
            text("source", "d.source"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(BuildData {
            buildid: cols.int()?,
            name: cols.text()?,
            length: cols.int()?,
            value: None,
            source: cols.text()?,
        })
    }
}

/// An entry of a property list (09.020).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PropertyItem {
    pub name: String,
    pub source: String,
    /// JSON text.
    pub value: String,
}

/// A step with what names it outside its build: for the name of a raw log (09.035).
#[derive(Debug, Clone)]
pub struct StepWithBuild {
    pub step: String,
    pub number: i64,
    pub builder: String,
    pub worker: Option<String>,
}
