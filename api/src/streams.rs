//! One way out: a view that is open, whatever transport carries it.
//!
//! [`Watch`] is the subscription object. It chooses among the events of the service's subscription, tells of positions
//! that moved while nothing was chosen, and asks again whether the caller may watch when the credential ends or an
//! access right changes. It has no queue: it takes an event from its source when the transport takes one from it. What
//! happens meanwhile waits in the change log, or in the bounded ring of a source of telemetry, which tells what it drops.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{Stream, StreamExt};
use rustydb_contract::descriptor::{FieldDesc, Shape};
use rustydb_contract::host::CredentialCell;
use rustydb_contract::stream::{Body, Control, EventDesc, Item, StreamClass, StreamEvent, View, ViewDesc};
use rustydb_contract::validate::Violation;
use rustydb_contract::{CallContext, Cursor, Principal, ServiceError, ServiceResult, Timestamp};
use rustydb_contract_core::errors::{CANCELLED, INTERNAL, INVALID_ARGUMENT};
use rustydb_contract_core::{StreamControl, StreamControlKind};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::errors::invalid_argument;
use crate::live::{Connection, Entry, Subscribed};
use crate::pipeline::Call;
use crate::registry::Api;

/// A position is told at most so long after the last item when nothing else is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(1);

/// An event whose type is forgotten.
pub(crate) struct AnyEvent {
    name: &'static str,
    data: Value,
}

type AnyItems = Pin<Box<dyn Stream<Item = ServiceResult<Item<AnyEvent>>> + Send>>;

/// A service's subscription whose type is forgotten.
pub(crate) struct Opened {
    cursor: Option<Cursor>,
    items: AnyItems,
}

type Opening = Pin<Box<dyn Future<Output = ServiceResult<Opened>> + Send>>;

/// A view with the service that opens it.
pub struct RegisteredView {
    pub desc: &'static ViewDesc,
    open: Box<dyn Fn(CallContext, Value) -> Opening + Send + Sync>,
}

impl RegisteredView {
    pub fn new<V: View>(service: Arc<V::Service>) -> RegisteredView {
        let open = move |context: CallContext, input: Value| -> Opening {
            let service = Arc::clone(&service);
            Box::pin(async move {
                let input = serde_json::from_value(input)
                    .map_err(|error| ServiceError::new(&INVALID_ARGUMENT, error.to_string()))?;
                let subscription = V::open(&service, &context, input).await?;
                let (cursor, items) = subscription.into_parts();
                Ok(Opened {
                    cursor,
                    items: Box::pin(items.map(|item| item.and_then(forget))),
                })
            })
        };
        RegisteredView {
            desc: V::desc(),
            open: Box::new(open),
        }
    }

    /// Opens the view; only the pipeline does.
    pub(crate) fn open(&self, context: CallContext, input: Value) -> Opening {
        (self.open)(context, input)
    }
}

fn forget<E: StreamEvent>(item: Item<E>) -> ServiceResult<Item<AnyEvent>> {
    let Item { at, cursor, body } = item;
    let body = match body {
        Body::Control(control) => Body::Control(control),
        Body::Event(event) => Body::Event(AnyEvent {
            name: event.name(),
            data: event.data().map_err(|error| {
                ServiceError::new(&INTERNAL, format!("an event has no JSON form: {error}"))
            })?,
        }),
    };
    Ok(Item { at, cursor, body })
}

/// A view that is open. Dropping it ends it.
pub struct Watch {
    desc: &'static ViewDesc,
    /// Where it begins; of changes only.
    pub cursor: Option<Cursor>,
    items: AnyItems,
    choice: Choice,
    access: Access,
    entry: Entry,
    /// The newest position that was not told.
    bookmark: Option<(Timestamp, Cursor)>,
    told_at: Instant,
    seq: u64,
    ended: bool,
}

/// What is asked again while a view is open.
struct Access {
    api: Api,
    credential: CredentialCell,
    input: Value,
    expires: Option<Instant>,
    changes: watch::Receiver<u64>,
}

