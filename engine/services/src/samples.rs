//! Looks at the store in regular intervals.
//!
//! Who asks for the same interval listens to the same task: it looks for all of them, and ends when nobody listens any
//! more.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustydb_contract::ServiceResult;
use rustydb_contract::stream::Subscription;
use rustydb_contract::topic::Topic;
use tokio::time::{self, MissedTickBehavior};

use crate::identity::blocking::blocking;

/// What is told after each look, to all who ask for the same interval.
pub(crate) struct Samples<E> {
    topics: Mutex<HashMap<Duration, Weak<Topic<E>>>>,
}

impl<E> Default for Samples<E> {
    fn default() -> Samples<E> {
        Samples {
            topics: Mutex::default(),
        }
    }
}

impl<E: Send + Sync + 'static> Samples<E> {
    /// What `choose` makes of the events of each look from now on; the first look is after the first interval. When nobody looks
    /// in this interval yet, `begin` gives who does. A look may block.
    pub fn subscribe<V, L>(
        &self,
        interval: Duration,
        begin: impl FnOnce() -> L,
        choose: impl FnMut(&E) -> Option<V> + Send + 'static,
    ) -> Subscription<V>
    where
        V: Send + 'static,
        L: FnMut() -> ServiceResult<Vec<E>> + Send + 'static,
    {
        let mut topics = self.topics.lock();
        if let Some(topic) = topics.get(&interval).and_then(Weak::upgrade) {
            return topic.subscribe(choose);
        }
        let topic = Topic::new();
        let subscription = topic.subscribe(choose);
        topics.retain(|_, topic| topic.strong_count() > 0);
        topics.insert(interval, Arc::downgrade(&topic));
        tokio::spawn(repeat(begin(), Arc::downgrade(&topic), interval));
        subscription
    }

    #[cfg(test)]
    pub fn is_looking(&self) -> bool {
        self.topics.lock().values().any(|topic| topic.strong_count() > 0)
    }
}

/// Looks for as long as somebody listens.
async fn repeat<E, L>(mut look: L, topic: Weak<Topic<E>>, interval: Duration)
where
    E: Send + Sync + 'static,
    L: FnMut() -> ServiceResult<Vec<E>> + Send + 'static,
{
    let mut ticks = time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first comes at once.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if topic.strong_count() == 0 {
            return;
        }
        let looked = blocking(move || {
            let events = look();
            Ok((look, events))
        });
        // Only a runtime that shuts down stops looks.
        let Ok((back, events)) = looked.await else { return };
        look = back;
        let Some(topic) = topic.upgrade() else { return };
        match events {
            Ok(events) => events.into_iter().for_each(|event| topic.publish(|| event)),
            Err(error) => {
                tracing::error!(%error, "a look at the store failed; the next comes after the interval")
            }
        }
    }
}
