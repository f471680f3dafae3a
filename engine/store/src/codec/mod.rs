//! Bytes of keys and rows.

use crate::seam::KeyRange;
use crate::types::{ColumnType, Datum, Row, RowKey, TableDef};

/// The key of the row with these primary key values. They must be of the key columns' types and not NULL.
pub fn primary_key(table: &TableDef, values: &[Datum]) -> RowKey {
    unimplemented!()
}

/// The number of a row in a table without a primary key; `None` when the key is of another form.
pub fn rowid_of(key: &RowKey) -> Option<u64> {
    unimplemented!()
}

/// The key of the row with this number.
pub fn rowid_key(rowid: u64) -> RowKey {
    unimplemented!()
}

/// Order-preserving bytes of key values; those of a prefix of the key columns are a prefix of the key.
pub fn encode_key(values: &[Datum]) -> Vec<u8> {
    unimplemented!()
}

/// All keys that start with `prefix`.
pub fn prefix_range(prefix: Vec<u8>) -> KeyRange {
    unimplemented!()
}

/// The values of a primary key.
pub fn decode_key(types: &[ColumnType], bytes: &[u8]) -> Option<Row> {
    unimplemented!()
}
