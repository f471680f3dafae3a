//! Frames are emptied for other pages.

use std::ops::Deref;

use super::Inner;
use super::events::{EvictionReason, PoolEvent};
use super::flush::Writing;
use super::frame::{Frame, FrameNo, FrameRef, State};
use super::replacement::{Frames, NoVictim, Probe, Queue, Victim};
use super::stats::{Counters, count, count_n};
use super::table::Layout;
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, PageId};
use crate::sync::atomic::Ordering;

/// Searches of one call whose victim could not be emptied, per frame of the pool: others pin it just then.
const BUSY_VICTIMS_MAX: usize = 8;

/// Times that one call makes the log durable and finds every frame changed again by the next search.
const LOG_SYNCS_MAX: usize = 64;

/// An empty frame, or one with a page that only this thread may let leave. Goes back when dropped, whatever is in it.
pub(super) struct InFlux<'a> {
    inner: &'a Inner,
    frame: FrameRef,
}

impl Deref for InFlux<'_> {
    type Target = FrameRef;

    fn deref(&self) -> &FrameRef {
        &self.frame
    }
}

impl Drop for InFlux<'_> {
    fn drop(&mut self) {
        let mut replacement = self.inner.replacement.lock();
        match self.frame.page() {
            None => replacement.give_back_empty(self.frame.no()),
            Some(id) => replacement.admit(self.frame.no(), id),
        }
        drop(replacement);
        self.inner.settled.notify_all();
    }
}

