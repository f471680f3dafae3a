//! Calls and subscriptions by id, through the typed methods: what the parity tests drive this client with.
//!
//! One JSON object a line: `{"op", "input", "credential": {"bearer"} | {"api_key"} | null, "iterate"?}` is
//! answered by `{"ok": output}` or `{"error": {...}}`. Repetitions are off, so that a test sees each answer.
//!
//! `{"watch", "input", "credential", "take"}` is answered by `{"ok": {"cursor"}}` once the view is open and then,
//! when so many events came, by `{"ok": [{"event", "data", "timestamp", "cursor"?}, ...]}`; an error ends it.

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use rustydb_contract::Cursor;
use rustydb_contract::stream::ViewDesc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use crate::generated::dispatch;
use crate::{Call, Client, Credentials, Error, Event, PagedCall, RetryPolicy, ViewCall};

/// A line of input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub op: String,
    #[serde(default = "empty_object")]
    pub input: Value,
    #[serde(default)]
    pub credential: Option<Credential>,
    /// Answer all items over all pages instead of one page.
    #[serde(default)]
    pub iterate: bool,
}

/// A line of input that opens a view.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchLine {
    pub watch: String,
    #[serde(default = "empty_object")]
    pub input: Value,
    #[serde(default)]
    pub credential: Option<Credential>,
    /// Events to wait for.
    pub take: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    Bearer(String),
    ApiKey(String),
}

fn empty_object() -> Value {
    json!({})
}

/// Why a line has no answer of the server.
#[derive(Debug)]
pub enum Failure {
    Call(Error),
    /// The input is not of the typed method's input type, so no such call can be written.
    Input(serde_json::Error),
    UnknownOperation,
    NotPaged,
}

/// What the generated table makes of an operation id and its input.
pub(crate) type Dispatched = Result<BoxFuture<'static, Result<Value, Failure>>, Failure>;

/// An open view, its events in wire form.
pub(crate) struct Watching {
    cursor: Option<Cursor>,
    events: BoxStream<'static, Result<Value, Failure>>,
}

/// What the generated table makes of a view's id and its input.
pub(crate) type Watched = Result<BoxFuture<'static, Result<Watching, Failure>>, Failure>;

/// Answers lines until the input ends.
pub async fn serve(
    base_url: &str,
    mut lines: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let client = Client::builder(base_url)
        .retry(RetryPolicy::never())
        .build()
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error.to_string()))?;
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut all = answers(&client, &line);
        while let Some(answer) = all.next().await {
            output.write_all(format!("{answer}\n").as_bytes()).await?;
            output.flush().await?;
        }
    }
}

/// The answers to one line, each when it is there.
pub fn answers<'a>(client: &'a Client, line: &'a str) -> BoxStream<'a, Value> {
    let is_watch = serde_json::from_str::<Value>(line).is_ok_and(|line| line.get("watch").is_some());
    if is_watch {
        watch_answers(client, line)
    } else {
        stream::once(answer(client, line)).boxed()
    }
}

/// The answer to a line that calls an operation.
pub async fn answer(client: &Client, line: &str) -> Value {
    let line: Line = match serde_json::from_str(line) {
        Ok(line) => line,
        Err(error) => return local_error("BAD_LINE", &error.to_string()),
    };
    let client = acting(client, line.credential);
    let outcome = match dispatch::dispatch(&client, &line.op, line.input, line.iterate) {
        Ok(call) => call.await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(output) => json!({"ok": output}),
        Err(failure) => failed(&failure, &line.op),
    }
}

fn watch_answers<'a>(client: &'a Client, line: &'a str) -> BoxStream<'a, Value> {
    let line: WatchLine = match serde_json::from_str(line) {
        Ok(line) => line,
        Err(error) => {
            let answer = local_error("BAD_LINE", &error.to_string());
            return stream::once(async { answer }).boxed();
        }
    };
    let client = acting(client, line.credential);
    let opening = async move {
        let opened = match dispatch::watch(&client, &line.watch, line.input) {
            Ok(opening) => opening.await,
            Err(failure) => Err(failure),
        };
        match opened {
            Err(failure) => stream::iter([failed(&failure, &line.watch)]).boxed(),
            Ok(Watching { cursor, events }) => {
                let told = stream::iter([json!({"ok": {"cursor": cursor}})]);
                told.chain(stream::once(taken(line.watch, events, line.take)))
                    .boxed()
            }
        }
    };
    stream::once(opening).flatten().boxed()
}

