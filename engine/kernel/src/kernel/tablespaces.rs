//! Tablespaces: the main one, and raw ones that clients make for pages of their own.
//!
//! Which raw tablespaces there are says the registry, a space of the directory that is made when the first of them is.
//! A folder is made before the record that tells of it, and removed after that record: so a record has its folder, and a
//! folder without a record is what a crash left. The next opening removes it.

use std::collections::BTreeMap;

use super::raw::{RawError, RawResult};
use super::{Inner, Kernel, REGISTRY};
use crate::error::{KernelError, Result};
use crate::group::Capacity;
use crate::group::work::copy_of;
use crate::ids::{PageId, TablespaceId, Ts};
use crate::page::bitmap;
use crate::planted::planted;
use crate::pool;
use crate::tree::read::Scan;

/// Fewest pages of a tablespace: its header, its map and one to use.
pub(super) const PAGES_MIN: u32 = 3;
/// Longest name of a tablespace, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Name of the main tablespace.
const MAIN_NAME: &str = "main";

/// Whose pages a tablespace holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TablespaceKind {
    /// Of tables, indexes and the catalog.
    System,
    /// Of clients, who know what is in them.
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TablespaceState {
    Online,
    /// Its pages can't be changed.
    ReadOnly,
}

/// A tablespace as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablespaceDef {
    pub id: TablespaceId,
    pub name: String,
    pub kind: TablespaceKind,
    pub state: TablespaceState,
    /// Where its files lie on the store's disk.
    pub folder: String,
    pub files: u32,
    /// Pages that it has grown to.
    pub pages: u32,
    /// Of them, pages in use: its header and maps too.
    pub pages_in_use: u32,
    /// Pages that it may grow to.
    pub pages_max: u32,
    /// Microseconds since the Unix epoch.
    pub created_at_us: i64,
}

/// The raw tablespaces.
pub(super) type Registry = BTreeMap<TablespaceId, Record>;

/// What the registry says of a tablespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub name: String,
    pub state: TablespaceState,
    pub created_at_us: i64,
}