/// What comes of a [`Watch`].
#[derive(Debug, Clone)]
pub struct Frame {
    /// Counts the frames of the subscription, from 1.
    pub seq: u64,
    pub at: Timestamp,
    pub cursor: Option<Cursor>,
    pub body: FrameBody,
}

#[derive(Debug, Clone)]
pub enum FrameBody {
    Event { event: &'static EventDesc, data: Value },
    Control(StreamControl),
}

impl Watch {
    /// Takes the opening of a view through the pipeline. Nothing that happens after the answer is missed.
    pub async fn open(
        api: &Api,
        connection: &Arc<Connection>,
        view: &RegisteredView,
        call: Call,
    ) -> ServiceResult<Watch> {
        let entry = connection.subscribe(view.desc);
        // Subscribed to before the caller is authenticated: a right that is taken away meanwhile is seen.
        let mut changes = api.access_changes();
        changes.mark_unchanged();
        let input = call.input.clone();
        let credential = call.credential.clone();
        let pipeline = api.pipeline();
        let (opened, entry, principal) = pipeline.open(view, call, connection.id().into(), entry).await?;
        let choice = Choice::of(view.desc, &input)?;
        let expires = principal.as_deref().and_then(expiry);
        if let Some(principal) = principal {
            connection.identify(principal);
        }
        metrics::counter!("rustydb_subscriptions_total", "view" => view.desc.open.id).increment(1);
        Ok(Watch {
            desc: view.desc,
            cursor: opened.cursor,
            items: opened.items,
            choice,
            access: Access {
                api: api.clone(),
                credential,
                input,
                expires,
                changes,
            },
            entry,
            bookmark: None,
            told_at: Instant::now(),
            seq: 0,
            ended: false,
        })
    }

    pub fn desc(&self) -> &'static ViewDesc {
        self.desc
    }

    pub fn subscribed(&self) -> &Arc<Subscribed> {
        self.entry.subscribed()
    }

    /// Tells where the subscription begins, for a transport that has no acknowledgement.
    pub fn beginning(&self) -> Frame {
        Frame {
            seq: 0,
            at: Timestamp::now(),
            cursor: self.cursor.clone(),
            body: FrameBody::Control(control(&Control::Bookmark)),
        }
    }

    /// The next frame; `None` when there will be no more. An error is the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<ServiceResult<Frame>> {
        if self.ended {
            return None;
        }
        let next = self.step().await;
        match &next {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.ended = true,
        }
        next
    }

    async fn step(&mut self) -> Option<ServiceResult<Frame>> {
        let stopped = self.entry.subscribed().cancelled().clone();
        loop {
            let expires = self.access.expires;
            let has_bookmark = self.bookmark.is_some();
            let bookmark_at = self.told_at + BOOKMARK_EVERY;
            tokio::select! {
                biased;
                () = stopped.cancelled() => {
                    return Some(Err(ServiceError::new(&CANCELLED, "the subscription was cancelled")));
                }
                () = until(expires) => {
                    if let Err(error) = self.access.check(self.desc).await {
                        return Some(Err(error));
                    }
                }
                Ok(()) = self.access.changes.changed() => {
                    if let Err(error) = self.access.check(self.desc).await {
                        return Some(Err(error));
                    }
                }
                item = self.items.next() => match item? {
                    Err(error) => return Some(Err(error)),
                    Ok(item) => if let Some(frame) = self.chosen(item) {
                        return Some(Ok(frame));
                    }
                },
                () = tokio::time::sleep_until(bookmark_at), if has_bookmark => {
                    if let Some((at, cursor)) = self.bookmark.take() {
                        let control = control(&Control::Bookmark);
                        return Some(Ok(self.frame(at, Some(cursor), FrameBody::Control(control))));
                    }
                }
            }
        }
    }

    /// The item as a frame, unless the caller did not choose it.
    fn chosen(&mut self, item: Item<AnyEvent>) -> Option<Frame> {
        let Item { at, cursor, body } = item;
        let body = match body {
            Body::Control(Control::Bookmark) => None,
            Body::Control(told) => Some(FrameBody::Control(control(&told))),
            Body::Event(event) => self.choice.apply(self.desc, event),
        };
        match body {
            Some(body) => {
                self.bookmark = None;
                Some(self.frame(at, cursor, body))
            }
            None => {
                self.bookmark = cursor.map(|cursor| (at, cursor)).or(self.bookmark.take());
                None
            }
        }
    }

    fn frame(&mut self, at: Timestamp, cursor: Option<Cursor>, body: FrameBody) -> Frame {
        self.seq += 1;
        self.told_at = Instant::now();
        if matches!(body, FrameBody::Event { .. }) {
            self.entry.subscribed().events.fetch_add(1, Ordering::Relaxed);
        }
        Frame {
            seq: self.seq,
            at,
            cursor,
            body,
        }
    }
}

