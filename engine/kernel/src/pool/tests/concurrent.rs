//! Threads of the machine on one pool.

use rustydb_runtime::SeededRng;

use super::*;
use crate::sync::thread;

/// Pages are installed while they are read, written, thrown out and the pool changes its size; every read is of one
/// whole installed version, and never of one older than an earlier read of the same thread.
#[test]
fn readers_see_whole_versions_that_never_go_back() {
    const PAGES: u32 = 40;
    const READS: u64 = 30_000;
    const ROUNDS: u64 = 300;
    let seed = 3;
    eprintln!("seed {seed}");
    let fixture = Fixture::new(12);
    for number in 0..PAGES {
        let pin = fixture.pool.pin_new(id(number)).expect("a frame");
        fixture.install(&pin, 0);
        drop(pin);
        fixture.pool.flush_all().expect("a disk");
    }
    let (done, reads, rounds) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let installed: Vec<AtomicU64> = (0..PAGES).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        let (fixture, done, installed) = (&fixture, &done, &installed);
        let (reads, rounds) = (&reads, &rounds);
        for reader in 0..3 {
            scope.spawn(move || {
                let rng = SeededRng::new(seed + reader);
                let mut seen = vec![0; PAGES as usize];
                let mut buffer = PageBuf::zeroed();
                while !done.load(Ordering::Relaxed) {
                    let number = rng.below(u64::from(PAGES)) as usize;
                    let least = installed[number].load(Ordering::SeqCst);
                    fixture.pool.copy(id(number as u32), &mut buffer).expect("a page");
                    let found = value(&buffer);
                    assert!(found >= least && found >= seen[number], "page {number} went back");
                    assert_eq!(header::page_id(buffer.as_slice()), Some(id(number as u32)));
                    seen[number] = found;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(move || {
            let rng = SeededRng::new(seed + 100);
            while !done.load(Ordering::Relaxed) {
                rounds.fetch_add(1, Ordering::Relaxed);
                match rng.below(4) {
                    0 => fixture.pool.flush_some(5).map(drop).expect("a disk"),
                    1 => fixture.pool.flush_all().map(drop).expect("a disk"),
                    2 => {
                        let first = rng.below(u64::from(PAGES) - 4) as u32;
                        let ids: Vec<PageId> = (first..first + 4).map(id).collect();
                        fixture.pool.prefetch(&ids).map(drop).expect("a disk");
                    }
                    _ => {
                        let frames = 10 + rng.below(20) as usize;
                        fixture.pool.resize(frames).map(drop).expect("a disk");
                    }
                }
            }
        });
        let _stop = Stop(done);
        let rng = SeededRng::new(seed + 200);
        let mut value = 0;
        while reads.load(Ordering::Relaxed) < READS || rounds.load(Ordering::Relaxed) < ROUNDS {
            value += 1;
            let number = rng.below(u64::from(PAGES)) as usize;
            let pin = fixture.pool.pin(id(number as u32)).expect("a page");
            fixture.install(&pin, value);
            installed[number].store(value, Ordering::SeqCst);
        }
    });
    fixture.pool.flush_all().expect("a disk");
    for number in 0..PAGES {
        let stored = fixture.disk.get(id(number)).map(|page| value(&page));
        let expected = installed[number as usize].load(Ordering::SeqCst);
        assert_eq!(stored, Some(expected), "page {number}");
    }
    let counts = fixture.pool.counts();
    assert!(
        counts.evicted_not_reused > 0 && counts.evicted_resized > 0,
        "{counts:?}"
    );
}

/// Ends the other threads when the one that holds it ends, by a panic too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn one_thread_loads_and_the_others_wait_for_it() {
    const THREADS: u64 = 4;
    let fixture = Fixture::new(64);
    for number in 0..50 {
        fixture.disk.put(id(number), u64::from(number));
    }
    let start = std::sync::Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for number in 0..50 {
                    start.wait();
                    assert_eq!(fixture.value(id(number)).expect("a page"), u64::from(number));
                }
            });
        }
    });
    assert_eq!(fixture.disk.reads.load(Ordering::SeqCst), 50);
}

/// More threads than frames: who finds none waits for one that is in flux, and no call fails.
#[test]
fn threads_share_few_frames() {
    let fixture = Fixture::new(8);
    for number in 0..200 {
        fixture.disk.put(id(number), u64::from(number));
    }
    thread::scope(|scope| {
        for reader in 0..16 {
            let fixture = &fixture;
            scope.spawn(move || {
                let rng = SeededRng::new(reader);
                for _ in 0..300 {
                    let number = rng.below(200);
                    assert_eq!(fixture.value(id(number as u32)).expect("a page"), number);
                }
            });
        }
    });
    assert_eq!(fixture.pool.counts().exhausted, 0);
}
