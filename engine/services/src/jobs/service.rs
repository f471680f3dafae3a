//! The `jobs` module.

use std::collections::HashMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::{CallContext, Json, Principal, ServiceError, ServiceResult, Timestamp, async_trait};
use rustydb_contract_core::access::SYSTEM_ADMIN;
use rustydb_contract_core::errors::INTERNAL;
use rustydb_contract_jobs::errors::JOB_NOT_FOUND;
use rustydb_contract_jobs::{
    Job, JobPage, JobProgressed, JobsCancelInput, JobsGetInput, JobsListInput, JobsProgressInput,
    JobsService, JobsWaitInput,
};
use rustydb_store::seam::SpaceId;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::records::{Failure, JobRecord, State};
use super::{Entry, Jobs, is_visible, store_error};
use crate::identity::blocking::blocking;
use crate::identity::paging;

/// Name of the list that cursors are bound to.
const LIST: &str = "jobs";
/// Time that a caller waits who names none.
const WAIT_MS_DEFAULT: u64 = 30_000;
/// Time between two looks at how far jobs are.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

#[async_trait]
impl JobsService for Jobs {
    async fn list(&self, context: &CallContext, input: JobsListInput) -> ServiceResult<JobPage> {
        let after = paging::after(LIST, input.after)?;
        let items_max = paging::page_items(input.limit);
        let is_wanted = |record: &JobRecord| {
            let operation = input.operation.as_ref();
            input
                .state
                .as_ref()
                .is_none_or(|state| *state == record.state.shown())
                && operation.is_none_or(|operation| *operation == record.operation)
        };
        let mut jobs = self.all(context.principal());
        jobs.reverse();
        let wanted = jobs
            .into_iter()
            .filter(|(id, record)| after.as_ref().is_none_or(|after| id < after) && is_wanted(record))
            .take(items_max + 1)
            .map(|(id, record)| record.shown(&id, None));
        let (jobs, next) = paging::page(LIST, wanted.collect(), items_max, |job: &Job| &job.id);
        Ok(JobPage { jobs, next })
    }

    async fn get(&self, context: &CallContext, input: JobsGetInput) -> ServiceResult<Job> {
        let record = self.one(context.principal(), &input.id)?;
        self.whole(&input.id, record).await
    }

    async fn cancel(&self, context: &CallContext, input: JobsCancelInput) -> ServiceResult<Job> {
        self.stop(context.principal(), &input.id).await
    }

    async fn wait(&self, context: &CallContext, input: JobsWaitInput) -> ServiceResult<Job> {
        let time = Duration::from_millis(input.timeout_ms.unwrap_or(WAIT_MS_DEFAULT));
        let ended = tokio::time::timeout(time, self.ended(context.principal(), &input.id)).await;
        let record = match ended {
            Ok(record) => record?,
            Err(_) => self.one(context.principal(), &input.id)?,
        };
        self.whole(&input.id, record).await
    }

    async fn progress(
        &self,
        context: &CallContext,
        input: JobsProgressInput,
    ) -> ServiceResult<Subscription<JobProgressed>> {
        let caller = context.principal().clone();
        let mut told = HashMap::new();
        match &input.id {
            Some(id) => drop(self.one(&caller, id)?),
            // What ended before is no news.
            None => {
                let ended = self
                    .all(&caller)
                    .into_iter()
                    .filter(|(_, record)| record.state.is_final());
                told.extend(ended.map(|(id, record)| (id.clone(), progressed(&id, &record))));
            }
        }
        let mut changes = self.inner.changes.subscribe();
        changes.mark_changed();
        let watch = Watch {
            jobs: self.clone(),
            caller,
            id: input.id,
            told,
            changes,
            looks: looks(),
            is_over: false,
        };
        let rounds = stream::unfold(watch, async |mut watch| {
            let news = watch.news().await?;
            Some((stream::iter(news), watch))
        });
        let items = rounds
            .flatten()
            .map(|event| Ok(Item::event(Timestamp::now(), event)));
        Ok(Subscription::new(None, items))
    }
}

