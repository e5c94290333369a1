//! What is read once, when the database is opened: names with their ids, and where ids go on.

use crate::error::Result;
use crate::pool::Value;
use crate::store::Store;
use std::collections::HashMap;

/// Ids by name. Small: it grows with the configuration, not with the builds.
#[derive(Debug, Default)]
pub struct Names {
    pub masters: HashMap<String, i64>,
    pub builders: HashMap<String, i64>,
    pub workers: HashMap<String, i64>,
    pub schedulers: HashMap<String, i64>,
    pub changesources: HashMap<String, i64>,
    pub projects: HashMap<String, i64>,
    pub tags: HashMap<String, i64>,
    /// By name and class.
    pub objects: HashMap<(String, String), i64>,
    /// The newest number of each builder that has builds.
    pub build_numbers: HashMap<i64, i64>,
}

/// The highest ids in use. This process is the only writer, so it hands out the next ones from memory.
#[derive(Debug, Default, Clone)]
pub struct NextIds {
    pub patches: i64,
    pub sourcestamps: i64,
    pub changes: i64,
    pub buildsets: i64,
    pub buildrequests: i64,
    pub builds: i64,
    pub steps: i64,
    pub logs: i64,
    pub test_result_sets: i64,
    pub commits: i64,
    pub branches: i64,
    pub outbox: i64,
}

const OBJECTS: &str = "SELECT name, class_name, id FROM objects";
const BUILD_NUMBERS: &str =
    "SELECT u.id, (SELECT MAX(b.number) FROM builds b WHERE b.builderid = u.id) FROM builders u";

/// `(name, id)` of a table.
macro_rules! names_of {
    ($store:expr, $table:literal) => {
        $store.names_of(concat!("SELECT name, id FROM ", $table)).await?
    };
}

/// The highest id of a table.
macro_rules! max_id {
    ($store:expr, $table:literal) => {
        $store.number(concat!("SELECT COALESCE(MAX(id), 0) FROM ", $table), Vec::new()).await?
    };
}

impl Store {
    pub async fn names(&self) -> Result<Names> {
        let mut names = Names {
            masters: names_of!(self, "masters"),
            builders: names_of!(self, "builders"),
            workers: names_of!(self, "workers"),
            schedulers: names_of!(self, "schedulers"),
            changesources: names_of!(self, "changesources"),
            projects: names_of!(self, "projects"),
            tags: names_of!(self, "tags"),
            ..Names::default()
        };
        for row in self.fetch(OBJECTS, Vec::new()).await? {
            let mut cols = row.cols();
            names.objects.insert((cols.text()?, cols.text()?), cols.int()?);
        }
        for row in self.fetch(BUILD_NUMBERS, Vec::new()).await? {
            let mut cols = row.cols();
            if let (builder, Some(number)) = (cols.int()?, cols.opt_int()?) {
                names.build_numbers.insert(builder, number);
            }
        }
        Ok(names)
    }

    pub async fn next_ids(&self) -> Result<NextIds> {
        Ok(NextIds {
            patches: max_id!(self, "patches"),
            sourcestamps: max_id!(self, "sourcestamps"),
            changes: max_id!(self, "changes"),
            buildsets: max_id!(self, "buildsets"),
            buildrequests: max_id!(self, "buildrequests"),
            builds: max_id!(self, "builds"),
            steps: max_id!(self, "steps"),
            logs: max_id!(self, "logs"),
            test_result_sets: max_id!(self, "test_result_sets"),
            commits: max_id!(self, "codebase_commits"),
            branches: max_id!(self, "codebase_branches"),
            outbox: max_id!(self, "outbox"),
        })
    }

    async fn names_of(&self, sql: &'static str) -> Result<HashMap<String, i64>> {
        let rows = self.fetch(sql, Vec::new()).await?;
        let pair = |row: &crate::pool::Row| {
            let mut cols = row.cols();
            Ok((cols.text()?, cols.int()?))
        };
        rows.iter().map(pair).collect()
    }

    pub(crate) async fn number(&self, sql: &'static str, values: Vec<Value>) -> Result<i64> {
        let rows = self.fetch(sql, values).await?;
        rows.first().map_or(Ok(0), |row| row.cols().int())
    }
}
