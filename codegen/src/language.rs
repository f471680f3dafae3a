//! The contract language as its files are written: one serde struct per form, and through schemars its JSON
//! Schema (schema/meta/contract.schema.json) for editors.
//!
//! Nothing here is resolved or checked beyond its shape; `resolve` and `lint` do that.

use std::fmt;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema as MetaSchema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

/// One file of the contract: a module, or `core` with what all modules share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleFile {
    /// Name of the module in snake_case; the file is named after it.
    pub module: String,
    /// One sentence for the reference's table of contents.
    pub summary: String,
    /// Longer text in Markdown.
    #[serde(default)]
    pub description: Option<String>,
    /// Named types, in PascalCase.
    #[serde(default)]
    pub types: IndexMap<String, Schema>,
    /// Errors, in PascalCase; the code on the wire is the name in UPPER_SNAKE.
    #[serde(default)]
    pub errors: IndexMap<String, ErrorDef>,
    /// Operations, in snake_case.
    #[serde(default)]
    pub operations: IndexMap<String, OperationDef>,
    /// Streams, in snake_case.
    #[serde(default)]
    pub streams: IndexMap<String, StreamDef>,
    /// Permissions a role may carry; only in `core`.
    #[serde(default)]
    pub permissions: IndexMap<String, PermissionDef>,
    /// Built-in roles; only in `core`.
    #[serde(default)]
    pub roles: IndexMap<String, RoleDef>,
    /// Bounds that hold for every call; only in `core`.
    #[serde(default)]
    pub limits: Option<Limits>,
}

/// A type: either a name, such as `uint64`, `Table` or `core.Cursor`, or a schema spelled out.
#[derive(Debug, Clone)]
pub enum Schema {
    /// A scalar of the language or a type of the contract.
    Name(String),
    Body(Box<SchemaBody>),
}

/// A schema in the subset of JSON Schema 2020-12 that every interface can carry.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SchemaBody {
    #[serde(default, rename = "type")]
    pub kind: Option<TypeWord>,
    /// A type of the contract: `Table`, or `core.Cursor` of another module.
    #[serde(default, rename = "$ref")]
    pub reference: Option<String>,
    /// Refines `type`: a scalar of the language, such as `uint64`, `id64`, `timestamp`.
    #[serde(default)]
    pub format: Option<String>,
    /// The value may be null. Absent, null and a value stay distinct.
    #[serde(default)]
    pub nullable: bool,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub minimum: Option<Number>,
    #[serde(default)]
    pub maximum: Option<Number>,
    #[serde(default)]
    pub min_length: Option<u32>,
    #[serde(default)]
    pub max_length: Option<u32>,
    /// Regular expression (the common subset of Rust's regex, ECMAScript and Python) the whole text must match.
    #[serde(default)]
    pub pattern: Option<String>,
    #[serde(default)]
    pub items: Option<Schema>,
    #[serde(default)]
    pub min_items: Option<u32>,
    #[serde(default)]
    pub max_items: Option<u32>,
    /// Fields of an object, in the order they are shown.
    #[serde(default)]
    pub properties: IndexMap<String, Schema>,
    #[serde(default)]
    pub required: Vec<String>,
    /// An object of free keys whose values all have this type.
    #[serde(default)]
    pub additional_properties: Option<Schema>,
    /// Exactly one of these optional fields must be given.
    #[serde(default)]
    pub exactly_one_of: Vec<String>,
    /// Values of an enumeration.
    #[serde(default, rename = "enum")]
    pub values: Option<Vec<String>>,
    /// Of `type: union`: the field that tells the variants apart.
    #[serde(default)]
    pub tag: Option<String>,
    /// Of `type: union`: tag value to object type.
    #[serde(default)]
    pub variants: IndexMap<String, Schema>,
    /// What the engine assumes when an input leaves the field out.
    #[serde(default)]
    pub default: Option<Value>,
    /// A secret: kept out of logs, Debug and recorded examples.
    #[serde(default)]
    pub sensitive: bool,
    /// Of a duration: its unit, where the name does not end in it.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// Of an input field: where REST carries it. Path parameters are found by name; else the method decides.
    #[serde(default, rename = "in")]
    pub place: Option<InputPlace>,
    #[serde(default)]
    pub deprecated: Option<Deprecated>,
    #[serde(default)]
    pub since: Option<String>,
}

/// Word of a schema's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeWord {
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
    /// A tagged union of objects: `tag` and `variants`.
    Union,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Us,
    Ms,
    Seconds,
    Minutes,
    Hours,
    Days,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputPlace {
    Query,
    Body,
    /// In the query or in the body, not in both.
    QueryOrBody,
}

