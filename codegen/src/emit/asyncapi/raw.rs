//! The raw envelope: `{message_type, data, timestamp, cursor}`, spoken where no subprotocol is asked for.

use serde_json::{Value, json};

use super::frames::{ERROR_DATA, control_words, summary};
use super::{Parts, event_names, exchange, form, messages_of, security, view_ids, word};
use crate::emit::asyncapi::rpc::credentials;
use crate::emit::json_schema::schema::insert;
use crate::model::{Model, PermissionRule};
use crate::names;
use crate::resolve::WS_ENTRY;

pub(super) const CHANNEL: &str = "raw";

/// What is told beside events.
pub(super) const CONTROL: &str = "raw.control";

pub(super) fn add(model: &Model, parts: &mut Parts) {
    requests(model, parts);
    answers(model, parts);
    events(model, parts);
    let names: Vec<String> = parts
        .messages
        .keys()
        .filter(|name| name.starts_with("raw."))
        .cloned()
        .collect();
    let channel = json!({
        "address": WS_ENTRY,
        "title": "Raw envelopes",
        "description": "The common entry without a subprotocol. `id` of a request is repeated by a `protocol_error` that \
                        answers it.",
        "servers": [{"$ref": "#/servers/websocket"}],
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    });
    parts.channel(CHANNEL, channel, &names);
    operations(model, parts);
}

/// Name of the message that holds an event.
pub(super) fn event_message(event: &str) -> String {
    format!("raw.{event}")
}

/// What a socket can be told of its subscriptions beside events.
pub(super) fn told() -> [String; 4] {
    [
        CONTROL,
        "raw.protocol_error",
        "raw.subscription_ack",
        "raw.unsubscription_ack",
    ]
    .map(str::to_owned)
}

fn operations(model: &Model, parts: &mut Parts) {
    let exchanges = [
        ("raw.subscribe", "Open a view.", "raw.subscription_ack"),
        ("raw.unsubscribe", "End a subscription.", "raw.unsubscription_ack"),
        ("raw.auth", "Say who is there.", "raw.auth_success"),
        ("raw.ping", "Ask for a sign of life.", "raw.pong"),
    ];
    for (request, summary, answer) in exchanges {
        let refusal = if request == "raw.auth" {
            "raw.auth_error"
        } else {
            "raw.protocol_error"
        };
        let mut operation = exchange(CHANNEL, summary, request, &[answer, refusal]);
        if request.ends_with("subscribe") {
            insert(
                &mut operation,
                "security",
                security(&PermissionRule::Authenticated),
            );
        }
        parts.operations.insert(request.to_owned(), operation);
    }
    let mut names: Vec<String> = event_names(model)
        .into_iter()
        .map(|event| event_message(event))
        .collect();
    names.push("raw.connected".to_owned());
    names.extend(told());
    let operation = json!({
        "action": "send",
        "channel": {"$ref": format!("#/channels/{CHANNEL}")},
        "summary": "What comes of connecting and of subscriptions.",
        "messages": messages_of(CHANNEL, &names),
    });
    parts.operations.insert("raw.events".to_owned(), operation);
}

fn requests(model: &Model, parts: &mut Parts) {
    let mut request = |message_type: &str, summary: &str, data: Value, needs_data: bool| {
        let mut required = vec!["message_type"];
        if needs_data {
            required.push("data");
        }
        let members = json!({
            "message_type": word(message_type),
            "data": data,
            "id": {"description": "Chosen by the caller."},
        });
        let payload = json!({"type": "object", "required": required, "properties": members});
        parts.message(&format!("raw.{message_type}"), summary, payload);
    };
    let event_types: Vec<String> = event_names(model)
        .into_iter()
        .map(|event| names::snake(event))
        .collect();
    let what = json!({
        "description": "A `message_type`, which stands for the view that has it on a path of its own, else for the first \
                        view that has it; or the id of a view.",
        "type": "string",
        "enum": view_ids(model).into_iter().map(str::to_owned).chain(event_types).collect::<Vec<_>>(),
    });
    let subscribe = json!({
        "type": "object",
        "properties": {
            "event": what,
            "view": {"description": "The same as `event`.", "type": "string"},
            "args": {"type": "object", "description": "The arguments of the view."},
            "cursor": {"type": "string", "description": "Go on behind the item that had this cursor."},
            "events": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "Names of the events to send; all when left out."},
            "filter": {"type": "object", "description": "Field of the data to the value it must have, or to a list of values of which it must have one."},
            "fields": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "Fields of the data to send; all when left out."},
        },
        "anyOf": [{"required": ["event"]}, {"required": ["view"]}],
        "additionalProperties": false,
    });
    request("subscribe", "Opens a view.", subscribe, true);
    let id = json!({"type": "object", "required": ["subscription_id"], "properties": {"subscription_id": {"type": "string"}}});
    request("unsubscribe", "Ends a subscription.", id, true);
    request(
        "auth",
        "The credential of later subscriptions.",
        credentials(),
        true,
    );
    let ping = json!({"type": "object", "properties": {"sequence": {"type": "integer", "minimum": 0}}});
    request("ping", "Asks for a sign of life.", ping, false);
}

