//! The seams through which the engine meets the outside world, real and simulated.
//!
//! Whatever makes two runs of the same engine differ goes through here: the time ([`Clock`]), random bytes
//! ([`Rng`]), and changes of file names ([`files`]). A simulation puts [`ManualClock`] and [`SeededRng`] in
//! their place and gets the same run again.
//!
//! Invariant: no other crate of the engine asks the machine for the time or for randomness. Held by the
//! `disallowed-methods` of the `clippy.toml` in each of them.

mod clock;
pub mod files;
mod rng;

pub use clock::{Clock, ManualClock, SystemClock};
pub use rng::{Rng, SeededRng, SystemRng};
