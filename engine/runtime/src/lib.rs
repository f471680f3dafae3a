//! The seams through which the engine meets the outside world, real and simulated.

mod clock;

pub use clock::{Clock, ManualClock, SystemClock};
