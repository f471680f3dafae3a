//! One suite for the machine's disk and the simulated one: what passes here may be relied on.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{ErrorKind, IoSlice, Result};
use std::sync::Arc;

use super::{Disk, DiskFile, OpenMode, RealDisk, SimDisk};
use crate::SeededRng;

/// Runs `test` on an empty disk of each kind.
fn on_every_disk(test: impl Fn(&dyn Disk)) {
    test(&SimDisk::new(1));
    let folder = tempfile::tempdir().unwrap();
    test(&RealDisk::new(folder.path()));
}

fn kind<T>(outcome: Result<T>) -> ErrorKind {
    outcome.map(|_| ()).unwrap_err().kind()
}

fn content(disk: &dyn Disk, path: &str) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Existing).unwrap();
    let mut bytes = vec![1; file.length().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn names(disk: &dyn Disk, path: &str) -> Vec<(String, bool, u64)> {
    let entries = disk.list(path).unwrap().into_iter();
    entries
        .map(|entry| (entry.name, entry.is_folder, entry.bytes))
        .collect()
}

#[test]
fn a_file_holds_what_was_written() {
    on_every_disk(|disk| {
        let file = disk.open("f", OpenMode::New).unwrap();
        assert_eq!(file.length().unwrap(), 0);
        file.write_at(b"hello", 3).unwrap();
        file.write_at(b"", 100).unwrap();
        assert_eq!(content(disk, "f"), b"\0\0\0hello");
        file.write_vectored_at(
            &[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdefgh")],
            5,
        )
        .unwrap();
        assert_eq!(content(disk, "f"), b"\0\0\0heabcdefgh");
        let (mut first, mut second) = ([0; 4], [0; 5]);
        file.read_vectored_at(&mut [&mut first, &mut [], &mut second], 3)
            .unwrap();
        assert_eq!((&first, &second), (b"heab", b"cdefg"));
        file.sync_data().unwrap();
        disk.sync_folder("").unwrap();
    });
}

#[test]
fn reading_behind_the_end_is_refused() {
    on_every_disk(|disk| {
        let file = disk.open("f", OpenMode::New).unwrap();
        file.write_at(&[7; 10], 0).unwrap();
        assert_eq!(kind(file.read_at(&mut [0; 2], 9)), ErrorKind::UnexpectedEof);
        assert_eq!(kind(file.read_at(&mut [0; 1], 10_000)), ErrorKind::UnexpectedEof);
        let (mut first, mut second) = ([0; 6], [0; 6]);
        let outcome = file.read_vectored_at(&mut [&mut first, &mut second], 0);
        assert_eq!(kind(outcome), ErrorKind::UnexpectedEof);
        file.read_at(&mut [], 10).unwrap();
        file.read_vectored_at(&mut [], 10).unwrap();
    });
}

#[test]
fn lengths_change_and_what_was_not_written_reads_as_zeros() {
    on_every_disk(|disk| {
        let file = disk.open("f", OpenMode::New).unwrap();
        file.write_at(&[9; 5000], 0).unwrap();
        file.set_length(4097).unwrap();
        file.set_length(6000).unwrap();
        let mut expected = vec![9; 4097];
        expected.resize(6000, 0);
        assert_eq!(content(disk, "f"), expected);

        file.allocate(5000, 15_000).unwrap();
        file.allocate(0, 100).unwrap();
        expected.resize(20_000, 0);
        assert_eq!(content(disk, "f"), expected);
        file.allocate(30_000, 0).unwrap();
        assert_eq!(file.length().unwrap(), 20_000);
    });
}

#[test]
fn opening_says_what_is_there() {
    on_every_disk(|disk| {
        assert_eq!(kind(disk.open("f", OpenMode::Existing)), ErrorKind::NotFound);
        assert_eq!(kind(disk.open("no/f", OpenMode::New)), ErrorKind::NotFound);
        disk.open("f", OpenMode::New).unwrap();
        disk.open("f", OpenMode::Existing).unwrap();
        assert_eq!(kind(disk.open("f", OpenMode::New)), ErrorKind::AlreadyExists);
        assert_eq!(kind(disk.open("f/g", OpenMode::New)), ErrorKind::NotADirectory);
        disk.create_folder("d").unwrap();
        assert_eq!(kind(disk.open("d", OpenMode::Existing)), ErrorKind::IsADirectory);
        for path in ["", "/f", "f/", "a//b", "..", "d/../f", "./f", "f\0"] {
            assert_eq!(
                kind(disk.open(path, OpenMode::New)),
                ErrorKind::InvalidInput,
                "{path:?}"
            );
            assert_eq!(
                kind(disk.create_folder(path)),
                ErrorKind::InvalidInput,
                "{path:?}"
            );
            assert_eq!(kind(disk.remove_file(path)), ErrorKind::InvalidInput, "{path:?}");
            assert_eq!(
                kind(disk.remove_folder(path)),
                ErrorKind::InvalidInput,
                "{path:?}"
            );
            assert_eq!(kind(disk.rename("f", path)), ErrorKind::InvalidInput, "{path:?}");
            assert_eq!(
                kind(disk.read_immutable(path)),
                ErrorKind::InvalidInput,
                "{path:?}"
            );
        }
    });
}

#[test]
fn folders_are_made_with_those_above_and_removed_when_empty() {
    on_every_disk(|disk| {
        disk.create_folder("a/b/c").unwrap();
        disk.create_folder("a/b").unwrap();
        disk.open("a/z", OpenMode::New)
            .unwrap()
            .write_at(b"12", 0)
            .unwrap();
        assert_eq!(names(disk, ""), [("a".to_owned(), true, 0)]);
        assert_eq!(
            names(disk, "a"),
            [("b".to_owned(), true, 0), ("z".to_owned(), false, 2)]
        );
        assert_eq!(kind(disk.remove_folder("a/b")), ErrorKind::DirectoryNotEmpty);
        assert_eq!(kind(disk.remove_folder("a/z")), ErrorKind::NotADirectory);
        assert_eq!(kind(disk.remove_file("a/b")), ErrorKind::IsADirectory);
        assert_eq!(kind(disk.create_folder("a/z")), ErrorKind::AlreadyExists);
        disk.remove_folder("a/b/c").unwrap();
        disk.remove_folder("a/b").unwrap();
        assert_eq!(kind(disk.list("a/b")), ErrorKind::NotFound);
        assert_eq!(kind(disk.list("a/z")), ErrorKind::NotADirectory);
        assert_eq!(kind(disk.sync_folder("a/b")), ErrorKind::NotFound);
        disk.create_folder("a/b").unwrap();
        assert!(disk.list("a/b").unwrap().is_empty());
    });
}

#[test]
fn a_rename_replaces_and_an_open_file_outlives_its_name() {
    on_every_disk(|disk| {
        disk.create_folder("d").unwrap();
        let first = disk.open("f", OpenMode::New).unwrap();
        first.write_at(b"first", 0).unwrap();
        let second = disk.open("d/g", OpenMode::New).unwrap();
        second.write_at(b"second", 0).unwrap();
        disk.rename("f", "d/g").unwrap();
        assert_eq!(content(disk, "d/g"), b"first");
        assert_eq!(kind(disk.open("f", OpenMode::Existing)), ErrorKind::NotFound);
        assert_eq!(kind(disk.rename("f", "h")), ErrorKind::NotFound);
        assert_eq!(kind(disk.rename("d/g", "no/h")), ErrorKind::NotFound);
        disk.create_folder("e").unwrap();
        assert_eq!(kind(disk.rename("d/g", "e")), ErrorKind::IsADirectory);
        disk.rename("d/g", "d/g").unwrap();
        let mut bytes = [0; 6];
        second.read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"second");
        disk.remove_file("d/g").unwrap();
        assert_eq!(kind(disk.remove_file("d/g")), ErrorKind::NotFound);
        first.write_at(b"!", 5).unwrap();
        first.sync_data().unwrap();
        assert_eq!(first.length().unwrap(), 6);
        disk.remove_folder("d").unwrap();
    });
}

#[test]
fn one_handle_at_a_time_has_the_lock() {
    on_every_disk(|disk| {
        let first = disk.open("f", OpenMode::New).unwrap();
        let second = disk.open("f", OpenMode::Existing).unwrap();
        first.lock().unwrap();
        first.lock().unwrap();
        assert_eq!(kind(second.lock()), ErrorKind::WouldBlock);
        drop(first);
        second.lock().unwrap();
    });
}

#[test]
fn room_is_told_of_files_and_folders() {
    on_every_disk(|disk| {
        disk.open("f", OpenMode::New).unwrap();
        for path in ["", "f"] {
            let space = disk.space(path).unwrap();
            assert!(
                space.available_bytes <= space.total_bytes && space.total_bytes > 0,
                "{space:?}"
            );
        }
        assert_eq!(kind(disk.space("g")), ErrorKind::NotFound);
    });
}

#[test]
fn immutable_bytes_are_the_whole_file_and_outlive_its_name() {
    on_every_disk(|disk| {
        let file = disk.open("f", OpenMode::New).unwrap();
        assert!(disk.read_immutable("f").unwrap().is_empty());
        file.write_at(&[5; 10_000], 1).unwrap();
        let bytes = disk.read_immutable("f").unwrap();
        disk.remove_file("f").unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[10_000]), (10_001, 0, 5));
        assert_eq!(kind(disk.read_immutable("f")), ErrorKind::NotFound);
    });
}