fn answers(model: &Model, parts: &mut Parts) {
    let mut answer = |message_type: &str, summary: &str, required: &[&str], members: Value| {
        let data = json!({"type": "object", "required": required, "properties": members});
        let payload = envelope(word(message_type), data, json!({}));
        parts.message(&format!("raw.{message_type}"), summary, payload);
    };
    let text = || json!({"type": "string"});
    let texts = || json!({"type": "array", "items": {"type": "string"}});
    answer(
        "connected",
        "The first message of the common entry.",
        &["message", "version", "connection_id", "available_events"],
        json!({
            "message": text(),
            "version": {"type": "string", "description": "Of the server."},
            "connection_id": text(),
            "available_events": {"type": "array", "items": {"type": "string", "enum": view_ids(model)}, "description": "Ids of the views."},
        }),
    );
    answer(
        "auth_success",
        "Who the socket belongs to now.",
        &["user_id", "username", "roles"],
        json!({"user_id": text(), "username": text(), "roles": texts(), "session_id": text()}),
    );
    answer(
        "auth_error",
        "The credential was refused.",
        &["code", "message"],
        json!({"code": text(), "message": text()}),
    );
    answer(
        "pong",
        "The sign of life that `ping` asked for.",
        &[],
        json!({"sequence": {"type": "integer", "minimum": 0, "description": "That of the ping."}}),
    );
    answer(
        "subscription_ack",
        "The subscription is in effect; its events follow.",
        &["subscription_id", "channel", "status"],
        json!({
            "subscription_id": text(),
            "channel": {"type": "string", "enum": view_ids(model), "description": "Id of the view."},
            "status": word("subscribed"),
            "cursor": {"type": "string", "description": "Where it begins. Of views of class `changes`."},
        }),
    );
    answer(
        "unsubscription_ack",
        "The subscription has ended; nothing follows.",
        &["subscription_id"],
        json!({
            "subscription_id": text(),
            "status": {"description": "Where the source came to its end.", "type": "string", "enum": ["complete"]},
        }),
    );
    answer(
        "protocol_error",
        "What could not be had, or why a subscription ended.",
        &["code", "message", "details"],
        json!({
            "code": text(),
            "message": text(),
            "details": form(ERROR_DATA),
            "id": {"description": "That of the request."},
            "subscription_id": {"type": "string", "description": "Of the subscription that ended."},
        }),
    );
}

fn events(model: &Model, parts: &mut Parts) {
    let beside = || {
        json!({
            "cursor": {"type": "string", "description": "A subscription with it goes on behind this item. Of views of class `changes`."},
            "subscription_id": {"type": "string", "description": "On the common entry only."},
        })
    };
    for event in event_names(model) {
        let payload = envelope(word(&names::snake(event)), form(event), beside());
        parts.message(&event_message(event), &summary(model, event), payload);
    }
    let kinds = json!({"type": "string", "enum": control_words(model)});
    let count = json!({"type": "object", "properties": {"count": {"type": "integer", "format": "uint64", "minimum": 0}}});
    let payload = envelope(kinds, count, beside());
    parts.message(
        CONTROL,
        "What is told beside events, as `StreamControl` says.",
        payload,
    );
}

fn envelope(message_type: Value, data: Value, beside: Value) -> Value {
    let mut members = json!({
        "message_type": message_type,
        "data": data,
        "timestamp": {"type": "integer", "format": "int64", "description": "Seconds since 1970-01-01T00:00:00Z."},
    });
    for (name, member) in beside.as_object().into_iter().flatten() {
        insert(&mut members, name, member.clone());
    }
    json!({"type": "object", "required": ["message_type", "data", "timestamp"], "properties": members})
}
