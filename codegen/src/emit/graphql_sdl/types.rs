//! GraphQL types of contract types.

use std::collections::BTreeSet;

use crate::model::{Field, Integer, IntegerWidth, Model, Shape, Ty};
use crate::names;

/// Which way a value goes: objects and unions have a type for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    In,
    Out,
}

/// The scalars the contract adds, with the descriptions the server registers them by.
pub const SCALARS: &[(&str, &str)] = &[
    (
        "Int53",
        "A signed integer that a JSON number carries exactly: within 2^53-1 of zero.",
    ),
    (
        "UInt53",
        "An unsigned integer of at most 2^53-1, as a JSON number.",
    ),
    ("Id64", "An unsigned integer of 64 bits, as decimal text."),
    ("Decimal", "A decimal number of any precision, as text."),
    ("Bytes", "Bytes, as base64 with padding (RFC 4648)."),
    (
        "Timestamp",
        "A moment: RFC 3339 in UTC with six fractional digits.",
    ),
    ("Date", "A day of the calendar, YYYY-MM-DD."),
    ("UUID", "A UUID in its hyphenated form."),
    ("Lsn", "A position in the log: two hexadecimal halves, `hi/lo`."),
    ("Cursor", "Opaque text from a paged answer."),
    ("JSON", "Any JSON value."),
    (
        "Empty",
        "The answer of an operation that has nothing to say: `{}`.",
    ),
];

/// Descriptions of the fields that every payload of a subscription has, as the server registers them.
#[derive(Debug)]
pub struct PayloadTexts;

impl PayloadTexts {
    pub const EVENT: &str = "Name of the event.";
    pub const DATA: &str = "What the event says.";
    pub const TIMESTAMP: &str = "When it happened.";
    pub const CURSOR: &str = "Where to go on behind this item.";
    pub const CONTROL: &str = "What is told beside the events; the event's own fields are null then.";
}

/// What a type refers to, beside GraphQL's own scalars.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    Scalar(&'static str),
    Type(String, Way),
}

/// A type without the final `!`, and what it uses.
#[derive(Debug, Clone)]
pub struct Written {
    pub text: String,
    /// Null is one of its values.
    pub takes_null: bool,
    pub uses: Use,
}

/// The type of a field or argument, `!` included.
pub fn of_field(model: &Model, field: &Field, way: Way) -> (String, Use) {
    let written = of(model, &field.ty, way);
    let mark = if field.required && !field.nullable && !written.takes_null {
        "!"
    } else {
        ""
    };
    (format!("{}{mark}", written.text), written.uses)
}

pub fn of(model: &Model, ty: &Ty, way: Way) -> Written {
    of_within(model, ty, way, &mut BTreeSet::new())
}

fn of_within<'a>(model: &'a Model, ty: &'a Ty, way: Way, aliases: &mut BTreeSet<&'a str>) -> Written {
    match ty {
        Ty::Array { items, .. } => {
            let items = of_within(model, items, way, aliases);
            let mark = if items.takes_null { "" } else { "!" };
            Written {
                text: format!("[{}{mark}]", items.text),
                takes_null: false,
                uses: items.uses,
            }
        }
        Ty::Ref(name) => match &model.ty(name).shape {
            Shape::Alias(ty) => {
                if aliases.insert(name) {
                    let written = of_within(model, ty, way, aliases);
                    aliases.remove(name.as_str());
                    written
                } else {
                    Written {
                        takes_null: true,
                        ..scalar("JSON")
                    }
                }
            }
            Shape::Object(object) if object.fields.is_empty() => scalar("Empty"),
            Shape::Enum(_) => Written {
                text: name.clone(),
                takes_null: false,
                uses: Use::Type(name.clone(), Way::Out),
            },
            _ => Written {
                text: type_name(name, way),
                takes_null: false,
                uses: Use::Type(name.clone(), way),
            },
        },
        Ty::Json => Written {
            takes_null: true,
            ..scalar("JSON")
        },
        Ty::Map { .. } => scalar("JSON"),
        Ty::Boolean => scalar("Boolean"),
        Ty::Integer(Integer { width, .. }) => match width {
            IntegerWidth::Int32 => scalar("Int"),
            IntegerWidth::Int53 => scalar("Int53"),
            IntegerWidth::UInt32 | IntegerWidth::UInt53 => scalar("UInt53"),
        },
        Ty::Number { .. } => scalar("Float"),
        Ty::Text(_) => scalar("String"),
        Ty::Id64 => scalar("Id64"),
        Ty::Decimal => scalar("Decimal"),
        Ty::Bytes { .. } => scalar("Bytes"),
        Ty::Timestamp => scalar("Timestamp"),
        Ty::Date => scalar("Date"),
        Ty::Uuid => scalar("UUID"),
        Ty::Lsn => scalar("Lsn"),
        Ty::Cursor => scalar("Cursor"),
    }
}

fn scalar(name: &'static str) -> Written {
    Written {
        text: name.to_owned(),
        takes_null: false,
        uses: Use::Scalar(name),
    }
}

pub fn type_name(name: &str, way: Way) -> String {
    match way {
        Way::In => names::graphql::input_type(name),
        Way::Out => name.to_owned(),
    }
}
