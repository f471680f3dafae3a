//! The entries that a row has beside its table: one in each unique constraint and in each index.
//!
//! Both are a space of ordered keys, and one piece of code keeps them. An entry of what is unique is the values' key
//! with the row's key as its value, and a row with a NULL has none; any other entry is the values, NULLs among them,
//! with the row's key behind, and nothing as its value.
//!
//! **While an index is built** its entries are incomplete, and whoever fills it races with those who change rows. So
//! a change that finds nothing to remove, or the entry of another row, relies on that: the commit fails when somebody
//! has filled in just that entry meanwhile. The other way round the filling commit guards the rows that it read.

use rustydb_kernel::locks::LockMode;

use crate::codec::{encode_index_values, encode_key, index_row_key};
use crate::datum::{datum_to_text, shortened};
use crate::seam::SpaceId;
use crate::tables::constraints::{KEY_BYTES_MAX, values_of, within};
use crate::tables::{Result, TableError, Txn, corrupt};
use crate::types::{ColumnType, Datum, IndexDef, IndexState, RowKey, TableDef, UniqueDef};

/// A unique constraint or an index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyed<'a> {
    pub(super) name: &'a str,
    /// Positions in `TableDef::columns`.
    pub(super) columns: &'a [usize],
    pub(super) space: SpaceId,
    pub(super) unique: bool,
    pub(super) building: bool,
}

/// Key and value of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl<'a> From<&'a UniqueDef> for Keyed<'a> {
    fn from(unique: &'a UniqueDef) -> Keyed<'a> {
        Keyed {
            name: &unique.name,
            columns: &unique.columns,
            space: unique.space,
            unique: true,
            building: false,
        }
    }
}

impl<'a> From<&'a IndexDef> for Keyed<'a> {
    fn from(index: &'a IndexDef) -> Keyed<'a> {
        Keyed {
            name: &index.name,
            columns: &index.columns,
            space: index.space,
            unique: index.unique,
            building: index.state == IndexState::Building,
        }
    }
}

impl TableDef {
    /// All that has entries for the rows.
    pub(super) fn keyed(&self) -> impl Iterator<Item = Keyed<'_>> {
        let indexes = self.indexes.iter().map(Keyed::from);
        self.unique.iter().map(Keyed::from).chain(indexes)
    }

    /// The space of the rows and those of what has entries for them.
    pub fn spaces(&self) -> impl Iterator<Item = SpaceId> {
        std::iter::once(self.space).chain(self.keyed().map(|keyed| keyed.space))
    }

    /// The index of a name as readers know it: the one that is ready, if there is one.
    pub fn index(&self, name: &str) -> Option<&IndexDef> {
        let mut named = self.indexes.iter().filter(|index| index.name == name);
        let first = named.next()?;
        match first.state {
            IndexState::Ready => Some(first),
            IndexState::Building => Some(named.next().unwrap_or(first)),
        }
    }
}

impl Keyed<'_> {
    /// The entry of a checked row; `None` when it has none.
    pub(super) fn entry(&self, table: &TableDef, row: &[Datum], key: &RowKey) -> Result<Option<Entry>> {
        self.entry_of(table, &values_of(row, self.columns), key)
    }

    /// The same, of a row with these values in the columns.
    pub(super) fn entry_of(
        &self,
        table: &TableDef,
        values: &[Datum],
        row_key: &RowKey,
    ) -> Result<Option<Entry>> {
        let encoded = if self.unique {
            encode_key(values)
        } else {
            encode_index_values(values)
        };
        let Some(mut key) = encoded else {
            return Ok(None);
        };
        let mut value = Vec::new();
        if self.unique {
            value.extend_from_slice(&row_key.0);
        } else {
            key.extend_from_slice(&row_key.0);
        }
        if key.len() > KEY_BYTES_MAX {
            let what = format!("the key of \"{}\"", self.name);
            within(table, &what, key.len(), KEY_BYTES_MAX)?;
        }
        Ok(Some(Entry { key, value }))
    }

    /// The row that an entry is of.
    pub(super) fn row_of(&self, table: &TableDef, key: &[u8], value: &[u8]) -> Result<RowKey> {
        if self.unique {
            return Ok(RowKey(value.to_vec()));
        }
        index_row_key(&self.types(table), key)
            .map(|key| RowKey(key.to_vec()))
            .ok_or_else(|| corrupt(format!("an entry of index \"{}\" does not decode", self.name)))
    }

    pub(super) fn types(&self, table: &TableDef) -> Vec<ColumnType> {
        let data_type = |&column: &usize| table.columns[column].data_type;
        self.columns.iter().map(data_type).collect()
    }

    /// That another row has the values already.
    pub(super) fn violation(&self, table: &TableDef, values: &[Datum]) -> TableError {
        violation(table, self.name, self.columns, values)
    }
}

