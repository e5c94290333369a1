//! Single rows and small sets, for the data room's typed readers.

use crate::error::Result;
use crate::list::ListQuery;
use crate::logs::{self, Chunk};
use crate::pool::Value;
use crate::resource::Resource;
use crate::resources::{PropertyItem, StepWithBuild};
use crate::store::Store;
use crate::tables::{OutboxRow, RequestLimitRow};
use lunabot_model::Properties;
use lunabot_model::resources::{Build, BuildRequest, Buildset, Change};
use lunabot_model::result_spec::ResultSpec;
use std::collections::HashMap;

const BUILD_PROPERTIES: &str =
    "SELECT name, source, value FROM build_properties WHERE buildid = $1 ORDER BY name";
const BUILDSET_PROPERTIES: &str =
    "SELECT name, source, value FROM buildset_properties WHERE buildsetid = $1 ORDER BY name";
const CHANGE_PROPERTIES: &str =
    "SELECT name, source, value FROM change_properties WHERE changeid = $1 ORDER BY name";
const MANY_BUILD_PROPERTIES: &str =
    "SELECT buildid, name, value, source FROM build_properties WHERE buildid IN ({})";
const MANY_BUILDSET_PROPERTIES: &str =
    "SELECT buildsetid, name, value, source FROM buildset_properties WHERE buildsetid IN ({})";
const REQUEST_PROPERTIES: &str =
    "SELECT name, source, value FROM buildrequest_properties WHERE buildrequestid = $1 ORDER BY name";
const MANY_REQUEST_PROPERTIES: &str =
    "SELECT buildrequestid, name, value, source FROM buildrequest_properties WHERE buildrequestid IN ({})";
const LIMITS_OF_OPEN_REQUESTS: &str = "SELECT l.buildrequestid, l.expires_at, l.offline_timeout \
    FROM buildrequest_limits l JOIN buildrequests r ON r.id = l.buildrequestid WHERE r.complete = FALSE";
const STAMP_BY_HASH: &str = "SELECT id FROM sourcestamps WHERE ss_hash = $1";
const LAST_CHANGE: &str = "SELECT COALESCE(MAX(id), 0) FROM changes \
    WHERE branch = $1 AND repository = $2 AND codebase = $3 AND project = $4";
const LAST_CHANGE_OF_TRUNK: &str = "SELECT COALESCE(MAX(id), 0) FROM changes \
    WHERE branch IS NULL AND repository = $1 AND codebase = $2 AND project = $3";
const STATE: &str = "SELECT value FROM object_state WHERE objectid = $1 AND name = $2";
const CLASSIFIED: &str =
    "SELECT changeid, important FROM scheduler_changes WHERE schedulerid = $1 ORDER BY changeid";
const COMPLETE_TIMES: &str =
    "SELECT u.id, (SELECT MAX(b.complete_at) FROM builds b WHERE b.builderid = u.id) FROM builders u";
/// Of each subject the oldest, as they are due.
const OUTBOX: &str = "SELECT o.id, o.reporter, o.topic, o.subject, o.payload, o.created_at, o.next_at, o.tries FROM outbox o \
    WHERE o.reporter = $1 AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.reporter = o.reporter AND e.subject = o.subject \
    AND e.id < o.id) ORDER BY o.next_at, o.id LIMIT $2";
const OUTBOX_COUNTS: &str = "SELECT reporter, COUNT(*), COUNT(NULLIF(tries, 0)) FROM outbox WHERE reporter <> '' GROUP BY reporter ORDER BY reporter";
const BUILD_DATA_VALUE: &str = "SELECT value FROM build_data WHERE buildid = $1 AND name = $2";
const LOG_PLACE: &str = "SELECT s.name, b.number, u.name, w.name FROM logs l JOIN steps s ON s.id = l.stepid \
    JOIN builds b ON b.id = s.buildid JOIN builders u ON u.id = b.builderid LEFT JOIN workers w ON w.id = b.workerid \
    WHERE l.id = $1";
const STAMPS_OF_BUILD: &str = "SELECT x.sourcestampid FROM builds b JOIN buildrequests r ON r.id = b.buildrequestid \
    JOIN buildset_sourcestamps x ON x.buildsetid = r.buildsetid WHERE b.id = $1 ORDER BY x.sourcestampid";
