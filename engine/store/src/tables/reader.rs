//! Reading: one snapshot with one write set laid over it.

use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::codec::{RowDecoder, decode_row, encode_key, prefix_range};
use crate::reads::ReadSet;
use crate::seam::{CommitSeq, KeyRange, SpaceId, StoreSnapshot, Versioned};
use crate::tables::catalog::{self, CatalogEntry, DefinitionCache};
use crate::tables::spill::Value;
use crate::tables::usage::IndexUsage;
use crate::tables::write_set::{Base, Pending, WriteSet};
use crate::tables::{Result, TableError};
use crate::types::{DatabaseDef, Datum, ObjectId, Row, RowKey, SchemaDef, TableDef, UniqueDef, ViewDef};

/// Entries fetched from the snapshot at once while merging: few at first, more when they turn out to be small.
const PAGE_ENTRIES_FIRST: usize = 128;
const PAGE_ENTRIES_MAX: usize = 1024;
/// What a page holds at most, as far as the page before it tells how large entries are.
const PAGE_BYTES: usize = 4 << 20;

/// A table or a view; both share one name space.
#[derive(Debug, Clone, PartialEq)]
pub enum Relation {
    Table(Arc<TableDef>),
    View(Arc<ViewDef>),
}

/// What a bounded scan found.
#[derive(Debug, Clone, PartialEq)]
pub struct ScannedRows {
    pub rows: Vec<(RowKey, Row)>,
    /// Whether the range is known to hold no others.
    pub exhausted: bool,
}

/// Sizes of a table as its transaction sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableStats {
    pub row_count: u64,
    /// Key and value bytes of the rows, without the store's own overhead.
    pub row_bytes: u64,
    /// Key and value bytes of all its indexes.
    pub index_bytes: u64,
    /// When rows or definition last changed, microseconds since the Unix epoch; own writes count at commit.
    pub modified_at_us: i64,
    /// When a commit last changed rows one by one, microseconds since the Unix epoch; `None` when none has.
    pub rows_modified_at_us: Option<i64>,
}

/// What a transaction sees, frozen: cheap to clone and to send, unaffected by later writes.
#[derive(Clone)]
pub struct TxnReader {
    pub(super) snapshot: Arc<dyn StoreSnapshot>,
    pub(super) writes: Arc<WriteSet>,
    pub(super) definitions: Arc<DefinitionCache>,
    pub(super) usage: Arc<IndexUsage>,
    /// Where a serializable transaction notes what it reads of the snapshot.
    pub(super) reads: Option<Arc<Mutex<ReadSet>>>,
}

/// A key as a transaction sees it: what the snapshot holds of it, and its value now.
pub(super) struct Slot {
    pub(super) base: Option<Base>,
    pub(super) value: Option<Vec<u8>>,
}

impl TxnReader {
    pub fn snapshot_seq(&self) -> CommitSeq {
        self.snapshot.seq()
    }

    pub fn databases(&self) -> Result<Vec<DatabaseDef>> {
        let mut databases = Vec::new();
        self.each_entry(SpaceId::CATALOG, catalog::databases_prefix(), |_, bytes| {
            databases.push(CatalogEntry::database(bytes)?);
            Ok(())
        })?;
        Ok(databases)
    }

    pub fn database(&self, name: &str) -> Result<Option<DatabaseDef>> {
        let bytes = self.value(SpaceId::CATALOG, &catalog::database_key(name))?;
        bytes.map(|bytes| CatalogEntry::database(&bytes)).transpose()
    }

    /// Fails with `DatabaseNotFound` when there is no such database.
    pub fn schemas(&self, database: &str) -> Result<Vec<SchemaDef>> {
        self.require_database(database)?;
        let mut schemas = Vec::new();
        self.each_entry(SpaceId::CATALOG, catalog::schemas_prefix(database), |_, bytes| {
            schemas.push(CatalogEntry::schema(bytes)?);
            Ok(())
        })?;
        Ok(schemas)
    }

