//! The call in Rust: a literal of the contract crate's input type.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{saved, show_text, shown};
use crate::emit::rust::{Holding, holding};
use crate::model::{Example, Model, Object, Operation, Shape, Ty};
use crate::names;

pub fn call(model: &Model, operation: &Operation, example: &Example) -> String {
    let mut writer = Writer {
        model,
        open: BTreeSet::new(),
        free: Vec::new(),
    };
    let (module, name) = (
        names::rust::value(&operation.module),
        names::rust::value(&operation.name),
    );
    let (input, argument) = if model.input_fields(operation).is_empty() {
        (String::new(), "")
    } else {
        let input = writer.named(&operation.input, &example.input);
        (format!("let input = {input};"), "&input")
    };
    let call = format!("client.{module}().{name}({argument}).await?;");
    let statements = match operation.output {
        Some(_) => format!("fn example() {{ {input} let answer = {call} println!(\"{{answer:?}}\"); }}"),
        None => format!("fn example() {{ {input} {call} }}"),
    };
    let mut code = formatted(&statements);
    for (index, text) in writer.free.iter().enumerate() {
        code = code.replacen(&placeholder(index), &format!("json!({text})"), 1);
    }
    code
}

/// Stands for a free value while the code is laid out: the layout of a macro's tokens is not.
fn placeholder(index: usize) -> String {
    format!("free_value_{index}_of_the_example")
}

/// The body of a function as rustfmt would lay it out; as it was made where it does not parse.
fn formatted(function: &str) -> String {
    let Ok(parsed) = syn::parse_str::<syn::File>(function) else {
        return function.to_owned();
    };
    let text = prettyplease::unparse(&parsed);
    let lines: Vec<&str> = text.lines().collect();
    let body = lines.get(1..lines.len().saturating_sub(1)).unwrap_or_default();
    let body: Vec<&str> = body
        .iter()
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect();
    body.join("\n")
}

struct Writer<'a> {
    model: &'a Model,
    /// Types being written: one that contains itself is boxed, and left to serde.
    open: BTreeSet<&'a str>,
    /// Texts of free values, by placeholder.
    free: Vec<String>,
}

impl<'a> Writer<'a> {
    fn ty(&mut self, ty: &'a Ty, value: &Value) -> String {
        if let Some(expression) = value.as_str().and_then(saved) {
            let copied = matches!(ty, Ty::Id64 | Ty::Timestamp | Ty::Date | Ty::Uuid | Ty::Lsn);
            return if copied {
                expression
            } else {
                format!("{expression}.clone()")
            };
        }
        match (ty, value) {
            (Ty::Boolean | Ty::Integer(_), _) => value.to_string(),
            (Ty::Number { .. }, _) => value
                .as_f64()
                .map_or_else(|| value.to_string(), |number| format!("{number:?}")),
            (Ty::Text(_), Value::String(text)) => format!("{:?}.to_owned()", show_text(text)),
            (Ty::Cursor, Value::String(text)) => format!("Cursor({text:?}.to_owned())"),
            (
                Ty::Id64 | Ty::Decimal | Ty::Bytes { .. } | Ty::Timestamp | Ty::Date | Ty::Uuid | Ty::Lsn,
                Value::String(text),
            ) => format!("{text:?}.parse()?"),
            (Ty::Array { items, .. }, Value::Array(list)) => {
                let list: Vec<String> = list.iter().map(|item| self.ty(items, item)).collect();
                if list.is_empty() {
                    "Vec::new()".to_owned()
                } else {
                    format!("Vec::from([{}])", list.join(", "))
                }
            }
            (Ty::Json, _) => self.json(value),
            (Ty::Map { values }, Value::Object(map)) => {
                let pairs: Vec<String> = map
                    .iter()
                    .map(|(key, value)| format!("({key:?}.to_owned(), {})", self.ty(values, value)))
                    .collect();
                format!("Map::from_iter([{}])", pairs.join(", "))
            }
            (Ty::Ref(name), _) => self.named(name, value),
            _ => self.by_serde(value),
        }
    }

    fn named(&mut self, name: &'a str, value: &Value) -> String {
        if !self.open.insert(name) {
            return self.by_serde(value);
        }
        let model = self.model;
        let type_name = names::rust::type_name(name);
        let text = match (&model.ty(name).shape, value) {
            (Shape::Object(object), Value::Object(map)) => self.object(&type_name, object, map),
            (Shape::Enum(values), Value::String(text)) if values.contains(text) => {
                format!("{type_name}::{}", names::rust::variant(text))
            }
            (Shape::Union(union), Value::Object(map)) => {
                let tag = map.get(&union.tag).and_then(Value::as_str);
                let variant = union.variants.iter().find(|variant| tag == Some(&variant.value));
                match variant.map(|variant| (variant, &model.ty(&variant.target).shape)) {
                    Some((variant, Shape::Object(object)))
                        if !self.open.contains(variant.target.as_str()) =>
                    {
                        let target = names::rust::type_name(&variant.target);
                        let inner = self.object(&target, object, map);
                        format!("{type_name}::{}({inner})", names::rust::variant(&variant.value))
                    }
                    _ => self.by_serde(value),
                }
            }
            (Shape::Alias(ty), _) => self.ty(ty, value),
            _ => self.by_serde(value),
        };
        self.open.remove(name);
        text
    }

    fn object(&mut self, type_name: &str, object: &'a Object, map: &Map<String, Value>) -> String {
        let derives_default = object.fields.iter().all(|field| !field.required);
        let mut members = Vec::new();
        let mut absent = false;
        for field in &object.fields {
            let holding = holding(self.model, field);
            let value = match (map.get(&field.name), holding) {
                (None, _) if derives_default => {
                    absent = true;
                    continue;
                }
                (None, Holding::TriState) => "Presence::Absent".to_owned(),
                (None, _) => "None".to_owned(),
                (Some(Value::Null), Holding::Nullable) => "None".to_owned(),
                (Some(Value::Null), Holding::TriState) if field.nullable => "Presence::Null".to_owned(),
                (Some(value), Holding::Plain) => self.ty(&field.ty, value),
                (Some(value), Holding::TriState) => format!("Presence::Value({})", self.ty(&field.ty, value)),
                (Some(value), _) => format!("Some({})", self.ty(&field.ty, value)),
            };
            members.push(format!("{}: {value}", names::rust::value(&field.name)));
        }
        if absent {
            members.push("..Default::default()".to_owned());
        }
        if members.len() == 1 && absent {
            return format!("{type_name}::default()");
        }
        format!("{type_name} {{ {} }}", members.join(", "))
    }

    fn json(&mut self, value: &Value) -> String {
        self.free.push(shown(value).to_string());
        placeholder(self.free.len() - 1)
    }

    fn by_serde(&mut self, value: &Value) -> String {
        format!("serde_json::from_value({})?", self.json(value))
    }
}