/// One error of the table all interfaces share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorDef {
    /// HTTP status.
    pub status: u16,
    /// JSON-RPC code.
    pub rpc: i32,
    pub retry: Retry,
    pub summary: String,
    /// Type of `error.details`.
    #[serde(default)]
    pub details: Option<Schema>,
}

/// Whether the same call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It would fail again.
    Never,
    /// At once or after `retry_after`.
    Safe,
    /// The whole transaction may be run again from its beginning.
    Transaction,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionDef {
    pub summary: String,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleDef {
    pub summary: String,
    pub permissions: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest REST, GraphQL or RPC request, in bytes.
    pub request_bytes: u64,
    /// Deepest nesting of a JSON request.
    pub json_depth: u32,
    /// Most calls in one JSON-RPC batch.
    pub rpc_batch_calls: u32,
    /// Deepest GraphQL selection.
    pub graphql_depth: u32,
    /// Most fields a GraphQL document may select.
    pub graphql_complexity: u32,
    /// Page size when `limit` is left out.
    pub page_default: u32,
    /// Largest page.
    pub page_max: u32,
    /// Deadline of a call that names none, in milliseconds.
    pub timeout_ms: u64,
    /// Longest deadline a caller may ask for, in milliseconds.
    pub timeout_max_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads.
    Query,
    /// Changes state.
    Command,
    /// Runs long: answers a `Job` at once and goes on.
    Job,
    /// Opens a view of a stream. Views are written under `streams`.
    #[serde(skip)]
    Stream,
}

/// One operation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationDef {
    pub kind: Kind,
    /// Method and path, such as `GET /api/v1/tables/{name}`.
    pub rest: String,
    pub permission: PermissionRef,
    pub summary: String,
    #[serde(default)]
    pub description: Option<String>,
    /// An object: its fields become path, query and body on REST, params on RPC, arguments in GraphQL.
    #[serde(default)]
    pub input: Option<Schema>,
    /// An object type; without it the answer is `{}`.
    #[serde(default)]
    pub output: Option<Schema>,
    /// The object type that a job comes to: the `result` of its `Job`. Jobs only.
    #[serde(default)]
    pub result: Option<Schema>,
    /// HTTP status of success, 200 unless said: 201 with a created resource. A job is accepted by 202.
    #[serde(default)]
    pub status: Option<u16>,
    /// Errors this operation answers beside those every call can.
    #[serde(default)]
    pub errors: Vec<String>,
    #[serde(default)]
    pub paginated: Option<Paginated>,
    /// Deadline in milliseconds where it differs from the common one.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// The caller may send it again after a lost answer without changing more; queries always may.
    #[serde(default)]
    pub retry_safe: bool,
    #[serde(default)]
    pub idempotent: Option<Value>,
    #[serde(default)]
    pub precondition: Option<Value>,
    #[serde(default)]
    pub cost: Option<u32>,
    #[serde(default)]
    pub audit: Option<Value>,
    #[serde(default)]
    pub rate_limit: Option<Value>,
    pub since: String,
    #[serde(default)]
    pub stability: Stability,
    #[serde(default)]
    pub deprecated: Option<Deprecated>,
    /// GraphQL field where the rule's name does not serve.
    #[serde(default)]
    pub graphql: Option<String>,
    /// Interfaces that do not carry the operation, each with the reason.
    #[serde(default)]
    pub except: IndexMap<Interface, String>,
    /// Calls that are executed on the engine through every interface.
    #[serde(default)]
    pub examples: Vec<Example>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    Rest,
    Rpc,
    Graphql,
}

