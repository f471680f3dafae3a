//! What a caller sees of an operation or a view, as a hash: its names, where it lies, who may, its types and its errors.
//!
//! Texts for people are no part of it, nor is what leaves a caller's code as it is: time-outs and the order of fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};

use rustydb_api::Api;
use rustydb_contract::Permissions;
use rustydb_contract::descriptor::{
    FieldDesc, IntegerWidth, OperationDesc, OperationKind, PermissionRule, RestPlace, Shape, Ty, TypeDesc,
};
use rustydb_contract::error::ErrorDesc;
use rustydb_contract::stream::ViewDesc;
use rustydb_contract_core::access::PERMISSIONS;
use sha2::{Digest, Sha256};

/// Bytes of a digest that are kept, of an operation and of a contract.
const SHAPE_BYTES: usize = 8;
const REVISION_BYTES: usize = 16;

/// Every operation and view of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    pub revision: String,
    /// Ids to hashes of shapes.
    pub members: BTreeMap<String, String>,
}

impl Contract {
    /// The contract that a server carries.
    pub fn of(api: &Api) -> Contract {
        let operations = api.operations().map(|operation| {
            let text = operation_text(operation.desc);
            (operation.desc.id.to_owned(), digest(&text, SHAPE_BYTES))
        });
        let views = api.views().map(|view| {
            let text = view_text(view.desc);
            (view.desc.open.id.to_owned(), digest(&text, SHAPE_BYTES))
        });
        Contract::from_members(operations.chain(views).collect())
    }

    pub(super) fn from_members(members: BTreeMap<String, String>) -> Contract {
        let mut text = String::new();
        for (id, shape) in &members {
            put(&mut text, format_args!("{id} {shape}\n"));
        }
        Contract {
            revision: digest(&text, REVISION_BYTES),
            members,
        }
    }
}

/// The first bytes of SHA-256, in hex.
fn digest(text: &str, bytes: usize) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(text).iter().take(bytes) {
        put(&mut hex, format_args!("{byte:02x}"));
    }
    hex
}

fn put(text: &mut String, part: impl Display) {
    write!(text, "{part}").expect("text takes what is written to it");
}

pub(super) fn operation_text(desc: &'static OperationDesc) -> String {
    let mut types = Types::default();
    let mut text = format!(
        "{} {} {} {} {} {}",
        kind(desc.kind),
        desc.method,
        desc.path,
        desc.status,
        desc.graphql,
        permission(desc.permission)
    );
    put(&mut text, " in ");
    types.named(&mut text, desc.input);
    if let Some(output) = desc.output {
        put(&mut text, " out ");
        types.named(&mut text, output);
    }
    if let Some(result) = desc.result {
        put(&mut text, " comes to ");
        types.named(&mut text, result);
    }
    errors(&mut text, &mut types, desc.errors);
    text
}

pub(super) fn view_text(desc: &'static ViewDesc) -> String {
    let mut text = operation_text(&desc.open);
    put(
        &mut text,
        format_args!(
            " view {} {} {} {}",
            desc.class.as_str(),
            desc.ws.unwrap_or("-"),
            desc.ws_message.unwrap_or("-"),
            if desc.is_record { "record" } else { "events" }
        ),
    );
    // The output's types are there already; an event adds its name.
    let names: BTreeSet<&str> = desc.events.iter().map(|event| event.name).collect();
    for name in names {
        put(&mut text, format_args!(" {name}"));
    }
    text
}

