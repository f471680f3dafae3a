//! Typed tables on a durable store.
//!
//! | to | look at |
//! |---|---|
//! | open tables, begin a transaction, read and write rows, change definitions | [`tables`] |
//! | keep transactions open between a client's calls | [`transactions`] |
//! | commit in two phases | `transactions::branches`, docs/format/prepared.md |
//! | turn values into JSON or text and back | [`datum`] |
//! | name column types | [`column_type`] |
//! | know the bytes of keys and rows | [`codec`], docs/format/rows.md |
//! | read what commits changed | [`change_log`] |
//! | follow it as commits become durable | [`feed`] |
//! | know how a transaction locks and waits | [`locking`] |
//! | know what a serializable transaction relies on | [`reads`] |
//! | bound how much of that is kept | [`retention`] |
//! | keep bytes another way | [`seam`] |
//! | keep them in the kernel, as the server does | [`kernel_store`] |
//! | keep them in redb, as the tests' oracle does | [`redb_store`] |
//!
//! Layers, each knowing only those below it: `transactions` - `tables` - `change_log`, `codec`, `datum` -
//! `seam` - a store. A call blocks its thread until it is done; only waiting for a leased transaction is
//! async. There is no SQL here: definitions carry defaults and view queries as text that the layer above
//! understands, and it evaluates them.

pub mod change_log;
pub mod codec;
pub mod column_type;
pub mod datum;
pub mod error;
pub mod feed;
pub mod kernel_store;
mod limits;
pub mod locking;
pub mod reads;
#[cfg(any(test, feature = "test-support"))]
pub mod redb_store;
pub mod retention;
pub mod seam;
pub mod tables;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
pub mod transactions;
pub mod types;
