//! Group commit: one thread owns every redb write transaction.
//!
//! It takes the batch that waits longest, then whatever else is queued by then, up to the bounds below; applies
//! them in order in one redb transaction; commits that once, durably; shows the new state to readers; and only
//! then answers. While a sync is under way the next group gathers, so the rate of durable commits grows with
//! the number of callers and nobody waits on a timer.

use std::sync::{Arc, OnceLock};

use crossbeam::channel::{Receiver, Sender};
use parking_lot::RwLock;
use redb::{Database, Durability, ReadableDatabase};
use rustydb_runtime::Clock;

use super::apply::{Group, Verdict};
use super::errors::failed;
use super::snapshot::RedbSnapshot;
use crate::error::StoreError;
use crate::seam::{CommitSeq, StoreSnapshot, WriteBatch};

/// Batches waiting for the writer; a caller beyond that blocks until there is room.
pub(super) const QUEUE_BATCHES_MAX: usize = 1024;
/// Batches of one redb transaction: bounds how long the first of a group waits for the last.
const GROUP_BATCHES_MAX: usize = 512;
/// Once a group holds this many bytes no further batch joins it: bounds the dirty pages of a transaction.
const GROUP_BYTES_MAX: usize = 32 << 20;

/// A batch and where its caller waits.
pub(super) struct Request {
    pub(super) batch: WriteBatch,
    /// Size of the batch as [`super::limits::batch_bytes`] counts it.
    pub(super) bytes: usize,
    pub(super) answer: Sender<Result<CommitSeq, StoreError>>,
}

/// What the writer shows to everybody else.
pub(super) struct Published {
    /// The newest durable state. Replaced before the commits in it are answered.
    pub(super) newest: RwLock<Arc<RedbSnapshot>>,
    /// Why nothing is accepted any more; set once, never cleared.
    pub(super) failure: OnceLock<String>,
}

impl Published {
    pub(super) fn poisoned(&self) -> Option<StoreError> {
        self.failure.get().map(|reason| StoreError::Poisoned {
            reason: reason.clone(),
        })
    }
}

pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) published: Arc<Published>,
    pub(super) clock: Arc<dyn Clock>,
    #[cfg(any(test, feature = "test-support"))]
    pub(super) hooks: super::TestHooks,
}

impl Writer {
    /// Serves until every sender is gone, then everything that is still queued.
    pub(super) fn run(self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let group = gather(first, requests);
            self.serve(group);
        }
    }

    fn serve(&self, group: Vec<Request>) {
        if self.published.failure.get().is_some() {
            for request in group {
                let refused = self.published.poisoned().expect("a failure is never cleared");
                self.answer(&request.answer, Err(refused));
            }
            return;
        }
        match self.commit(&group) {
            Ok(verdicts) => self.answer_all(&group, &verdicts),
            Err(error) => {
                let reason = error.to_string();
                self.published.failure.get_or_init(|| reason.clone());
                for request in group {
                    self.answer(&request.answer, Err(StoreError::Io(reason.clone())));
                }
            }
        }
    }

    /// One redb transaction for the whole group. After an error nothing is known to be durable.
    fn commit(&self, group: &[Request]) -> Result<Vec<Verdict>, StoreError> {
        let newest = self.published.newest.read().seq();
        let mut transaction = self.database.begin_write().map_err(failed)?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(failed)?;
        let mut verdicts = Vec::with_capacity(group.len());
        let mut open = Group::open(&transaction, newest)?;
        for request in group {
            verdicts.push(open.submit(&request.batch, self.clock.now_us())?);
        }
        if !verdicts
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Applied(_)))
        {
            drop(open);
            transaction.abort().map_err(failed)?;
            return Ok(verdicts);
        }
        open.finish(&transaction)?;
        #[cfg(any(test, feature = "test-support"))]
        if self.hooks.acknowledge_before_commit {
            self.answer_all(group, &verdicts);
        }
        transaction.commit().map_err(failed)?;
        let read = self.database.begin_read().map_err(failed)?;
        let snapshot = Arc::new(RedbSnapshot::open(&read)?);
        *self.published.newest.write() = snapshot;
        Ok(verdicts)
    }

    fn answer_all(&self, group: &[Request], verdicts: &[Verdict]) {
        for (request, verdict) in group.iter().zip(verdicts) {
            let answer = match verdict {
                Verdict::Applied(seq) => {
                    #[cfg(any(test, feature = "test-support"))]
                    if let Some(on_acknowledge) = &self.hooks.on_acknowledge {
                        on_acknowledge(*seq);
                    }
                    Ok(*seq)
                }
                Verdict::Held(seq) => Ok(*seq),
                Verdict::Conflict { space, key } => Err(StoreError::Conflict {
                    space: *space,
                    key: key.clone(),
                }),
            };
            self.answer(&request.answer, answer);
        }
    }

    fn answer(&self, to: &Sender<Result<CommitSeq, StoreError>>, answer: Result<CommitSeq, StoreError>) {
        // The room for one answer is taken only by a planted early acknowledgement; a caller always waits.
        let _ = to.try_send(answer);
    }
}

fn gather(first: Request, requests: &Receiver<Request>) -> Vec<Request> {
    let mut bytes = first.bytes;
    let mut group = vec![first];
    while group.len() < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX {
        let Ok(next) = requests.try_recv() else { break };
        bytes += next.bytes;
        group.push(next);
    }
    group
}
