//! Measures hits of the buffer pool: `cargo run --release -p rustydb-kernel --example pool_read`.
//!
//! Pages come from a disk that makes them up, so that nothing but the pool is measured.

#![allow(clippy::print_stdout, reason = "what a measurement is for")]

use std::hint::black_box;
use std::sync::Barrier;

use rustydb_kernel::error::Result;
use rustydb_kernel::ids::{Lsn, PageId, TablespaceId};
use rustydb_kernel::page::PageBuf;
use rustydb_kernel::page::header::{self, PageKind};
use rustydb_kernel::pool::{LogGate, PageIo, Pool};
use rustydb_kernel::sync::{Arc, thread};
use rustydb_runtime::{Clock, SystemClock};

struct MadeUp;

impl PageIo for MadeUp {
    fn read(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
        header::initialise(page.as_mut_slice(), id, PageKind::RawSlotted);
        Ok(())
    }

    fn read_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<()> {
        for (id, page) in pages {
            self.read(*id, page)?;
        }
        Ok(())
    }

    fn write_many(&self, _: &mut [(PageId, PageBuf)]) -> Result<u64> {
        Ok(0)
    }
}

impl LogGate for MadeUp {
    fn durable(&self) -> Lsn {
        Lsn(u64::MAX)
    }

    fn sync_to(&self, _: Lsn) -> Result<()> {
        Ok(())
    }
}

fn id(number: u64) -> PageId {
    PageId::new(TablespaceId::MAIN, number as u32)
}

fn pool(frames: u64) -> Pool {
    let pool = Pool::new(frames as usize, Arc::new(MadeUp), Arc::new(MadeUp));
    for number in 0..frames {
        pool.copy(id(number), &mut PageBuf::zeroed()).expect("a page");
    }
    pool
}

/// Nanoseconds of one call: the best of five runs, for what else the machine does only adds to it.
fn measure(calls: u64, mut run: impl FnMut()) -> f64 {
    let clock = SystemClock::new();
    let mut best_us = u64::MAX;
    for _ in 0..5 {
        let start_us = clock.now_mono_us();
        run();
        best_us = best_us.min(clock.now_mono_us() - start_us);
    }
    best_us as f64 * 1000.0 / calls as f64
}

/// Numbers of pages in an order that no prefetcher of the processor knows.
fn scattered(pages: u64, calls: u64) -> impl Iterator<Item = u64> {
    let mut state = 1_u64;
    (0..calls).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % pages
    })
}

fn read(pool: &Pool, number: u64) -> u64 {
    pool.read(id(number), |view| view.word(1)).expect("a page")
}

fn main() {
    const CALLS: u64 = 5_000_000;
    for pages in [1, 16, 100, 1000, 10_000, 100_000] {
        let pool = pool(pages);
        let hit_ns = measure(CALLS, || {
            for number in scattered(pages, CALLS) {
                black_box(read(&pool, number));
            }
        });
        println!("read, {pages} pages: {hit_ns:.1} ns");
    }

    let pool = pool(1000);
    let mut buffer = PageBuf::zeroed();
    let copy_ns = measure(CALLS / 10, || {
        for number in scattered(16, CALLS / 10) {
            pool.copy(id(number), &mut buffer).expect("a page");
        }
    });
    println!("copy of a page: {copy_ns:.1} ns");
    let pin_ns = measure(CALLS / 10, || {
        for number in scattered(1000, CALLS / 10) {
            black_box(pool.pin(id(number)).expect("a page"));
        }
    });
    println!("pin and unpin, 1000 pages: {pin_ns:.1} ns");
    let mut lsn = 0;
    let install_ns = measure(CALLS / 10, || {
        for number in scattered(1000, CALLS / 10) {
            lsn += 1;
            pool.pin(id(number)).expect("a page").install(&buffer, Lsn(lsn));
        }
    });
    println!("pin, install, unpin, 1000 pages: {install_ns:.1} ns");
    for threads in [1, 2] {
        println!(
            "{threads} threads read one page: {:.1} ns a read of each",
            together(&pool, threads)
        );
    }
}

/// Nanoseconds of one read when so many threads read the same page.
fn together(pool: &Pool, threads: usize) -> f64 {
    const CALLS: u64 = 10_000_000;
    let barrier = Barrier::new(threads);
    let run = || {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..CALLS {
                        black_box(read(pool, black_box(7)));
                    }
                });
            }
        });
    };
    measure(CALLS, run)
}
