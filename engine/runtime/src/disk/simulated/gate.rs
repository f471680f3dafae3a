//! Reads that a test holds back, to look at what goes on behind them.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// Holds every read below a path until the test lets it pass. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct ReadGate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    below: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: u64,
    may_pass: u64,
    is_open: bool,
}

impl ReadGate {
    pub(super) fn new(below: &str) -> ReadGate {
        ReadGate(Arc::new(Shared {
            below: below.to_owned(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Waits until a read is held back; `false` once the gate is open.
    pub fn holds(&self) -> bool {
        let mut state = self.0.state.lock();
        while state.held <= state.may_pass && !state.is_open {
            self.0.changed.wait(&mut state);
        }
        !state.is_open
    }

    /// Lets one read pass, held back already or not.
    pub fn let_one_pass(&self) {
        self.0.state.lock().may_pass += 1;
        self.0.changed.notify_all();
    }

    /// Lets all reads pass from now on.
    pub fn open(&self) {
        self.0.state.lock().is_open = true;
        self.0.changed.notify_all();
    }

    pub(super) fn pass(&self, path: &str) {
        if !super::faults::is_below(path, &self.0.below) {
            return;
        }
        let mut state = self.0.state.lock();
        state.held += 1;
        self.0.changed.notify_all();
        while state.may_pass == 0 && !state.is_open {
            self.0.changed.wait(&mut state);
        }
        state.held -= 1;
        state.may_pass = state.may_pass.saturating_sub(1);
    }
}
