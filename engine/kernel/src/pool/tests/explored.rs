//! Small scenes under many schedules of shuttle.

use shuttle::{check_pct, check_random, thread};

use super::super::latch::Latch;
use super::*;

const SCHEDULES: usize = 3000;
const DEPTH: usize = 4;

/// Random schedules, and such as change the thread at a few chosen places (PCT).
fn explore(scene: impl Fn() + Send + Sync + Clone + 'static) {
    check_random(scene.clone(), SCHEDULES);
    check_pct(scene, SCHEDULES, DEPTH);
}

/// As many page copies as fit into a scene without it taking seconds.
const FEW: u32 = 3;

#[test]
fn shuttle_waiters_of_a_latch_are_never_lost() {
    explore(|| {
        let latch = Arc::new((Latch::new(), Parking::new(), AtomicU64::new(0)));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let latch = latch.clone();
                thread::spawn(move || {
                    let (latch, parking, value) = &*latch;
                    let mut held = latch.exclusive(parking);
                    held.change();
                    let before = value.load(Ordering::Relaxed);
                    crate::sync::interleave();
                    value.store(before + 1, Ordering::Relaxed);
                    drop(held);
                    latch.wait(parking);
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("it ends");
        }
        assert_eq!(latch.2.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn shuttle_an_optimistic_read_is_of_one_version() {
    explore(|| {
        let state = Arc::new((
            Latch::new(),
            Parking::new(),
            [AtomicU64::new(0), AtomicU64::new(0)],
        ));
        let writer = {
            let state = state.clone();
            thread::spawn(move || {
                for value in 1..3 {
                    let mut held = state.0.exclusive(&state.1);
                    held.change();
                    state.2[0].store(value, Ordering::Relaxed);
                    crate::sync::interleave();
                    state.2[1].store(value, Ordering::Relaxed);
                }
            })
        };
        for _ in 0..3 {
            let Some(version) = state.0.version() else {
                state.0.wait(&state.1);
                continue;
            };
            let first = state.2[0].load(Ordering::Relaxed);
            crate::sync::interleave();
            let second = state.2[1].load(Ordering::Relaxed);
            if state.0.validate(version) {
                assert_eq!(first, second);
            }
        }
        writer.join().expect("it ends");
    });
}

#[test]
fn shuttle_two_that_miss_a_page_load_it_once() {
    explore(|| {
        let fixture = Arc::new(Fixture::new(8));
        fixture.disk.put(id(1), 7);
        let other = {
            let fixture = fixture.clone();
            thread::spawn(move || assert_eq!(fixture.value(id(1)).expect("a page"), 7))
        };
        assert_eq!(fixture.value(id(1)).expect("a page"), 7);
        other.join().expect("it ends");
        assert_eq!(fixture.disk.reads.load(Ordering::SeqCst), 1);
    });
}

/// Every frame is needed again and again, so that pages leave under their readers.
#[test]
fn shuttle_pages_leave_while_they_are_read() {
    explore(|| {
        let fixture = Arc::new(Fixture::new(8));
        // All but one frame are pinned.
        let mut pins = Vec::new();
        for number in 100..107 {
            pins.push(fixture.pool.pin_new(id(number)).expect("a frame"));
        }
        for number in 0..FEW {
            fixture.disk.put(id(number), u64::from(number));
        }
        let threads: Vec<_> = (0..2)
            .map(|start| {
                let fixture = fixture.clone();
                thread::spawn(move || {
                    for step in 0..FEW {
                        let number = (start + step) % FEW;
                        assert_eq!(fixture.value(id(number)).expect("a page"), u64::from(number));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("it ends");
        }
    });
}

/// One installs, one writes, one reads others so that the page has to leave: no change is lost, none is seen twice,
/// and the disk asserts that the log is always first.
#[test]
fn shuttle_installs_are_never_lost() {
    explore(|| {
        let fixture = Arc::new(Fixture::new(8));
        let mut pins = Vec::new();
        for number in 100..107 {
            pins.push(fixture.pool.pin_new(id(number)).expect("a frame"));
        }
        fixture.disk.put(id(0), 0);
        fixture.disk.put(id(1), 0);
        let writer = {
            let fixture = fixture.clone();
            thread::spawn(move || {
                for value in 1..3 {
                    // The only frame may be pinned, or loaded, by the reader's other page.
                    let Some(pin) = fixture.available(|| fixture.pool.pin(id(0))) else {
                        continue;
                    };
                    fixture.install(&pin, value);
                    drop(pin);
                    fixture.pool.flush_some(1).expect("a disk");
                    let found = fixture.available(|| fixture.value(id(0)));
                    assert!(found.is_none_or(|found| found == value), "{found:?}, not {value}");
                }
            })
        };
        let flusher = {
            let fixture = fixture.clone();
            thread::spawn(move || {
                fixture.pool.flush_page(id(0)).expect("a disk");
                fixture.pool.flush_all().expect("a disk");
            })
        };
        fixture.available(|| fixture.value(id(1)));
        writer.join().expect("it ends");
        flusher.join().expect("it ends");
        fixture.pool.flush_all().expect("a disk");
        assert_eq!(fixture.pool.oldest_dirty(), None);
        let there = fixture.available(|| fixture.value(id(0)));
        let stored = fixture.disk.get(id(0)).map(|page| value(&page));
        assert_eq!(there, stored);
    });
}

#[test]
fn shuttle_a_resize_leaves_readers_alone() {
    explore(|| {
        let fixture = Arc::new(Fixture::new(10));
        for number in 0..FEW {
            let pin = fixture.pool.pin_new(id(number)).expect("a frame");
            fixture.install(&pin, u64::from(number));
        }
        let other = {
            let fixture = fixture.clone();
            thread::spawn(move || {
                fixture.pool.resize(8).expect("a disk");
                fixture.pool.resize(9).expect("memory");
            })
        };
        for number in 0..FEW {
            assert_eq!(fixture.value(id(number)).expect("a page"), u64::from(number));
        }
        other.join().expect("it ends");
        assert_eq!(fixture.pool.frames(), 9);
    });
}

#[test]
fn shuttle_a_discard_waits_for_who_writes_the_page() {
    explore(|| {
        let fixture = Arc::new(Fixture::new(8));
        let pin = fixture.pool.pin_new(id(1)).expect("a frame");
        fixture.install(&pin, 1);
        drop(pin);
        let other = {
            let fixture = fixture.clone();
            thread::spawn(move || fixture.pool.flush_all().map(drop).expect("a disk"))
        };
        assert!(fixture.pool.discard(id(1)));
        other.join().expect("it ends");
        assert_eq!(fixture.pool.oldest_dirty(), None);
        assert_eq!(fixture.pool.info().resident, 0);
    });
}

/// A pin that came while the page was being read would keep a frame without a page.
#[test]
fn shuttle_a_page_that_cannot_be_read_is_not_pinned() {
    explore(|| {
        let fixture = Arc::new(Fixture::new(8));
        let other = {
            let fixture = fixture.clone();
            thread::spawn(move || fixture.value(id(1)).map(drop).expect_err("never written"))
        };
        fixture.pool.pin(id(1)).map(drop).expect_err("never written");
        other.join().expect("it ends");
        assert_eq!(fixture.pool.info().resident, 0);
    });
}

#[test]
fn shuttle_a_discard_leaves_nothing_dirty_behind() {
    explore(|| {
        let fixture = Arc::new(Fixture::new(8));
        fixture.disk.put(id(1), 1);
        fixture.value(id(1)).expect("a page");
        let other = {
            let fixture = fixture.clone();
            thread::spawn(move || {
                let pin = fixture.pool.pin(id(1)).expect("a page");
                fixture.install(&pin, 2);
            })
        };
        fixture.pool.discard(id(1));
        other.join().expect("it ends");
        let dirty = fixture.pool.oldest_dirty().is_some();
        let there = fixture.value(id(1)).expect("a page");
        assert_eq!(there, if dirty { 2 } else { 1 });
        fixture.pool.flush_all().expect("a disk");
    });
}

impl Fixture {
    /// `None` when there was no frame for it.
    fn available<T>(&self, call: impl FnOnce() -> Result<T>) -> Option<T> {
        match call() {
            Ok(value) => Some(value),
            Err(KernelError::PoolExhausted { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }
}
