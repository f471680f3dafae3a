//! A view that is open, over as many connections as it takes.
//!
//! A subscription owns one connection, reads from it only while it is polled, and so leaves what its reader has no
//! time for to the server. When the connection is lost it opens another one. Changes go on behind the newest
//! cursor, so that each event comes once. Telemetry begins afresh and tells of the gap. The rows of a snapshot have no
//! cursor: a connection that is lost among them ends the subscription, since to begin again would repeat rows.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use rustydb_contract::Cursor;
use rustydb_contract::stream::{StreamClass, ViewDesc};
use rustydb_contract_core::StreamControlKind;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::client::Client;
use super::error::Error;
use super::event_stream::Block;
use super::exchange;
use super::feed::{Feed, Opened};
use super::item::Item;
use super::reconnect::{ReconnectPolicy, passes};
use super::retry::RetryPolicy;
use crate::generated::ErrorCode;

/// An open view whose events are `E`. It is a [`Stream`], which ends after its first error and never else; dropping
/// it closes the connection. Dropping the future of [`next`](Subscription::next) loses nothing.
#[must_use = "a subscription that is dropped is closed"]
pub struct Subscription<E> {
    cursor: Option<Cursor>,
    steps: BoxStream<'static, Result<Step<E>, Error>>,
}

/// An item, or a position that moved without one.
struct Step<E> {
    cursor: Option<Cursor>,
    item: Option<Item<E>>,
}

impl<E> Subscription<E> {
    /// Behind the newest item that was handed out; where the view began before there was one. Opening the same
    /// view with it goes on right there. `None` for telemetry, and until the rows of a snapshot are complete.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// The next item; `None` after an error.
    pub async fn next(&mut self) -> Option<Result<Item<E>, Error>> {
        StreamExt::next(self).await
    }
}

impl<E> Stream for Subscription<E> {
    type Item = Result<Item<E>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let step = match self.steps.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(step))) => step,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            if step.cursor.is_some() {
                self.cursor = step.cursor;
            }
            if let Some(item) = step.item {
                return Poll::Ready(Some(Ok(item)));
            }
        }
    }
}

impl<E> fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

/// How a view is opened, the first time and again.
#[derive(Debug)]
pub(crate) struct Opening {
    pub client: Client,
    pub view: &'static ViewDesc,
    /// As on the wire.
    pub input: Map<String, Value>,
    pub request_id: String,
}

impl Opening {
    /// Waits for the server's acknowledgement, for so long at most.
    async fn open(&self, retry: &RetryPolicy, timeout: Duration) -> Result<Opened, Error> {
        let operation = &self.view.open;
        let context = exchange::Context {
            inner: &self.client.inner,
            request_id: self.request_id.clone(),
            deadline: Instant::now().checked_add(timeout),
            retry,
        };
        let opened = exchange::call(&context, operation, self.input.clone());
        match tokio::time::timeout(timeout, opened).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Timeout {
                operation: operation.id,
                request_id: self.request_id.clone(),
                timeout,
            }),
        }
    }
}

/// Name of the last block of a stream that ends by itself.
const COMPLETE: &str = "complete";

pub(crate) async fn subscribe<E: DeserializeOwned + Send + 'static>(
    opening: Opening,
    retry: &RetryPolicy,
    timeout: Duration,
    policy: ReconnectPolicy,
) -> Result<Subscription<E>, Error> {
    let Opened { feed, first } = opening.open(retry, timeout).await?;
    let mut reader = Reader {
        opening,
        policy,
        feed: Some(feed),
        attempts: 0,
        cursor: None,
        first: None,
        event: PhantomData,
    };
    reader.begin(first);
    Ok(Subscription {
        cursor: reader.cursor.clone(),
        steps: stream::try_unfold(reader, |mut reader| async move {
            let step = reader.step().await?;
            Ok(step.map(|step| (step, reader)))
        })
        .boxed(),
    })
}

