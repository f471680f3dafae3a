//! The `protocol` module: what connections themselves tell.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::{CallContext, ServiceResult, Timestamp, async_trait};
use rustydb_contract_protocol::{Heartbeat, ProtocolHeartbeatInput, ProtocolService};
use rustydb_runtime::Clock;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Time between two heartbeats when the caller names none.
const INTERVAL_MS_DEFAULT: u32 = 30_000;

pub struct Protocol {
    clock: Arc<dyn Clock>,
}

impl Protocol {
    pub fn new(clock: Arc<dyn Clock>) -> Protocol {
        Protocol { clock }
    }
}

#[async_trait]
impl ProtocolService for Protocol {
    async fn heartbeat(
        &self,
        _: &CallContext,
        input: ProtocolHeartbeatInput,
    ) -> ServiceResult<Subscription<Heartbeat>> {
        let seconds = input
            .interval_seconds
            .map(|seconds| seconds.saturating_mul(1_000));
        let interval_ms = input.interval_ms.or(seconds).unwrap_or(INTERVAL_MS_DEFAULT);
        let mut ticks = interval_at(Instant::now(), Duration::from_millis(u64::from(interval_ms)));
        // A caller that does not read gets no heartbeats for the time it did not.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let clock = Arc::clone(&self.clock);
        let beats = stream::unfold((ticks, 0), move |(mut ticks, sent)| {
            let clock = Arc::clone(&clock);
            async move {
                ticks.tick().await;
                let sequence = sent + 1;
                let at = Timestamp::from_micros(clock.now_us());
                Some((Ok(Item::event(at, Heartbeat { sequence })), (ticks, sequence)))
            }
        });
        Ok(Subscription::new(None, beats))
    }
}
