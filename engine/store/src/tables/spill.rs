//! Values of write sets that lie in a file instead of in memory.
//!
//! A transaction whose changes take more memory than it may have puts further values, and entries of the change log, into a
//! file of its own; keys stay in memory. The file is scratch: it is never synced, ends with the transaction, and what a crash
//! leaves of it is removed when the room is opened again. A commit reads back what it makes durable; a value that is not what was
//! put there is an error.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustydb_runtime::disk::{Disk, DiskFile, OpenMode};

use crate::error::StoreError;

/// Memory that the changes of a transaction may take before further ones go to a file, in bytes, unless told.
pub const WRITE_SET_MEMORY_BYTES_DEFAULT: usize = 64 << 20;
/// The least that may be told.
pub const WRITE_SET_MEMORY_BYTES_MIN: usize = 64 << 10;
/// What is shorter stays in memory: its place in a file would take as much.
const VALUE_BYTES_MIN: usize = 64;
/// Written to the file at once.
const TAIL_BYTES: usize = 256 << 10;

/// Where transactions may put what they have no memory for.
pub struct SpillRoom {
    disk: Arc<dyn Disk>,
    folder: String,
    memory_bytes_max: usize,
    next: AtomicU64,
    /// In files now.
    spilled_bytes: Arc<AtomicU64>,
}

impl SpillRoom {
    /// A room in the folder of `disk`, which it has for itself: what lies there is removed. `memory_bytes_max` is for each
    /// transaction.
    pub fn open(disk: Arc<dyn Disk>, folder: &str, memory_bytes_max: usize) -> Result<SpillRoom, StoreError> {
        let failed = |error: io::Error| StoreError::Io(format!("{folder}: {error}"));
        disk.create_folder(folder).map_err(failed)?;
        for left in disk.list(folder).map_err(failed)? {
            if !left.is_folder {
                disk.remove_file(&format!("{folder}/{}", left.name))
                    .map_err(failed)?;
            }
        }
        Ok(SpillRoom {
            disk,
            folder: folder.to_owned(),
            memory_bytes_max: memory_bytes_max.max(WRITE_SET_MEMORY_BYTES_MIN),
            next: AtomicU64::new(0),
            spilled_bytes: Arc::default(),
        })
    }

    /// What lies in the files of all transactions, in bytes.
    pub fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes.load(Ordering::Relaxed)
    }

    fn begin_file(&self) -> Result<SpillFile, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = format!("{}/{number}.spill", self.folder);
        let file = self
            .disk
            .open(&path, OpenMode::New)
            .map_err(|error| failure(&path, &error))?;
        Ok(SpillFile {
            disk: Arc::clone(&self.disk),
            file,
            path,
            tail: Mutex::default(),
            of_all: Arc::clone(&self.spilled_bytes),
        })
    }
}

/// The file of one transaction; it is removed with the last value in it.
pub(super) struct SpillFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    path: String,
    tail: Mutex<Tail>,
    of_all: Arc<AtomicU64>,
}

/// What was added and is not yet written.
#[derive(Default)]
struct Tail {
    /// Where it belongs, which is how much was written.
    offset: u64,
    bytes: Vec<u8>,
}

impl Tail {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl SpillFile {
    /// A failure adds nothing and loses nothing.
    fn append(self: &Arc<Self>, value: &[u8]) -> Result<Extent, StoreError> {
        let mut tail = self.tail.lock();
        if tail.bytes.len() + value.len() > TAIL_BYTES && !tail.bytes.is_empty() {
            self.file
                .write_at(&tail.bytes, tail.offset)
                .map_err(|error| failure(&self.path, &error))?;
            tail.offset = tail.end();
            tail.bytes.clear();
        }
        let offset = tail.end();
        tail.bytes.extend_from_slice(value);
        self.of_all.fetch_add(value.len() as u64, Ordering::Relaxed);
        Ok(Extent {
            file: Arc::clone(self),
            offset,
            length: value.len(),
            crc: crc_fast::crc32_iscsi(value),
        })
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut value = vec![0; length];
        {
            let tail = self.tail.lock();
            if offset >= tail.offset {
                let start = usize::try_from(offset - tail.offset).expect("the tail is in memory");
                value.copy_from_slice(&tail.bytes[start..start + length]);
                return Ok(value);
            }
        }
        self.file
            .read_at(&mut value, offset)
            .map_err(|error| failure(&self.path, &error))?;
        Ok(value)
    }

