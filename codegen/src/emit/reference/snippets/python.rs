//! The call in Python: keyword arguments, in the types that the client declares.

use serde_json::{Map, Value};

use super::{saved, show_text};
use crate::model::{Example, Field, Model, Object, Operation, Shape, Ty};
use crate::names::python::Names;

const LINE_MAX: usize = 80;

pub fn call(model: &Model, names: &Names, operation: &Operation, example: &Example) -> String {
    let writer = Writer { model, names };
    let arguments: Vec<String> = match &example.input {
        Value::Object(map) => writer.arguments(&operation.input, model.input_fields(operation), map, 1),
        _ => Vec::new(),
    };
    let module = names.modules.get(&operation.module).unwrap_or(&operation.module);
    let method = names.methods.get(&operation.id).unwrap_or(&operation.name);
    let call = format!("client.{module}.{method}");
    if operation.output.is_none() {
        return format!("{call}{}", wrapped("(", ")", &arguments, call.len(), 0));
    }
    let call = format!("answer = {call}");
    format!(
        "{call}{}\nprint(answer)",
        wrapped("(", ")", &arguments, call.len(), 0)
    )
}

struct Writer<'a> {
    model: &'a Model,
    names: &'a Names,
}

impl Writer<'_> {
    fn arguments(
        &self,
        owner: &str,
        fields: &[Field],
        map: &Map<String, Value>,
        indent: usize,
    ) -> Vec<String> {
        fields
            .iter()
            .filter_map(|field| {
                let value = map.get(&field.name)?;
                let name = self
                    .names
                    .fields
                    .get(&format!("{owner}.{}", field.name))
                    .unwrap_or(&field.name);
                Some(format!("{name}={}", self.literal(&field.ty, value, indent)))
            })
            .collect()
    }

    fn literal(&self, ty: &Ty, value: &Value, indent: usize) -> String {
        if let Some(expression) = value.as_str().and_then(saved) {
            return expression;
        }
        match (ty, value) {
            (Ty::Array { items, .. }, Value::Array(list)) => {
                let list: Vec<String> = list
                    .iter()
                    .map(|item| self.literal(items, item, indent + 1))
                    .collect();
                wrapped("[", "]", &list, 0, indent)
            }
            (Ty::Map { values }, Value::Object(map)) => {
                let pairs = map.iter().map(|(key, value)| {
                    format!("{}: {}", quoted(key), self.literal(values, value, indent + 1))
                });
                wrapped("{", "}", &pairs.collect::<Vec<_>>(), 0, indent)
            }
            (Ty::Timestamp, Value::String(text)) => format!("datetime.fromisoformat({})", quoted(text)),
            (Ty::Date, Value::String(text)) => format!("date.fromisoformat({})", quoted(text)),
            (Ty::Decimal, Value::String(text)) => format!("Decimal({})", quoted(text)),
            (Ty::Uuid, Value::String(text)) => format!("UUID({})", quoted(text)),
            (Ty::Id64, Value::String(text)) => format!("Id64({text})"),
            (Ty::Lsn, Value::String(text)) => format!("Lsn({})", quoted(text)),
            (Ty::Cursor, Value::String(text)) => format!("Cursor({})", quoted(text)),
            (Ty::Bytes { .. }, Value::String(text)) => format!("b64decode({})", quoted(text)),
            (Ty::Ref(name), _) => self.named(name, value, indent),
            _ => free(value, indent),
        }
    }

    fn named(&self, name: &str, value: &Value, indent: usize) -> String {
        match (&self.model.ty(name).shape, value) {
            (Shape::Object(object), Value::Object(map)) => {
                let class = self.names.types.get(name).map_or(name, String::as_str);
                self.constructed(class, name, object, map, indent)
            }
            (Shape::Union(union), Value::Object(map)) => {
                let tag = map.get(&union.tag).and_then(Value::as_str).unwrap_or_default();
                let variant = union.variants.iter().find(|variant| variant.value == tag);
                match variant.map(|variant| (variant, &self.model.ty(&variant.target).shape)) {
                    Some((variant, Shape::Object(object))) => {
                        let class = self.names.variants.get(&format!("{name}.{tag}"));
                        let class = class.map_or(variant.target.as_str(), |class| class.name());
                        self.constructed(class, &variant.target, object, map, indent)
                    }
                    _ => free(value, indent),
                }
            }
            // Aliases of aliases are followed once, what is behind them as a free value: one that stands for
            // itself would go round for ever.
            (Shape::Alias(Ty::Ref(_)), _) => free(value, indent),
            (Shape::Alias(ty), _) => self.literal(ty, value, indent),
            (Shape::Enum(_), Value::String(text)) => {
                let class = self.names.types.get(name).map_or(name, String::as_str);
                match self.names.values.get(&format!("{name}.{text}")) {
                    Some(member) => format!("{class}.{member}"),
                    None => quoted(text),
                }
            }
            _ => free(value, indent),
        }
    }

    fn constructed(
        &self,
        class: &str,
        name: &str,
        object: &Object,
        map: &Map<String, Value>,
        indent: usize,
    ) -> String {
        let arguments = self.arguments(name, &object.fields, map, indent + 1);
        wrapped(&format!("{class}("), ")", &arguments, 0, indent)
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
