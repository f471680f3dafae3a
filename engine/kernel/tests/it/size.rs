//! The number of pages of a tree, counted without its leaves, against a walk through all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustydb_kernel::kernel::Kernel;
use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::SimDisk;

use crate::model::Act;
use crate::random::{commit, open};

/// Long keys that differ at their ends, so that few make a tree of several levels.
fn key(number: u64) -> Vec<u8> {
    [&[b'k'; 1_000][..], &number.to_be_bytes()].concat()
}

fn put(kernel: &Kernel, numbers: std::ops::Range<u64>, value: Option<&[u8]>) {
    for number in numbers {
        commit(
            kernel,
            &[Act::Write(1, key(number), value.map(<[u8]>::to_vec))],
            0,
        )
        .unwrap();
    }
}

/// Height, leaves and inner pages, as both say.
fn pages(kernel: &Kernel) -> (u32, u64, u64) {
    let size = kernel.tree_size(1).unwrap().unwrap();
    let shape = kernel.check_space(1).unwrap().unwrap();
    let counted = (size.height, size.leaf_pages, size.inner_pages);
    assert_eq!(counted, (shape.height, shape.leaf_pages, shape.inner_pages));
    counted
}

#[test]
fn the_pages_of_a_tree_are_counted_as_a_walk_finds_them() {
    let kernel = open(&SimDisk::new(1), &Arc::new(ManualClock::new(1))).unwrap();
    assert_eq!(kernel.tree_size(1).unwrap(), None);
    put(&kernel, 0..1, Some(b"value"));
    assert_eq!(pages(&kernel), (1, 1, 0));
    let (mut height, mut leaves) = (1, 1);
    for round in 1..12 {
        put(&kernel, round * 20..round * 20 + 20, Some(b"value"));
        let now = pages(&kernel);
        assert!(now.0 >= height && now.1 > leaves, "{now:?}");
        (height, leaves) = (now.0, now.1);
    }
    assert!(height >= 3, "{height}");
    put(&kernel, 5..240, None);
    kernel.tidy_space(1).unwrap();
    let now = pages(&kernel);
    assert!(now.1 < leaves / 4, "{now:?}");
}

#[test]
fn a_tree_is_counted_while_it_grows_and_shrinks() {
    let kernel = open(&SimDisk::new(2), &Arc::new(ManualClock::new(1))).unwrap();
    put(&kernel, 0..100, Some(b"value"));
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..6 {
                put(&kernel, 100..200, Some(&[round; 100]));
                put(&kernel, 100..200, None);
                kernel.tidy_space(1).unwrap();
            }
            finished.store(true, Ordering::SeqCst);
        });
        while !finished.load(Ordering::SeqCst) {
            let size = kernel.tree_size(1).unwrap().unwrap();
            assert!(
                size.height >= 2 && size.inner_pages >= 1 && size.leaf_pages >= 10,
                "{size:?}"
            );
        }
    });
    pages(&kernel);
}
