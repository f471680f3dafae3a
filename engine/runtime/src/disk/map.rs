//! Files that nobody changes, read without a copy.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// Content of a file that nobody changes. See [`Disk::read_immutable`](super::Disk::read_immutable).
#[derive(Debug)]
pub struct ImmutableBytes(Content);

#[derive(Debug)]
enum Content {
    Mapped(memmap2::Mmap),
    Copied(Box<[u8]>),
}

impl ImmutableBytes {
    /// Maps `file` for reading.
    #[allow(unsafe_code)]
    pub(super) fn map(file: &File) -> io::Result<ImmutableBytes> {
        if file.metadata()?.len() == 0 {
            // An empty range can't be mapped everywhere.
            return Ok(ImmutableBytes::from(Vec::new()));
        }
        // SAFETY: the map is private to this value, for reading alone. The caller of `Disk::read_immutable` promises
        // that nobody writes or cuts the file meanwhile, and the data directory is locked against other processes.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(ImmutableBytes(Content::Mapped(map)))
    }
}

impl From<Vec<u8>> for ImmutableBytes {
    fn from(bytes: Vec<u8>) -> Self {
        ImmutableBytes(Content::Copied(bytes.into()))
    }
}

impl Deref for ImmutableBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Content::Mapped(map) => map,
            Content::Copied(bytes) => bytes,
        }
    }
}