/// Who may call: a permission, `public`, `authenticated`, or `{by: statement}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PermissionRef {
    Name(String),
    By(PermissionBy),
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionBy {
    pub by: PermissionSource,
    /// Input field that holds the statement text, or a list of it; several are joined by commas.
    pub field: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermissionSource {
    /// What the parsed statements need.
    Statement,
}

/// Paging by `limit` and `after`; both inputs are added by the generator.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paginated {
    /// Output field that holds the page's items. The output also has `next`, an optional cursor.
    pub items: String,
    #[serde(default)]
    pub default: Option<u32>,
    #[serde(default)]
    pub max: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stability {
    Experimental,
    Beta,
    #[default]
    Stable,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deprecated {
    pub since: String,
    /// What to use instead.
    pub instead: String,
}

/// A call with what must come of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Name in snake_case, unique within the operation.
    pub name: String,
    #[serde(default)]
    pub summary: Option<String>,
    /// Calls made before; each must succeed.
    #[serde(default)]
    pub given: Vec<Step>,
    /// Role that makes the call; `admin` unless said, `nobody` for no credentials.
    #[serde(default, rename = "as")]
    pub role: Option<String>,
    /// Input; `${saved.field}` stands for a value of an earlier answer.
    #[serde(default)]
    pub input: Option<Value>,
    /// Part of the answer that must be there, exactly.
    #[serde(default)]
    pub output: Option<Value>,
    /// Code of the error the call must answer.
    #[serde(default)]
    pub error: Option<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Operation id, `module.operation`.
    pub call: String,
    /// Role that makes the call; `admin` unless said.
    #[serde(default, rename = "as")]
    pub role: Option<String>,
    /// How often the call is made; once unless said.
    #[serde(default)]
    pub repeat: Option<u32>,
    /// For a call that waits for a lock until a later step: the next step is made as soon as it waits, and its answer is
    /// awaited after the last one.
    #[serde(default)]
    pub background: bool,
    #[serde(default)]
    pub input: Option<Value>,
    /// Name under which the answer is kept for `${name.field}`.
    #[serde(default)]
    pub save: Option<String>,
    /// Code of the error that the call must answer; without it the call must succeed.
    #[serde(default)]
    pub error: Option<String>,
}

/// One source of events with its views.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamDef {
    pub class: StreamClass,
    pub permission: PermissionRef,
    pub summary: String,
    /// Views, in snake_case; a view is named `module.view`.
    pub views: IndexMap<String, ViewDef>,
    pub since: String,
    #[serde(default)]
    pub stability: Stability,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamClass {
    /// Lossless and resumable.
    Changes,
    /// Bounded; losses are told.
    Telemetry,
    /// The result of what its opening began: complete, not resumable.
    Results,
}

/// One way to watch a source. It has either `record` or `events`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ViewDef {
    pub summary: String,
    #[serde(default)]
    pub description: Option<String>,
    /// WebSocket path of its own, below /api/v1/ws/; the SSE path follows it.
    #[serde(default)]
    pub ws: Option<String>,
    /// On that path the view is opened by a message of this type, as often as one comes. Its events then tell which they
    /// are of by the field `<message>_id`.
    #[serde(default)]
    pub ws_message: Option<String>,
    /// Subscription field where the rule's name does not serve.
    #[serde(default)]
    pub graphql: Option<String>,
    /// An object: its fields become the query on SSE, args on WebSocket, arguments in GraphQL.
    #[serde(default)]
    pub args: Option<Schema>,
    /// The object type of every event; the event has its name.
    #[serde(default)]
    pub record: Option<String>,
    /// The object types of the events; each event has the name of its type.
    #[serde(default)]
    pub events: Vec<String>,
    /// Errors its opening answers beside those every call can.
    #[serde(default)]
    pub errors: Vec<String>,
    /// Subscriptions that are executed on the engine over every transport.
    #[serde(default)]
    pub examples: Vec<ViewExample>,
}

/// A subscription with what must come of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ViewExample {
    /// Name in snake_case, unique within the view.
    pub name: String,
    #[serde(default)]
    pub summary: Option<String>,
    /// Calls made before; each must succeed.
    #[serde(default)]
    pub given: Vec<Step>,
    /// Role that subscribes; `admin` unless said, `nobody` for no credentials.
    #[serde(default, rename = "as")]
    pub role: Option<String>,
    /// Arguments; `${saved.field}` stands for a value of an earlier answer.
    #[serde(default)]
    pub input: Option<Value>,
    /// Calls made once the subscription is acknowledged.
    #[serde(default)]
    pub then: Vec<Step>,
    /// Events that must come, in this order.
    #[serde(default)]
    pub events: Vec<ExpectedEvent>,
    /// Code of the error the opening must answer.
    #[serde(default)]
    pub error: Option<String>,
}

/// An event of an example.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedEvent {
    /// Its name; of a view with one kind of event it may be left out.
    #[serde(default)]
    pub event: Option<String>,
    /// Part of its data that must be there, exactly.
    #[serde(default)]
    pub data: Option<Value>,
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SchemaVisitor;
        impl<'de> Visitor<'de> for SchemaVisitor {
            type Value = Schema;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type name or a schema")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Schema, E> {
                Ok(Schema::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Schema, A::Error> {
                SchemaBody::deserialize(MapAccessDeserializer::new(map))
                    .map(|body| Schema::Body(Box::new(body)))
            }
        }
        deserializer.deserialize_any(SchemaVisitor)
    }
}

impl JsonSchema for Schema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Schema".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> MetaSchema {
        let body = generator.subschema_for::<SchemaBody>();
        json_schema!({
            "description": "A type: the name of a scalar or of a type, or a schema spelled out.",
            "oneOf": [{"type": "string"}, body],
        })
    }
}