const NEWEST_BUILDS: &str = "SELECT b.id, b.number, b.builderid, b.buildrequestid, b.workerid, b.masterid, b.started_at, \
    b.complete_at, b.locks_duration_s, b.state_string, b.results, b.generation FROM builders u JOIN builds b ON b.builderid = u.id \
    AND b.number > (SELECT COALESCE(MAX(m.number), 0) - $1 FROM builds m WHERE m.builderid = u.id) \
    WHERE u.id IN ({}) ORDER BY b.builderid, b.number DESC";
const PREVIOUS_SUCCESSES: &str = "SELECT id, number FROM builds \
    WHERE builderid = $1 AND number < $2 AND results = 0 ORDER BY number DESC LIMIT 50";

/// All of them, for the test that prepares each on both engines.
const ALL: &[&str] = &[
    BUILD_PROPERTIES,
    BUILDSET_PROPERTIES,
    CHANGE_PROPERTIES,
    MANY_BUILD_PROPERTIES,
    MANY_BUILDSET_PROPERTIES,
    REQUEST_PROPERTIES,
    MANY_REQUEST_PROPERTIES,
    LIMITS_OF_OPEN_REQUESTS,
    STAMP_BY_HASH,
    LAST_CHANGE,
    LAST_CHANGE_OF_TRUNK,
    STATE,
    CLASSIFIED,
    COMPLETE_TIMES,
    BUILD_DATA_VALUE,
    LOG_PLACE,
    STAMPS_OF_BUILD,
    NEWEST_BUILDS,
    PREVIOUS_SUCCESSES,
    OUTBOX,
    OUTBOX_COUNTS,
];

/// Whose properties.
#[derive(Debug, Clone, Copy)]
pub enum PropertiesOf {
    Build(i64),
    Buildset(i64),
    /// What a request has of its own, without those of its buildset.
    Request(i64),
    Change(i64),
}

/// Whose properties, of many at once.
#[derive(Debug, Clone, Copy)]
pub enum PropertyOwners {
    Builds,
    Buildsets,
    Requests,
}

impl Store {
    /// The row with this id.
    pub async fn by_id<R: Resource>(&self, id: i64) -> Result<Option<R>> {
        let key = R::DECL.fields.first().map_or("", |f| match f.column {
            crate::resource::Column::Set(column) => column,
            _ => "",
        });
        self.one(&format!("{key} = $1"), vec![id.into()]).await
    }

    /// The first row of a scope.
    pub async fn one<R: Resource>(&self, scope: &str, args: Vec<Value>) -> Result<Option<R>> {
        let spec = ResultSpec { limit: Some(1), ..ResultSpec::default() };
        let page = self.list(ListQuery { scope, args, spec: &spec, total: false }).await?;
        Ok(page.rows.into_iter().next())
    }

    /// All rows of a scope.
    pub async fn all<R: Resource>(&self, scope: &str, args: Vec<Value>) -> Result<Vec<R>> {
        let spec = ResultSpec::default();
        Ok(self.list(ListQuery { scope, args, spec: &spec, total: false }).await?.rows)
    }

    /// Buildsets that are not complete.
    pub async fn open_sets(&self) -> Result<Vec<Buildset>> {
        self.all("t.complete = FALSE", Vec::new()).await
    }

    /// Their requests, complete ones too.
    pub async fn requests_of_open_sets(&self) -> Result<Vec<BuildRequest>> {
        self.all("r.buildsetid IN (SELECT id FROM buildsets WHERE complete = FALSE)", Vec::new()).await
    }

