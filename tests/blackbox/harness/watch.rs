//! Views watched over every transport, each in its own frames; what comes is the same [`Event`].

use std::time::Duration;

use codegen::emit::graphql_sdl::call;
use codegen::model::View;
use futures::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::contract::model;
use super::credential::Credential;
use super::error::WireError;
use super::graphql;
use super::rest;
use super::wire::refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// JSON-RPC on the common entry.
    Rpc,
    /// The raw envelope on the common entry.
    Raw,
    /// The raw envelope on the view's own path.
    Path,
    /// JSON-RPC on the view's own path.
    RpcPath,
    Sse,
    Graphql,
    /// GraphQL over HTTP, in parts of one answer.
    Multipart,
}

pub const TRANSPORTS: &[Transport] = &[
    Transport::Rpc,
    Transport::Raw,
    Transport::Path,
    Transport::RpcPath,
    Transport::Sse,
    Transport::Graphql,
    Transport::Multipart,
];

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Transport::Rpc => "rpc",
            Transport::Raw => "raw",
            Transport::Path => "raw_path",
            Transport::RpcPath => "rpc_path",
            Transport::Sse => "sse",
            Transport::Graphql => "graphql",
            Transport::Multipart => "multipart",
        }
    }

    pub fn carries(self, view: &View) -> bool {
        match self {
            Transport::Path => view.ws.is_some(),
            // A path whose view is opened by messages of the raw envelope is like the common entry here.
            Transport::RpcPath => view.ws.is_some() && view.ws_message.is_none(),
            Transport::Rpc | Transport::Raw | Transport::Sse | Transport::Graphql | Transport::Multipart => {
                true
            }
        }
    }
}

/// Longest time that something is waited for of a subscription: what is to come comes far sooner, on a busy machine too.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What came of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Name of the event, or the kind of what is told beside events.
    pub name: String,
    pub is_control: bool,
    pub data: Value,
    pub cursor: Option<String>,
    /// As the transport writes it.
    pub timestamp: Value,
}

pub type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open subscription.
pub struct Watcher {
    transport: Transport,
    view: &'static View,
    /// What the acknowledgement said.
    pub cursor: Option<String>,
    carrier: Carrier,
}

enum Carrier {
    Rpc(Stream),
    Raw {
        stream: Stream,
        /// Heard already.
        first: Option<Value>,
    },
    Graphql(Stream),
    Sse {
        response: reqwest::Response,
        buffer: String,
    },
    Multipart {
        response: reqwest::Response,
        buffer: String,
    },
}

