//! Random groups against a vector of them.

use rustydb_runtime::SeededRng;
use rustydb_runtime::disk::SimDisk;

use super::support::{Kept, SMALL, append, length, open, read_after, seeds, setup};
use crate::ids::Ts;
use crate::wal::Wal;

#[test]
fn what_was_appended_is_read_back_after_opening_and_by_readers() {
    for seed in seeds(0..40) {
        eprintln!("seed {seed}");
        let rng = SeededRng::new(seed);
        let disk = SimDisk::new(seed);
        let mut wal = Wal::create(setup(&disk, SMALL), Ts(7)).expect("create");
        let (beginning, mut from, mut ts) = (wal.position(), wal.position(), 7);
        let mut model: Vec<Kept> = Vec::new();
        for _ in 0..rng.below(120) {
            match rng.below(12) {
                0 => wal.flush().expect("flush"),
                1 => {
                    wal.flush().expect("flush");
                    from = wal.position();
                }
                2 if rng.below(4) == 0 => wal.switch_segment().expect("switch"),
                3 => wal.seal().expect("seal"),
                4 => {
                    wal.flush().expect("flush");
                    drop(wal);
                    let (opened, groups) = open(setup(&disk, SMALL), from).expect("open");
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|kept| kept.lsn >= from.lsn)
                        .cloned()
                        .collect();
                    assert_eq!(groups, expected);
                    wal = opened;
                    assert_eq!(wal.durable(), wal.end());
                }
                5 => {
                    wal.flush().expect("flush");
                    let after = Ts(7 + rng.below(ts - 6));
                    let expected: Vec<_> = model.iter().filter(|kept| kept.ts > after).cloned().collect();
                    assert_eq!(read_after(&wal, after).expect("read"), expected);
                }
                _ => {
                    ts += rng.below(3).min(1);
                    model.push(append(&wal, &rng, Ts(ts), length(&rng)).expect("append"));
                    assert_eq!(model.last().map(|kept| kept.end), Some(wal.end()));
                }
            }
        }
        wal.flush().expect("flush");
        assert_eq!(
            read_after(&wal, Ts(7)).expect("read"),
            model
                .iter()
                .filter(|kept| kept.ts > Ts(7))
                .cloned()
                .collect::<Vec<_>>()
        );
        drop(wal);
        let (_, groups) = open(setup(&disk, SMALL), beginning).expect("open");
        assert_eq!(groups, model);
    }
}