    /// Properties by name, values as JSON text.
    pub async fn property_items(&self, of: PropertiesOf) -> Result<Vec<PropertyItem>> {
        let (sql, id) = match of {
            PropertiesOf::Build(id) => (BUILD_PROPERTIES, id),
            PropertiesOf::Buildset(id) => (BUILDSET_PROPERTIES, id),
            PropertiesOf::Request(id) => (REQUEST_PROPERTIES, id),
            PropertiesOf::Change(id) => (CHANGE_PROPERTIES, id),
        };
        let rows = self.fetch(sql, vec![id.into()]).await?;
        let item = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok(PropertyItem { name: cols.text()?, source: cols.text()?, value: cols.text()? })
        };
        rows.iter().map(item).collect()
    }

    pub async fn properties(&self, of: PropertiesOf) -> Result<Properties> {
        let mut all = Properties::new();
        for item in self.property_items(of).await? {
            let value = serde_json::from_str(&item.value).unwrap_or(lunabot_model::Json::Null);
            all.set(item.name, value, item.source);
        }
        Ok(all)
    }

    /// How long the incomplete requests may wait that have limits.
    pub async fn limits_of_open_requests(&self) -> Result<Vec<RequestLimitRow>> {
        let rows = self.fetch(LIMITS_OF_OPEN_REQUESTS, Vec::new()).await?;
        let limits = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok(RequestLimitRow {
                buildrequestid: cols.int()?,
                expires_at: cols.opt_int()?,
                offline_timeout: cols.opt_int()?,
            })
        };
        rows.iter().map(limits).collect()
    }

    /// The properties of many, by owner; one statement for all.
    pub async fn properties_of_many(
        &self,
        owners: PropertyOwners,
        ids: Vec<i64>,
    ) -> Result<HashMap<i64, Properties>> {
        let sql = match owners {
            PropertyOwners::Builds => MANY_BUILD_PROPERTIES,
            PropertyOwners::Buildsets => MANY_BUILDSET_PROPERTIES,
            PropertyOwners::Requests => MANY_REQUEST_PROPERTIES,
        };
        let mut all: HashMap<i64, Properties> = HashMap::new();
        for row in crate::resources::belonging(&self.pool, sql, ids.into_iter()).await? {
            let mut cols = row.cols();
            let own = all.entry(cols.int()?).or_default();
            let (name, value) = (cols.text()?, cols.json::<lunabot_model::Json>()?);
            own.set(name, value, cols.text()?);
        }
        Ok(all)
    }

    pub async fn stamp_by_hash(&self, hash: &str) -> Result<Option<i64>> {
        let rows = self.fetch(STAMP_BY_HASH, vec![hash.into()]).await?;
        rows.first().map(|row| row.cols().int()).transpose()
    }

    /// The newest change of one line of development: the parent of the next one (02.001).
    pub async fn last_change(
        &self,
        branch: Option<&str>,
        repository: &str,
        codebase: &str,
        project: &str,
    ) -> Result<Option<i64>> {
        let rest: [Value; 3] = [repository.into(), codebase.into(), project.into()];
        let found = match branch {
            Some(branch) => {
                let values = std::iter::once(branch.into()).chain(rest).collect();
                self.number(LAST_CHANGE, values).await?
            }
            None => self.number(LAST_CHANGE_OF_TRUNK, rest.into()).await?,
        };
        Ok(Some(found).filter(|id| *id > 0))
    }

    pub async fn state(&self, object: i64, name: &str) -> Result<Option<String>> {
        let rows = self.fetch(STATE, vec![object.into(), name.into()]).await?;
        rows.first().map(|row| row.cols().text()).transpose()
    }

    /// `(change, important)` in the order of changes.
    pub async fn classified(&self, scheduler: i64) -> Result<Vec<(i64, bool)>> {
        let rows = self.fetch(CLASSIFIED, vec![scheduler.into()]).await?;
        let pair = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok((cols.int()?, cols.bool()?))
        };
        rows.iter().map(pair).collect()
    }

    /// When the newest build of each builder ended.
    pub async fn complete_times(&self) -> Result<HashMap<i64, i64>> {
        let mut times = HashMap::new();
        for row in self.fetch(COMPLETE_TIMES, Vec::new()).await? {
            let mut cols = row.cols();
            if let (builder, Some(time)) = (cols.int()?, cols.opt_int()?) {
                times.insert(builder, time);
            }
        }
        Ok(times)
    }

    /// What is to be reported to one: of each subject the oldest, at most `most`, the most urgent first.
    pub async fn outbox(&self, reporter: &str, most: i64) -> Result<Vec<OutboxRow>> {
        let rows = self.fetch(OUTBOX, vec![reporter.into(), most.into()]).await?;
        let read = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok(OutboxRow {
                id: cols.int()?,
                reporter: cols.text()?,
                topic: cols.text()?,
                subject: cols.text()?,
                payload: cols.text()?,
                created_at: cols.int()?,
                next_at: cols.int()?,
                tries: cols.int()?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// How much is to be reported, and how much of it was tried, by reporter; without what is [`crate::UNHEARD`].
    pub async fn outbox_counts(&self) -> Result<Vec<(String, (i64, i64))>> {
        let rows = self.fetch(OUTBOX_COUNTS, Vec::new()).await?;
        let counts = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok((cols.text()?, (cols.int()?, cols.int()?)))
        };
        rows.iter().map(counts).collect()
    }

    pub async fn build_data_value(&self, build: i64, name: &str) -> Result<Option<Vec<u8>>> {
        let rows = self.fetch(BUILD_DATA_VALUE, vec![build.into(), name.into()]).await?;
        rows.first().map(|row| row.cols().blob()).transpose()
    }

    /// Step, build and worker of a log.
    pub async fn log_place(&self, log: i64) -> Result<Option<StepWithBuild>> {
        let rows = self.fetch(LOG_PLACE, vec![log.into()]).await?;
        let place = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok(StepWithBuild {
                step: cols.text()?,
                number: cols.int()?,
                builder: cols.text()?,
                worker: cols.opt_text()?,
            })
        };
        rows.first().map(place).transpose()
    }

    pub async fn stamps_of_build(&self, build: i64) -> Result<Vec<i64>> {
        let rows = self.fetch(STAMPS_OF_BUILD, vec![build.into()]).await?;
        rows.iter().map(|row| row.cols().int()).collect()
    }

    /// The newest `each` builds of each builder, newest first. Numbers are given without gaps, so the index on
    /// (builder, number) finds them without reading the others.
    pub async fn newest_builds(&self, builders: &[i64], each: i64) -> Result<HashMap<i64, Vec<Build>>> {
        let mut all: HashMap<i64, Vec<Build>> = HashMap::new();
        let ids = builders.iter().copied();
        for row in crate::resources::belonging_with(&self.pool, NEWEST_BUILDS, &[each.into()], ids).await? {
            let build = Build::read(&mut row.cols())?;
            all.entry(build.builderid).or_default().push(build);
        }
        Ok(all)
    }

    /// Builds of a builder before `number` that succeeded, newest first; at most fifty (09.037).
    pub async fn previous_successes(&self, builder: i64, number: i64) -> Result<Vec<(i64, i64)>> {
        let rows = self.fetch(PREVIOUS_SUCCESSES, vec![builder.into(), number.into()]).await?;
        let pair = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok((cols.int()?, cols.int()?))
        };
        rows.iter().map(pair).collect()
    }

    /// All changes of these stamps, by id.
    pub async fn changes_of_stamps(&self, stamps: &[i64]) -> Result<Vec<Change>> {
        let mut found = Vec::new();
        // An engine takes only so many values at a time.
        for part in stamps.chunks(1024) {
            let scope = format!("c.sourcestampid IN ({})", self.pool.marks().list(1, part.len()));
            found.extend(self.all::<Change>(&scope, part.iter().copied().map(Value::Int).collect()).await?);
        }
        found.sort_by_key(|change| change.changeid);
        Ok(found)
    }

    /// Prepares every statement that is a constant or made from a table's declaration; gives those that the engine refuses.
    #[doc(hidden)]
    pub async fn prepare_all(&self) -> Vec<String> {
        let (upserts, marks) = (crate::batch::Batch::upserts(), self.pool.marks());
        let texts = upserts.iter().flat_map(|u| [u.text(0, marks), u.text(3, marks)]);
        let changed =
            upserts.iter().filter(|u| u.key == "id" && !u.update.is_empty()).map(|u| u.change(3, marks));
        let texts = texts.chain(changed).map(|text| text.to_string());
        let fixed = ALL
            .iter()
            .chain(crate::rare::ALL)
            .chain(crate::tidy::ALL)
            .chain(crate::stats::ALL)
            .map(|text| text.replace("{}", "$1"));
        // A statement whose first placeholder is taken has its list after it.
        let fixed =
            fixed.map(|text| if text.contains("- $1") { text.replace("IN ($1)", "IN ($2)") } else { text });
        let mut refused = Vec::new();
        for text in texts.chain(fixed) {
            if let Err(error) = self.pool.prepare(&text).await {
                refused.push(format!("{text}: {error}"));
            }
        }
        refused
    }

    /// At most `most` chunks that hold lines of `first ..= last`.
    pub async fn chunks(&self, log: i64, first: i64, last: i64, most: i64) -> Result<Vec<Chunk>> {
        logs::read(&self.pool, log, first, last, most).await
    }
}
