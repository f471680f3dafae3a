//! Who is connected, and what they watch: every socket and event stream of the server with its subscriptions.
//!
//! A connection is in the list for as long as its task holds the [`Connection`], a subscription for as long as its
//! [`Watch`](crate::streams::Watch) lives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use axum::extract::ws::Message;
use parking_lot::Mutex;
use rustydb_contract::stream::ViewDesc;
use rustydb_contract::topic::Topic;
use rustydb_contract::{Principal, ServiceError, ServiceResult, Timestamp};
use rustydb_contract_core::errors::{TOO_MANY_SUBSCRIPTIONS, UNAVAILABLE};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Subscriptions that one connection may have at once.
pub const SUBSCRIPTIONS_MAX: usize = 100;

/// How events reach a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// JSON-RPC over WebSocket.
    Rpc,
    /// The raw envelope over WebSocket.
    Raw,
    /// graphql-transport-ws.
    Graphql,
    /// GraphQL over HTTP, in parts of one answer.
    GraphqlMultipart,
    /// Server-sent events.
    Sse,
}

impl Transport {
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Rpc => "rustydb.json",
            Transport::Raw => "raw",
            Transport::Graphql => "graphql-transport-ws",
            Transport::GraphqlMultipart => "graphql-multipart",
            Transport::Sse => "sse",
        }
    }
}

/// Every connection of a server.
pub struct Live {
    /// Numbers given to connections, and to subscriptions.
    connections_made: AtomicU64,
    subscriptions_made: AtomicU64,
    connections: Mutex<BTreeMap<u64, Weak<Connection>>>,
    broadcasts: Arc<Topic<Broadcast>>,
}

/// A message to connections.
pub struct Broadcast {
    pub topic: String,
    pub message: Value,
    pub metadata: Option<Value>,
    /// Ids of the connections it is for; `None` for any.
    pub connections: Option<Vec<String>>,
    /// Names of the users it is for; `None` for any.
    pub usernames: Option<Vec<String>>,
}

impl Broadcast {
    pub(crate) fn to_json(&self) -> Value {
        let mut told = json!({"topic": self.topic, "message": self.message});
        if let Some(metadata) = &self.metadata {
            told["metadata"] = metadata.clone();
        }
        told
    }

    /// Whether it is for a connection of a user.
    pub fn is_for(&self, connection: &str, username: Option<&str>) -> bool {
        let named = |names: &Option<Vec<String>>, name: Option<&str>| {
            let found =
                |names: &Vec<String>| name.is_some_and(|name| names.iter().any(|known| known == name));
            names.as_ref().is_none_or(found)
        };
        named(&self.connections, Some(connection)) && named(&self.usernames, username)
    }
}

/// Asks a connection's task to open a view as if its peer had asked.
pub struct Request {
    pub view: &'static ViewDesc,
    pub input: Value,
    pub answer: oneshot::Sender<ServiceResult<Arc<Subscribed>>>,
}

/// Requests that wait for a connection's task.
const REQUESTS_QUEUED_MAX: usize = 16;

impl Default for Live {
    fn default() -> Live {
        Live {
            connections_made: AtomicU64::new(0),
            subscriptions_made: AtomicU64::new(0),
            connections: Mutex::default(),
            broadcasts: Topic::new(),
        }
    }
}

impl Live {
    /// Enters a connection.
    pub fn connect(self: &Arc<Self>, transport: Transport, address: Option<SocketAddr>) -> Arc<Connection> {
        let number = self.connections_made.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Arc::new(Connection {
            live: Arc::clone(self),
            number,
            transport,
            address,
            opened_at: Timestamp::now(),
            principal: Mutex::default(),
            messages_sent: AtomicU64::new(0),
            messages_received: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            bytes_received: AtomicU64::new(0),
            subscriptions: Mutex::default(),
            requests: Mutex::default(),
            queue: Mutex::default(),
            closed: CancellationToken::new(),
        });
        self.connections
            .lock()
            .insert(number, Arc::downgrade(&connection));
        connection
    }

    /// Every connection, the oldest first.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.connections
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// The open connection of an id.
    pub fn connection(&self, id: &str) -> Option<Arc<Connection>> {
        let number: u64 = id.strip_prefix("conn-")?.parse().ok()?;
        let found = self.connections.lock().get(&number).and_then(Weak::upgrade);
        found.filter(|connection| connection.id() == id)
    }

    /// Messages to connections, as administrators send them.
    pub fn broadcasts(&self) -> &Arc<Topic<Broadcast>> {
        &self.broadcasts
    }

    /// Connections that there were since the server started.
    pub fn connections_made(&self) -> u64 {
        self.connections_made.load(Ordering::Relaxed)
    }

    /// Subscriptions that there were since the server started.
    pub fn subscriptions_made(&self) -> u64 {
        self.subscriptions_made.load(Ordering::Relaxed)
    }
}

