//! SQL over the table layer: parsing, refusing, planning, running.
//!
//! DataFusion plans and runs queries. Everything that changes something is ours: it is planned as a query that
//! yields row keys and values, and applied to the caller's transaction in one call.
//!
//! | to | look at |
//! |---|---|
//! | turn text into statements with places | [`parse`] |
//! | know what a statement would do, for permissions | [`classify`] |
//! | run one | [`SqlEngine::execute`] |
//! | read, count, page and aggregate rows without SQL text | [`rows`] |
//! | ask a filter about rows in memory | [`RowPredicate`] |
//! | take a query's rows as they are made | [`SqlEngine::query_pages`] |
//! | see how far a statement is | [`Progress`] |
//! | see a plan | [`SqlEngine::explain`] |
//! | combine queries | [`SqlEngine::union`] |
//! | know what can go wrong | [`error`] |
//!
//! A statement's way: `parse` - `refuse` (every clause that nothing acts on) - `rewrite` (parameters become
//! literals, columns get names) - `planner` (names resolved against the transaction) - DataFusion with our two
//! analyzer rules (`rules`) - `scan` (pages of the transaction's reader) - `cells` (rows as JSON), or for changes
//! `dml`, `insert` and `assign`, then [`Txn`](rustydb_store::tables::Txn).
//!
//! What never happens here:
//!
//! - No hook of DataFusion changes rows: `delete_from`, `update` and `insert_into` are not implemented.
//! - No value reaches a statement as text: parameters and filters are put into trees.
//! - No clause is ignored: what is not acted on is refused with its place.
//! - No file, URL or session setting is reachable from SQL; a statement writes nothing beside the store.
//!
//! Calls are async and need a Tokio runtime. Reading the text, planning and reading single rows happen on the caller's
//! thread, as does the change of rows, while the thread's other tasks move elsewhere where many change; optimising and
//! running plans happen on threads of the engine (`workers`), but for those of views that read a replaced one. Dropping a
//! call cancels it, joins that make no rows included (`yielding`), and then nothing of it is kept.

mod access;
mod arrays;
mod assign;
mod cells;
pub mod classify;
mod columns;
mod ddl;
mod dml;
mod engine;
pub mod error;
mod explain;
mod failure;
mod functions;
mod insert;
mod keyrange;
mod locking;
pub mod parse;
mod planner;
mod point;
mod predicate;
mod progress;
mod provider;
pub mod refuse;
mod rewrite;
pub mod rows;
mod rules;
mod scan;
mod select;
mod session;
mod stack;
mod sums;
mod union;
mod workers;
mod yielding;

pub use columns::Column;
pub use engine::{
    ExecContext, MEMORY_BYTES_DEFAULT, ROWS_DEFAULT, ROWS_MAX, SqlConfig, SqlEngine, StatementResult,
};
pub use error::SqlError;
pub use explain::{Explanation, PlanNode};
pub use predicate::RowPredicate;
pub use progress::{Progress, ProgressNow};
pub use rewrite::PARAMETERS_MAX;
pub use select::ResultPage;