impl Access {
    async fn check(&mut self, desc: &'static ViewDesc) -> ServiceResult<()> {
        let credential = self.credential.get();
        let pipeline = self.api.pipeline();
        let principal = pipeline.may(&desc.open, credential.as_ref(), &self.input).await?;
        self.expires = principal.as_deref().and_then(expiry);
        Ok(())
    }
}

/// When a credential ends, on the clock of timers.
fn expiry(principal: &Principal) -> Option<Instant> {
    let end = principal.expires_at_seconds?;
    let now = Timestamp::now().as_micros();
    let left = end.saturating_mul(1_000_000).saturating_sub(now);
    Some(Instant::now() + Duration::from_micros(u64::try_from(left).unwrap_or(0)))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn control(told: &Control) -> StreamControl {
    let (kind, count) = match told {
        Control::Bookmark => (StreamControlKind::Bookmark, None),
        Control::Gap { count } => (StreamControlKind::Gap, Some(*count)),
        Control::FellBehind { commits } => (StreamControlKind::FellBehind, Some(*commits)),
        Control::CaughtUp => (StreamControlKind::CaughtUp, None),
        Control::SnapshotComplete { rows } => (StreamControlKind::SnapshotComplete, Some(*rows)),
    };
    StreamControl { kind, count }
}

/// Which events a caller wants, and what of them.
struct Choice {
    events: Option<Vec<String>>,
    filter: Vec<(String, Vec<Value>)>,
    fields: Option<Vec<String>>,
}

impl Choice {
    /// What the input of a view says; it is valid.
    fn of(desc: &'static ViewDesc, input: &Value) -> ServiceResult<Choice> {
        let names = |key: &str| -> Option<Vec<String>> {
            let list = input.get(key)?.as_array()?;
            Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        // A view may have arguments of these names of its own; those of the choice are added by the generator.
        let events = if desc.is_record { None } else { names("events") };
        for (at, name) in events.iter().flatten().enumerate() {
            if desc.event(name).is_none() {
                let known: Vec<&str> = desc.events.iter().map(|event| event.name).collect();
                return Err(refused(
                    format!("events.{at}"),
                    format!("there is no event {name:?}; there are {}", known.join(", ")),
                ));
            }
        }
        let fields = names("fields");
        for (at, name) in fields.iter().flatten().enumerate() {
            known_field(desc, name, &format!("fields.{at}"))?;
        }
        let mut filter = Vec::new();
        for (name, wanted) in input
            .get("filter")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            known_field(desc, name, &format!("filter.{name}"))?;
            let wanted = match wanted {
                Value::Array(values) => values.clone(),
                value => vec![value.clone()],
            };
            filter.push((name.clone(), wanted));
        }
        Ok(Choice {
            events,
            filter,
            fields,
        })
    }

    fn apply(&self, desc: &'static ViewDesc, event: AnyEvent) -> Option<FrameBody> {
        let AnyEvent { name, mut data } = event;
        if self
            .events
            .as_ref()
            .is_some_and(|names| !names.iter().any(|wanted| wanted == name))
        {
            return None;
        }
        for (field, wanted) in &self.filter {
            let value = data.get(field).unwrap_or(&Value::Null);
            if !wanted.contains(value) {
                return None;
            }
        }
        if let (Some(fields), Value::Object(map)) = (&self.fields, &mut data) {
            map.retain(|key, _| fields.contains(key));
        }
        Some(FrameBody::Event {
            event: desc.event(name)?,
            data,
        })
    }
}

fn known_field(desc: &'static ViewDesc, name: &str, path: &str) -> ServiceResult<()> {
    let fields: Vec<&'static FieldDesc> = desc.events.iter().flat_map(|event| fields_of(event)).collect();
    if fields.iter().any(|field| field.name == name) {
        return Ok(());
    }
    let mut known: Vec<&str> = fields.iter().map(|field| field.name).collect();
    known.sort_unstable();
    known.dedup();
    Err(refused(
        path.to_owned(),
        format!(
            "the events have no field {name:?}; they have {}",
            known.join(", ")
        ),
    ))
}

fn fields_of(event: &'static EventDesc) -> &'static [FieldDesc] {
    match &event.data.shape {
        Shape::Object(object) => object.fields,
        _ => &[],
    }
}

fn refused(field: String, message: String) -> ServiceError {
    invalid_argument(Violation {
        message: format!("{field}: {message}"),
        field,
    })
}

impl Frame {
    pub fn is_control(&self) -> bool {
        matches!(self.body, FrameBody::Control(_))
    }

    /// What SSE sends as data, and the part of a JSON-RPC notification that is the frame's own.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        match &self.body {
            FrameBody::Event { event, data } => {
                map.insert("event".to_owned(), event.name.into());
                map.insert("data".to_owned(), data.clone());
            }
            FrameBody::Control(told) => {
                map.insert("control".to_owned(), json!(told));
            }
        }
        map.insert("timestamp".to_owned(), json!(self.at));
        if let Some(cursor) = &self.cursor {
            map.insert("cursor".to_owned(), json!(cursor));
        }
        map
    }

    /// The raw envelope.
    pub fn envelope(&self, subscription: Option<&str>) -> Value {
        let (message_type, data) = match &self.body {
            FrameBody::Event { event, data } => (event.message_type.to_owned(), data.clone()),
            FrameBody::Control(told) => {
                let mut data = Map::new();
                data.extend(told.count.map(|count| ("count".to_owned(), count.into())));
                (told.kind.as_str().to_ascii_lowercase(), Value::Object(data))
            }
        };
        let mut map = Map::new();
        map.insert("message_type".to_owned(), message_type.into());
        map.insert("data".to_owned(), data);
        map.insert(
            "timestamp".to_owned(),
            self.at.as_micros().div_euclid(1_000_000).into(),
        );
        if let Some(cursor) = &self.cursor {
            map.insert("cursor".to_owned(), json!(cursor));
        }
        if let Some(id) = subscription {
            map.insert("subscription_id".to_owned(), id.into());
        }
        Value::Object(map)
    }

    /// What a GraphQL payload resolves its fields from.
    pub fn payload(&self, desc: &ViewDesc) -> Value {
        let mut map = match &self.body {
            FrameBody::Event {
                data: Value::Object(data),
                ..
            } if desc.is_record => data.clone(),
            FrameBody::Event { event, data } => {
                // The union's tag stands beside the variant's fields.
                let mut tagged = Map::from_iter([("event".to_owned(), Value::from(event.name))]);
                tagged.extend(data.as_object().cloned().unwrap_or_default());
                Map::from_iter([
                    ("event".to_owned(), event.name.into()),
                    ("data".to_owned(), Value::Object(tagged)),
                ])
            }
            FrameBody::Control(told) => Map::from_iter([("control".to_owned(), json!(told))]),
        };
        map.insert("timestamp".to_owned(), json!(self.at));
        if desc.class == StreamClass::Changes
            && let Some(cursor) = &self.cursor
        {
            map.insert("cursor".to_owned(), json!(cursor));
        }
        Value::Object(map)
    }
}
