//! Work that goes on after its call was answered.
//!
//! [`Jobs::accept`] makes a job durable before its caller learns of it, and runs its work on a task of its own. What the
//! work comes to is durable before anybody is told that the job ended, unless the store takes no writes any more. A job
//! that did not come to its end, because the server stopped or was killed, has failed as interrupted when the server is
//! there again; what it had committed stays.
//!
//! ```text
//! queued ----> running ----> succeeded | failed
//!    |            |
//!    +------------+--------> cancelled
//! ```

mod meter;
mod records;
mod service;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rustydb_contract::{CallContext, Json, Permissions, Principal, ServiceError, ServiceResult};
use rustydb_contract_core::errors::{INTERNAL, UNAVAILABLE};
use rustydb_contract_jobs::Job;
use rustydb_contract_sql::errors::RESULT_TOO_LARGE;
use rustydb_runtime::{Clock, Rng};
use rustydb_store::error::StoreError;
use rustydb_store::seam::{KeyRange, SpaceId, TableStore, Write, WriteBatch};
use rustydb_store::tables::TableError;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::meter::{Count, Meter};
use self::records::{Failure, JobRecord, State, decode, encode};
use crate::data::table_error;
use crate::identity::blocking::blocking;
use crate::identity::secret::random_id;

/// Jobs that run at a time.
const RUNNING_MAX: usize = 4;
/// Jobs of one user that run at a time: nobody holds up all others.
const RUNNING_PER_USER_MAX: usize = 2;
/// Jobs that have not ended.
const UNFINISHED_MAX: usize = 100;
/// Jobs of one user that have not ended.
const UNFINISHED_PER_USER_MAX: usize = 25;
/// Jobs of one user that ended and are kept.
const KEPT_PER_USER_MAX: usize = 1_000;
/// How long a job that ended is kept: seven days.
const KEPT_US: i64 = 7 * 24 * 60 * 60 * 1_000_000;
/// Largest result, as JSON.
const RESULT_BYTES_MAX: usize = 16 << 20;
/// Time between two writes of a running job's count.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// Entries that are read at once when the jobs are loaded.
const LOAD_ENTRIES: usize = 256;

/// All jobs. A clone is another handle to the same.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn TableStore>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    /// By id, which sorts by the millisecond of acceptance.
    entries: Mutex<BTreeMap<String, Entry>>,
    /// By the user's id.
    users: Mutex<HashMap<String, Weak<User>>>,
    /// Goes up with each change of a state.
    changes: watch::Sender<u64>,
    /// A place for each job that has not ended.
    places: Arc<Semaphore>,
    running: Semaphore,
    /// Held by whoever removes old jobs.
    forgetting: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// What a user's jobs share.
struct User {
    places: Arc<Semaphore>,
    running: Semaphore,
}

/// The room that a job takes up until it has ended.
struct Place {
    user: Arc<User>,
    _of_all: OwnedSemaphorePermit,
    _of_user: OwnedSemaphorePermit,
}

#[derive(Clone)]
struct Entry {
    record: JobRecord,
    /// Of a job that has not ended.
    live: Option<Live>,
}

#[derive(Clone)]
struct Live {
    meter: Arc<Meter>,
    stop: CancellationToken,
}

/// What the work of a job has of it.
pub(crate) struct JobHandle {
    pub(crate) id: String,
    pub(crate) meter: Arc<Meter>,
}

/// What a job does; its result is JSON that can be kept.
type Work = Box<dyn FnOnce(JobHandle) -> BoxFuture<'static, ServiceResult<Vec<u8>>> + Send>;

enum Outcome {
    /// With the result as JSON.
    Succeeded(Vec<u8>),
    Failed(Failure),
    Stopped,
}

