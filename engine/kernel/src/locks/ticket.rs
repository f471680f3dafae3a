//! A request that waits, and the ticket by which its owner learns how that ends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::owner::OwnerState;
use super::resource::Key;
use super::{Deadlock, LockId, LockMode, Locks, Resource};
use crate::planted::planted;
use crate::sync::{Arc, Condvar, Mutex};

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitEnd {
    /// The owner holds the lock.
    Granted {
        lock_id: LockId,
        /// False when a lock that it held got a stronger mode.
        new: bool,
        /// Microseconds.
        wait_us: u64,
    },
    /// It is the victim of this deadlock. It keeps the locks that it holds until it releases them, as it should soon.
    Deadlock(Arc<Deadlock>),
    Cancelled(CancelReason),
}

/// Why a wait was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// The caller would not wait any longer.
    TimedOut,
    /// The caller has no interest any more; the ticket was dropped, for one.
    GivenUp,
    /// The owner released the lock that it wanted a stronger mode of, or all its locks.
    Released,
}

/// A request in a queue. How it ended is decided under the latch of its shard.
pub(super) struct Request {
    /// Of the lock that is held, when that is to get a stronger mode.
    pub lock_id: LockId,
    pub owner: Arc<OwnerState>,
    pub key: Key,
    /// What will be held: with a conversion, what was asked for joined with what is held.
    pub mode: LockMode,
    pub converts: bool,
    /// Microseconds since the Unix epoch.
    pub since_us: i64,
    pub since_mono_us: u64,
    outcome: Mutex<Outcome>,
    ended: Condvar,
}

#[derive(Default)]
struct Outcome {
    end: Option<WaitEnd>,
    waker: Option<Waker>,
}

impl Request {
    pub fn new(
        (lock_id, converts): (LockId, bool),
        owner: Arc<OwnerState>,
        key: Key,
        mode: LockMode,
        (since_us, since_mono_us): (i64, u64),
    ) -> Request {
        Request {
            lock_id,
            owner,
            key,
            mode,
            converts,
            since_us,
            since_mono_us,
            outcome: Mutex::new(Outcome::default()),
            ended: Condvar::new(),
        }
    }

    pub fn end(&self) -> Option<WaitEnd> {
        self.outcome.lock().end.clone()
    }

    /// Says how it ended. Whoever waits for that is woken by [`Request::wake`], when no latch is held.
    pub fn set_end(&self, end: WaitEnd) {
        self.outcome.lock().end = Some(end);
    }

    pub fn wake(&self) {
        let waker = self.outcome.lock().waker.take();
        self.ended.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A place in a queue. It may be waited for by a thread or by a task; when it is dropped before the wait has ended, the
/// request leaves the queue and whoever waited for it only goes on.
///
/// Who gives up, after a time-out say, may come too late: the lock may be the owner's by then. [`WaitTicket::cancel`]
/// says so. After a ticket was just dropped, such a lock is released with the owner's others.
#[must_use = "a ticket that is dropped gives the wait up"]
pub struct WaitTicket {
    pub(super) locks: Locks,
    pub(super) request: Arc<Request>,
}

impl WaitTicket {
    pub fn lock_id(&self) -> LockId {
        self.request.lock_id
    }

    pub fn resource(&self) -> &Resource {
        &self.request.key.resource
    }

    /// The mode that will be held.
    pub fn mode(&self) -> LockMode {
        self.request.mode
    }

    /// When the wait began, in microseconds since the Unix epoch.
    pub fn since_us(&self) -> i64 {
        self.request.since_us
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<WaitEnd> {
        self.request.end()
    }

    /// Blocks the thread until the wait ends.
    pub fn wait(&self) -> WaitEnd {
        let mut outcome = self.request.outcome.lock();
        loop {
            if let Some(end) = &outcome.end {
                return end.clone();
            }
            self.request.ended.wait(&mut outcome);
        }
    }

    /// Blocks the thread until the wait ends, but not longer than this; `None` when it goes on.
    pub fn wait_for(&self, timeout: Duration) -> Option<WaitEnd> {
        let mut outcome = self.request.outcome.lock();
        if outcome.end.is_none() {
            self.request.ended.wait_for(&mut outcome, timeout);
        }
        outcome.end.clone()
    }

    /// Gives the wait up, and tells how it ended: otherwise than so, when that was first.
    pub fn cancel(self, reason: CancelReason) -> WaitEnd {
        self.locks.cancel(&self.request, reason)
    }
}

impl Future for WaitTicket {
    type Output = WaitEnd;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<WaitEnd> {
        let mut outcome = self.request.outcome.lock();
        match &outcome.end {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                outcome.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for WaitTicket {
    fn drop(&mut self) {
        if self.request.end().is_none() && !planted!("lock-ticket-kept") {
            self.locks.cancel(&self.request, CancelReason::GivenUp);
        }
    }
}

impl fmt::Debug for WaitTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitTicket")
            .field("lock_id", &self.request.lock_id)
            .field("owner", &self.request.owner.id)
            .field("resource", &self.request.key.resource)
            .field("mode", &self.request.mode)
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
