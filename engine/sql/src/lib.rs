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
pub mod parse;
mod planner;
mod point;
mod provider;
pub mod refuse;
mod rewrite;
pub mod rows;
mod rules;
mod scan;
mod select;
mod session;
mod union;

pub use columns::Column;
pub use engine::{
    ExecContext, MEMORY_BYTES_DEFAULT, ROWS_DEFAULT, ROWS_MAX, SqlConfig, SqlEngine, StatementResult,
};
pub use error::SqlError;
pub use explain::{Explanation, PlanNode};
