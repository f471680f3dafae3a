//! What trees are made of, seen from within: bulk loads, and what groups tell of splits and merges.

use std::sync::Arc;

use rustydb_runtime::disk::simulated::{Fault, SimDisk};
use rustydb_runtime::{ManualClock, SeededRng};

use super::{Kernel, KernelEvents, KernelOptions};
use crate::group::{Group, KernelEvent, TreeEvent};
use crate::ids::TablespaceId;
use crate::page::node::{KEY_BYTES_MAX, VersionKey};
use crate::tree::bulk::BulkLoad;
use crate::tree::{Tree, verify};

const OWNER: u64 = 7;

fn kernel() -> Kernel {
    kernel_on(&SimDisk::new(1))
}

fn kernel_on(disk: &SimDisk) -> Kernel {
    let options = KernelOptions {
        pool_bytes: 4096 * 8192,
        background: false,
        ..KernelOptions::default()
    };
    let clock = Arc::new(ManualClock::new(0));
    Kernel::open(
        Arc::new(disk.clone()),
        "kernel",
        clock,
        &SeededRng::new(1),
        options,
    )
    .expect("an empty disk takes a store")
}

/// Ascending keys of all lengths, with values of all kinds of places: in the cell, and in overflow pages.
fn pairs(rng: &SeededRng, count: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..count)
        .map(|number| {
            let tail = match rng.below(50) {
                0 => KEY_BYTES_MAX - 8,
                _ => rng.below(30) as usize,
            };
            let key = [&number.to_be_bytes()[..], &vec![b'k'; tail]].concat();
            let value = match rng.below(100) {
                0 => rng.below(30_000),
                _ => rng.below(300),
            };
            (key, vec![number as u8; value as usize])
        })
        .collect()
}

fn new_tree(group: &mut Group<'_>) -> Tree {
    let root = group.allocate(TablespaceId::MAIN).expect("there is room");
    Tree { root, owner: OWNER }
}

/// The same keys one by one are the oracle; the shape is checked by `verify`.
#[test]
fn a_bulk_load_in_several_groups_holds_what_single_puts_do_in_fewer_pages() {
    let seed = 5;
    eprintln!("seed {seed}");
    for count in [0, 1, 40, 6_000] {
        let kernel = kernel();
        let pairs = pairs(&SeededRng::new(seed), count);
        let inner = &kernel.inner;
        let bulk = inner.change(|group| Ok(new_tree(group))).expect("a page");
        let mut load = BulkLoad::new(bulk);
        for part in pairs.chunks(500) {
            let pushed = inner.change(|group| {
                part.iter()
                    .try_for_each(|(key, value)| load.push(group, key, value))
            });
            pushed.expect("a part");
        }
        inner.change(|group| load.finish(group)).expect("the root");
        // From the greatest key down: the other end than the one that a bulk load fills from.
        let single = inner.change(|group| {
            let tree = new_tree(group);
            group.create_tree(tree)?;
            Ok(tree)
        });
        let single = single.expect("an empty tree");
        for part in pairs.rchunks(500) {
            let put = inner.change(|group| {
                let mut rows = part.iter().rev();
                rows.try_for_each(|(key, value)| group.put(single, key, Some(value)))
            });
            put.expect("a part");
        }
        let loaded = verify::all_versions(&inner.pool, bulk).expect("whole");
        assert_eq!(loaded.len(), pairs.len());
        assert!(
            loaded == verify::all_versions(&inner.pool, single).expect("whole"),
            "{count} keys"
        );
        let shape = |tree| verify::walk(&inner.pool, tree, &mut |_| {}).expect("sound");
        let (bulk, single) = (shape(bulk), shape(single));
        assert_eq!(bulk.versions, count);
        assert_eq!(bulk.overflow_pages, single.overflow_pages);
        assert!(
            bulk.leaf_pages <= single.leaf_pages,
            "{bulk:?}, by single puts {single:?}"
        );
    }
}

/// Somebody who listens: groups collect what they have to tell.
struct Deaf;

impl KernelEvents for Deaf {
    fn event(&self, _: KernelEvent) {}
}

