//! Reading by path and query, as `/api/v2` does (09b, 09c, 09d). What is answered is what is committed.

mod changes;
mod commits;
mod contents;
mod explanation;
mod logs;
mod openapi;
mod path;
mod progress;

pub use contents::{Contents, ContentsBody};
pub use logs::{RawLog, RawStream};
pub use openapi::{actions_of, openapi};
pub use spec::all as dataspec;

use crate::cache::Kept;
use crate::data::Data;
use crate::error::{DataError, Result};
use bytes::Bytes;
use lunabot_db::endpoints::{Found, Target};
use lunabot_db::resources::{PropertyItem, TestResult, TestResultSet};
use lunabot_db::{ListQuery, PropertiesOf, PropertyOwners, Resource, field_specs};
use lunabot_model::object::{MARKS, with_secrets_named};
use lunabot_model::resources::*;
use lunabot_model::result_spec::{FieldKind, FieldSpec, ResultSpec};
use lunabot_model::{Json, Properties, Property};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Larger answers are made anew each time, in bytes.
const MAX_KEPT: usize = 1 << 20;

/// What a path holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `total` where it is known (09.045, 09.068).
    List {
        plural: &'static str,
        items: Vec<Json>,
        total: Option<i64>,
    },
    One {
        plural: &'static str,
        item: Json,
    },
    /// `/raw`, `/raw_inline`, `/value`: streamed by [`Data::raw`].
    Raw,
}

/// A serialised answer.
#[derive(Debug, Clone)]
pub struct Serialised {
    pub body: Bytes,
    /// Differs wherever the body may: for conditional requests. Not for answers that are made from more than tables.
    pub tag: Option<String>,
    packed: Option<Arc<OnceLock<Bytes>>>,
}

impl Serialised {
    /// The body packed by a function that is called once as long as the answer is kept; `None`: it is not kept.
    pub fn packed(&self, pack: impl FnOnce(&[u8]) -> Bytes) -> Option<Bytes> {
        Some(self.packed.as_ref()?.get_or_init(|| pack(&self.body)).clone())
    }
}

impl Answer {
    /// The envelope of the API (09.045): keys sorted, `meta` with the total where it is known.
    pub fn into_json(self) -> Json {
        let (plural, items, total) = match self {
            Answer::List { plural, items, total } => (plural, items, total),
            Answer::One { plural: "properties", item } => ("properties", vec![item], None),
            Answer::One { plural, item } => (plural, vec![item], None),
            Answer::Raw => ("raw", Vec::new(), None),
        };
        let mut meta = serde_json::Map::new();
        if let Some(total) = total {
            meta.insert("total".into(), total.into());
        }
        let mut envelope = serde_json::Map::new();
        envelope.insert(plural.into(), items.into());
        envelope.insert("meta".into(), meta.into());
        let mut envelope = Json::Object(envelope);
        envelope.sort_all_objects();
        envelope
    }
}

const FORCE_FIELDS: &[FieldSpec] = &[
    FieldSpec { name: "name", kind: FieldKind::Identifier },
    FieldSpec { name: "button_name", kind: FieldKind::Text },
    FieldSpec { name: "label", kind: FieldKind::Text },
    FieldSpec { name: "builder_names", kind: FieldKind::Texts },
    FieldSpec { name: "enabled", kind: FieldKind::Bool },
    FieldSpec { name: "all_fields", kind: FieldKind::Json },
];

const PROPERTY_FIELDS: &[FieldSpec] = &[
    FieldSpec { name: "name", kind: FieldKind::Identifier },
    FieldSpec { name: "source", kind: FieldKind::Text },
    FieldSpec { name: "value", kind: FieldKind::Text },
];