    /// The table or view of a name; `None` too when the database or schema does not exist.
    pub fn relation(&self, database: &str, schema: &str, name: &str) -> Result<Option<Relation>> {
        let key = catalog::relation_key(database, schema, name);
        if let Some(pending) = self.writes.get(SpaceId::CATALOG, &key) {
            return pending.read()?.as_deref().map(CatalogEntry::relation).transpose();
        }
        match self.stored(SpaceId::CATALOG, &key)? {
            None => Ok(None),
            Some(found) => self
                .definitions
                .get_or_decode(&key, found.version, &found.value)
                .map(Some),
        }
    }

    pub fn table(&self, database: &str, schema: &str, name: &str) -> Result<Option<Arc<TableDef>>> {
        Ok(match self.relation(database, schema, name)? {
            Some(Relation::Table(table)) => Some(table),
            _ => None,
        })
    }

    /// All tables of a database, in order of schema and name; fails with `DatabaseNotFound`.
    pub fn tables(&self, database: &str) -> Result<Vec<Arc<TableDef>>> {
        let relations = self.relations(database)?.into_iter();
        Ok(relations
            .filter_map(|relation| match relation {
                Relation::Table(table) => Some(table),
                Relation::View(_) => None,
            })
            .collect())
    }

    pub fn view(&self, database: &str, schema: &str, name: &str) -> Result<Option<Arc<ViewDef>>> {
        Ok(match self.relation(database, schema, name)? {
            Some(Relation::View(view)) => Some(view),
            _ => None,
        })
    }

    /// All views of a database, in order of schema and name; fails with `DatabaseNotFound`.
    pub fn views(&self, database: &str) -> Result<Vec<Arc<ViewDef>>> {
        let relations = self.relations(database)?.into_iter();
        Ok(relations
            .filter_map(|relation| match relation {
                Relation::View(view) => Some(view),
                Relation::Table(_) => None,
            })
            .collect())
    }

    /// All tables and views of a database, in order of schema and name; fails with `DatabaseNotFound`.
    pub fn relations(&self, database: &str) -> Result<Vec<Relation>> {
        self.require_database(database)?;
        let mut relations = Vec::new();
        self.each_entry(
            SpaceId::CATALOG,
            catalog::relations_prefix(database),
            |_, bytes| {
                relations.push(CatalogEntry::relation(bytes)?);
                Ok(())
            },
        )?;
        Ok(relations)
    }

    /// The definition that rows and log entries of `schema_version` were written by, dropped tables included.
    pub fn table_version(&self, table: ObjectId, schema_version: u32) -> Result<Option<TableDef>> {
        match self.value(SpaceId::CATALOG, &catalog::version_key(table, schema_version))? {
            None => Ok(None),
            Some(bytes) => match CatalogEntry::decode(&bytes)? {
                CatalogEntry::Table(table) => Ok(Some(table)),
                _ => Err(super::corrupt(
                    "the catalog key of a table version holds something else",
                )),
            },
        }
    }

    pub fn get(&self, table: &TableDef, key: &RowKey) -> Result<Option<Row>> {
        match self.writes.get(table.space, &key.0) {
            Some(pending) => pending
                .read()?
                .map(|bytes| decode_row(&table.columns, &bytes))
                .transpose(),
            None => {
                let found = self.stored(table.space, &key.0)?;
                found
                    .map(|found| decode_row(&table.columns, &found.value))
                    .transpose()
            }
        }
    }

    /// At most `rows_max` rows in key order; fewer means that the range is exhausted.
    pub fn scan(&self, table: &TableDef, range: &KeyRange, rows_max: usize) -> Result<Vec<(RowKey, Row)>> {
        let all: Vec<usize> = (0..table.columns.len()).collect();
        Ok(self.scan_columns(table, range, rows_max, usize::MAX, &all)?.rows)
    }

