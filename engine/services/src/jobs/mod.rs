//! Work that goes on after its call was answered.
//!
//! [`Jobs::accept`] makes a job durable before its caller learns of it, and runs its work on a task of its own. What the
//! work comes to is durable before anybody is told that the job ended. A job that did not come to its end, because the
//! server stopped or was killed, has failed as interrupted when the server is there again; what it had committed stays.
//!
//! ```text
//! queued ----> running ----> succeeded | failed
//!    |            |
//!    +------------+--------> cancelled
//! ```

mod meter;
mod records;
mod service;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use rustydb_contract::{CallContext, Json, Principal, ServiceError, ServiceResult};
use rustydb_contract_core::access::SYSTEM_ADMIN;
use rustydb_contract_core::errors::{INTERNAL, UNAVAILABLE};
use rustydb_contract_jobs::Job;
use rustydb_contract_sql::errors::RESULT_TOO_LARGE;
use rustydb_runtime::{Clock, Rng};
use rustydb_store::error::StoreError;
use rustydb_store::seam::{KeyRange, SpaceId, TableStore, Write, WriteBatch};
use rustydb_store::tables::TableError;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
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
/// Jobs that wait to run.
const WAITING_MAX: usize = 100;
/// Jobs that ended and are kept.
const KEPT_MAX: usize = 1_000;
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
    /// By id, which sorts by the time of acceptance.
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Goes up with each change of a state.
    changes: watch::Sender<u64>,
    /// A place for each job that has not ended.
    places: Arc<Semaphore>,
    running: Semaphore,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

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

