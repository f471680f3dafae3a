//! The simulated disk as the engine sees it.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::faults::{FaultOn, Outcome};
use super::image::{CHUNK_BYTES, check_range};
use super::tree::{self, Node, NodeId, Operation};
use super::{SimDisk, State};
use crate::disk::{DirEntry, Disk, DiskFile, DiskSpace, ImmutableBytes, OpenMode, check_path};

/// Said of a disk without an end.
const ENDLESS_BYTES: u64 = 1 << 50;

impl Disk for SimDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        check_path(path)?;
        let mut state = self.state.lock();
        state.check_power()?;
        let file = match (mode, state.live.find(path)) {
            (OpenMode::New, Err(absent)) if absent.kind() == io::ErrorKind::NotFound => {
                let (folder, name) = state.live.find_parent(path)?;
                state.strike_or_fail(FaultOn::Names, path)?;
                let file = state.new_node();
                state.issue(Operation::Names {
                    folder,
                    removed: None,
                    added: Some((name.to_owned(), Node::File(file))),
                })?;
                file
            }
            (OpenMode::New, Ok(_)) => return Err(tree::error(io::ErrorKind::AlreadyExists, path)),
            (OpenMode::New, Err(error)) => return Err(error),
            (OpenMode::Existing, _) => state.live.find_file(path)?,
        };
        *state.handles.entry(file).or_default() += 1;
        state.next_handle += 1;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            file,
            handle: state.next_handle,
            path: path.to_owned(),
        }))
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        let state = self.state.lock();
        state.check_power()?;
        let folder = state.live.find_folder(path)?;
        let entries = state.live.folders[&folder].iter().map(|(name, node)| DirEntry {
            name: name.clone(),
            is_folder: matches!(node, Node::Folder(_)),
            bytes: match node {
                Node::File(file) => state.live.files[file].length(),
                Node::Folder(_) => 0,
            },
        });
        Ok(entries.collect())
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        let mut state = self.state.lock();
        state.strike_or_fail(FaultOn::Names, path)?;
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for above in ends.map(|end| &path[..end]) {
            let (folder, name) = state.live.find_parent(above)?;
            match state.live.find(above) {
                Ok(Node::Folder(_)) => continue,
                Ok(Node::File(_)) if above == path => {
                    return Err(tree::error(io::ErrorKind::AlreadyExists, path));
                }
                Ok(Node::File(_)) => return Err(tree::error(io::ErrorKind::NotADirectory, path)),
                Err(_) => {}
            }
            let made = state.new_node();
            state.issue(Operation::Names {
                folder,
                removed: None,
                added: Some((name.to_owned(), Node::Folder(made))),
            })?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.strike_or_fail(FaultOn::Names, from)?;
        let file = state.live.find_file(from)?;
        let (from_folder, from_name) = state.live.find_parent(from)?;
        let (to_folder, to_name) = state.live.find_parent(to)?;
        let replaced = match state.live.find(to) {
            Ok(Node::Folder(_)) => return Err(tree::error(io::ErrorKind::IsADirectory, to)),
            Ok(Node::File(replaced)) if replaced == file => return Ok(()),
            Ok(Node::File(replaced)) => Some(replaced),
            Err(_) => None,
        };
        let removed = Some(from_name.to_owned());
        let added = Some((to_name.to_owned(), Node::File(file)));
        if from_folder == to_folder {
            state.issue(Operation::Names {
                folder: to_folder,
                removed,
                added,
            })?;
        } else {
            state.issue(Operation::Names {
                folder: to_folder,
                removed: None,
                added,
            })?;
            state.issue(Operation::Names {
                folder: from_folder,
                removed,
                added: None,
            })?;
        }
        if let Some(replaced) = replaced {
            state.drop_if_unused(replaced);
        }
        Ok(())
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.strike_or_fail(FaultOn::Names, path)?;
        let file = state.live.find_file(path)?;
        state.remove_name(path)?;
        state.drop_if_unused(file);
        Ok(())
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        let mut state = self.state.lock();
        state.strike_or_fail(FaultOn::Names, path)?;
        let folder = state.live.find_folder(path)?;
        if !state.live.folders[&folder].is_empty() {
            return Err(tree::error(io::ErrorKind::DirectoryNotEmpty, path));
        }
        state.remove_name(path)?;
        state.live.folders.remove(&folder);
        state.syncs.remove(&folder);
        Ok(())
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.strike_or_fail(FaultOn::Sync, path)?;
        let node = state.live.find_folder(path)?;
        state.issue(Operation::Sync { node })?;
        let State { durable, live, .. } = &mut *state;
        durable.forget_all_but(live);
        Ok(())
    }

    fn space(&self, path: &str) -> io::Result<DiskSpace> {
        let state = self.state.lock();
        state.check_power()?;
        state.live.find(path)?;
        let total_bytes = state.capacity_bytes.unwrap_or(ENDLESS_BYTES);
        let available_bytes = total_bytes.saturating_sub(state.live.used_bytes());
        Ok(DiskSpace {
            total_bytes,
            available_bytes,
        })
    }

    fn read_immutable(&self, path: &str) -> io::Result<ImmutableBytes> {
        self.pass_gate(path);
        let mut state = self.state.lock();
        let outcome = state.strike(FaultOn::Read, path)?;
        let file = state.live.find_file(path)?;
        let mut bytes = state.live.files[&file].to_vec();
        state.finish_read(outcome, &mut bytes)?;
        Ok(ImmutableBytes::from(bytes))
    }
}

