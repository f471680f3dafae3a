//! The kernel from outside: against a model, under crashes, with damaged files.
#![allow(clippy::unwrap_used)]

mod crash;
mod damage;
mod driven;
mod faults;
mod format;
mod golden;
mod model;
mod progress;
mod random;
mod raw;
mod raw_crash;
mod raw_io;
mod raw_load;
mod raw_model;
mod room;
mod size;
mod unwaited;
mod versions;
