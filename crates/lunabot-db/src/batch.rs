//! What one transaction writes: sets of rows, merged while they wait, and a few plain statements after them.
//!
//! A row that changes several times before it is written is written once. Sets are written parents first, many
//! rows per statement, so that a statement's fixed cost is shared.

use crate::error::Result;
use crate::pool::{Conn, Marks, Value};
use crate::tables::*;
use lunabot_model::resources::{Build, BuildRequest, Buildset, Change, Log, Step, Worker};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

/// The largest number of rows in one statement; powers of two up to it keep the number of different texts small.
const MAX_ROWS_LOG2: usize = 6;

/// The same for rows that change alike, of which a statement names only the keys.
const MAX_ALIKE_LOG2: usize = 9;
/// Fewer rows are written with all others.
const FEWEST_ALIKE: usize = 8;
/// So many kinds of change are told apart.
const KINDS: usize = 8;

/// How rows of one table are written: inserted, or, if they are there, some columns updated.
pub struct Upsert {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub key: &'static str,
    /// Columns that may change after the first writing.
    pub update: &'static [&'static str],
    texts: [Texts<{ MAX_ROWS_LOG2 + 1 }>; 2],
    changes: [Texts<{ MAX_ALIKE_LOG2 + 1 }>; 2],
}

/// Statements by the power of two of their rows; for each way of writing places.
type Texts<const N: usize> = [OnceLock<Arc<str>>; N];

impl Upsert {
    pub const fn new(
        table: &'static str,
        columns: &'static [&'static str],
        key: &'static str,
        update: &'static [&'static str],
    ) -> Self {
        let texts = [const { [const { OnceLock::new() }; MAX_ROWS_LOG2 + 1] }; 2];
        let changes = [const { [const { OnceLock::new() }; MAX_ALIKE_LOG2 + 1] }; 2];
        Upsert { table, columns, key, update, texts, changes }
    }

    /// The statement that changes `2^log2` rows that are there alike: first the new values, then the keys.
    pub fn change(&self, log2: usize, marks: Marks) -> Arc<str> {
        let text = &self.changes[marks as usize][log2];
        text.get_or_init(|| self.compose_change(1 << log2, marks).into()).clone()
    }

    fn compose_change(&self, rows: usize, marks: Marks) -> String {
        let set = |(i, column): (usize, &&str)| format!("{column} = {}", marks.place(i + 1));
        let sets: Vec<String> = self.update.iter().enumerate().map(set).collect();
        let (table, key, keys) = (self.table, self.key, marks.list(self.update.len() + 1, rows));
        format!("UPDATE {table} SET {} WHERE {key} IN ({keys})", sets.join(", "))
    }

    /// The statement for `2^log2` rows.
    pub fn text(&self, log2: usize, marks: Marks) -> Arc<str> {
        self.texts[marks as usize][log2].get_or_init(|| self.compose(1 << log2, marks).into()).clone()
    }

    fn compose(&self, rows: usize, marks: Marks) -> String {
        let width = self.columns.len();
        let tuple = |row: usize| format!("({})", marks.list(row * width + 1, width));
        let tuples: Vec<String> = (0..rows).map(tuple).collect();
        let updates: Vec<String> = self.update.iter().map(|c| format!("{c} = excluded.{c}")).collect();
        let action = match updates.is_empty() {
            true => "DO NOTHING".to_owned(),
            false => format!("DO UPDATE SET {}", updates.join(", ")),
        };
        let (table, columns, key) = (self.table, self.columns.join(", "), self.key);
        format!("INSERT INTO {table} ({columns}) VALUES {} ON CONFLICT ({key}) {action}", tuples.join(", "))
    }
}

/// A row that a [`Set`] can hold.
pub trait Record: Clone + Send + Sync {
    type Key: Hash + Eq + Send + Sync;
    const UPSERT: &'static Upsert;
    fn key(&self) -> Self::Key;
    /// One value per column of [`Record::UPSERT`].
    fn values(&self, out: &mut Vec<Value>);

    /// Whether the columns that may change are the same in both. Where that is so of many rows of one key, they are
    /// written by few statements.
    fn changes_like(&self, other: &Self) -> bool {
        let _ = other;
        false
    }

    /// The key of a row of which that may be so.
    fn id(&self) -> i64 {
        0
    }
}

/// Rows of one table, at most one per key.
pub struct Set<R: Record> {
    rows: Vec<Row<R>>,
    places: HashMap<R::Key, usize>,
}

