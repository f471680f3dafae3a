//! A disk on which a test decides when a sync ends.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustydb_runtime::disk::{DirEntry, Disk, DiskFile, DiskSpace, ImmutableBytes, OpenMode, SimDisk};

/// A disk whose first sync of a file, once armed, returns when it is told.
pub struct Gated {
    pub inner: SimDisk,
    pub gate: Arc<Gate>,
}

#[derive(Default)]
pub struct Gate {
    armed: AtomicBool,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether a sync waits.
    pub fn was_reached(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }

    fn pass(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            let mut open = self.open.lock().expect("no panic");
            while !*open {
                open = self.opened.wait(open).expect("no panic");
            }
        }
    }

    pub fn release(&self) {
        *self.open.lock().expect("no panic") = true;
        self.opened.notify_all();
    }
}

struct GatedFile(Arc<dyn DiskFile>, Arc<Gate>);

impl Disk for Gated {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(GatedFile(
            self.inner.open(path, mode)?,
            Arc::clone(&self.gate),
        )))
    }
    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        self.inner.list(path)
    }
    fn create_folder(&self, path: &str) -> io::Result<()> {
        self.inner.create_folder(path)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.inner.remove_file(path)
    }
    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.inner.remove_folder(path)
    }
    fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.inner.sync_folder(path)
    }
    fn space(&self, path: &str) -> io::Result<DiskSpace> {
        self.inner.space(path)
    }
    fn read_immutable(&self, path: &str) -> io::Result<ImmutableBytes> {
        self.inner.read_immutable(path)
    }
}

impl DiskFile for GatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
    fn read_vectored_at(&self, buffers: &mut [&mut [u8]], offset: u64) -> io::Result<()> {
        self.0.read_vectored_at(buffers, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.0.write_vectored_at(buffers, offset)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.0.set_length(bytes)
    }
    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.0.allocate(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }
    fn lock(&self) -> io::Result<()> {
        self.0.lock()
    }
}