impl State {
    fn remove_name(&mut self, path: &str) -> io::Result<()> {
        let (folder, name) = self.live.find_parent(path)?;
        self.issue(Operation::Names {
            folder,
            removed: Some(name.to_owned()),
            added: None,
        })
    }

    fn finish_read(&mut self, outcome: Outcome, bytes: &mut [u8]) -> io::Result<()> {
        self.reads += 1;
        match outcome {
            Outcome::Fail(error) => return Err(error),
            Outcome::FlipBit if !bytes.is_empty() => {
                let bit = self.rng.below(bytes.len() as u64 * 8);
                bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            }
            _ => {}
        }
        Ok(())
    }

    /// Where a write to `(file, offset)` goes astray to: another multiple of 4096 within a file, or behind its own place
    /// when there is none.
    fn elsewhere(&self, file: NodeId, offset: u64) -> (NodeId, u64) {
        let mut places = Vec::new();
        for (other, image) in &self.live.files {
            let offsets = (0..image.length()).step_by(CHUNK_BYTES);
            places.extend(offsets.map(|place| (*other, place)));
        }
        let own = (file, offset / CHUNK_BYTES as u64 * CHUNK_BYTES as u64);
        places.retain(|place| *place != own);
        if places.is_empty() {
            return (file, own.1 + CHUNK_BYTES as u64);
        }
        places[self.rng.below(places.len() as u64) as usize]
    }
}

/// An open file. Its content lives until it is closed, whatever becomes of its name.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: NodeId,
    handle: u64,
    /// By which it was opened, for faults.
    path: String,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        if state.locks.get(&self.file) == Some(&self.handle) {
            state.locks.remove(&self.file);
        }
        if let Some(handles) = state.handles.get_mut(&self.file) {
            *handles -= 1;
            if *handles == 0 {
                state.handles.remove(&self.file);
                state.drop_if_unused(self.file);
            }
        }
    }
}

impl SimFile {
    /// What of a request for room fits.
    fn bytes_that_fit(&self, state: &State, offset: u64, bytes: u64) -> u64 {
        match state.room_bytes() {
            u64::MAX => bytes,
            room_bytes => state.live.files[&self.file].bytes_that_fit(offset, bytes, room_bytes),
        }
    }

    fn full(&self) -> io::Error {
        tree::error(io::ErrorKind::StorageFull, &self.path)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_vectored_at(&mut [buffer], offset)
    }

    fn read_vectored_at(&self, buffers: &mut [&mut [u8]], offset: u64) -> io::Result<()> {
        self.disk.pass_gate(&self.path);
        let mut state = self.disk.state.lock();
        let outcome = state.strike(FaultOn::Read, &self.path)?;
        let mut bytes = vec![0; buffers.iter().map(|buffer| buffer.len()).sum()];
        let is_whole = bytes.is_empty() || state.live.files[&self.file].read(offset, &mut bytes);
        state.finish_read(outcome, &mut bytes)?;
        if !is_whole {
            return Err(tree::error(io::ErrorKind::UnexpectedEof, &self.path));
        }
        let mut rest = &bytes[..];
        for buffer in buffers {
            let (now, later) = rest.split_at(buffer.len());
            buffer.copy_from_slice(now);
            rest = later;
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_vectored_at(&[IoSlice::new(bytes)], offset)
    }

    fn write_vectored_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let data: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        check_range(offset, data.len() as u64)?;
        let mut state = self.disk.state.lock();
        let (mut file, mut offset, mut written, mut failure) = (self.file, offset, data.len(), None);
        match state.strike(FaultOn::Write, &self.path)? {
            Outcome::Fail(error) => {
                written = state.rng.below(data.len() as u64 + 1) as usize;
                failure = Some(error);
            }
            Outcome::Misdirect => (file, offset) = state.elsewhere(file, offset),
            Outcome::Well | Outcome::FlipBit => {
                written = self.bytes_that_fit(&state, offset, data.len() as u64) as usize;
                failure = (written < data.len()).then(|| self.full());
            }
        }
        if written > 0 {
            let data = data[..written].into();
            state.issue(Operation::Write { file, offset, data })?;
        }
        failure.map_or(Ok(()), Err)
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.state.lock();
        state.check_power()?;
        Ok(state.live.files[&self.file].length())
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        check_range(bytes, 0)?;
        let mut state = self.disk.state.lock();
        state.strike_or_fail(FaultOn::Resize, &self.path)?;
        state.issue(Operation::SetLength {
            file: self.file,
            bytes,
        })
    }

    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()> {
        check_range(offset, bytes)?;
        let mut state = self.disk.state.lock();
        state.strike_or_fail(FaultOn::Resize, &self.path)?;
        if bytes == 0 {
            return Ok(());
        }
        if self.bytes_that_fit(&state, offset, bytes) < bytes {
            return Err(self.full());
        }
        state.issue(Operation::Allocate {
            file: self.file,
            offset,
            bytes,
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        match state.strike(FaultOn::Sync, &self.path)? {
            Outcome::Fail(error) => {
                let seed = state.rng.next_u64();
                state.issue(Operation::FailedSync {
                    file: self.file,
                    seed,
                })?;
                Err(error)
            }
            _ => state.issue(Operation::Sync { node: self.file }),
        }
    }

    fn lock(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.check_power()?;
        match state.locks.get(&self.file) {
            Some(holder) if *holder != self.handle => Err(io::ErrorKind::WouldBlock.into()),
            _ => {
                state.locks.insert(self.file, self.handle);
                Ok(())
            }
        }
    }
}
