//! Wrong values by type: for each way in which a value of a type can be wrong, one such value.

use codegen::model::{Field, Integer, Object, Shape, Text, Ty, Union};
use serde_json::{Map, Value, json};

use crate::harness::contract::model;

/// How deep into recursive types (a filter holds filters) wrong values are looked for.
const DEPTH_MAX: usize = 5;

/// What is wrong with a value that is no list where there must be one.
pub const NO_LIST: &str = "a number for a list";

/// A value that is wrong at one place.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// Path of the place below the value, each step with a leading dot; empty for the value itself.
    pub at: String,
    pub what: &'static str,
    pub value: Value,
}

impl Wrong {
    fn here(what: &'static str, value: Value) -> Wrong {
        Wrong {
            at: String::new(),
            what,
            value,
        }
    }

    /// The same fault within a larger value.
    fn within(self, step: &str, place: impl FnOnce(Value) -> Value) -> Wrong {
        Wrong {
            at: format!(".{step}{}", self.at),
            what: self.what,
            value: place(self.value),
        }
    }
}

/// Wrong values of a type.
pub fn wrong(ty: &Ty, depth: usize) -> Vec<Wrong> {
    if depth > DEPTH_MAX {
        return Vec::new();
    }
    let mut list = match ty {
        Ty::Json => Vec::new(),
        Ty::Boolean => vec![Wrong::here("a number for a boolean", json!(7))],
        Ty::Integer(integer) => wrong_integer(integer),
        Ty::Number { minimum, maximum } => wrong_number(*minimum, *maximum),
        Ty::Text(text) => wrong_text(text),
        Ty::Id64 => texts(&["x", "-1", "18446744073709551616", ""]),
        Ty::Decimal => texts(&["x", "1e", ""]),
        Ty::Bytes { .. } => texts(&["*", "YQ"]),
        Ty::Timestamp => texts(&["yesterday", "2026-02-30T00:00:00Z"]),
        Ty::Date => texts(&["yesterday", "2026-02-30"]),
        Ty::Uuid => texts(&["x"]),
        Ty::Lsn => texts(&["x"]),
        Ty::Cursor => vec![Wrong::here("a number for text", json!(7))],
        Ty::Array { items, min, max } => wrong_list(items, *min, *max, depth),
        Ty::Map { values } => wrong_map(values, depth),
        Ty::Ref(name) => return wrong_named(name, depth),
    };
    list.retain(|wrong| !wrong.at.is_empty() || !wrong.value.is_null());
    list
}

fn texts(list: &[&str]) -> Vec<Wrong> {
    let mut wrong = vec![Wrong::here("a number for text", json!(7))];
    wrong.extend(list.iter().map(|text| Wrong::here("malformed text", json!(text))));
    wrong
}

fn wrong_integer(integer: &Integer) -> Vec<Wrong> {
    let mut list = vec![
        Wrong::here("text for an integer", json!("x")),
        Wrong::here(
            "a fraction for an integer",
            json!(integer.minimum.max(0) as f64 + 1.5),
        ),
        Wrong::here("above the maximum", json!(integer.maximum + 1)),
    ];
    if let Some(below) = integer.minimum.checked_sub(1) {
        list.push(Wrong::here("below the minimum", json!(below)));
    }
    list
}

fn wrong_number(minimum: Option<f64>, maximum: Option<f64>) -> Vec<Wrong> {
    let mut list = vec![Wrong::here("text for a number", json!("x"))];
    list.extend(minimum.map(|minimum| Wrong::here("below the minimum", json!(minimum - 1.0))));
    list.extend(maximum.map(|maximum| Wrong::here("above the maximum", json!(maximum + 1.0))));
    list
}

fn wrong_text(text: &Text) -> Vec<Wrong> {
    let mut list = vec![
        Wrong::here("a number for text", json!(7)),
        Wrong::here("a list for text", json!([["x"]])),
    ];
    if text.min_length.is_some_and(|min| min > 0) {
        list.push(Wrong::here(
            "too short",
            json!("a".repeat(text.min_length.unwrap() as usize - 1)),
        ));
    }
    if let Some(max) = text.max_length {
        list.push(Wrong::here("too long", json!("a".repeat(max as usize + 1))));
    }
    if text.pattern.is_some() {
        // No pattern of the contract takes spaces; one that does makes this test fail, and wants another value.
        list.push(Wrong::here("against the pattern", json!("no pattern takes this")));
    }
    list
}

fn wrong_list(items: &Ty, min: Option<u32>, max: Option<u32>, depth: usize) -> Vec<Wrong> {
    let mut list = vec![Wrong::here(NO_LIST, json!(7))];
    if min.is_some_and(|min| min > 0) {
        let few = vec![sample(items); min.unwrap() as usize - 1];
        list.push(Wrong::here("too few items", Value::Array(few)));
    }
    if let Some(max) = max {
        list.push(Wrong::here(
            "too many items",
            Value::Array(vec![sample(items); max as usize + 1]),
        ));
    }
    let least = min.unwrap_or(0).max(1) as usize;
    for wrong in wrong(items, depth + 1) {
        let at = least - 1;
        list.push(wrong.within(&at.to_string(), |value| {
            let mut all = vec![sample(items); least];
            all[at] = value;
            Value::Array(all)
        }));
    }
    list
}

fn wrong_map(values: &Ty, depth: usize) -> Vec<Wrong> {
    let mut list = vec![Wrong::here("a number for an object", json!(7))];
    for wrong in wrong(values, depth + 1) {
        list.push(wrong.within("key", |value| json!({"key": value})));
    }
    list
}