struct Reader<E> {
    opening: Opening,
    policy: ReconnectPolicy,
    /// `None` while there is no connection.
    feed: Option<Feed>,
    /// Made in a row without a sign of life after the acknowledgement.
    attempts: u32,
    cursor: Option<Cursor>,
    /// A first block that is more than an acknowledgement.
    first: Option<Block>,
    event: PhantomData<fn() -> E>,
}

impl<E: DeserializeOwned> Reader<E> {
    /// `None` once the server has said that there is no more.
    async fn step(&mut self) -> Result<Option<Step<E>>, Error> {
        loop {
            let lost = match self.block().await {
                Ok(block) if block.event == COMPLETE => return Ok(None),
                Ok(block) => match self.read(block)? {
                    Some(step) => return Ok(Some(step)),
                    None => continue,
                },
                Err(error) => error,
            };
            self.restore(lost).await?;
            let item = match self.opening.view.class {
                StreamClass::Changes | StreamClass::Results => None,
                StreamClass::Telemetry => Some(Item::unknown_gap()),
            };
            let cursor = self.cursor.clone();
            return Ok(Some(Step { cursor, item }));
        }
    }

    async fn block(&mut self) -> Result<Block, Error> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let feed = self
            .feed
            .as_mut()
            .expect("a subscription without connection has ended");
        let block = feed.next(self.policy.silence_max).await?;
        self.attempts = 0;
        Ok(block)
    }

    fn begin(&mut self, first: Block) {
        if first.data.is_some() {
            self.first = Some(first);
        } else {
            self.move_to(first.id);
        }
    }

    /// A block as a step; comments are none.
    fn read(&mut self, block: Block) -> Result<Option<Step<E>>, Error> {
        let item = match &block.data {
            None => None,
            Some(data) => {
                let item = Item::decode(self.opening.view, data).map_err(|source| Error::Decode {
                    operation: self.opening.view.open.id,
                    request_id: self.opening.request_id.clone(),
                    source,
                })?;
                Some(item)
            }
        };
        let told = item
            .as_ref()
            .and_then(Item::cursor)
            .map(|cursor| cursor.0.clone());
        let moved = self.move_to(block.id.or(told));
        let item = item.filter(|item| !is_bookmark(item));
        if item.is_none() && !moved {
            return Ok(None);
        }
        let cursor = self.cursor.clone();
        Ok(Some(Step { cursor, item }))
    }

    fn move_to(&mut self, id: Option<String>) -> bool {
        let cursor = id.filter(|id| !id.is_empty()).map(Cursor);
        let moved = cursor.is_some() && self.opening.view.class == StreamClass::Changes;
        if moved {
            self.cursor = cursor;
        }
        moved
    }

    /// Opens another connection, unless the error stands.
    async fn restore(&mut self, mut lost: Error) -> Result<(), Error> {
        self.feed = None;
        let resumable = match self.opening.view.class {
            StreamClass::Changes => self.cursor.is_some(),
            StreamClass::Telemetry => true,
            StreamClass::Results => false,
        };
        if !resumable || !(passes(&lost) || self.has_expired(&lost)) {
            return Err(lost);
        }
        if let Some(cursor) = &self.cursor {
            let cursor = Value::from(cursor.0.as_str());
            self.opening.input.insert("cursor".to_owned(), cursor);
        }
        loop {
            let pace = &self.opening.client.inner.pace;
            let Some(pause) = self.policy.pause(&lost, self.attempts, pace.random()) else {
                return Err(lost);
            };
            pace.sleep(pause).await;
            self.attempts = self.attempts.saturating_add(1);
            let once = RetryPolicy::never();
            match self.opening.open(&once, self.policy.silence_max).await {
                Ok(Opened { feed, first }) => {
                    self.feed = Some(feed);
                    self.begin(first);
                    return Ok(());
                }
                Err(error) if passes(&error) => lost = error,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether new tokens are all that is missing: opening again renews them.
    fn has_expired(&self, error: &Error) -> bool {
        error.code() == Some(&ErrorCode::TokenExpired) && self.opening.client.inner.session.can_renew()
    }
}

fn is_bookmark<E>(item: &Item<E>) -> bool {
    matches!(item, Item::Notice(notice) if notice.control.kind == StreamControlKind::Bookmark)
}
