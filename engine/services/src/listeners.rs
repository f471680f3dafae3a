//! Who listens to a part of the kernel that costs less when nobody does.

use std::sync::Arc;

use parking_lot::Mutex;

/// Makes the kernel tell from the first that listens to the last.
pub(crate) struct Listeners {
    count: Mutex<usize>,
    /// Begins or ends it. Called under the lock: an end never overtakes a beginning.
    set: Box<dyn Fn(bool) + Send + Sync>,
}

impl Listeners {
    pub fn new(set: impl Fn(bool) + Send + Sync + 'static) -> Arc<Listeners> {
        Arc::new(Listeners {
            count: Mutex::new(0),
            set: Box::new(set),
        })
    }

    /// One more; the kernel tells already when this returns.
    pub fn join(self: &Arc<Self>) -> Listening {
        let mut count = self.count.lock();
        if *count == 0 {
            (self.set)(true);
        }
        *count += 1;
        Listening(Arc::clone(self))
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        *self.count.lock()
    }
}

/// Counted among the listeners while it lives.
pub(crate) struct Listening(Arc<Listeners>);

impl Drop for Listening {
    fn drop(&mut self) {
        let mut count = self.0.count.lock();
        *count -= 1;
        if *count == 0 {
            (self.0.set)(false);
        }
    }
}