enum Outcome {
    Succeeded(Json),
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
        Ok(Jobs {
            inner: Arc::new(Inner {
                store,
                clock,
                rng,
                entries: Mutex::new(records.into_iter().map(entry).collect()),
                changes: watch::Sender::new(0),
                places: Arc::new(Semaphore::new(RUNNING_MAX + WAITING_MAX)),
                running: Semaphore::new(RUNNING_MAX),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }),
        })
    }

    /// Accepts work for the caller; answers once the job is durable, before it runs.
    ///
    /// Fails with `UNAVAILABLE` when as many wait as may, or the server stops.
    pub(crate) async fn accept<T, W, F>(
        &self,
        context: &CallContext,
        first: Count,
        work: W,
    ) -> ServiceResult<Job>
    where
        T: Serialize + Send,
        W: FnOnce(JobHandle) -> F + Send + 'static,
        F: Future<Output = ServiceResult<T>> + Send,
    {
        let Inner {
            clock, rng, places, ..
        } = &*self.inner;
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| {
            let message = format!("{WAITING_MAX} jobs wait already; try again when some have ended");
            ServiceError::new(&UNAVAILABLE, message).with_retry_after_seconds(1)
        })?;
        if self.inner.stopping.is_cancelled() {
            return Err(ServiceError::new(&UNAVAILABLE, "the server is stopping"));
        }
        let id = random_id(&**clock, &**rng);
        let principal = context.principal();
        let record = JobRecord {
            operation: context.operation.id.to_owned(),
            user_id: principal.user_id.clone(),
            username: principal.username.clone(),
            state: State::Queued,
            count: first.clone(),
            error: None,
            created_at_us: clock.now_us(),
            started_at_us: None,
            finished_at_us: None,
        };
        self.keep(&id, &record, None).await?;
        let live = Live {
            meter: Arc::new(Meter::new(first)),
            stop: self.inner.stopping.child_token(),
        };
        let accepted = record.shown(&id, None);
        let entry = Entry {
            record,
            live: Some(live.clone()),
        };
        self.inner.entries.lock().insert(id.clone(), entry);
        self.changed();
        let jobs = self.clone();
        self.inner
            .tasks
            .spawn(async move { jobs.run(id, live, place, work).await });
        Ok(accepted)
    }

    async fn run<T, W, F>(self, id: String, live: Live, place: OwnedSemaphorePermit, work: W)
    where
        T: Serialize + Send,
        W: FnOnce(JobHandle) -> F,
        F: Future<Output = ServiceResult<T>>,
    {
        let running = tokio::select! {
            biased;
            () = live.stop.cancelled() => None,
            permit = self.inner.running.acquire() => permit.ok(),
        };
        let outcome = match running {
            None => Outcome::Stopped,
            Some(_permit) => {
                self.begin(&id);
                self.work(&id, &live, work).await
            }
        };
        // Its place is free once it is known to have ended.
        self.finish(&id, &live, outcome).await;
        drop(place);
    }

    async fn work<T, W, F>(&self, id: &str, live: &Live, work: W) -> Outcome
    where
        T: Serialize + Send,
        W: FnOnce(JobHandle) -> F,
        F: Future<Output = ServiceResult<T>>,
    {
        let handle = JobHandle {
            id: id.to_owned(),
            meter: Arc::clone(&live.meter),
        };
        let mut work = pin!(AssertUnwindSafe(async { work(handle).await }).catch_unwind());
        let mut ticks = interval(SAVE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first comes at once, and says what is kept already.
        ticks.tick().await;
        let done = loop {
            tokio::select! {
                biased;
                () = live.stop.cancelled() => return Outcome::Stopped,
                done = &mut work => break done,
                _ = ticks.tick() => self.save(id, live).await,
            }
        };
        match done {
            Ok(Ok(result)) => result_of(&result),
            Ok(Err(error)) => Outcome::Failed(Failure::from(&error)),
            Err(_) => {
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
    async fn save(&self, id: &str, live: &Live) {
        let count = live.meter.read();
        let record = match self.inner.entries.lock().get_mut(id) {
            Some(entry) if entry.record.count != count => {
                entry.record.count = count;
                entry.record.clone()
            }
            _ => return,
        };
        if let Err(error) = self.keep(id, &record, None).await {
            tracing::warn!(job = id, %error, "how far a job is could not be kept");
        }
    }

    async fn finish(&self, id: &str, live: &Live, outcome: Outcome) {
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
        }
        if let Some(entry) = self.inner.entries.lock().get_mut(id) {
            *entry = Entry { record, live: None };
        }
        self.changed();
        self.forget_old().await;
    }

    /// Removes jobs that ended long ago.
    async fn forget_old(&self) {
        let old = {
            let entries = self.inner.entries.lock();
            let ended = || entries.iter().filter(|(_, entry)| entry.record.state.is_final());
            let too_many = ended().count().saturating_sub(KEPT_MAX);
            let kept_from_us = self.inner.clock.now_us() - KEPT_US;
            let is_old = |entry: &Entry| entry.record.finished_at_us.is_some_and(|at| at < kept_from_us);
            let old = ended()
                .enumerate()
                .filter(|(at, (_, entry))| *at < too_many || is_old(entry));
            old.map(|(_, (id, _))| id.clone()).collect::<Vec<_>>()
        };
        if old.is_empty() {
            return;
        }
        let jobs = self.clone();
        let ids = old.clone();
        let removed = blocking(move || {
            let mut writes = Vec::new();
            for (id, space) in ids
                .iter()
                .flat_map(|id| [(id, SpaceId::JOBS), (id, SpaceId::JOB_RESULTS)])
            {
                writes.extend(remove(&*jobs.inner.store, space, id).map_err(store_error)?);
            }
            commit(&*jobs.inner.store, writes).map_err(store_error)
        });
        match removed.await {
            Ok(()) => {
                let mut entries = self.inner.entries.lock();
                old.iter().for_each(|id| drop(entries.remove(id)));
            }
            Err(error) => tracing::warn!(%error, "old jobs could not be removed"),
        }
    }

    /// Makes the record durable, with the result that belongs to it.
    async fn keep(&self, id: &str, record: &JobRecord, result: Option<Json>) -> ServiceResult<()> {
        let (store, id, bytes) = (Arc::clone(&self.inner.store), id.to_owned(), encode(record));
        blocking(move || {
            let mut writes = vec![put(&*store, SpaceId::JOBS, &id, bytes).map_err(store_error)?];
            if let Some(result) = result {
                let bytes = result.to_string().into_bytes();
                writes.push(put(&*store, SpaceId::JOB_RESULTS, &id, bytes).map_err(store_error)?);
            }
            commit(&*store, writes).map_err(store_error)
        })
        .await
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
    }

    /// Whether the caller's job of this id waits to run; `None` when there is none, or it has ended.
    pub(crate) fn is_queued(&self, caller: &Principal, id: &str) -> Option<bool> {
        let state = self.state(caller, id).filter(|state| !state.is_final())?;
        Some(state == State::Queued)
    }

    fn state(&self, caller: &Principal, id: &str) -> Option<State> {
        let entries = self.inner.entries.lock();
        let entry = entries.get(id).filter(|entry| is_visible(caller, &entry.record));
        entry.map(|entry| entry.record.state)
    }

    /// Ends jobs that run, as interrupted.
    pub(crate) async fn close(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

fn is_visible(caller: &Principal, record: &JobRecord) -> bool {
    record.user_id == caller.user_id || caller.permissions.contains(SYSTEM_ADMIN)
}

fn result_of<T: Serialize>(result: &T) -> Outcome {
    let failed = |error: ServiceError| Outcome::Failed(Failure::from(&error));
    match serde_json::to_value(result) {
        Ok(value) => {
            let size = value.to_string().len();
            if size > RESULT_BYTES_MAX {
                let message = format!(
                    "the result has {size} bytes, a job's has {RESULT_BYTES_MAX} at most; ask for less"
                );
                return failed(ServiceError::new(&RESULT_TOO_LARGE, message));
            }
            Outcome::Succeeded(value)
        }
        Err(error) => failed(ServiceError::new(
            &INTERNAL,
            format!("the result has no JSON form: {error}"),
        )),
    }
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
