//! Static tables that say what the contract says. Generated crates hold them; everything generic reads them.

use crate::call::Permissions;
use crate::error::ErrorDesc;
use crate::stream::ViewDesc;

#[derive(Debug)]
pub struct ModuleDesc {
    pub name: &'static str,
    pub summary: &'static str,
    pub operations: &'static [&'static OperationDesc],
    pub views: &'static [&'static ViewDesc],
    pub types: &'static [&'static TypeDesc],
    pub errors: &'static [&'static ErrorDesc],
}

#[derive(Debug)]
pub struct TypeDesc {
    pub name: &'static str,
    pub description: &'static str,
    pub shape: Shape,
}

#[derive(Debug)]
pub enum Shape {
    Object(ObjectDesc),
    /// Values as on the wire.
    Enum(&'static [&'static str]),
    Union(UnionDesc),
    /// A named scalar, list or map with its bounds.
    Alias(Ty),
}

#[derive(Debug)]
pub struct ObjectDesc {
    pub fields: &'static [FieldDesc],
    /// Empty, or the optional fields of which exactly one must be given.
    pub exactly_one_of: &'static [&'static str],
}

#[derive(Debug)]
pub struct UnionDesc {
    /// Field beside the variant's own that tells variants apart.
    pub tag: &'static str,
    pub variants: &'static [VariantDesc],
}

#[derive(Debug)]
pub struct VariantDesc {
    pub value: &'static str,
    pub target: &'static TypeDesc,
}

#[derive(Debug)]
pub struct FieldDesc {
    pub name: &'static str,
    pub description: &'static str,
    pub ty: Ty,
    pub required: bool,
    pub nullable: bool,
    /// As JSON text.
    pub default: Option<&'static str>,
    /// Kept out of logs and Debug.
    pub sensitive: bool,
    /// Of an operation's input.
    pub place: Option<RestPlace>,
    /// What to use instead.
    pub deprecated: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestPlace {
    Path,
    Query,
    Body,
    QueryOrBody,
}

/// A type at a place of use. Bounds are included in the range.
#[derive(Debug)]
pub enum Ty {
    Boolean,
    Integer {
        width: IntegerWidth,
        minimum: i64,
        maximum: i64,
    },
    Number {
        minimum: Option<f64>,
        maximum: Option<f64>,
    },
    Text {
        min_length: Option<u32>,
        max_length: Option<u32>,
        pattern: Option<&'static str>,
    },
    Id64,
    Decimal,
    Bytes {
        max: Option<u32>,
    },
    Timestamp,
    Date,
    Uuid,
    Lsn,
    Cursor,
    Json,
    Array {
        items: &'static Ty,
        min: Option<u32>,
        max: Option<u32>,
    },
    Map {
        values: &'static Ty,
    },
    Ref(&'static TypeDesc),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegerWidth {
    Int32,
    UInt32,
    Int53,
    UInt53,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    Query,
    Command,
    Job,
    /// Opens a view of a stream.
    Stream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionRule {
    /// No credentials needed.
    Public,
    /// Any valid credentials.
    Authenticated,
    Needs(Permissions),
    /// What the statements in these input fields need.
    Statement {
        fields: &'static [&'static str],
    },
}

#[derive(Debug)]
pub struct OperationDesc {
    /// `module.name`.
    pub id: &'static str,
    pub module: &'static str,
    pub name: &'static str,
    pub kind: OperationKind,
    /// Upper case.
    pub method: &'static str,
    /// With `{parameters}`.
    pub path: &'static str,
    pub permission: PermissionRule,
    pub summary: &'static str,
    pub description: &'static str,
    pub input: &'static TypeDesc,
    /// `None` answers `{}`.
    pub output: Option<&'static TypeDesc>,
    /// What a job comes to.
    pub result: Option<&'static TypeDesc>,
    /// HTTP status of success.
    pub status: u16,
    /// Beside the common ones.
    pub errors: &'static [&'static ErrorDesc],
    pub timeout_ms: u64,
    pub retry_safe: bool,
    /// Name of the Query or Mutation field.
    pub graphql: &'static str,
    /// What to use instead.
    pub deprecated: Option<&'static str>,
}

impl OperationDesc {
    /// Fields of the input, in the contract's order.
    pub fn input_fields(&self) -> &'static [FieldDesc] {
        match &self.input.shape {
            Shape::Object(object) => object.fields,
            _ => &[],
        }
    }

    /// Whether the call carries a body on REST.
    pub fn has_body(&self) -> bool {
        self.input_fields()
            .iter()
            .any(|field| matches!(field.place, Some(RestPlace::Body | RestPlace::QueryOrBody)))
            && matches!(self.method, "POST" | "PUT" | "PATCH")
    }
}

impl Ty {
    /// The type behind aliases.
    pub fn resolved(&'static self) -> &'static Ty {
        match self {
            Ty::Ref(TypeDesc {
                shape: Shape::Alias(ty),
                ..
            }) => ty.resolved(),
            other => other,
        }
    }
}

/// Bounds that hold for every call.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub request_bytes: usize,
    pub json_depth: usize,
    pub rpc_batch_calls: usize,
    pub graphql_depth: usize,
    pub graphql_complexity: usize,
    pub page_default: u32,
    pub page_max: u32,
    pub timeout_ms: u64,
    pub timeout_max_ms: u64,
}

/// A permission's name and bit.
#[derive(Debug)]
pub struct PermissionDesc {
    pub name: &'static str,
    pub summary: &'static str,
    pub bit: Permissions,
}

#[derive(Debug)]
pub struct RoleDesc {
    pub name: &'static str,
    pub summary: &'static str,
    pub permissions: Permissions,
}
