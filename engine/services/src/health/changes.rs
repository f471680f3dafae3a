//! The status of the parts as it changes.
//!
//! Who asks for the same interval listens to the same task: it looks for all of them, and ends when nobody listens any
//! more. Each subscriber remembers what it was told, and makes events of the differences.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::{StreamExt, stream};
use parking_lot::Mutex;
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::topic::Topic;
use rustydb_contract::{ServiceResult, Timestamp};
use rustydb_contract_health::{HealthStatus, HealthStatusChange, HealthSummary};
use tokio::time::MissedTickBehavior;

use super::{Probes, messages};

/// Time between two looks when the caller names none.
const INTERVAL_SECONDS_DEFAULT: u32 = 10;

/// See the module.
pub(super) struct Looks {
    probes: Probes,
    /// By the interval in seconds.
    topics: Mutex<HashMap<u32, Weak<Topic<Look>>>>,
}

struct Look {
    /// On the clock's monotonic scale.
    begun_us: u64,
    found: HealthSummary,
}

impl Looks {
    pub(super) fn new(probes: Probes) -> Looks {
        Looks {
            probes,
            topics: Mutex::default(),
        }
    }

    /// The status now, and from then on what changes of it.
    pub(super) async fn subscribe(
        &self,
        interval_seconds: Option<u32>,
    ) -> ServiceResult<Subscription<HealthStatusChange>> {
        let topic = self.topic(interval_seconds.unwrap_or(INTERVAL_SECONDS_DEFAULT));
        let first = self.probes.timed_look().await?;
        let item = Item::event(Timestamp::now(), change(None, &first.found));
        let (since_us, mut last) = (first.begun_us, first.found);
        let changes = topic.subscribe(move |look| {
            // One that is older than the first was under way when the subscription began.
            if look.begun_us < since_us || !differs(&last, &look.found) {
                return None;
            }
            let change = change(Some(&last), &look.found);
            last = look.found.clone();
            Some(change)
        });
        let (_, changes) = changes.into_parts();
        Ok(Subscription::new(
            None,
            stream::once(std::future::ready(Ok(item))).chain(changes),
        ))
    }

    #[cfg(test)]
    pub(super) fn is_looking(&self) -> bool {
        self.topics.lock().values().any(|topic| topic.strong_count() > 0)
    }

    /// What is found in that interval; whoever holds it keeps the looks going.
    fn topic(&self, interval_seconds: u32) -> Arc<Topic<Look>> {
        let mut topics = self.topics.lock();
        if let Some(topic) = topics.get(&interval_seconds).and_then(Weak::upgrade) {
            return topic;
        }
        let topic = Topic::new();
        topics.retain(|_, topic| topic.strong_count() > 0);
        topics.insert(interval_seconds, Arc::downgrade(&topic));
        let interval = Duration::from_secs(u64::from(interval_seconds));
        tokio::spawn(look(self.probes.clone(), Arc::downgrade(&topic), interval));
        topic
    }
}

impl Probes {
    async fn timed_look(&self) -> ServiceResult<Look> {
        let begun_us = self.clock.now_mono_us();
        let found = self.look().await?;
        Ok(Look { begun_us, found })
    }
}

/// Looks for as long as somebody listens.
async fn look(probes: Probes, topic: Weak<Topic<Look>>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first comes at once, and who subscribed has looked.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Some(topic) = topic.upgrade() else { return };
        // Only a runtime that shuts down stops probes.
        let Ok(look) = probes.timed_look().await else {
            return;
        };
        topic.publish(|| look);
    }
}

fn differs(last: &HealthSummary, now: &HealthSummary) -> bool {
    last.status != now.status
        || !last
            .components
            .iter()
            .zip(&now.components)
            .all(|(last, now)| last.status == now.status)
}

/// The parts are the same at each look, in the same order.
fn change(last: Option<&HealthSummary>, now: &HealthSummary) -> HealthStatusChange {
    let was = |at: usize| last.and_then(|last| last.components.get(at));
    let changed = now
        .components
        .iter()
        .enumerate()
        .filter(|(at, component)| was(*at).is_none_or(|was| was.status != component.status));
    HealthStatusChange {
        status: now.status.clone(),
        changed_components: changed.map(|(_, component)| component.clone()).collect(),
        errors: messages(now, &HealthStatus::Unhealthy).collect(),
        warnings: messages(now, &HealthStatus::Degraded).collect(),
    }
}
