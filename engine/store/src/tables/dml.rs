//! Changing rows. Constraints hold at the end of each call, and a call that fails changes nothing.

use std::collections::HashSet;

use rustydb_kernel::locks::LockMode;

use crate::change_log::{self, RowOp};
use crate::codec::{decode_row, rowid_key};
use crate::datum::row_id_text;
use crate::tables::constraints::{encode_checked, primary_key_violation, row_key};
use crate::tables::{Result, TableError, Txn};
use crate::types::{Row, RowKey, TableDef};

/// A row on its way into the write set.
struct Incoming {
    key: RowKey,
    row: Row,
    bytes: Vec<u8>,
}

/// A row that is replaced or removed.
struct Outgoing {
    key: RowKey,
    row: Row,
    bytes: Vec<u8>,
}

impl Txn {
    /// Adds a row; the answer is its key.
    pub fn insert(&mut self, table: &TableDef, row: Row) -> Result<RowKey> {
        let mut keys = self.insert_many(table, vec![row])?;
        Ok(keys.pop().expect("one key for each row"))
    }

    /// Adds all rows or none; the answer is their keys, in order.
    pub fn insert_many(&mut self, table: &TableDef, rows: Vec<Row>) -> Result<Vec<RowKey>> {
        self.require_current(table)?;
        let mut next_rowid = match table.primary_key.is_empty() && !rows.is_empty() {
            true => self.tables.inner.rowids.take(rows.len() as u64)?,
            false => 0,
        };
        let mut incoming = Vec::with_capacity(rows.len());
        for row in rows {
            let bytes = encode_checked(table, &row)?;
            let key = row_key(table, &row)?.unwrap_or_else(|| {
                next_rowid += 1;
                rowid_key(next_rowid - 1)
            });
            incoming.push(Incoming { key, row, bytes });
        }
        if !table.primary_key.is_empty() {
            let keys = incoming.iter().map(|incoming| incoming.key.0.as_slice());
            self.claim(table, table.space, keys, LockMode::X)?;
        }
        self.atomically(|txn| {
            txn.count(table, incoming.len() as u64, 0, 0);
            let mut keys = Vec::with_capacity(incoming.len());
            for incoming in incoming {
                txn.log_entry(change_log::encode_row_change(
                    table,
                    RowOp::Insert,
                    &incoming.key,
                    None,
                    None,
                    Some(&incoming.bytes),
                ))?;
                txn.add_row(table, &incoming.key, &incoming.row, incoming.bytes)?;
                txn.add_entries(table, &incoming.row, &incoming.key)?;
                keys.push(incoming.key);
            }
            Ok(keys)
        })
    }

    /// Replaces the row at `key`; the answer is its key now, another one when the primary key changed.
    pub fn update(&mut self, table: &TableDef, key: &RowKey, row: Row) -> Result<RowKey> {
        let mut keys = self.update_many(table, vec![(key.clone(), row)])?;
        Ok(keys.pop().expect("one key for each row"))
    }