/// Runs `$body` with `$type` standing for the resource of a target that is a table; gives `None` for the others.
macro_rules! for_resource {
    ($target:expr, $type:ident => $body:expr) => {
        match $target {
            Target::Masters => {
                type $type = Master;
                Some($body)
            }
            Target::Builders => {
                type $type = Builder;
                Some($body)
            }
            Target::Builds => {
                type $type = Build;
                Some($body)
            }
            Target::BuildRequests => {
                type $type = BuildRequest;
                Some($body)
            }
            Target::Buildsets => {
                type $type = Buildset;
                Some($body)
            }
            Target::SourceStamps => {
                type $type = SourceStamp;
                Some($body)
            }
            Target::Changes => {
                type $type = Change;
                Some($body)
            }
            Target::Steps => {
                type $type = Step;
                Some($body)
            }
            Target::Logs => {
                type $type = Log;
                Some($body)
            }
            Target::Workers => {
                type $type = Worker;
                Some($body)
            }
            Target::Schedulers => {
                type $type = Scheduler;
                Some($body)
            }
            Target::ChangeSources => {
                type $type = ChangeSource;
                Some($body)
            }
            Target::Projects => {
                type $type = Project;
                Some($body)
            }
            Target::Codebases => {
                type $type = Codebase;
                Some($body)
            }
            Target::Commits => {
                type $type = Commit;
                Some($body)
            }
            Target::Branches => {
                type $type = Branch;
                Some($body)
            }
            Target::BuildData => {
                type $type = BuildData;
                Some($body)
            }
            Target::TestResultSets => {
                type $type = TestResultSet;
                Some($body)
            }
            Target::TestResults => {
                type $type = TestResult;
                Some($body)
            }
            Target::ForceSchedulers
            | Target::ForceScheduler
            | Target::ForceSchedulersOfBuilder
            | Target::BuildProperties
            | Target::BuildPropertyList
            | Target::BuildsetProperties
            | Target::BuildsetPropertyList
            | Target::ChangePropertyList
            | Target::BuildDataValue
            | Target::BuildChanges
            | Target::BuildProgress
            | Target::CommitGraph
            | Target::LogContents
            | Target::LogRaw
            | Target::LogRawInline
            | Target::Explanation
            | Target::Registered(_)
            | Target::RootLinks
            | Target::Specs => None,
        }
    };
}

// It uses the macro above.
mod spec;

/// A row as the API shows it: keys sorted.
fn json<T: serde::Serialize>(row: &T) -> Json {
    let mut value = serde_json::to_value(row).unwrap_or(Json::Null);
    value.sort_all_objects();
    value
}

fn parse(query: &str, fields: &[FieldSpec], collection: bool) -> Result<ResultSpec> {
    ResultSpec::parse(query, fields, collection).map_err(|e| DataError::BadQuery(e.0))
}

/// The tables from which a path is answered; `None`: not from tables alone.
fn tables_of(path: &str) -> Option<&'static [&'static str]> {
    let target = path::find(path).ok()?.endpoint.target;
    for_resource!(target, R => <R as Resource>::DECL.tables)
}

/// What an answer is kept under.
fn key_of(path: &str, query: &str, pretty: bool) -> String {
    format!("{}{path}?{query}", if pretty { '+' } else { '-' })
}

impl Data {
    /// Answers a path of `/api/v2` (09b) with a raw query string (09d): filters, fields, order, limit, offset, property.
    pub async fn get(&self, path: &str, query: &str) -> Result<Answer> {
        let found = path::find(path)?;
        match for_resource!(found.endpoint.target, R => self.get_rows::<R>(&found, query).await) {
            Some(answer) => answer,
            None => self.get_other(&found, query).await,
        }
    }

    /// Like [`Data::get`], serialised: the envelope of 09.045, compact or indented by two blanks. Kept until a table that
    /// it was made from changes. `Ok(None)`: a raw answer, see [`Data::raw`].
    pub async fn get_json(&self, path: &str, query: &str, pretty: bool) -> Result<Option<Serialised>> {
        match self.kept_json(path, query, pretty) {
            Some(kept) => Ok(Some(kept)),
            None => self.made_json(path, query, pretty).await,
        }
    }

    /// The same, for whoever knows from [`Data::kept_json`] that it has to be made.
    pub async fn made_json(&self, path: &str, query: &str, pretty: bool) -> Result<Option<Serialised>> {
        let (answers, key) = (&self.shared.answers, key_of(path, query, pretty));
        let of = tables_of(path).map(|tables| (tables, self.shared.versions.of(tables)));
        let tag = of.map(|(_, version)| answers.tag(&key, version));
        let answer = match self.get(path, query).await? {
            Answer::Raw => return Ok(None),
            answer => answer.into_json(),
        };
        let body = match pretty {
            true => serde_json::to_vec_pretty(&answer),
            false => serde_json::to_vec(&answer),
        };
        let body = Bytes::from(body.map_err(|e| DataError::Storage(e.to_string()))?);
        let packed = of.filter(|_| body.len() <= MAX_KEPT).map(|(tables, version)| {
            let packed = Arc::default();
            let kept =
                Kept { tables, version, body: body.clone(), tag: tag.clone(), packed: Arc::clone(&packed) };
            answers.put(&key, kept);
            packed
        });
        Ok(Some(Serialised { body, tag, packed }))
    }

