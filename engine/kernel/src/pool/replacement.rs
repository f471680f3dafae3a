//! Which frame is emptied for another page: S3-FIFO.
//!
//! Pages enter a small queue. Those that are hit there move on to the main queue when their turn comes, the others
//! leave: what is read once, as by a scan, never pushes out what is read often. The ghost queue remembers the
//! pages that left the small queue; when one comes back, it goes to the main queue at once. From Yang, Zhang,
//! Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction" (SOSP 2023).
//!
//! A frame is either free, in one of the queues, or in flux: taken out by a thread that empties or fills it. Frames
//! that cannot leave now (pinned, or changed by a group that is not durable) go to the end of their queue, and so
//! do up to [`DIRTY_SKIPPED_MAX`] changed ones, for emptying them costs a write.

use std::collections::{HashMap, VecDeque};

use super::frame::FrameNo;
use crate::ids::PageId;

/// Changed pages that a search passes over in the hope of a clean one.
const DIRTY_SKIPPED_MAX: usize = 32;

/// What a search finds a frame to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// It holds no page: its page was discarded.
    Empty,
    Clean {
        frequency: u8,
    },
    /// Changed, and may be written.
    Dirty {
        frequency: u8,
    },
    /// Changed by a group that is not durable yet.
    NotDurable,
    Pinned,
}

/// Where a victim was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Free,
    Small,
    Main,
}

#[derive(Debug)]
pub(super) struct Victim {
    pub no: FrameNo,
    pub queue: Queue,
    /// Frames that were looked at.
    pub scanned: u64,
}

/// Why there is no victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoVictim {
    /// Some frame could be had if the log were durable.
    pub not_durable: bool,
}

/// The frames as a search sees them.
pub(super) trait Frames {
    fn probe(&self, no: FrameNo) -> Probe;
    fn set_frequency(&self, no: FrameNo, frequency: u8);
}

#[derive(Debug, Default)]
pub(super) struct Replacement {
    free: Vec<FrameNo>,
    small: VecDeque<FrameNo>,
    main: VecDeque<FrameNo>,
    ghost: Ghost,
    /// Frames in use: free, in a queue or in flux.
    frames: usize,
    in_flux: usize,
}

impl Replacement {
    pub fn frames(&self) -> usize {
        self.frames
    }

    pub fn in_flux(&self) -> usize {
        self.in_flux
    }

    /// Frames in the small queue, in the main queue, and pages in the ghost queue.
    pub fn queue_lengths(&self) -> [usize; 3] {
        [self.small.len(), self.main.len(), self.ghost.len()]
    }

    /// Takes empty frames into use.
    pub fn add(&mut self, frames: impl IntoIterator<Item = FrameNo>) {
        let before = self.free.len();
        self.free.extend(frames);
        self.frames += self.free.len() - before;
    }

    /// Takes a frame to be emptied and filled, now in flux. The small queue gives frames as long as it has more
    /// than `small_permille` of all.
    pub fn take(&mut self, frames: &impl Frames, small_permille: u64) -> Result<Victim, NoVictim> {
        if let Some(no) = self.free.pop() {
            self.in_flux += 1;
            return Ok(Victim {
                no,
                queue: Queue::Free,
                scanned: 0,
            });
        }
        let small_max = (self.frames as u64 * small_permille / 1000) as usize;
        let mut search = Search {
            small_max,
            dirty_skips: DIRTY_SKIPPED_MAX,
            scanned: 0,
            not_durable: false,
        };
        let mut found = search.run(self, frames);
        if found.is_none() && search.dirty_skips < DIRTY_SKIPPED_MAX {
            search.dirty_skips = 0;
            found = search.run(self, frames);
        }
        let not_durable = search.not_durable;
        let (no, queue) = found.ok_or(NoVictim { not_durable })?;
        self.in_flux += 1;
        Ok(Victim {
            no,
            queue,
            scanned: search.scanned,
        })
    }

    /// Remembers that the page left the small queue.
    pub fn forget(&mut self, id: PageId) {
        let pages_max = self.frames.saturating_sub(self.frames / 10).max(1);
        self.ghost.push(id, pages_max);
    }

    /// Ends the flux of a frame that holds no page.
    pub fn give_back_empty(&mut self, no: FrameNo) {
        self.in_flux -= 1;
        self.free.push(no);
    }

