//! docs/asyncapi.json (AsyncAPI 3.0.0): what travels over sockets and as server-sent events.
//!
//! The application that the document describes is the server: it *sends* events and *receives* subscriptions.
//! - `servers`: `websocket` and `http`, the same host;
//! - channels: `rpc` and `raw`, the two languages of the common entry ([`rpc`], [`raw`]); then of each view `<id>`, its
//!   SSE route, and `<id>.ws`, its WebSocket path where it declares one ([`views`]);
//! - operations: one per request that has an answer, with that as its `reply`; one `send` per channel for what comes
//!   unasked;
//! - `components.schemas`: types of the contract by their names, as in the other documents, and the forms of messages by
//!   names with a dot, which no type has. Payloads are of AsyncAPI's own schema format, a superset of JSON Schema draft
//!   07: what [`crate::emit::json_schema::schema`] makes is valid there and means the same;
//! - `components.messages`: one per event as a frame (`TableRowChange`), one as an envelope
//!   (`raw.TableRowChange`), and those of the two languages.
//!
//! A contract without views has no such document.

mod frames;
mod raw;
mod rpc;
mod views;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::json_schema::schema::paragraphs;
use super::json_schema::{Schemas, pretty, references};
use crate::model::{Model, PermissionRule};
use crate::output::{Emission, File};
use crate::project::VERSION;

/// Before the name of a schema in a reference.
const PREFIX: &str = "#/components/schemas/";

const DESCRIPTION: &str = "\
What travels over WebSockets and as server-sent events. The document is written from the server's side: what it sends, \
a client receives.

Every view of a stream can be had in four ways, with the same data in each: by `subscribe` on `/api/v1/ws`, on a \
WebSocket path of its own where it has one, as server-sent events, and as a GraphQL subscription on `/graphql` \
(schema.graphql). A view of class `changes` is lossless, and goes on behind the `cursor` of any item; one of class \
`telemetry` may lose events when its reader is slow, and tells how many. Who asks for some `fields` gets data with those \
alone; schemas say what it is without that choice.

The subprotocol of a socket chooses its language: `rustydb.json` is JSON-RPC 2.0, in which every operation is a method \
as well (openrpc.json); without a subprotocol raw envelopes are spoken. A browser, which cannot set headers, offers its \
token as the subprotocol `bearer.TOKEN` beside the other. A socket without credentials has 10 s for `auth`.";

pub fn emit(model: &Model) -> Emission {
    let files = match model.views().next() {
        Some(_) => vec![File::new("docs/asyncapi.json", pretty(&document(model, VERSION)))],
        None => Vec::new(),
    };
    Emission {
        files,
        folders: Vec::new(),
    }
}

/// The AsyncAPI document of a contract with views.
pub fn document(model: &Model, version: &str) -> Value {
    let mut parts = Parts::default();
    frames::add(model, &mut parts);
    rpc::add(model, &mut parts);
    raw::add(model, &mut parts);
    views::add(model, &mut parts);
    let schemas = parts.all_schemas(model);
    let server = |protocol: &str, description: &str| {
        json!({
            "host": "localhost:{port}",
            "protocol": protocol,
            "description": description,
            "variables": {"port": {"default": "8080", "description": "What the server listens on."}},
        })
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "RustyDB",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "MIT OR Apache-2.0", "url": "https://spdx.org/licenses/"},
            "tags": tags(model),
        },
        "defaultContentType": "application/json",
        "servers": {
            "websocket": server("ws", "Text frames, one JSON message each."),
            "http": server("http", "Server-sent events."),
        },
        "channels": parts.channels,
        "operations": parts.operations,
        "components": {
            "messages": sorted(parts.messages),
            "schemas": sorted(schemas),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The access token that `auth.login` answers.",
                },
                "api_key": {
                    "type": "httpApiKey",
                    "name": "X-API-Key",
                    "in": "header",
                    "description": "A key that `auth.create_api_key` answers.",
                },
            },
        },
    })
}