impl Inner {
    /// An empty frame. Waits while all are in flux; makes the log durable when all others are pinned or wait for it;
    /// [`KernelError::PoolExhausted`] when that doesn't help either.
    pub(super) fn obtain(&self) -> Result<InFlux<'_>> {
        let (mut busy, mut syncs) = (0, 0);
        loop {
            match self.take(true) {
                Ok(victim) => {
                    if let Some(frame) = self.empty(victim)? {
                        return Ok(frame);
                    }
                    busy += 1;
                }
                Err(NoVictim { not_durable: true }) if syncs < LOG_SYNCS_MAX => {
                    // Nothing to do if another thread has made it durable since the search.
                    syncs += 1;
                    count(&self.stats.here().log_syncs);
                    self.log.sync_to(Lsn(self.dirty.newest().0 + 1))?;
                }
                Err(_) => return Err(self.exhausted()),
            }
            if busy > BUSY_VICTIMS_MAX * self.replacement.lock().frames() {
                return Err(self.exhausted());
            }
        }
    }

    /// An empty frame if there is one to be had without a wait.
    pub(super) fn try_obtain(&self) -> Result<Option<InFlux<'_>>> {
        match self.take(false) {
            Ok(victim) => self.empty(victim),
            Err(_) => Ok(None),
        }
    }

    fn exhausted(&self) -> KernelError {
        let frames = self.replacement.lock().frames() as u64;
        count(&self.stats.here().exhausted);
        self.listener.event(PoolEvent::Full { frames });
        KernelError::PoolExhausted { frames }
    }

    /// Takes a victim; with `wait` until none can be had and none is in flux.
    fn take(&self, wait: bool) -> Result<Victim, NoVictim> {
        let mut replacement = self.replacement.lock();
        loop {
            let layout = self.table.layout();
            let frames = Probing {
                layout: &layout,
                durable: self.log.durable(),
            };
            match replacement.take(&frames, self.settings.small_queue_permille()) {
                Ok(victim) => {
                    drop(replacement);
                    if victim.queue != Queue::Free {
                        count(&self.stats.here().scans);
                        count_n(&self.stats.here().frames_scanned, victim.scanned);
                    }
                    return Ok(victim);
                }
                Err(none) if !wait || replacement.in_flux() == 0 => return Err(none),
                Err(_) => {
                    count(&self.stats.here().frame_waits);
                    self.settled.wait(&mut replacement);
                }
            }
        }
    }

    /// Makes the page of a victim leave. `None` when it can't; then the victim is back in its queue.
    fn empty(&self, victim: Victim) -> Result<Option<InFlux<'_>>> {
        let frame = self
            .table
            .layout()
            .frame_ref(victim.no)
            .expect("a frame leaves the layout only when it is in no queue");
        let reason = match victim.queue {
            Queue::Main => EvictionReason::Aged,
            Queue::Free | Queue::Small => EvictionReason::NotReused,
        };
        let left = self.vacate(&frame, reason);
        if let Ok(Some(id)) = &left
            && victim.queue == Queue::Small
        {
            self.replacement.lock().forget(*id);
        }
        if frame.page().is_none() {
            return Ok(Some(InFlux { inner: self, frame }));
        }
        self.replacement.lock().give_back(victim.no, victim.queue);
        self.settled.notify_all();
        left.map(|_| None)
    }

    /// Makes the page of a frame in flux leave, writing it if it is dirty and durable in the log. The frame holds no
    /// page afterwards, or could not be emptied. Gives the page that left.
    pub(super) fn vacate(&self, frame: &FrameRef, reason: EvictionReason) -> Result<Option<PageId>> {
        if frame.dirty.load(Ordering::Acquire)
            && let Some(id) = frame.page()
        {
            count(&self.stats.here().evictions_with_write);
            self.write_if_durable(id)?;
        }
        Ok(self.let_go(frame, reason))
    }

    /// Makes the page leave if it is clean, unpinned and unlatched.
    fn let_go(&self, frame: &FrameRef, reason: EvictionReason) -> Option<PageId> {
        let mut latch = frame.latch.try_exclusive(&self.parking)?;
        let id = frame.page()?;
        let shard = self.table.lock(id);
        // Who installs holds a pin, and nobody can pin while the shard is locked.
        if frame.pins() > 0 || frame.dirty.load(Ordering::Acquire) {
            return None;
        }
        latch.change();
        shard.unlink(frame, id);
        frame.set_state(State::Empty);
        drop(shard);
        drop(latch);
        let counters = self.stats.here();
        count(evicted(counters, reason));
        self.listener.event(PoolEvent::Evicted { page: id, reason });
        Some(id)
    }

    pub(super) fn discard(&self, id: PageId) -> bool {
        let Some(frame) = self.table.lock(id).find(id) else {
            return false;
        };
        self.discard_frame(id, &frame, State::Resident)
    }

    /// Lets go of an unpinned page in this state without writing it.
    pub(super) fn discard_frame(&self, id: PageId, frame: &FrameRef, state: State) -> bool {
        loop {
            // Nobody else writes it from here on. Claimed before the latch is taken, for who writes a page reads it.
            let mut claim = Writing::new(&self.dirty, self.dirty.claim_wait(id));
            let mut latch = frame.latch.exclusive(&self.parking);
            let shard = self.table.lock(id);
            if !frame.holds(id) || frame.pins() > 0 || frame.state() != state {
                return false;
            }
            if claim.is_empty() && frame.dirty.load(Ordering::Acquire) {
                // It was installed meanwhile.
                continue;
            }
            claim.forget();
            latch.change();
            // The frame stays in its queue, where a search takes it as empty.
            shard.unlink(frame, id);
            frame.set_state(State::Empty);
            break;
        }
        count(&self.stats.here().evicted_discarded);
        self.listener.event(PoolEvent::Evicted {
            page: id,
            reason: EvictionReason::Discarded,
        });
        true
    }
}

fn evicted(counters: &Counters, reason: EvictionReason) -> &std::sync::atomic::AtomicU64 {
    match reason {
        EvictionReason::NotReused => &counters.evicted_not_reused,
        EvictionReason::Aged => &counters.evicted_aged,
        EvictionReason::Resized => &counters.evicted_resized,
        EvictionReason::Discarded => &counters.evicted_discarded,
    }
}

/// Frames of the pool as a search sees them, while the log is durable up to here.
struct Probing<'a> {
    layout: &'a Layout,
    durable: Lsn,
}

impl Probing<'_> {
    fn frame(&self, no: FrameNo) -> &Frame {
        self.layout
            .frame(no)
            .expect("a frame leaves the layout only when it is in no queue")
    }
}

impl Frames for Probing<'_> {
    fn probe(&self, no: FrameNo) -> Probe {
        let frame = self.frame(no);
        let frequency = frame.frequency();
        if frame.page().is_none() {
            Probe::Empty
        } else if frame.pins() > 0 {
            Probe::Pinned
        } else if !frame.dirty.load(Ordering::Relaxed) {
            Probe::Clean { frequency }
        } else if frame.lsn() < self.durable {
            Probe::Dirty { frequency }
        } else {
            Probe::NotDurable
        }
    }

    fn set_frequency(&self, no: FrameNo, frequency: u8) {
        self.frame(no).set_frequency(frequency);
    }
}
