//! Random work on a tiny pool against a map.

use std::collections::BTreeMap;

use super::*;
use rustydb_runtime::SeededRng;

const PAGES: u64 = 60;
const STEPS: usize = 6000;

/// What a page was set to by each group, oldest first.
type History = Vec<(Lsn, u64)>;

struct Model {
    fixture: Fixture,
    rng: SeededRng,
    pages: BTreeMap<PageId, History>,
    pins: Vec<Pin>,
    next_value: u64,
    /// How often each kind of step was done.
    done: BTreeMap<&'static str, u64>,
}

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            fixture: Fixture::new(10),
            rng: SeededRng::new(seed),
            pages: BTreeMap::new(),
            pins: Vec::new(),
            next_value: 1,
            done: BTreeMap::new(),
        }
    }

    fn any(&self) -> PageId {
        id(self.rng.below(PAGES) as u32)
    }

    fn step(&mut self) {
        let failing = self.rng.below(50) == 0;
        self.fixture.disk.fail.store(failing, Ordering::SeqCst);
        let (name, result) = match self.rng.below(100) {
            0..=39 => ("read", self.read()),
            40..=64 => ("group", self.group()),
            65..=69 => ("pin", self.pin()),
            70..=74 => ("flush page", self.fixture.pool.flush_page(self.any()).map(drop)),
            75..=79 => ("flush some", self.flush_some()),
            80 => ("flush all", self.flush_all()),
            81..=83 => ("resize", self.resize()),
            84..=87 => ("prefetch", self.prefetch()),
            88..=89 => ("discard", self.discard()),
            90..=95 => ("sync", {
                self.fixture.log.sync();
                Ok(())
            }),
            _ => ("pin and let go", self.pin_new_only()),
        };
        match result {
            Ok(()) => *self.done.entry(name).or_default() += 1,
            Err(KernelError::Io { .. }) if failing => *self.done.entry("failed").or_default() += 1,
            Err(error) => panic!("{name}: {error}"),
        }
        self.fixture.disk.fail.store(false, Ordering::SeqCst);
    }

    fn expected(&self, id: PageId) -> Option<u64> {
        Some(self.pages.get(&id)?.last()?.1)
    }

    fn read(&mut self) -> Result<()> {
        let id = self.any();
        match (self.fixture.value(id), self.expected(id)) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected, "{id}"),
            (Err(KernelError::CorruptPage { what, .. }), None) => assert_eq!(what, "never written"),
            (Err(KernelError::Io { .. }), _) => {
                return self.fixture.value(id).map(drop);
            }
            (found, expected) => panic!("{id} is {found:?}, not {expected:?}"),
        }
        Ok(())
    }

    /// Changes a few pages as a group does: all frames first.
    fn group(&mut self) -> Result<()> {
        let ids: Vec<PageId> = (0..=self.rng.below(3)).map(|_| self.any()).collect();
        let mut pins = Vec::new();
        for id in ids {
            pins.push(if self.pages.contains_key(&id) {
                self.fixture.pool.pin(id)?
            } else {
                self.fixture.pool.pin_new(id)?
            });
        }
        let lsn = self.fixture.log.append();
        for pin in &pins {
            self.next_value += 1;
            pin.install(&page(pin.id(), self.next_value), lsn);
            let history = self.pages.entry(pin.id()).or_default();
            history.push((lsn, self.next_value));
        }
        Ok(())
    }

    fn pin(&mut self) -> Result<()> {
        if self.pins.len() > 2 {
            self.pins.swap_remove(self.rng.below(3) as usize);
        }
        let id = self.any();
        if self.pages.contains_key(&id) {
            self.pins.push(self.fixture.pool.pin(id)?);
        }
        Ok(())
    }

    fn pin_new_only(&mut self) -> Result<()> {
        let id = self.any();
        if !self.pages.contains_key(&id) {
            self.fixture.pool.pin_new(id).map(drop)?;
        }
        Ok(())
    }

    fn flush_some(&mut self) -> Result<()> {
        let pages_max = self.rng.below(10) as usize;
        let flushed = self.fixture.pool.flush_some(pages_max)?;
        assert!(flushed.pages + flushed.not_durable <= pages_max as u64);
        Ok(())
    }

    fn flush_all(&mut self) -> Result<()> {
        self.fixture.pool.flush_all()?;
        assert_eq!(self.fixture.pool.oldest_dirty(), None);
        Ok(())
    }

    fn resize(&mut self) -> Result<()> {
        let frames = 8 + self.rng.below(40) as usize;
        let reached = self.fixture.pool.resize(frames)?;
        // Few enough are pinned that others can leave in their place.
        assert_eq!(reached, frames);
        Ok(())
    }

    fn prefetch(&mut self) -> Result<()> {
        let first = self.rng.below(PAGES) as u32;
        let ids: Vec<PageId> = (first..first + 5).map(id).collect();
        let there: Vec<PageId> = ids
            .iter()
            .copied()
            .filter(|id| self.pages.contains_key(id))
            .collect();
        self.fixture.pool.prefetch(&there).map(drop)
    }

    /// Frees a page: what the disk has of it is of no interest from here on.
    fn discard(&mut self) -> Result<()> {
        let id = self.any();
        let pinned = self.pins.iter().any(|pin| pin.id() == id);
        let there = self.fixture.pool.page_info(id).is_some();
        let discarded = self.fixture.pool.discard(id);
        assert_eq!(discarded, there && !pinned, "{id}");
        if discarded {
            self.pages.remove(&id);
            self.fixture.disk.remove(id);
        }
        Ok(())
    }

    /// What the disk has, with redo from the recovery LSN, makes every page what it should be.
    fn check_recovery(&self) {
        for (id, history) in &self.pages {
            let since = self.fixture.pool.page_info(*id).and_then(|info| info.dirty_since);
            let needed = history
                .iter()
                .rev()
                .find(|(lsn, _)| since.is_none_or(|since| *lsn < since));
            let Some((needed, _)) = needed else { continue };
            let stored = self.fixture.disk.get(*id);
            let stored = stored.unwrap_or_else(|| panic!("{id} is on the disk"));
            let lsn = header::lsn(stored.as_slice());
            assert!(
                lsn >= *needed,
                "{id} on the disk is of {lsn}, redo begins after {needed}"
            );
            let (_, expected) = history
                .iter()
                .rev()
                .find(|(at, _)| *at == lsn)
                .expect("a group's LSN");
            assert_eq!(value(&stored), *expected, "{id} of {lsn}");
        }
    }
}

#[test]
fn the_pool_is_a_map_of_pages() {
    let mut done: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..12 {
        eprintln!("seed {seed}");
        let mut model = Model::new(seed);
        for step in 0..STEPS {
            model.step();
            if step % 50 == 0 {
                model.check_recovery();
            }
        }
        model.pins.clear();
        model.flush_all().expect("the disk works");
        for id in (0..PAGES as u32).map(id) {
            let stored = model.fixture.disk.get(id).map(|page| value(&page));
            assert_eq!(stored, model.expected(id), "{id} on the disk");
        }
        let info = model.fixture.pool.info();
        assert_eq!((info.pinned, info.dirty), (0, 0));
        for (name, count) in model.done {
            *done.entry(name).or_default() += count;
        }
        let counts = model.fixture.pool.counts();
        assert!(
            counts.evictions_with_write > 0 && counts.evicted_aged > 0,
            "{counts:?}"
        );
    }
    assert!(done.values().all(|&count| count > 10), "{done:?}");
    assert_eq!(done.len(), 12, "{done:?}");
}