impl Jobs {
    /// Loads what the store keeps; jobs that had not ended have failed.
    pub fn open(
        store: Arc<dyn TableStore>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Jobs, StoreError> {
        let mut records = load(&*store)?;
        let now_us = clock.now_us();
        let mut writes = Vec::new();
        for (id, record) in records.iter_mut().filter(|(_, record)| !record.state.is_final()) {
            record.state = State::Failed;
            record.error = Some(Failure::interrupted());
            record.finished_at_us = Some(now_us);
            writes.push(put(&*store, SpaceId::JOBS, id, encode(record))?);
        }
        commit(&*store, writes)?;
        let entry = |(id, record)| (id, Entry { record, live: None });
        let jobs = Jobs {
            inner: Arc::new(Inner {
                store,
                clock,
                rng,
                entries: Mutex::new(records.into_iter().map(entry).collect()),
                users: Mutex::default(),
                changes: watch::Sender::new(0),
                places: Arc::new(Semaphore::new(UNFINISHED_MAX)),
                running: Semaphore::new(RUNNING_MAX),
                forgetting: tokio::sync::Mutex::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }),
        };
        jobs.inner.remove(&jobs.inner.old())?;
        Ok(jobs)
    }

    /// Accepts work for the caller; answers once the job is durable, before it runs.
    ///
    /// Fails with `UNAVAILABLE` when the caller, or all together, have as many that have not ended as they may, or the
    /// server stops.
    pub(crate) async fn accept<T, W, F>(
        &self,
        context: &CallContext,
        first: Count,
        work: W,
    ) -> ServiceResult<Job>
    where
        T: Serialize + Send + 'static,
        W: FnOnce(JobHandle) -> F + Send + 'static,
        F: Future<Output = ServiceResult<T>> + Send + 'static,
    {
        if self.inner.stopping.is_cancelled() {
            return Err(ServiceError::new(&UNAVAILABLE, "the server is stopping"));
        }
        let principal = context.principal();
        let place = self.inner.place(&principal.user_id)?;
        let record = JobRecord {
            operation: context.operation.id.to_owned(),
            user_id: principal.user_id.clone(),
            username: principal.username.clone(),
            state: State::Queued,
            count: first.clone(),
            error: None,
            created_at_us: self.inner.clock.now_us(),
            started_at_us: None,
            finished_at_us: None,
        };
        let id = random_id(&*self.inner.clock, &*self.inner.rng);
        let live = Live {
            meter: Arc::new(Meter::new(first)),
            stop: self.inner.stopping.child_token(),
        };
        // Boxed: statements make large futures.
        let work: Work = Box::new(|job| Box::pin(async { kept_result(work(job).await?).await }));
        let (told, accepted) = oneshot::channel();
        let jobs = self.clone();
        // On a task of its own: a caller who goes away now leaves either a job that runs or none.
        self.inner.tasks.spawn(async move {
            let kept = jobs.keep(&id, &record, None).await;
            let is_kept = kept.is_ok();
            let job = record.shown(&id, None);
            if is_kept {
                let entry = Entry {
                    record,
                    live: Some(live.clone()),
                };
                jobs.inner.entries.lock().insert(id.clone(), entry);
                jobs.changed();
            }
            // Nobody may wait for it any more.
            let _ = told.send(kept.map(|()| job));
            if is_kept {
                jobs.run(id, live, place, work).await;
            }
        });
        accepted
            .await
            .unwrap_or_else(|_| Err(ServiceError::new(&UNAVAILABLE, "the server is stopping")))
    }

    async fn run(self, id: String, live: Live, place: Place, work: Work) {
        let outcome = {
            let turn = async {
                let of_user = place.user.running.acquire().await;
                (of_user, self.inner.running.acquire().await)
            };
            let turn = tokio::select! {
                biased;
                () = live.stop.cancelled() => None,
                turn = turn => Some(turn),
            };
            match turn {
                None => Outcome::Stopped,
                Some(_permits) => {
                    self.begin(&id);
                    self.work(&id, &live, work).await
                }
            }
        };
        self.finish(&id, &live, outcome, place).await;
    }

    async fn work(&self, id: &str, live: &Live, work: Work) -> Outcome {
        let handle = JobHandle {
            id: id.to_owned(),
            meter: Arc::clone(&live.meter),
        };
        let work = AssertUnwindSafe(async { work(handle).await }).catch_unwind();
        let ended = CancellationToken::new();
        let work = async {
            let done = tokio::select! {
                biased;
                () = live.stop.cancelled() => None,
                done = work => Some(done),
            };
            ended.cancel();
            done
        };
        // Beside the work, which goes on while the store is slow; no count is written once the job is about to end.
        let (done, ()) = tokio::join!(work, self.save(id, live, &ended));
        match done {
            None => Outcome::Stopped,
            Some(Ok(Ok(result))) => Outcome::Succeeded(result),
            Some(Ok(Err(error))) => Outcome::Failed(Failure::from(&error)),
            Some(Err(_)) => {
                tracing::error!(job = id, "a job panicked");
                let error =
                    ServiceError::new(&INTERNAL, "the job failed inside the server; its log says more");
                Outcome::Failed(Failure::from(&error))
            }
        }
    }

    fn begin(&self, id: &str) {
        if let Some(entry) = self.inner.entries.lock().get_mut(id) {
            entry.record.state = State::Running;
            entry.record.started_at_us = Some(self.inner.clock.now_us());
        }
        self.changed();
    }

    /// Keeps how far the job is, for the case that the server is killed.
    async fn save(&self, id: &str, live: &Live, ended: &CancellationToken) {
        let mut ticks = interval(SAVE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first comes at once, and says what is kept already.
        ticks.tick().await;
        loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let count = live.meter.read();
            let record = match self.inner.entries.lock().get_mut(id) {
                Some(entry) if entry.record.count != count => {
                    entry.record.count = count;
                    entry.record.clone()
                }
                _ => continue,
            };
            if let Err(error) = self.keep(id, &record, None).await {
                tracing::warn!(job = id, %error, "how far a job is could not be kept");
            }
        }
    }

    async fn finish(&self, id: &str, live: &Live, outcome: Outcome, place: Place) {
        let Some(mut record) = self
            .inner
            .entries
            .lock()
            .get(id)
            .map(|entry| entry.record.clone())
        else {
            return;
        };
        record.count = Count {
            message: None,
            ..live.meter.read()
        };
        record.finished_at_us = Some(self.inner.clock.now_us());
        let mut result = None;
        (record.state, record.error) = match outcome {
            Outcome::Succeeded(value) => {
                result = Some(value);
                (State::Succeeded, None)
            }
            Outcome::Failed(failure) => (State::Failed, Some(failure)),
            Outcome::Stopped if self.inner.stopping.is_cancelled() => {
                (State::Failed, Some(Failure::interrupted()))
            }
            Outcome::Stopped => (State::Cancelled, None),
        };
        if let Err(error) = self.keep(id, &record, result).await {
            tracing::error!(job = id, %error, "what a job came to could not be kept");
            record.state = State::Failed;
            record.error = Some(Failure::from(&error));
            // The failure may be one of the result alone.
            if let Err(error) = self.keep(id, &record, None).await {
                tracing::error!(job = id, %error, "that a job failed could not be kept");
            }
        }
        // Free by the time that anybody knows of the end: who waits for it may begin another.
        drop(place);
        if let Some(entry) = self.inner.entries.lock().get_mut(id) {
            *entry = Entry { record, live: None };
        }
        self.changed();
        self.forget_old().await;
    }

    /// Removes jobs that ended long ago.
    async fn forget_old(&self) {
        let _forgetting = self.inner.forgetting.lock().await;
        let old = self.inner.old();
        if old.is_empty() {
            return;
        }
        let jobs = self.clone();
        let removed = blocking(move || jobs.inner.remove(&old).map_err(store_error));
        if let Err(error) = removed.await {
            tracing::warn!(%error, "old jobs could not be removed");
        }
    }

    /// Makes the record durable, with the result that belongs to it.
    async fn keep(&self, id: &str, record: &JobRecord, result: Option<Vec<u8>>) -> ServiceResult<()> {
        let (store, id, bytes) = (Arc::clone(&self.inner.store), id.to_owned(), encode(record));
        blocking(move || {
            let mut writes = vec![put(&*store, SpaceId::JOBS, &id, bytes).map_err(store_error)?];
            if let Some(result) = result {
                writes.push(put(&*store, SpaceId::JOB_RESULTS, &id, result).map_err(store_error)?);
            }
            commit(&*store, writes).map_err(store_error)
        })
        .await
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
    }

    /// Where the job of this id is that has not ended, if it is the caller's, or the caller has the permission to all.
    pub(crate) fn unfinished(&self, caller: &Principal, all: Permissions, id: &str) -> Option<Unfinished> {
        let entries = self.inner.entries.lock();
        let record = &entries.get(id)?.record;
        match record.state {
            _ if !is_visible(caller, all, record) => None,
            State::Queued => Some(Unfinished::Queued),
            State::Running => Some(Unfinished::Running),
            State::Succeeded | State::Failed | State::Cancelled => None,
        }
    }

    /// Cancelled, it ends what runs as interrupted, and no more is taken.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.inner.stopping.clone()
    }