async fn taken(view: String, events: BoxStream<'static, Result<Value, Failure>>, count: usize) -> Value {
    match events.take(count).try_collect::<Vec<_>>().await {
        Ok(events) => json!({"ok": events}),
        Err(failure) => failed(&failure, &view),
    }
}

fn acting(client: &Client, credential: Option<Credential>) -> Client {
    client.with_credentials(match credential {
        None => Credentials::None,
        Some(Credential::Bearer(token)) => Credentials::Bearer(token),
        Some(Credential::ApiKey(key)) => Credentials::ApiKey(key),
    })
}

fn failed(failure: &Failure, id: &str) -> Value {
    match failure {
        Failure::Call(error) => call_error(error),
        Failure::Input(error) => local_error("INPUT_TYPE", &error.to_string()),
        Failure::UnknownOperation => local_error("UNKNOWN_OPERATION", id),
        Failure::NotPaged => local_error("NOT_PAGED", id),
    }
}

fn call_error(error: &Error) -> Value {
    let Some(answer) = error.answer() else {
        return local_error("CLIENT", &format!("{error}: {error:?}"));
    };
    let class = format!("{:?}", answer.code);
    json!({"error": {
        "code": answer.code.as_str(),
        "status": answer.status,
        "message": answer.message,
        "request_id": answer.request_id,
        "details": answer.details,
        "class": class,
    }})
}

/// An error that the client made itself: no server answered.
fn local_error(class: &str, message: &str) -> Value {
    json!({"error": {
        "code": "CLIENT", "status": 0, "message": message, "request_id": null, "details": null, "class": class,
    }})
}

pub(crate) fn typed<I: DeserializeOwned>(input: Value) -> Result<I, Failure> {
    serde_json::from_value(input).map_err(Failure::Input)
}

pub(crate) fn one<T>(call: Call<T>, iterate: bool) -> Dispatched
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    if iterate {
        return Err(Failure::NotPaged);
    }
    Ok(Box::pin(async move {
        call.await.map_err(Failure::Call).map(|output| wire(&output))
    }))
}

#[allow(dead_code, reason = "a contract may have no paged operation")]
pub(crate) fn paged<P, T>(call: PagedCall<P, T>, iterate: bool) -> Dispatched
where
    P: Serialize + DeserializeOwned + Send + 'static,
    T: Serialize + Send + 'static,
{
    if !iterate {
        return Ok(Box::pin(async move {
            call.await.map_err(Failure::Call).map(|output| wire(&output))
        }));
    }
    Ok(Box::pin(async move {
        let items = call
            .items()
            .map(|item| item.map(|item| wire(&item)))
            .try_collect::<Vec<_>>()
            .await;
        items.map(Value::Array).map_err(Failure::Call)
    }))
}

/// Events of which some fields alone were asked for are of no type of the contract.
#[allow(dead_code, reason = "a contract may have no view")]
pub(crate) fn watched<E>(call: ViewCall<E>, projected: bool) -> Watched
where
    E: Serialize + DeserializeOwned + Send + 'static,
{
    if projected {
        watching(call.with_event_type::<Value>())
    } else {
        watching(call)
    }
}

fn watching<E>(call: ViewCall<E>) -> Watched
where
    E: Serialize + DeserializeOwned + Send + 'static,
{
    let view = call.view();
    Ok(Box::pin(async move {
        let subscription = call.open().await.map_err(Failure::Call)?;
        let cursor = subscription.cursor().cloned();
        let events = subscription.map_err(Failure::Call);
        let events = events.try_filter_map(async move |item| Ok(item.into_event()));
        Ok(Watching {
            cursor,
            events: events.map_ok(|event| wire_event(view, &event)).boxed(),
        })
    }))
}

fn wire_event<E: Serialize>(view: &ViewDesc, event: &Event<E>) -> Value {
    let mut data = wire(&event.data);
    if let (false, Value::Object(fields)) = (view.is_record, &mut data) {
        // On the wire the name stands beside the data.
        fields.shift_remove("event");
    }
    let mut wire = json!({"event": event.event, "data": data, "timestamp": event.timestamp});
    if let Some(cursor) = &event.cursor {
        wire["cursor"] = json!(cursor);
    }
    wire
}

fn wire<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("what was read from JSON can be written as JSON")
}
