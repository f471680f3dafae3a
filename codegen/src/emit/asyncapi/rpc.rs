//! JSON-RPC 2.0 on the common entry: subscriptions, what comes of them, and what acts on the socket itself.

use serde_json::{Map, Value, json};

use super::frames::{ANY, RPC_ERROR};
use super::{Parts, closed, exchange, form, messages_of, security, view_ids, word};
use crate::emit::examples;
use crate::emit::json_schema::schema::insert;
use crate::model::{Model, PermissionRule};
use crate::resolve::WS_ENTRY;

pub(super) const CHANNEL: &str = "rpc";

const CREDENTIAL: &str = "The credential of later calls and subscriptions.";

pub(super) fn add(model: &Model, parts: &mut Parts) {
    requests(model, parts);
    answers(parts);
    notifications(parts);
    let names: Vec<String> = parts
        .messages
        .keys()
        .filter(|name| name.starts_with("rpc."))
        .cloned()
        .collect();
    let headers = json!({
        "type": "object",
        "required": ["Sec-WebSocket-Protocol"],
        "properties": {"Sec-WebSocket-Protocol": {"type": "string", "description": "Has `rustydb.json` among the subprotocols."}},
    });
    let channel = json!({
        "address": WS_ENTRY,
        "title": "JSON-RPC 2.0",
        "description": "The common entry with the subprotocol `rustydb.json`: every operation, every view. Calls run side by \
                        side; answers are told apart by `id`. Several requests may be sent as a list, but for `subscribe`; \
                        they are answered by a list.",
        "servers": [{"$ref": "#/servers/websocket"}],
        "bindings": {"ws": {"method": "GET", "headers": headers, "bindingVersion": "0.1.0"}},
    });
    parts.channel(CHANNEL, channel, &names);
    operations(parts);
}

fn operations(parts: &mut Parts) {
    let exchanges = [
        ("rpc.call", "Call an operation.", "rpc.result"),
        ("rpc.subscribe", "Open a view.", "rpc.subscribed"),
        ("rpc.unsubscribe", "End a subscription.", "rpc.unsubscribed"),
        ("rpc.auth", "Say who is there.", "rpc.authenticated"),
        (
            "rpc.cancel",
            "Stop a call under way, which answers CANCELLED.",
            "rpc.cancelled",
        ),
    ];
    for (request, summary, answer) in exchanges {
        let mut operation = exchange(CHANNEL, summary, request, &[answer, "rpc.failure"]);
        if request != "rpc.auth" {
            insert(
                &mut operation,
                "security",
                security(&PermissionRule::Authenticated),
            );
        }
        parts.operations.insert(request.to_owned(), operation);
    }
    let told = ["rpc.complete".to_owned(), "rpc.event".to_owned()];
    let told = json!({
        "action": "send",
        "channel": {"$ref": format!("#/channels/{CHANNEL}")},
        "summary": "What comes of subscriptions.",
        "messages": messages_of(CHANNEL, &told),
    });
    parts.operations.insert("rpc.events".to_owned(), told);
}

fn requests(model: &Model, parts: &mut Parts) {
    let operation = json!({
        "type": "string",
        "pattern": "^[a-z][a-z0-9_]*\\.[a-z][a-z0-9_]*$",
        "description": "Id of an operation; openrpc.json has them all.",
    });
    let call = request(
        operation,
        json!({"type": "object", "description": "The input by field."}),
        false,
    );
    parts.message("rpc.call", "Calls an operation.", call);

    let mut params = closed(
        &["view"],
        json!({
            "view": {"type": "string", "enum": view_ids(model)},
            "args": {"type": "object", "description": "The arguments of the view."},
            "cursor": {"type": "string", "description": "Go on behind the item that had this cursor."},
            "events": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "Names of the events to send; all when left out."},
            "filter": {"type": "object", "description": "Field of the data to the value it must have, or to a list of values of which it must have one."},
            "fields": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "Fields of the data to send; all when left out."},
        }),
    );
    insert(&mut params, "allOf", arguments(model));
    parts.message(
        "rpc.subscribe",
        "Opens a view. The answer comes once nothing that happens after it can be missed.",
        request(word("subscribe"), params, true),
    );
    let subscribe: Vec<Value> = model
        .views()
        .filter_map(|view| {
            let example = examples::sendable(model, &view.open).next()?;
            let params = json!({"view": view.open.id, "args": example.input});
            let payload = json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params});
            Some(json!({"name": view.open.id, "summary": view.open.summary, "payload": payload}))
        })
        .collect();
    if !subscribe.is_empty()
        && let Some(message) = parts.messages.get_mut("rpc.subscribe")
    {
        insert(message, "examples", Value::Array(subscribe));
    }

    let id = closed(&["subscription"], json!({"subscription": subscription()}));
    parts.message(
        "rpc.unsubscribe",
        "Ends a subscription.",
        request(word("unsubscribe"), id, true),
    );
    parts.message("rpc.auth", CREDENTIAL, request(word("auth"), credentials(), true));
    let id = closed(&["id"], json!({"id": request_id()}));
    parts.message(
        "rpc.cancel",
        "Stops the call that had this id.",
        request(word("cancel"), id, true),
    );
}