    /// The answer of [`Data::get_json`] or [`Data::contents`], if it is kept and nothing has changed since.
    pub fn kept_json(&self, path: &str, query: &str, pretty: bool) -> Option<Serialised> {
        let kept = self.shared.answers.get(&key_of(path, query, pretty), &self.shared.versions)?;
        Some(Serialised { body: kept.body, tag: kept.tag, packed: Some(kept.packed) })
    }

    /// The tag that [`Data::get_json`] would give now, without reading anything.
    pub fn answer_tag(&self, path: &str, query: &str, pretty: bool) -> Option<String> {
        let version = self.shared.versions.of(tables_of(path)?);
        Some(self.shared.answers.tag(&key_of(path, query, pretty), version))
    }

    /// Rows of a table.
    async fn get_rows<R: Resource>(&self, found: &Found, query: &str) -> Result<Answer> {
        let decl = R::DECL;
        let single = found.endpoint.single;
        let spec = parse(query, &field_specs(decl), !single)?;
        let scope = &found.endpoint.scope;
        if single {
            let row: Option<R> = self.shared.store.one(scope, found.args.clone()).await?;
            let row = row.ok_or_else(|| path::absent(found))?;
            let mut items = vec![json(&row)];
            self.add_properties(decl.plural, &spec, &mut items).await?;
            spec.project(&mut items[0]);
            return Ok(Answer::One { plural: decl.plural, item: items.swap_remove(0) });
        }
        let list = ListQuery { scope, args: found.args.clone(), spec: &spec, total: true };
        let page = self.shared.store.list::<R>(list).await?;
        let mut items: Vec<Json> = page.rows.iter().map(json).collect();
        self.add_properties(decl.plural, &spec, &mut items).await?;
        items.iter_mut().for_each(|item| spec.project(item));
        Ok(Answer::List { plural: decl.plural, items, total: page.total })
    }

    /// `property=` on builds and build requests (09.071).
    async fn add_properties(&self, plural: &str, spec: &ResultSpec, items: &mut [Json]) -> Result<()> {
        let (own, owner, owners) = match plural {
            "builds" => ("buildid", "buildid", PropertyOwners::Builds),
            "buildrequests" => ("buildrequestid", "buildsetid", PropertyOwners::Buildsets),
            _ => return Ok(()),
        };
        debug_assert!(items.iter().all(|item| item.get(own).is_some()));
        if spec.properties.is_empty() {
            return Ok(());
        }
        let ids = |name: &str| items.iter().filter_map(|item| item[name].as_i64()).collect();
        let store = &self.shared.store;
        let all = store.properties_of_many(owners, ids(owner)).await?;
        let more = match owners {
            PropertyOwners::Buildsets => store.properties_of_many(PropertyOwners::Requests, ids(own)).await?,
            PropertyOwners::Builds | PropertyOwners::Requests => HashMap::new(),
        };
        for item in items {
            let of = |map: &HashMap<i64, Properties>, name: &str| map.get(&item[name].as_i64()?).cloned();
            let mut properties = of(&all, owner).unwrap_or_default();
            properties.update(&of(&more, own).unwrap_or_default());
            let wanted = |name: &str| spec.properties.iter().any(|p| p == "*" || p == name);
            item["properties"] = json(&for_people(properties.iter().filter(|(name, _)| wanted(name))));
        }
        Ok(())
    }

    async fn get_other(&self, found: &Found, query: &str) -> Result<Answer> {
        let plain = || parse(query, &[], !found.endpoint.single).map(|_| ());
        match found.endpoint.target {
            Target::LogRaw | Target::LogRawInline | Target::BuildDataValue => Ok(Answer::Raw),
            Target::LogContents => self.log_contents(found, query).await,
            Target::BuildChanges => self.build_changes(found, query).await,
            Target::BuildProgress => self.build_progress(found, query).await,
            Target::CommitGraph => self.commit_graph(found, query).await,
            Target::ForceSchedulers | Target::ForceScheduler | Target::ForceSchedulersOfBuilder => {
                self.force_schedulers(found, query).await
            }
            Target::BuildProperties => {
                plain()?;
                let build: Option<Build> =
                    self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
                self.properties(build.map(|b| PropertiesOf::Build(b.buildid))).await
            }
            Target::BuildsetProperties => {
                plain()?;
                let set: Option<Buildset> =
                    self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
                self.properties(set.map(|s| PropertiesOf::Buildset(s.bsid))).await
            }
            Target::BuildPropertyList => {
                let build: Option<Build> =
                    self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
                self.property_list(build.map(|b| PropertiesOf::Build(b.buildid)), query).await
            }
            Target::BuildsetPropertyList => {
                let set: Option<Buildset> =
                    self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
                self.property_list(set.map(|s| PropertiesOf::Buildset(s.bsid)), query).await
            }
            Target::ChangePropertyList => {
                let change: Option<Change> =
                    self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
                self.property_list(change.map(|c| PropertiesOf::Change(c.changeid)), query).await
            }
            Target::Explanation => self.get_explanation(found, query).await,
            Target::Registered(plural) => {
                let rows = self.registered().virtuals.get(plural).cloned();
                let rows = rows.map(|rows| rows()).unwrap_or_default();
                in_memory(plural, &spec::field_specs(plural), rows, query)
            }
            Target::Specs => in_memory("specs", spec::FIELDS, spec::all(), query),
            _ => self.root_links(query),
        }
    }