    /// Ends the flux of a frame that got this page just now.
    pub fn admit(&mut self, no: FrameNo, id: PageId) {
        let queue = if self.ghost.remove(id) {
            Queue::Main
        } else {
            Queue::Small
        };
        self.give_back(no, queue);
    }

    /// Ends the flux of a frame that could not be emptied.
    pub fn give_back(&mut self, no: FrameNo, queue: Queue) {
        self.in_flux -= 1;
        match queue {
            Queue::Main => self.main.push_back(no),
            Queue::Free | Queue::Small => self.small.push_back(no),
        }
    }

    /// Takes the frames that `wanted` names out of their queues, except those in flux. They are in flux then, until
    /// they are retired or given back.
    pub fn withdraw(&mut self, wanted: impl Fn(FrameNo) -> bool) -> Vec<FrameNo> {
        let mut withdrawn = Vec::new();
        let mut keep = |no: &FrameNo| {
            let leaves = wanted(*no);
            if leaves {
                withdrawn.push(*no);
            }
            !leaves
        };
        self.free.retain(&mut keep);
        self.small.retain(&mut keep);
        self.main.retain(&mut keep);
        self.in_flux += withdrawn.len();
        withdrawn
    }

    /// An empty, withdrawn frame is of the pool no more.
    pub fn retire(&mut self) {
        self.in_flux -= 1;
        self.frames -= 1;
    }
}

/// One walk over the queues.
struct Search {
    small_max: usize,
    dirty_skips: usize,
    scanned: u64,
    not_durable: bool,
}

impl Search {
    fn run(&mut self, queues: &mut Replacement, frames: &impl Frames) -> Option<(FrameNo, Queue)> {
        // A queue is exhausted when as many frames in a row went to its end as it has.
        let (mut small_passed, mut main_passed) = (0, 0);
        // Each frame of the main queue stays at most three times for its hits; hits that come meanwhile could make it more.
        let scans_max = 5 * (queues.small.len() + queues.main.len());
        for _ in 0..scans_max {
            let small_left = small_passed < queues.small.len();
            let main_left = main_passed < queues.main.len();
            let from_small = small_left && (queues.small.len() > self.small_max || !main_left);
            if !from_small && !main_left {
                return None;
            }
            let queue = if from_small {
                &mut queues.small
            } else {
                &mut queues.main
            };
            let no = queue.pop_front()?;
            self.scanned += 1;
            let frequency = match frames.probe(no) {
                Probe::Clean { frequency } => Some(frequency),
                Probe::Dirty { frequency } if self.dirty_skips == 0 => Some(frequency),
                Probe::Dirty { .. } => {
                    self.dirty_skips -= 1;
                    None
                }
                Probe::NotDurable => {
                    self.not_durable = true;
                    None
                }
                Probe::Pinned => None,
                Probe::Empty => return Some((no, Queue::Free)),
            };
            match (frequency, from_small) {
                (Some(0..=1), true) => return Some((no, Queue::Small)),
                (Some(0), false) => return Some((no, Queue::Main)),
                (Some(_), true) => {
                    frames.set_frequency(no, 0);
                    queues.main.push_back(no);
                    main_passed = 0;
                }
                (Some(frequency), false) => {
                    frames.set_frequency(no, frequency - 1);
                    queues.main.push_back(no);
                    main_passed = 0;
                }
                (None, true) => {
                    queues.small.push_back(no);
                    small_passed += 1;
                }
                (None, false) => {
                    queues.main.push_back(no);
                    main_passed += 1;
                }
            }
        }
        None
    }
}

/// Pages that left the small queue, oldest first, without their bytes.
#[derive(Debug, Default)]
struct Ghost {
    /// With the number of their entry; an entry whose number the map does not give is of a page that came back.
    queue: VecDeque<(PageId, u64)>,
    entries: HashMap<PageId, u64>,
    next: u64,
}

impl Ghost {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn push(&mut self, id: PageId, pages_max: usize) {
        self.next += 1;
        self.entries.insert(id, self.next);
        self.queue.push_back((id, self.next));
        while self.queue.len() > pages_max {
            let Some((id, number)) = self.queue.pop_front() else {
                return;
            };
            if self.entries.get(&id) == Some(&number) {
                self.entries.remove(&id);
            }
        }
    }