/// One socket or event stream.
pub struct Connection {
    live: Arc<Live>,
    number: u64,
    pub transport: Transport,
    pub address: Option<SocketAddr>,
    pub opened_at: Timestamp,
    principal: Mutex<Option<Arc<Principal>>>,
    pub messages_sent: AtomicU64,
    pub messages_received: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub bytes_received: AtomicU64,
    subscriptions: Mutex<BTreeMap<u64, Arc<Subscribed>>>,
    /// `None` where the protocol has no way to be subscribed by somebody else.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    /// Of messages to the peer.
    queue: Mutex<Option<mpsc::WeakSender<Message>>>,
    closed: CancellationToken,
}

impl Connection {
    /// Counts the connections of the server.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn id(&self) -> String {
        format!("conn-{}", self.number)
    }

    /// Who the caller showed to be; `None` before that.
    pub fn principal(&self) -> Option<Arc<Principal>> {
        self.principal.lock().clone()
    }

    /// What the connection's task is asked to do, where its protocol has a way.
    pub(crate) fn take_requests(&self) -> mpsc::Receiver<Request> {
        let (sender, receiver) = mpsc::channel(REQUESTS_QUEUED_MAX);
        *self.requests.lock() = Some(sender);
        receiver
    }

    /// Opens a view for the peer; `None` where the protocol has no way.
    pub async fn request(
        &self,
        view: &'static ViewDesc,
        input: Value,
    ) -> Option<ServiceResult<Arc<Subscribed>>> {
        let requests = self.requests.lock().clone()?;
        let (answer, answered) = oneshot::channel();
        let gone = || ServiceError::new(&UNAVAILABLE, "the connection ended meanwhile");
        if requests.send(Request { view, input, answer }).await.is_err() {
            return Some(Err(gone()));
        }
        Some(answered.await.unwrap_or_else(|_| Err(gone())))
    }

    /// Whether messages are sent to the peer without its having asked.
    pub fn takes_broadcasts(&self) -> bool {
        matches!(self.transport, Transport::Rpc | Transport::Raw)
    }

    pub(crate) fn watch_queue(&self, queue: &mpsc::Sender<Message>) {
        *self.queue.lock() = Some(queue.downgrade());
    }

    /// Whether the peer is behind by as many messages as may wait for it.
    pub fn is_stuck(&self) -> bool {
        let queue = self.queue.lock().as_ref().and_then(mpsc::WeakSender::upgrade);
        queue.is_some_and(|queue| queue.capacity() == 0)
    }

    pub fn identify(&self, principal: Arc<Principal>) {
        *self.principal.lock() = Some(principal);
    }

    /// Asks the connection's task to end it.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Cancelled when somebody asked for the connection's end.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Its subscriptions, the oldest first.
    pub fn subscriptions(&self) -> Vec<Arc<Subscribed>> {
        self.subscriptions.lock().values().cloned().collect()
    }

    pub fn sent(&self, bytes: usize) {
        self.messages_sent.fetch_add(1, Ordering::Relaxed);
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn received(&self, bytes: usize) {
        self.messages_received.fetch_add(1, Ordering::Relaxed);
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Enters a subscription, unless the connection has as many as it may.
    pub(crate) fn subscribe(self: &Arc<Self>, view: &'static ViewDesc) -> ServiceResult<Entry> {
        let mut subscriptions = self.subscriptions.lock();
        if subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(ServiceError::new(
                &TOO_MANY_SUBSCRIPTIONS,
                format!(
                    "the connection has {SUBSCRIPTIONS_MAX} subscriptions already; end one, or open another connection"
                ),
            ));
        }
        let number = self.live.subscriptions_made.fetch_add(1, Ordering::Relaxed) + 1;
        let subscribed = Arc::new(Subscribed {
            number,
            connection_id: self.id(),
            view,
            opened_at: Timestamp::now(),
            events: AtomicU64::new(0),
            cancelled: CancellationToken::new(),
        });
        subscriptions.insert(number, Arc::clone(&subscribed));
        Ok(Entry {
            connection: Arc::clone(self),
            subscribed,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.live.connections.lock().remove(&self.number);
    }
}

/// One view that a connection watches.
pub struct Subscribed {
    number: u64,
    pub connection_id: String,
    pub view: &'static ViewDesc,
    pub opened_at: Timestamp,
    /// Events handed to the transport.
    pub events: AtomicU64,
    cancelled: CancellationToken,
}

impl Subscribed {
    /// Counts the subscriptions of the server.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn id(&self) -> String {
        format!("sub-{}", self.number)
    }

    /// Ends the subscription; the connection stays.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}

/// Keeps a subscription in the list.
pub(crate) struct Entry {
    connection: Arc<Connection>,
    subscribed: Arc<Subscribed>,
}

impl Entry {
    pub(crate) fn subscribed(&self) -> &Arc<Subscribed> {
        &self.subscribed
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connection
            .subscriptions
            .lock()
            .remove(&self.subscribed.number);
    }
}
