//! Masters, schedulers, change sources, projects.

use super::{field, flag, int, json, opt_text, text};
use crate::error::Result;
use crate::pool::Cols;
use crate::resource::{Column, Decl, Resource};
use lunabot_model::resources::{ChangeSource, Master, Project, Scheduler};
use lunabot_model::result_spec::FieldKind;

impl Resource for Master {
    const DECL: &'static Decl = &Decl {
        plural: "masters",
        from: "masters m",
        tables: &["masters"],
        columns: "m.id, m.name, m.active, m.last_active",
        key: "m.id",
        grows: false,
        fields: &[
            int("masterid", "m.id"),
            text("name", "m.name"),
            flag("active", "m.active"),
            int("last_active", "m.last_active").of("datetime"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Master {
            masterid: cols.int()?,
            name: cols.text()?,
            active: cols.bool()?,
            last_active: cols.int()?,
        })
    }
}

/// The master of a left join: null where there is none.
fn embedded_master(cols: &mut Cols<'_>) -> Result<Option<Master>> {
    Ok(match cols.opt_int()? {
        Some(masterid) => {
            Some(Master { masterid, name: cols.text()?, active: cols.bool()?, last_active: cols.int()? })
        }
        None => None,
    })
}

impl Resource for Scheduler {
    const DECL: &'static Decl = &Decl {
        plural: "schedulers",
        from: "schedulers h LEFT JOIN masters m ON m.id = h.masterid",
        tables: &["schedulers", "masters"],
        columns: "h.id, h.name, h.enabled, m.id, m.name, m.active, m.last_active",
        key: "h.id",
        grows: false,
        fields: &[
            int("schedulerid", "h.id"),
            text("name", "h.name"),
            flag("enabled", "h.enabled"),
            json("master").of("master?"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Scheduler {
            schedulerid: cols.int()?,
            name: cols.text()?,
            enabled: cols.bool()?,
            master: embedded_master(cols)?,
        })
    }
}

impl Resource for ChangeSource {
    const DECL: &'static Decl = &Decl {
        plural: "changesources",
        from: "changesources h LEFT JOIN masters m ON m.id = h.masterid",
        tables: &["changesources", "masters"],
        columns: "h.id, h.name, m.id, m.name, m.active, m.last_active",
        key: "h.id",
        grows: false,
        fields: &[int("changesourceid", "h.id"), text("name", "h.name"), json("master").of("master?")],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(ChangeSource { changesourceid: cols.int()?, name: cols.text()?, master: embedded_master(cols)? })
    }
}

impl Resource for Project {
    const DECL: &'static Decl = &Decl {
        plural: "projects",
        from: "projects j",
        tables: &["projects", "builders"],
        columns: "j.id, j.name, j.slug, \
                  EXISTS (SELECT 1 FROM builders u JOIN builder_masters m ON m.builderid = u.id WHERE u.projectid = j.id), \
                  j.description, j.description_format, j.description_html",
        key: "j.id",
        grows: false,
        fields: &[
            int("projectid", "j.id"),
            text("name", "j.name").of("identifier"),
            field("slug", FieldKind::Identifier, Column::Set("j.slug")),
            field(
                "active",
                FieldKind::Bool,
                Column::Flag(
                    "EXISTS (SELECT 1 FROM builders u JOIN builder_masters m ON m.builderid = u.id \
                     WHERE u.projectid = j.id)",
                    "NOT EXISTS (SELECT 1 FROM builders u JOIN builder_masters m ON m.builderid = u.id \
                     WHERE u.projectid = j.id)",
                ),
            )
            .of("boolean?"),
            opt_text("description", "j.description"),
            opt_text("description_format", "j.description_format"),
            opt_text("description_html", "j.description_html"),
        ],
    };

    fn read(cols: &mut Cols<'_>) -> Result<Self> {
        Ok(Project {
            projectid: cols.int()?,
            name: cols.text()?,
            slug: cols.text()?,
            active: Some(cols.bool()?),
            description: cols.opt_text()?,
            description_format: cols.opt_text()?,
            description_html: cols.opt_text()?,
        })
    }
}
