//! Requests that a disk is told to fail or to get wrong.

use std::io;

/// Which requests count for a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOn {
    Read,
    /// Plain and vectored writes, each one request.
    Write,
    /// Syncs of files and of folders.
    Sync,
    /// Changes of length and reservations.
    Resize,
    /// Files and folders made, renamed or removed.
    Names,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Fail(io::ErrorKind),
    FlipBit,
    Misdirect,
}

/// A request that goes wrong: the nth of its kind from the moment when [`SimDisk::inject`](super::SimDisk::inject)
/// was called, counted from 0.
///
/// ```
/// # use rustydb_runtime::disk::simulated::Fault;
/// // From the third sync of a file of the log on, every one fails.
/// Fault::fail_sync(2).forever().below("kernel/wal");
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    on: FaultOn,
    effect: Effect,
    nth: u64,
    forever: bool,
    below: String,
    seen: u64,
}

/// What is to happen to a request.
#[derive(Debug)]
pub(super) enum Outcome {
    Well,
    Fail(io::Error),
    FlipBit,
    Misdirect,
}

impl Fault {
    fn new(on: FaultOn, effect: Effect, nth: u64) -> Fault {
        Fault {
            on,
            effect,
            nth,
            forever: false,
            below: String::new(),
            seen: 0,
        }
    }

    /// The nth request of a kind fails with an error of the kind `error`. Of a write that fails a random beginning is
    /// written. Of the writes before a sync that fails a random choice is durable, and the rest never will be,
    /// though it reads well until the power fails.
    pub fn fail(on: FaultOn, nth: u64, error: io::ErrorKind) -> Fault {
        Fault::new(on, Effect::Fail(error), nth)
    }

    /// The nth read fails.
    pub fn fail_read(nth: u64) -> Fault {
        Fault::fail(FaultOn::Read, nth, io::ErrorKind::Other)
    }

    /// The nth write fails, see [`Fault::fail`].
    pub fn fail_write(nth: u64) -> Fault {
        Fault::fail(FaultOn::Write, nth, io::ErrorKind::Other)
    }

    /// The nth sync fails, see [`Fault::fail`].
    pub fn fail_sync(nth: u64) -> Fault {
        Fault::fail(FaultOn::Sync, nth, io::ErrorKind::Other)
    }

    /// One bit of what the nth read returns is wrong; the next read of the place returns it right.
    pub fn flip_read(nth: u64) -> Fault {
        Fault::new(FaultOn::Read, Effect::FlipBit, nth)
    }

    /// The nth write succeeds but lands elsewhere: at another multiple of 4096 in this or another file.
    pub fn misdirect_write(nth: u64) -> Fault {
        Fault::new(FaultOn::Write, Effect::Misdirect, nth)
    }

    /// All requests after it too.
    pub fn forever(mut self) -> Fault {
        self.forever = true;
        self
    }

    /// Only requests for the file or folder `path`, and for those below it, count. A file counts by the path by which
    /// it was opened, a rename by the old name.
    pub fn below(mut self, path: &str) -> Fault {
        self.below = path.to_owned();
        self
    }

    fn concerns(&self, on: FaultOn, path: &str) -> bool {
        self.on == on && is_below(path, &self.below)
    }

    fn is_over(&self) -> bool {
        !self.forever && self.seen > self.nth
    }
}

/// Whether `path` is `folder` or lies below it; the empty path is the root.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    let within = |rest: &str| rest.is_empty() || rest.starts_with('/');
    folder.is_empty() || path.strip_prefix(folder).is_some_and(within)
}

/// Tells all of `faults` of a request; the first that strikes decides.
pub(super) fn strike(faults: &mut Vec<Fault>, on: FaultOn, path: &str) -> Outcome {
    let mut outcome = Outcome::Well;
    for fault in faults.iter_mut().filter(|fault| fault.concerns(on, path)) {
        fault.seen += 1;
        // What is over was dropped at once.
        let strikes = fault.seen > fault.nth;
        if strikes && matches!(outcome, Outcome::Well) {
            outcome = match fault.effect {
                Effect::Fail(kind) => {
                    let what = format!("the disk was told to fail this {on:?} of {path:?}");
                    Outcome::Fail(io::Error::new(kind, what))
                }
                Effect::FlipBit => Outcome::FlipBit,
                Effect::Misdirect => Outcome::Misdirect,
            };
        }
    }
    faults.retain(|fault| !fault.is_over());
    outcome
}
