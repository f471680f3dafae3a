//! When a call is sent again, and after how long.
//!
//! An error whose table entry says `retry: safe` was refused before anything was done, so any operation may be
//! repeated. A lost answer says nothing of what was done, so only queries and operations that the contract
//! calls `retry_safe` are. `retry: transaction` is the caller's: one call can't repeat a transaction.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use rustydb_contract::Retry;
use rustydb_contract::descriptor::OperationDesc;

use super::error::Error;

/// How often and how fast a failed call is repeated: exponential back-off with full jitter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Most repetitions of one call; 0 turns them off.
    pub retries_max: u32,
    /// Upper bound of the first pause; each further one doubles it.
    pub pause_first: Duration,
    /// Upper bound of any pause that the server does not ask for.
    pub pause_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            retries_max: 3,
            pause_first: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// Every call is sent once.
    pub fn never() -> RetryPolicy {
        RetryPolicy {
            retries_max: 0,
            ..RetryPolicy::default()
        }
    }

    /// The pause before the next attempt after `retries` repetitions, or `None` when the error stands.
    pub(crate) fn pause(
        &self,
        operation: &OperationDesc,
        error: &Error,
        retries: u32,
        random: f64,
    ) -> Option<Duration> {
        if retries >= self.retries_max || !may_repeat(operation, error) {
            return None;
        }
        let asked = error.answer().and_then(|answer| answer.retry_after);
        Some(asked.unwrap_or_else(|| back_off(self.pause_first, self.pause_max, retries, random)))
    }
}

/// Exponential back-off with full jitter: a part `random` of the upper bound, which doubles from `first` to `max`.
pub(crate) fn back_off(first: Duration, max: Duration, attempts: u32, random: f64) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(attempts));
    doubled.min(max).mul_f64(random.clamp(0.0, 1.0))
}

fn may_repeat(operation: &OperationDesc, error: &Error) -> bool {
    match error {
        Error::Answer(answer) if answer.understood => answer.code.retry() == Retry::Safe,
        Error::Answer(answer) => operation.retry_safe && matches!(answer.status, 502..=504),
        Error::Connection { .. } | Error::Interrupted { .. } => operation.retry_safe,
        _ => false,
    }
}

/// Where pauses and chance come from; tests replace it.
pub trait Pace: fmt::Debug + Send + Sync {
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()>;
    /// From 0 up to, not including, 1.
    fn random(&self) -> f64;
}

/// Real time and real chance.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemPace;

impl Pace for SystemPace {
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(pause))
    }

    fn random(&self) -> f64 {
        rand::random()
    }
}
