//! Pages against plain models: a list of cells, a sorted list of version keys, a row of bits.

mod bitmap;
mod garbage;
mod node;
mod overflow;
mod redo;
mod slotted;

use rustydb_runtime::{Rng, SeededRng};

use super::header::{self, PageKind};
use super::{PageBuf, slotted as cells};
use crate::ids::{PageId, TablespaceId};

/// Runs `test` once for each of `count` seeds, or for `RUSTYDB_SEED` alone, and prints the seed.
fn each_seed(count: u64, test: impl Fn(&SeededRng)) {
    let given: Option<u64> = std::env::var("RUSTYDB_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        eprintln!("RUSTYDB_SEED={seed}");
        test(&SeededRng::new(seed));
    }
}

fn id() -> PageId {
    PageId::new(TablespaceId::MAIN, 77)
}

fn empty(kind: PageKind) -> PageBuf {
    let mut page = PageBuf::zeroed();
    header::initialise(&mut page[..], id(), kind);
    if kind == PageKind::RawSlotted {
        cells::clear_all(&mut page);
    }
    page
}

fn random_bytes(rng: &SeededRng, bytes_max: u64) -> Vec<u8> {
    let mut bytes = vec![0; rng.below(bytes_max + 1) as usize];
    rng.fill(&mut bytes);
    bytes
}

/// Most cells are short, some take a good part of the page.
fn random_cell(rng: &SeededRng) -> Vec<u8> {
    random_bytes(rng, if rng.below(20) == 0 { 2500 } else { 90 })
}
