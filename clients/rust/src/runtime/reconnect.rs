//! When a subscription that broke off is opened again, and after how long.

use std::time::Duration;

use rustydb_contract::Retry;

use super::error::Error;
use super::retry::back_off;

/// How a subscription that broke off is opened again: exponential back-off with full jitter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconnectPolicy {
    /// Most attempts in a row that bring nothing; `None` is no limit, `Some(0)` turns them off.
    pub attempts_max: Option<u32>,
    /// Upper bound of the first pause; each further one doubles it.
    pub pause_first: Duration,
    /// Upper bound of any pause that the server does not ask for.
    pub pause_max: Duration,
    /// A connection on which nothing comes for so long, no comment either, counts as lost. The server sends a
    /// comment every 15 s.
    pub silence_max: Duration,
}

impl Default for ReconnectPolicy {
    fn default() -> ReconnectPolicy {
        ReconnectPolicy {
            attempts_max: None,
            pause_first: Duration::from_millis(100),
            pause_max: Duration::from_secs(10),
            silence_max: Duration::from_secs(45),
        }
    }
}

impl ReconnectPolicy {
    /// A subscription ends with the first error.
    pub fn never() -> ReconnectPolicy {
        ReconnectPolicy {
            attempts_max: Some(0),
            ..ReconnectPolicy::default()
        }
    }

    /// The pause before the next attempt after `attempts` in vain, or `None` when there are to be no more.
    pub(crate) fn pause(&self, error: &Error, attempts: u32, random: f64) -> Option<Duration> {
        if self.attempts_max.is_some_and(|max| attempts >= max) {
            return None;
        }
        let asked = error.answer().and_then(|answer| answer.retry_after);
        Some(asked.unwrap_or_else(|| back_off(self.pause_first, self.pause_max, attempts, random)))
    }
}

/// Whether the same may succeed later.
pub(crate) fn passes(error: &Error) -> bool {
    match error {
        Error::Connection { .. } | Error::Interrupted { .. } | Error::Timeout { .. } => true,
        Error::Answer(answer) => {
            answer.status >= 500 || answer.status == 429 || answer.code.retry() == Retry::Safe
        }
        Error::Decode { .. } | Error::Input { .. } | Error::Configuration { .. } => false,
    }
}
