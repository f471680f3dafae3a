//! Sources of telemetry: what happens now, for whoever listens.
//!
//! A [`Topic`] is a ring of the newest events that all its listeners share; each listener is a place in it. One that is
//! slower than the ring is long loses the oldest, and is told how many in one [`Control::Gap`] where they would have
//! stood. Nobody is ever waited for. A topic that nobody hears costs its publisher one relaxed load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::scalars::Timestamp;
use crate::stream::{Body, Control, Item, Subscription};

/// Events that a listener may be behind.
pub const RING_EVENTS: usize = 1_024;

/// An event with its moment.
struct Told<E> {
    at: Timestamp,
    event: Arc<E>,
}

impl<E> Clone for Told<E> {
    fn clone(&self) -> Told<E> {
        Told {
            at: self.at,
            event: Arc::clone(&self.event),
        }
    }
}

/// See the module.
pub struct Topic<E> {
    listeners: AtomicUsize,
    ring: Sender<Told<E>>,
}

impl<E: Send + Sync + 'static> Topic<E> {
    pub fn new() -> Arc<Topic<E>> {
        Arc::new(Topic {
            listeners: AtomicUsize::new(0),
            ring: Sender::new(RING_EVENTS),
        })
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        // Relaxed: a listener that was acknowledged before what happens here began is seen; others have no claim.
        self.listeners.load(Ordering::Relaxed) > 0
    }

    /// Tells what happened, now. The event is made only when somebody listens.
    pub fn publish(&self, event: impl FnOnce() -> E) {
        if !self.is_heard() {
            return;
        }
        let at = Timestamp::now();
        // Without receivers there is nobody left to tell.
        let event = Arc::new(event());
        let _ = self.ring.send(Told { at, event });
    }

    /// Every event from now on that `wanted` holds of, as it is, shared with the other listeners.
    pub fn subscribe_shared(
        self: &Arc<Self>,
        mut wanted: impl FnMut(&E) -> bool + Send + 'static,
    ) -> Subscription<Arc<E>> {
        self.listen(move |told| wanted(&told.event).then(|| Arc::clone(&told.event)))
    }

    /// Everything from now on that `choose` makes something of.
    pub fn subscribe<V: Send + 'static>(
        self: &Arc<Self>,
        mut choose: impl FnMut(&E) -> Option<V> + Send + 'static,
    ) -> Subscription<V> {
        self.listen(move |told| choose(&told.event))
    }

    fn listen<V, F>(self: &Arc<Self>, choose: F) -> Subscription<V>
    where
        V: Send + 'static,
        F: FnMut(&Told<E>) -> Option<V> + Send + 'static,
    {
        let listener = Listener::new(self);
        Subscription::new(
            None,
            stream::unfold((listener, choose), async |(mut listener, mut choose)| {
                loop {
                    match listener.ring.recv().await {
                        Ok(told) => {
                            if let Some(event) = choose(&told) {
                                let item = Item::event(told.at, event);
                                return Some((Ok(item), (listener, choose)));
                            }
                        }
                        Err(RecvError::Lagged(count)) => {
                            let item = Item {
                                at: Timestamp::now(),
                                cursor: None,
                                body: Body::Control(Control::Gap { count }),
                            };
                            return Some((Ok(item), (listener, choose)));
                        }
                        Err(RecvError::Closed) => return None,
                    }
                }
            }),
        )
    }
}

/// Counted among a topic's listeners while it lives.
struct Listener<E> {
    topic: Arc<Topic<E>>,
    ring: Receiver<Told<E>>,
}

impl<E> Listener<E> {
    fn new(topic: &Arc<Topic<E>>) -> Listener<E> {
        let ring = topic.ring.subscribe();
        topic.listeners.fetch_add(1, Ordering::SeqCst);
        Listener {
            topic: Arc::clone(topic),
            ring,
        }
    }
}

impl<E> Drop for Listener<E> {
    fn drop(&mut self) {
        self.topic.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn topic() -> Arc<Topic<u64>> {
        Topic::new()
    }

    #[tokio::test]
    async fn what_nobody_hears_is_not_even_made() {
        let topic = topic();
        topic.publish(|| panic!("nobody listens"));
        let mut heard = topic.subscribe(|event| Some(*event));
        topic.publish(|| 1);
        assert!(matches!(
            heard.next().await.unwrap().unwrap().body,
            Body::Event(1)
        ));
        drop(heard);
        topic.publish(|| panic!("nobody listens any more"));
    }

    #[tokio::test]
    async fn each_loss_is_one_gap_with_its_count_where_it_happened() {
        const SENT: u64 = 5_000;
        let topic = topic();
        let mut slow = topic.subscribe(|event| Some(*event));
        let mut odd = topic.subscribe(|event| (event % 2 == 1).then_some(*event));
        for round in 0..2 {
            for event in 0..SENT {
                topic.publish(|| round * SENT + event);
            }
            let first_kept = round * SENT + SENT - RING_EVENTS as u64;
            let gap = slow.next().await.unwrap().unwrap();
            let lost = SENT - RING_EVENTS as u64;
            assert!(
                matches!(gap.body, Body::Control(Control::Gap { count }) if count == lost),
                "{gap:?}"
            );
            for expected in first_kept..(round + 1) * SENT {
                let item = slow.next().await.unwrap().unwrap();
                assert!(
                    matches!(item.body, Body::Event(event) if event == expected),
                    "{item:?}"
                );
            }
            // Who wants only some is told of all that were dropped: nobody knows any more which they were.
            let gap = odd.next().await.unwrap().unwrap();
            assert!(
                matches!(gap.body, Body::Control(Control::Gap { count }) if count == lost),
                "{gap:?}"
            );
            for expected in (first_kept + 1..(round + 1) * SENT).step_by(2) {
                let item = odd.next().await.unwrap().unwrap();
                assert!(
                    matches!(item.body, Body::Event(event) if event == expected),
                    "{item:?}"
                );
            }
        }
    }
}
