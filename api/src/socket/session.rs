//! One socket, whatever is spoken on it: frames in, answers out, and when it ends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use rustydb_contract::host::{Credential, CredentialCell};
use rustydb_contract::stream::{Body, Item, Subscription, ViewDesc};
use rustydb_contract::{Interface, Principal, ServiceResult};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::live::{Broadcast, Connection, Request};
use crate::pipeline::{Call, request_id};
use crate::registry::Api;
use crate::streams::Watch;

/// How often the server asks whether the peer lives.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Pings without a sign of life after which the peer counts as dead.
const PINGS_MISSED_MAX: u32 = 2;

/// How long a socket may stay without credentials.
const AUTH_WITHIN: Duration = Duration::from_secs(10);

/// How long a socket may stay without a request and without a subscription.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// Messages that wait for the socket to take them; a slower reader slows its own calls and subscriptions.
const MESSAGES_QUEUED_MAX: usize = 64;

/// Calls that run, wait to run or wait to be answered; further frames stay unread.
pub(super) const CALLS_UNDER_WAY_MAX: usize = 128;

/// What a message that subscribes takes beside the view's own arguments; a view has no arguments of these names.
pub(super) const CHOICES: [&str; 4] = ["cursor", "events", "fields", "filter"];

/// How long the peer may take to accept one message; after that nobody is taken to be there.
const WRITE_WITHIN: Duration = Duration::from_secs(60);

/// What a language makes of a socket.
pub(super) trait Language: Send {
    /// Why a socket without credentials is closed.
    const UNIDENTIFIED: (u16, &'static str) = (close_code::POLICY, "no credentials within 10 s");

    /// Before the first frame.
    fn begin(&mut self, socket: &mut Socket) -> impl Future<Output = ()> + Send;

    /// A text frame. A close frame ends the socket.
    fn text(
        &mut self,
        socket: &mut Socket,
        text: &str,
    ) -> impl Future<Output = Result<(), CloseFrame>> + Send;

    /// Whether the peer did what it has to do first.
    fn is_identified(&self, socket: &Socket) -> bool {
        socket.credential.get().is_some()
    }

    /// After a task of the socket ended.
    fn tidy(&mut self);

    /// Whether the peer can be sent what it did not ask for: broadcasts, and subscriptions that others made for it.
    const TAKES_MORE: bool;

    /// Text of a message to connections.
    fn broadcast(&self, message: &Broadcast) -> String;

    /// Takes a view that somebody else opened for the peer.
    fn adopt(&mut self, socket: &mut Socket, watch: Watch) -> impl Future<Output = ()> + Send;
}

/// What all languages need of a socket.
pub(super) struct Socket {
    pub(super) api: Api,
    pub(super) connection: Arc<Connection>,
    pub(super) credential: CredentialCell,
    pub(super) outbox: Outbox,
    pub(super) calls: JoinSet<()>,
    pub(super) watches: JoinSet<()>,
}

/// Where messages to the peer go.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: mpsc::Sender<Message>,
    connection: Arc<Connection>,
    gate: Option<Gate>,
}

impl Outbox {
    /// The same, for a task that is to send nothing more once its gate is shut.
    pub(super) fn gated(&self) -> (Outbox, Gate) {
        let gate = Gate::default();
        let outbox = Outbox {
            gate: Some(gate.clone()),
            ..self.clone()
        };
        (outbox, gate)
    }

    /// Sends a text once the socket takes it; false when nobody is there any more, or the gate is shut.
    pub(super) async fn send(&self, text: String) -> bool {
        self.send_last(text, || {}).await
    }

    /// Sends a text; `sent` runs before the peer can have it, and not at all if it is not sent.
    pub(super) async fn send_last(&self, text: String, sent: impl FnOnce()) -> bool {
        let Ok(place) = self.sender.reserve().await else {
            return false;
        };
        let shut = self.gate.as_ref().map(|gate| gate.shut.lock());
        if shut.as_ref().is_some_and(|shut| **shut) {
            return false;
        }
        sent();
        self.connection.sent(text.len());
        place.send(Message::Text(text.into()));
        true
    }
}

/// What stands between a task and the peer. A task that is aborted may be at work at the moment, and would send once more.
#[derive(Clone, Default)]
pub(super) struct Gate {
    shut: Arc<Mutex<bool>>,
}

/// A task that sends through a gate.
pub(super) struct Task {
    handle: AbortHandle,
    gate: Gate,
}

