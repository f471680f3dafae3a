//! The call in Python: keyword arguments, in the types that the client declares.

use serde_json::{Map, Value};

use super::{saved, show_text};
use crate::model::{Example, Field, Model, Object, Operation, Shape, Ty};
use crate::names;

const LINE_MAX: usize = 80;

/// Words that can't name an argument.
const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
    "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

pub fn call(model: &Model, operation: &Operation, example: &Example) -> String {
    let fields = model.input_fields(operation);
    let arguments: Vec<String> = match &example.input {
        Value::Object(map) => arguments(model, fields, map, 1),
        _ => Vec::new(),
    };
    let call = format!(
        "answer = client.{}.{}",
        word(&operation.module),
        word(&operation.name)
    );
    format!(
        "{call}{}\nprint(answer)",
        wrapped("(", ")", &arguments, call.len(), 0)
    )
}

fn arguments(model: &Model, fields: &[Field], map: &Map<String, Value>, indent: usize) -> Vec<String> {
    fields
        .iter()
        .filter_map(|field| {
            let value = map.get(&field.name)?;
            Some(format!(
                "{}={}",
                word(&field.name),
                literal(model, &field.ty, value, indent)
            ))
        })
        .collect()
}

fn literal(model: &Model, ty: &Ty, value: &Value, indent: usize) -> String {
    if let Some(expression) = value.as_str().and_then(saved) {
        return expression;
    }
    match (ty, value) {
        (Ty::Array { items, .. }, Value::Array(list)) => {
            let list: Vec<String> = list
                .iter()
                .map(|item| literal(model, items, item, indent + 1))
                .collect();
            wrapped("[", "]", &list, 0, indent)
        }
        (Ty::Map { values }, Value::Object(map)) => {
            let pairs = map.iter().map(|(key, value)| {
                format!("{}: {}", quoted(key), literal(model, values, value, indent + 1))
            });
            wrapped("{", "}", &pairs.collect::<Vec<_>>(), 0, indent)
        }
        (Ty::Timestamp, Value::String(text)) => {
            format!("datetime.fromisoformat({})", quoted(text))
        }
        (Ty::Date, Value::String(text)) => {
            format!("date.fromisoformat({})", quoted(text))
        }
        (Ty::Decimal, Value::String(text)) => format!("Decimal({})", quoted(text)),
        (Ty::Uuid, Value::String(text)) => format!("UUID({})", quoted(text)),
        (Ty::Bytes { .. }, Value::String(text)) => format!("b64decode({})", quoted(text)),
        (Ty::Ref(name), _) => named(model, name, value, indent),
        _ => free(value, indent),
    }
}

fn named(model: &Model, name: &str, value: &Value, indent: usize) -> String {
    let construct = |type_name: &str, object: &Object, map: &Map<String, Value>| {
        wrapped(
            &format!("{type_name}("),
            ")",
            &arguments(model, &object.fields, map, indent + 1),
            0,
            indent,
        )
    };
    match (&model.ty(name).shape, value) {
        (Shape::Object(object), Value::Object(map)) => construct(name, object, map),
        (Shape::Union(union), Value::Object(map)) => {
            let tag = map.get(&union.tag).and_then(Value::as_str);
            let variant = union.variants.iter().find(|variant| tag == Some(&variant.value));
            match variant.map(|variant| (variant, &model.ty(&variant.target).shape)) {
                Some((variant, Shape::Object(object))) => construct(&variant.target, object, map),
                _ => free(value, indent),
            }
        }
        // A value bottoms out before an alias that stands for itself could go round for ever: aliases of
        // aliases are followed once, what is behind them as a free value.
        (Shape::Alias(Ty::Ref(_)), _) => free(value, indent),
        (Shape::Alias(ty), _) => literal(model, ty, value, indent),
        (Shape::Enum(_), Value::String(text)) => format!("{name}.{}", names::upper_snake(text)),
        _ => free(value, indent),
    }
}

fn free(value: &Value, indent: usize) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => saved(text).unwrap_or_else(|| quoted(text)),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| free(item, indent + 1)).collect();
            wrapped("[", "]", &items, 0, indent)
        }
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), free(value, indent + 1)));
            wrapped("{", "}", &pairs.collect::<Vec<_>>(), 0, indent)
        }
    }
}

/// On one line where it fits, else one item a line.
fn wrapped(open: &str, close: &str, items: &[String], before: usize, indent: usize) -> String {
    let line = items.join(", ");
    if before + indent * 4 + line.len() <= LINE_MAX && !line.contains('\n') {
        return format!("{open}{line}{close}");
    }
    let inner = "    ".repeat(indent + 1);
    let lines: String = items.iter().map(|item| format!("{inner}{item},\n")).collect();
    format!("{open}\n{lines}{}{close}", "    ".repeat(indent))
}

/// JSON's text literals are Python's.
fn quoted(text: &str) -> String {
    Value::from(show_text(text)).to_string()
}

fn word(name: &str) -> String {
    if KEYWORDS.contains(&name) {
        format!("{name}_")
    } else {
        name.to_owned()
    }
}
