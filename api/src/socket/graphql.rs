//! graphql-transport-ws: GraphQL over WebSocket, to the letter of
//! <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>.
//!
//! Beyond the letter: `connection_init` takes the credential as `authorization: "Bearer TOKEN"` or `x-api-key`, where
//! the upgrade's headers had none, and a `ping` whose payload has one replaces it.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Request as GraphqlRequest;
use axum::extract::Request;
use axum::extract::ws::CloseFrame;
use axum::response::Response;
use futures::StreamExt;
use parking_lot::Mutex;
use rustydb_contract::host::Credential;
use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_core::errors::TOO_MANY_SUBSCRIPTIONS;
use serde_json::{Map, Value, json};

use super::Handshake;
use super::session::{self, Language, Outbox, Socket, Task, close};
use crate::errors::{graphql_error, problem};
use crate::graphql::{Graphql, RequestData, finished, is_refused};
use crate::live::{Broadcast, SUBSCRIPTIONS_MAX, Transport};
use crate::pipeline::request_id;
use crate::rest;
use crate::streams::Watch;

const PROTOCOL: &str = "graphql-transport-ws";

const INVALID_MESSAGE: u16 = 4400;
const UNAUTHORIZED: u16 = 4401;
const FORBIDDEN: u16 = 4403;
const PROTOCOL_NOT_ACCEPTABLE: u16 = 4406;
const INIT_TIMEOUT: u16 = 4408;
const ID_TAKEN: u16 = 4409;
const INIT_TWICE: u16 = 4429;

/// Upgrades a connection to the endpoint.
pub(crate) async fn upgrade(graphql: Graphql, request: Request) -> Response {
    let request_id = rest::request_id_of(request.headers());
    match upgraded(graphql, request).await {
        Ok(response) => response,
        Err(error) => problem(&error, &request_id),
    }
}

async fn upgraded(graphql: Graphql, request: Request) -> ServiceResult<Response> {
    let (mut parts, _) = request.into_parts();
    let api = graphql.api.clone();
    let handshake = Handshake::of(&api, &mut parts).await?;
    let offered = handshake.offered.iter().any(|protocol| protocol == PROTOCOL);
    let protocols = handshake.protocols(offered.then_some(PROTOCOL));
    Ok(handshake.finish(
        &api,
        Transport::Graphql,
        protocols,
        move |api, connection, socket, credential| async move {
            let language = TransportWs {
                graphql,
                offered,
                begun: false,
                acknowledged: false,
                running: Arc::default(),
            };
            session::run(api, connection, socket, credential, language).await;
        },
    ))
}

struct TransportWs {
    graphql: Graphql,
    /// Whether the caller asked for this protocol.
    offered: bool,
    /// Whether `connection_init` came.
    begun: bool,
    acknowledged: bool,
    /// Operations under way by their id.
    running: Running,
}

type Running = Arc<Mutex<HashMap<String, Task>>>;

