//! The seams through which the engine meets the outside world, real and simulated.
//!
//! Whatever makes two runs of the same engine differ goes through here: the time ([`Clock`]), random bytes
//! ([`Rng`]), files ([`disk`], and [`files`] for the few that are no part of a store), and other machines ([`net`]).
//! A simulation puts [`ManualClock`], [`SeededRng`], `SimDisk` and `SimNet` in their place and gets the same run
//! again. The simulated disk and network are there with the feature `simulation`.
//!
//! Invariant: no other crate of the engine asks the machine for the time or for randomness. Held by the
//! `disallowed-methods` of the `clippy.toml` in each of them.

mod clock;
pub mod disk;
pub mod files;
pub mod net;
mod rng;

pub use clock::{Clock, ManualClock, SystemClock};
pub use rng::{Rng, SeededRng, SystemRng};