    fn remove(&mut self, id: PageId) -> bool {
        self.entries.remove(&id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::TablespaceId;

    /// A cache of pages without bytes, as the pool drives the queues.
    #[derive(Default)]
    struct Cache {
        queues: Replacement,
        frames: RefCell<Vec<(Option<PageId>, Probe)>>,
        at: BTreeMap<PageId, usize>,
    }

    impl Frames for RefCell<Vec<(Option<PageId>, Probe)>> {
        fn probe(&self, no: FrameNo) -> Probe {
            self.borrow()[no as usize].1
        }

        fn set_frequency(&self, no: FrameNo, set: u8) {
            match &mut self.borrow_mut()[no as usize].1 {
                Probe::Clean { frequency } | Probe::Dirty { frequency } => *frequency = set,
                other => panic!("the frequency of {other:?}"),
            }
        }
    }

    fn page(number: u32) -> PageId {
        PageId::new(TablespaceId::MAIN, number)
    }

    impl Cache {
        fn new(frames: u32) -> Cache {
            let mut cache = Cache::default();
            cache.queues.add(0..frames);
            cache.frames = RefCell::new(vec![(None, Probe::Empty); frames as usize]);
            cache
        }

        /// Whether the page was there.
        fn read(&mut self, number: u32) -> bool {
            let id = page(number);
            if let Some(&at) = self.at.get(&id) {
                if let Probe::Clean { frequency } = &mut self.frames.borrow_mut()[at].1 {
                    *frequency = (*frequency + 1).min(3);
                }
                return true;
            }
            let victim = self.queues.take(&self.frames, 100).expect("no frame is held");
            let (old, probe) = &mut self.frames.borrow_mut()[victim.no as usize];
            if let Some(old) = old.replace(id) {
                self.at.remove(&old);
                if victim.queue == Queue::Small {
                    self.queues.forget(old);
                }
            }
            *probe = Probe::Clean { frequency: 0 };
            self.at.insert(id, victim.no as usize);
            self.queues.admit(victim.no, id);
            false
        }
    }

    #[test]
    fn a_scan_leaves_the_hot_pages() {
        let mut cache = Cache::new(100);
        for _ in 0..5 {
            for hot in 0..50 {
                cache.read(hot);
            }
        }
        for cold in 1000..3000 {
            cache.read(cold);
        }
        let hits = (0..50).filter(|&hot| cache.read(hot)).count();
        assert_eq!(hits, 50);
    }

    #[test]
    fn a_page_that_comes_back_goes_to_the_main_queue() {
        let mut cache = Cache::new(10);
        for number in 0..11 {
            cache.read(number);
        }
        assert!(!cache.at.contains_key(&page(0)), "the oldest page left");
        assert_eq!(cache.queues.queue_lengths(), [10, 0, 1]);
        cache.read(0);
        let [_, main, _] = cache.queues.queue_lengths();
        assert_eq!(main, 1);
    }

    #[test]
    fn held_frames_stay_and_dirty_ones_leave_last() {
        let mut cache = Cache::new(10);
        for number in 0..10 {
            cache.read(number);
        }
        for (index, (_, probe)) in cache.frames.borrow_mut().iter_mut().enumerate() {
            *probe = match index {
                0..=1 => Probe::Pinned,
                2..=3 => Probe::NotDurable,
                4..=7 => Probe::Dirty { frequency: 0 },
                _ => Probe::Clean { frequency: 0 },
            };
        }
        let mut taken: Vec<FrameNo> = Vec::new();
        let none = loop {
            match cache.queues.take(&cache.frames, 100) {
                Ok(victim) => taken.push(victim.no),
                Err(none) => break none,
            }
        };
        assert!(none.not_durable);
        taken[..2].sort_unstable();
        taken[2..].sort_unstable();
        assert_eq!(taken, [8, 9, 4, 5, 6, 7]);
        assert_eq!(cache.queues.in_flux(), 6);
    }

    #[test]
    fn the_ghost_is_bounded() {
        let mut cache = Cache::new(20);
        for number in 0..10_000 {
            cache.read(number);
        }
        let [_, _, ghosts] = cache.queues.queue_lengths();
        assert_eq!(ghosts, 18);
    }
}