/// Types that were written out: the second time a name stands for one.
#[derive(Default)]
struct Types(BTreeSet<&'static str>);

impl Types {
    fn named(&mut self, text: &mut String, desc: &'static TypeDesc) {
        put(text, desc.name);
        if !self.0.insert(desc.name) {
            return;
        }
        match &desc.shape {
            Shape::Object(object) => {
                let mut fields: Vec<&'static FieldDesc> = object.fields.iter().collect();
                fields.sort_unstable_by_key(|field| field.name);
                put(text, "{");
                for field in fields {
                    self.field(text, field);
                }
                put(text, "}");
                for name in object.exactly_one_of {
                    put(text, format_args!("^{name}"));
                }
            }
            Shape::Enum(values) => {
                let values: BTreeSet<&str> = values.iter().copied().collect();
                for value in values {
                    put(text, format_args!("|{value}"));
                }
            }
            Shape::Union(union) => {
                put(text, format_args!("<{}", union.tag));
                for variant in union.variants {
                    put(text, format_args!(" {}:", variant.value));
                    self.named(text, variant.target);
                }
                put(text, ">");
            }
            Shape::Alias(ty) => {
                put(text, "=");
                self.ty(text, ty);
            }
        }
    }

    fn field(&mut self, text: &mut String, field: &'static FieldDesc) {
        put(text, field.name);
        put(text, if field.required { "!" } else { "?" });
        put(text, if field.nullable { "0:" } else { ":" });
        self.ty(text, &field.ty);
        if let Some(default) = field.default {
            put(text, format_args!("={default}"));
        }
        let place = match field.place {
            None => "",
            Some(RestPlace::Path) => "@path",
            Some(RestPlace::Query) => "@query",
            Some(RestPlace::Body) => "@body",
            Some(RestPlace::QueryOrBody) => "@query_or_body",
        };
        put(text, format_args!("{place};"));
    }

    fn ty(&mut self, text: &mut String, ty: &'static Ty) {
        match ty {
            Ty::Boolean => put(text, "boolean"),
            Ty::Integer {
                width,
                minimum,
                maximum,
            } => {
                let width = match width {
                    IntegerWidth::Int32 => "int32",
                    IntegerWidth::UInt32 => "uint32",
                    IntegerWidth::Int53 => "int53",
                    IntegerWidth::UInt53 => "uint53",
                };
                put(text, format_args!("{width}({minimum},{maximum})"));
            }
            Ty::Number { minimum, maximum } => {
                put(
                    text,
                    format_args!("number({},{})", or_dash(minimum), or_dash(maximum)),
                );
            }
            Ty::Text {
                min_length,
                max_length,
                pattern,
            } => put(
                text,
                format_args!(
                    "text({},{},{})",
                    or_dash(min_length),
                    or_dash(max_length),
                    or_dash(pattern)
                ),
            ),
            Ty::Id64 => put(text, "id64"),
            Ty::Decimal => put(text, "decimal"),
            Ty::Bytes { max } => put(text, format_args!("bytes({})", or_dash(max))),
            Ty::Timestamp => put(text, "timestamp"),
            Ty::Date => put(text, "date"),
            Ty::Uuid => put(text, "uuid"),
            Ty::Lsn => put(text, "lsn"),
            Ty::Cursor => put(text, "cursor"),
            Ty::Json => put(text, "json"),
            Ty::Array { items, min, max } => {
                put(text, format_args!("array({},{})[", or_dash(min), or_dash(max)));
                self.ty(text, items);
                put(text, "]");
            }
            Ty::Map { values } => {
                put(text, "map[");
                self.ty(text, values);
                put(text, "]");
            }
            Ty::Ref(desc) => self.named(text, desc),
        }
    }
}

fn or_dash(bound: &Option<impl Display>) -> String {
    bound.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Query => "query",
        OperationKind::Command => "command",
        OperationKind::Job => "job",
        OperationKind::Stream => "stream",
    }
}

fn permission(rule: PermissionRule) -> String {
    match rule {
        PermissionRule::Public => "public".to_owned(),
        PermissionRule::Authenticated => "authenticated".to_owned(),
        PermissionRule::Needs(needed) => permission_names(needed).join("+"),
        PermissionRule::Statement { fields } => format!("statement({})", fields.join(",")),
    }
}

/// By name: the bits are the build's own.
fn permission_names(needed: Permissions) -> Vec<&'static str> {
    let named = PERMISSIONS
        .iter()
        .filter(|permission| needed.contains(permission.bit));
    named.map(|permission| permission.name).collect()
}

fn errors(text: &mut String, types: &mut Types, declared: &[&'static ErrorDesc]) {
    let mut declared = declared.to_vec();
    declared.sort_unstable_by_key(|error| error.code);
    for error in declared {
        put(
            text,
            format_args!(" error {} {} {}", error.code, error.status, error.rpc),
        );
        if let Some(details) = error.details {
            put(text, " ");
            types.named(text, details);
        }
    }
}
