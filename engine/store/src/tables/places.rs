//! What locks and reads are of, in names: the tables and constraints behind the numbers that the store knows.

use std::collections::HashMap;
use std::sync::Arc;

use rustydb_kernel::locks::Resource;
use serde::{Deserialize, Serialize};

use crate::datum::row_id_text;
use crate::reads::SpaceReads;
use crate::seam::SpaceId;
use crate::tables::{Result, Txn, TxnReader};
use crate::types::{RowKey, TableDef};

/// Rows that are named of a read set, for each table.
const READ_ROWS_SHOWN_MAX: usize = 1_000;

/// A locked resource in names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Its name, and the database's, unless it is gone.
    Table {
        table: Option<TableName>,
    },
    Row {
        table: Option<TableName>,
        of: RowPlace,
    },
    Named {
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableName {
    pub database: String,
    pub name: String,
}

/// What of a table is locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowPlace {
    Row {
        id: String,
    },
    /// Values of a unique constraint or index.
    Values {
        constraint: String,
    },
    Unknown,
}

/// What a transaction has read of a table, or of one of its indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReads {
    pub table: TableName,
    pub index: Option<String>,
    pub whole: bool,
    pub rows: Vec<String>,
    pub ranges: u64,
}

/// A row that a transaction has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRow {
    pub table: TableName,
    pub id: String,
    /// Whether the row was there when the transaction began.
    pub before: bool,
    pub after: bool,
}

/// The tables of all databases, by what they are called below.
pub struct Places {
    tables: HashMap<u64, Arc<TableDef>>,
    spaces: HashMap<SpaceId, (Arc<TableDef>, Option<String>)>,
}

impl Places {
    pub fn of(reader: &TxnReader) -> Result<Places> {
        let reader = reader.unnoted();
        let mut places = Places {
            tables: HashMap::new(),
            spaces: HashMap::new(),
        };
        for database in reader.databases()? {
            for table in reader.tables(&database.name)? {
                places.spaces.insert(table.space, (Arc::clone(&table), None));
                for keyed in table.keyed() {
                    let named = (Arc::clone(&table), Some(keyed.name.to_owned()));
                    places.spaces.insert(keyed.space, named);
                }
                places.tables.insert(table.id.0, table);
            }
        }
        Ok(places)
    }

    pub fn place(&self, resource: &Resource) -> Place {
        match resource {
            Resource::Named(name) => Place::Named {
                name: name.to_string(),
            },
            Resource::Table(table) => Place::Table {
                table: self.tables.get(table).map(|table| name_of(table)),
            },
            Resource::Row { table, space, key } => {
                let of = match self.spaces.get(&SpaceId(*space)) {
                    None => RowPlace::Unknown,
                    Some((table, None)) => RowPlace::Row {
                        id: shown(table, &RowKey(key.to_vec())),
                    },
                    Some((_, Some(constraint))) => RowPlace::Values {
                        constraint: constraint.clone(),
                    },
                };
                Place::Row {
                    table: self.tables.get(table).map(|table| name_of(table)),
                    of,
                }
            }
        }
    }

    /// `None` of a space that belongs to no table: the catalog's, or one that is gone.
    fn reads(&self, space: SpaceId, reads: &SpaceReads) -> Option<TableReads> {
        let (table, index) = self.spaces.get(&space)?;
        let rows = match index {
            Some(_) => Vec::new(),
            None => {
                let keys = reads.keys.iter().take(READ_ROWS_SHOWN_MAX);
                keys.map(|key| shown(table, &RowKey(key.clone()))).collect()
            }
        };
        Some(TableReads {
            table: name_of(table),
            index: index.clone(),
            whole: reads.whole,
            rows,
            ranges: reads.ranges.len() as u64,
        })
    }
}

impl Txn {
    /// What it has read, by tables; `None` when that is not noted.
    pub fn reads(&self) -> Result<Option<Vec<TableReads>>> {
        let Some(reads) = self.read_set() else {
            return Ok(None);
        };
        let places = Places::of(&self.reader())?;
        let mut found: Vec<TableReads> = reads
            .spaces()
            .filter_map(|(space, reads)| places.reads(space, reads))
            .collect();
        found.sort_by(|one, other| {
            let place = |reads: &TableReads| {
                (
                    reads.table.database.clone(),
                    reads.table.name.clone(),
                    reads.index.clone(),
                )
            };
            place(one).cmp(&place(other))
        });
        Ok(Some(found))
    }

    /// At most `rows_max` of the rows that it has changed, in the order of tables and keys, behind the first `skipped`.
    pub fn written_rows(&self, skipped: usize, rows_max: usize) -> Result<Vec<WrittenRow>> {
        let reader = self.reader();
        let places = Places::of(&reader)?;
        let mut tables: Vec<&Arc<TableDef>> = places.tables.values().collect();
        tables.sort_by_key(|table| (&table.database, &table.schema, &table.name));
        let mut rows = Vec::new();
        let mut ahead = skipped;
        for table in tables {
            let Some(writes) = reader.writes.space(table.space) else {
                continue;
            };
            for (key, pending) in writes.iter() {
                let (before, after) = (pending.base.is_some(), pending.value.is_some());
                if !before && !after {
                    continue;
                }
                if ahead > 0 {
                    ahead -= 1;
                    continue;
                }
                if rows.len() == rows_max {
                    return Ok(rows);
                }
                rows.push(WrittenRow {
                    table: name_of(table),
                    id: shown(table, &RowKey(key.clone())),
                    before,
                    after,
                });
            }
        }
        Ok(rows)
    }

    /// Whether it has changed rows, or the definition, of the table.
    pub fn has_changed(&self, table: u64) -> bool {
        let id = crate::types::ObjectId(table);
        self.state.written.contains_key(&id) || self.state.changes.contains_key(&id) || self.state.defines
    }
}

fn name_of(table: &TableDef) -> TableName {
    TableName {
        database: table.database.clone(),
        name: table.name.clone(),
    }
}

fn shown(table: &TableDef, key: &RowKey) -> String {
    row_id_text(table, key).unwrap_or_else(|error| error.value)
}