/// Each page of a tree but its first came of a split that was told, and each that went of a merge.
#[test]
fn splits_and_merges_are_told_each_once() {
    let kernel = kernel();
    let inner = &kernel.inner;
    let pairs = pairs(&SeededRng::new(9), 3_000);
    let tree = inner.change(|group| {
        let tree = new_tree(group);
        group.create_tree(tree)?;
        Ok(tree)
    });
    let tree = tree.expect("an empty tree");
    kernel.listen(Some(Arc::new(Deaf)));
    let count = |events: &Option<Vec<KernelEvent>>| {
        let trees = || {
            events.iter().flatten().filter_map(|event| match event {
                KernelEvent::Tree(event) => Some(event),
                _ => None,
            })
        };
        let splits = trees().filter(|event| matches!(event, TreeEvent::Split { level: 0, .. }));
        let merges = trees().filter(|event| matches!(event, TreeEvent::Merge { level: 0, .. }));
        (splits.count() as u64, merges.count() as u64)
    };
    let told = inner.change(|group| {
        let mut rows = pairs.iter();
        rows.try_for_each(|(key, value)| group.put(tree, key, Some(value)))?;
        Ok(count(&group.events))
    });
    let (splits, merges) = told.expect("puts");
    let leaves = || {
        verify::walk(&inner.pool, tree, &mut |_| {})
            .expect("sound")
            .leaf_pages
    };
    let before = leaves();
    assert_eq!((before, merges), (1 + splits, 0));
    // Nine of ten go, for good: the horizon is the newest commit, which wrote them.
    let removed = inner.change(|group| {
        let mut rows = pairs.iter().enumerate().filter(|(number, _)| number % 10 > 0);
        rows.try_for_each(|(_, (key, _))| group.put(tree, key, None))?;
        Ok(count(&group.events).0)
    });
    let split_meanwhile = removed.expect("removals");
    let mut from = Some(VersionKey::FIRST.to_owned());
    let mut merges = 0;
    while let Some(next) = from {
        let tidied = inner.change(|group| {
            let next = group.tidy_leaf(tree, next.borrow())?;
            Ok((next, count(&group.events).1))
        });
        let (next, told) = tidied.expect("a leaf");
        merges += told;
        from = next;
    }
    let after = leaves();
    assert_eq!(after, before + split_meanwhile - merges);
    assert!(after < before / 2, "{after} of {before} leaves are left");
}

/// Rows come, and go in one commit and in many: steps give their pages back, once no snapshot sees them.
#[test]
fn removed_keys_give_their_pages_back_by_steps() {
    for (space, key_bytes, value_bytes, rows, pages_min) in [(5, 8, 1000, 4_000, 400), (6, 1000, 8, 300, 50)]
    {
        let kernel = kernel();
        let key = |number: u64| [&vec![7; key_bytes - 8][..], &number.to_be_bytes()].concat();
        let commit = |keys: std::ops::Range<u64>, value: Option<&[u8]>| {
            let made = kernel.commit(0, |commit| {
                let mut keys = keys.clone();
                keys.try_for_each(|number| commit.write(space, &key(number), value))
            });
            let ((), ticket) = made.expect("a commit");
            kernel.wait(ticket).expect("durable");
        };
        let steps = || {
            let mut steps = 0;
            while kernel.step().expect("a step") {
                steps += 1;
                assert!(steps < 10_000, "it does not end");
            }
        };
        let in_use = || {
            let report = kernel.check().expect("a check");
            assert_eq!(report.findings, []);
            report.pages_in_use
        };
        let value = vec![1; value_bytes];
        commit(0..1, Some(&value));
        let before = in_use();
        for each in [1, rows] {
            commit(1..rows, Some(&value));
            let full = in_use();
            assert!(full > before + pages_min, "{full}");
            let reader = kernel.snapshot();
            let mut first = 1;
            while first < rows {
                let until = (first + each).min(rows);
                commit(first..until, None);
                first = until;
            }
            steps();
            assert!(in_use() >= full, "somebody reads them");
            let seen = reader.scan(space, &[], None, usize::MAX).expect("rows");
            assert_eq!(seen.len() as u64, rows);
            drop(reader);
            steps();
            let left = in_use();
            assert!(
                left <= before + 4,
                "keys of {key_bytes} bytes: {left} pages are in use, {before} were: {:?}",
                kernel.check_space(space)
            );
        }
    }
}

/// Nobody knows then what of the pages is on the disk, whoever asked for the sync.
#[test]
fn a_failed_sync_of_pages_that_a_client_asked_for_is_final() {
    let disk = SimDisk::new(1);
    let kernel = kernel_on(&disk);
    let made = kernel.commit(0, |commit| commit.write(5, b"key", Some(b"value")));
    let ((), ticket) = made.expect("a commit");
    kernel.wait(ticket).expect("durable");
    kernel.pool().flush_all().expect("written");
    disk.inject(Fault::fail_sync(0).forever());
    kernel.sync_files().expect_err("the disk fails");
    disk.clear_faults();
    kernel.check_writable().expect_err("it is final");
    let refused = kernel.commit(0, |commit| commit.write(5, b"key", None));
    refused.expect_err("nothing is accepted any more");
}
