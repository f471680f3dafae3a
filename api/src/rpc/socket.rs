//! One socket: frames in, calls side by side, answers out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use rustydb_contract::host::Credential;
use rustydb_contract::{Interface, ServiceError, ServiceResult};
use rustydb_contract_core::errors::{
    CANCELLED, INTERNAL, INVALID_ARGUMENT, INVALID_REQUEST, OPERATION_NOT_FOUND,
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::CALLS_IN_FLIGHT_MAX;
use super::message::{Refused, RpcRequest, failure, success};
use crate::pipeline::{Call, request_id};
use crate::registry::Api;
use crate::rest::parse_json;

/// How often the server asks whether the peer lives.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Pings without a sign of life after which the peer counts as dead.
const PINGS_MISSED_MAX: u32 = 2;

/// How long a socket may stay without credentials.
const AUTH_WITHIN: Duration = Duration::from_secs(10);

/// How long a socket may stay without a request.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// Answers that wait for the socket to take them; a slower reader slows its own calls.
const ANSWERS_QUEUED_MAX: usize = 64;

/// Frames that run, wait to run or wait to be answered; further ones stay unread.
const FRAMES_UNDER_WAY_MAX: usize = 2 * CALLS_IN_FLIGHT_MAX;

/// How long the peer may take to accept one message; after that nobody is taken to be there.
const WRITE_WITHIN: Duration = Duration::from_secs(60);

pub async fn run(api: Api, socket: WebSocket, credential: Option<Credential>) {
    let (sink, mut stream) = socket.split();
    let (answers, queue) = mpsc::channel(ANSWERS_QUEUED_MAX);
    let writer = tokio::spawn(write(sink, queue));
    let mut session = Session {
        api,
        credential,
        answers,
        slots: Arc::new(Semaphore::new(CALLS_IN_FLIGHT_MAX)),
        calls: JoinSet::new(),
        running: HashMap::new(),
    };
    let close = session.serve(&mut stream).await;
    session.calls.shutdown().await;
    if let Some(frame) = close {
        // The peer may be gone already, and then nobody misses the frame.
        drop(session.answers.send(Message::Close(Some(frame))).await);
    }
    drop(session);
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

struct Session {
    api: Api,
    credential: Option<Credential>,
    answers: mpsc::Sender<Message>,
    slots: Arc<Semaphore>,
    calls: JoinSet<()>,
    /// Calls under way by the text of their id.
    running: HashMap<String, Running>,
}

/// A call that can be cancelled.
struct Running {
    id: Value,
    task: AbortHandle,
    /// Whether the call has its answer; whoever sets it sends one.
    answered: Arc<AtomicBool>,
}

type Incoming = futures::stream::SplitStream<WebSocket>;

impl Session {
    /// Reads until the socket ends; answers how to close it, where that is the server's doing.
    async fn serve(&mut self, stream: &mut Incoming) -> Option<CloseFrame> {
        let begun = Instant::now();
        let mut active = begun;
        let mut missed = 0;
        let mut pings = interval_at(begun + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopping = self.api.stopping().clone();
        loop {
            let until = if self.credential.is_none() {
                begun + AUTH_WITHIN
            } else {
                active + IDLE_MAX
            };
            let reading = self.calls.len() < FRAMES_UNDER_WAY_MAX;
            tokio::select! {
                message = stream.next(), if reading => {
                    missed = 0;
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            active = Instant::now();
                            self.frame(text.as_bytes()).await;
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Binary(_))) => return Some(close(1003, "send text frames")),
                        Some(Ok(Message::Close(_))) | None => return None,
                        Some(Err(error)) => return Some(close_for(&error)),
                    }
                }
                () = stopping.cancelled() => {
                    while self.calls.join_next().await.is_some() {}
                    return Some(close(close_code::AWAY, "the server is stopping"));
                }
                _ = pings.tick() => {
                    // Nothing is heard of a peer whose frames stay unread, and nothing held against it.
                    missed += u32::from(reading);
                    if missed > PINGS_MISSED_MAX {
                        return None;
                    }
                    // While others wait to be written the peer has something to show its life by.
                    drop(self.answers.try_send(Message::Ping(bytes::Bytes::new())));
                }
                // The peer takes nothing any more.
                () = self.answers.closed() => return None,
                () = sleep_until(until) => {
                    return Some(match self.credential {
                        None => close(close_code::POLICY, "no credentials within 10 s"),
                        Some(_) if !self.calls.is_empty() => { active = Instant::now(); continue }
                        Some(_) => close(close_code::NORMAL, "idle for 5 min"),
                    });
                }
                Some(_) = self.calls.join_next(), if !self.calls.is_empty() => {
                    self.running.retain(|_, call| !call.task.is_finished());
                }
            }
        }
    }

    async fn frame(&mut self, text: &[u8]) {
        let limits = *self.api.pipeline().limits();
        match parse_json(text, limits.json_depth) {
            Err(error) => {
                self.answer(failure(&Value::Null, &error, &request_id(None)))
                    .await
            }
            Ok(Value::Array(requests)) if requests.is_empty() || requests.len() > limits.rpc_batch_calls => {
                let message = format!(
                    "a batch has {} requests; 1 to {} are allowed",
                    requests.len(),
                    limits.rpc_batch_calls
                );
                let error = ServiceError::new(&INVALID_REQUEST, message);
                self.answer(failure(&Value::Null, &error, &request_id(None)))
                    .await;
            }
            Ok(Value::Array(requests)) => self.batch(requests).await,
            Ok(request) => self.single(request).await,
        }
    }

    async fn single(&mut self, request: Value) {
        let request = match RpcRequest::parse(request) {
            Ok(request) => request,
            Err(Refused { id, error }) => {
                return self.answer(failure(&id, &error, &request_id(None))).await;
            }
        };
        if let Some(text) = self.control(&request).await {
            return self.answer(text).await;
        }
        let id = request.id.clone();
        let answered = Arc::new(AtomicBool::new(false));
        let (api, credential, answers) = (self.api.clone(), self.credential.clone(), self.answers.clone());
        let (slots, done) = (Arc::clone(&self.slots), Arc::clone(&answered));
        let task = self.calls.spawn(async move {
            let slot = slots.acquire_owned().await;
            if let Some(text) = call(&api, credential, request).await
                && !done.swap(true, Ordering::Relaxed)
            {
                drop(answers.send(Message::Text(text.into())).await);
            }
            // Only now: who does not read its answers makes no more calls.
            drop(slot);
        });
        if let Some(id) = id {
            let call = Running {
                id: id.clone(),
                task,
                answered,
            };
            self.running.insert(id.to_string(), call);
        }
    }

    /// The calls of a batch run side by side; the answer comes when all are done.
    async fn batch(&mut self, requests: Vec<Value>) {
        let mut parsed = Vec::new();
        let mut texts = Vec::new();
        for request in requests {
            match RpcRequest::parse(request) {
                Ok(request) => match self.control(&request).await {
                    Some(text) => texts.push(text),
                    None => parsed.push(request),
                },
                Err(Refused { id, error }) => texts.push(failure(&id, &error, &request_id(None))),
            }
        }
        let (api, credential, answers) = (self.api.clone(), self.credential.clone(), self.answers.clone());
        let slots = Arc::clone(&self.slots);
        self.calls.spawn(async move {
            let calls = parsed.into_iter().map(async |request| {
                let _slot = slots.acquire().await;
                call(&api, credential.clone(), request).await
            });
            texts.extend(futures::future::join_all(calls).await.into_iter().flatten());
            if !texts.is_empty() {
                let text = format!("[{}]", texts.join(","));
                drop(answers.send(Message::Text(text.into())).await);
            }
        });
    }

    /// `auth` and `cancel` act on the socket itself; `None` for any other method.
    async fn control(&mut self, request: &RpcRequest) -> Option<String> {
        let result = match request.method.as_str() {
            "auth" => self.auth(&request.params).await,
            "cancel" => self.cancel(&request.params).await,
            _ => return None,
        };
        let id = request.id.clone().unwrap_or(Value::Null);
        Some(match result {
            Ok(value) => success(&id, value.to_string().into_bytes()),
            Err(error) => failure(&id, &error, &request_id(request.request_id.as_deref())),
        })
    }

    async fn auth(&mut self, params: &Value) -> ServiceResult<Value> {
        let text = |name: &str| params.get(name).and_then(Value::as_str).map(str::to_owned);
        let credential = match (text("token"), text("api_key")) {
            (Some(token), None) => Credential::Bearer(token),
            (None, Some(key)) => Credential::ApiKey(key),
            _ => {
                return Err(ServiceError::new(
                    &INVALID_ARGUMENT,
                    "auth takes `token` or `api_key`, one of the two",
                ));
            }
        };
        let principal = self.api.pipeline().principal(&credential).await?;
        self.credential = Some(credential);
        Ok(json!({"username": principal.username, "roles": principal.roles}))
    }

    /// The cancelled call has its answer before this one has.
    async fn cancel(&mut self, params: &Value) -> ServiceResult<Value> {
        let id = params.get("id").ok_or_else(|| {
            ServiceError::new(&INVALID_ARGUMENT, "cancel takes `id`, that of the call to stop")
        })?;
        let call = self.running.remove(&id.to_string());
        let cancelled = call.filter(|call| !call.answered.swap(true, Ordering::Relaxed));
        if let Some(call) = &cancelled {
            call.task.abort();
            let error = ServiceError::new(&CANCELLED, "the call was cancelled");
            self.answer(failure(&call.id, &error, &request_id(None))).await;
        }
        Ok(json!({"cancelled": cancelled.is_some()}))
    }

    async fn answer(&self, text: String) {
        // A closed channel means that the socket is gone; reading it ends the session.
        drop(self.answers.send(Message::Text(text.into())).await);
    }
}

/// Runs one call; a notification is not answered.
async fn call(api: &Api, credential: Option<Credential>, request: RpcRequest) -> Option<String> {
    let request_id = request_id(request.request_id.as_deref());
    let call = Call {
        interface: Interface::Rpc,
        credential,
        request_id: Arc::clone(&request_id),
        timeout_ms: request.timeout_ms,
        input: request.params,
    };
    let result = match api.rpc_method(&request.method) {
        Some(operation) => api.pipeline().call(operation, call).await.and_then(|answer| {
            answer
                .to_json()
                .map_err(|error| ServiceError::new(&INTERNAL, error.to_string()))
        }),
        None => Err(ServiceError::new(
            &OPERATION_NOT_FOUND,
            format!(
                "there is no method {:?}; methods are operation ids, such as database.get_table",
                request.method
            ),
        )),
    };
    let id = request.id?;
    Some(match result {
        Ok(body) => success(&id, body),
        Err(error) => failure(&id, &error, &request_id),
    })
}

fn close(code: u16, reason: &'static str) -> CloseFrame {
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