/// A socket to a path of the server.
pub async fn socket(
    address: &str,
    path: &str,
    protocol: Option<&str>,
    credential: &Credential,
) -> Result<Stream, Error> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    let headers = request.headers_mut();
    if let Some(protocol) = protocol {
        headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    match credential {
        Credential::Nobody => {}
        Credential::Bearer(token) => {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        Credential::ApiKey(key) => {
            headers.insert("x-api-key", key.parse().unwrap());
        }
    }
    connect_async_with_config(request, None, true)
        .await
        .map(|(stream, _)| stream)
}

pub async fn say(stream: &mut Stream, message: &Value) {
    stream.send(Message::text(message.to_string())).await.unwrap();
}

/// The next text as JSON; `None` once the socket is closed.
pub async fn hear(stream: &mut Stream) -> Option<Value> {
    loop {
        match stream.next().await? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// The next that the peer asked for: not a message to all connections.
async fn hear_asked(stream: &mut Stream) -> Option<Value> {
    loop {
        let message = hear(stream).await?;
        let is_asked = message["method"] != "broadcast"
            && (message["message_type"] != "broadcast" || message.get("subscription_id").is_some());
        if is_asked {
            return Some(message);
        }
    }
}

async fn heard(stream: &mut Stream) -> Value {
    hear(stream).await.expect("the socket stays open")
}

impl Watcher {
    /// Subscribes and waits for the acknowledgement.
    pub async fn open(
        transport: Transport,
        base_url: &str,
        view: &'static View,
        input: &Value,
        credential: &Credential,
    ) -> Result<Watcher, WireError> {
        let address = base_url.strip_prefix("http://").unwrap();
        let (carrier, cursor) = match transport {
            Transport::Rpc => rpc(address, view, input, credential).await?,
            Transport::Raw => raw(address, view, input, credential).await?,
            Transport::Path => path(address, view, input, credential).await?,
            Transport::RpcPath => rpc_path(address, view, input, credential).await?,
            Transport::Sse => sse(base_url, view, input, credential).await?,
            Transport::Graphql => graphql_ws(address, view, input, credential).await?,
            Transport::Multipart => multipart(base_url, view, input, credential).await?,
        };
        Ok(Watcher {
            transport,
            view,
            cursor,
            carrier,
        })
    }

    /// What comes next; `None` once the subscription is over. Fails when neither comes within [`WAIT_MAX`].
    pub async fn next(&mut self) -> Option<Result<Event, WireError>> {
        let (id, transport) = (self.view.open.id.as_str(), self.transport.name());
        let came = timeout(WAIT_MAX, self.take()).await;
        came.unwrap_or_else(|_| panic!("nothing came of {id} over {transport} within {WAIT_MAX:?}"))
    }

    async fn take(&mut self) -> Option<Result<Event, WireError>> {
        match &mut self.carrier {
            Carrier::Rpc(stream) => {
                let message = hear_asked(stream).await?;
                let params = &message["params"];
                match message["method"].as_str() {
                    Some("event") => Some(Ok(frame(params))),
                    Some("complete") => Some(Err(WireError::from_members(
                        &params["error"]["data"],
                        &params["error"]["message"],
                    ))),
                    other => panic!("{other:?} is no notification: {message}"),
                }
            }
            Carrier::Raw { stream, first } => {
                let message = match first.take() {
                    Some(first) => first,
                    None => hear_asked(stream).await?,
                };
                let data = message["data"].clone();
                match message["message_type"].as_str().unwrap() {
                    "protocol_error" => Some(Err(raw_error(&data))),
                    name => Some(Ok(self.envelope(name, data, &message))),
                }
            }
            Carrier::Graphql(stream) => {
                let message = hear(stream).await?;
                let payload = &message["payload"];
                match message["type"].as_str().unwrap() {
                    "complete" => None,
                    "error" => Some(Err(WireError::from_members(
                        &payload[0]["extensions"],
                        &payload[0]["message"],
                    ))),
                    "next" => Some(answered(self.view, payload)),
                    other => panic!("{other}: {message}"),
                }
            }
            Carrier::Multipart { response, buffer } => {
                let payload = part(response, buffer).await?;
                Some(answered(self.view, &payload))
            }
            Carrier::Sse { response, buffer } => loop {
                let block = sse_block(response, buffer).await?;
                if block.starts_with("event: complete") {
                    return None;
                }
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name).map(str::trim))
                };
                let Some(data) = field("data:") else { continue };
                let data: Value = serde_json::from_str(data).unwrap();
                if field("event:") == Some("error") {
                    return Some(Err(WireError::from_members(&data, &data["message"])));
                }
                let event = frame(&data);
                let named = field("event:").unwrap();
                assert!(
                    named == event.name || named == event.name.to_lowercase(),
                    "{block}"
                );
                assert_eq!(field("id:"), event.cursor.as_deref(), "{block}");
                return Some(Ok(event));
            },
        }
    }

    /// The next event, whatever is told beside. Fails when none comes within [`WAIT_MAX`].
    pub async fn event(&mut self) -> Event {
        let (id, transport) = (self.view.open.id.as_str(), self.transport.name());
        let came = timeout(WAIT_MAX, async {
            loop {
                match self.take().await {
                    Some(Ok(event)) if event.is_control => {}
                    Some(Ok(event)) => return event,
                    other => panic!("{id}: {other:?} instead of an event"),
                }
            }
        });
        came.await
            .unwrap_or_else(|_| panic!("no event of {id} came over {transport} within {WAIT_MAX:?}"))
    }

    fn envelope(&self, name: &str, data: Value, message: &Value) -> Event {
        let event = self
            .view
            .events
            .iter()
            .find(|event| codegen::names::snake(event) == name);
        Event {
            is_control: event.is_none(),
            name: event.map_or_else(|| name.to_uppercase(), Clone::clone),
            data,
            cursor: text(&message["cursor"]),
            timestamp: message["timestamp"].clone(),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A frame of JSON-RPC or SSE.
fn frame(frame: &Value) -> Event {
    let control = &frame["control"];
    let (name, data) = match frame["event"].as_str() {
        Some(name) => (name, frame["data"].clone()),
        None => (control["kind"].as_str().unwrap(), told(control)),
    };
    Event {
        name: name.to_owned(),
        is_control: !control.is_null(),
        data,
        cursor: text(&frame["cursor"]),
        timestamp: frame["timestamp"].clone(),
    }
}

/// What a control says beside its kind.
fn told(control: &Value) -> Value {
    let mut map = control.as_object().unwrap().clone();
    map.shift_remove("kind");
    map.retain(|_, value| !value.is_null());
    Value::Object(map)
}

/// A response of a subscription.
fn answered(view: &'static View, payload: &Value) -> Result<Event, WireError> {
    match graphql::first_error(payload) {
        Some(error) => Err(error),
        None => Ok(payload_event(view, &payload["data"][&view.open.graphql])),
    }
}

fn payload_event(view: &'static View, payload: &Value) -> Event {
    let control = &payload["control"];
    let (name, data) = if control.is_null() {
        graphql::event_data(view, payload)
    } else {
        (control["kind"].as_str().unwrap().to_owned(), told(control))
    };
    Event {
        name,
        is_control: !control.is_null(),
        data,
        cursor: text(&payload["cursor"]),
        timestamp: payload["timestamp"].clone(),
    }
}

fn raw_error(data: &Value) -> WireError {
    WireError::from_members(&data["details"], &data["message"])
}

type Opened = Result<(Carrier, Option<String>), WireError>;

/// An input as `subscribe` takes it: what chooses among the events stands beside the arguments.
fn request(view: &View, input: &Value) -> Map<String, Value> {
    let (mut request, mut args) = (Map::new(), Map::new());
    for (name, value) in input.as_object().unwrap() {
        if ["cursor", "events", "fields", "filter"].contains(&name.as_str()) {
            request.insert(name.clone(), value.clone());
        } else {
            args.insert(name.clone(), value.clone());
        }
    }
    request.insert("view".to_owned(), view.open.id.as_str().into());
    request.insert("args".to_owned(), Value::Object(args));
    request
}

async fn rpc(address: &str, view: &View, input: &Value, credential: &Credential) -> Opened {
    let mut stream = socket(address, "/api/v1/ws", Some("rustydb.json"), credential)
        .await
        .map_err(refusal)?;
    let params = Value::Object(request(view, input));
    say(
        &mut stream,
        &json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params}),
    )
    .await;
    let answer = heard(&mut stream).await;
    let result = super::rpc::answer(&answer)?;
    assert!(result["subscription"].is_string(), "{answer}");
    Ok((Carrier::Rpc(stream), text(&result["cursor"])))
}

async fn raw(address: &str, view: &View, input: &Value, credential: &Credential) -> Opened {
    let mut stream = socket(address, "/api/v1/ws", None, credential)
        .await
        .map_err(refusal)?;
    let connected = heard(&mut stream).await;
    assert_eq!(connected["message_type"], "connected");
    let data = Value::Object(request(view, input));
    say(&mut stream, &json!({"message_type": "subscribe", "data": data})).await;
    acknowledged(stream).await
}

async fn acknowledged(mut stream: Stream) -> Opened {
    let answer = heard(&mut stream).await;
    match answer["message_type"].as_str() {
        Some("subscription_ack") => {
            let cursor = text(&answer["data"]["cursor"]);
            Ok((Carrier::Raw { stream, first: None }, cursor))
        }
        Some("protocol_error") => Err(raw_error(&answer["data"])),
        _ => panic!("{answer} is no answer to a subscription"),
    }
}

/// The view's own path with the input in its query.
fn own_path(view: &'static View, input: &Value) -> String {
    let query = rest::place(&view.open, input).query;
    let pairs = query.iter().map(|(name, value)| {
        let set = percent_encoding::NON_ALPHANUMERIC;
        format!("{name}={}", percent_encoding::utf8_percent_encode(value, set))
    });
    let path = view.ws.as_deref().unwrap();
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

async fn path(address: &str, view: &'static View, input: &Value, credential: &Credential) -> Opened {
    if let Some(word) = &view.ws_message {
        let path = view.ws.as_deref().unwrap();
        let mut stream = socket(address, path, None, credential).await.map_err(refusal)?;
        say(&mut stream, &json!({"message_type": word, "data": input})).await;
        return begun(stream, word).await;
    }
    let stream = socket(address, &own_path(view, input), None, credential)
        .await
        .map_err(refusal)?;
    acknowledged(stream).await
}

/// A run has no acknowledgement: its first event is one, and an error instead of it says why there is none.
async fn begun(mut stream: Stream, word: &str) -> Opened {
    let first = heard(&mut stream).await;
    if first["message_type"] == format!("{word}_error") && first["data"].get(format!("{word}_id")).is_none() {
        return Err(raw_error(&first["data"]));
    }
    let carrier = Carrier::Raw {
        stream,
        first: Some(first),
    };
    Ok((carrier, None))
}

async fn rpc_path(address: &str, view: &'static View, input: &Value, credential: &Credential) -> Opened {
    let mut stream = socket(address, &own_path(view, input), Some("rustydb.json"), credential)
        .await
        .map_err(refusal)?;
    let told = heard(&mut stream).await;
    let params = &told["params"];
    match told["method"].as_str() {
        Some("subscribed") => Ok((Carrier::Rpc(stream), text(&params["cursor"]))),
        Some("complete") => Err(WireError::from_members(
            &params["error"]["data"],
            &params["error"]["message"],
        )),
        _ => panic!("{told} is no answer to a subscription"),
    }
}

async fn sse(base_url: &str, view: &'static View, input: &Value, credential: &Credential) -> Opened {
    let placed = rest::place(&view.open, input);
    let method: reqwest::Method = view.open.method.as_str().parse().unwrap();
    let client = reqwest::Client::new();
    let mut request = client
        .request(method, format!("{base_url}{}", placed.path))
        .query(&placed.query);
    if let Some(body) = placed.body {
        request = request.json(&body);
    }
    let mut response = credential.on(request).send().await.unwrap();
    if response.status() != 200 {
        let body: Value = response.json().await.unwrap();
        return Err(rest::problem_members(&body));
    }
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut buffer = String::new();
    let first = sse_block(&mut response, &mut buffer)
        .await
        .expect("the stream begins with a comment");
    assert!(first.starts_with(": subscribed"), "{first}");
    let cursor = first
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .map(str::to_owned);
    Ok((Carrier::Sse { response, buffer }, cursor))
}

/// The next block of lines that ends with an empty one; `None` at the end of the stream.
async fn sse_block(response: &mut reqwest::Response, buffer: &mut String) -> Option<String> {
    loop {
        if let Some((block, rest)) = buffer.split_once("\n\n") {
            let block = block.to_owned();
            *buffer = rest.to_owned();
            return Some(block);
        }
        let chunk = response.chunk().await.ok().flatten()?;
        buffer.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

async fn multipart(base_url: &str, view: &'static View, input: &Value, credential: &Credential) -> Opened {
    let body = json!({
        "query": call::subscription(model(), view, input),
        "variables": call::variables(model(), &view.open, input),
    });
    let request = reqwest::Client::new()
        .post(format!("{base_url}/graphql"))
        .header(
            "accept",
            "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=\"1.0\"",
        )
        .json(&body);
    let mut response = credential.on(request).send().await.unwrap();
    if response.status() != 200 {
        let body: Value = response.json().await.unwrap();
        return Err(graphql::first_error(&body).unwrap());
    }
    let media_type = response.headers()["content-type"].to_str().unwrap();
    assert!(media_type.starts_with("multipart/mixed"), "{media_type}");
    let mut buffer = String::new();
    let first = part(&mut response, &mut buffer).await.expect("a first part");
    if let Some(error) = graphql::first_error(&first) {
        return Err(error);
    }
    let told = &first["data"][&view.open.graphql];
    assert_eq!(told["control"]["kind"], "BOOKMARK", "{first}");
    let cursor = text(&told["cursor"]);
    Ok((Carrier::Multipart { response, buffer }, cursor))
}

/// The next part that is no heartbeat; `None` at the end of the answer.
async fn part(response: &mut reqwest::Response, buffer: &mut String) -> Option<Value> {
    const HEAD: &str = "--graphql\r\nContent-Type: application/json\r\n\r\n";
    loop {
        let whole = buffer.strip_prefix(HEAD).and_then(|part| part.split_once("\r\n"));
        if let Some((body, rest)) = whole {
            let body: Value = serde_json::from_str(body).unwrap();
            *buffer = rest.to_owned();
            if body != json!({}) {
                return Some(body);
            }
            continue;
        }
        if buffer.starts_with("--graphql--\r\n") {
            return None;
        }
        let chunk = response.chunk().await.ok().flatten()?;
        buffer.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

async fn graphql_ws(address: &str, view: &'static View, input: &Value, credential: &Credential) -> Opened {
    let mut stream = socket(address, "/graphql", Some("graphql-transport-ws"), credential)
        .await
        .map_err(refusal)?;
    say(&mut stream, &json!({"type": "connection_init"})).await;
    assert_eq!(heard(&mut stream).await, json!({"type": "connection_ack"}));
    let payload = json!({
        "query": call::subscription(model(), view, input),
        "variables": call::variables(model(), &view.open, input),
    });
    say(
        &mut stream,
        &json!({"id": "1", "type": "subscribe", "payload": payload}),
    )
    .await;
    // The protocol has no acknowledgement of its own; who selects `control` is told the position at which it begins.
    let first = heard(&mut stream).await;
    let payload = &first["payload"];
    if let Some(error) = graphql::first_error(payload) {
        return Err(error);
    }
    match first["type"].as_str().unwrap() {
        "error" => Err(WireError::from_members(
            &payload[0]["extensions"],
            &payload[0]["message"],
        )),
        "next" => {
            let told = &payload["data"][&view.open.graphql];
            assert_eq!(told["control"]["kind"], "BOOKMARK", "{first}");
            Ok((Carrier::Graphql(stream), text(&told["cursor"])))
        }
        other => panic!("{other}: {first}"),
    }
}