/// For each view that its arguments are of its own input's type.
fn arguments(model: &Model) -> Value {
    model
        .views()
        .map(|view| {
            let fields = model.input_fields(&view.open);
            let mut then = json!({"properties": {"args": form(&view.open.input)}});
            if fields.iter().any(|field| field.required) {
                insert(&mut then, "required", json!(["args"]));
            }
            json!({"if": {"properties": {"view": word(&view.open.id)}}, "then": then})
        })
        .collect()
}

fn answers(parts: &mut Parts) {
    let mut answer = |name: &str, summary: &str, result: Value| {
        let members = json!({"jsonrpc": word("2.0"), "id": request_id(), "result": result});
        parts.message(name, summary, closed(&["jsonrpc", "id", "result"], members));
    };
    let any = json!({"type": "object", "description": "The operation's output."});
    answer("rpc.result", "What an operation answers.", any);
    let subscribed = closed(
        &["subscription"],
        json!({
            "subscription": subscription(),
            "cursor": {"type": "string", "description": "Where it begins. Of views of class `changes`."},
        }),
    );
    answer(
        "rpc.subscribed",
        "The subscription is in effect; its events follow.",
        subscribed,
    );
    let ended = closed(
        &["unsubscribed"],
        json!({"unsubscribed": {"type": "boolean", "description": "False where the socket has no such subscription."}}),
    );
    answer(
        "rpc.unsubscribed",
        "Nothing more comes of the subscription.",
        ended,
    );
    let caller = closed(
        &["username", "roles"],
        json!({"username": {"type": "string"}, "roles": {"type": "array", "items": {"type": "string"}}}),
    );
    answer("rpc.authenticated", "Who the socket belongs to now.", caller);
    let stopped = closed(
        &["cancelled"],
        json!({"cancelled": {"type": "boolean", "description": "False where the call had its answer already."}}),
    );
    answer("rpc.cancelled", "Whether the call was stopped.", stopped);
    let id = json!({"type": ["string", "number", "null"], "description": "That of the request; null where it had none that could be read."});
    let members = json!({"jsonrpc": word("2.0"), "id": id, "error": form(RPC_ERROR)});
    parts.message(
        "rpc.failure",
        "The error that a request came to.",
        closed(&["jsonrpc", "id", "error"], members),
    );
}

fn notifications(parts: &mut Parts) {
    let seq = json!({
        "type": "integer", "format": "uint64", "minimum": 1,
        "description": "Counts what came of the subscription, from 1.",
    });
    let params = json!({
        "allOf": [
            {"type": "object", "required": ["subscription", "seq"], "properties": {"subscription": subscription(), "seq": seq}},
            form(ANY),
        ],
    });
    parts.message(
        "rpc.event",
        "An event of a subscription, or what is told beside events.",
        notification("event", params),
    );
    let params = closed(
        &[],
        json!({
            "subscription": subscription(),
            "view": {"type": "string", "description": "In place of `subscription` where the view of the socket's own path could not be opened."},
            "error": form(RPC_ERROR),
        }),
    );
    parts.message(
        "rpc.complete",
        "The subscription has ended, with `error` where that is why; nothing follows.",
        notification("complete", params),
    );
}

/// A request; what must have an answer needs an id.
fn request(method: Value, params: Value, is_answered: bool) -> Value {
    let mut required = vec!["jsonrpc", "method"];
    if is_answered {
        required.extend(["id", "params"]);
    }
    let members = Map::from_iter([
        ("jsonrpc".to_owned(), word("2.0")),
        ("id".to_owned(), request_id()),
        ("method".to_owned(), method),
        ("params".to_owned(), params),
        (
            "timeout_ms".to_owned(),
            json!({"type": "integer", "format": "uint64", "minimum": 0, "description": "After which the call is given up."}),
        ),
        (
            "request_id".to_owned(),
            json!({"type": "string", "description": "Finds the call in the server's log."}),
        ),
    ]);
    json!({"type": "object", "required": required, "properties": members})
}

fn notification(method: &str, params: Value) -> Value {
    let members = json!({"jsonrpc": word("2.0"), "method": word(method), "params": params});
    closed(&["jsonrpc", "method", "params"], members)
}

fn request_id() -> Value {
    json!({"type": ["string", "number"], "description": "Chosen by the caller."})
}

fn subscription() -> Value {
    json!({"type": "string", "description": "Id of the subscription, unique on the server."})
}

/// One of the two ways to say who is there.
pub(super) fn credentials() -> Value {
    let choice = |name: &str| json!({"required": [name]});
    json!({
        "type": "object",
        "properties": {
            "token": {"type": "string", "format": "password", "description": "An access token."},
            "api_key": {"type": "string", "format": "password"},
        },
        "oneOf": [choice("token"), choice("api_key")],
    })
}
