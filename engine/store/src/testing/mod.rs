//! What tests of this crate and of those above share.

mod mem_store;
#[cfg(test)]
pub(crate) mod strategies;

pub use mem_store::MemStore;
