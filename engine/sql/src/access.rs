//! Which way the rows that a filter may match are read: in the order of their keys, or by an index.
//!
//! What a range of keys holds is counted before it is chosen, as far as that is worth it; nothing is guessed of how
//! values are spread. A row that an index leads to is looked up by itself, which costs as much as [`LOOKUP_ROWS`] rows
//! that are read in order. A range that is too long to be counted is read by its index only where it is one value of
//! the leading columns.

use rustydb_store::tables::{Result, TxnReader};
use rustydb_store::types::{IndexDef, IndexState, TableDef};

use datafusion::logical_expr::Expr;

use crate::keyrange::{KeyBounds, behind_key};

/// Rows read in order in the time of one that is looked up.
const LOOKUP_ROWS: usize = 4;
/// Entries of a range that are counted at most.
const COUNTED_MAX: usize = 4_096;

/// Where the rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    /// The table, or the part of it that its key bounds.
    Table(KeyBounds),
    Index {
        index: Box<IndexDef>,
        bounds: KeyBounds,
        /// How many entries the range has, if it was counted to its end.
        entries: Option<usize>,
    },
}

impl Access {
    pub fn choose(table: &TableDef, reader: &TxnReader, filters: &[Expr]) -> Result<Access> {
        let by_key = KeyBounds::of(table, filters);
        let is_point = !table.primary_key.is_empty() && by_key.equal == table.primary_key.len();
        let mut candidates = Vec::new();
        for index in &table.indexes {
            let bounds = KeyBounds::of_index(table, index, filters);
            if bounds.narrowed && index.state == IndexState::Ready {
                candidates.push((index, bounds));
            }
        }
        if is_point || candidates.is_empty() {
            return Ok(Access::Table(by_key));
        }
        let rows = usize::try_from(reader.row_count_estimated(table)?).unwrap_or(usize::MAX);
        let worth_counting = (rows / LOOKUP_ROWS).clamp(1, COUNTED_MAX);
        let paged = filters.iter().any(|filter| behind_key(filter).is_some());
        let mut best = Access::Table(by_key.clone());
        let mut least = match by_key.narrowed {
            true => {
                let most = worth_counting * LOOKUP_ROWS;
                reader.count_rows(table, &by_key.range, most)?
            }
            false => rows,
        };
        for (index, bounds) in candidates {
            let count = reader.count_entries(index, &bounds.range, worth_counting + 1)?;
            let counted = count <= worth_counting;
            let cost = count * LOOKUP_ROWS;
            // Of a large table one value is likely to be a small part; a page of it is found sooner in key order.
            let likely = rows > COUNTED_MAX * LOOKUP_ROWS && bounds.equal > 0 && !paged && !by_key.narrowed;
            if cost < least && (counted || likely) {
                least = cost;
                best = Access::Index {
                    index: Box::new(index.clone()),
                    bounds,
                    entries: counted.then_some(count),
                };
            }
        }
        Ok(best)
    }
}
