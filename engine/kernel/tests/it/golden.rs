//! A directory of format version 3 that an earlier binary made is opened, and holds what it held.
//!
//! It lies in `tests/golden/v3`, with a list of what it holds in `tests/golden/v3.txt`. Both were made by
//!
//! ```text
//! cargo test -p rustydb-kernel --test it -- --ignored the_golden_directory_is_made
//! ```
//!
//! and are made again only when the format version is raised: beside the old ones, which stay.

#![allow(
    clippy::disallowed_methods,
    reason = "the files are the test's own, not the engine's"
)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustydb_kernel::ids::{PageId, TablespaceId};
use rustydb_kernel::kernel::Kernel;
use rustydb_kernel::page::{PAGE_BYTES, PageBuf, bitmap};
use rustydb_runtime::disk::simulated::Survival;
use rustydb_runtime::disk::{Disk, OpenMode, SimDisk};
use rustydb_runtime::{Clock, ManualClock};

use crate::model::Act;
use crate::random::{commit, open};

const PAGES: &str = "kernel/tablespaces/00000/0000.pages";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Everything that a store shows, as text.
fn dump(kernel: &Kernel) -> String {
    let mut text = String::new();
    let snapshot = kernel.snapshot();
    let extent = kernel.log_extent();
    writeln!(text, "epoch {:#x}", kernel.epoch()).unwrap();
    writeln!(
        text,
        "newest {}, log trimmed to {}",
        snapshot.ts().0,
        extent.trimmed_to.0
    )
    .unwrap();
    for space in 0..6 {
        let stats = snapshot.stats(space).unwrap();
        writeln!(
            text,
            "space {space}: {} entries, {} bytes, modified by {} at {}",
            stats.entries, stats.bytes, stats.modified.0, stats.modified_at_us
        )
        .unwrap();
        for (key, version) in snapshot.scan(space, &[], None, usize::MAX).unwrap() {
            let value = shortened(&version.value);
            writeln!(text, "  {} @{} = {value}", key.escape_ascii(), version.ts.0).unwrap();
        }
    }
    for group in kernel.log_after(extent.trimmed_to, usize::MAX).unwrap().unwrap() {
        let entries: Vec<String> = group.entries.iter().map(|entry| shortened(entry)).collect();
        writeln!(
            text,
            "log of {} at {}: {}",
            group.ts.0,
            group.committed_at_us,
            entries.join(", ")
        )
        .unwrap();
    }
    text
}

/// Long values of the golden directory repeat one byte.
fn shortened(value: &[u8]) -> String {
    match value.first() {
        Some(first) if value.len() > 40 && value.iter().all(|byte| byte == first) => {
            format!("{} times {}", value.len(), first.escape_ascii())
        }
        _ => format!("{:?}", value.escape_ascii().to_string()),
    }
}

#[test]
fn a_directory_of_format_3_is_read() {
    let disk = SimDisk::new(1);
    copy_to(&folder().join("v3"), "kernel", &disk);
    let clock = Arc::new(ManualClock::new(1_800_000_000_000_000));
    let expected = std::fs::read_to_string(folder().join("v3.txt")).unwrap();
    for opening in 0..2 {
        let kernel = open(&disk, &clock).unwrap();
        assert_eq!(dump(&kernel), expected, "opening {opening}");
        let report = kernel.check().unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
    // It is worked with, not only read.
    let kernel = open(&disk, &clock).unwrap();
    let before = kernel.newest();
    commit(
        &kernel,
        &[Act::Write(1, b"more".to_vec(), Some(vec![b'm'; 50_000]))],
        clock.now_us(),
    )
    .unwrap();
    assert_eq!(kernel.newest().0, before.0 + 1);
    kernel.checkpoint().unwrap();
    assert!(kernel.check().unwrap().findings.is_empty());
}

fn copy_to(from: &Path, to: &str, disk: &SimDisk) {
    disk.create_folder(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{to}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            copy_to(&entry.path(), &path, disk);
        } else {
            let file = disk.open(&path, OpenMode::New).unwrap();
            file.write_at(&std::fs::read(entry.path()).unwrap(), 0).unwrap();
        }
    }
}

