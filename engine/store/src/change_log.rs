//! What a commit appends to the change log: one entry for each changed row, one for each changed definition,
//! in the order in which the statements made them. Before them stands who made the commit, where that is known,
//! and before the definitions that a statement changed its text.
//!
//! A row entry carries the row before and after in the row encoding, whose header names the version of the
//! table's definition; [`crate::tables::TxnReader::table_version`] keeps every version, of dropped tables too.
//! A row changed twice in a transaction has two entries. A statement that was undone has none. TRUNCATE, DROP
//! and a replaced table are one entry each, not one for each row that goes.
//!
//! docs/format/rows.md has the bytes. [`decode`] reads every format ever written.

use serde::{Deserialize, Serialize};

use crate::codec::{Reader, put_bytes, put_u64};
use crate::error::StoreError;
use crate::types::{DatabaseDef, ObjectId, RowKey, TableDef, ViewDef};

const LOG_FORMAT: u8 = 1;
const KIND_INSERT: u8 = 1;
const KIND_UPDATE: u8 = 2;
const KIND_DELETE: u8 = 3;
const KIND_DDL: u8 = 16;
const KIND_STATEMENT: u8 = 17;
const KIND_ORIGIN: u8 = 32;

/// One entry, decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum LogRecord {
    /// The first entry of its commit.
    Origin(CommitOrigin),
    Row(RowChange),
    /// Text of the statement that made the changes of definitions up to the next such entry.
    Statement(String),
    Ddl(DdlChange),
}

/// Who made a commit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitOrigin {
    /// Of a transaction of several calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<u64>,
    /// Name of the user.
    pub user: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOp {
    Insert,
    Update,
    Delete,
}

/// A row that was inserted, updated or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    pub op: RowOp,
    pub table_id: ObjectId,
    pub database: String,
    pub schema: String,
    pub table: String,
    /// Version of the table's definition at the time of the change.
    pub schema_version: u32,
    /// The key before an update or delete, the new key of an insert.
    pub key: RowKey,
    /// The key after an update that changed the primary key.
    pub moved_to: Option<RowKey>,
    /// The encoded row before; `None` for an insert. [`crate::codec::decode_row`] reads it.
    pub before: Option<Vec<u8>>,
    /// The encoded row after; `None` for a delete.
    pub after: Option<Vec<u8>>,
}

/// A change of definitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DdlChange {
    CreateDatabase {
        database: DatabaseDef,
    },
    /// Follows the entries of everything that went with it.
    DropDatabase {
        database: DatabaseDef,
    },
    CreateTable {
        table: TableDef,
    },
    DropTable {
        table: TableDef,
    },
    /// The rows were converted; they have no entries of their own.
    ReplaceTable {
        before: Box<TableDef>,
        after: Box<TableDef>,
    },
    /// `rows` went, as many as the transaction saw.
    TruncateTable {
        table: TableDef,
        rows: u64,
    },
    CreateView {
        view: ViewDef,
    },
    ReplaceView {
        before: ViewDef,
        after: ViewDef,
    },
    DropView {
        view: ViewDef,
    },
    /// `table` is the definition with the index, which is ready.
    CreateIndex {
        table: TableDef,
        index: String,
    },
    /// `table` is the definition without the index. Indexes that go with their table have no entries.
    DropIndex {
        table: TableDef,
        index: String,
    },
}

pub(crate) fn encode_row_change(
    table: &TableDef,
    op: RowOp,
    key: &RowKey,
    moved_to: Option<&RowKey>,
    before: Option<&[u8]>,
    after: Option<&[u8]>,
) -> Vec<u8> {
    let images = before.map_or(0, <[u8]>::len) + after.map_or(0, <[u8]>::len);
    let mut out = Vec::with_capacity(64 + images);
    out.push(LOG_FORMAT);
    out.push(match op {
        RowOp::Insert => KIND_INSERT,
        RowOp::Update => KIND_UPDATE,
        RowOp::Delete => KIND_DELETE,
    });
    put_u64(&mut out, table.id.0);
    put_bytes(&mut out, table.database.as_bytes());
    put_bytes(&mut out, table.schema.as_bytes());
    put_bytes(&mut out, table.name.as_bytes());
    put_u64(&mut out, u64::from(table.schema_version));
    put_bytes(&mut out, &key.0);
    if op == RowOp::Update {
        // No key is empty, so the empty one can say that the key stayed.
        put_bytes(&mut out, moved_to.map_or(&[], |key| key.0.as_slice()));
    }
    for image in [before, after].into_iter().flatten() {
        put_bytes(&mut out, image);
    }
    out
}

