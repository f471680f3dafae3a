//! The machine's files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::{DirEntry, Disk, DiskFile, DiskSpace, ImmutableBytes, OpenMode, check_path};
use crate::files;

/// Buffers that one request takes; Linux refuses more (`IOV_MAX`).
const BUFFERS_MAX: usize = 1024;
/// Zeros are written in pieces of this size where the file system can't reserve room.
const ZEROS_BYTES: usize = 1 << 20;

/// A folder of the machine, and what is in it.
#[derive(Debug, Clone)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// The disk of what is in the folder `root`, which must be there when the disk is used.
    pub fn new(root: impl Into<PathBuf>) -> RealDisk {
        RealDisk { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn below_root(&self, path: &str) -> io::Result<PathBuf> {
        check_path(path)?;
        Ok(self.root.join(path))
    }

    fn root_or_below(&self, path: &str) -> io::Result<PathBuf> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        self.below_root(path)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(mode == OpenMode::New)
            .mode(0o600)
            .open(self.below_root(path)?)?;
        Ok(Arc::new(RealFile { file }))
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(self.root_or_below(path)?)? {
            let entry = entry?;
            let found = match entry.metadata() {
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            let name = entry.file_name().into_string().map_err(|name| {
                let what = format!("{path:?} holds {name:?}, which is no UTF-8 and nothing of this server");
                io::Error::new(io::ErrorKind::InvalidData, what)
            })?;
            let is_folder = found.is_dir();
            let bytes = if is_folder { 0 } else { found.len() };
            entries.push(DirEntry {
                name,
                is_folder,
                bytes,
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        files::create_private_folder(&self.below_root(path)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.below_root(from)?, self.below_root(to)?)
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        files::remove(&self.below_root(path)?)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        std::fs::remove_dir(self.below_root(path)?)
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        File::open(self.root_or_below(path)?)?.sync_all()
    }

    fn space(&self, path: &str) -> io::Result<DiskSpace> {
        let found = rustix::fs::statvfs(&self.root_or_below(path)?)?;
        Ok(DiskSpace {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            available_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn read_immutable(&self, path: &str) -> io::Result<ImmutableBytes> {
        ImmutableBytes::map(&File::open(self.below_root(path)?)?)
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn read_vectored_at(&self, buffers: &mut [&mut [u8]], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        for batch in buffers.chunks_mut(BUFFERS_MAX) {
            let mut slices: Vec<IoSliceMut<'_>> =
                batch.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            let mut rest = &mut slices[..];
            // Empty buffers at the front are no progress to wait for.
            IoSliceMut::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let read = read_some(&self.file, rest, offset)?;
                if read == 0 {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("the file ends at {offset}, before the buffers are full"),
                    ));
                }
                offset += read as u64;
                IoSliceMut::advance_slices(&mut rest, read);
            }
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        for batch in buffers.chunks(BUFFERS_MAX) {
            let mut slices = batch.to_vec();
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let written = write_some(&self.file, rest, offset)?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        match reserve(&self.file, offset, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                write_zeros_behind(&self.file, offset.saturating_add(bytes))
            }
            outcome => Ok(outcome?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn lock(&self) -> io::Result<()> {
        self.file.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })
    }
}

#[cfg(target_os = "linux")]
fn read_some(file: &File, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| {
        rustix::io::preadv(file, buffers, offset)
    })?)
}

#[cfg(target_os = "linux")]
fn write_some(file: &File, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| {
        rustix::io::pwritev(file, buffers, offset)
    })?)
}

/// Not every Unix reads into many buffers at a place: the first one alone.
#[cfg(not(target_os = "linux"))]
fn read_some(file: &File, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
    file.read_exact_at(&mut buffers[0], offset)?;
    Ok(buffers[0].len())
}

#[cfg(not(target_os = "linux"))]
fn write_some(file: &File, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    file.write_all_at(&buffers[0], offset)?;
    Ok(buffers[0].len())
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, offset: u64, bytes: u64) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, bytes)
    })
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _offset: u64, _bytes: u64) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

/// Makes the file `end` bytes long with zeros that take room. Holes before its present end stay holes: whoever grows
/// files by this call alone has none.
fn write_zeros_behind(file: &File, end: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut at = file.metadata()?.len();
    while at < end {
        let bytes = (end - at).min(ZEROS_BYTES as u64);
        file.write_all_at(&zeros[..bytes as usize], at)?;
        at += bytes;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn zeros_written_in_place_of_a_reservation_keep_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("f")).unwrap();
        file.write_all_at(b"kept", 0).unwrap();
        write_zeros_behind(&file, 3 << 20).unwrap();
        write_zeros_behind(&file, 17).unwrap();
        let content = std::fs::read(folder.path().join("f")).unwrap();
        assert_eq!(content.len(), 3 << 20);
        assert_eq!(&content[..4], b"kept");
        assert!(content[4..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn more_buffers_than_one_request_takes_are_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = RealDisk::new(folder.path()).open("f", OpenMode::New).unwrap();
        let parts: Vec<Vec<u8>> = (0..BUFFERS_MAX * 2 + 3).map(|n| vec![n as u8; n % 5]).collect();
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        file.write_vectored_at(&slices, 10).unwrap();
        let mut read: Vec<Vec<u8>> = parts.iter().map(|part| vec![0; part.len()]).collect();
        let mut buffers: Vec<&mut [u8]> = read.iter_mut().map(|part| &mut part[..]).collect();
        file.read_vectored_at(&mut buffers, 10).unwrap();
        assert_eq!(read, parts);
    }

    #[test]
    fn files_and_folders_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(folder.path());
        disk.create_folder("a/b").unwrap();
        disk.open("a/b/f", OpenMode::New).unwrap();
        let mode = |path: &str| {
            std::fs::metadata(folder.path().join(path))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!((mode("a"), mode("a/b"), mode("a/b/f")), (0o700, 0o700, 0o600));
    }
}
