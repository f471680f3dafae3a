//! The raw envelope: `{"message_type", "data", "timestamp", "cursor"}`, in both directions.
//!
//! A caller may send `auth` {token or api_key}, `ping` {sequence}, `unsubscribe` {subscription_id}, and on the common
//! entry `subscribe` {event or view, args, filter, fields, events, cursor}; `event` is a `message_type` or the id of a
//! view. It is told `connected`, `auth_success`, `auth_error`, `pong`, `subscription_ack`, `unsubscription_ack`, the
//! events of its subscriptions, each with its `subscription_id`, what [`StreamControl`] says in lower case, the
//! `broadcast`s of administrators, and `protocol_error` for what it could not have. On the path of one view the events
//! carry no `subscription_id`.
//!
//! Where that view is opened by messages, as by `query` on /api/v1/ws/query, each of them opens it once more, its data
//! being the arguments. `cancel` with the id that the events of a run carry, as `query_id`, ends it; `query_error` tells
//! why one could not begin, with the `id` of its message.
//!
//! [`StreamControl`]: rustydb_contract_core::StreamControl

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, WebSocket};
use parking_lot::Mutex;
use rustydb_contract::host::{Credential, CredentialCell};
use rustydb_contract::stream::ViewDesc;
use rustydb_contract::{ServiceError, ServiceResult, Timestamp};
use rustydb_contract_core::errors::{INVALID_ARGUMENT, INVALID_REQUEST, OPERATION_NOT_FOUND};
use serde_json::{Map, Value, json};

use super::Dedicated;
use super::session::{self, CHOICES, Language, Outbox, Socket, Task, open_for};
use crate::errors::rpc_error;
use crate::live::{Broadcast, Connection, Subscribed};
use crate::pipeline::request_id;
use crate::registry::Api;
use crate::rest::parse_json;
use crate::streams::Watch;

pub(super) async fn run(
    api: Api,
    connection: Arc<Connection>,
    socket: WebSocket,
    credential: CredentialCell,
    dedicated: Option<Dedicated>,
) {
    let language = Raw {
        is_entry: dedicated.is_none(),
        dedicated,
        watching: HashMap::new(),
        runs: Runs::default(),
    };
    session::run(api, connection, socket, credential, language).await;
}

struct Raw {
    /// Whether the socket came by the common entry.
    is_entry: bool,
    /// What the socket's path opens, until it has.
    dedicated: Option<Dedicated>,
    watching: HashMap<String, Task>,
    /// Of the views that messages opened, by the id in their events.
    runs: Runs,
}

type Runs = Arc<Mutex<HashMap<String, Arc<Subscribed>>>>;

impl Language for Raw {
    async fn begin(&mut self, socket: &mut Socket) {
        if self.is_entry {
            let views: Vec<&str> = socket.api.views().map(|view| view.desc.open.id).collect();
            let data = json!({
                "message": "send auth, subscribe, unsubscribe or ping",
                "version": env!("CARGO_PKG_VERSION"),
                "connection_id": socket.connection.id(),
                "available_events": views,
            });
            tell(socket, "connected", data).await;
        }
        self.open_dedicated(socket).await;
    }

    async fn text(&mut self, socket: &mut Socket, text: &str) -> Result<(), CloseFrame> {
        let depth_max = socket.api.pipeline().limits().json_depth;
        let result = match parse_json(text.as_bytes(), depth_max) {
            Ok(message) => self.message(socket, &message).await,
            Err(error) => Err((error, None)),
        };
        match result {
            Ok(()) => Ok(()),
            Err((error, id)) => {
                protocol_error(socket, &error, id).await;
                Ok(())
            }
        }
    }

    const TAKES_MORE: bool = true;

    fn broadcast(&self, message: &Broadcast) -> String {
        envelope("broadcast", message.to_json())
    }

    async fn adopt(&mut self, socket: &mut Socket, watch: Watch) {
        self.acknowledge(socket, watch).await;
    }

    fn tidy(&mut self) {
        self.watching.retain(|_, task| !task.is_finished());
    }
}

/// An error with the `id` of the message that it answers.
type Refused = (ServiceError, Option<Value>);

impl Raw {
    async fn message(&mut self, socket: &mut Socket, message: &Value) -> Result<(), Refused> {
        let id = message.get("id").cloned();
        let refuse = |error| (error, id.clone());
        let none = json!({});
        let data = message.get("data").unwrap_or(&none);
        if !data.is_object() {
            return Err(refuse(invalid("`data` is an object")));
        }
        match message.get("message_type").and_then(Value::as_str) {
            Some("ping") => {
                let mut pong = json!({});
                if let Some(sequence) = data.get("sequence").filter(|sequence| sequence.is_u64()) {
                    pong["sequence"] = sequence.clone();
                }
                tell(socket, "pong", pong).await;
                Ok(())
            }
            Some("auth") => {
                self.auth(socket, data).await;
                Ok(())
            }
            Some("cancel") if self.word().is_some() => self.cancel(data).map_err(refuse),
            Some(other) if self.word() == Some(other) => {
                self.run(socket, data, id).await;
                Ok(())
            }
            Some("subscribe") if self.is_entry => self.subscribe(socket, data).await.map_err(refuse),
            Some("unsubscribe") => self.unsubscribe(socket, data).await.map_err(refuse),
            Some(other) => {
                let known = if self.is_entry {
                    "auth, subscribe, unsubscribe and ping"
                } else {
                    "auth, unsubscribe and ping"
                };
                Err(refuse(invalid(&format!(
                    "there is no message_type {other:?}; there are {known}"
                ))))
            }
            None => Err(refuse(invalid("`message_type` is missing or no text"))),
        }
    }