    /// Ends jobs that run, as interrupted.
    pub(crate) async fn close(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn place(&self, user_id: &str) -> ServiceResult<Place> {
        let user = {
            let mut users = self.users.lock();
            users.retain(|_, user| user.strong_count() > 0);
            let known = users.get(user_id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let user = Arc::new(User {
                    places: Arc::new(Semaphore::new(UNFINISHED_PER_USER_MAX)),
                    running: Semaphore::new(RUNNING_PER_USER_MAX),
                });
                users.insert(user_id.to_owned(), Arc::downgrade(&user));
                user
            })
        };
        let taken = |places: &Arc<Semaphore>, whose: String| {
            Arc::clone(places).try_acquire_owned().map_err(|_| {
                let message =
                    format!("{whose} have not ended, and no more are taken; try again when some have");
                ServiceError::new(&UNAVAILABLE, message).with_retry_after_seconds(1)
            })
        };
        Ok(Place {
            _of_user: taken(&user.places, format!("{UNFINISHED_PER_USER_MAX} jobs of yours"))?,
            _of_all: taken(&self.places, format!("{UNFINISHED_MAX} jobs"))?,
            user,
        })
    }

    /// Jobs that are kept no longer.
    fn old(&self) -> Vec<String> {
        let kept_from_us = self.clock.now_us() - KEPT_US;
        let entries = self.entries.lock();
        let ended = entries
            .iter()
            .filter_map(|(id, Entry { record, .. })| Some((id, record, record.finished_at_us?)));
        let mut ended: Vec<_> = ended.collect();
        // The latest first.
        ended.sort_by_key(|(_, _, at)| std::cmp::Reverse(*at));
        let mut kept: HashMap<&str, usize> = HashMap::new();
        let mut old = Vec::new();
        for (id, record, at) in ended {
            let of_user = kept.entry(&record.user_id).or_default();
            if at < kept_from_us || *of_user >= KEPT_PER_USER_MAX {
                old.push(id.clone());
            } else {
                *of_user += 1;
            }
        }
        old
    }