/// One request, drawn at random.
#[derive(Debug)]
enum Request {
    Open(String, OpenMode),
    CreateFolder(String),
    Rename(String, String),
    RemoveFile(String),
    RemoveFolder(String),
    Write {
        handle: usize,
        offset: u64,
        bytes: usize,
    },
    Read {
        handle: usize,
        offset: u64,
        bytes: usize,
    },
    SetLength {
        handle: usize,
        bytes: u64,
    },
    Allocate {
        handle: usize,
        offset: u64,
        bytes: u64,
    },
    Close(usize),
}

fn draw(rng: &SeededRng) -> Request {
    let path = || ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a"][rng.below(7) as usize].to_owned();
    let handle = rng.below(8) as usize;
    match rng.below(14) {
        0 | 1 => Request::Open(path(), OpenMode::New),
        2 | 3 => Request::Open(path(), OpenMode::Existing),
        4 => Request::CreateFolder(path()),
        5 => Request::Rename(path(), path()),
        6 => Request::RemoveFile(path()),
        7 => Request::RemoveFolder(path()),
        8 => Request::SetLength {
            handle,
            bytes: rng.below(20_000),
        },
        9 => Request::Allocate {
            handle,
            offset: rng.below(20_000),
            bytes: rng.below(9000),
        },
        10 => Request::Close(handle),
        11 => Request::Read {
            handle,
            offset: rng.below(20_000),
            bytes: rng.below(9000) as usize,
        },
        _ => Request::Write {
            handle,
            offset: rng.below(20_000),
            bytes: rng.below(9000) as usize,
        },
    }
}

