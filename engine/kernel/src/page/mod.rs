//! Pages: 8192 bytes that say themselves what and where they are.
//!
//! | to | look at |
//! |---|---|
//! | know the header, seal and verify a page | [`header`] |
//! | read bytes that may be nonsense | [`access`] |
//! | keep cells in slots | [`slotted`] |
//! | search and change pages of a tree | [`node`] |
//! | know which pages are in use | [`bitmap`] |
//! | keep values longer than a cell | [`overflow`] |
//! | judge a page that a client gave | [`raw`] |
//! | log a change and make it again | [`redo`] |

pub mod access;
pub mod bitmap;
pub mod buf;
pub mod header;
pub mod node;
pub mod overflow;
pub mod raw;
pub mod redo;
pub mod slotted;

pub use access::{PageRead, Torn};
pub use buf::{PAGE_BYTES, PageBuf};

#[cfg(test)]
mod tests;