struct Row<R> {
    row: R,
    /// It is in the store, or in a transaction before this one.
    known: bool,
}

impl<R: Record> Default for Set<R> {
    fn default() -> Self {
        Set { rows: Vec::new(), places: HashMap::new() }
    }
}

impl<R: Record> Set<R> {
    /// Adds a row, or replaces the one of the same key.
    pub fn put(&mut self, row: R) {
        self.place(row, false);
    }

    /// The same for a row that was put into this transaction or one before.
    pub fn change(&mut self, row: R) {
        self.place(row, true);
    }

    fn place(&mut self, row: R, known: bool) {
        match self.places.entry(row.key()) {
            std::collections::hash_map::Entry::Occupied(place) => self.rows[*place.get()].row = row,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(self.rows.len());
                self.rows.push(Row { row, known });
            }
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    async fn write(&self, conn: &mut Conn, one_by_one: bool) -> Result<()> {
        let (alike, rest) = if one_by_one { (Vec::new(), self.all()) } else { self.sorted() };
        let mut rest = rest.as_slice();
        while !rest.is_empty() {
            let log2 = if one_by_one { 0 } else { (rest.len().ilog2() as usize).min(MAX_ROWS_LOG2) };
            let (now, later) = rest.split_at(1 << log2);
            let mut values = Vec::with_capacity(now.len() * R::UPSERT.columns.len());
            now.iter().for_each(|row| row.values(&mut values));
            let sql = R::UPSERT.text(log2, conn.marks());
            guarded(conn, one_by_one, R::UPSERT.table, sql, values).await?;
            rest = later;
        }
        for rows in alike {
            change(conn, &rows).await?;
        }
        Ok(())
    }

    fn all(&self) -> Vec<&R> {
        self.rows.iter().map(|row| &row.row).collect()
    }

    /// Rows that change alike, and the others.
    fn sorted(&self) -> (Vec<Vec<&R>>, Vec<&R>) {
        let (mut alike, mut rest): (Vec<Vec<&R>>, Vec<&R>) = (Vec::new(), Vec::new());
        for Row { row, known } in &self.rows {
            let group = alike.iter().take_while(|_| *known).position(|group| group[0].changes_like(row));
            match group {
                Some(group) => alike[group].push(row),
                None if *known && alike.len() < KINDS && row.changes_like(row) => alike.push(vec![row]),
                None => rest.push(row),
            }
        }
        rest.extend(alike.extract_if(.., |group| group.len() < FEWEST_ALIKE).flatten());
        (alike, rest)
    }
}

/// Writes the change of rows that change alike.
async fn change<R: Record>(conn: &mut Conn, mut rows: &[&R]) -> Result<()> {
    let upsert = R::UPSERT;
    let column = |name: &&str| upsert.columns.iter().position(|column| column == name);
    while !rows.is_empty() {
        let log2 = (rows.len().ilog2() as usize).min(MAX_ALIKE_LOG2);
        let (now, later) = rows.split_at(1 << log2);
        let mut all = Vec::new();
        now[0].values(&mut all);
        let mut values: Vec<Value> =
            upsert.update.iter().filter_map(column).map(|at| all[at].clone()).collect();
        values.extend(now.iter().map(|row| Value::from(row.id())));
        let sql = upsert.change(log2, conn.marks());
        guarded(conn, false, upsert.table, sql, values).await?;
        rows = later;
    }
    Ok(())
}

/// Runs a statement. In a salvage, one that can never succeed is given up alone, so that the rest is kept.
async fn guarded(
    conn: &mut Conn,
    salvage: bool,
    what: &str,
    sql: Arc<str>,
    values: Vec<Value>,
) -> Result<()> {
    if !salvage {
        return conn.execute(AssertSqlSafe(sql), values).await;
    }
    conn.script("SAVEPOINT one").await?;
    let shown = format!("{values:.200?}");
    match conn.execute(AssertSqlSafe(sql), values).await {
        Err(error) if !error.is_passing() => {
            tracing::error!(table = what, row = shown, %error, "a row cannot be stored; it is lost");
            conn.script("ROLLBACK TO SAVEPOINT one").await?;
        }
        other => other?,
    }
    conn.script("RELEASE SAVEPOINT one").await
}

/// A statement of its own, for what happens rarely. Runs after the sets, in the order given.
#[derive(Debug, Clone)]
pub struct Statement {
    pub sql: &'static str,
    pub values: Vec<Value>,
    /// Nothing that the API answers is made of what it changes.
    quiet: bool,
}

macro_rules! batch {
    ($($(#[$doc:meta])* $field:ident: $type:ty),* $(,)?) => {
        /// Everything that one transaction writes.
        #[derive(Default)]
        pub struct Batch {
            $($(#[$doc])* pub $field: Set<$type>,)*
            pub statements: Vec<Statement>,
        }

        impl Batch {
            /// Rows and statements.
            pub fn len(&self) -> usize {
                self.statements.len() $(+ self.$field.len())*
            }

            /// The tables that the sets write.
            pub fn upserts() -> Vec<&'static Upsert> {
                vec![$(<$type>::UPSERT),*]
            }

            /// Which of [`Batch::upserts`] have rows in this batch; statements count as all tables, but for quiet ones.
            pub fn touches(&self, table: &str) -> bool {
                self.statements.iter().any(|statement| !statement.quiet)
                    $(|| (!self.$field.is_empty() && <$type>::UPSERT.table == table))*
            }

            pub(crate) async fn write(&self, conn: &mut Conn, salvage: bool) -> Result<()> {
                $(self.$field.write(conn, salvage).await?;)*
                for statement in &self.statements {
                    let values = statement.values.clone();
                    guarded(conn, salvage, "", statement.sql.into(), values).await?;
                }
                Ok(())
            }
        }
    };
}

batch! {
    workers: Worker,
    patches: PatchRow,
    sourcestamps: StampRow,
    changes: Change,
    change_files: ChangeFileRow,
    change_properties: ChangePropertyRow,
    buildsets: Buildset,
    buildset_properties: BuildsetPropertyRow,
    buildset_stamps: BuildsetStampRow,
    requests: BuildRequest,
    request_properties: RequestPropertyRow,
    request_limits: RequestLimitRow,
    builds: Build,
    build_properties: BuildPropertyRow,
    build_data: BuildDataRow,
    steps: Step,
    logs: Log,
    chunks: crate::logs::ChunkRow,
    outbox: OutboxRow,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a statement of its own.
    pub(crate) fn then(&mut self, sql: &'static str, values: Vec<Value>) {
        self.statements.push(Statement { sql, values, quiet: false });
    }

    /// The same for a table that the API does not show.
    pub(crate) fn then_quietly(&mut self, sql: &'static str, values: Vec<Value>) {
        self.statements.push(Statement { sql, values, quiet: true });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: i64, priority: i64, complete: bool) -> BuildRequest {
        let row = serde_json::json!({
            "buildrequestid": id, "buildsetid": id, "builderid": 1, "priority": priority, "claimed": complete,
            "claimed_at": null, "claimed_by_masterid": null, "complete": complete, "complete_at": null,
            "results": -1, "submitted_at": 0, "waited_for": false, "properties": {},
        });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn rows_that_change_alike_are_found_and_new_ones_are_none_of_them() {
        let mut set: Set<BuildRequest> = Set::default();
        (1..=20).for_each(|id| set.change(request(id, id % 2, true)));
        set.put(request(21, 0, false));
        // One of this transaction stays a new one, and the newest state counts.
        set.change(request(21, 0, true));
        set.change(request(2, 7, true));
        let (alike, rest) = set.sorted();
        let ids = |rows: &[&BuildRequest]| rows.iter().map(|r| r.buildrequestid).collect::<Vec<_>>();
        let mut groups: Vec<_> = alike.iter().map(|rows| ids(rows)).collect();
        groups.sort();
        assert_eq!(groups, [(1..20).step_by(2).collect::<Vec<_>>(), (4..=20).step_by(2).collect()]);
        let mut rest = ids(&rest);
        rest.sort_unstable();
        assert_eq!(rest, [2, 21]);
    }

    #[test]
    fn a_change_names_values_first_and_then_keys() {
        assert_eq!(
            <Buildset as Record>::UPSERT.compose_change(2, Marks::Numbered),
            "UPDATE buildsets SET complete = $1, complete_at = $2, results = $3 WHERE id IN ($4, $5)"
        );
        assert_eq!(
            <Buildset as Record>::UPSERT.compose_change(1, Marks::Bare),
            "UPDATE buildsets SET complete = ?, complete_at = ?, results = ? WHERE id IN (?)"
        );
    }
}