/// A store with all that the format has: long keys, values and versions, tombstones, a split root, overflow pages, a
/// dropped space whose pages are not given back, a trimmed change log, two checkpoints and commits behind the last.
pub fn all_of_the_format(disk: &SimDisk, clock: &Arc<ManualClock>) -> Kernel {
    let kernel = open(disk, clock).unwrap();
    let write = |space, key: &str, value: Option<Vec<u8>>| Act::Write(space, key.as_bytes().to_vec(), value);
    let run = |acts: &[Act]| {
        clock.advance_us(1_000);
        commit(&kernel, acts, clock.now_us()).unwrap()
    };
    run(&[
        write(1, "a", Some(b"first".to_vec())),
        Act::Log(b"made a".to_vec()),
    ]);
    run(&[
        write(1, "a", Some(b"second".to_vec())),
        write(1, "", Some(Vec::new())),
    ]);
    let long_key = "k".repeat(1536);
    run(&[
        write(2, &long_key, Some(vec![b'l'; 100])),
        write(2, "long", Some(vec![b'v'; 9_500])),
    ]);
    let many: Vec<Act> = (0..40)
        .map(|number| write(3, &format!("row{number:03}"), Some(vec![b'r'; 220])))
        .collect();
    run(&many);
    run(&[
        write(4, "gone", Some(vec![b'g'; 1_800])),
        Act::Log(vec![b'e'; 500]),
    ]);
    kernel.checkpoint().unwrap();
    let snapshot = kernel.snapshot();
    run(&[
        write(1, "a", None),
        write(1, "b\0\u{ff}", Some(b"bytes".to_vec())),
    ]);
    run(&[Act::Drop(4), Act::Log(b"dropped".to_vec()), Act::Log(Vec::new())]);
    run(&[
        write(3, "row001", None),
        write(2, "long", Some(vec![b'w'; 2_000])),
    ]);
    kernel.checkpoint().unwrap();
    drop(snapshot);
    run(&[
        write(5, "late", Some(b"behind the checkpoint".to_vec())),
        Act::Log(b"late".to_vec()),
    ]);
    run(&[Act::Trim(rustydb_kernel::ids::Ts(5))]);
    run(&[
        write(3, "row002", Some(b"short".to_vec())),
        write(1, "a", Some(b"again".to_vec())),
    ]);
    kernel
}

#[test]
#[ignore = "makes the files that the other test reads"]
fn the_golden_directory_is_made() {
    let disk = SimDisk::new(3);
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let kernel = all_of_the_format(&disk, &clock);
    // As a crash leaves it, so that there is something to redo.
    let contents = disk.crash(Survival::Nothing).contents();
    let used = used_bytes(contents[PAGES].as_deref().unwrap());
    let _ = std::fs::remove_dir_all(folder().join("v3"));
    for (path, bytes) in contents {
        let Some(rest) = path.strip_prefix("kernel/") else {
            continue;
        };
        let target = folder().join("v3").join(rest);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        match bytes {
            None => std::fs::create_dir_all(&target).unwrap(),
            Some(_) if path.ends_with(".spare") => {}
            // The rest of the file has never been used, and a file may be shorter than page 0 says.
            Some(bytes) if path == PAGES => std::fs::write(&target, &bytes[..used]).unwrap(),
            Some(bytes) => std::fs::write(&target, bytes).unwrap(),
        }
    }
    std::fs::write(folder().join("v3.txt"), dump(&kernel)).unwrap();
}

/// Bytes of the file of pages up to the last that is in use.
fn used_bytes(pages: &[u8]) -> usize {
    let map = PageId::new(TablespaceId::MAIN, bitmap::map_page(0)).number() as usize;
    let map = PageBuf::from_slice(&pages[map * PAGE_BYTES..][..PAGE_BYTES]).unwrap();
    let last = (0..pages.len() / PAGE_BYTES).rfind(|number| bitmap::get(&map, *number as u16).unwrap());
    (last.unwrap() + 1) * PAGE_BYTES
}
