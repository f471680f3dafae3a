//! Notices who reads page after page, and says what comes next.

use std::collections::BTreeMap;

use crate::ids::{PageId, TablespaceId};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Readers that are told apart in one tablespace; of more, the one that was quiet longest is forgotten.
const READERS_MAX: usize = 16;

/// What can be set while it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAheadOptions {
    pub is_on: bool,
    /// Pages that must have been read in order before the first are read ahead, from 1.
    pub sequential_pages_min: u32,
    /// Pages that are read ahead at first; each time after it twice as many.
    pub pages_min: u32,
    pub pages_max: u32,
}

impl Default for ReadAheadOptions {
    fn default() -> Self {
        ReadAheadOptions {
            is_on: true,
            sequential_pages_min: 2,
            pages_min: 4,
            pages_max: 64,
        }
    }
}

/// Tells reads in order from others. It is asked on misses only: pages that were read ahead are hits, so the next miss
/// of a reader in order is the page behind them.
pub struct ReadAhead {
    is_on: AtomicBool,
    sequential_pages_min: AtomicU32,
    pages_min: AtomicU32,
    pages_max: AtomicU32,
    /// Of each tablespace the readers, that of the latest miss last.
    readers: Mutex<BTreeMap<TablespaceId, Vec<Reader>>>,
}

/// Somebody who reads in order.
#[derive(Debug, Clone, Copy)]
struct Reader {
    /// The page whose miss would show that it goes on.
    next: u32,
    sequential_pages: u32,
    /// Pages that were read ahead last.
    ahead: u32,
}

impl ReadAhead {
    pub fn new(options: ReadAheadOptions) -> ReadAhead {
        ReadAhead {
            is_on: AtomicBool::new(options.is_on),
            sequential_pages_min: AtomicU32::new(options.sequential_pages_min),
            pages_min: AtomicU32::new(options.pages_min),
            pages_max: AtomicU32::new(options.pages_max),
            readers: Mutex::new(BTreeMap::new()),
        }
    }

    pub fn options(&self) -> ReadAheadOptions {
        ReadAheadOptions {
            is_on: self.is_on.load(Ordering::Relaxed),
            sequential_pages_min: self.sequential_pages_min.load(Ordering::Relaxed),
            pages_min: self.pages_min.load(Ordering::Relaxed),
            pages_max: self.pages_max.load(Ordering::Relaxed),
        }
    }

    pub fn set_options(&self, options: ReadAheadOptions) {
        self.is_on.store(options.is_on, Ordering::Relaxed);
        self.sequential_pages_min
            .store(options.sequential_pages_min, Ordering::Relaxed);
        self.pages_min.store(options.pages_min, Ordering::Relaxed);
        self.pages_max.store(options.pages_max, Ordering::Relaxed);
    }

    /// Notes the miss of a page, and returns the pages behind it that should be read too: how many. `pages` is how
    /// many the tablespace has.
    pub fn missed(&self, id: PageId, pages: u32) -> u32 {
        let options = self.options();
        if !options.is_on {
            return 0;
        }
        let mut readers = self.readers.lock();
        let readers = readers.entry(id.tablespace()).or_default();
        let known = readers.iter().position(|reader| reader.next == id.number());
        let mut reader = match known {
            Some(at) => readers.remove(at),
            None => Reader {
                next: id.number(),
                sequential_pages: 0,
                ahead: 0,
            },
        };
        reader.sequential_pages = reader.sequential_pages.saturating_add(1 + reader.ahead);
        reader.ahead = if reader.sequential_pages < options.sequential_pages_min {
            0
        } else {
            let wanted = reader
                .ahead
                .saturating_mul(2)
                .max(options.pages_min)
                .min(options.pages_max);
            wanted.min(pages.saturating_sub(id.number().saturating_add(1)))
        };
        reader.next = id.number().saturating_add(1).saturating_add(reader.ahead);
        if readers.len() == READERS_MAX {
            readers.remove(0);
        }
        readers.push(reader);
        reader.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u32) -> PageId {
        PageId::new(TablespaceId::MAIN, number)
    }

    /// Reads `from..to` in order, and returns the misses.
    fn misses(ahead: &ReadAhead, from: u32, to: u32) -> Vec<u32> {
        let (mut misses, mut read_to) = (Vec::new(), from);
        for number in from..to {
            if number >= read_to {
                misses.push(number);
                read_to = number + 1 + ahead.missed(page(number), to);
            }
        }
        misses
    }

    #[test]
    fn a_reader_in_order_misses_ever_more_seldom() {
        let ahead = ReadAhead::new(ReadAheadOptions::default());
        assert_eq!(misses(&ahead, 10, 300), [10, 11, 16, 25, 42, 75, 140, 205, 270]);
    }

    #[test]
    fn readers_that_take_turns_are_told_apart_and_nothing_is_read_behind_the_end() {
        let ahead = ReadAhead::new(ReadAheadOptions::default());
        for (number, expected) in [(5, 0), (1000, 0), (6, 4), (1001, 4), (11, 8), (1006, 8), (20, 0)] {
            assert_eq!(
                ahead.missed(page(number), if number == 20 { 21 } else { 5000 }),
                expected,
                "{number}"
            );
        }
    }

    #[test]
    fn random_reads_read_nothing_ahead_and_it_can_be_off() {
        let ahead = ReadAhead::new(ReadAheadOptions::default());
        let rng = rustydb_runtime::SeededRng::new(4);
        let read: u32 = (0..1000)
            .map(|_| ahead.missed(page(rng.below(1 << 30) as u32), u32::MAX))
            .sum();
        assert_eq!(read, 0);
        ahead.set_options(ReadAheadOptions {
            is_on: false,
            ..ReadAheadOptions::default()
        });
        assert_eq!([ahead.missed(page(1), 100), ahead.missed(page(2), 100)], [0, 0]);
    }
}
