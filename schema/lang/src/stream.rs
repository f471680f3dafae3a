//! Streams: what opens one, what comes of it, and the tables that describe its views.
//!
//! A service answers the opening of a view with a [`Subscription`], whose items come until the caller ends it. The
//! rules that every service keeps:
//!
//! - Nothing that happens after the answer is missed: the position is taken before the subscription is handed out.
//! - A view of class [`StreamClass::Changes`] gives each item a cursor. Opening the same view with it goes on right
//!   behind that item. What it cannot give any more is an error, never a silence.
//! - A view of class [`StreamClass::Results`] does its work while it is read, and stops it when it is dropped.
//! - A view of class [`StreamClass::Telemetry`] may lose events when its reader is slow, and tells each loss by one
//!   [`Control::Gap`] in the place where it happened.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::{AnswerFuture, CallContext};
use crate::descriptor::{OperationDesc, TypeDesc};
use crate::error::ServiceResult;
use crate::scalars::{Cursor, Timestamp};

/// What is promised of a stream's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamClass {
    /// Lossless and resumable.
    Changes,
    /// Bounded; losses are told.
    Telemetry,
    /// The result of what its opening began: complete, in order, not resumable. It ends by itself, and whoever ends it
    /// earlier stops the work.
    Results,
}

impl StreamClass {
    pub fn as_str(self) -> &'static str {
        match self {
            StreamClass::Changes => "changes",
            StreamClass::Telemetry => "telemetry",
            StreamClass::Results => "results",
        }
    }
}

/// One view of a stream.
#[derive(Debug)]
pub struct ViewDesc {
    /// Opening it: the SSE route, the input, who may, and as `graphql` the subscription field.
    pub open: OperationDesc,
    /// The source in its module.
    pub stream: &'static str,
    pub class: StreamClass,
    /// The WebSocket path of its own.
    pub ws: Option<&'static str>,
    /// On that path the view is opened by a message of this type, as often as one comes, and not by the connection.
    pub ws_message: Option<&'static str>,
    /// In the contract's order; a view of records has one.
    pub events: &'static [EventDesc],
    /// The record's type, or the union of the events, told apart by `event`.
    pub event_type: &'static TypeDesc,
    /// Whether every event is of one type, whose fields stand in GraphQL's payload itself.
    pub is_record: bool,
}

impl ViewDesc {
    pub fn event(&self, name: &str) -> Option<&'static EventDesc> {
        self.events.iter().find(|event| event.name == name)
    }
}

/// One kind of event.
#[derive(Debug)]
pub struct EventDesc {
    /// PascalCase.
    pub name: &'static str,
    /// The name in snake_case, as the raw envelope has it.
    pub message_type: &'static str,
    pub data: &'static TypeDesc,
}

/// An event as the service made it. Generated code implements it.
pub trait StreamEvent: Send + Sync + 'static {
    /// Name of the event, PascalCase.
    fn name(&self) -> &'static str;
    /// Its data.
    fn data(&self) -> EventData;
}

/// An event's data as JSON.
pub type EventData = serde_json::Result<Value>;

/// For generated code: the data of an event that is this value.
pub fn event_data<T: Serialize>(value: &T) -> EventData {
    serde_json::to_value(value)
}

/// Ties a view to its types and to the service method that opens it. Generated code implements it.
pub trait View: 'static {
    type Service: ?Sized + Send + Sync + 'static;
    type Input: DeserializeOwned + Send + 'static;
    type Event: StreamEvent;

    fn desc() -> &'static ViewDesc;

    fn open<'a>(
        service: &'a Self::Service,
        context: &'a CallContext,
        input: Self::Input,
    ) -> AnswerFuture<'a, Subscription<Self::Event>>;
}

/// What a subscriber is told beside the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The cursor moved though no event did.
    Bookmark,
    /// So many events of the source were dropped here, matching or not, because the reader was slow.
    Gap { count: u64 },
    /// What comes is older than the newest commit by so many commits.
    FellBehind { commits: u64 },
    /// What comes is the newest again.
    CaughtUp,
    /// The rows that were there are all sent, so many; changes follow.
    SnapshotComplete { rows: u64 },
}

/// One step of a stream.
#[derive(Debug, Clone)]
pub enum Body<E> {
    Event(E),
    Control(Control),
}

/// One item of a subscription.
#[derive(Debug, Clone)]
pub struct Item<E> {
    /// When it happened.
    pub at: Timestamp,
    /// Where to go on behind it; of changes only.
    pub cursor: Option<Cursor>,
    pub body: Body<E>,
}

impl<E> Item<E> {
    /// An event of telemetry.
    pub fn event(at: Timestamp, event: E) -> Item<E> {
        Item {
            at,
            cursor: None,
            body: Body::Event(event),
        }
    }
}

/// The items to come. An error is the last of them.
pub type Items<E> = Pin<Box<dyn Stream<Item = ServiceResult<Item<E>>> + Send>>;

/// A view that is open. Dropping it ends it.
pub struct Subscription<E> {
    /// Where it begins; of changes only.
    pub cursor: Option<Cursor>,
    items: Items<E>,
}

impl<E> Subscription<E> {
    pub fn new(
        cursor: Option<Cursor>,
        items: impl Stream<Item = ServiceResult<Item<E>>> + Send + 'static,
    ) -> Subscription<E> {
        Subscription {
            cursor,
            items: Box::pin(items),
        }
    }

    /// Where it begins, and what comes.
    pub fn into_parts(self) -> (Option<Cursor>, Items<E>) {
        (self.cursor, self.items)
    }

    /// The next item; `None` when there will be no more. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<ServiceResult<Item<E>>> {
        poll_fn(|context| self.items.as_mut().poll_next(context)).await
    }
}

impl<E> fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
