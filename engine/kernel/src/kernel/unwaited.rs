//! Commits that nobody waits for: who is told once one is durable, and the thread that sees to it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Inner, Kernel, Ticket};
use crate::error::{KernelError, Result};
use crate::ids::Ts;
use crate::sync::{Arc, Condvar, Mutex, thread};

/// What was committed before [`Kernel::sync_soon`] begins to be synced so long after it at the latest: an answer that came
/// before its sync may be lost by a failure of the power for so long, and the commits of so long share a sync.
pub const SYNC_SOON_MAX: Duration = Duration::from_millis(10);

/// Is called once, with what became of a commit.
type Told = Box<dyn FnOnce(Result<()>) + Send>;

/// Whoever asked to be told, by commit.
#[derive(Default)]
pub(super) struct Unwaited(Mutex<BTreeMap<Ts, Vec<Told>>>);

impl Unwaited {
    /// Tells those who asked for `newest` or an earlier commit that it is durable.
    pub fn tell(&self, newest: Ts) {
        let told = {
            let mut asked = self.0.lock();
            let later = asked.split_off(&Ts(newest.0 + 1));
            std::mem::replace(&mut *asked, later)
        };
        told.into_values().flatten().for_each(|told| told(Ok(())));
    }

    /// Tells all who asked that nobody knows whether their commit is durable.
    pub fn fail(&self, error: &KernelError) {
        let told = std::mem::take(&mut *self.0.lock());
        let told = told.into_values().flatten();
        told.for_each(|told| told(Err(error.clone())));
    }
}

impl Kernel {
    /// Whether commits may be answered before they are durable: [`super::KernelOptions::async_commits`].
    pub fn async_commits(&self) -> bool {
        self.inner.options.async_commits
    }

    /// Whether the commit is durable and visible.
    pub fn is_durable(&self, ticket: Ticket) -> bool {
        self.inner.published.read().ts >= ticket.ts
    }

    /// `told` is called once: with `Ok` when the commit is durable and visible, with `Poisoned` when nobody knows whether it
    /// is, and with `Closed` when the store was closed before. That is at once, or by the thread that made it durable, in the
    /// middle of its work: it returns soon and calls nothing of the kernel.
    pub fn when_durable(&self, ticket: Ticket, told: impl FnOnce(Result<()>) + Send + 'static) {
        let inner = &self.inner;
        {
            let mut asked = inner.unwaited.0.lock();
            // Whoever publishes does that first, and then looks who asked.
            if inner.published.read().ts < ticket.ts {
                asked.entry(ticket.ts).or_default().push(Box::new(told));
            } else {
                drop(asked);
                return told(Ok(()));
            }
        }
        // Whoever failed may have told of it before this one asked.
        if let Err(error) = inner.check_poison() {
            inner.unwaited.fail(&error);
        }
    }

    /// Has everything that was committed synced, within [`SYNC_SOON_MAX`] or a little more on a busy machine. By a thread of
    /// the store's own: without one, because of the options, it does nothing.
    pub fn sync_soon(&self) {
        if let Some(syncer) = &self.syncer {
            syncer.ask();
        }
    }
}

#[derive(Default)]
struct Asked {
    sync: bool,
    stop: bool,
}

/// The thread that syncs what nobody waits for.
pub(super) struct Syncer {
    asked: Arc<(Mutex<Asked>, Condvar)>,
    thread: thread::JoinHandle<()>,
}

impl Syncer {
    pub fn start(inner: &Arc<Inner>) -> Result<Syncer> {
        let asked = Arc::<(Mutex<Asked>, Condvar)>::default();
        let (inner, theirs) = (Arc::clone(inner), Arc::clone(&asked));
        let thread = thread::Builder::new()
            .name("store-syncer".to_owned())
            .spawn(move || sync_when_asked(&inner, &theirs))
            .map_err(|error| KernelError::io("starting the store's thread of syncs", &error))?;
        Ok(Syncer { asked, thread })
    }

    fn ask(&self) {
        let mut asked = self.asked.0.lock();
        if !std::mem::replace(&mut asked.sync, true) {
            self.asked.1.notify_all();
        }
    }

    /// Ends the thread and waits for it. What was asked for and not done is for whoever closes the store.
    pub fn stop(self) {
        self.asked.0.lock().stop = true;
        self.asked.1.notify_all();
        // A panic of the thread has been printed by it.
        let _ = self.thread.join();
    }
}

fn sync_when_asked(inner: &Inner, (asked, changed): &(Mutex<Asked>, Condvar)) {
    loop {
        {
            let mut asked = asked.lock();
            while !asked.sync && !asked.stop {
                changed.wait(&mut asked);
            }
            if !asked.stop {
                // More come meanwhile, for the same sync.
                changed.wait_for(&mut asked, SYNC_SOON_MAX);
            }
            if asked.stop {
                return;
            }
            asked.sync = false;
        }
        // A failure is noted, and told to those who asked to be told.
        let _ = inner.make_visible(inner.wal.end());
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::mpsc::channel;

    use rustydb_runtime::disk::SimDisk;
    use rustydb_runtime::{ManualClock, SeededRng};

    use super::*;
    use crate::kernel::KernelOptions;

    /// No other thread of the store's syncs.
    #[test]
    fn what_nobody_waits_for_is_synced_all_the_same() {
        let options = KernelOptions {
            background: false,
            ..KernelOptions::default()
        };
        let (disk, clock) = (Arc::new(SimDisk::new(3)), Arc::new(ManualClock::new(1)));
        let kernel = Kernel::open(disk, "kernel", clock, &SeededRng::new(7), options);
        let mut kernel = kernel.expect("an empty disk takes a store");
        kernel.syncer = Some(Syncer::start(&kernel.inner).expect("a thread"));
        for round in 0..20_u64 {
            let (tell, heard) = channel();
            let key = round.to_be_bytes();
            let made = kernel.commit(0, |commit| commit.write(1, &key, Some(b"value")));
            let ((), ticket) = made.expect("a commit");
            kernel.when_durable(ticket, move |how| tell.send(how).expect("it is waited for"));
            kernel.sync_soon();
            heard.recv().expect("it is told").expect("the disk works");
            assert!(kernel.is_durable(ticket));
            let found = kernel.snapshot().get(1, &key).expect("a read");
            assert_eq!(found.map(|found| found.ts), Some(ticket.ts));
        }
    }
}
