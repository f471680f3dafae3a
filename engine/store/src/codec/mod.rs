//! Bytes of keys and rows, documented byte for byte in docs/format/rows.md.
//!
//! A key's bytes compare as its values do, so that a range of values is a range of keys. A row's bytes only
//! have to be short and quick to read in part: a scan decodes the columns it was asked for.

mod key;
mod row;
mod varint;

use crate::seam::KeyRange;
use crate::types::{Datum, RowKey, TableDef};

pub use key::{decode_key, encode_index_values, encode_key, index_row_key, index_values_range};
pub(crate) use row::RowDecoder;
pub use row::{decode_row, encode_row};
pub(crate) use varint::Reader;
pub(crate) use varint::{put_bytes, put_u64};

/// The key of the row with these primary key values; `None` when they are not values of the key's types, or
/// one is NULL: no row can have such a key.
pub fn primary_key(table: &TableDef, values: &[Datum]) -> Option<RowKey> {
    let typed = values.len() == table.primary_key.len()
        && !values.is_empty()
        && values
            .iter()
            .zip(&table.primary_key)
            .all(|(value, &column)| table.columns[column].data_type.is_type_of(value));
    if typed {
        encode_key(values).map(RowKey)
    } else {
        None
    }
}

/// The number of a row in a table without a primary key; `None` when the key is of another form.
pub fn rowid_of(key: &RowKey) -> Option<u64> {
    key.0.as_slice().try_into().ok().map(u64::from_be_bytes)
}

/// The key of the row with this number.
pub fn rowid_key(rowid: u64) -> RowKey {
    RowKey(rowid.to_be_bytes().to_vec())
}

/// All keys that start with `prefix`.
pub fn prefix_range(prefix: Vec<u8>) -> KeyRange {
    let until = prefix_end(&prefix);
    KeyRange {
        from: Some(prefix),
        after: None,
        until,
    }
}

/// The first key behind all that start with `prefix`; `None` when there is no such key.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}

#[cfg(test)]
mod tests;