    /// Replaces all these rows or none; the answer is their keys now, in order. Keys are compared only once all
    /// have changed, so that `SET id = id + 1` works. A key named twice is refused.
    pub fn update_many(&mut self, table: &TableDef, rows: Vec<(RowKey, Row)>) -> Result<Vec<RowKey>> {
        self.require_current(table)?;
        let mut seen = HashSet::with_capacity(rows.len());
        for (key, _) in &rows {
            if !seen.insert(&key.0) {
                return Err(TableError::DuplicateTarget {
                    table: table.name.clone(),
                    key: shown_key(table, key),
                });
            }
        }
        let mut changes = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let bytes = encode_checked(table, &row)?;
            let new_key = row_key(table, &row)?.unwrap_or_else(|| key.clone());
            changes.push((
                key,
                Incoming {
                    key: new_key,
                    row,
                    bytes,
                },
            ));
        }
        let moved_to =
            |(key, incoming): &(RowKey, Incoming)| (*key != incoming.key).then_some(incoming.key.clone());
        let targets: Vec<RowKey> = changes.iter().filter_map(moved_to).collect();
        let keys = changes.iter().map(|(key, _)| key.0.as_slice());
        self.claim(table, table.space, keys, LockMode::X)?;
        self.lock_rows(table, &targets, LockMode::X)?;
        self.atomically(|txn| {
            txn.count(table, 0, changes.len() as u64, 0);
            let mut taken_out = Vec::with_capacity(changes.len());
            for (key, incoming) in changes {
                let old = txn
                    .existing(table, &key)?
                    .ok_or_else(|| TableError::RowNotFound {
                        table: table.name.clone(),
                        key: shown_key(table, &key),
                    })?;
                let moved = old.key != incoming.key;
                if moved {
                    txn.remove_row(table, &key)?;
                }
                // What the row leaves here and joins again below.
                let mut rejoined = Vec::new();
                for keyed in table.keyed() {
                    let from = keyed.entry(table, &old.row, &old.key)?;
                    if from != keyed.entry(table, &incoming.row, &incoming.key)? {
                        txn.remove_entry(table, keyed, from)?;
                        rejoined.push(keyed);
                    }
                }
                taken_out.push((old, incoming, rejoined));
            }
            let mut keys = Vec::with_capacity(taken_out.len());
            for (old, incoming, rejoined) in taken_out {
                let moved_to = (old.key != incoming.key).then_some(&incoming.key);
                txn.log_entry(change_log::encode_row_change(
                    table,
                    RowOp::Update,
                    &old.key,
                    moved_to,
                    Some(&old.bytes),
                    Some(&incoming.bytes),
                ))?;
                if moved_to.is_some() {
                    txn.add_row(table, &incoming.key, &incoming.row, incoming.bytes)?;
                } else {
                    let slot = txn.view.slot(table.space, &incoming.key.0)?;
                    txn.put(table.space, &incoming.key.0, slot.base, Some(incoming.bytes))?;
                }
                for keyed in rejoined {
                    txn.add_entry(table, keyed, &incoming.row, &incoming.key)?;
                }
                keys.push(incoming.key);
            }
            Ok(keys)
        })
    }

    /// Removes a row; the answer is whether there was one.
    pub fn delete(&mut self, table: &TableDef, key: &RowKey) -> Result<bool> {
        Ok(self.delete_many(table, std::slice::from_ref(key))? == 1)
    }

    /// Removes rows; the answer is how many there were. A key named twice counts once.
    pub fn delete_many(&mut self, table: &TableDef, keys: &[RowKey]) -> Result<u64> {
        self.require_current(table)?;
        self.lock_rows(table, keys, LockMode::X)?;
        self.atomically(|txn| {
            let mut deleted = 0;
            for key in keys {
                let Some(old) = txn.existing(table, key)? else {
                    continue;
                };
                txn.remove_row(table, key)?;
                for keyed in table.keyed() {
                    let from = keyed.entry(table, &old.row, key)?;
                    txn.remove_entry(table, keyed, from)?;
                }
                txn.log_entry(change_log::encode_row_change(
                    table,
                    RowOp::Delete,
                    key,
                    None,
                    Some(&old.bytes),
                    None,
                ))?;
                deleted += 1;
            }
            txn.count(table, 0, 0, deleted);
            Ok(deleted)
        })
    }

    fn existing(&self, table: &TableDef, key: &RowKey) -> Result<Option<Outgoing>> {
        let Some(bytes) = self.view.slot(table.space, &key.0)?.value else {
            return Ok(None);
        };
        let row = decode_row(&table.columns, &bytes)?;
        Ok(Some(Outgoing {
            key: key.clone(),
            row,
            bytes,
        }))
    }

    /// Puts a row at a key that must be free.
    pub(super) fn add_row(
        &mut self,
        table: &TableDef,
        key: &RowKey,
        row: &Row,
        bytes: Vec<u8>,
    ) -> Result<()> {
        if table.primary_key.is_empty() {
            // A number just taken is in no snapshot.
            self.put(table.space, &key.0, None, Some(bytes))?;
            return Ok(());
        }
        let slot = self.view.slot(table.space, &key.0)?;
        if slot.value.is_some() {
            return Err(primary_key_violation(table, row));
        }
        self.put(table.space, &key.0, slot.base, Some(bytes))?;
        Ok(())
    }

    fn remove_row(&mut self, table: &TableDef, key: &RowKey) -> Result<()> {
        let slot = self.view.slot(table.space, &key.0)?;
        self.put(table.space, &key.0, slot.base, None)?;
        Ok(())
    }
}

fn shown_key(table: &TableDef, key: &RowKey) -> String {
    row_id_text(table, key).unwrap_or_else(|error| error.value)
}
