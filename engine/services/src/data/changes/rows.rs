//! Changes of rows as views want them: of the tables asked for, matching the filter, decoded by the definition that they
//! were written by.

use std::collections::HashMap;
use std::sync::Arc;

use rustydb_contract::{Id64, ServiceResult};
use rustydb_contract_database::{ChangeType, Row};
use rustydb_sql::RowPredicate;
use rustydb_sql::rows::RowFilter;
use rustydb_store::change_log::{DdlChange, RowChange, RowOp};
use rustydb_store::codec::decode_row;
use rustydb_store::feed::{Change, Commit};
use rustydb_store::tables::{PUBLIC_SCHEMA, TableError};
use rustydb_store::types::{ObjectId, Row as Values, RowKey, TableDef};

use super::super::DataEngine;
use super::super::errors::{internal, statement_error, table_error};
use super::super::values::{row_id, shown};

/// Which tables a view watches.
pub(super) enum Tables {
    All,
    Named(Vec<String>),
}

impl Tables {
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Tables::All => true,
            Tables::Named(names) => names.iter().any(|named| named == name),
        }
    }
}

/// Finds the changes that a view is about.
pub(super) struct RowWatch {
    engine: DataEngine,
    pub(super) database: String,
    tables: Tables,
    filter: Option<RowFilter>,
    versions: HashMap<(ObjectId, u32), Version>,
}

/// A version of a table's definition.
#[derive(Clone)]
struct Version {
    table: Arc<TableDef>,
    predicate: Option<Arc<RowPredicate>>,
}

/// One changed row.
pub(super) struct Changed {
    pub(super) table: Arc<TableDef>,
    pub(super) op: RowOp,
    /// Before the change, or of an inserted row.
    pub(super) key: RowKey,
    pub(super) before: Option<(RowKey, Values)>,
    pub(super) after: Option<(RowKey, Values)>,
    /// Whether the row before the change is there and matches.
    pub(super) matched_before: bool,
    pub(super) matched_after: bool,
}

impl RowWatch {
    pub(super) fn new(
        engine: &DataEngine,
        database: String,
        tables: Tables,
        filter: Option<RowFilter>,
    ) -> RowWatch {
        RowWatch {
            engine: engine.clone(),
            database,
            tables,
            filter,
            versions: HashMap::new(),
        }
    }

    /// Fails as the filter does on the table as it is now.
    pub(super) fn check(&self, table: &Arc<TableDef>) -> ServiceResult<()> {
        self.predicate(table).map(drop)
    }

    fn predicate(&self, table: &Arc<TableDef>) -> ServiceResult<Option<Arc<RowPredicate>>> {
        let Some(filter) = &self.filter else {
            return Ok(None);
        };
        let predicate = self.engine.inner.sql.predicate(table, filter);
        predicate
            .map(|predicate| Some(Arc::new(predicate)))
            .map_err(statement_error)
    }

    fn version(&mut self, change: &RowChange) -> ServiceResult<Version> {
        let key = (change.table_id, change.schema_version);
        if let Some(version) = self.versions.get(&key) {
            return Ok(version.clone());
        }
        let txn = self.engine.inner.tables.begin_read_only().map_err(table_error)?;
        let table = txn
            .reader()
            .table_version(change.table_id, change.schema_version)
            .map_err(table_error)?
            .ok_or_else(|| internal(&Missing(change.table.clone(), change.schema_version)))?;
        let table = Arc::new(table);
        let predicate = self.predicate(&table)?;
        let version = Version { table, predicate };
        self.versions.insert(key, version.clone());
        Ok(version)
    }

