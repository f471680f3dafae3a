//! JSON-RPC 2.0 over WebSocket: every operation is a method, its id the name, its input the params by name.
//!
//! Calls of one socket run side by side, at most [`CALLS_IN_FLIGHT_MAX`] at once; answers come as they are done
//! and are told apart by `id`. Beside the operations there are `auth`, which sets the credential of later calls,
//! and `cancel`, which stops one under way: that one answers CANCELLED. A request may carry `timeout_ms` and
//! `request_id` beside its params.
//!
//! `subscribe` {view, args, filter, fields, events, cursor} answers {subscription, cursor} once nothing after it can be
//! missed. What comes of it are notifications: `event` {subscription, seq, event, data, timestamp, cursor}, with
//! `control` in the place of event and data where something is told that is no event; and at last `complete`
//! {subscription, error}, unless `unsubscribe` {subscription} ended it. On the path of one view the notification
//! `subscribed` {subscription, view, cursor} acknowledges it, as it does where an administrator subscribed the connection;
//! `broadcast` {topic, message, metadata} is sent to connections without their having asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::ws::{CloseFrame, WebSocket};
use rustydb_contract::host::{Credential, CredentialCell};
use rustydb_contract::{Interface, ServiceError, ServiceResult};
use rustydb_contract_core::errors::{
    CANCELLED, INTERNAL, INVALID_ARGUMENT, INVALID_REQUEST, OPERATION_NOT_FOUND,
};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::Dedicated;
use super::message::{Refused, RpcRequest, failure, notification, success};
use super::session::{self, CHOICES, Language, Outbox, Socket, Task};
use crate::errors::rpc_error;
use crate::live::{Broadcast, Connection};
use crate::pipeline::{Call, request_id};
use crate::registry::Api;
use crate::rest::parse_json;
use crate::streams::Watch;

/// Calls of one socket that run at the same time, those of batches included; others wait.
const CALLS_IN_FLIGHT_MAX: usize = session::CALLS_UNDER_WAY_MAX / 2;

const SUBSCRIBE: &str = "subscribe";

pub(super) async fn run(
    api: Api,
    connection: Arc<Connection>,
    socket: WebSocket,
    credential: CredentialCell,
    dedicated: Option<Dedicated>,
) {
    let language = Rpc {
        slots: Arc::new(Semaphore::new(CALLS_IN_FLIGHT_MAX)),
        running: HashMap::new(),
        watching: HashMap::new(),
        dedicated,
    };
    session::run(api, connection, socket, credential, language).await;
}

struct Rpc {
    slots: Arc<Semaphore>,
    /// Calls under way by the text of their id.
    running: HashMap<String, Running>,
    /// Subscriptions by their id.
    watching: HashMap<String, Task>,
    /// What the socket's path opens, until it has.
    dedicated: Option<Dedicated>,
}

/// A call that can be cancelled.
struct Running {
    id: Value,
    task: AbortHandle,
    /// Whether the call has its answer; whoever sets it sends one.
    answered: Arc<AtomicBool>,
}

impl Language for Rpc {
    async fn begin(&mut self, socket: &mut Socket) {
        self.open_dedicated(socket).await;
    }

    async fn text(&mut self, socket: &mut Socket, text: &str) -> Result<(), CloseFrame> {
        self.frame(socket, text.as_bytes()).await;
        Ok(())
    }

    const TAKES_MORE: bool = true;

    fn broadcast(&self, message: &Broadcast) -> String {
        notification("broadcast", &message.to_json())
    }

    async fn adopt(&mut self, socket: &mut Socket, watch: Watch) {
        self.accept(socket, watch).await;
    }

    fn tidy(&mut self) {
        self.running.retain(|_, call| !call.task.is_finished());
        self.watching.retain(|_, task| !task.is_finished());
    }
}

impl Rpc {
    /// Opens the view of the socket's path once the caller is known.
    async fn open_dedicated(&mut self, socket: &mut Socket) {
        let by_message = |dedicated: &Dedicated| dedicated.desc.ws_message.is_some();
        if socket.credential.get().is_none() || self.dedicated.as_ref().is_some_and(by_message) {
            return;
        }
        let Some(Dedicated { desc, input }) = self.dedicated.take() else {
            return;
        };
        let opened = watch(socket, desc.open.id, input, &request_id(None), None).await;
        match opened {
            Ok(opened) => {
                self.accept(socket, opened).await;
            }
            Err(error) => {
                let params = json!({"view": desc.open.id, "error": rpc_error(&error, &request_id(None))});
                socket.outbox.send(notification("complete", &params)).await;
            }
        }
    }

    /// Tells of a subscription that the peer did not ask for by a call.
    async fn accept(&mut self, socket: &mut Socket, watch: Watch) {
        let mut params = subscribed(&watch);
        params["view"] = watch.desc().open.id.into();
        socket.outbox.send(notification("subscribed", &params)).await;
        self.forward(socket, watch);
    }

