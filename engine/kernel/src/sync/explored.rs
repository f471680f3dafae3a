//! Shuttle's primitives in the shape of parking_lot's: no poisoning, and a condition variable that borrows the
//! guard.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

pub use shuttle::sync::atomic;
pub use shuttle::thread;

const UNPOISONED: &str = "a test whose thread panicked has failed already";

#[derive(Debug, Default)]
pub struct Mutex<T: ?Sized>(shuttle::sync::Mutex<T>);

/// `None` only while a [`Condvar`] has the guard.
#[derive(Debug)]
pub struct MutexGuard<'a, T: ?Sized>(Option<shuttle::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub fn into_inner(self) -> T {
        self.0.into_inner().expect(UNPOISONED)
    }
}

impl<T: ?Sized> Mutex<T> {
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().expect(UNPOISONED)))
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
    }

    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().expect(UNPOISONED)
    }
}

const HELD: &str = "a guard is with its holder unless a condition variable waits";

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(HELD)
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(HELD)
    }
}

#[derive(Debug, Default)]
pub struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub fn new() -> Condvar {
        Condvar(shuttle::sync::Condvar::new())
    }

    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect(HELD);
        guard.0 = Some(self.0.wait(held).expect(UNPOISONED));
    }

    /// There is no time here: it waits until it is told.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: std::time::Duration) {
        self.wait(guard);
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[derive(Debug, Default)]
pub struct RwLock<T: ?Sized>(shuttle::sync::RwLock<T>);

pub use shuttle::sync::{RwLockReadGuard, RwLockWriteGuard};

impl<T> RwLock<T> {
    pub fn new(value: T) -> RwLock<T> {
        RwLock(shuttle::sync::RwLock::new(value))
    }

    pub fn into_inner(self) -> T {
        self.0.into_inner().expect(UNPOISONED)
    }
}

impl<T: ?Sized> RwLock<T> {
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().expect(UNPOISONED)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().expect(UNPOISONED)
    }

    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().expect(UNPOISONED)
    }
}

/// Crossbeam's back-off, which here always lets others run: who spins waits for another thread.
#[derive(Debug, Default)]
pub struct Backoff(Cell<u32>);

/// Calls after which [`Backoff::is_completed`] advises to block.
const SPINS_MAX: u32 = 3;

impl Backoff {
    pub fn new() -> Backoff {
        Backoff::default()
    }

    pub fn reset(&self) {
        self.0.set(0);
    }

    pub fn spin(&self) {
        self.snooze();
    }

    pub fn snooze(&self) {
        self.0.set(self.0.get() + 1);
        thread::yield_now();
    }

    pub fn is_completed(&self) -> bool {
        self.0.get() > SPINS_MAX
    }
}

/// A place where shuttle may switch threads between operations that it doesn't see.
pub fn interleave() {
    // Every operation on one of shuttle's atomics is such a place.
    atomic::AtomicBool::new(false).load(atomic::Ordering::SeqCst);
}
