//! Locks, atomics and threads of the kernel: parking_lot's and std's, or shuttle's under `--cfg shuttle`.
//!
//! Latches, the page table and the log writer take these and no others, so that shuttle can run them under
//! many schedules:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p rustydb-kernel --target-dir target/shuttle shuttle
//! ```
//!
//! There is no time under shuttle: a wait with a time-out never times out. Its atomics are sequentially consistent
//! whatever ordering they are given: a missing fence shows on hardware only.

pub use std::sync::{Arc, Weak};

#[cfg(not(shuttle))]
mod real {
    pub use crossbeam::utils::Backoff;
    pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub use std::sync::atomic;
    pub use std::thread;

    /// A place where shuttle may switch threads between operations that it doesn't see. Nothing otherwise.
    #[inline(always)]
    pub fn interleave() {}
}

#[cfg(not(shuttle))]
pub use real::*;

#[cfg(shuttle)]
mod explored;

#[cfg(shuttle)]
pub use explored::*;