    /// The change, if it is of a watched table and matches before or after.
    pub(super) fn changed(&mut self, change: &RowChange) -> ServiceResult<Option<Changed>> {
        if change.database != self.database
            || change.schema != PUBLIC_SCHEMA
            || !self.tables.has(&change.table)
        {
            return Ok(None);
        }
        let Version { table, predicate } = self.version(change)?;
        let decode = |key: &RowKey, bytes: &Option<Vec<u8>>| {
            let row = bytes.as_ref().map(|bytes| decode_row(&table.columns, bytes));
            let row = row.transpose().map_err(table_error)?;
            ServiceResult::Ok(row.map(|row| (key.clone(), row)))
        };
        let before = decode(&change.key, &change.before)?;
        let after = decode(change.moved_to.as_ref().unwrap_or(&change.key), &change.after)?;
        let (mut matched_before, mut matched_after) = (before.is_some(), after.is_some());
        if let Some(predicate) = predicate {
            let rows: Vec<(RowKey, Values)> = before.iter().chain(&after).cloned().collect();
            let mut matches = predicate.matches(&rows).map_err(statement_error)?.into_iter();
            matched_before = matched_before && matches.next() == Some(true);
            matched_after = matched_after && matches.next() == Some(true);
        }
        if !matched_before && !matched_after {
            return Ok(None);
        }
        Ok(Some(Changed {
            table,
            op: change.op,
            key: change.key.clone(),
            before,
            after,
            matched_before,
            matched_after,
        }))
    }

    /// The watched table that a change of definitions empties.
    pub(super) fn truncated<'c>(&self, change: &'c Change) -> Option<&'c TableDef> {
        match change {
            Change::Definition {
                change: DdlChange::TruncateTable { table, .. },
                ..
            } if self.is_watched(table) => Some(table),
            _ => None,
        }
    }

    /// Whether a change of definitions empties a watched table or gives it other columns.
    pub(super) fn is_redefined(&self, change: &Change) -> bool {
        match change {
            Change::Definition {
                change: DdlChange::ReplaceTable { after, .. },
                ..
            } => self.is_watched(after),
            _ => self.truncated(change).is_some(),
        }
    }

    /// Fails when a change of definitions takes a watched table away, by dropping or renaming it.
    pub(super) fn still_there(&self, change: &Change) -> ServiceResult<()> {
        let Change::Definition { change, .. } = change else {
            return Ok(());
        };
        let gone = match change {
            DdlChange::DropTable { table } => table,
            DdlChange::ReplaceTable { before, after } if before.name != after.name => before,
            _ => return Ok(()),
        };
        if self.is_watched(gone) {
            return Err(table_error(TableError::TableNotFound {
                database: gone.database.clone(),
                name: gone.name.clone(),
            }));
        }
        Ok(())
    }

    pub(super) fn has_table(&self, name: &str) -> bool {
        self.tables.has(name)
    }

    fn is_watched(&self, table: &TableDef) -> bool {
        table.database == self.database && table.schema == PUBLIC_SCHEMA && self.tables.has(&table.name)
    }
}

impl Changed {
    pub(super) fn change_type(&self) -> ChangeType {
        match self.op {
            RowOp::Insert => ChangeType::Insert,
            RowOp::Update => ChangeType::Update,
            RowOp::Delete => ChangeType::Delete,
        }
    }

    /// The row's id before the change, or of an inserted row.
    pub(super) fn id(&self) -> ServiceResult<String> {
        row_id(&self.table, &self.key)
    }

    pub(super) fn row(&self) -> ServiceResult<Option<Row>> {
        self.shown(&self.after)
    }

    pub(super) fn old_row(&self) -> ServiceResult<Option<Row>> {
        self.shown(&self.before)
    }

    fn shown(&self, image: &Option<(RowKey, Values)>) -> ServiceResult<Option<Row>> {
        let row = image.as_ref().map(|(key, row)| shown(&self.table, key, row));
        row.transpose()
    }

    /// Columns of an update whose values differ.
    pub(super) fn changed_columns(&self) -> Vec<String> {
        let (Some((_, before)), Some((_, after))) = (&self.before, &self.after) else {
            return Vec::new();
        };
        let columns = self.table.columns.iter().zip(before.iter().zip(after));
        let differing = columns.filter(|(_, (before, after))| before != after);
        differing.map(|(column, _)| column.name.clone()).collect()
    }
}

/// The transaction of several calls that made a commit.
pub(super) fn transaction_id(commit: &Commit) -> Option<Id64> {
    commit.origin.as_ref()?.transaction_id.map(Id64)
}

/// A version of a table that its log entries name and the catalog has not.
#[derive(Debug, thiserror::Error)]
#[error("version {1} of the definition of table \"{0}\" is missing")]
struct Missing(String, u32);
