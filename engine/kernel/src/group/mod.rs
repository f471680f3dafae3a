//! What one commit changes, before it is anybody's business.
//!
//! | to | look at |
//! |---|---|
//! | read and change private copies of pages | [`work`] |
//! | take pages into use and give them back | [`allocate`] |
//! | know what is told of it | [`events`] |
//!
//! A [`Group`] is made under the commit latch, changed by the functions of [`crate::tree`] and others, and then either put
//! into the log and the frames as a whole ([`crate::kernel`]), or dropped, and nothing happened.

pub mod allocate;
pub mod events;
pub mod work;

use std::collections::HashMap;

pub use allocate::{Allocator, Capacity};
pub use events::{KernelEvent, TreeEvent};
pub use work::{Changed, WorkSet};

use crate::ids::{TablespaceId, Ts};
use crate::kernel::Readers;
use crate::pool::Pool;

/// Versions that were removed because nobody can read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Marks of removed keys count as well.
    pub versions: u64,
    /// Of their keys and values.
    pub bytes: u64,
}

impl Pruned {
    pub fn add(&mut self, other: Pruned) {
        self.versions += other.versions;
        self.bytes += other.bytes;
    }
}

/// One commit in the making.
pub struct Group<'k> {
    pub work: WorkSet<'k>,
    /// Version of all that it writes.
    pub ts: Ts,
    /// What may be read of the past: what none of these sees may go.
    pub readers: Readers,
    /// What went.
    pub pruned: Pruned,
    /// A key was written that has older versions besides its last one, which somebody may read.
    pub left_versions: bool,
    /// Where to look for free pages.
    pub hints: HashMap<TablespaceId, u32>,
    pub allocator: &'k dyn Allocator,
    /// What it does, in order; `None` while nobody listens.
    pub events: Option<Vec<KernelEvent>>,
}

impl<'k> Group<'k> {
    pub fn new(
        pool: &'k Pool,
        allocator: &'k dyn Allocator,
        images_before: crate::ids::Lsn,
        ts: Ts,
        readers: Readers,
        hints: HashMap<TablespaceId, u32>,
    ) -> Group<'k> {
        Group {
            work: WorkSet::new(pool, images_before),
            ts,
            readers,
            pruned: Pruned::default(),
            left_versions: false,
            hints,
            allocator,
            events: None,
        }
    }

    /// Adds what `event` makes to what is told once the group is durable, if somebody listens.
    pub fn tell(&mut self, event: impl FnOnce() -> KernelEvent) {
        if let Some(events) = &mut self.events {
            events.push(event());
        }
    }
}
