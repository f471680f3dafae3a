//! Statements that run: who runs them, how far they are, and word of their beginnings and ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustydb_contract::topic::Topic;
use rustydb_contract::{CallContext, ServiceError, ServiceResult};
use rustydb_contract_core::errors::{CANCELLED, DEADLINE_EXCEEDED};
use rustydb_runtime::Clock;
use rustydb_sql::{Progress, ProgressNow};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Longest statement text that is shown of a run.
const TEXT_CHARS_MAX: usize = 4_096;

/// Every statement that runs.
pub(super) struct RunningStatements {
    clock: Arc<dyn Clock>,
    next: AtomicU64,
    /// Tells the runs of this process from those of others.
    process: String,
    running: Mutex<BTreeMap<u64, Arc<Run>>>,
    changes: Arc<Topic<RunChange>>,
    /// How many have left the list.
    left: watch::Sender<u64>,
}

/// One run of a statement.
pub(super) struct Run {
    number: u64,
    pub(super) id: String,
    pub(super) session_id: Option<String>,
    /// Empty of nobody's.
    pub(super) user_id: String,
    pub(super) username: String,
    pub(super) database: String,
    /// Cut after [`TEXT_CHARS_MAX`] characters.
    pub(super) text: String,
    pub(super) started_at_us: i64,
    started_mono_us: u64,
    pub(super) progress: Arc<Progress>,
    /// Ends the statement, whoever waits for it.
    pub(super) stop: CancellationToken,
}

/// What a statement is to be entered with that has a name already.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) progress: Arc<Progress>,
}

/// A statement began or ended.
pub(super) enum RunChange {
    Began(Arc<Run>),
    Ended(Arc<Run>, Ending),
}

/// How a run ended.
#[derive(Clone)]
pub(super) struct Ending {
    pub(super) how: How,
    pub(super) elapsed_us: u64,
    pub(super) ended_at_us: i64,
}

#[derive(Clone)]
pub(super) enum How {
    Completed {
        rows_returned: u64,
        rows_affected: u64,
    },
    Failed(ServiceError),
    /// Whoever waited for it went away, or somebody stopped it.
    Cancelled,
}

impl RunningStatements {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<RunningStatements> {
        Arc::new(RunningStatements {
            process: format!("{:x}", clock.now_us()),
            clock,
            next: AtomicU64::new(1),
            running: Mutex::default(),
            changes: Topic::new(),
            left: watch::Sender::new(0),
        })
    }

    /// Enters a statement; it counts as cancelled unless its end is told.
    pub(super) fn begin(self: &Arc<Self>, context: &CallContext, database: &str, text: &str) -> Entered {
        self.begin_as(None, context, database, text)
    }

    pub(super) fn begin_as(
        self: &Arc<Self>,
        named: Option<Named>,
        context: &CallContext,
        database: &str,
        text: &str,
    ) -> Entered {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let principal = context.principal.as_deref();
        let named = named.unwrap_or_else(|| Named {
            id: format!("query-{}-{number}", self.process),
            progress: Arc::default(),
        });
        let run = Arc::new(Run {
            number,
            id: named.id,
            session_id: principal.and_then(|principal| principal.session_id.clone()),
            user_id: principal.map_or_else(String::new, |principal| principal.user_id.clone()),
            username: principal.map_or_else(String::new, |principal| principal.username.clone()),
            database: database.to_owned(),
            text: text.trim().chars().take(TEXT_CHARS_MAX).collect(),
            started_at_us: self.clock.now_us(),
            started_mono_us: self.clock.now_mono_us(),
            progress: named.progress,
            stop: CancellationToken::new(),
        });
        self.running.lock().insert(number, Arc::clone(&run));
        self.changes.publish(|| RunChange::Began(Arc::clone(&run)));
        Entered {
            all: Arc::clone(self),
            run,
            how: How::Cancelled,
        }
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Run>> {
        self.running.lock().values().find(|run| run.id == id).cloned()
    }

    /// Waits until the statement is out of the list.
    pub(super) async fn ended(&self, run: &Run) {
        let mut changes = self.left.subscribe();
        while self.running.lock().contains_key(&run.number) {
            // The sender is this list's.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The oldest first.
    pub(super) fn running(&self) -> Vec<Arc<Run>> {
        self.running.lock().values().cloned().collect()
    }

    pub(super) fn count(&self) -> usize {
        self.running.lock().len()
    }

    pub(super) fn changes(&self) -> &Arc<Topic<RunChange>> {
        &self.changes
    }

    pub(super) fn elapsed_us(&self, run: &Run) -> u64 {
        self.clock.now_mono_us().saturating_sub(run.started_mono_us)
    }
}

/// A statement in the list; dropping it takes it out and tells how it ended.
pub(super) struct Entered {
    all: Arc<RunningStatements>,
    pub(super) run: Arc<Run>,
    how: How,
}

impl Entered {
    pub(super) fn elapsed_us(&self) -> u64 {
        self.all.elapsed_us(&self.run)
    }

    pub(super) fn completed(&mut self, rows_returned: u64, rows_affected: u64) {
        self.how = How::Completed {
            rows_returned,
            rows_affected,
        };
    }

    pub(super) fn failed(&mut self, error: &ServiceError) {
        self.how = match error.code() == CANCELLED.code {
            true => How::Cancelled,
            false => How::Failed(error.clone()),
        };
    }

    /// Notes the end of a statement whose result is there as a whole.
    pub(super) fn note<T>(&mut self, result: &ServiceResult<T>, rows: impl FnOnce(&T) -> (u64, u64)) {
        match result {
            Ok(done) => {
                let (returned, affected) = rows(done);
                self.completed(returned, affected);
            }
            Err(error) => self.failed(error),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.all.running.lock().remove(&self.run.number);
        self.all.left.send_modify(|left| *left += 1);
        let ending = || Ending {
            how: self.how.clone(),
            elapsed_us: self.elapsed_us(),
            ended_at_us: self.all.clock.now_us(),
        };
        self.all
            .changes
            .publish(|| RunChange::Ended(Arc::clone(&self.run), ending()));
    }
}

/// Works until `query.cancel` ends the statement.
pub(super) async fn unless_stopped<T>(
    stop: CancellationToken,
    work: impl Future<Output = ServiceResult<T>>,
) -> ServiceResult<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => {
            Err(ServiceError::new(&CANCELLED, "the statement was stopped by query.cancel"))
        }
        result = work => result,
    }
}

/// Works for so many milliseconds at most.
pub(super) async fn given_up_after<T>(
    timeout_ms: u64,
    work: impl Future<Output = ServiceResult<T>>,
) -> ServiceResult<T> {
    let worked = tokio::time::timeout(Duration::from_millis(timeout_ms), work).await;
    worked.unwrap_or_else(|_| {
        let message =
            format!("the statement was given up after {timeout_ms} ms; raise `timeout`, or ask for less");
        Err(ServiceError::new(&DEADLINE_EXCEEDED, message))
    })
}

/// Of the rows there are to scan how many are, in percent; `None` where nobody knows.
pub(super) fn percentage(now: &ProgressNow) -> Option<f64> {
    match now.rows_to_scan {
        None => None,
        Some(0) => Some(100.0),
        Some(all) => Some((now.rows_scanned as f64 / all as f64 * 100.0).min(100.0)),
    }
}
