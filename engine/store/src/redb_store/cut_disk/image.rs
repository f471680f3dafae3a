//! The bytes of a disk, cheap to copy: copies share the chunks they have not changed.

use std::sync::{Arc, LazyLock};

const CHUNK_BYTES: usize = 4096;
type Chunk = [u8; CHUNK_BYTES];

static ZEROES: LazyLock<Arc<Chunk>> = LazyLock::new(|| Arc::new([0; CHUNK_BYTES]));

/// What a disk holds.
#[derive(Clone, Default)]
pub struct Image {
    len: u64,
    chunks: Vec<Arc<Chunk>>,
}

impl Image {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Grows with zeroes or cuts off. Bytes behind a cut read as zeroes when the image grows again.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let keep = usize::try_from(len).expect("an image fits in memory");
            self.chunks.truncate(keep.div_ceil(CHUNK_BYTES));
            if let (Some(last), rest @ 1..) = (self.chunks.last_mut(), keep % CHUNK_BYTES) {
                Arc::make_mut(last)[rest..].fill(0);
            }
        }
        let chunks = usize::try_from(len)
            .expect("an image fits in memory")
            .div_ceil(CHUNK_BYTES);
        self.chunks.resize(chunks, Arc::clone(&ZEROES));
        self.len = len;
    }

    /// Fills `out` from `offset`; false when that reaches behind the end.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        if offset
            .checked_add(out.len() as u64)
            .is_none_or(|end| end > self.len)
        {
            return false;
        }
        let mut at = usize::try_from(offset).expect("an image fits in memory");
        let mut rest = out;
        while !rest.is_empty() {
            let (chunk, within) = (at / CHUNK_BYTES, at % CHUNK_BYTES);
            let bytes = rest.len().min(CHUNK_BYTES - within);
            let (now, later) = rest.split_at_mut(bytes);
            now.copy_from_slice(&self.chunks[chunk][within..within + bytes]);
            (rest, at) = (later, at + bytes);
        }
        true
    }

    /// Writes what of `data` lies before the end: a file whose growth was lost has no room for the rest.
    pub(super) fn write_clipped(&mut self, offset: u64, data: &[u8]) {
        let room = usize::try_from(self.len.saturating_sub(offset)).expect("an image fits in memory");
        let mut rest = &data[..data.len().min(room)];
        let mut at = usize::try_from(offset).expect("an image fits in memory");
        while !rest.is_empty() {
            let (chunk, within) = (at / CHUNK_BYTES, at % CHUNK_BYTES);
            let bytes = rest.len().min(CHUNK_BYTES - within);
            Arc::make_mut(&mut self.chunks[chunk])[within..within + bytes].copy_from_slice(&rest[..bytes]);
            (rest, at) = (&rest[bytes..], at + bytes);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustydb_runtime::SeededRng;

    /// Random writes, growth and cuts against a plain vector; copies taken on the way stay as they were.
    #[test]
    fn an_image_behaves_like_a_vector_and_copies_are_independent() {
        let rng = SeededRng::new(11);
        let (mut image, mut model) = (Image::default(), Vec::new());
        let mut copies: Vec<(Image, Vec<u8>)> = Vec::new();
        for step in 0..2000_u64 {
            match rng.below(10) {
                0 => {
                    let len = rng.below(40_000);
                    image.set_len(len);
                    model.resize(len as usize, 0);
                }
                1 => copies.push((image.clone(), model.clone())),
                _ => {
                    let offset = rng.below(40_000) as usize;
                    let data = vec![step as u8; rng.below(9000) as usize];
                    image.write_clipped(offset as u64, &data);
                    for (at, byte) in (offset..model.len()).zip(&data) {
                        model[at] = *byte;
                    }
                }
            }
        }
        copies.push((image, model));
        for (image, model) in copies {
            assert_eq!(image.len(), model.len() as u64);
            let mut bytes = vec![1; model.len()];
            assert!(image.read(0, &mut bytes));
            assert_eq!(bytes, model);
            assert!(!image.read(1, &mut bytes) || bytes.is_empty());
        }
    }
}
