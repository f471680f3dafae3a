//! B+trees of versioned keys.
//!
//! Keys are byte strings. Each has versions, newest first, and a version is the [`Ts`](crate::ids::Ts) of the commit that
//! wrote it; a removal is a version too, a tombstone. Nothing is changed in place: a commit adds versions, and versions
//! that no snapshot can see any more are *pruned* when a page has no room, and by [`maintain`].
//!
//! | to | look at |
//! |---|---|
//! | find the page for a key | [`search`] |
//! | read the version that a snapshot sees, and ranges both ways | [`read`] |
//! | add versions, prune, split | [`write`] |
//! | merge thin pages, free a dropped tree | [`maintain`] |
//! | fill a new tree from sorted keys | [`bulk`] |
//! | check a tree against its own rules | [`verify`] |
//!
//! # Readers and the writer
//!
//! One thread at a time changes trees, on private copies ([`crate::group`]), and then puts the copies into the
//! frames one by one. Readers take no latch: a page is read as it stands and the read repeated when the frame changed
//! meanwhile. What they rely on besides is written in the pages. Each page says to which tree, level and range of
//! keys it belongs; a reader that was sent to a page which is not, or no longer, for its key begins again at the root.
//!
//! Say a page P of keys 1..9 is split, 5..9 go to the new page Q, and a reader looks for 7. Q is put into its frame first, then
//! the parent and P in any order. The reader that saw the old parent comes to P: while P is old it still holds 7;
//! once it is new its upper fence is 5, and the reader begins again. The reader that saw the new parent comes to
//! Q. In a merge the page that takes the other's keys is put first; the one that is given up stays as it is until its
//! number is used again, and then it says so.
//!
//! Between two such steps all snapshots see the same: what the group adds has a version that is newer than any snapshot
//! until the group is durable.

pub mod bulk;
pub mod maintain;
pub mod read;
pub mod search;
pub mod verify;
pub mod write;

use crate::ids::PageId;

/// Levels that no tree exceeds: even with three children a page it would hold 3^20 leaves.
pub const LEVELS_MAX: u8 = 20;

/// Where a tree's root is, which stays the same while the tree lives, and whom its pages belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tree {
    pub root: PageId,
    pub owner: u64,
}