    /// Of something that does not exist there are none.
    async fn properties(&self, of: Option<PropertiesOf>) -> Result<Answer> {
        let properties = match of {
            Some(of) => self.shared.store.properties(of).await?,
            None => lunabot_model::Properties::new(),
        };
        Ok(Answer::One { plural: "properties", item: json(&for_people(properties.iter())) })
    }

    async fn property_list(&self, of: Option<PropertiesOf>, query: &str) -> Result<Answer> {
        let rows = match of {
            Some(of) => self.shared.store.property_items(of).await?.into_iter().map(named).collect(),
            None => Vec::new(),
        };
        in_memory("_properties", PROPERTY_FIELDS, rows, query)
    }

    async fn force_schedulers(&self, found: &Found, query: &str) -> Result<Answer> {
        let refresh = self.registered().refresh_force_schedulers.clone();
        let only = match found.args.first() {
            Some(lunabot_db::Value::Text(name))
                if matches!(found.endpoint.target, Target::ForceScheduler) =>
            {
                Some(name.clone())
            }
            _ => None,
        };
        if let Some(refresh) = refresh {
            refresh(only).await;
        }
        let all = self.registered().force_schedulers.clone();
        let rows = |keep: &dyn Fn(&ForceScheduler) -> bool| {
            all.iter().filter(|s| keep(s)).map(json).collect::<Vec<_>>()
        };
        match (found.endpoint.target, found.args.first()) {
            (Target::ForceScheduler, Some(lunabot_db::Value::Text(name))) => {
                let spec = parse(query, FORCE_FIELDS, false)?;
                let mut item = rows(&|s| s.name == *name).pop().ok_or_else(|| path::absent(found))?;
                spec.project(&mut item);
                Ok(Answer::One { plural: "forceschedulers", item })
            }
            (Target::ForceSchedulersOfBuilder, _) => {
                let builder: Option<Builder> =
                    self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
                let builder = builder.ok_or_else(|| path::absent(found))?;
                in_memory(
                    "forceschedulers",
                    FORCE_FIELDS,
                    rows(&|s| s.builder_names.contains(&builder.name)),
                    query,
                )
            }
            _ => in_memory("forceschedulers", FORCE_FIELDS, rows(&|_| true), query),
        }
    }

    /// The names under which lists are found at the root (09.025).
    fn root_links(&self, query: &str) -> Result<Answer> {
        let mut names: Vec<&str> = lunabot_db::endpoints::endpoints()
            .iter()
            .filter(|e| !e.single && !e.pattern.contains(['/', '.']))
            .map(|e| e.pattern.as_str())
            .collect();
        names.sort_unstable();
        let rows = names.into_iter().map(|name| serde_json::json!({ "name": name })).collect();
        in_memory("rootlinks", &[FieldSpec { name: "name", kind: FieldKind::Text }], rows, query)
    }
}

/// Answers a query over rows in memory.
fn in_memory(plural: &'static str, fields: &[FieldSpec], rows: Vec<Json>, query: &str) -> Result<Answer> {
    let spec = parse(query, fields, true)?;
    let (mut items, total) = spec.apply(rows);
    for item in &mut items {
        item.sort_all_objects();
        spec.project(item);
    }
    Ok(Answer::List { plural, items, total: i64::try_from(total).ok() })
}

/// Stored properties name their secrets by objects of the configuration; people read `<name>`.
fn for_people<'a>(stored: impl Iterator<Item = (&'a str, &'a Property)>) -> Properties {
    let named =
        |property: &Property| Property { value: with_secrets_named(&property.value), ..property.clone() };
    stored.map(|(name, property)| (name, named(property))).collect()
}

fn named(mut item: PropertyItem) -> Json {
    if item.value.contains(MARKS[0])
        && let Ok(value) = serde_json::from_str::<Json>(&item.value)
    {
        item.value = with_secrets_named(&value).to_string();
    }
    json(&item)
}
