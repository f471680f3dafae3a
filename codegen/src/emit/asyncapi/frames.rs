//! What a subscription yields: frames, as SSE sends them and as part of JSON-RPC's notification `event`.

use serde_json::{Value, json};

use super::{PREFIX, Parts, closed, event_names, form, word};
use crate::emit::json_schema::Schemas;
use crate::emit::json_schema::schema::insert;
use crate::emit::openapi;
use crate::model::{Model, Shape, Ty};
use crate::resolve::CONTROL_TYPE;

/// The error that ends a subscription on SSE.
pub(super) const ERROR: &str = "error";
/// What an error says beside its message.
pub(super) const ERROR_DATA: &str = "error.data";
/// An error of JSON-RPC.
pub(super) const RPC_ERROR: &str = "error.rpc";
/// What a notification holds of a frame: any event, or what is told beside events.
pub(super) const ANY: &str = "frame.any";

const CURSOR: &str = "A subscription with it goes on behind this item. Of views of class `changes`.";
const TIMESTAMP: &str = "When it happened, RFC 3339 in UTC with microseconds.";

pub(super) fn add(model: &Model, parts: &mut Parts) {
    for event in event_names(model) {
        let members = json!({
            "event": word(event),
            "data": form(event),
        });
        frame(parts, event, &summary(model, event), &["event", "data"], members);
        let headers = headers(word(event));
        set_headers(parts, event, headers);
    }
    frame(
        parts,
        CONTROL_TYPE,
        "What is told beside events.",
        &["control"],
        json!({"control": form(CONTROL_TYPE)}),
    );
    let kinds = json!({"type": "string", "enum": control_words(model)});
    set_headers(parts, CONTROL_TYPE, headers(kinds));
    let frames: Vec<Value> = event_names(model)
        .into_iter()
        .map(|event| form(&name(event)))
        .chain([form(&name(CONTROL_TYPE))])
        .collect();
    parts.schemas.insert(ANY.to_owned(), json!({"oneOf": frames}));
    errors(model, parts);
}

/// Kinds of what is told beside events, as SSE and the raw envelope name them.
pub(super) fn control_words(model: &Model) -> Vec<String> {
    let Shape::Object(control) = &model.ty(CONTROL_TYPE).shape else {
        return Vec::new();
    };
    let kinds = control.fields.iter().find_map(|field| match &field.ty {
        Ty::Ref(name) => match &model.ty(name).shape {
            Shape::Enum(values) => Some(values),
            _ => None,
        },
        _ => None,
    });
    let kinds = kinds.map_or(&[][..], Vec::as_slice);
    kinds.iter().map(|kind| kind.to_ascii_lowercase()).collect()
}

/// What an event says, in a sentence.
pub(super) fn summary(model: &Model, event: &str) -> String {
    let description = model.ty(event).description.trim();
    if description.is_empty() {
        format!("The event `{event}`.")
    } else {
        description.to_owned()
    }
}

/// Name of the form of a frame.
fn name(event: &str) -> String {
    format!("frame.{event}")
}

fn frame(parts: &mut Parts, event: &str, summary: &str, required: &[&str], mut members: Value) {
    insert(
        &mut members,
        "timestamp",
        json!({"type": "string", "format": "date-time", "description": TIMESTAMP}),
    );
    insert(
        &mut members,
        "cursor",
        json!({"type": "string", "description": CURSOR}),
    );
    let required: Vec<&str> = required.iter().copied().chain(["timestamp"]).collect();
    // Open: in a notification the members of the subscription stand beside these.
    let payload = json!({"type": "object", "required": required, "properties": members});
    parts.schemas.insert(name(event), payload);
    parts.messages.insert(
        event.to_owned(),
        json!({"name": event, "summary": summary, "payload": form(&name(event))}),
    );
}

/// The fields of a server-sent event beside its data.
fn headers(event: Value) -> Value {
    json!({
        "type": "object",
        "required": ["event"],
        "properties": {
            "event": event,
            "id": {"type": "string", "description": "The cursor, which `Last-Event-ID` repeats after a lost connection."},
        },
    })
}

fn set_headers(parts: &mut Parts, message: &str, headers: Value) {
    if let Some(message) = parts.messages.get_mut(message) {
        insert(message, "headers", headers);
    }
}

fn errors(model: &Model, parts: &mut Parts) {
    let codes: Vec<&String> = model.errors.keys().collect();
    let mut properties = json!({
        "code": {"type": "string", "enum": codes, "description": "The same on every interface."},
        "status": {"type": "integer", "format": "int32", "minimum": 400, "maximum": 599, "description": "The HTTP status of the error."},
        "request_id": {"type": "string", "description": "Finds the call in the server's log."},
        "retry_after": {"type": "integer", "format": "uint64", "minimum": 0, "description": "Seconds after which the call may be sent again."},
    });
    if let Some(details) = openapi::error_details(model, &Schemas::new(model, PREFIX)) {
        insert(&mut properties, "details", details);
    }
    let data =
        json!({"type": "object", "required": ["code", "status", "request_id"], "properties": properties});
    parts.schemas.insert(ERROR_DATA.to_owned(), data);
    let rpc_codes: std::collections::BTreeSet<i32> = model.errors.values().map(|error| error.rpc).collect();
    let error = closed(
        &["code", "message", "data"],
        json!({
            "code": {"type": "integer", "enum": rpc_codes},
            "message": {"type": "string", "description": "What was wrong, with the value, and what to do."},
            "data": form(ERROR_DATA),
        }),
    );
    parts.schemas.insert(RPC_ERROR.to_owned(), error);
    let message = json!({
        "name": ERROR,
        "summary": "The error that ended the subscription; nothing follows.",
        "headers": {"type": "object", "required": ["event"], "properties": {"event": word("error")}},
        "payload": form(ERROR_DATA),
    });
    parts.messages.insert(ERROR.to_owned(), message);
}
