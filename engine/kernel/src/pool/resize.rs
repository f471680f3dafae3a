//! The pool gets more frames, or fewer, while it works.
//!
//! Frames are given back by chunks: of a chunk some of whose frames stay, for they are pinned or because the number
//! asked for is no multiple of [`CHUNK_FRAMES`], the memory stays too. Its idle frames are used first when the pool
//! grows again.

use super::events::EvictionReason;
use super::frame::{CHUNK_FRAMES, Chunk, FrameNo};
use super::replacement::Queue;
use super::table::Layout;
use super::{FRAMES_MAX, FRAMES_MIN, Inner, Pool};
use crate::error::Result;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// Times that a shrink goes over all frames: one that is pinned or in flux at one time may be free at the next.
const PASSES_MAX: usize = 3;

impl Pool {
    /// Makes the pool have `frames` frames, between [`FRAMES_MIN`] and [`FRAMES_MAX`], and gives how many it has then:
    /// more than asked for when too many are pinned. Pages that leave are written first; after an error of
    /// that the pool works on with the frames that are left.
    pub fn resize(&self, frames: usize) -> Result<usize> {
        let frames = frames.clamp(FRAMES_MIN, FRAMES_MAX);
        let inner = &*self.inner;
        let _resizing = inner.resizing.lock();
        let now = inner.replacement.lock().frames();
        if frames > now {
            inner.grow(frames - now);
        } else {
            let shrunk = inner.shrink(frames);
            inner.drop_chunks();
            shrunk?;
        }
        Ok(inner.replacement.lock().frames())
    }

    /// Frames that the pool has.
    pub fn frames(&self) -> usize {
        self.inner.replacement.lock().frames()
    }
}

impl Inner {
    fn grow(&self, mut more: usize) {
        let layout = self.table.layout();
        let idle = layout
            .frames()
            .filter(|(_, frame)| frame.retiring.load(Ordering::Relaxed));
        let mut added: Vec<FrameNo> = idle.map(|(no, _)| no).take(more).collect();
        more -= added.len();
        let mut chunks = layout.chunks.clone();
        while more > 0 {
            let chunk = Chunk::new(more);
            let gap = chunks.iter().position(Option::is_none);
            let index = gap.unwrap_or_else(|| {
                chunks.push(None);
                chunks.len() - 1
            });
            let first = index * CHUNK_FRAMES;
            let made = chunk.frames().len();
            added.extend((first..first + made).map(|no| no as FrameNo));
            chunks[index] = Some(chunk);
            more -= made;
        }
        drop(layout);
        // The layout knows the frames before a queue does.
        self.table.replace(chunks);
        let layout = self.table.layout();
        let mut replacement = self.replacement.lock();
        for &no in &added {
            set_retiring(&layout, no, false);
        }
        replacement.add(added);
        drop(replacement);
        self.settled.notify_all();
    }

    /// Takes frames out of use, from the last chunk on, until `frames` are left.
    fn shrink(&self, frames: usize) -> Result<()> {
        for _ in 0..PASSES_MAX {
            let mut candidates: Vec<FrameNo> = self.table.layout().frames().map(|(no, _)| no).collect();
            while !candidates.is_empty() {
                let surplus = self.replacement.lock().frames().saturating_sub(frames);
                if surplus == 0 {
                    return Ok(());
                }
                let batch = candidates.split_off(candidates.len().saturating_sub(surplus));
                self.retire(&batch)?;
            }
        }
        Ok(())
    }

    /// Takes those of the frames out of use that can be.
    fn retire(&self, batch: &[FrameNo]) -> Result<()> {
        let layout = self.table.layout();
        let withdrawn = self.withdraw(&layout, batch);
        let pages = withdrawn.iter().filter_map(|&no| layout.frame(no));
        let dirty = pages.filter(|frame| frame.dirty.load(Ordering::Acquire));
        let mut written = self.write_pages(dirty.filter_map(|frame| frame.page()).collect());
        for no in withdrawn {
            let Some(frame) = layout.frame_ref(no) else {
                continue;
            };
            if written.is_ok()
                && let Err(error) = self.vacate(&frame, EvictionReason::Resized)
            {
                written = Err(error);
            }
            let mut replacement = self.replacement.lock();
            if frame.page().is_none() {
                replacement.retire();
            } else {
                frame.retiring.store(false, Ordering::Relaxed);
                replacement.give_back(no, Queue::Small);
            }
        }
        self.settled.notify_all();
        written
    }

    /// Takes those of the frames out of their queues that are in one and unpinned.
    fn withdraw(&self, layout: &Layout, batch: &[FrameNo]) -> Vec<FrameNo> {
        let mut replacement = self.replacement.lock();
        let free = |no: &&FrameNo| {
            layout
                .frame(**no)
                .is_some_and(|frame| frame.pins() == 0 && !frame.retiring.load(Ordering::Relaxed))
        };
        let wanted: Vec<FrameNo> = batch.iter().filter(free).copied().collect();
        for &no in &wanted {
            set_retiring(layout, no, true);
        }
        let wanted_now = |no| wanted.binary_search(&no).is_ok();
        let withdrawn = replacement.withdraw(wanted_now);
        // The others are in flux and stay in use.
        for &no in &wanted {
            set_retiring(layout, no, false);
        }
        for &no in &withdrawn {
            set_retiring(layout, no, true);
        }
        withdrawn
    }

    /// Gives back the memory of chunks none of whose frames is in use.
    fn drop_chunks(&self) {
        let mut chunks = self.table.layout().chunks.clone();
        let idle = |chunk: &Arc<Chunk>| {
            let mut frames = chunk.frames().iter();
            frames.all(|frame| frame.retiring.load(Ordering::Relaxed))
        };
        let before = chunks.iter().flatten().count();
        for chunk in &mut chunks {
            if chunk.as_ref().is_some_and(idle) {
                *chunk = None;
            }
        }
        while chunks.last().is_some_and(Option::is_none) {
            chunks.pop();
        }
        if chunks.iter().flatten().count() < before {
            self.table.replace(chunks);
        }
    }
}

fn set_retiring(layout: &Layout, no: FrameNo, retiring: bool) {
    if let Some(frame) = layout.frame(no) {
        frame.retiring.store(retiring, Ordering::Relaxed);
    }
}
