#[cfg(not(shuttle))]
mod crash;
#[cfg(not(shuttle))]
mod damage;
#[cfg(not(shuttle))]
mod failures;
#[cfg(not(shuttle))]
mod format;
#[cfg(not(shuttle))]
mod gate;
#[cfg(not(shuttle))]
mod housekeeping;
#[cfg(not(shuttle))]
mod model;
#[cfg(shuttle)]
mod schedules;
// The tests of schedules use little of it.
#[cfg_attr(shuttle, allow(dead_code))]
mod support;
#[cfg(not(shuttle))]
mod threads;
#[cfg(not(shuttle))]
mod verify;