impl Task {
    pub(super) fn new(handle: AbortHandle, gate: Gate) -> Task {
        Task { handle, gate }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Ends it. It sends nothing after this returns.
    pub(super) fn end(&self) {
        *self.gate.shut.lock() = true;
        self.handle.abort();
    }
}

impl Socket {
    /// Who is behind a credential; from now on the socket's calls are made with it.
    pub(super) async fn identify(&self, credential: Credential) -> ServiceResult<Arc<Principal>> {
        let principal = self.api.pipeline().principal(&credential).await?;
        self.credential.set(credential);
        self.connection.identify(Arc::clone(&principal));
        Ok(principal)
    }
}

/// Speaks a language on a socket until it ends.
pub(super) async fn run<L: Language>(
    api: Api,
    connection: Arc<Connection>,
    socket: WebSocket,
    credential: CredentialCell,
    mut language: L,
) {
    let (sink, mut stream) = socket.split();
    let (sender, queue) = mpsc::channel(MESSAGES_QUEUED_MAX);
    connection.watch_queue(&sender);
    let writer = tokio::spawn(write(sink, queue));
    let known = credential.get();
    if let Some(credential) = known
        && let Ok(principal) = api.pipeline().principal(&credential).await
    {
        connection.identify(principal);
    }
    let mut socket = Socket {
        outbox: Outbox {
            sender,
            connection: Arc::clone(&connection),
            gate: None,
        },
        api,
        connection,
        credential,
        calls: JoinSet::new(),
        watches: JoinSet::new(),
    };
    let close = serve(&mut socket, &mut language, &mut stream).await;
    socket.watches.shutdown().await;
    socket.calls.shutdown().await;
    if let Some(frame) = close {
        // The peer may be gone already, and then nobody misses the frame.
        drop(socket.outbox.sender.send(Message::Close(Some(frame))).await);
    }
    drop(socket);
    drop(language);
    if let Err(error) = writer.await {
        tracing::warn!(%error, "the writer of a socket failed");
    }
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Message>) {
    while let Some(message) = queue.recv().await {
        let sent = timeout(WRITE_WITHIN, sink.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Reads until the socket ends; answers how to close it, where that is the server's doing.
async fn serve<L: Language>(
    socket: &mut Socket,
    language: &mut L,
    stream: &mut SplitStream<WebSocket>,
) -> Option<CloseFrame> {
    let begun = Instant::now();
    let mut active = begun;
    let mut missed = 0;
    let mut pings = interval_at(begun + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopping = socket.api.stopping().clone();
    let ended = socket.connection.closed().clone();
    let mut requests = L::TAKES_MORE.then(|| socket.connection.take_requests());
    let mut broadcasts = L::TAKES_MORE.then(|| broadcasts_for(socket));
    language.begin(socket).await;
    loop {
        let identified = language.is_identified(socket);
        let until = if identified {
            active + IDLE_MAX
        } else {
            begun + AUTH_WITHIN
        };
        let reading = socket.calls.len() < CALLS_UNDER_WAY_MAX;
        tokio::select! {
            message = stream.next(), if reading => {
                missed = 0;
                match message {
                    Some(Ok(Message::Text(text))) => {
                        active = Instant::now();
                        socket.connection.received(text.len());
                        if let Err(close) = language.text(socket, &text).await {
                            return Some(close);
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_))) => return Some(close(close_code::UNSUPPORTED, "send text frames")),
                    Some(Ok(Message::Close(_))) | None => return None,
                    Some(Err(error)) => return Some(close_for(&error)),
                }
            }
            () = stopping.cancelled() => {
                socket.watches.abort_all();
                while socket.calls.join_next().await.is_some() {}
                return Some(close(close_code::AWAY, "the server is stopping"));
            }
            Some(request) = next_request(&mut requests) => {
                let Request { view, input, answer } = request;
                let opened = open_for(socket, view, input).await;
                let told = opened.as_ref().map(|watch| Arc::clone(watch.subscribed())).map_err(Clone::clone);
                // Who asked may be gone; the peer is subscribed all the same.
                let _ = answer.send(told);
                if let Ok(watch) = opened {
                    language.adopt(socket, watch).await;
                }
            }
            Some(Ok(item)) = next_broadcast(&mut broadcasts) => {
                if let Body::Event(message) = item.body {
                    let text = language.broadcast(&message);
                    socket.outbox.send(text).await;
                }
            }
            () = ended.cancelled() => return Some(close(close_code::NORMAL, "closed by an administrator")),
            _ = pings.tick() => {
                // Nothing is heard of a peer whose frames stay unread, and nothing held against it.
                missed += u32::from(reading);
                if missed > PINGS_MISSED_MAX {
                    return None;
                }
                // While others wait to be written the peer has something to show its life by.
                drop(socket.outbox.sender.try_send(Message::Ping(Bytes::new())));
            }
            // The peer takes nothing any more.
            () = socket.outbox.sender.closed() => return None,
            () = sleep_until(until) => {
                if !identified {
                    let (code, reason) = L::UNIDENTIFIED;
                    return Some(close(code, reason));
                }
                if socket.calls.is_empty() && socket.watches.is_empty() {
                    return Some(close(close_code::NORMAL, "idle for 5 min"));
                }
                active = Instant::now();
            }
            Some(_) = socket.calls.join_next(), if !socket.calls.is_empty() => language.tidy(),
            Some(_) = socket.watches.join_next(), if !socket.watches.is_empty() => language.tidy(),
        }
    }
}

/// The messages that are for the peer, whoever it turns out to be.
fn broadcasts_for(socket: &Socket) -> Subscription<Arc<Broadcast>> {
    let connection = Arc::downgrade(&socket.connection);
    socket.api.live().broadcasts().subscribe_shared(move |message| {
        connection.upgrade().is_some_and(|connection| {
            let principal = connection.principal();
            let username = principal.as_ref().map(|principal| principal.username.as_str());
            message.is_for(&connection.id(), username)
        })
    })
}

async fn next_broadcast(
    broadcasts: &mut Option<Subscription<Arc<Broadcast>>>,
) -> Option<ServiceResult<Item<Arc<Broadcast>>>> {
    match broadcasts {
        Some(broadcasts) => broadcasts.next().await,
        None => std::future::pending().await,
    }
}

async fn next_request(requests: &mut Option<mpsc::Receiver<Request>>) -> Option<Request> {
    match requests {
        Some(requests) => requests.recv().await,
        None => std::future::pending().await,
    }
}

/// Opens a view with the peer's own credential.
pub(super) async fn open_for(socket: &Socket, view: &'static ViewDesc, input: Value) -> ServiceResult<Watch> {
    let call = Call {
        interface: Interface::Rpc,
        credential: socket.credential.clone(),
        peer: socket.connection.address,
        request_id: request_id(None),
        timeout_ms: None,
        input,
    };
    let view = socket.api.view(view.open.id)?;
    Watch::open(&socket.api, &socket.connection, view, call).await
}

pub(super) fn close(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame {
        code,
        reason: reason.into(),
    }
}

/// How to close after the library refused what the peer sent.
fn close_for(error: &axum::Error) -> CloseFrame {
    let text = error.to_string();
    if text.contains("too long") || text.contains("too big") {
        close(close_code::SIZE, "the message is larger than the limit")
    } else if text.contains("UTF-8") || text.contains("utf-8") {
        close(close_code::INVALID, "text is not UTF-8")
    } else {
        close(close_code::PROTOCOL, "the frame breaks the protocol")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::live::{Live, Transport};

    /// A task is aborted while it sends, on another thread.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_task_sends_nothing_after_its_end() {
        let connection = Arc::new(Live::default()).connect(Transport::Raw, None);
        for round in 0..2_000 {
            let (sender, mut queue) = mpsc::channel(1_024);
            let outbox = Outbox {
                sender,
                connection: Arc::clone(&connection),
                gate: None,
            };
            let heard = tokio::spawn(async move {
                let mut last = None;
                while let Some(message) = queue.recv().await {
                    last = Some(message);
                }
                last
            });
            let (gated, gate) = outbox.gated();
            let sending = tokio::spawn(async move { while gated.send("event".to_owned()).await {} });
            let task = Task::new(sending.abort_handle(), gate);
            for _ in 0..round % 50 {
                tokio::task::yield_now().await;
            }
            task.end();
            outbox.send("ended".to_owned()).await;
            // Aborted, or through with it.
            let _ = sending.await;
            drop(outbox);
            let last = heard.await.unwrap();
            assert_eq!(last.unwrap().to_text().unwrap(), "ended", "round {round}");
        }
    }
}
