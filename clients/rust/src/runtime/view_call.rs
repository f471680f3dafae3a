//! A view that has its input and waits to be opened.

use std::marker::PhantomData;
use std::time::Duration;

use rustydb_contract::stream::ViewDesc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::call::new_request_id;
use super::client::Client;
use super::error::Error;
use super::reconnect::ReconnectPolicy;
use super::request::to_object;
use super::retry::RetryPolicy;
use super::subscription::{self, Opening, Subscription};

/// The opening of a view whose events are `E`. It is sent by [`open`](ViewCall::open).
///
/// ```
/// use rustydb_client::database::DatabaseTableChangesInput;
/// use rustydb_client::{Client, Error, Item};
///
/// async fn watch(client: &Client) -> Result<(), Error> {
///     let input = DatabaseTableChangesInput {
///         table: "orders".to_owned(),
///         database: None,
///         where_clause: None,
///         snapshot: None,
///         cursor: None,
///         filter: None,
///         fields: None,
///     };
///     let mut changes = client.database().table_changes(&input).open().await?;
///     // From here on no change is missed.
///     while let Some(item) = changes.next().await {
///         match item? {
///             Item::Event(event) => println!("{:?} {:?}", event.data.change_type, event.data.row),
///             Item::Notice(notice) => println!("{}", notice.control.kind.as_str()),
///         }
///     }
///     Ok(())
/// }
/// ```
#[must_use = "a view is open once `open` was awaited"]
#[derive(Debug)]
pub struct ViewCall<E> {
    client: Client,
    view: &'static ViewDesc,
    /// The input on the wire, or why it can't be sent.
    input: Result<Map<String, Value>, Error>,
    options: ViewOptions,
    event: PhantomData<fn() -> E>,
}

#[derive(Debug, Clone, Default)]
struct ViewOptions {
    timeout: Option<Duration>,
    request_id: Option<String>,
    retry: Option<RetryPolicy>,
    reconnect: ReconnectPolicy,
}

impl<E> ViewCall<E> {
    #[allow(dead_code, reason = "a contract may have no view")]
    pub(crate) fn new<I: Serialize>(client: &Client, view: &'static ViewDesc, input: &I) -> ViewCall<E> {
        ViewCall {
            client: client.clone(),
            view,
            input: to_object(&view.open, input),
            options: ViewOptions::default(),
            event: PhantomData,
        }
    }

    /// Time for the opening, repetitions included; the client's when left out, else as long as a connection may be
    /// silent. Once it is open a view has no end.
    pub fn with_timeout(mut self, timeout: Duration) -> ViewCall<E> {
        self.options.timeout = Some(timeout);
        self
    }

    /// Id under which the subscription stands in the server's log, instead of a random one. All its connections have
    /// the same.
    pub fn with_request_id(mut self, id: impl Into<String>) -> ViewCall<E> {
        self.options.request_id = Some(id.into());
        self
    }

    /// How the opening is repeated when it fails.
    pub fn with_retry(mut self, policy: RetryPolicy) -> ViewCall<E> {
        self.options.retry = Some(policy);
        self
    }

    /// How the view is opened again when its connection is lost later on.
    pub fn with_reconnect(mut self, policy: ReconnectPolicy) -> ViewCall<E> {
        self.options.reconnect = policy;
        self
    }

    /// Reads the events as another type: where the input asks for some `fields` alone, the view's own does not fit.
    /// The data of a view of several events has the event's name as `event` beside its fields.
    pub fn with_event_type<T>(self) -> ViewCall<T> {
        ViewCall {
            client: self.client,
            view: self.view,
            input: self.input,
            options: self.options,
            event: PhantomData,
        }
    }

    #[cfg(feature = "driver")]
    pub(crate) fn view(&self) -> &'static ViewDesc {
        self.view
    }
}

impl<E: DeserializeOwned + Send + 'static> ViewCall<E> {
    /// Opens the view and waits until the server has acknowledged it: nothing that happens from then on is missed.
    pub async fn open(self) -> Result<Subscription<E>, Error> {
        let inner = &*self.client.inner;
        let ViewOptions {
            timeout,
            request_id,
            retry,
            reconnect,
        } = self.options;
        let timeout = timeout.or(inner.timeout).unwrap_or(reconnect.silence_max);
        let retry = retry.unwrap_or_else(|| inner.retry.clone());
        let opening = Opening {
            client: self.client,
            view: self.view,
            input: self.input?,
            request_id: request_id.unwrap_or_else(new_request_id),
        };
        subscription::subscribe(opening, &retry, timeout, reconnect).await
    }
}
