//! The bytes of a file, cheap to copy: copies share the chunks that they have not changed.

use std::io;
use std::sync::Arc;

/// Unit in which room is taken.
pub(super) const CHUNK_BYTES: usize = 4096;

#[derive(Debug, Clone)]
enum Chunk {
    /// Reads as zeros and takes no room.
    Hole,
    /// Reads as zeros and takes room.
    Zeros,
    Data(Arc<[u8; CHUNK_BYTES]>),
}

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    length: u64,
    chunks: Vec<Chunk>,
    /// How many of `chunks` take room.
    used: u64,
}

impl Image {
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of the device that the file takes.
    pub fn used_bytes(&self) -> u64 {
        self.used * CHUNK_BYTES as u64
    }

    /// Grows with holes or cuts off. Bytes behind a cut read as zeros when the file grows again.
    pub fn set_length(&mut self, length: u64) {
        let chunks = in_memory(length).div_ceil(CHUNK_BYTES);
        if length < self.length {
            let cut_off = self.chunks.iter().skip(chunks);
            self.used -= cut_off.filter(|chunk| !matches!(chunk, Chunk::Hole)).count() as u64;
            self.chunks.truncate(chunks);
            if let (Some(Chunk::Data(last)), rest @ 1..) =
                (self.chunks.last_mut(), in_memory(length) % CHUNK_BYTES)
            {
                Arc::make_mut(last)[rest..].fill(0);
            }
        }
        self.chunks.resize(chunks, Chunk::Hole);
        self.length = length;
    }

    /// Takes room for a range, and makes the file as long.
    pub fn allocate(&mut self, offset: u64, bytes: u64) {
        let end = offset + bytes;
        if end > self.length {
            self.set_length(end);
        }
        for chunk in chunks_of(offset, in_memory(bytes)) {
            if matches!(self.chunks[chunk], Chunk::Hole) {
                self.chunks[chunk] = Chunk::Zeros;
                self.used += 1;
            }
        }
    }

    /// How many of `bytes` from `offset` on can be taken when the device has room for `room_bytes` more.
    pub fn bytes_that_fit(&self, offset: u64, bytes: u64, room_bytes: u64) -> u64 {
        let mut room = room_bytes / CHUNK_BYTES as u64;
        for chunk in chunks_of(offset, in_memory(bytes)) {
            if !matches!(self.chunks.get(chunk), None | Some(Chunk::Hole)) {
                continue;
            }
            if room == 0 {
                return ((chunk * CHUNK_BYTES) as u64).saturating_sub(offset);
            }
            room -= 1;
        }
        bytes
    }

    /// Fills `out` from `offset`; false when that reaches behind the end.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return false;
        }
        let (mut at, mut rest) = (in_memory(offset), out);
        while !rest.is_empty() {
            let (chunk, within) = (at / CHUNK_BYTES, at % CHUNK_BYTES);
            let bytes = rest.len().min(CHUNK_BYTES - within);
            let (now, later) = rest.split_at_mut(bytes);
            match &self.chunks[chunk] {
                Chunk::Data(data) => now.copy_from_slice(&data[within..within + bytes]),
                Chunk::Hole | Chunk::Zeros => now.fill(0),
            }
            (rest, at) = (later, at + bytes);
        }
        true
    }

    /// Writes `data`, and makes the file longer where it must be.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.allocate(offset, data.len() as u64);
        let (mut at, mut rest) = (in_memory(offset), data);
        while !rest.is_empty() {
            let (chunk, within) = (at / CHUNK_BYTES, at % CHUNK_BYTES);
            let (now, later) = rest.split_at(rest.len().min(CHUNK_BYTES - within));
            (rest, at) = (later, at + now.len());
            let chunk = &mut self.chunks[chunk];
            if now.len() == CHUNK_BYTES && now.iter().all(|byte| *byte == 0) {
                *chunk = Chunk::Zeros;
                continue;
            }
            if !matches!(chunk, Chunk::Data(_)) {
                *chunk = Chunk::Data(Arc::new([0; CHUNK_BYTES]));
            }
            if let Chunk::Data(data) = chunk {
                Arc::make_mut(data)[within..within + now.len()].copy_from_slice(now);
            }
        }
    }

    /// Everything in it.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; in_memory(self.length)];
        assert!(self.read(0, &mut bytes), "a file ends at its length");
        bytes
    }
}

/// Refuses a range that no file of a test reaches, before memory is taken for it.
pub(super) fn check_range(offset: u64, bytes: u64) -> io::Result<()> {
    /// A file of this size takes 4 GiB of memory for its list of chunks.
    const FILE_BYTES_MAX: u64 = 1 << 40;
    if offset.checked_add(bytes).is_some_and(|end| end <= FILE_BYTES_MAX) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("{bytes} bytes at {offset} reach behind {FILE_BYTES_MAX}"),
    ))
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a simulated file fits in memory")
}

fn chunks_of(offset: u64, bytes: usize) -> std::ops::Range<usize> {
    let first = in_memory(offset);
    if bytes == 0 {
        return 0..0;
    }
    first / CHUNK_BYTES..(first + bytes).div_ceil(CHUNK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRng;

    /// Random writes, growth, reservations and cuts against a plain vector; copies taken on the way stay as they were.
    #[test]
    fn an_image_behaves_like_a_vector_and_copies_are_independent() {
        let rng = SeededRng::new(11);
        let (mut image, mut model) = (Image::default(), Vec::new());
        let mut copies: Vec<(Image, Vec<u8>)> = Vec::new();
        for step in 0..3000_u64 {
            let offset = rng.below(40_000) as usize;
            match rng.below(12) {
                0 => {
                    image.set_length(offset as u64);
                    model.resize(offset, 0);
                }
                1 => copies.push((image.clone(), model.clone())),
                2 => {
                    let bytes = rng.below(9000) as usize;
                    image.allocate(offset as u64, bytes as u64);
                    model.resize(model.len().max(offset + bytes), 0);
                }
                kind => {
                    let byte = if kind == 3 { 0 } else { step as u8 };
                    let data = vec![byte; 1 + rng.below(9000) as usize];
                    image.write(offset as u64, &data);
                    model.resize(model.len().max(offset + data.len()), 0);
                    model[offset..offset + data.len()].copy_from_slice(&data);
                }
            }
            let room_taken = image
                .chunks
                .iter()
                .filter(|chunk| !matches!(chunk, Chunk::Hole))
                .count();
            assert_eq!(image.used, room_taken as u64);
        }
        copies.push((image, model));
        for (image, model) in copies {
            assert_eq!(image.length(), model.len() as u64);
            assert_eq!(image.to_vec(), model);
            assert!(!image.read(1, &mut vec![0; model.len()]) || model.is_empty());
        }
    }

    #[test]
    fn room_is_taken_by_what_is_written_or_reserved_and_counted_before() {
        let mut image = Image::default();
        image.set_length(100_000);
        assert_eq!(image.used_bytes(), 0);
        assert_eq!(image.bytes_that_fit(4000, 10_000, 2 * 4096), 2 * 4096 - 4000);
        assert_eq!(image.bytes_that_fit(4000, 100, 4095), 0);
        image.allocate(4096, 1);
        assert_eq!(image.used_bytes(), 4096);
        assert_eq!(image.bytes_that_fit(4000, 10_000, 2 * 4096), 3 * 4096 - 4000);
        image.write(4000, &[1; 100]);
        assert_eq!(image.used_bytes(), 2 * 4096);
        image.set_length(4096);
        assert_eq!(image.used_bytes(), 4096);
    }
}
