//! The contract, resolved: what every emitter reads. Immutable, sorted, complete.
//!
//! Names of types are unique over all modules. A reference is the name of a type in [`Model::types`]; every
//! reference in a model that `resolve` answered leads somewhere. Maps are sorted, so that whatever walks them
//! writes the same bytes each time; fields keep the order they were written in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

pub use crate::language::{Interface, Kind, Limits, Retry, Stability, StreamClass, Unit};

use crate::diagnostics::Place;

/// Largest integer a JSON number carries exactly in every client language.
pub const SAFE_INTEGER_MAX: i64 = (1 << 53) - 1;

#[derive(Debug, Clone)]
pub struct Model {
    /// By name; `core` is among them.
    pub modules: BTreeMap<String, Module>,
    /// Every named type of every module, inputs of operations included.
    pub types: BTreeMap<String, TypeDef>,
    /// Every error by its wire code, such as `TABLE_NOT_FOUND`.
    pub errors: BTreeMap<String, ErrorDef>,
    /// Name (`database:read`) to summary, in the order of the contract.
    pub permissions: Vec<Permission>,
    pub roles: Vec<Role>,
    pub limits: Limits,
}

#[derive(Debug, Clone)]
pub struct Module {
    pub name: String,
    pub summary: String,
    pub description: String,
    /// Names of the module's types, sorted.
    pub types: Vec<String>,
    /// Codes of the module's errors, sorted.
    pub errors: Vec<String>,
    /// By operation name without the module.
    pub operations: BTreeMap<String, Operation>,
    /// By view name without the module.
    pub views: BTreeMap<String, View>,
    /// Other modules whose types or errors this one uses; never a cycle.
    pub depends_on: BTreeSet<String>,
    pub place: Place,
}

impl Module {
    /// Operations and the openings of views.
    pub fn routed(&self) -> impl Iterator<Item = &Operation> {
        let views = self.views.values().map(|view| &view.open);
        self.operations.values().chain(views)
    }

    /// Whether a service stands behind it.
    pub fn has_service(&self) -> bool {
        !self.operations.is_empty() || !self.views.is_empty()
    }
}

#[derive(Debug, Clone)]
pub struct Permission {
    pub name: String,
    pub summary: String,
}