/// What the parts of a document are gathered in.
#[derive(Default)]
struct Parts {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: BTreeMap<String, Value>,
    /// Forms of messages; types of the contract are added at the end, where something refers to them.
    schemas: BTreeMap<String, Value>,
}

impl Parts {
    /// A message of the document, with the form of its payload under the same name.
    fn message(&mut self, name: &str, summary: &str, payload: Value) {
        self.schemas.insert(name.to_owned(), payload);
        self.messages.insert(
            name.to_owned(),
            json!({"name": name, "summary": summary, "payload": form(name)}),
        );
    }

    /// A channel of these messages, each under its own name.
    fn channel(&mut self, id: &str, mut channel: Value, messages: &[String]) {
        let messages: Map<String, Value> = messages
            .iter()
            .map(|name| {
                let target = json!({"$ref": format!("#/components/messages/{name}")});
                (name.clone(), target)
            })
            .collect();
        channel["messages"] = Value::Object(messages);
        self.channels.insert(id.to_owned(), channel);
    }

    /// Forms with all types that they, the channels and the operations refer to.
    fn all_schemas(&self, model: &Model) -> BTreeMap<String, Value> {
        let schemas = Schemas::new(model, PREFIX);
        let mut found = self.schemas.clone();
        let holders = [&self.channels, &self.operations];
        let mut open: Vec<String> = holders
            .into_iter()
            .flat_map(Map::values)
            .chain(found.values())
            .flat_map(|value| references(value, PREFIX))
            .collect();
        while let Some(name) = open.pop() {
            if let Entry::Vacant(vacant) = found.entry(name) {
                let definition = schemas.named(vacant.key());
                open.extend(references(&definition, PREFIX));
                vacant.insert(definition);
            }
        }
        found
    }
}

/// Reference to a schema.
fn form(name: &str) -> Value {
    json!({"$ref": format!("{PREFIX}{name}")})
}

/// References to messages of a channel.
fn messages_of(channel: &str, names: &[String]) -> Value {
    names
        .iter()
        .map(|name| json!({"$ref": format!("#/channels/{channel}/messages/{name}")}))
        .collect()
}

/// A request that the server answers, on one of the languages' channels.
fn exchange(channel: &str, summary: &str, request: &str, answers: &[&str]) -> Value {
    let answers: Vec<String> = answers.iter().map(|name| (*name).to_owned()).collect();
    let channel_ref = json!({"$ref": format!("#/channels/{channel}")});
    json!({
        "action": "receive",
        "channel": channel_ref,
        "summary": summary,
        "messages": messages_of(channel, &[request.to_owned()]),
        "reply": {"channel": channel_ref, "messages": messages_of(channel, &answers)},
    })
}

/// How callers may say who they are.
fn security(permission: &PermissionRule) -> Value {
    match permission {
        PermissionRule::Public => json!([]),
        _ => json!([
            {"$ref": "#/components/securitySchemes/bearer"},
            {"$ref": "#/components/securitySchemes/api_key"},
        ]),
    }
}

/// An object of these members, closed.
fn closed(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

/// A text that is always the same.
fn word(value: &str) -> Value {
    json!({"type": "string", "enum": [value]})
}

fn view_ids(model: &Model) -> Vec<&str> {
    model.views().map(|view| view.open.id.as_str()).collect()
}

/// Names of all events, each once.
fn event_names(model: &Model) -> BTreeSet<&String> {
    model.views().flat_map(|view| &view.events).collect()
}

fn tags(model: &Model) -> Value {
    model
        .modules
        .values()
        .filter(|module| !module.views.is_empty())
        .map(|module| {
            json!({"name": module.name, "description": paragraphs(&[&module.summary, &module.description])})
        })
        .collect()
}

fn sorted(map: BTreeMap<String, Value>) -> Value {
    Value::Object(map.into_iter().collect())
}
