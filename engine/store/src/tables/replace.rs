//! Giving a table another definition while it keeps its rows.
//!
//! Columns of the same name keep their values where the type is the same or holds every value of the old one;
//! others are refused. Columns that are gone take their values with them. New columns read their constant
//! default, else NULL. Indexes stay, but for those of a column that is gone. All constraints are checked on the converted rows. The rows move to fresh spaces as one
//! commit, which conflicts with every change to the table's rows since this transaction began.

use std::sync::Arc;

use rustydb_kernel::locks::LockMode;

use crate::change_log::DdlChange;
use crate::codec::rowid_key;
use crate::datum::{Widening, datum_from_json};
use crate::seam::KeyRange;
use crate::tables::commit::CommitCheck;
use crate::tables::constraints::{encode_checked, row_key};
use crate::tables::{Result, TableError, TableSpec, Txn, corrupt, definition};
use crate::types::{Datum, IndexDef, IndexState, Row, TableDef};

/// Rows converted at once.
const PAGE_ROWS: usize = 1024;

/// Where the value of a column comes from.
enum Source {
    Old { column: usize, widening: Widening },
    Fixed(Datum),
}

impl Txn {
    /// Gives an existing table the definition of `spec` and converts its rows.
    ///
    /// Refused with `DependentObjects` when a view reads the table and a column goes or changes its type.
    pub fn replace_table(&mut self, spec: TableSpec) -> Result<Arc<TableDef>> {
        self.require_writable()?;
        let before = self.require_table(&spec.database, &spec.schema, &spec.name)?;
        self.lock_table(&before, LockMode::X)?;
        let checked = definition::check(&spec)?;
        if narrows(&before, &checked.columns) {
            self.require_no_dependents(&spec.database, &spec.schema, &spec.name)?;
        }
        let mut after = self.place(
            &spec,
            checked,
            before.id,
            before.schema_version + 1,
            before.created_at_us,
        )?;
        after.indexes = kept_indexes(&before, &after)?;
        self.give_spaces(&mut after)?;
        let sources = self.sources(&before, &after)?;
        self.atomically(|txn| {
            txn.move_rows(&before, &after, &sources)?;
            txn.drop_spaces(&before);
            txn.forget_index_names(&before, &after)?;
            txn.put_table(&after)?;
            txn.check_at_commit(CommitCheck::Unmodified {
                table: before.name.clone(),
                space: before.space,
                since: txn.snapshot_seq(),
            });
            if narrows(&before, &after.columns) {
                txn.check_dependents_at_commit(&before.database, &before.schema, &before.name);
            }
            txn.log_ddl(DdlChange::ReplaceTable {
                before: Box::new(TableDef::clone(&before)),
                after: Box::new(after.clone()),
            })?;
            Ok(Arc::new(after))
        })
    }

    fn sources(&self, before: &TableDef, after: &TableDef) -> Result<Vec<Source>> {
        let invalid = |reason: String| TableError::InvalidDefinition {
            name: after.name.clone(),
            reason,
        };
        let has_rows = self.row_count(before)? > 0;
        let mut sources = Vec::with_capacity(after.columns.len());
        for column in &after.columns {
            let Some(old) = before.column_index(&column.name) else {
                let fill = match &column.fill {
                    None => Datum::Null,
                    Some(fill) => datum_from_json(fill, column.data_type)
                        .map_err(|_| corrupt("the fill of a column is not of its type"))?,
                };
                if fill.is_null() && !column.nullable && has_rows {
                    return Err(invalid(format!(
                        "the new column \"{}\" must not be null, and the rows that the table has get no value for \
                         it; give it a constant default or let it be null",
                        column.name
                    )));
                }
                sources.push(Source::Fixed(fill));
                continue;
            };
            let from = before.columns[old].data_type;
            let widening = Widening::between(from, column.data_type).ok_or_else(|| {
                invalid(format!(
                    "column \"{}\" is {from} and can't become {} without losing values; add a column instead",
                    column.name, column.data_type
                ))
            })?;
            sources.push(Source::Old {
                column: old,
                widening,
            });
        }
        Ok(sources)
    }

    fn move_rows(&mut self, before: &TableDef, after: &TableDef, sources: &[Source]) -> Result<()> {
        let keeps_rowids = before.has_rowid() && after.has_rowid();
        let mut range = KeyRange::default();
        loop {
            let page = self.scan(before, &range, PAGE_ROWS)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            range.after = Some(last.0.clone());
            let mut next_rowid = match after.has_rowid() && !keeps_rowids {
                true => self.tables.inner.rowids.take(page.len() as u64)?,
                false => 0,
            };
            for (old_key, old_row) in page {
                let row = converted(&old_row, sources);
                let bytes = encode_checked(after, &row)?;
                let key = match row_key(after, &row)? {
                    Some(key) => key,
                    None if keeps_rowids => old_key,
                    None => {
                        next_rowid += 1;
                        rowid_key(next_rowid - 1)
                    }
                };
                self.add_row(after, &key, &row, bytes)?;
                self.add_entries(after, &row, &key)?;
            }
        }
    }
}

/// The indexes that are ready and whose columns are all still there, on the new columns.
fn kept_indexes(before: &TableDef, after: &TableDef) -> Result<Vec<IndexDef>> {
    let mut kept = Vec::new();
    for index in &before.indexes {
        let columns: Option<Vec<usize>> = index
            .columns
            .iter()
            .map(|&column| after.column_index(&before.columns[column].name))
            .collect();
        let Some(columns) = columns.filter(|_| index.state == IndexState::Ready) else {
            continue;
        };
        definition::check_index_columns(after, &index.name, &columns)?;
        definition::check_index_name(after, &index.name)?;
        kept.push(IndexDef {
            columns,
            ..index.clone()
        });
    }
    Ok(kept)
}

fn converted(old: &Row, sources: &[Source]) -> Row {
    sources
        .iter()
        .map(|source| match source {
            Source::Old { column, widening } => widening.apply(old[*column].clone()),
            Source::Fixed(value) => value.clone(),
        })
        .collect()
}

/// Whether a column goes or changes its type.
fn narrows(before: &TableDef, columns: &[crate::types::ColumnDef]) -> bool {
    before.columns.iter().any(|old| {
        !columns
            .iter()
            .any(|column| column.name == old.name && column.data_type == old.data_type)
    })
}
