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
use tokio::sync::watch;

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
    /// Size of the batch as [`batch_bytes`] counts it.
    pub(super) bytes: usize,
    pub(super) answer: Sender<Result<CommitSeq, StoreError>>,
}

/// What the writer shows to everybody else.
pub(super) struct Published {
    /// The newest durable state. Replaced before the commits in it are answered.
    pub(super) newest: RwLock<Arc<RedbSnapshot>>,
    /// Position of `newest`, for those who wait for the next.
    pub(super) commits: watch::Sender<CommitSeq>,
    /// Why nothing is accepted any more; set once, never cleared.
    pub(super) failure: OnceLock<String>,
}

impl Published {
    pub(super) fn new(newest: RedbSnapshot) -> Published {
        Published {
            commits: watch::Sender::new(newest.seq()),
            newest: RwLock::new(Arc::new(newest)),
            failure: OnceLock::new(),
        }
    }

    /// Shows a newer state to everybody.
    fn publish(&self, newest: RedbSnapshot) {
        let seq = newest.seq();
        *self.newest.write() = Arc::new(newest);
        self.commits.send_replace(seq);
    }

    pub(super) fn poisoned(&self) -> Option<StoreError> {
        self.failure.get().map(|reason| StoreError::Poisoned {
            reason: reason.clone(),
        })
    }
}

