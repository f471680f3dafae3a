//! How far a job is, told by the job and read by whoever asks.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// So much of so much is done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    pub(crate) done: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<u64>,
    /// What is being done at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

type Source = Box<dyn Fn() -> Count + Send>;

/// Asked for the count when somebody wants to know: a job that nobody looks at counts for nothing.
pub(crate) struct Meter(Mutex<Source>);

impl Meter {
    pub(super) fn new(first: Count) -> Meter {
        Meter(Mutex::new(Box::new(move || first.clone())))
    }

    /// Reads the count from here from now on.
    pub(crate) fn follow(&self, source: impl Fn() -> Count + Send + 'static) {
        *self.0.lock() = Box::new(source);
    }

    pub(super) fn read(&self) -> Count {
        self.0.lock()()
    }
}