/// `values` are those of `columns`.
pub(super) fn violation(
    table: &TableDef,
    constraint: &str,
    columns: &[usize],
    values: &[Datum],
) -> TableError {
    let shown = |(&column, value): (&usize, &Datum)| {
        let text = datum_to_text(value, table.columns[column].data_type);
        shortened(text.as_deref().unwrap_or("null"))
    };
    let shown: Vec<String> = columns.iter().zip(values).map(shown).collect();
    TableError::UniqueViolation {
        table: table.name.clone(),
        constraint: constraint.to_owned(),
        columns: columns
            .iter()
            .map(|&column| table.columns[column].name.clone())
            .collect(),
        value: format!("({})", shown.join(", ")),
    }
}

impl Txn {
    pub(super) fn add_entries(&mut self, table: &TableDef, row: &[Datum], row_key: &RowKey) -> Result<()> {
        table
            .keyed()
            .try_for_each(|keyed| self.add_entry(table, keyed, row, row_key))
    }

    pub(super) fn add_entry(
        &mut self,
        table: &TableDef,
        keyed: Keyed<'_>,
        row: &[Datum],
        row_key: &RowKey,
    ) -> Result<()> {
        let Some(entry) = keyed.entry(table, row, row_key)? else {
            return Ok(());
        };
        self.claim_entry(table, keyed, &entry)?;
        let slot = self.view.slot(keyed.space, &entry.key)?;
        if slot.value.is_some() && keyed.unique {
            return Err(keyed.violation(table, &values_of(row, keyed.columns)));
        }
        if slot.value.is_some() {
            return Err(corrupt(format!(
                "index \"{}\" of table \"{}\" has an entry for a row that the table had not",
                keyed.name, table.name
            )));
        }
        self.put(keyed.space, &entry.key, slot.base, Some(entry.value))?;
        Ok(())
    }

    /// Locks the values of a unique constraint. Entries of other indexes are those of one row, which is locked.
    fn claim_entry(&mut self, table: &TableDef, keyed: Keyed<'_>, entry: &Entry) -> Result<()> {
        match keyed.unique {
            true => self.claim(table, keyed.space, [entry.key.as_slice()], LockMode::X),
            false => Ok(()),
        }
    }

    pub(super) fn remove_entry(
        &mut self,
        table: &TableDef,
        keyed: Keyed<'_>,
        entry: Option<Entry>,
    ) -> Result<()> {
        let Some(entry) = entry else {
            return Ok(());
        };
        self.claim_entry(table, keyed, &entry)?;
        let slot = self.view.slot(keyed.space, &entry.key)?;
        let is_own = slot.value.as_ref() == Some(&entry.value);
        if is_own {
            self.put(keyed.space, &entry.key, slot.base, None)?;
            return Ok(());
        }
        if keyed.building {
            // As it is, and so it must be at the commit.
            self.guard_space(keyed.space);
            self.put(keyed.space, &entry.key, slot.base, slot.value)?;
            return Ok(());
        }
        Err(corrupt(format!(
            "\"{}\" of table \"{}\" misses a row that the table has",
            keyed.name, table.name
        )))
    }
}