/// Bytes that the batch carries.
pub(super) fn batch_bytes(batch: &WriteBatch) -> usize {
    let writes = batch
        .writes
        .iter()
        .map(|write| write.key.len() + write.value.as_ref().map_or(0, Vec::len));
    let guards = batch.guards.iter().map(|guard| guard.key.len());
    writes.chain(guards).chain(batch.log.iter().map(Vec::len)).sum()
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
        open.finish()?;
        #[cfg(any(test, feature = "test-support"))]
        if self.hooks.acknowledge_before_commit {
            self.answer_all(group, &verdicts);
            // Each commit is answered, and observed, once.
            verdicts.clear();
        }
        transaction.commit().map_err(failed)?;
        let read = self.database.begin_read().map_err(failed)?;
        self.published.publish(RedbSnapshot::open(&read)?);
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
        // A caller always waits. The room for one answer is taken only when a commit fails behind a planted early
        // acknowledgement.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::redb_store::cut_disk::{CutDisk, Image};
    use crate::redb_store::open;
    use crate::seam::{SpaceId, SpaceStats, Write};
    use crossbeam::channel::bounded;
    use rustydb_runtime::ManualClock;

    const SPACE: SpaceId = SpaceId(1024);

    fn writer(disk: &CutDisk) -> Writer {
        let database = Arc::new(open::backend(disk.backend(), 1 << 20).unwrap());
        let newest = RedbSnapshot::open(&database.begin_read().unwrap()).unwrap();
        Writer {
            database,
            published: Arc::new(Published::new(newest)),
            clock: Arc::new(ManualClock::new(0)),
            hooks: crate::redb_store::TestHooks::default(),
        }
    }

    fn insert(key: &[u8]) -> WriteBatch {
        let write = Write {
            space: SPACE,
            key: key.to_vec(),
            expected: None,
            value: Some(b"v".to_vec()),
        };
        WriteBatch {
            writes: vec![write],
            ..WriteBatch::default()
        }
    }

    /// Queues `batches`, lets a writer serve them until the queue is empty, and counts the disk's syncs.
    fn serve_queued(batches: Vec<WriteBatch>) -> (Vec<Result<CommitSeq, StoreError>>, usize) {
        serve_queued_on(&CutDisk::new(Image::default()), batches)
    }

    fn serve_queued_on(
        disk: &CutDisk,
        batches: Vec<WriteBatch>,
    ) -> (Vec<Result<CommitSeq, StoreError>>, usize) {
        let writer = writer(disk);
        let (requests, queue) = bounded(QUEUE_BATCHES_MAX);
        let mut waiting = Vec::new();
        for batch in batches {
            let (answer, answered) = bounded(1);
            let bytes = crate::redb_store::writer::batch_bytes(&batch);
            requests.send(Request { batch, bytes, answer }).unwrap();
            waiting.push(answered);
        }
        drop(requests);
        let before = disk.syncs();
        // Borrowed parts stay alive until the count is taken: closing the database syncs too.
        let database = Arc::clone(&writer.database);
        writer.run(&queue);
        let syncs = disk.syncs() - before;
        drop(database);
        (
            waiting
                .into_iter()
                .map(|answered| answered.recv().unwrap())
                .collect(),
            syncs,
        )
    }

    #[test]
    fn queued_batches_share_one_sync_and_see_those_before_them() {
        let (answers, syncs) = serve_queued(vec![insert(b"a"), insert(b"b"), insert(b"a"), insert(b"c")]);
        assert_eq!(syncs, 1);
        assert_eq!(*answers[0].as_ref().unwrap(), CommitSeq(1));
        assert_eq!(*answers[1].as_ref().unwrap(), CommitSeq(2));
        assert!(matches!(&answers[2], Err(StoreError::Conflict { space: SPACE, key }) if key == b"a"));
        assert_eq!(*answers[3].as_ref().unwrap(), CommitSeq(3));
    }

    #[test]
    fn statistics_are_exact_when_one_group_fills_drops_and_fills_a_space() {
        let mut refill = insert(b"longer");
        refill.dropped_spaces.push(SPACE);
        let disk = CutDisk::new(Image::default());
        let (answers, syncs) = serve_queued_on(&disk, vec![insert(b"a"), insert(b"b"), refill]);
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(syncs, 1);
        let stats = writer(&disk).published.newest.read().space_stats(SPACE).unwrap();
        let expected = SpaceStats {
            entries: 1,
            bytes: 7,
            modified: CommitSeq(3),
            modified_at_us: 0,
        };
        assert_eq!(stats, expected);
    }

    /// A recorder must not see a later, honest call hide the early one of the planted bug.
    #[test]
    fn every_commit_is_observed_once_and_the_planted_bug_before_its_sync() {
        for (acknowledge_before_commit, syncs_when_observed) in [(false, 1), (true, 0)] {
            let disk = CutDisk::new(Image::default());
            let mut writer = writer(&disk);
            let before = disk.syncs();
            let observed = Arc::new(parking_lot::Mutex::new(Vec::new()));
            writer.hooks = crate::redb_store::TestHooks {
                on_acknowledge: Some({
                    let (disk, observed) = (disk.clone(), Arc::clone(&observed));
                    Arc::new(move |commit| observed.lock().push((commit, disk.syncs() - before)))
                }),
                acknowledge_before_commit,
            };
            let (answer, answered) = bounded(1);
            writer.serve(vec![Request {
                batch: insert(b"a"),
                bytes: 2,
                answer,
            }]);
            assert_eq!(answered.recv().unwrap().unwrap(), CommitSeq(1));
            assert_eq!(*observed.lock(), [(CommitSeq(1), syncs_when_observed)]);
        }
    }

    #[test]
    fn a_group_is_bounded_by_its_batches_and_by_its_bytes() {
        let sizes_of_groups = |sizes: Vec<usize>| {
            let (requests, queue) = bounded(QUEUE_BATCHES_MAX);
            for bytes in sizes {
                let (answer, _) = bounded(1);
                requests
                    .send(Request {
                        batch: WriteBatch::default(),
                        bytes,
                        answer,
                    })
                    .unwrap();
            }
            drop(requests);
            let mut groups = Vec::new();
            while let Ok(first) = queue.recv() {
                groups.push(gather(first, &queue).len());
            }
            groups
        };
        assert_eq!(
            sizes_of_groups(vec![1; GROUP_BATCHES_MAX + 1]),
            [GROUP_BATCHES_MAX, 1]
        );
        assert_eq!(sizes_of_groups(vec![GROUP_BYTES_MAX, 1, 1]), [1, 2]);
        assert_eq!(sizes_of_groups(vec![1, GROUP_BYTES_MAX - 1, 1]), [2, 1]);
    }

    #[test]
    fn a_group_of_conflicts_writes_nothing() {
        let mut guarded = insert(b"a");
        guarded.writes[0].expected = Some(CommitSeq(9));
        let (answers, syncs) = serve_queued(vec![guarded.clone(), guarded]);
        assert_eq!(syncs, 0);
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer, Err(StoreError::Conflict { .. })))
        );
    }
}