impl Language for TransportWs {
    const UNIDENTIFIED: (u16, &'static str) = (INIT_TIMEOUT, "Connection initialisation timeout");

    async fn begin(&mut self, _: &mut Socket) {}

    async fn text(&mut self, socket: &mut Socket, text: &str) -> Result<(), CloseFrame> {
        if !self.offered {
            return Err(close(PROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable"));
        }
        let depth_max = socket.api.pipeline().limits().json_depth;
        let Ok(Value::Object(mut message)) = rest::parse_json(text.as_bytes(), depth_max) else {
            return Err(invalid());
        };
        let payload = message.remove("payload");
        match message.get("type").and_then(Value::as_str) {
            Some("connection_init") => self.init(socket, payload).await,
            Some("ping") => {
                self.refresh(socket, payload.as_ref()).await?;
                let mut pong = json!({"type": "pong"});
                if let Some(payload) = payload {
                    pong["payload"] = payload;
                }
                say(&socket.outbox, &pong).await;
                Ok(())
            }
            Some("pong") => Ok(()),
            Some("subscribe") => {
                let id = id_of(&message)?;
                self.subscribe(socket, id, payload).await
            }
            Some("complete") => {
                let id = id_of(&message)?;
                let task = self.running.lock().remove(&id);
                if let Some(task) = task {
                    task.end();
                }
                Ok(())
            }
            _ => Err(invalid()),
        }
    }

    fn is_identified(&self, _: &Socket) -> bool {
        self.acknowledged
    }

    const TAKES_MORE: bool = false;

    fn broadcast(&self, _: &Broadcast) -> String {
        String::new()
    }

    async fn adopt(&mut self, _: &mut Socket, _: Watch) {}

    fn tidy(&mut self) {}
}

impl TransportWs {
    async fn init(&mut self, socket: &mut Socket, payload: Option<Value>) -> Result<(), CloseFrame> {
        if self.begun {
            return Err(close(INIT_TWICE, "Too many initialisation requests"));
        }
        self.begun = true;
        if !matches!(payload, None | Some(Value::Null | Value::Object(_))) {
            return Err(invalid());
        }
        self.refresh(socket, payload.as_ref()).await?;
        self.acknowledged = true;
        say(&socket.outbox, &json!({"type": "connection_ack"})).await;
        Ok(())
    }

    /// Takes the credential of a payload, where it has one.
    async fn refresh(&self, socket: &Socket, payload: Option<&Value>) -> Result<(), CloseFrame> {
        let forbidden = || close(FORBIDDEN, "Forbidden");
        let Some(credential) = credential(payload).map_err(|()| forbidden())? else {
            return Ok(());
        };
        socket
            .identify(credential)
            .await
            .map(drop)
            .map_err(|_| forbidden())
    }

    async fn subscribe(
        &mut self,
        socket: &mut Socket,
        id: String,
        payload: Option<Value>,
    ) -> Result<(), CloseFrame> {
        if !self.acknowledged {
            return Err(close(UNAUTHORIZED, "Unauthorized"));
        }
        let payload = payload.filter(|payload| payload.get("query").is_some_and(Value::is_string));
        let request: GraphqlRequest = match payload.map(serde_json::from_value) {
            Some(Ok(request)) => request,
            Some(Err(_)) | None => return Err(invalid()),
        };
        let taken = self.running.lock().contains_key(&id);
        if taken {
            // A close frame's reason is short, so the id is not repeated in full.
            return Err(CloseFrame {
                code: ID_TAKEN,
                reason: format!(
                    "Subscriber for {} already exists",
                    id.chars().take(40).collect::<String>()
                )
                .into(),
            });
        }
        if self.running.lock().len() >= SUBSCRIPTIONS_MAX {
            let error = ServiceError::new(
                &TOO_MANY_SUBSCRIPTIONS,
                format!(
                    "the connection has {SUBSCRIPTIONS_MAX} operations under way; complete one, or open another connection"
                ),
            );
            let error = graphql_error(&error, &request_id(None)).into_server_error(Default::default());
            say(
                &socket.outbox,
                &json!({"id": id, "type": "error", "payload": [error]}),
            )
            .await;
            return Ok(());
        }
        let request_id = request_id(None);
        let request = request.data(RequestData {
            credential: socket.credential.clone(),
            peer: socket.connection.address,
            request_id: Arc::clone(&request_id),
            timeout_ms: None,
            connection: Some(Arc::clone(&socket.connection)),
        });
        let (outbox, gate) = socket.outbox.gated();
        let operation = Operation {
            id: id.clone(),
            request_id,
            outbox,
            running: Arc::clone(&self.running),
        };
        // Held while the task begins, so that it does not look for itself before it is there.
        let mut running = self.running.lock();
        let handle = socket.watches.spawn(operation.run(self.graphql.clone(), request));
        running.insert(id, Task::new(handle, gate));
        Ok(())
    }
}

/// One operation under way.
struct Operation {
    id: String,
    request_id: Arc<str>,
    outbox: Outbox,
    running: Running,
}

impl Operation {
    async fn run(self, graphql: Graphql, request: GraphqlRequest) {
        let mut responses = graphql.schema.execute_stream(request);
        while let Some(response) = responses.next().await {
            let refused = is_refused(&response);
            let response = finished(response, &self.request_id);
            if refused {
                let last = json!({"id": self.id, "type": "error", "payload": response.errors});
                return self.end(&last).await;
            }
            let next = json!({"id": self.id, "type": "next", "payload": response});
            if !say(&self.outbox, &next).await {
                return;
            }
        }
        drop(responses);
        self.end(&json!({"id": self.id, "type": "complete"})).await;
    }

    /// The id is free again once the last message is on its way. Of an operation that the peer ended there is none, and
    /// its id may be another's by now.
    async fn end(&self, last: &Value) {
        let free = || drop(self.running.lock().remove(&self.id));
        self.outbox.send_last(last.to_string(), free).await;
    }
}

async fn say(outbox: &Outbox, message: &Value) -> bool {
    outbox.send(message.to_string()).await
}

fn invalid() -> CloseFrame {
    close(INVALID_MESSAGE, "Invalid message received")
}

fn id_of(message: &Map<String, Value>) -> Result<String, CloseFrame> {
    let id = message
        .get("id")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty());
    id.map(str::to_owned).ok_or_else(invalid)
}

/// The credential in a payload; `Err` for one that is none.
fn credential(payload: Option<&Value>) -> Result<Option<Credential>, ()> {
    let Some(Value::Object(payload)) = payload else {
        return Ok(None);
    };
    let named = |wanted: &str| {
        let entry = payload.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
        entry.map(|(_, value)| value.as_str().ok_or(())).transpose()
    };
    match (named("authorization")?, named("x-api-key")?) {
        (None, None) => Ok(None),
        (None, Some(key)) => Ok(Some(Credential::ApiKey(key.to_owned()))),
        (Some(value), None) => match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(Some(Credential::Bearer(token.trim().to_owned())))
            }
            _ => Err(()),
        },
        (Some(_), Some(_)) => Err(()),
    }
}