    /// Like `scan`, each row holding only the columns at `columns`, in that order. It stops as well behind the row
    /// with which the stored rows reach `bytes_max`.
    pub fn scan_columns(
        &self,
        table: &TableDef,
        range: &KeyRange,
        rows_max: usize,
        bytes_max: usize,
        columns: &[usize],
    ) -> Result<ScannedRows> {
        let decoder = RowDecoder::new(&table.columns, columns);
        let (mut rows, mut read_bytes) = (Vec::new(), 0);
        let exhausted = self.scan_entries(table.space, range, rows_max, |key, bytes| {
            read_bytes += bytes.len();
            rows.push((RowKey(key), decoder.decode(bytes)?));
            Ok(if read_bytes < bytes_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(ScannedRows { rows, exhausted })
    }

    /// The row with these values in the columns of a unique constraint; never one when a value is NULL. Values
    /// must be of the columns' types.
    pub fn find_unique(
        &self,
        table: &TableDef,
        unique: &UniqueDef,
        values: &[Datum],
    ) -> Result<Option<RowKey>> {
        debug_assert!(table.unique.contains(unique), "a constraint of this table");
        match encode_key(values) {
            None => Ok(None),
            Some(key) => Ok(self.value(unique.space, &key)?.map(RowKey)),
        }
    }

    /// Exact for what this transaction sees, without reading rows.
    pub fn row_count(&self, table: &TableDef) -> Result<u64> {
        Ok(self.space_size(table.space)?.0)
    }

    /// [`TxnReader::row_count`] for planners: no read that a serializable transaction relies on.
    pub fn row_count_estimated(&self, table: &TableDef) -> Result<u64> {
        self.unnoted().row_count(table)
    }

    /// Exact for what this transaction sees, without reading rows.
    pub fn table_stats(&self, table: &TableDef) -> Result<TableStats> {
        let (row_count, row_bytes) = self.space_size(table.space)?;
        let mut index_bytes = 0;
        for keyed in table.keyed() {
            index_bytes += self.space_size(keyed.space)?.1;
        }
        let space = self.snapshot.space_stats(table.space)?;
        Ok(TableStats {
            row_count,
            row_bytes,
            index_bytes,
            modified_at_us: space.modified_at_us.max(table.altered_at_us),
            rows_modified_at_us: (space.modified > CommitSeq(0)).then_some(space.modified_at_us),
        })
    }

    pub(super) fn require_database(&self, name: &str) -> Result<DatabaseDef> {
        self.database(name)?.ok_or_else(|| TableError::DatabaseNotFound {
            name: name.to_owned(),
        })
    }

    /// Views of a database that read the relation `name` of it.
    pub(super) fn dependents(&self, database: &str, schema: &str, name: &str) -> Result<Vec<String>> {
        let views = self.views(database)?.into_iter();
        Ok(views
            .filter(|view| view.reads(schema, name))
            .map(|view| view.name.clone())
            .collect())
    }

    pub(super) fn value(&self, space: SpaceId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.writes.get(space, key) {
            Some(pending) => pending.read(),
            None => Ok(self.stored(space, key)?.map(|found| found.value)),
        }
    }

    pub(super) fn slot(&self, space: SpaceId, key: &[u8]) -> Result<Slot> {
        if let Some(pending) = self.writes.get(space, key) {
            return Ok(Slot {
                base: pending.base,
                value: pending.read()?,
            });
        }
        Ok(match self.stored(space, key)? {
            None => Slot {
                base: None,
                value: None,
            },
            Some(found) => Slot {
                base: Some(Base {
                    version: found.version,
                    value_bytes: found.value.len(),
                }),
                value: Some(found.value),
            },
        })
    }

    /// What the snapshot has of a key.
    pub(super) fn stored(&self, space: SpaceId, key: &[u8]) -> Result<Option<Versioned>> {
        if let Some(reads) = &self.reads {
            reads.lock().key(space, key);
        }
        Ok(self.snapshot.get(space, key)?)
    }

    /// The same reader, whose reads nobody notes: for looks at the data that no answer depends on.
    pub(super) fn unnoted(&self) -> TxnReader {
        TxnReader {
            reads: None,
            ..self.clone()
        }
    }

    /// Entries and bytes of a space, own writes counted.
    pub(super) fn space_size(&self, space: SpaceId) -> Result<(u64, u64)> {
        if let Some(reads) = &self.reads {
            reads.lock().space(space);
        }
        let stats = self.snapshot.space_stats(space)?;
        let (entries, bytes) = self
            .writes
            .space(space)
            .map_or((0, 0), |own| (own.entries_delta, own.bytes_delta));
        let sum = |base: u64, delta: i64| {
            base.checked_add_signed(delta)
                .ok_or_else(|| super::corrupt("the size of a space is less than what it lost"))
        };
        Ok((sum(stats.entries, entries)?, sum(stats.bytes, bytes)?))
    }

    /// Every entry whose key starts with `prefix`.
    pub(super) fn each_entry(
        &self,
        space: SpaceId,
        prefix: Vec<u8>,
        mut each: impl FnMut(Vec<u8>, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let each = |key, bytes: &[u8]| each(key, bytes).map(ControlFlow::Continue);
        self.scan_entries(space, &prefix_range(prefix), usize::MAX, each)?;
        Ok(())
    }

    /// The first `entries_max` entries of a range, or fewer when `each` wants no more: the snapshot's, pages of them
    /// merged with the own writes. Whether the range has no others.
    pub(super) fn scan_entries(
        &self,
        space: SpaceId,
        range: &KeyRange,
        entries_max: usize,
        mut each: impl FnMut(Vec<u8>, &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<bool> {
        let mut own = self
            .writes
            .space(space)
            .map(|writes| writes.range(range))
            .into_iter()
            .flatten()
            .peekable();
        let whole = range;
        let mut range = range.clone();
        let mut left = entries_max;
        let mut exhausted = false;
        let mut page_entries = PAGE_ENTRIES_FIRST;
        while left > 0 && !exhausted {
            let page_max = left.min(page_entries);
            let page = self.snapshot.scan(space, &range, page_max)?;
            exhausted = page.len() < page_max;
            if let Some(reads) = &self.reads {
                // Up to the last key that came, and that there were no others.
                let mut seen = whole.clone();
                if let (false, Some((last, _))) = (exhausted, page.last()) {
                    seen.until = Some([last.as_slice(), &[0]].concat());
                }
                reads.lock().range(space, &seen);
            }
            let page_bytes: usize = page.iter().map(|(_, found)| found.value.len()).sum();
            let fitting = PAGE_BYTES * page.len().max(1) / page_bytes.max(1);
            page_entries = (page_entries * 4).min(fitting).clamp(1, PAGE_ENTRIES_MAX);
            if let Some((last, _)) = page.last() {
                range.after = Some(last.clone());
            }
            for (key, found) in page {
                while let Some((own_key, pending)) = own.next_if(|(own_key, _)| **own_key < key) {
                    if emit(own_key, pending, &mut left, &mut each)?.is_break() {
                        return Ok(false);
                    }
                }
                let flow = match own.next_if(|(own_key, _)| **own_key == key) {
                    Some((own_key, pending)) => emit(own_key, pending, &mut left, &mut each)?,
                    None => {
                        left -= 1;
                        stop_at_zero(left, each(key, &found.value)?)
                    }
                };
                if flow.is_break() {
                    return Ok(false);
                }
            }
        }
        for (own_key, pending) in own {
            if left == 0 || emit(own_key, pending, &mut left, &mut each)?.is_break() {
                return Ok(false);
            }
        }
        Ok(exhausted)
    }
}

fn emit(
    key: &[u8],
    pending: &Pending,
    left: &mut usize,
    each: &mut impl FnMut(Vec<u8>, &[u8]) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let Some(value) = &pending.value else {
        return Ok(ControlFlow::Continue(()));
    };
    *left -= 1;
    let flow = match value {
        Value::Memory(bytes) => each(key.to_vec(), bytes)?,
        Value::Spilled(_) => each(key.to_vec(), &value.read()?)?,
    };
    Ok(stop_at_zero(*left, flow))
}

fn stop_at_zero(left: usize, flow: ControlFlow<()>) -> ControlFlow<()> {
    if left == 0 { ControlFlow::Break(()) } else { flow }
}
