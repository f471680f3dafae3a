//! Who is told of what happens, if anybody is.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, RwLock};

/// One listener of the kind `L`. Nobody listening costs one relaxed load for each event.
pub(crate) struct Listener<L: ?Sized> {
    listening: AtomicBool,
    listener: RwLock<Option<Arc<L>>>,
}

impl<L: ?Sized> Default for Listener<L> {
    fn default() -> Listener<L> {
        Listener {
            listening: AtomicBool::new(false),
            listener: RwLock::new(None),
        }
    }
}

impl<L: ?Sized> Listener<L> {
    /// Sets who is told from now on, in the place of who was.
    pub fn set(&self, listener: Option<Arc<L>>) {
        let mut known = self.listener.write();
        self.listening.store(listener.is_some(), Ordering::Release);
        *known = listener;
    }

    #[inline]
    pub fn listens(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// Calls `tell` with the listener, if there is one.
    #[inline]
    pub fn tell(&self, tell: impl FnOnce(&L)) {
        if self.listens() {
            let listener = self.listener.read().clone();
            if let Some(listener) = listener {
                tell(&listener);
            }
        }
    }
}