    async fn auth(&mut self, socket: &mut Socket, data: &Value) {
        let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
        let credential = match (text("token"), text("api_key")) {
            (Some(token), None) => Ok(Credential::Bearer(token)),
            (None, Some(key)) => Ok(Credential::ApiKey(key)),
            _ => Err(ServiceError::new(
                &INVALID_ARGUMENT,
                "auth takes `token` or `api_key`, one of the two",
            )),
        };
        let principal = match credential {
            Ok(credential) => socket.identify(credential).await,
            Err(error) => Err(error),
        };
        match principal {
            Ok(principal) => {
                let mut data = json!({
                    "user_id": principal.user_id,
                    "username": principal.username,
                    "roles": principal.roles,
                });
                if let Some(session) = &principal.session_id {
                    data["session_id"] = session.as_str().into();
                }
                tell(socket, "auth_success", data).await;
                self.open_dedicated(socket).await;
            }
            Err(error) => {
                let data = json!({"code": error.code(), "message": error.message()});
                tell(socket, "auth_error", data).await;
            }
        }
    }

    /// Type of the messages that open the view of the socket's path.
    fn word(&self) -> Option<&'static str> {
        self.dedicated
            .as_ref()
            .and_then(|dedicated| dedicated.desc.ws_message)
    }

    /// Opens the view of the socket's path with the message's data over what the path's query says.
    async fn run(&mut self, socket: &mut Socket, data: &Value, id: Option<Value>) {
        let (Some(Dedicated { desc, input }), Some(word)) = (&self.dedicated, self.word()) else {
            return;
        };
        let mut input = input.clone();
        if let (Value::Object(input), Value::Object(data)) = (&mut input, data) {
            input.extend(data.clone());
        }
        match open_for(socket, desc, input).await {
            Ok(opened) => {
                let run = follow(opened, word, socket.outbox.clone(), Arc::clone(&self.runs));
                socket.watches.spawn(run);
            }
            Err(error) => {
                let mut data = error_data(&error);
                if let Some(id) = id {
                    data["id"] = id;
                }
                tell(socket, &format!("{word}_error"), data).await;
            }
        }
    }

    fn cancel(&self, data: &Value) -> ServiceResult<()> {
        let field = format!("{}_id", self.word().unwrap_or_default());
        let id = data.get(&field).and_then(Value::as_str).ok_or_else(|| {
            let message = format!("cancel takes `{field}`, as the events of the run have it");
            ServiceError::new(&INVALID_ARGUMENT, message)
        })?;
        let run = self.runs.lock().get(id).cloned();
        let run = run.ok_or_else(|| {
            ServiceError::new(
                &INVALID_ARGUMENT,
                format!("{field}: nothing of that id {id:?} runs here"),
            )
        })?;
        run.cancel();
        Ok(())
    }

    /// Opens the view of the socket's path once the caller is known.
    async fn open_dedicated(&mut self, socket: &mut Socket) {
        if socket.credential.get().is_none() || self.word().is_some() {
            return;
        }
        let Some(Dedicated { desc, input }) = self.dedicated.take() else {
            return;
        };
        match open_for(socket, desc, input).await {
            Ok(opened) => self.acknowledge(socket, opened).await,
            Err(error) => protocol_error(socket, &error, None).await,
        }
    }

    async fn subscribe(&mut self, socket: &mut Socket, data: &Value) -> ServiceResult<()> {
        let (desc, input) = subscription(&socket.api, data)?;
        let opened = open_for(socket, desc, input).await?;
        self.acknowledge(socket, opened).await;
        Ok(())
    }

    /// The acknowledgement is in the queue before any event is.
    async fn acknowledge(&mut self, socket: &mut Socket, opened: Watch) {
        let id = opened.subscribed().id();
        let mut data = json!({
            "subscription_id": id,
            "channel": opened.desc().open.id,
            "status": "subscribed",
        });
        if let Some(cursor) = &opened.cursor {
            data["cursor"] = json!(cursor);
        }
        tell(socket, "subscription_ack", data).await;
        let (outbox, gate) = socket.outbox.gated();
        let handle = socket.watches.spawn(forward(opened, outbox, self.is_entry));
        self.watching.insert(id, Task::new(handle, gate));
    }

    async fn unsubscribe(&mut self, socket: &Socket, data: &Value) -> ServiceResult<()> {
        let id = data
            .get("subscription_id")
            .and_then(Value::as_str)
            .ok_or_else(|| {
                let message = "unsubscribe takes `subscription_id`, as subscription_ack told it";
                ServiceError::new(&INVALID_ARGUMENT, message)
            })?;
        let task = self.watching.remove(id).filter(|task| !task.is_finished());
        let Some(task) = task else {
            let message = format!("the connection has no subscription {id:?}");
            return Err(ServiceError::new(&INVALID_ARGUMENT, message));
        };
        task.end();
        tell(socket, "unsubscription_ack", json!({"subscription_id": id})).await;
        Ok(())
    }
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::new(&INVALID_REQUEST, message)
}

