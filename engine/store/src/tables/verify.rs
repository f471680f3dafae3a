//! Comparing an index with its table, entry by entry.

use std::ops::ControlFlow;

use crate::codec::RowDecoder;
use crate::seam::KeyRange;
use crate::tables::entries::Keyed;
use crate::tables::{Result, TableError, TxnReader};
use crate::types::{IndexDef, RowKey, TableDef};

/// How an index and its table agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verification {
    pub rows: u64,
    pub entries: u64,
    /// Rows that should have an entry and have none.
    pub missing: u64,
    /// Entries of rows that are not there, or have other values.
    pub extra: u64,
    /// Rows with the values of another row that has the entry, where no two may have the same.
    pub duplicates: u64,
}

impl Verification {
    pub fn is_sound(&self) -> bool {
        (self.missing, self.extra, self.duplicates) == (0, 0, 0)
    }
}

impl TxnReader {
    /// Reads every row and every entry; `watch` is asked before each, and `Break` ends it with `BuildStopped`.
    pub fn verify_index(
        &self,
        table: &TableDef,
        index: &IndexDef,
        mut watch: impl FnMut() -> ControlFlow<()>,
    ) -> Result<Verification> {
        let keyed = Keyed::from(index);
        let decoder = RowDecoder::new(&table.columns, keyed.columns);
        let mut found = Verification::default();
        let mut go_on = || match watch() {
            ControlFlow::Continue(()) => Ok(ControlFlow::Continue(())),
            ControlFlow::Break(()) => Err(TableError::BuildStopped {
                name: index.name.clone(),
            }),
        };
        let all = KeyRange::default();
        self.scan_entries(table.space, &all, usize::MAX, |key, bytes| {
            found.rows += 1;
            let key = RowKey(key);
            let values = decoder.decode(bytes)?;
            let Some(entry) = keyed.entry_of(table, &values, &key)? else {
                return go_on();
            };
            match self.value(keyed.space, &entry.key)? {
                Some(value) if value == entry.value => {}
                Some(other) => match self.has_entry(table, keyed, &RowKey(other), &entry.key)? {
                    true => found.duplicates += 1,
                    false => found.missing += 1,
                },
                None => found.missing += 1,
            }
            go_on()
        })?;
        self.scan_entries(keyed.space, &all, usize::MAX, |entry, value| {
            found.entries += 1;
            // Bytes that are no entry are not one of any row.
            let sound = match keyed.row_of(table, &entry, value) {
                Ok(key) => self.has_entry(table, keyed, &key, &entry)?,
                Err(_) => false,
            };
            found.extra += u64::from(!sound);
            go_on()
        })?;
        Ok(found)
    }

    /// Whether there is a row of this key, and its entry has the key `entry`.
    fn has_entry(&self, table: &TableDef, keyed: Keyed<'_>, key: &RowKey, entry: &[u8]) -> Result<bool> {
        let Some(row) = self.get(table, key)? else {
            return Ok(false);
        };
        let own = keyed.entry(table, &row, key)?;
        Ok(own.is_some_and(|own| own.key == entry))
    }
}
