//! A directory is read with nothing but docs/format/kernel.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use crc_fast::{CrcAlgorithm, checksum};
use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::SimDisk;

use crate::golden::all_of_the_format;

fn u16_at(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()).into()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn crc(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The pages of the main tablespace.
struct Pages(Vec<u8>);

/// Key, version, flags and value of each cell.
type Cells = Vec<(Vec<u8>, u64, u8, Vec<u8>)>;

impl Pages {
    fn page(&self, number: u64, owner: u64) -> &[u8] {
        let page = &self.0[number as usize * 8192..][..8192];
        assert_eq!(u32_at(page, 0), crc(&page[4..]), "checksum of page {number}");
        assert_eq!(page[4], 1, "format version");
        assert_eq!(u64_at(page, 8), number);
        assert_eq!(u64_at(page, 24), owner);
        page
    }

    fn cells(&self, page: &[u8]) -> Cells {
        let slots = 48..48 + 8 * u16_at(page, 32);
        slots
            .step_by(8)
            .map(|at| {
                let cell = &page[u16_at(page, at)..][..u16_at(page, at + 2)];
                let (key, value) = cell[12..].split_at(u16_at(cell, 8));
                let mut head = [0; 4];
                let rest = key.get(u16_at(page, 44)..).unwrap_or_default();
                let length = rest.len().min(4);
                head[..length].copy_from_slice(&rest[..length]);
                assert_eq!(
                    u32_at(page, at + 4),
                    u32::from_be_bytes(head),
                    "first bytes of the key"
                );
                (key.to_vec(), u64_at(cell, 0), cell[10], value.to_vec())
            })
            .collect()
    }

    /// All cells of the leaves below the page.
    fn leaves(&self, number: u64, owner: u64) -> Cells {
        let page = self.page(number, owner);
        match (page[5], page[38]) {
            (3, 0) => self.cells(page),
            (4, 1..) => {
                let children = self.cells(page);
                children
                    .iter()
                    .flat_map(|child| self.leaves(u64_at(&child.3, 0), owner))
                    .collect()
            }
            other => panic!("page {number} has kind and level {other:?}"),
        }
    }

    /// What the newest commit left: key to value.
    fn newest(&self, root: u64, owner: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut found = BTreeMap::new();
        for (key, _, flags, value) in self.leaves(root, owner).into_iter().rev() {
            // Newest first, so from behind the newest comes last.
            match flags {
                0 => found.insert(key, value),
                1 => found.remove(&key),
                2 => found.insert(key, self.long_value(&value, owner)),
                _ => panic!("flags {flags}"),
            };
        }
        found
    }

    fn long_value(&self, cell: &[u8], owner: u64) -> Vec<u8> {
        let (mut number, mut value) = (u64_at(cell, 4), Vec::new());
        for place in 0.. {
            let page = self.page(number, owner);
            assert_eq!(page[5], 5);
            assert_eq!(u32_at(page, 60), place);
            value.extend_from_slice(&page[64..][..u32_at(page, 56) as usize]);
            number = u64_at(page, 48);
            if number == 0 {
                break;
            }
        }
        assert_eq!(value.len(), u32_at(cell, 0) as usize);
        value
    }
}

#[test]
fn a_directory_has_the_documented_bytes() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let kernel = all_of_the_format(&disk, &clock);
    let snapshot = kernel.snapshot();
    let expected: Vec<BTreeMap<Vec<u8>, Vec<u8>>> = (0..6)
        .map(|space| {
            let entries = snapshot.scan(space, &[], None, usize::MAX).unwrap();
            entries
                .into_iter()
                .map(|(key, version)| (key, version.value))
                .collect()
        })
        .collect();
    let (epoch, newest, extent) = (kernel.epoch(), kernel.newest(), kernel.log_extent());
    drop(snapshot);
    drop(kernel);

    let contents = disk.contents();
    let file = |path: &str| contents[path].clone().unwrap();
    let control = file("kernel/control");
    assert_eq!(control.len(), 2 * 4096);
    let slots: Vec<&[u8]> = control.chunks(4096).collect();
    for slot in &slots {
        assert_eq!(&slot[..8], b"RDBCTRL\0");
        let mut zeroed = slot.to_vec();
        zeroed[12..16].fill(0);
        assert_eq!(u32_at(slot, 12), crc(&zeroed));
    }
    assert_eq!(
        u64_at(slots[0], 16) % 2,
        1,
        "the first checkpoint is in the first slot"
    );
    let slot = slots.into_iter().max_by_key(|slot| u64_at(slot, 16)).unwrap();
    assert_eq!(u32_at(slot, 8), 3);
    assert_eq!(u64_at(slot, 24), epoch);
    assert_eq!(u64_at(slot, 48), newest.0);
    assert_eq!(u64_at(slot, 72), extent.trimmed_to.0);
    assert_eq!(u64_at(slot, 56) - u64_at(slot, 80), extent.totals.entries);
    assert_eq!(u64_at(slot, 64) - u64_at(slot, 88), extent.totals.bytes);
    assert_eq!(u64_at(slot, 104), 1_700_000_000_000_000);

    let pages = Pages(file("kernel/tablespaces/00000/0000.pages"));
    let header = pages.page(0, 0);
    assert_eq!(header[5], 1);
    assert_eq!(u32_at(header, 48) as usize * 8192, pages.0.len());
    let map = pages.page(1, 0);
    assert_eq!(map[5], 2);
    assert_eq!(
        map[64] & 0b1111,
        0b1111,
        "header, map, directory and graveyard are in use"
    );

    let directory = pages.newest(2, u64::MAX);
    for (space, expected) in expected.iter().enumerate() {
        let record = directory.get(&(space as u64).to_be_bytes()[..]);
        assert_eq!(record.is_some(), matches!(space, 1 | 2 | 3 | 5), "space {space}");
        let Some(record) = record else { continue };
        assert_eq!(record.len(), 40);
        assert_eq!(pages.newest(u64_at(record, 0), space as u64), *expected);
        let bytes: usize = expected.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert_eq!(u64_at(record, 8), expected.len() as u64);
        assert_eq!(u64_at(record, 16), bytes as u64);
    }
    let graveyard = pages.newest(3, u64::MAX - 1);
    let (root, record) = graveyard.iter().next().unwrap();
    let root = u64::from_be_bytes(root.as_slice().try_into().unwrap());
    assert_eq!(
        (u64_at(record, 0), u64_at(record, 8)),
        (4, 7),
        "space 4, dropped by commit 7"
    );
    assert_eq!(pages.newest(root, 4)[&b"gone"[..]], vec![b'g'; 1_800]);
}