fn looks() -> Interval {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// One subscriber, and what it was told of each job.
struct Watch {
    jobs: Jobs,
    caller: Principal,
    id: Option<String>,
    told: HashMap<String, JobProgressed>,
    changes: tokio::sync::watch::Receiver<u64>,
    looks: Interval,
    is_over: bool,
}

impl Watch {
    /// What is new; `None` once nothing will be.
    async fn news(&mut self) -> Option<Vec<JobProgressed>> {
        if self.is_over {
            return None;
        }
        loop {
            let counting = self.told.values().any(|told| !is_final(told));
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                _ = self.looks.tick(), if counting => {}
            }
            let seen = match &self.id {
                Some(id) => {
                    let record = self.jobs.one(&self.caller, id).ok()?;
                    self.is_over = record.state.is_final();
                    vec![(id.clone(), record)]
                }
                None => self.jobs.all(&self.caller),
            };
            // What is no longer kept won't come again.
            if self.id.is_none() {
                self.told
                    .retain(|id, _| seen.binary_search_by(|(seen, _)| seen.cmp(id)).is_ok());
            }
            let mut news = Vec::new();
            for (id, record) in seen {
                let now = progressed(&id, &record);
                if self.told.get(&id) != Some(&now) {
                    news.push(now.clone());
                    self.told.insert(id, now);
                }
            }
            if !news.is_empty() || self.is_over {
                return Some(news);
            }
        }
    }
}

fn is_final(told: &JobProgressed) -> bool {
    let finals = [State::Succeeded, State::Failed, State::Cancelled];
    finals.iter().any(|state| state.shown() == told.state)
}

fn progressed(id: &str, record: &JobRecord) -> JobProgressed {
    JobProgressed {
        job_id: id.to_owned(),
        operation: record.operation.clone(),
        state: record.state.shown(),
        progress: record.count.shown(),
        error: record.error.as_ref().map(Failure::shown),
    }
}

impl Jobs {
    /// The caller's jobs as they stand, the oldest first.
    fn all(&self, caller: &Principal) -> Vec<(String, JobRecord)> {
        let entries: Vec<(String, Entry)> = {
            let entries = self.inner.entries.lock();
            let visible = entries
                .iter()
                .filter(|(_, entry)| is_visible(caller, SYSTEM_ADMIN, &entry.record));
            visible.map(|(id, entry)| (id.clone(), entry.clone())).collect()
        };
        entries.into_iter().map(|(id, entry)| (id, entry.now())).collect()
    }

    fn one(&self, caller: &Principal, id: &str) -> ServiceResult<JobRecord> {
        let found = self.inner.entries.lock().get(id).cloned();
        match found {
            Some(entry) if is_visible(caller, SYSTEM_ADMIN, &entry.record) => Ok(entry.now()),
            _ => Err(ServiceError::new(
                &JOB_NOT_FOUND,
                format!("you have no job with the id {id:?}; jobs.list has those that are kept"),
            )),
        }
    }

    /// Waits until the job ended.
    async fn ended(&self, caller: &Principal, id: &str) -> ServiceResult<JobRecord> {
        let mut changes = self.inner.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let record = self.one(caller, id)?;
            if record.state.is_final() || changes.changed().await.is_err() {
                return Ok(record);
            }
        }
    }

    /// Stops a job and waits until it has.
    pub(crate) async fn stop(&self, caller: &Principal, id: &str) -> ServiceResult<Job> {
        self.one(caller, id)?;
        let live = self
            .inner
            .entries
            .lock()
            .get(id)
            .and_then(|entry| entry.live.clone());
        if let Some(live) = live {
            live.stop.cancel();
        }
        let record = self.ended(caller, id).await?;
        self.whole(id, record).await
    }

    /// With its result.
    async fn whole(&self, id: &str, record: JobRecord) -> ServiceResult<Job> {
        if record.state != State::Succeeded {
            return Ok(record.shown(id, None));
        }
        let (store, key) = (self.inner.store.clone(), id.as_bytes().to_vec());
        let found = blocking(move || {
            let snapshot = store.snapshot().map_err(store_error)?;
            snapshot.get(SpaceId::JOB_RESULTS, &key).map_err(store_error)
        });
        let result = found
            .await?
            .map(|found| serde_json::from_slice::<Json>(&found.value));
        let result = result.transpose().map_err(|error| {
            ServiceError::new(
                &INTERNAL,
                format!("the result of the job {id} is damaged: {error}"),
            )
        })?;
        Ok(record.shown(id, result))
    }
}

impl Entry {
    /// The record, with how far the job is at the moment. To be asked of a copy: the job itself may have to look.
    fn now(self) -> JobRecord {
        let mut record = self.record;
        if let Some(live) = &self.live {
            record.count = live.meter.read();
        }
        record
    }
}
