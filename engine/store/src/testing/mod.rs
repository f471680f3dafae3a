//! What tests of this crate and of those above share.

mod kernel;
mod mem_store;
#[cfg(test)]
pub(crate) mod strategies;

pub use kernel::{kernel_store, kernel_store_on, kernel_store_with};
pub use mem_store::MemStore;
