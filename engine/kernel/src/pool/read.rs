//! Reads: optimistic, and with the latch when that fails too often.

use super::events::PoolEvent;
use super::frame::Frame;
use super::stats::count;
use super::view::{PageView, Torn};
use super::{Inner, latch::Version};
use crate::error::Result;
use crate::ids::PageId;

/// Optimistic reads of one call that may fail before it takes the latch. Few under shuttle, so that its scenes come
/// that far.
const OPTIMISTIC_MAX: usize = if cfg!(shuttle) { 1 } else { 16 };

impl Inner {
    #[inline]
    pub(super) fn read<T>(
        &self,
        id: PageId,
        mut look: impl FnMut(&PageView<'_>) -> Result<T, Torn>,
    ) -> Result<T> {
        let layout = self.table.layout();
        if let Some(frame) = layout.lookup(id)
            && let Some(version) = frame.latch.version()
            && let Some(result) = attempt(frame, id, version, &mut look)
        {
            frame.touch();
            count(&self.stats.here().hits);
            self.listener.event(PoolEvent::Hit(id));
            return result;
        }
        drop(layout);
        self.read_again(id, &mut look)
    }

    /// Goes on where the first attempt failed: the page is in no frame, or is changed or loaded just now.
    #[cold]
    fn read_again<T>(
        &self,
        id: PageId,
        look: &mut impl FnMut(&PageView<'_>) -> Result<T, Torn>,
    ) -> Result<T> {
        let mut missed = false;
        loop {
            // As long as `located` lives a page that was loaded here cannot leave.
            let located = self.locate(id)?;
            missed |= located.loaded();
            if let Some(result) = self.read_frame(&located, id, look) {
                if !missed {
                    located.touch();
                    count(&self.stats.here().hits);
                    self.listener.event(PoolEvent::Hit(id));
                }
                // Its frame is given back before others are asked for.
                drop(located);
                if missed {
                    self.read_on(id);
                }
                return result;
            }
        }
    }

    /// Reads the page if the frame holds it; waits for who changes or loads it.
    pub(super) fn read_frame<T>(
        &self,
        frame: &Frame,
        id: PageId,
        look: &mut impl FnMut(&PageView<'_>) -> Result<T, Torn>,
    ) -> Option<Result<T>> {
        for _ in 0..OPTIMISTIC_MAX {
            let Some(version) = frame.latch.version() else {
                frame.latch.wait(&self.parking);
                continue;
            };
            if let Some(result) = attempt(frame, id, version, look) {
                return Some(result);
            }
            if !frame.holds(id) {
                return None;
            }
            count(&self.stats.here().read_retries);
        }
        let _latched = frame.latch.exclusive(&self.parking);
        if !frame.holds(id) {
            return None;
        }
        count(&self.stats.here().read_latched);
        Some(look(&frame.view()).map_err(|torn| torn.into_error(id)))
    }
}

/// One optimistic read. `None` when the frame does not hold the page or was changed meanwhile.
#[inline]
fn attempt<T>(
    frame: &Frame,
    id: PageId,
    version: Version,
    look: &mut impl FnMut(&PageView<'_>) -> Result<T, Torn>,
) -> Option<Result<T>> {
    // After the version: a frame that changes its page changes its version too.
    if !frame.holds(id) {
        return None;
    }
    let result = look(&frame.view());
    if !frame.latch.validate(version) {
        return None;
    }
    Some(result.map_err(|torn| torn.into_error(id)))
}