/// A disk and the files that are open on it.
struct Subject<'disk> {
    disk: &'disk dyn Disk,
    handles: Vec<Arc<dyn DiskFile>>,
}

impl Subject<'_> {
    /// Does it, and says what can be told apart from outside.
    fn run(&mut self, request: &Request, fill: u8) -> Result<Vec<u8>> {
        let handle = |index: usize| {
            let last = self.handles.len().checked_sub(1).ok_or(ErrorKind::BrokenPipe)?;
            Ok::<_, std::io::Error>(&self.handles[index.min(last)])
        };
        match request {
            Request::Open(path, mode) => {
                let file = self.disk.open(path, *mode)?;
                self.handles.insert(0, file);
                self.handles.truncate(8);
            }
            Request::CreateFolder(path) => self.disk.create_folder(path)?,
            // What machines say of a rename of or onto a folder differs by file system.
            Request::Rename(from, to)
                if self.disk.open(from, OpenMode::Existing).is_err() || self.disk.list(to).is_ok() => {}
            Request::Rename(from, to) => self.disk.rename(from, to)?,
            Request::RemoveFile(path) => self.disk.remove_file(path)?,
            Request::RemoveFolder(path) => self.disk.remove_folder(path)?,
            Request::Write {
                handle: index,
                offset,
                bytes,
            } => {
                handle(*index)?.write_at(&vec![fill; *bytes], *offset)?;
            }
            Request::Read {
                handle: index,
                offset,
                bytes,
            } => {
                let mut buffer = vec![0; *bytes];
                handle(*index)?.read_at(&mut buffer, *offset)?;
                return Ok(buffer);
            }
            Request::SetLength { handle: index, bytes } => handle(*index)?.set_length(*bytes)?,
            Request::Allocate {
                handle: index,
                offset,
                bytes,
            } => handle(*index)?.allocate(*offset, *bytes)?,
            Request::Close(index) if *index < self.handles.len() => drop(self.handles.remove(*index)),
            Request::Close(_) => {}
        }
        Ok(Vec::new())
    }

    /// Everything that is on the disk.
    fn contents(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in self.disk.list(&folder).unwrap() {
                let path = if folder.is_empty() {
                    entry.name
                } else {
                    format!("{folder}/{}", entry.name)
                };
                if entry.is_folder {
                    folders.push(path.clone());
                    found.insert(path, None);
                } else {
                    let bytes = content(self.disk, &path);
                    assert_eq!(bytes.len() as u64, entry.bytes, "{path}");
                    found.insert(path, Some(bytes));
                }
            }
        }
        found
    }
}

#[test]
fn the_machine_and_the_simulation_agree_on_random_requests() {
    for seed in 0..20 {
        let rng = SeededRng::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let (real, simulated) = (RealDisk::new(folder.path()), SimDisk::new(seed));
        let subject = |disk| Subject {
            disk,
            handles: Vec::new(),
        };
        let (mut real, mut other) = (subject(&real), subject(&simulated));
        for step in 0..400 {
            let request = draw(&rng);
            let [expected, found] = [&mut real, &mut other]
                .map(|subject| subject.run(&request, step as u8).map_err(|error| error.kind()));
            assert!(
                expected == found,
                "seed {seed}, step {step}, {request:?}: {expected:?} and {found:?}"
            );
        }
        assert!(real.contents() == other.contents(), "seed {seed}");
        assert_eq!(other.contents(), simulated.contents(), "seed {seed}");
    }
}