    /// Sends what comes of a subscription, from now on.
    fn forward(&mut self, socket: &mut Socket, watch: Watch) {
        let id = watch.subscribed().id();
        let (outbox, gate) = socket.outbox.gated();
        let handle = socket.watches.spawn(forward(watch, outbox));
        self.watching.insert(id, Task::new(handle, gate));
    }

    async fn frame(&mut self, socket: &mut Socket, text: &[u8]) {
        let limits = *socket.api.pipeline().limits();
        match parse_json(text, limits.json_depth) {
            Err(error) => {
                answer(socket, failure(&Value::Null, &error, &request_id(None))).await;
            }
            Ok(Value::Array(requests)) if requests.is_empty() || requests.len() > limits.rpc_batch_calls => {
                let message = format!(
                    "a batch has {} requests; 1 to {} are allowed",
                    requests.len(),
                    limits.rpc_batch_calls
                );
                let error = ServiceError::new(&INVALID_REQUEST, message);
                answer(socket, failure(&Value::Null, &error, &request_id(None))).await;
            }
            Ok(Value::Array(requests)) => self.batch(socket, requests).await,
            Ok(request) => self.single(socket, request).await,
        }
    }

    async fn single(&mut self, socket: &mut Socket, request: Value) {
        let request = match RpcRequest::parse(request) {
            Ok(request) => request,
            Err(Refused { id, error }) => {
                return answer(socket, failure(&id, &error, &request_id(None))).await;
            }
        };
        if request.method == SUBSCRIBE {
            return self.subscribe(socket, &request).await;
        }
        if let Some(text) = self.control(socket, &request).await {
            return answer(socket, text).await;
        }
        let id = request.id.clone();
        let answered = Arc::new(AtomicBool::new(false));
        let (api, outbox) = (socket.api.clone(), socket.outbox.clone());
        let (credential, peer) = (socket.credential.get(), socket.connection.address);
        let (slots, done) = (Arc::clone(&self.slots), Arc::clone(&answered));
        let task = socket.calls.spawn(async move {
            let slot = slots.acquire_owned().await;
            if let Some(text) = call(&api, credential, peer, request).await
                && !done.swap(true, Ordering::Relaxed)
            {
                outbox.send(text).await;
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
    async fn batch(&mut self, socket: &mut Socket, requests: Vec<Value>) {
        let mut parsed = Vec::new();
        let mut texts = Vec::new();
        for request in requests {
            match RpcRequest::parse(request) {
                Ok(request) if request.method == SUBSCRIBE => {
                    let message = "a batch is answered as a whole, a subscription before its events; subscribe by itself";
                    let error = ServiceError::new(&INVALID_REQUEST, message);
                    let id = request.id.unwrap_or(Value::Null);
                    texts.push(failure(&id, &error, &request_id(None)));
                }
                Ok(request) => match self.control(socket, &request).await {
                    Some(text) => texts.push(text),
                    None => parsed.push(request),
                },
                Err(Refused { id, error }) => texts.push(failure(&id, &error, &request_id(None))),
            }
        }
        let (api, outbox) = (socket.api.clone(), socket.outbox.clone());
        let (credential, peer) = (socket.credential.get(), socket.connection.address);
        let slots = Arc::clone(&self.slots);
        socket.calls.spawn(async move {
            let calls = parsed.into_iter().map(async |request| {
                let _slot = slots.acquire().await;
                call(&api, credential.clone(), peer, request).await
            });
            texts.extend(futures::future::join_all(calls).await.into_iter().flatten());
            if !texts.is_empty() {
                let text = format!("[{}]", texts.join(","));
                outbox.send(text).await;
            }
        });
    }

    /// What acts on the socket itself; `None` for any other method.
    async fn control(&mut self, socket: &mut Socket, request: &RpcRequest) -> Option<String> {
        let result = match request.method.as_str() {
            "auth" => self.auth(socket, &request.params).await,
            "cancel" => self.cancel(socket, &request.params).await,
            "unsubscribe" => self.unsubscribe(&request.params),
            _ => return None,
        };
        let id = request.id.clone().unwrap_or(Value::Null);
        Some(match result {
            Ok(value) => success(&id, value.to_string().into_bytes()),
            Err(error) => failure(&id, &error, &request_id(request.request_id.as_deref())),
        })
    }

    async fn auth(&mut self, socket: &mut Socket, params: &Value) -> ServiceResult<Value> {
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
        let principal = socket.identify(credential).await?;
        self.open_dedicated(socket).await;
        Ok(json!({"username": principal.username, "roles": principal.roles}))
    }

    /// The cancelled call has its answer before this one has.
    async fn cancel(&mut self, socket: &Socket, params: &Value) -> ServiceResult<Value> {
        let id = params.get("id").ok_or_else(|| {
            ServiceError::new(&INVALID_ARGUMENT, "cancel takes `id`, that of the call to stop")
        })?;
        let call = self.running.remove(&id.to_string());
        let cancelled = call.filter(|call| !call.answered.swap(true, Ordering::Relaxed));
        if let Some(call) = &cancelled {
            call.task.abort();
            let error = ServiceError::new(&CANCELLED, "the call was cancelled");
            answer(socket, failure(&call.id, &error, &request_id(None))).await;
        }
        Ok(json!({"cancelled": cancelled.is_some()}))
    }

    /// The answer is in the queue before any event is.
    async fn subscribe(&mut self, socket: &mut Socket, request: &RpcRequest) {
        let id = request.id.clone().unwrap_or(Value::Null);
        let request_id = request_id(request.request_id.as_deref());
        let opened = async {
            let (view, input) = subscription(&request.params)?;
            watch(socket, &view, input, &request_id, request.timeout_ms).await
        };
        match opened.await {
            Ok(opened) => {
                let told = subscribed(&opened).to_string();
                answer(socket, success(&id, told.into_bytes())).await;
                self.forward(socket, opened);
            }
            Err(error) => answer(socket, failure(&id, &error, &request_id)).await,
        }
    }

    fn unsubscribe(&mut self, params: &Value) -> ServiceResult<Value> {
        let id = params
            .get("subscription")
            .and_then(Value::as_str)
            .ok_or_else(|| {
                ServiceError::new(
                    &INVALID_ARGUMENT,
                    "unsubscribe takes `subscription`, as subscribe answered it",
                )
            })?;
        let task = self.watching.remove(id).filter(|task| !task.is_finished());
        if let Some(task) = &task {
            task.end();
        }
        Ok(json!({"unsubscribed": task.is_some()}))
    }
}

/// What an acknowledgement says.
fn subscribed(opened: &Watch) -> Value {
    let mut told = json!({"subscription": opened.subscribed().id()});
    if let Some(cursor) = &opened.cursor {
        told["cursor"] = json!(cursor);
    }
    told
}

async fn answer(socket: &Socket, text: String) {
    // Nobody there means that the socket is gone; reading it ends the session.
    socket.outbox.send(text).await;
}

/// View and input that `subscribe` asks for.
fn subscription(params: &Value) -> ServiceResult<(String, Value)> {
    let refuse = |message: String| Err(ServiceError::new(&INVALID_ARGUMENT, message));
    let Some(view) = params.get("view").and_then(Value::as_str) else {
        return refuse("view: is missing; name a view, such as database.table_changes".to_owned());
    };
    let mut input = match params.get("args") {
        None => Map::new(),
        Some(Value::Object(args)) => args.clone(),
        Some(_) => return refuse("args: is no object".to_owned()),
    };
    for (key, value) in params.as_object().into_iter().flatten() {
        if CHOICES.contains(&key.as_str()) {
            if input.insert(key.clone(), value.clone()).is_some() {
                return refuse(format!(
                    "{key}: is given twice, beside the arguments and among them"
                ));
            }
        } else if key != "view" && key != "args" {
            return refuse(format!(
                "{key}: subscribe takes view, args, {}",
                CHOICES.join(", ")
            ));
        }
    }
    Ok((view.to_owned(), Value::Object(input)))
}

async fn watch(
    socket: &Socket,
    view: &str,
    input: Value,
    request_id: &Arc<str>,
    timeout_ms: Option<u64>,
) -> ServiceResult<Watch> {
    let view = socket.api.view(view)?;
    let call = Call {
        interface: Interface::Rpc,
        credential: socket.credential.clone(),
        peer: socket.connection.address,
        request_id: Arc::clone(request_id),
        timeout_ms,
        input,
    };
    Watch::open(&socket.api, &socket.connection, view, call).await
}

async fn forward(mut watch: Watch, outbox: Outbox) {
    let id = watch.subscribed().id();
    while let Some(frame) = watch.next().await {
        let text = match frame {
            Ok(frame) => {
                let mut params = Map::from_iter([
                    ("subscription".to_owned(), Value::from(id.as_str())),
                    ("seq".to_owned(), frame.seq.into()),
                ]);
                params.extend(frame.to_json());
                notification("event", &Value::Object(params))
            }
            Err(error) => {
                let params = json!({"subscription": id, "error": rpc_error(&error, &request_id(None))});
                outbox.send(notification("complete", &params)).await;
                return;
            }
        };
        if !outbox.send(text).await {
            return;
        }
    }
    outbox
        .send(notification("complete", &json!({"subscription": id})))
        .await;
}

/// Runs one call; a notification is not answered.
async fn call(
    api: &Api,
    credential: Option<Credential>,
    peer: Option<SocketAddr>,
    request: RpcRequest,
) -> Option<String> {
    let request_id = request_id(request.request_id.as_deref());
    let call = Call {
        interface: Interface::Rpc,
        credential: CredentialCell::new(credential),
        peer,
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
