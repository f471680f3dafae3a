//! Server-sent events: a view over plain HTTP, as the HTML standard has it.
//!
//! `id` is the cursor, `event` the name of the event, or what is told beside events in lower case, `data` the frame as
//! JSON. A browser that lost the connection sends the last id as `Last-Event-ID`, which stands for `cursor`. An error
//! that comes later than the answer's status is the event `error`, the last one; a stream that ends by itself says so by
//! the event `complete`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response, Sse, sse};
use futures::stream;
use http::{HeaderMap, HeaderValue, header};
use rustydb_contract::host::CredentialCell;
use rustydb_contract::stream::{StreamClass, ViewDesc};
use rustydb_contract::{Interface, ServiceError, ServiceResult};
use rustydb_contract_core::errors::INVALID_ARGUMENT;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::errors::{plain_error, problem, put_request_id};
use crate::live::{Connection, Transport};
use crate::pipeline::Call;
use crate::registry::Api;
use crate::rest;
use crate::streams::{Frame, FrameBody, Watch};

/// A comment is sent after so long without an event, so that nobody on the way takes the connection for dead.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: &str = "last-event-id";

/// Opens a view and sends its events as they come; generated handlers call nothing else.
pub async fn stream(
    State(api): State<Api>,
    desc: &'static ViewDesc,
    path: RawPathParams,
    request: Request,
) -> Response {
    let request_id = rest::request_id_of(request.headers());
    match open(&api, desc, &path, request, &request_id).await {
        Ok(mut response) => {
            put_request_id(&mut response, &request_id);
            response
        }
        Err(error) => problem(&error, &request_id),
    }
}

async fn open(
    api: &Api,
    desc: &'static ViewDesc,
    path: &RawPathParams,
    request: Request,
    request_id: &Arc<str>,
) -> ServiceResult<Response> {
    let (parts, body) = request.into_parts();
    let credential = rest::credential(&parts.headers)?;
    let timeout_ms = rest::timeout_ms(&parts.headers)?;
    let mut input = rest::input(&desc.open, api.pipeline().limits(), path, &parts, body).await?;
    resume(desc, &parts.headers, &mut input)?;
    let connection = api.live().connect(Transport::Sse, rest::address_of(&parts));
    let call = Call {
        interface: Interface::Rest,
        credential: CredentialCell::new(credential),
        peer: connection.address,
        request_id: Arc::clone(request_id),
        timeout_ms,
        input,
    };
    let watch = Watch::open(api, &connection, api.view(desc.open.id)?, call).await?;
    let events = Events {
        first: Some(opened(&watch)),
        watch: Some(watch),
        stopping: api.stopping().clone(),
        connection,
        request_id: Arc::clone(request_id),
    };
    let events = stream::unfold(events, async |mut events| {
        let event = events.next().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let comments = sse::KeepAlive::new().interval(COMMENT_EVERY);
    let mut response = Sse::new(events)
        .keep_alive(comments)
        .into_response()
        .map(Body::new);
    let headers = response.headers_mut();
    // A proxy that collects an answer before it passes it on would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `Last-Event-ID` goes before `cursor`: a browser repeats the URL that it was given at first.
fn resume(desc: &ViewDesc, headers: &HeaderMap, input: &mut Value) -> ServiceResult<()> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else {
        return Ok(());
    };
    if desc.class != StreamClass::Changes {
        return Ok(());
    }
    let id = id.to_str().map_err(|_| {
        ServiceError::new(
            &INVALID_ARGUMENT,
            "Last-Event-ID is not the id of an event, which is text",
        )
    })?;
    input["cursor"] = id.into();
    Ok(())
}

struct Events {
    first: Option<sse::Event>,
    /// `None` once the last event was sent.
    watch: Option<Watch>,
    stopping: CancellationToken,
    connection: Arc<Connection>,
    request_id: Arc<str>,
}

impl Events {
    async fn next(&mut self) -> Option<sse::Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let watch = self.watch.as_mut()?;
        let frame = tokio::select! {
            frame = watch.next() => frame,
            () = self.stopping.cancelled() => return None,
            () = self.connection.closed().cancelled() => return None,
        };
        Some(match frame {
            Some(Ok(frame)) => event(&frame, &self.connection),
            // Told, so that nobody takes it for a lost connection.
            None => {
                self.watch = None;
                sse::Event::default().event("complete").data("{}")
            }
            Some(Err(error)) => {
                self.watch = None;
                let text = plain_error(&error, &self.request_id).to_string();
                sse::Event::default().event("error").data(text)
            }
        })
    }
}

/// Sent at once: the caller knows that it is subscribed, and from where on.
fn opened(watch: &Watch) -> sse::Event {
    let event = sse::Event::default().comment(format!("subscribed to {}", watch.desc().open.id));
    match &watch.cursor {
        Some(cursor) => event.id(&cursor.0),
        None => event,
    }
}

fn event(frame: &Frame, connection: &Connection) -> sse::Event {
    let text = Value::Object(frame.to_json()).to_string();
    connection.sent(text.len());
    let name = match &frame.body {
        FrameBody::Event { event, .. } => event.name.to_owned(),
        FrameBody::Control(told) => told.kind.as_str().to_ascii_lowercase(),
    };
    let event = sse::Event::default().event(name).data(text);
    match &frame.cursor {
        Some(cursor) => event.id(&cursor.0),
        None => event,
    }
}
