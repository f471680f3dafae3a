//! Replaces what differs between two runs of the same calls, by its type.

use codegen::model::{Field, Integer, Operation, Shape, Ty};
use serde_json::{Map, Value, json};

use crate::harness::contract::model;
use crate::harness::error::Answer;

/// Aliases whose values belong to one run, or to one build.
const RUN_TYPES: &[&str] = &[
    "ActiveOperator",
    "ClientAddress",
    "ContractMembers",
    "GeneratedId",
    "KeyMaterial",
    "LogCommit",
    "LogPosition",
    "MachinePath",
    "MeasuredBytes",
    "MeasuredCount",
    "MeasuredMilliseconds",
    "MeasuredPercent",
    "MeasuredRate",
    "MeasuredRatio",
    "PageChecksum",
    "PageImage",
    "PageLsn",
    "PageNumber",
    "ProcessId",
    "TablespaceNumber",
];

/// Ends of names of integers that are durations.
const DURATION_SUFFIXES: &[&str] = &["_us", "_ms", "_seconds"];

/// An answer with its masks.
pub struct Masked {
    pub value: Value,
    pub count: usize,
}

impl Masked {
    pub fn answer(operation: &'static Operation, answer: &Answer) -> Masked {
        let mut masked = Masked {
            value: Value::Null,
            count: 0,
        };
        masked.value = match (answer, &operation.output) {
            (Ok(output), Some(name)) => masked.named(output, name),
            (Ok(output), None) => output.clone(),
            (Err(error), _) => json!({"code": error.code, "status": error.status, "details": error.details}),
        };
        masked
    }

    /// A value of a named type.
    pub fn of(value: &Value, type_name: &str) -> Masked {
        let mut masked = Masked {
            value: Value::Null,
            count: 0,
        };
        masked.value = masked.named(value, type_name);
        masked
    }

    fn mask(&mut self) -> Value {
        self.count += 1;
        Value::from("<masked>")
    }

    fn named(&mut self, value: &Value, name: &str) -> Value {
        if RUN_TYPES.contains(&name) {
            return self.mask();
        }
        match (&model().ty(name).shape, value) {
            (Shape::Object(object), Value::Object(map)) => self.fields(map, &object.fields),
            (Shape::Union(union), Value::Object(map)) => {
                let tag = map.get(&union.tag).and_then(Value::as_str);
                let variant = union.variants.iter().find(|variant| tag == Some(&variant.value));
                match variant.map(|variant| &model().ty(&variant.target).shape) {
                    Some(Shape::Object(object)) => self.fields(map, &object.fields),
                    _ => value.clone(),
                }
            }
            (Shape::Alias(ty), _) => self.typed(value, ty),
            _ => value.clone(),
        }
    }

    fn fields(&mut self, map: &Map<String, Value>, fields: &'static [Field]) -> Value {
        let masked = map.iter().map(|(key, value)| {
            let value = match fields.iter().find(|field| field.name == *key) {
                Some(field) if field.sensitive || is_duration(field) => self.mask(),
                Some(field) => self.typed(value, &field.ty),
                None => value.clone(),
            };
            (key.clone(), value)
        });
        Value::Object(masked.collect())
    }

    fn typed(&mut self, value: &Value, ty: &'static Ty) -> Value {
        match (ty, value) {
            (_, Value::Null) => Value::Null,
            (Ty::Timestamp | Ty::Id64 | Ty::Cursor, _) => self.mask(),
            (Ty::Array { items, .. }, Value::Array(list)) => {
                list.iter().map(|item| self.typed(item, items)).collect()
            }
            (Ty::Ref(name), _) => self.named(value, name),
            // JavaScript writes 10.0 as 10.
            (Ty::Number { .. }, Value::Number(number)) => json!(number.as_f64()),
            _ => value.clone(),
        }
    }
}

fn is_duration(field: &Field) -> bool {
    matches!(&field.ty, Ty::Integer(Integer { unit, .. })
        if unit.is_some() || DURATION_SUFFIXES.iter().any(|suffix| field.name.ends_with(suffix)))
}
