//! The channels of views: SSE routes and WebSocket paths of their own.

use serde_json::{Value, json};

use super::frames::ERROR;
use super::raw;
use super::{Parts, form, messages_of, security};
use crate::emit::json_schema::schema::{insert, paragraphs};
use crate::emit::openapi::credentials;
use crate::model::{Method, Model, StreamClass, View};
use crate::resolve::CONTROL_TYPE;

pub(super) fn add(model: &Model, parts: &mut Parts) {
    for view in model.views() {
        sse(model, view, parts);
        if let Some(path) = &view.ws {
            websocket(model, view, path, parts);
        }
    }
}

/// Name of the channel of a view's WebSocket path.
fn websocket_id(view: &View) -> String {
    format!("{}.ws", view.open.id)
}

fn sse(model: &Model, view: &View, parts: &mut Parts) {
    let mut messages: Vec<String> = view.events.clone();
    messages.extend([CONTROL_TYPE.to_owned(), ERROR.to_owned()]);
    let http = match view.open.method {
        // Otherwise the arguments are the body.
        Method::Get => {
            json!({"method": "GET", "query": form(&view.open.input), "bindingVersion": "0.3.0"})
        }
        method => json!({"method": method.as_str(), "bindingVersion": "0.3.0"}),
    };
    let how = format!(
        "Server-sent events: `event` and `id` are the headers of these messages, `data` is the payload. The first line is \
         a comment, sent once nothing that happens later can be missed; another comes every 15 s. Arguments are {}.",
        if view.open.method == Method::Get {
            "the query; one that is no scalar and no list of scalars is JSON text"
        } else {
            "the body"
        }
    );
    channel(
        view,
        &view.open.id,
        &view.open.path,
        "http",
        &how,
        &messages,
        parts,
    );
    operation(
        model,
        view,
        &view.open.id,
        json!({"http": http}),
        &messages,
        parts,
    );
}

fn websocket(model: &Model, view: &View, path: &str, parts: &mut Parts) {
    let mut messages: Vec<String> = view
        .events
        .iter()
        .map(|event| raw::event_message(event))
        .collect();
    messages.extend(raw::told());
    let how = "Opens the view at once, or after `auth`, with the query as its arguments. Without a subprotocol events come \
               as raw envelopes; with `rustydb.json` as the messages of the channel `rpc`.";
    let id = websocket_id(view);
    channel(view, &id, path, "websocket", how, &messages, parts);
    let binding = json!({"method": "GET", "query": form(&view.open.input), "bindingVersion": "0.1.0"});
    if let Some(channel) = parts.channels.get_mut(&id) {
        insert(channel, "bindings", json!({"ws": binding}));
    }
    operation(model, view, &id, json!({}), &messages, parts);
}

fn channel(
    view: &View,
    id: &str,
    address: &str,
    server: &str,
    how: &str,
    messages: &[String],
    parts: &mut Parts,
) {
    let channel = json!({
        "address": address,
        "title": view.open.id,
        "summary": view.open.summary,
        "description": how,
        "servers": [{"$ref": format!("#/servers/{server}")}],
        "tags": [{"name": view.open.module}],
    });
    parts.channel(id, channel, messages);
}

fn operation(model: &Model, view: &View, id: &str, bindings: Value, messages: &[String], parts: &mut Parts) {
    let class = match view.class {
        StreamClass::Changes => "Class `changes`: lossless, resumable by `cursor`.",
        StreamClass::Telemetry => "Class `telemetry`: bounded, losses are told.",
        StreamClass::Results => "Class `results`: complete, ends by itself; who leaves ends the work.",
    };
    let errors: Vec<String> = view.open.errors.iter().map(|code| format!("`{code}`")).collect();
    let errors = if errors.is_empty() {
        "Its opening answers the errors of every call.".to_owned()
    } else {
        format!(
            "Beside the errors of every call its opening answers {}.",
            errors.join(", ")
        )
    };
    let graphql = format!("In GraphQL it is `Subscription.{}`.", view.open.graphql);
    let arguments = if model.input_fields(&view.open).is_empty() {
        String::new()
    } else {
        format!("Its arguments are `{}`.", view.open.input)
    };
    let mut operation = json!({
        "action": "send",
        "channel": {"$ref": format!("#/channels/{id}")},
        "title": view.open.id,
        "summary": view.open.summary,
        "description": paragraphs(&[
            &view.open.description,
            class,
            &credentials(&view.open.permission),
            &arguments,
            &errors,
            &graphql,
        ]),
        "tags": [{"name": view.open.module}],
        "security": security(&view.open.permission),
        "messages": messages_of(id, messages),
    });
    if bindings.as_object().is_some_and(|bindings| !bindings.is_empty()) {
        insert(&mut operation, "bindings", bindings);
    }
    parts.operations.insert(id.to_owned(), operation);
}