fn wrong_named(name: &str, depth: usize) -> Vec<Wrong> {
    match &model().ty(name).shape {
        Shape::Alias(ty) => wrong(ty, depth),
        Shape::Enum(_) => vec![
            Wrong::here("a number for a name", json!(7)),
            Wrong::here("a foreign value", json!("no_such_value")),
        ],
        Shape::Object(object) => {
            let mut list = vec![Wrong::here("a number for an object", json!(7))];
            list.extend(wrong_object(object, &sample_object(object), depth));
            list
        }
        Shape::Union(union) => wrong_union(union, depth),
    }
}

fn wrong_object(object: &Object, sample: &Map<String, Value>, depth: usize) -> Vec<Wrong> {
    let with = |name: &str, value: Value| {
        let mut map = sample.clone();
        map.insert(name.to_owned(), value);
        Value::Object(map)
    };
    let mut list = vec![Wrong {
        at: ".no_such_field".to_owned(),
        what: "an unknown field",
        value: with("no_such_field", json!(1)),
    }];
    if let [first, second, ..] = object.exactly_one_of.as_slice() {
        let ty = |name: &str| &object.fields.iter().find(|field| field.name == name).unwrap().ty;
        let both = Map::from_iter([
            (first.clone(), self::sample(ty(first))),
            (second.clone(), self::sample(ty(second))),
        ]);
        list.push(Wrong::here("none of the alternatives", json!({})));
        list.push(Wrong::here("two of the alternatives", Value::Object(both)));
    }
    for field in &object.fields {
        list.extend(wrong_field(field, depth).into_iter().map(|wrong| {
            let alternative = object.exactly_one_of.contains(&field.name);
            wrong.within(&field.name, |value| {
                if alternative {
                    json!({&field.name: value})
                } else {
                    with(&field.name, value)
                }
            })
        }));
        if field.required {
            let mut map = sample.clone();
            map.remove(&field.name);
            list.push(Wrong {
                at: format!(".{}", field.name),
                what: "missing",
                value: Value::Object(map),
            });
        }
    }
    list
}

/// Wrong values of a field, null among them where it takes none.
pub fn wrong_field(field: &Field, depth: usize) -> Vec<Wrong> {
    let mut list = wrong(&field.ty, depth + 1);
    if !field.nullable && !takes_null(&field.ty) {
        list.push(Wrong::here("null", Value::Null));
    }
    list
}

fn takes_null(ty: &Ty) -> bool {
    match ty {
        Ty::Json => true,
        Ty::Ref(name) => matches!(&model().ty(name).shape, Shape::Alias(ty) if takes_null(ty)),
        _ => false,
    }
}

fn wrong_union(union: &Union, depth: usize) -> Vec<Wrong> {
    let mut list = vec![Wrong::here("a number for an object", json!(7))];
    let tag = |tag: &str, value: Value, what| {
        let value = json!({tag: value});
        Wrong {
            at: format!(".{tag}"),
            what,
            value,
        }
    };
    list.push(Wrong {
        at: format!(".{}", union.tag),
        what: "no variant",
        value: json!({}),
    });
    list.push(tag(&union.tag, json!("no_such_variant"), "an unknown variant"));
    list.push(tag(&union.tag, json!(7), "a number for a variant"));
    for variant in &union.variants {
        if let Shape::Object(object) = &model().ty(&variant.target).shape {
            let mut sample = sample_object(object);
            sample.insert(union.tag.clone(), json!(variant.value));
            list.extend(wrong_object(object, &sample, depth + 1));
        }
    }
    list
}

/// A value of the type that nothing is wrong with.
pub fn sample(ty: &Ty) -> Value {
    match ty {
        Ty::Boolean => json!(true),
        Ty::Integer(integer) => json!(integer.minimum.max(1).min(integer.maximum)),
        Ty::Number { minimum, .. } => json!(minimum.unwrap_or(1.0)),
        Ty::Text(text) => json!("a".repeat(text.min_length.unwrap_or(1).max(1) as usize)),
        Ty::Id64 => json!("1"),
        Ty::Decimal => json!("1.5"),
        Ty::Bytes { .. } => json!("YQ=="),
        Ty::Timestamp => json!("2026-01-01T00:00:00.000000Z"),
        Ty::Date => json!("2026-01-01"),
        Ty::Uuid => json!("00000000-0000-4000-8000-000000000000"),
        Ty::Lsn => json!("0/1"),
        Ty::Cursor => json!("a"),
        Ty::Json => json!(1),
        Ty::Array { items, min, .. } => Value::Array(vec![sample(items); min.unwrap_or(0) as usize]),
        Ty::Map { values } => json!({"key": sample(values)}),
        Ty::Ref(name) => match &model().ty(name).shape {
            Shape::Alias(ty) => sample(ty),
            Shape::Enum(values) => json!(values[0]),
            Shape::Object(object) => Value::Object(sample_object(object)),
            Shape::Union(union) => {
                let variant = &union.variants[0];
                let mut map = Map::from_iter([(union.tag.clone(), json!(variant.value))]);
                if let Shape::Object(object) = &model().ty(&variant.target).shape {
                    map.extend(sample_object(object));
                }
                Value::Object(map)
            }
        },
    }
}

fn sample_object(object: &Object) -> Map<String, Value> {
    let chosen = object.exactly_one_of.first();
    object
        .fields
        .iter()
        .filter(|field| field.required || chosen == Some(&field.name))
        .map(|field| (field.name.clone(), sample(&field.ty)))
        .collect()
}
