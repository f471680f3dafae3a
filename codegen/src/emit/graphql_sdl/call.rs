//! A call as a GraphQL document with its variables.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::types::{self, Way};
use crate::model::{Field, Kind, Model, Object, Operation, Shape, StreamClass, Ty, Union, View};
use crate::names;
use crate::resolve::CONTROL_TYPE;

/// How deep a document selects into the answer.
const DEPTH_MAX: usize = 5;

/// The document that makes the call and selects its whole answer, down to a depth.
pub fn document(model: &Model, operation: &Operation, input: &Value) -> String {
    let word = if operation.kind == Kind::Query {
        "query"
    } else {
        "mutation"
    };
    let output = operation.output.as_ref().map(|name| Ty::Ref(name.clone()));
    let selection = output.map_or_else(String::new, |ty| {
        Selection {
            model,
            stack: Vec::new(),
        }
        .of(&ty, 1)
    });
    written(model, word, operation, input, &selection)
}

/// The document that opens a view and selects all that comes of it, down to a depth.
pub fn subscription(model: &Model, view: &View, input: &Value) -> String {
    let event = view.event_type();
    let ty = Ty::Ref(event.clone());
    let mut selection = Selection {
        model,
        stack: Vec::new(),
    };
    let mut lines = match &model.ty(&event).shape {
        Shape::Object(object) => {
            selection.stack.push(&event);
            selection.fields(object, &BTreeSet::new(), "", 2)
        }
        _ => format!("    event\n    data{}\n", selection.of(&ty, 2)),
    };
    lines += "    timestamp\n";
    if view.class == StreamClass::Changes {
        lines += "    cursor\n";
    }
    let control = Ty::Ref(CONTROL_TYPE.to_owned());
    selection.stack.clear();
    lines += &format!("    control{}\n", selection.of(&control, 2));
    written(
        model,
        "subscription",
        &view.open,
        input,
        &format!(" {{\n{lines}  }}"),
    )
}

/// A document of one field with what is given to it as variables.
fn written(model: &Model, word: &str, operation: &Operation, input: &Value, selection: &str) -> String {
    let given: Vec<&Field> = model
        .input_fields(operation)
        .iter()
        .filter(|field| input.get(&field.name).is_some())
        .collect();
    let mut variables = Vec::new();
    let mut arguments = Vec::new();
    for field in given {
        let name = names::graphql::field(&field.name);
        let (ty, _) = types::of_field(model, field, Way::In);
        variables.push(format!("${name}: {ty}"));
        arguments.push(format!("{name}: ${name}"));
    }
    let list = |parts: Vec<String>| {
        if parts.is_empty() {
            String::new()
        } else {
            format!("({})", parts.join(", "))
        }
    };
    format!(
        "{word} {}{} {{\n  {}{}{selection}\n}}",
        names::pascal(&operation.graphql),
        list(variables),
        operation.graphql,
        list(arguments),
    )
}

/// The input of a call as GraphQL variables.
pub fn variables(model: &Model, operation: &Operation, input: &Value) -> Value {
    let fields = model.input_fields(operation).iter();
    let members = fields.filter_map(|field| {
        let value = input.get(&field.name)?;
        Some((
            names::graphql::field(&field.name),
            to_graphql(model, &field.ty, value),
        ))
    });
    Value::Object(members.collect())
}

/// A value of the wire as a GraphQL input value: names in camelCase, enumerations in UPPER_SNAKE, unions as
/// `@oneOf` objects.
pub fn to_graphql(model: &Model, ty: &Ty, value: &Value) -> Value {
    match (ty, value) {
        (Ty::Array { items, .. }, Value::Array(list)) => {
            list.iter().map(|item| to_graphql(model, items, item)).collect()
        }
        (Ty::Ref(name), _) => named_to_graphql(model, name, value),
        _ => value.clone(),
    }
}

fn named_to_graphql(model: &Model, name: &str, value: &Value) -> Value {
    match (&model.ty(name).shape, value) {
        (Shape::Object(object), Value::Object(map)) => Value::Object(members(model, object, map, None)),
        (Shape::Enum(values), Value::String(text)) if values.contains(text) => {
            Value::from(names::graphql::enum_value(text))
        }
        (Shape::Union(union), Value::Object(map)) => union_to_graphql(model, union, map),
        (Shape::Alias(ty), _)
            if types::of(model, &Ty::Ref(name.to_owned()), Way::In)
                .text
                .contains("JSON") =>
        {
            // Free values stay as they are, and an alias that stands for itself is one.
            let _ = ty;
            value.clone()
        }
        (Shape::Alias(ty), _) => to_graphql(model, ty, value),
        _ => value.clone(),
    }
}

