//! Pages, buffer pool, log, B+trees and recovery.
//!
//! | to | look at |
//! |---|---|
//! | use it: spaces of versioned keys, commits, snapshots, a change log, tablespaces of clients | [`kernel`] |
//! | know how keys lie in pages | [`tree`], [`page`] |
//! | know what one commit changes, and how that is kept apart until it is whole | [`group`] |
//! | lock tables, rows and names for transactions | [`locks`] |
//! | know what is in memory | [`pool`] |
//! | know what is on disk | [`wal`], [`space`]; bytes: docs/format/kernel.md, docs/format/log.md |
//!
//! # Tests and soaks
//!
//! Each test prints its seed, and `RUSTYDB_SEED` sets it.
//!
//! | command | what |
//! |---|---|
//! | `cargo test -p rustydb-kernel` | all, with few seeds |
//! | `RUSTYDB_CRASH_SEEDS=1000 cargo test -p rustydb-kernel --test it crash` | so many loads of each kind, each cut at every operation |
//! | `RUSTYDB_SOAK=500 cargo test -p rustydb-kernel --test it -- faults damage` | every request failed and every page damaged; so many of what is drawn at random |
//! | `RUSTYDB_SOAK=5000 cargo test -p rustydb-kernel --lib locks` | so many runs of random work on locks |
//! | `engine/kernel/tests/planted.sh` | the tests of the tests: each defect of `src/planted.rs` must be found |
//! | `RUSTFLAGS="--cfg shuttle" cargo test -p rustydb-kernel --target-dir target/shuttle shuttle` | schedules of threads |

pub mod error;
pub mod group;
pub mod ids;
pub mod kernel;
mod listener;
pub mod locks;
pub mod page;
mod planted;
pub mod pool;
pub mod space;
pub mod sync;
pub mod tree;
pub mod wal;