impl Record {
    /// State (1), when it was made (8), name.
    fn to_bytes(&self) -> Vec<u8> {
        let state = match self.state {
            TablespaceState::Online => 0,
            TablespaceState::ReadOnly => 1,
        };
        let mut bytes = vec![state];
        bytes.extend_from_slice(&self.created_at_us.to_le_bytes());
        bytes.extend_from_slice(self.name.as_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Record> {
        let (state, rest) = bytes.split_first()?;
        let (created_at_us, name) = rest.split_first_chunk()?;
        Some(Record {
            name: String::from_utf8(name.to_vec()).ok()?,
            state: match state {
                0 => TablespaceState::Online,
                1 => TablespaceState::ReadOnly,
                _ => return None,
            },
            created_at_us: i64::from_le_bytes(*created_at_us),
        })
    }
}

impl Kernel {
    /// All tablespaces in the order of their numbers, the main one first.
    pub fn tablespaces(&self) -> RawResult<Vec<TablespaceDef>> {
        let registry = self.inner.registry.read();
        let ids = std::iter::once(&TablespaceId::MAIN).chain(registry.keys());
        ids.map(|id| self.inner.tablespace(&registry, *id)).collect()
    }

    pub fn tablespace(&self, id: TablespaceId) -> RawResult<TablespaceDef> {
        self.inner.tablespace(&self.inner.registry.read(), id)
    }

    /// Makes a raw tablespace of `pages` pages, rounded up to whole extents, that may grow to `pages_max`. It has the lowest
    /// number that is free, and is durable when this returns.
    ///
    /// # Errors
    /// `TablespaceExists`, `TooManyTablespaces`, `LimitBelowUse` when `pages_max` is below `pages` or below what an empty
    /// tablespace needs, and `DiskFull`.
    pub fn create_tablespace(&self, name: &str, pages: u32, pages_max: u32) -> RawResult<TablespaceDef> {
        let inner = &*self.inner;
        let mut registry = inner.registry.write();
        if name == MAIN_NAME || registry.values().any(|record| record.name == name) {
            let name = name.to_owned();
            return Err(RawError::TablespaceExists { name });
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(RawError::Kernel(KernelError::TooLarge {
                what: "name of a tablespace",
                size: name.len(),
                size_max: NAME_BYTES_MAX,
            }));
        }
        let id = lowest_free(&registry).ok_or(RawError::TooManyTablespaces)?;
        let pages = pages.max(PAGES_MIN);
        if pages_max < pages {
            return Err(RawError::LimitBelowUse {
                id: id.0,
                pages,
                pages_max,
            });
        }
        inner.check_poison()?;
        inner.files.create_tablespace(id)?;
        let record = Record {
            name: name.to_owned(),
            state: TablespaceState::Online,
            created_at_us: inner.clock.now_us(),
        };
        let made = inner.register(id, &record, pages, pages_max);
        if made.is_err() && inner.check_poison().is_ok() {
            // Nothing of it is in the log. A folder that stays is removed by the next opening, or used by the next that is made.
            let _ = inner.files.remove_tablespace(id);
        }
        made?;
        registry.insert(id, record);
        inner.tablespace(&registry, id)
    }

    /// Changes the limit or the state of a tablespace; of the main one the limit only.
    ///
    /// # Errors
    /// `TablespaceNotFound`, `TablespaceIsSystem`, and `LimitBelowUse` when it has more pages already.
    pub fn alter_tablespace(
        &self,
        id: TablespaceId,
        pages_max: Option<u32>,
        state: Option<TablespaceState>,
    ) -> RawResult<TablespaceDef> {
        let inner = &*self.inner;
        let mut registry = inner.registry.write();
        if id == TablespaceId::MAIN && state.is_some() {
            return Err(RawError::TablespaceIsSystem { id: id.0 });
        }
        let capacity = inner.capacity(&registry, id)?;
        if let Some(pages_max) = pages_max.filter(|pages_max| *pages_max < capacity.pages) {
            return Err(RawError::LimitBelowUse {
                id: id.0,
                pages: capacity.pages,
                pages_max,
            });
        }
        let mut record = registry.get(&id).cloned();
        let changed = match (&mut record, state) {
            (Some(record), Some(state)) if record.state != state => {
                record.state = state;
                Some(record.to_bytes())
            }
            _ => None,
        };
        let ticket = {
            let mut committer = inner.committer.lock();
            let (ts, now_us) = (committer.applied, inner.clock.now_us());
            let made = inner.make(&mut committer, ts, now_us, |commit| {
                if let Some(pages_max) = pages_max.filter(|pages_max| *pages_max != capacity.pages_max) {
                    commit.group.limit(id, pages_max)?;
                }
                match &changed {
                    Some(record) => commit.put(REGISTRY, &key(id), Some(record)),
                    None => Ok(()),
                }
            });
            made?.1
        };
        inner.make_visible(ticket.end)?;
        if let Some(record) = record {
            registry.insert(id, record);
        }
        inner.tablespace(&registry, id)
    }

    /// Removes a raw tablespace with all its pages. Pins of clients on them are let go of.
    ///
    /// # Errors
    /// `TablespaceNotFound` and `TablespaceIsSystem`. After an `Io` error the tablespace is gone, and what is left of its
    /// files is removed when the store is opened.
    pub fn drop_tablespace(&self, id: TablespaceId) -> RawResult<()> {
        let inner = &*self.inner;
        let mut registry = inner.registry.write();
        if id == TablespaceId::MAIN {
            return Err(RawError::TablespaceIsSystem { id: id.0 });
        }
        if !registry.contains_key(&id) {
            return Err(RawError::TablespaceNotFound { id: id.0 });
        }
        // A checkpoint would sync files that are removed meanwhile.
        let _no_checkpoint = inner.checkpointing.lock();
        let mut committer = inner.committer.lock();
        let (ts, now_us) = (committer.applied, inner.clock.now_us());
        let ((), ticket) = inner.make(&mut committer, ts, now_us, |commit| {
            commit.put(REGISTRY, &key(id), None)
        })?;
        if !planted!("files-removed-before-record") {
            inner.make_visible(ticket.end)?;
        }
        registry.remove(&id);
        committer.hints.remove(&id);
        inner.staged.lock().retain(|page| page.tablespace() != id);
        inner.remove_files(id)?;
        inner.make_visible(ticket.end)?;
        Ok(())
    }
}

impl Inner {
    /// Makes the pages of a tablespace whose folder is there, and its record: one group, durable when this returns.
    fn register(&self, id: TablespaceId, record: &Record, pages: u32, pages_max: u32) -> Result<()> {
        let ticket = {
            let mut committer = self.committer.lock();
            let (ts, now_us) = (committer.applied, self.clock.now_us());
            let ((), ticket) = self.make(&mut committer, ts, now_us, |commit| {
                commit.group.format_tablespace(id, 0, pages_max)?;
                commit.group.grow_to(id, pages)?;
                commit.put(REGISTRY, &key(id), Some(&record.to_bytes()))
            })?;
            ticket
        };
        self.make_visible(ticket.end)
    }

    /// Forgets the pages of a tablespace, and removes its files.
    fn remove_files(&self, id: TablespaceId) -> Result<()> {
        self.pool.discard_tablespace(id);
        let removed = self.files.remove_tablespace(id);
        // Those that were read meanwhile.
        self.pool.discard_tablespace(id);
        removed
    }

    /// Learns which raw tablespaces there are, and removes what a crash left of others.
    pub(super) fn load_registry(&self) -> Result<()> {
        let mut registry = self.registry.write();
        *registry = self.stored_registry()?;
        for id in registry.keys().filter(|id| !self.files.has_tablespace(**id)) {
            // Somebody has removed it. Whoever reads its pages is told that they are not there.
            self.files.create_tablespace(*id)?;
        }
        for found in self.files.tablespaces() {
            let orphan = found.id != TablespaceId::MAIN && !registry.contains_key(&found.id);
            if orphan && !planted!("orphan-folder-kept") {
                self.remove_files(found.id)?;
            }
        }
        Ok(())
    }

    /// The registry as its tree has it.
    pub(super) fn stored_registry(&self) -> Result<Registry> {
        let mut registry = Registry::new();
        let Some(space) = self.space_at(&self.pool, REGISTRY, Ts::MAX)? else {
            return Ok(registry);
        };
        let mut scan = Scan::new(&self.pool, space.tree(REGISTRY), Ts::MAX, &[], None);
        while let Some((key, version)) = scan.next_entry()? {
            let id = key.as_slice().try_into().map(u16::from_be_bytes).ok();
            let entry = id.map(TablespaceId).zip(Record::parse(&version.value));
            let (id, record) =
                entry.ok_or_else(|| KernelError::misshapen(space.root, "record of a tablespace"))?;
            registry.insert(id, record);
        }
        Ok(registry)
    }

    fn tablespace(&self, registry: &Registry, id: TablespaceId) -> RawResult<TablespaceDef> {
        let capacity = self.capacity(registry, id)?;
        let pages_in_use = self.pages_in_use(id, capacity)?;
        let info = self.files.tablespace_info(id)?;
        let record = registry.get(&id);
        Ok(TablespaceDef {
            id,
            name: record.map_or(MAIN_NAME, |record| &record.name).to_owned(),
            kind: match record {
                Some(_) => TablespaceKind::Raw,
                None => TablespaceKind::System,
            },
            state: record.map_or(TablespaceState::Online, |record| record.state),
            folder: info.folder,
            files: info.files,
            pages: capacity.pages,
            pages_in_use,
            pages_max: capacity.pages_max,
            created_at_us: match record {
                Some(record) => record.created_at_us,
                None => self.control.newest().created_at_us,
            },
        })
    }

    /// What page 0 of a tablespace says.
    pub(super) fn capacity(&self, registry: &Registry, id: TablespaceId) -> RawResult<Capacity> {
        if id != TablespaceId::MAIN && !registry.contains_key(&id) {
            return Err(RawError::TablespaceNotFound { id: id.0 });
        }
        Ok(Capacity::of(&copy_of(&self.pool, PageId::new(id, 0))?))
    }

    /// Pages that the maps say are in use.
    pub(super) fn pages_in_use(&self, id: TablespaceId, capacity: Capacity) -> Result<u32> {
        let mut in_use = 0;
        let maps = (0..).map(bitmap::map_page);
        for map in maps.take_while(|map| *map < capacity.pages) {
            in_use += self.pool.read(PageId::new(id, map), |view| {
                let words = bitmap::BITS / 8..crate::page::PAGE_BYTES / 8;
                words
                    .map(|index| Ok::<_, pool::Torn>(view.word(index)?.count_ones()))
                    .sum::<Result<u32, _>>()
            })?;
        }
        Ok(in_use)
    }
}

/// Key of a tablespace in the registry.
fn key(id: TablespaceId) -> [u8; 2] {
    id.0.to_be_bytes()
}

/// The lowest number that no tablespace has.
fn lowest_free(registry: &Registry) -> Option<TablespaceId> {
    let ids = (TablespaceId::MAIN.0 + 1..=u16::MAX).map(TablespaceId);
    ids.into_iter().find(|id| !registry.contains_key(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: String) -> Record {
        Record {
            name,
            state: TablespaceState::ReadOnly,
            created_at_us: -3,
        }
    }

    #[test]
    fn numbers_are_given_out_from_the_lowest_until_all_are() {
        let mut registry = Registry::new();
        assert_eq!(lowest_free(&registry), Some(TablespaceId(1)));
        for number in 1..=u16::MAX {
            registry.insert(TablespaceId(number), record(number.to_string()));
        }
        assert_eq!(lowest_free(&registry), None);
        registry.remove(&TablespaceId(300));
        registry.remove(&TablespaceId(40_000));
        assert_eq!(lowest_free(&registry), Some(TablespaceId(300)));
    }

    #[test]
    fn a_record_is_what_its_bytes_say_and_other_bytes_are_none() {
        let record = record("näme".to_owned());
        let bytes = record.to_bytes();
        assert_eq!(Record::parse(&bytes), Some(record));
        assert_eq!(Record::parse(&bytes[..8]), None);
        assert_eq!(Record::parse(&[&[2], &bytes[1..]].concat()), None);
        assert_eq!(Record::parse(&[&bytes[..], &[0xff]].concat()), None);
    }
}
