//! Files and folders as the engine uses them, on the machine or simulated.
//!
//! What the machine promises is little, and the trait promises no more:
//!
//! - A write is visible to every later read of the same process at once. It survives a crash only when
//!   [`DiskFile::sync_data`] of that file was begun after it and returned without an error.
//! - A name (a file made, renamed or removed) survives only when [`Disk::sync_folder`] of its folder was begun
//!   after it and returned.
//! - Until then any part of a write may survive, in units of a sector, in any order.
//! - After an error of a sync nobody knows what survived, and a second sync does not tell: the machine may have
//!   forgotten the pages that it could not write. See <https://wiki.postgresql.org/wiki/Fsync_Errors>.
//!
//! Paths are given from the root that the disk was made with, with `/` between names; the root itself is the empty
//! path. A path with an empty name, `.` or `..` in it is refused with `InvalidInput`.

#[cfg(test)]
mod conformance;
mod map;
mod real;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;

use std::io::{self, IoSlice};
use std::sync::Arc;

pub use map::ImmutableBytes;
pub use real::RealDisk;
#[cfg(any(test, feature = "simulation"))]
pub use simulated::SimDisk;

/// Where files are. Every call blocks until it is done.
pub trait Disk: Send + Sync + 'static {
    /// Opens the file `path` for reading and writing. Fails with `NotFound` where there is none and `mode` does
    /// not make one, and with `AlreadyExists` where `mode` wants a new one.
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Names in the folder `path`, sorted, without `.` and `..`.
    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>>;

    /// Makes the folder `path`, and those above it; those that are there stay. Their owner alone may enter (0700).
    fn create_folder(&self, path: &str) -> io::Result<()>;

    /// Gives the file `from` the name `to`, replacing a file of that name. Both in one file system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the file `path`.
    fn remove_file(&self, path: &str) -> io::Result<()>;

    /// Removes the empty folder `path`.
    fn remove_folder(&self, path: &str) -> io::Result<()>;

    /// Makes the names in the folder `path` durable.
    fn sync_folder(&self, path: &str) -> io::Result<()>;

    /// Room on the device that holds `path`, a file or a folder.
    fn space(&self, path: &str) -> io::Result<DiskSpace>;

    /// The whole content of the file `path`, without a copy where the machine can.
    ///
    /// The caller promises that nobody changes or cuts the file while the bytes live: what is read then is anything,
    /// and behind a cut the process is killed. The file may be removed.
    fn read_immutable(&self, path: &str) -> io::Result<ImmutableBytes>;
}

/// Refuses what is no path of a file or folder below the root.
fn check_path(path: &str) -> io::Result<()> {
    let is_name = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
    if path.split('/').all(is_name) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{path:?} is no path below the root of a disk"),
    ))
}

/// What [`Disk::open`] does where the file is there, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It must be there.
    Existing,
    /// It must not be there; it is made, empty, for its owner alone (0600).
    New,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    pub name: String,
    pub is_folder: bool,
    /// Length of a file in bytes, 0 of a folder.
    pub bytes: u64,
}

/// Room on a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    pub total_bytes: u64,
    /// What this process may still use.
    pub available_bytes: u64,
}

/// An open file. Reads and writes name their place, so that threads share it.
pub trait DiskFile: Send + Sync + 'static {
    /// Fills `buffer` from `offset` on; `UnexpectedEof` when the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Fills `buffers` one behind the other, with one request where the machine can.
    fn read_vectored_at(&self, buffers: &mut [&mut [u8]], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, making the file longer where needed. After an error any part of them may
    /// have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes `buffers` one behind the other, with one request where the machine can.
    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Cuts the file, or makes it longer with zeros that take no room yet.
    fn set_length(&self, bytes: u64) -> io::Result<()>;

    /// Makes room for the bytes from `offset` on, and the file as long as that, so that writing them cannot fail for
    /// want of space. What was not written reads as zeros.
    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()>;

    /// Makes what was written durable, with the length; times of access and the like may be left out (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;

    /// Keeps other processes from doing the same until the file is closed; `WouldBlock` when one has.
    fn lock(&self) -> io::Result<()>;
}