/// An envelope of the server's own.
fn envelope(message_type: &str, data: Value) -> String {
    let timestamp = Timestamp::now().as_micros().div_euclid(1_000_000);
    json!({"message_type": message_type, "data": data, "timestamp": timestamp}).to_string()
}

async fn tell(socket: &Socket, message_type: &str, data: Value) {
    // Nobody there means that the socket is gone; reading it ends the session.
    socket.outbox.send(envelope(message_type, data)).await;
}

fn error_data(error: &ServiceError) -> Value {
    let request_id = request_id(None);
    let told = rpc_error(error, &request_id);
    json!({"code": error.code(), "message": error.message(), "details": told["data"]})
}

async fn protocol_error(socket: &Socket, error: &ServiceError, id: Option<Value>) {
    let mut data = error_data(error);
    if let Some(id) = id {
        data["id"] = id;
    }
    tell(socket, "protocol_error", data).await;
}

/// View and input that `subscribe` asks for. An event's name stands for the view that has it on a path of its own, else
/// for the first view that has it, and of its events only that one is sent.
fn subscription(api: &Api, data: &Value) -> ServiceResult<(&'static ViewDesc, Value)> {
    let refuse = |message: String| Err(ServiceError::new(&INVALID_ARGUMENT, message));
    let mut input = match data.get("args") {
        None => Map::new(),
        Some(Value::Object(args)) => args.clone(),
        Some(_) => return refuse("args: is no object".to_owned()),
    };
    for (key, value) in data.as_object().into_iter().flatten() {
        if CHOICES.contains(&key.as_str()) {
            input.insert(key.clone(), value.clone());
        } else if !matches!(key.as_str(), "event" | "view" | "args") {
            let choices = CHOICES.join(", ");
            return refuse(format!("{key}: subscribe takes event or view, args, {choices}"));
        }
    }
    let named = data.get("event").or(data.get("view")).and_then(Value::as_str);
    let Some(name) = named else {
        return refuse("event: is missing; name an event, such as table_modified, or a view".to_owned());
    };
    if let Ok(view) = api.view(name) {
        return Ok((view.desc, Value::Object(input)));
    }
    let has_it = |desc: &ViewDesc| desc.events.iter().any(|event| event.message_type == name);
    let mut having: Vec<&'static ViewDesc> = api
        .views()
        .map(|view| view.desc)
        .filter(|desc| has_it(desc))
        .collect();
    having.sort_by_key(|desc| desc.ws.is_none());
    let Some(desc) = having.first() else {
        let message = format!("there is no event or view {name:?}; `connected` lists the views");
        return Err(ServiceError::new(&OPERATION_NOT_FOUND, message));
    };
    if !desc.is_record && !input.contains_key("events") {
        let event = desc.events.iter().find(|event| event.message_type == name);
        input.extend(event.map(|event| ("events".to_owned(), json!([event.name]))));
    }
    Ok((desc, Value::Object(input)))
}

/// Sends what comes of a view that a message opened; the end of the run ends it.
async fn follow(mut watch: Watch, word: &'static str, outbox: Outbox, runs: Runs) {
    let field = format!("{word}_id");
    let subscribed = Arc::clone(watch.subscribed());
    let mut known: Option<String> = None;
    while let Some(frame) = watch.next().await {
        let text = match frame {
            Ok(frame) => {
                let envelope = frame.envelope(None);
                if known.is_none() {
                    known = envelope["data"][&field].as_str().map(str::to_owned);
                    let entry = known.clone().map(|id| (id, Arc::clone(&subscribed)));
                    runs.lock().extend(entry);
                }
                envelope.to_string()
            }
            Err(error) => {
                let mut data = error_data(&error);
                if let Some(id) = &known {
                    data[&field] = id.as_str().into();
                }
                envelope(&format!("{word}_error"), data)
            }
        };
        if !outbox.send(text).await {
            break;
        }
    }
    if let Some(id) = known {
        runs.lock().remove(&id);
    }
}

async fn forward(mut watch: Watch, outbox: Outbox, is_entry: bool) {
    let id = watch.subscribed().id();
    while let Some(frame) = watch.next().await {
        let (text, last) = match frame {
            Ok(frame) => (frame.envelope(is_entry.then_some(&id)).to_string(), false),
            Err(error) => {
                let mut data = error_data(&error);
                data["subscription_id"] = id.as_str().into();
                (envelope("protocol_error", data), true)
            }
        };
        if !outbox.send(text).await || last {
            return;
        }
    }
    let data = json!({"subscription_id": id, "status": "complete"});
    outbox.send(envelope("unsubscription_ack", data)).await;
}
