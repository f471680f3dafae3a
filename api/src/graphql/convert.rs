//! Between GraphQL's values and the contract's JSON: names change case, enumerations too, unions change shape.

use async_graphql::dynamic::FieldValue;
use async_graphql::{Name, Value as GraphqlValue};
use rustydb_contract::descriptor::{FieldDesc, ObjectDesc, Shape, Ty, TypeDesc, UnionDesc};
use rustydb_contract::names::{camel, enum_value};
use serde_json::{Map, Value};

/// Arguments of a field to the operation's input; an argument left out stays out.
pub fn input(
    fields: &'static [FieldDesc],
    given: impl Fn(&str) -> Option<GraphqlValue>,
) -> Map<String, Value> {
    let mut map = Map::new();
    for field in fields {
        if let Some(value) = given(&camel(field.name)) {
            map.insert(field.name.to_owned(), input_value(&value, &field.ty));
        }
    }
    map
}

/// What does not fit the type is passed on as it is, for validation to refuse by name.
fn input_value(value: &GraphqlValue, ty: &'static Ty) -> Value {
    match (value, ty.resolved()) {
        (GraphqlValue::List(items), Ty::Array { items: item, .. }) => {
            Value::Array(items.iter().map(|value| input_value(value, item)).collect())
        }
        // GraphQL takes a single value for a list of one.
        (value, Ty::Array { items, .. }) if *value != GraphqlValue::Null => {
            Value::Array(vec![input_value(value, items)])
        }
        (value, Ty::Ref(desc)) => named_input(value, desc),
        (value, _) => plain(value),
    }
}

fn named_input(value: &GraphqlValue, desc: &'static TypeDesc) -> Value {
    match (&desc.shape, value) {
        (Shape::Object(object), GraphqlValue::Object(map)) => Value::Object(object_input(map, object)),
        (Shape::Union(union), GraphqlValue::Object(map)) => union_input(map, union),
        (Shape::Enum(values), GraphqlValue::Enum(name)) => enum_input(values, name),
        (Shape::Enum(values), GraphqlValue::String(name)) => enum_input(values, name),
        _ => plain(value),
    }
}

fn object_input(map: &indexmap_of::Map, object: &'static ObjectDesc) -> Map<String, Value> {
    input(object.fields, |name| map.get(name).cloned())
}

fn union_input(map: &indexmap_of::Map, union: &'static UnionDesc) -> Value {
    let given = union
        .variants
        .iter()
        .find_map(|variant| Some((variant, map.get(camel(variant.value).as_str())?)));
    let mut out = Map::new();
    if let Some((variant, value)) = given {
        out.insert(union.tag.to_owned(), variant.value.into());
        if let Value::Object(fields) = named_input(value, variant.target) {
            out.extend(fields);
        }
    }
    Value::Object(out)
}

fn enum_input(values: &[&str], name: &str) -> Value {
    let wire = values.iter().find(|value| enum_value(value) == *name);
    wire.map_or_else(|| name.into(), |value| (*value).into())
}

fn plain(value: &GraphqlValue) -> Value {
    value.clone().into_json().unwrap_or(Value::Null)
}

/// A part of an answer as the resolver of its field returns it; `None` is GraphQL's null.
pub fn output<'a>(value: &'a Value, ty: &'static Ty) -> Option<FieldValue<'a>> {
    if value.is_null() {
        return None;
    }
    Some(match ty.resolved() {
        Ty::Array { items, .. } => match value.as_array() {
            Some(list) => FieldValue::list(
                list.iter()
                    .map(|value| output(value, items).unwrap_or(FieldValue::NULL)),
            ),
            None => FieldValue::NULL,
        },
        Ty::Ref(desc) => named_output(value, desc),
        _ => FieldValue::value(GraphqlValue::from_json(value.clone()).unwrap_or_default()),
    })
}

/// A part of a named type. Objects are borrowed: their fields resolve from the same JSON.
pub fn named_output<'a>(value: &'a Value, desc: &'static TypeDesc) -> FieldValue<'a> {
    match &desc.shape {
        Shape::Object(object) if object.fields.is_empty() => {
            FieldValue::value(GraphqlValue::Object(Default::default()))
        }
        Shape::Object(_) => FieldValue::borrowed_any(value),
        Shape::Union(union) => {
            let tag = value.get(union.tag).and_then(Value::as_str);
            match union.variants.iter().find(|variant| Some(variant.value) == tag) {
                Some(variant) => FieldValue::borrowed_any(value).with_type(variant.target.name),
                None => FieldValue::NULL,
            }
        }
        Shape::Enum(_) => FieldValue::value(GraphqlValue::Enum(Name::new(enum_value(
            value.as_str().unwrap_or_default(),
        )))),
        Shape::Alias(ty) => output(value, ty).unwrap_or(FieldValue::NULL),
    }
}

mod indexmap_of {
    /// The object type of GraphQL's values.
    pub type Map = async_graphql::indexmap::IndexMap<async_graphql::Name, async_graphql::Value>;
}