    fn bytes(&self) -> u64 {
        self.tail.lock().end()
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        self.of_all
            .fetch_sub(self.tail.get_mut().end(), Ordering::Relaxed);
        // What is left is removed when the room is opened again.
        let _ = self.disk.remove_file(&self.path);
    }
}

fn failure(path: &str, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(format!(
            "no room for the changes of a transaction, which exceed its memory, in {path}: {error}"
        )),
        _ => StoreError::Io(format!("{path}: {error}")),
    }
}

/// A place in a file of a transaction.
#[derive(Clone)]
pub(super) struct Extent {
    file: Arc<SpillFile>,
    offset: u64,
    length: usize,
    crc: u32,
}

impl Extent {
    fn read(&self) -> Result<Vec<u8>, StoreError> {
        let value = self.file.read(self.offset, self.length)?;
        let found = crc_fast::crc32_iscsi(&value);
        if found == self.crc {
            return Ok(value);
        }
        Err(StoreError::Corrupt(format!(
            "{} bytes at {} of {}: checksum {:#x} expected, {found:#x} found",
            self.length, self.offset, self.file.path, self.crc
        )))
    }
}

/// A value of a write set, wherever it lies.
#[derive(Clone)]
pub(super) enum Value {
    Memory(Arc<[u8]>),
    Spilled(Extent),
}

impl Value {
    pub(super) fn len(&self) -> usize {
        match self {
            Value::Memory(bytes) => bytes.len(),
            Value::Spilled(extent) => extent.length,
        }
    }

    pub(super) fn read(&self) -> Result<Vec<u8>, StoreError> {
        match self {
            Value::Memory(bytes) => Ok(bytes.to_vec()),
            Value::Spilled(extent) => extent.read(),
        }
    }

    /// How much memory it takes.
    fn memory_bytes(&self) -> usize {
        match self {
            Value::Memory(bytes) => bytes.len(),
            Value::Spilled(_) => size_of::<Extent>(),
        }
    }
}

/// Says which values of a transaction go to its file.
pub(super) struct Spill {
    room: Option<Arc<SpillRoom>>,
    file: Option<Arc<SpillFile>>,
    memory_bytes: usize,
}

impl Spill {
    /// Without a room everything stays in memory.
    pub(super) fn new(room: Option<Arc<SpillRoom>>) -> Spill {
        Spill {
            room,
            file: None,
            memory_bytes: 0,
        }
    }

    /// A value beside `beside` bytes that stay in memory whatever becomes of it.
    pub(super) fn keep(&mut self, value: Vec<u8>, beside: usize) -> Result<Value, StoreError> {
        let value = self.place(value, beside)?;
        self.memory_bytes += beside + value.memory_bytes();
        Ok(value)
    }

    /// Counts what is kept without a value.
    pub(super) fn count(&mut self, bytes: usize) {
        self.memory_bytes += bytes;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// After changes were undone: what the rest takes.
    pub(super) fn set_memory_bytes(&mut self, bytes: usize) {
        self.memory_bytes = bytes;
    }

    /// Length of the file; what was undone stays in it.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.bytes())
    }

    fn place(&mut self, value: Vec<u8>, beside: usize) -> Result<Value, StoreError> {
        let Some(room) = &self.room else {
            return Ok(Value::Memory(value.into()));
        };
        if value.len() < VALUE_BYTES_MIN || self.memory_bytes + beside + value.len() <= room.memory_bytes_max
        {
            return Ok(Value::Memory(value.into()));
        }
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(room.begin_file()?)),
        };
        Ok(Value::Spilled(file.append(&value)?))
    }
}
