#![allow(clippy::unwrap_used, clippy::print_stdout)]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::seam::Write;

const SPACE: SpaceId = SpaceId(2_000);

fn range(from: &[u8], until: Option<&[u8]>) -> KeyRange {
    KeyRange {
        from: Some(from.to_vec()),
        after: None,
        until: until.map(<[u8]>::to_vec),
    }
}

fn writing(space: SpaceId, keys: &[&[u8]]) -> WriteBatch {
    let write = |key: &&[u8]| Write {
        space,
        key: key.to_vec(),
        expected: None,
        value: Some(vec![1]),
    };
    WriteBatch {
        writes: keys.iter().map(write).collect(),
        ..WriteBatch::default()
    }
}

#[test]
fn a_read_set_holds_just_what_was_read() {
    let seed = std::env::var("RUSTYDB_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..200 {
        let (mut reads, mut model) = (ReadSet::default(), [false; 64]);
        for _ in 0..rng.random_range(1..20) {
            let (one, other) = (rng.random_range(0..64u8), rng.random_range(0..=64u8));
            match rng.random_range(0..4) {
                0 => {
                    reads.key(SPACE, &[one]);
                    model[one as usize] = true;
                }
                1 => {
                    reads.range(SPACE, &range(&[one], None));
                    model[one as usize..].fill(true);
                }
                2 => {
                    // From behind a key: the key itself is not in it.
                    let behind = KeyRange {
                        after: Some(vec![one]),
                        until: Some(vec![other]),
                        from: None,
                    };
                    reads.range(SPACE, &behind);
                    if one + 1 < other {
                        model[one as usize + 1..other as usize].fill(true);
                    }
                }
                _ => {
                    reads.range(SPACE, &range(&[one], Some(&[other])));
                    if one < other {
                        model[one as usize..other as usize].fill(true);
                    }
                }
            }
        }
        for key in 0..64u8 {
            assert_eq!(
                reads.touches(SPACE, &[key]),
                model[key as usize],
                "key {key}: {reads:?}"
            );
            assert!(!reads.touches(SpaceId(SPACE.0 + 1), &[key]));
        }
    }
}

#[test]
fn more_reads_than_are_told_apart_count_as_the_whole_space() {
    let mut reads = ReadSet::default();
    for key in 0..=READS_PER_SPACE_MAX as u64 {
        assert!(!reads.touches(SPACE, b"another"));
        reads.key(SPACE, &(2 * key).to_be_bytes());
    }
    assert!(reads.touches(SPACE, b"another"));
    assert_eq!(reads.spaces().next().unwrap().1.keys.len(), 0);
}

#[test]
fn only_later_commits_conflict_and_only_by_what_was_read() {
    let recent = RecentWrites::starting_at(CommitSeq(4));
    let _interest = recent.interest();
    let mut reads = ReadSet::default();
    reads.key(SPACE, b"b");
    reads.range(SPACE, &range(b"m", Some(b"p")));
    recent.note(CommitSeq(5), &writing(SPACE, &[b"b", b"n"]));
    assert_eq!(recent.conflict(&reads, CommitSeq(5)), None);
    recent.note(CommitSeq(6), &writing(SPACE, &[b"a", b"p"]));
    recent.note(CommitSeq(7), &writing(SpaceId(SPACE.0 + 1), &[b"b"]));
    assert_eq!(recent.conflict(&reads, CommitSeq(5)), None);
    // A key that was not there when its range was read.
    recent.note(CommitSeq(8), &writing(SPACE, &[b"nn"]));
    assert_eq!(
        recent.conflict(&reads, CommitSeq(5)),
        Some((SPACE, b"nn".to_vec()))
    );
    assert_eq!(recent.conflict(&reads, CommitSeq(8)), None);
    let dropping = WriteBatch {
        dropped_spaces: vec![SPACE],
        ..WriteBatch::default()
    };
    recent.note(CommitSeq(9), &dropping);
    assert_eq!(recent.conflict(&reads, CommitSeq(8)), Some((SPACE, Vec::new())));
    // Nobody knows what commits before the opening wrote.
    assert!(recent.conflict(&reads, CommitSeq(3)).is_some());
    assert_eq!(recent.conflict(&ReadSet::default(), CommitSeq(3)), None);
}

#[test]
fn what_is_forgotten_refuses_and_never_passes() {
    let recent = RecentWrites::default();
    let mut reads = ReadSet::default();
    reads.key(SPACE, b"x");
    recent.note(CommitSeq(1), &writing(SPACE, &[b"x"]));
    for commit in 2..2 + KEYS_IDLE_MAX as u64 {
        recent.note(CommitSeq(commit), &writing(SPACE, &[b"y"]));
    }
    assert!(recent.conflict(&reads, CommitSeq(0)).is_some());
    assert_eq!(recent.conflict(&reads, recent.newest()), None);
}