pub(crate) fn encode_ddl(change: &DdlChange) -> Vec<u8> {
    let mut out = vec![LOG_FORMAT, KIND_DDL];
    serde_json::to_writer(&mut out, change)
        .expect("definitions have text keys and writing to memory can't fail");
    out
}

pub(crate) fn encode_statement(text: &str) -> Vec<u8> {
    [&[LOG_FORMAT, KIND_STATEMENT], text.as_bytes()].concat()
}

pub(crate) fn encode_origin(origin: &CommitOrigin) -> Vec<u8> {
    let mut out = vec![LOG_FORMAT, KIND_ORIGIN];
    serde_json::to_writer(&mut out, origin)
        .expect("an origin has text keys and writing to memory can't fail");
    out
}

/// Takes an entry's payload apart.
pub fn decode(payload: &[u8]) -> Result<LogRecord, StoreError> {
    let corrupt = || StoreError::Corrupt("a change-log entry does not decode".to_owned());
    let mut reader = Reader::new(payload);
    match reader.u8() {
        Some(LOG_FORMAT) => {}
        Some(found) => {
            return Err(StoreError::FormatVersion {
                found: u32::from(found),
                supported: u32::from(LOG_FORMAT),
            });
        }
        None => return Err(corrupt()),
    }
    let op = match reader.u8().ok_or_else(corrupt)? {
        KIND_INSERT => RowOp::Insert,
        KIND_UPDATE => RowOp::Update,
        KIND_DELETE => RowOp::Delete,
        KIND_DDL => {
            let change = serde_json::from_slice(reader.rest()).map_err(|_| corrupt())?;
            return Ok(LogRecord::Ddl(change));
        }
        KIND_STATEMENT => {
            let text = std::str::from_utf8(reader.rest()).map_err(|_| corrupt())?;
            return Ok(LogRecord::Statement(text.to_owned()));
        }
        KIND_ORIGIN => {
            let origin = serde_json::from_slice(reader.rest()).map_err(|_| corrupt())?;
            return Ok(LogRecord::Origin(origin));
        }
        _ => return Err(corrupt()),
    };
    let change = decode_row_change(&mut reader, op).filter(|_| reader.is_empty());
    change.map(LogRecord::Row).ok_or_else(corrupt)
}

fn decode_row_change(reader: &mut Reader<'_>, op: RowOp) -> Option<RowChange> {
    let table_id = ObjectId(reader.u64()?);
    let database = reader.text()?.to_owned();
    let schema = reader.text()?.to_owned();
    let table = reader.text()?.to_owned();
    let schema_version = u32::try_from(reader.u64()?).ok()?;
    let key = RowKey(reader.bytes()?.to_vec());
    let moved_to = match op {
        RowOp::Update => Some(reader.bytes()?)
            .filter(|key| !key.is_empty())
            .map(|key| RowKey(key.to_vec())),
        RowOp::Insert | RowOp::Delete => None,
    };
    let before = match op {
        RowOp::Update | RowOp::Delete => Some(reader.bytes()?.to_vec()),
        RowOp::Insert => None,
    };
    let after = match op {
        RowOp::Insert | RowOp::Update => Some(reader.bytes()?.to_vec()),
        RowOp::Delete => None,
    };
    Some(RowChange {
        op,
        table_id,
        database,
        schema,
        table,
        schema_version,
        key,
        moved_to,
        before,
        after,
    })
}
