//! What one commit changes, before it is anybody's business.
//!
//! | to | look at |
//! |---|---|
//! | read and change private copies of pages | [`work`] |
//! | take pages into use and give them back | [`allocate`] |
//!
//! A [`Group`] is made under the commit latch, changed by the functions of [`crate::tree`] and others, and then either put
//! into the log and the frames as a whole ([`crate::kernel`]), or dropped, and nothing happened.

pub mod allocate;
pub mod work;

use std::collections::HashMap;

pub use allocate::Allocator;
pub use work::{Changed, WorkSet};

use crate::ids::{PageId, TablespaceId, Ts};
use crate::planted::planted;
use crate::pool::Pool;

/// A change of a tree's shape, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEvent {
    /// Keys of `page` went to the new page `to`.
    Split {
        owner: u64,
        page: PageId,
        to: PageId,
        level: u8,
        cells_before: u32,
        cells_after: u32,
        separator: Vec<u8>,
    },
    /// The keys of `from` went to `page`, and `from` was given back.
    Merge {
        owner: u64,
        page: PageId,
        from: PageId,
        level: u8,
        cells_before: u32,
        cells_after: u32,
    },
}

/// One commit in the making.
pub struct Group<'k> {
    pub work: WorkSet<'k>,
    /// Version of all that it writes.
    pub ts: Ts,
    /// Oldest snapshot that anybody may read at: what is not visible there or later may go.
    pub horizon: Ts,
    /// Where to look for free pages.
    pub hints: HashMap<TablespaceId, u32>,
    pub allocator: &'k dyn Allocator,
    pub events: Vec<TreeEvent>,
}

impl<'k> Group<'k> {
    pub fn new(
        pool: &'k Pool,
        allocator: &'k dyn Allocator,
        images_before: crate::ids::Lsn,
        ts: Ts,
        horizon: Ts,
        hints: HashMap<TablespaceId, u32>,
    ) -> Group<'k> {
        Group {
            work: WorkSet::new(pool, images_before),
            ts,
            horizon: match planted!("pruned-too-far") {
                true => Ts(horizon.0 + 1),
                false => horizon,
            },
            hints,
            allocator,
            events: Vec::new(),
        }
    }
}