    fn remove(&self, ids: &[String]) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for id in ids {
            for space in [SpaceId::JOBS, SpaceId::JOB_RESULTS] {
                writes.extend(remove(&*self.store, space, id)?);
            }
        }
        commit(&*self.store, writes)?;
        let mut entries = self.entries.lock();
        ids.iter().for_each(|id| drop(entries.remove(id)));
        Ok(())
    }
}

/// A job that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfinished {
    Queued,
    Running,
}

fn is_visible(caller: &Principal, all: Permissions, record: &JobRecord) -> bool {
    record.user_id == caller.user_id || caller.permissions.contains(all)
}

/// The result as it is kept; it is known to be readable again.
async fn kept_result<T: Serialize + Send + 'static>(result: T) -> ServiceResult<Vec<u8>> {
    blocking(move || {
        let unusable = |error: serde_json::Error| {
            ServiceError::new(
                &RESULT_TOO_LARGE,
                format!("the result can't be kept as JSON: {error}"),
            )
        };
        let bytes = serde_json::to_vec(&result).map_err(unusable)?;
        let size = bytes.len();
        if size > RESULT_BYTES_MAX {
            let message =
                format!("the result has {size} bytes, a job's has {RESULT_BYTES_MAX} at most; ask for less");
            return Err(ServiceError::new(&RESULT_TOO_LARGE, message));
        }
        // JSON may nest deeper than it is read.
        serde_json::from_slice::<Json>(&bytes).map_err(unusable)?;
        Ok(bytes)
    })
    .await
}

fn load(store: &dyn TableStore) -> Result<BTreeMap<String, JobRecord>, StoreError> {
    let snapshot = store.snapshot()?;
    let mut records = BTreeMap::new();
    let mut range = KeyRange::default();
    loop {
        let entries = snapshot.scan(SpaceId::JOBS, &range, LOAD_ENTRIES)?;
        let last = entries.len() < LOAD_ENTRIES;
        range.after = entries.last().map(|(key, _)| key.clone());
        for (key, found) in entries {
            let id = String::from_utf8_lossy(&key).into_owned();
            let record = decode(&found.value)
                .map_err(|reason| StoreError::Corrupt(format!("the record of the job {id}: {reason}")))?;
            records.insert(id, record);
        }
        if last {
            return Ok(records);
        }
    }
}

/// One job writes its entries one after the other: whatever version is there is the one to replace.
fn put(store: &dyn TableStore, space: SpaceId, id: &str, value: Vec<u8>) -> Result<Write, StoreError> {
    let found = store.snapshot()?.get(space, id.as_bytes())?;
    Ok(Write {
        space,
        key: id.as_bytes().to_vec(),
        expected: found.map(|found| found.version),
        value: Some(value),
    })
}

fn remove(store: &dyn TableStore, space: SpaceId, id: &str) -> Result<Option<Write>, StoreError> {
    let found = store.snapshot()?.get(space, id.as_bytes())?;
    Ok(found.map(|found| Write {
        space,
        key: id.as_bytes().to_vec(),
        expected: Some(found.version),
        value: None,
    }))
}

fn commit(store: &dyn TableStore, writes: Vec<Write>) -> Result<(), StoreError> {
    if writes.is_empty() {
        return Ok(());
    }
    let batch = WriteBatch {
        writes,
        ..WriteBatch::default()
    };
    store.commit(batch).map(drop)
}

fn store_error(error: StoreError) -> ServiceError {
    table_error(TableError::Store(error))
}
