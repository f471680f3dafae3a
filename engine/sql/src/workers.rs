//! Threads of their own for plans that run.
//!
//! A plan computes for milliseconds between two of its yields, and some steps for as long as they like. On the
//! threads of its callers it would keep their sockets and their clocks waiting, so it runs here, where it only
//! competes with other plans. A caller that goes away takes its plan with it: the task is aborted at its next
//! yield, and an [`Interrupt`] reaches steps that do not yield.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use datafusion::common::{DataFusionError, Result as DfResult};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::{Result, SqlError};
use crate::planner::external;
use crate::stack::THREAD_STACK_BYTES;

/// With fewer threads than this a few long plans would hold up every short one, however few the cores.
const THREADS_MIN: usize = 4;

/// Runs plans. Dropping it stops them.
pub(crate) struct Workers {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Workers {
    pub fn new() -> Result<Workers> {
        let threads = available_parallelism().map_or(THREADS_MIN, |cores| cores.get().max(THREADS_MIN));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("rustydb-query")
            .thread_stack_size(THREAD_STACK_BYTES)
            .build()
            .map_err(|error| SqlError::Internal(format!("threads for queries: {error}")))?;
        Ok(Workers {
            runtime: Some(runtime),
        })
    }

    /// Runs `work` to its end, or until the returned future is dropped. A panic of it goes on in the caller.
    pub async fn run<T, F>(&self, work: impl FnOnce(Interrupt) -> F) -> DfResult<T>
    where
        T: Send + 'static,
        F: Future<Output = DfResult<T>> + Send + 'static,
    {
        let stopped = || external(SqlError::Internal("the engine is being closed".to_owned()));
        let Some(runtime) = &self.runtime else {
            return Err(stopped());
        };
        let interrupt = Interrupt::default();
        let mut running = Running {
            task: runtime.spawn(work(interrupt.clone())),
            interrupt,
        };
        match (&mut running.task).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(stopped()),
            },
        }
    }

    /// Runs `work`, which blocks its thread, to its end. It learns of it when the returned future is dropped.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Interrupt) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let stopped = || SqlError::Internal("the engine is being closed".to_owned());
        let Some(runtime) = &self.runtime else {
            return Err(stopped());
        };
        let interrupt = Interrupt::default();
        let of_work = interrupt.clone();
        let mut running = Running {
            task: runtime.spawn_blocking(move || work(of_work)),
            interrupt,
        };
        match (&mut running.task).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(stopped()),
            },
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for the threads is not allowed where this may be dropped: inside of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// A task whose caller waits for it.
struct Running<T> {
    task: JoinHandle<T>,
    interrupt: Interrupt,
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.interrupt.0.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

/// Tells a running plan that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// An error once nobody waits.
    pub fn check(&self) -> DfResult<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution(
                "nobody waits for the statement any more".to_owned(),
            ));
        }
        Ok(())
    }
}

impl PartialEq for Interrupt {
    fn eq(&self, other: &Interrupt) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Interrupt {}

impl std::hash::Hash for Interrupt {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn workers_interrupt_and_abort_what_nobody_waits_for() {
        let workers = Workers::new().unwrap();
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let running = workers.run(|interrupt| async move {
            told.send(()).unwrap();
            // Never yields, as a filter of a join does not.
            while interrupt.check().is_ok() {
                std::thread::yield_now();
            }
            drop(told);
            Ok(())
        });
        tokio::select! {
            _ = running => panic!("it ends only when it is interrupted"),
            _ = hears.recv() => {}
        }
        let over = tokio::time::timeout(Duration::from_secs(60), hears.recv()).await;
        assert_eq!(over, Ok(None), "the task has ended");
    }

    #[tokio::test]
    async fn workers_hand_on_what_came_of_it() {
        let workers = Workers::new().unwrap();
        assert_eq!(workers.run(|_| async { Ok(7) }).await.unwrap(), 7);
        let refused = workers
            .run(|_| async { Err::<(), _>(DataFusionError::Execution("no".to_owned())) })
            .await;
        assert!(refused.unwrap_err().to_string().contains("no"));
    }

    #[tokio::test]
    #[should_panic(expected = "seven")]
    async fn workers_hand_on_a_panic() {
        let workers = Workers::new().unwrap();
        let panicking = workers.run(|_| async { panic!("seven") });
        let _: DfResult<()> = panicking.await;
    }
}