fn union_to_graphql(model: &Model, union: &Union, map: &Map<String, Value>) -> Value {
    let tag = map.get(&union.tag).and_then(Value::as_str);
    let variant = union.variants.iter().find(|variant| tag == Some(&variant.value));
    match variant.map(|variant| (variant, &model.ty(&variant.target).shape)) {
        Some((variant, Shape::Object(object))) => {
            let inner = Value::Object(members(model, object, map, Some(&union.tag)));
            Value::Object(Map::from_iter([(names::graphql::field(&variant.value), inner)]))
        }
        _ => Value::Object(map.clone()),
    }
}

fn members(
    model: &Model,
    object: &Object,
    map: &Map<String, Value>,
    tag: Option<&str>,
) -> Map<String, Value> {
    map.iter()
        .filter(|(key, _)| tag != Some(key.as_str()))
        .map(
            |(key, value)| match object.fields.iter().find(|field| field.name == *key) {
                Some(field) => (names::graphql::field(key), to_graphql(model, &field.ty, value)),
                None => (key.clone(), value.clone()),
            },
        )
        .collect()
}

struct Selection<'a> {
    model: &'a Model,
    /// Types being selected: a recursive type is selected once.
    stack: Vec<&'a str>,
}

impl<'a> Selection<'a> {
    /// ` { ... }` of an object or union; nothing of a scalar.
    fn of(&mut self, ty: &'a Ty, indent: usize) -> String {
        let Some(name) = self.composite(ty) else {
            return String::new();
        };
        self.stack.push(name);
        let lines = match &self.model.ty(name).shape {
            Shape::Object(object) => self.fields(object, &BTreeSet::new(), "", indent + 1),
            Shape::Union(union) => self.variants(union, indent + 1),
            _ => String::new(),
        };
        self.stack.pop();
        let spaces = "  ".repeat(indent);
        let lines = if lines.is_empty() {
            format!("{spaces}  __typename\n")
        } else {
            lines
        };
        format!(" {{\n{lines}{spaces}}}")
    }

    fn fields(
        &mut self,
        object: &'a Object,
        aliased: &BTreeSet<String>,
        variant: &str,
        indent: usize,
    ) -> String {
        let mut lines = String::new();
        for field in &object.fields {
            if let Some(name) = self.composite(&field.ty)
                && (self.stack.contains(&name) || self.stack.len() >= DEPTH_MAX)
            {
                continue;
            }
            let name = names::graphql::field(&field.name);
            let alias = if aliased.contains(&name) {
                format!("{}: ", names::camel(&format!("{variant}_{}", field.name)))
            } else {
                String::new()
            };
            let selection = self.of(&field.ty, indent);
            lines += &format!("{}{alias}{name}{selection}\n", "  ".repeat(indent));
        }
        lines
    }

    fn variants(&mut self, union: &'a Union, indent: usize) -> String {
        let aliased = self.clashes(union);
        let spaces = "  ".repeat(indent);
        let mut lines = format!("{spaces}__typename\n");
        for variant in &union.variants {
            let Shape::Object(object) = &self.model.ty(&variant.target).shape else {
                continue;
            };
            let fields = self.fields(object, &aliased, &variant.value, indent + 1);
            if !fields.is_empty() {
                lines += &format!("{spaces}... on {} {{\n{fields}{spaces}}}\n", variant.target);
            }
        }
        lines
    }

    /// Fields that variants have with different types: one answer can't hold both under one name.
    fn clashes(&self, union: &Union) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for variant in &union.variants {
            let Shape::Object(object) = &self.model.ty(&variant.target).shape else {
                continue;
            };
            for field in &object.fields {
                let (ty, _) = types::of_field(self.model, field, Way::Out);
                seen.entry(names::graphql::field(&field.name))
                    .or_default()
                    .insert(ty);
            }
        }
        seen.into_iter()
            .filter(|(_, types)| types.len() > 1)
            .map(|(name, _)| name)
            .collect()
    }

    /// The object or union at the bottom of arrays and aliases.
    fn composite(&self, ty: &'a Ty) -> Option<&'a str> {
        let mut ty = ty;
        for _ in 0..=self.model.types.len() {
            match ty {
                Ty::Array { items, .. } => ty = items,
                Ty::Ref(name) => match &self.model.ty(name).shape {
                    Shape::Alias(next) => ty = next,
                    Shape::Object(object) if object.fields.is_empty() => return None,
                    Shape::Enum(_) => return None,
                    _ => return Some(name),
                },
                _ => return None,
            }
        }
        None
    }
}