#[derive(Debug, Clone)]
pub struct Role {
    pub name: String,
    pub summary: String,
    pub permissions: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct ErrorDef {
    /// UPPER_SNAKE.
    pub code: String,
    /// PascalCase, as in the contract.
    pub name: String,
    pub module: String,
    pub status: u16,
    pub rpc: i32,
    pub retry: Retry,
    pub summary: String,
    /// Type of `error.details`.
    pub details: Option<String>,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub struct TypeDef {
    /// PascalCase, unique over the contract.
    pub name: String,
    pub module: String,
    pub description: String,
    pub shape: Shape,
    /// Reached from an operation's input.
    pub in_input: bool,
    /// Reached from an operation's output, an event or an error's details.
    pub in_output: bool,
    /// The input of this operation id, made by the generator.
    pub input_of: Option<String>,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub enum Shape {
    Object(Object),
    /// Values as on the wire, snake_case or UPPER_SNAKE.
    Enum(Vec<String>),
    Union(Union),
    /// A named scalar, list or map with its bounds.
    Alias(Ty),
}

#[derive(Debug, Clone, Default)]
pub struct Object {
    pub fields: Vec<Field>,
    /// Empty, or the optional fields of which exactly one must be given.
    pub exactly_one_of: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Union {
    pub tag: String,
    pub variants: Vec<Variant>,
}

/// A variant's object does not declare the tag; on the wire the tag stands beside its fields.
#[derive(Debug, Clone)]
pub struct Variant {
    pub value: String,
    /// An object type.
    pub target: String,
}

#[derive(Debug, Clone)]
pub struct Field {
    /// snake_case, the name on REST and RPC.
    pub name: String,
    pub description: String,
    pub ty: Ty,
    /// The field is always there. Not required and nullable is the tri-state: absent, null, value.
    pub required: bool,
    pub nullable: bool,
    pub default: Option<Value>,
    pub sensitive: bool,
    /// Where REST carries it; `None` in types that are not an operation's input.
    pub place_rest: Option<RestPlace>,
    pub deprecated: Option<Deprecated>,
    pub since: Option<String>,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestPlace {
    Path,
    Query,
    Body,
    QueryOrBody,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecated {
    pub since: String,
    pub instead: String,
}

/// A type at a place of use. Bounds are included in the range.
#[derive(Debug, Clone, PartialEq)]
pub enum Ty {
    Boolean,
    Integer(Integer),
    /// A double; `NaN` and infinities do not occur.
    Number {
        minimum: Option<f64>,
        maximum: Option<f64>,
    },
    Text(Text),
    /// Unsigned 64 bits, a decimal string on the wire.
    Id64,
    /// A decimal string of any precision.
    Decimal,
    /// base64 (RFC 4648 with padding); the bound counts decoded bytes.
    Bytes {
        max: Option<u32>,
    },
    /// RFC 3339 in UTC with six fractional digits and `Z`.
    Timestamp,
    /// `YYYY-MM-DD`.
    Date,
    Uuid,
    /// `hi/lo` in hex.
    Lsn,
    /// Opaque text that a paged answer gave.
    Cursor,
    /// Any JSON value, null included.
    Json,
    Array {
        items: Box<Ty>,
        min: Option<u32>,
        max: Option<u32>,
    },
    /// Free keys, values of one type.
    Map {
        values: Box<Ty>,
    },
    /// A named type.
    Ref(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Integer {
    pub width: IntegerWidth,
    pub minimum: i64,
    /// At most 2^53-1.
    pub maximum: i64,
    /// Of a duration.
    pub unit: Option<Unit>,
}

/// Width of the Rust and GraphQL type. 64-bit ones stay within what a JSON number carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegerWidth {
    Int32,
    UInt32,
    Int53,
    UInt53,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Text {
    /// In Unicode scalar values.
    pub min_length: Option<u32>,
    pub max_length: Option<u32>,
    pub pattern: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Operation {
    /// `module.name`: the RPC method and the OpenAPI operationId.
    pub id: String,
    pub name: String,
    pub module: String,
    pub kind: Kind,
    pub method: Method,
    /// With `{parameters}`.
    pub path: String,
    pub permission: PermissionRule,
    pub summary: String,
    pub description: String,
    /// The input's object type; always there, perhaps without fields.
    pub input: String,
    /// The output's type; `None` answers `{}`.
    pub output: Option<String>,
    /// The type that a job comes to.
    pub result: Option<String>,
    pub status: u16,
    /// Codes of the errors it answers beside [`Model::common_errors`], sorted.
    pub errors: Vec<String>,
    pub paginated: Option<Paginated>,
    pub timeout_ms: u64,
    /// May be sent again after a lost answer.
    pub retry_safe: bool,
    pub since: String,
    pub stability: Stability,
    pub deprecated: Option<Deprecated>,
    /// GraphQL field, a Query field for queries, else a Mutation field.
    pub graphql: String,
    /// Interfaces that do not carry it, with the reason.
    pub except: BTreeMap<Interface, String>,
    pub examples: Vec<Example>,
    pub place: Place,
}

/// One view of a stream.
#[derive(Debug, Clone)]
pub struct View {
    /// What opens it: the SSE route, the input, who may, as `graphql` the subscription field. Its `output` is the
    /// record's type; a view of several events has none.
    pub open: Operation,
    /// Name of the source in its module.
    pub stream: String,
    pub class: StreamClass,
    /// WebSocket path of its own.
    pub ws: Option<String>,
    /// Type of the messages that open it there.
    pub ws_message: Option<String>,
    /// Object types whose names are the events' names, in the order of the contract; never empty.
    pub events: Vec<String>,
    /// Whether every event is of one type, whose fields stand in GraphQL's payload itself.
    pub is_record: bool,
}

impl View {
    /// The type that holds any event of the view: the record's, or the enumeration made for it.
    pub fn event_type(&self) -> String {
        if self.is_record {
            self.events[0].clone()
        } else {
            let name = format!("{}_{}", self.open.module, self.open.name);
            format!("{}Event", crate::names::pascal(&name))
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermissionRule {
    /// No credentials needed.
    Public,
    /// Any valid credentials.
    Authenticated,
    /// This permission.
    Permission(String),
    /// What the statements in these input fields need.
    Statement { fields: Vec<String> },
}

#[derive(Debug, Clone)]
pub struct Paginated {
    pub items: String,
    /// Type of one item.
    pub item: Ty,
    pub default: u32,
    pub max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Upper case, as in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// Whether fields without a place of their own travel in the body.
    pub fn has_body(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch)
    }
}

#[derive(Debug, Clone)]
pub struct Example {
    pub name: String,
    pub summary: String,
    pub given: Vec<Step>,
    /// A role's name, or `nobody`.
    pub role: String,
    pub input: Value,
    /// Part of the answer that must be there.
    pub output: Option<Value>,
    /// Code of the expected error.
    pub error: Option<String>,
    /// Of a view: calls made once it is open.
    pub then: Vec<Step>,
    /// Of a view: the events that must come of them.
    pub events: Vec<ExpectedEvent>,
}

#[derive(Debug, Clone)]
pub struct ExpectedEvent {
    pub event: String,
    /// Part of the data that must be there.
    pub data: Value,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub call: String,
    /// A role's name, or `nobody`.
    pub role: String,
    /// How often the call is made.
    pub repeat: u32,
    /// Whether the next step is made as soon as the call waits for a lock.
    pub background: bool,
    pub input: Value,
    pub save: Option<String>,
    /// Code of the expected error.
    pub error: Option<String>,
}

impl Model {
    /// Operations of every module by id.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.modules
            .values()
            .flat_map(|module| module.operations.values())
    }

    /// Views of every module by id.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.modules.values().flat_map(|module| module.views.values())
    }

    pub fn view(&self, id: &str) -> Option<&View> {
        let (module, name) = id.split_once('.')?;
        self.modules.get(module)?.views.get(name)
    }

    /// Operations and the openings of views: all that REST has routes for.
    pub fn routed(&self) -> impl Iterator<Item = &Operation> {
        self.modules.values().flat_map(Module::routed)
    }

    pub fn operation(&self, id: &str) -> Option<&Operation> {
        let (module, name) = id.split_once('.')?;
        self.modules.get(module)?.operations.get(name)
    }

    /// The type of that name. Names inside a model always lead somewhere.
    pub fn ty(&self, name: &str) -> &TypeDef {
        self.types
            .get(name)
            .expect("a resolved model has every type it names")
    }

    /// Fields of the operation's input.
    pub fn input_fields(&self, operation: &Operation) -> &[Field] {
        match &self.ty(&operation.input).shape {
            Shape::Object(object) => &object.fields,
            _ => &[],
        }
    }

    /// Errors that every call can answer: those of `core`.
    pub fn common_errors(&self) -> &[String] {
        self.modules.get("core").map_or(&[], |core| &core.errors)
    }

    /// Errors the operation can answer, the common ones included, sorted by code.
    pub fn errors_of(&self, operation: &Operation) -> Vec<&ErrorDef> {
        let codes: BTreeSet<&String> = operation.errors.iter().chain(self.common_errors()).collect();
        codes
            .into_iter()
            .filter_map(|code| self.errors.get(code))
            .collect()
    }
}
