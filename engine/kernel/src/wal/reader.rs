//! Reading what is durable, beside those who append.

use super::append::INDEX_BYTES;
use super::chain::{Found, Groups, Next, Source};
use super::events::WalEvent;
use super::recovery::open_segment;
use super::segments::Segment;
use super::{Group, Shared, Wal, WalPosition};
use crate::error::{KernelError, Result};
use crate::ids::{Lsn, Ts};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// Reads durable groups in order. It keeps the segment that it is in, and with that all later ones, from leaving the
/// log.
pub struct Reader {
    shared: Arc<Shared>,
    groups: Groups,
    after: Ts,
    /// The segment that it is in.
    pin: (u64, Arc<Segment>),
    /// The last place told to the index.
    noted: Lsn,
}

impl Wal {
    /// Reads the groups behind commit `after`.
    ///
    /// # Errors
    /// `LogGone` when the segment in which they begin has left the log.
    pub fn read_after(&self, after: Ts) -> Result<Reader> {
        let table = self.shared.table.lock();
        // The first group behind `after` begins in the last segment that `after` is not below.
        let from = table.iter().rev().find(|(_, segment)| segment.first_ts <= after);
        let Some((&number, segment)) = from else {
            let oldest = table.values().next().map_or(Ts(0), |segment| segment.first_ts);
            return Err(KernelError::LogGone { after, oldest });
        };
        let pin = (number, Arc::clone(segment));
        drop(table);

        let start = WalPosition {
            lsn: self.shared.layout.start(number),
            prev_crc: pin.1.prev_crc,
            ts: pin.1.first_ts,
        };
        let indexed = {
            let index = self.shared.index.lock();
            index.get(&number).and_then(|places| {
                let behind = places.partition_point(|place| place.ts <= after);
                behind.checked_sub(1).map(|at| places[at])
            })
        };
        let at = indexed.unwrap_or(start);
        let groups = Groups::reader(self.shared.layout, self.shared.epoch, at, indexed.is_none());
        Ok(Reader {
            shared: Arc::clone(&self.shared),
            groups,
            after,
            pin,
            noted: Lsn(0),
        })
    }
}

impl Reader {
    /// The next durable group; `None` when there is none yet, after which it may be called again.
    ///
    /// # Errors
    /// `CorruptLog` when what stands there is not what was written, and `Io`.
    pub fn next_group(&mut self) -> Result<Option<Group<'_>>> {
        let Some(found) = self.find()? else {
            return Ok(None);
        };
        Ok(Some(Group {
            lsn: found.lsn,
            end: found.end,
            ts: found.ts,
            durable: found.durable,
            body: self.groups.body(&found),
        }))
    }

    fn find(&mut self) -> Result<Option<Found>> {
        let durable = Lsn(self.shared.durable.load(Ordering::Acquire));
        let Reader {
            shared,
            groups,
            after,
            pin,
            noted,
        } = self;
        let mut open = |number: u64| {
            let table = shared.table.lock();
            let Some(segment) = table.get(&number) else {
                return Ok(None);
            };
            *pin = (number, Arc::clone(segment));
            drop(table);
            let file = open_segment(shared.disk.as_ref(), &shared.folder, number)?;
            Ok(Some(Source::File(file)))
        };
        loop {
            match groups.next(durable, &mut open)? {
                Next::Group(found) => {
                    if found.before.lsn.0 >= noted.0 + INDEX_BYTES {
                        *noted = found.before.lsn;
                        shared.note_place(found.before);
                    }
                    if found.ts > *after {
                        return Ok(Some(found));
                    }
                }
                Next::Limit => return Ok(None),
                Next::Stop(what) => {
                    let lsn = groups.whole.lsn;
                    shared.listener.tell(|| WalEvent::CorruptionDetected {
                        lsn,
                        what: what.clone(),
                    });
                    return Err(KernelError::CorruptLog { lsn, what });
                }
            }
        }
    }
}
