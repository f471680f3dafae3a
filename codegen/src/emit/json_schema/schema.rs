//! JSON Schema of contract types: the one construction OpenAPI, OpenRPC and the schema files share.
//!
//! Rules, kept regular so that whoever builds the same schemas from descriptors gets equal JSON:
//! - integers carry `format` (int32, uint32, int64, uint64) and always both bounds; numbers `format: double`;
//! - scalars that are text carry `format` where one is registered (date-time, date, uuid, password for a
//!   sensitive text field), else a `pattern`; bytes carry `contentEncoding: base64` and the bound in characters;
//! - patterns are anchored: `^(?:PATTERN)$`;
//! - a free JSON value is `{}`; a named type is a `$ref`, with `description` and `default` beside it;
//! - nullable: `type: [T, "null"]`; of a `$ref`, `anyOf: [{$ref}, {type: "null"}]`; of `{}`, nothing;
//! - an object is closed (`additionalProperties: false`) when an operation's input reaches it, as the server
//!   refuses fields it does not know; `required` and `properties` are left out when empty;
//! - `exactlyOneOf` wraps the object: `allOf: [object, {oneOf: [{properties: {a: {}}, required: [a]}, ...]}]`;
//! - a choice of one (`oneOf` or `anyOf`) is that one, written without the keyword;
//! - a union is a `oneOf` of its variants' objects, each spelled out with the tag as first property, an `enum`
//!   of one value, and the variant's type name as `title`;
//! - what is deprecated says so at the end of its description, and by `deprecated: true` where the schema has
//!   neither `$ref` nor `anyOf`.

use serde_json::{Map, Value, json};

use crate::model::{Deprecated, Field, Integer, IntegerWidth, Model, Object, Shape, Text, Ty, Union};

/// Makes schemas whose references begin with a prefix.
#[derive(Debug, Clone, Copy)]
pub struct Schemas<'a> {
    model: &'a Model,
    prefix: &'a str,
    /// The type that is the document's root: references to it are `#`.
    root: Option<&'a str>,
}

impl<'a> Schemas<'a> {
    pub fn new(model: &'a Model, prefix: &'a str) -> Schemas<'a> {
        Schemas {
            model,
            prefix,
            root: None,
        }
    }

    pub fn rooted(self, root: &'a str) -> Schemas<'a> {
        Schemas {
            root: Some(root),
            ..self
        }
    }

    pub fn reference(&self, name: &str) -> Value {
        if self.root == Some(name) {
            return json!({"$ref": "#"});
        }
        json!({"$ref": format!("{}{name}", self.prefix)})
    }

    /// The definition of a named type.
    pub fn named(&self, name: &str) -> Value {
        let def = self.model.ty(name);
        match &def.shape {
            Shape::Object(object) => {
                let fields: Vec<&Field> = object.fields.iter().collect();
                self.object(&fields, &object.exactly_one_of, def.in_input, &def.description)
            }
            Shape::Enum(values) => with_text(json!({"type": "string", "enum": values}), &def.description),
            Shape::Union(union) => with_text(self.union(union, def.in_input), &def.description),
            Shape::Alias(ty) => with_text(self.ty(ty), &def.description),
        }
    }

    /// An object of these fields.
    pub fn object(&self, fields: &[&Field], exactly_one_of: &[String], closed: bool, text: &str) -> Value {
        let object = self.plain_object(Map::new(), Vec::new(), fields, closed);
        with_text(with_alternatives(object, exactly_one_of), text)
    }

    /// The schema at a field, with its description and default.
    pub fn field(&self, field: &Field) -> Value {
        self.field_with(field, &field_text(field))
    }

    /// The schema at a field, whose description stands elsewhere.
    pub fn bare_field(&self, field: &Field) -> Value {
        self.field_with(field, "")
    }

    fn field_with(&self, field: &Field, text: &str) -> Value {
        let mut schema = self.ty(&field.ty);
        if field.sensitive && matches!(field.ty, Ty::Text(_)) {
            insert(&mut schema, "format", json!("password"));
        }
        if field.nullable {
            schema = nullable(schema);
        }
        let mut schema = with_text(schema, text);
        if let Some(default) = &field.default {
            insert(&mut schema, "default", default.clone());
        }
        let composed = schema.get("$ref").is_some() || schema.get("anyOf").is_some();
        if field.deprecated.is_some() && !composed {
            insert(&mut schema, "deprecated", json!(true));
        }
        schema
    }

    pub fn ty(&self, ty: &Ty) -> Value {
        match ty {
            Ty::Boolean => json!({"type": "boolean"}),
            Ty::Integer(integer) => integer_schema(integer),
            Ty::Number { minimum, maximum } => {
                let mut schema = json!({"type": "number", "format": "double"});
                insert_some(&mut schema, "minimum", minimum.map(number));
                insert_some(&mut schema, "maximum", maximum.map(number));
                schema
            }
            Ty::Text(text) => text_schema(text),
            Ty::Id64 => json!({"type": "string", "pattern": "^(?:0|[1-9][0-9]{0,19})$"}),
            Ty::Decimal => json!({"type": "string", "pattern": "^-?[0-9]+(?:\\.[0-9]+)?$"}),
            Ty::Bytes { max } => {
                let mut schema = json!({"type": "string", "contentEncoding": "base64"});
                insert_some(&mut schema, "maxLength", max.map(|max| json!(base64_length(max))));
                schema
            }
            Ty::Timestamp => json!({"type": "string", "format": "date-time"}),
            Ty::Date => json!({"type": "string", "format": "date"}),
            Ty::Uuid => json!({"type": "string", "format": "uuid"}),
            Ty::Lsn => json!({"type": "string", "pattern": "^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$"}),
            Ty::Cursor => json!({"type": "string"}),
            Ty::Json => json!({}),
            Ty::Array { items, min, max } => {
                let mut schema = json!({"type": "array", "items": self.ty(items)});
                insert_some(&mut schema, "minItems", min.map(|min| json!(min)));
                insert_some(&mut schema, "maxItems", max.map(|max| json!(max)));
                schema
            }
            Ty::Map { values } => json!({"type": "object", "additionalProperties": self.ty(values)}),
            Ty::Ref(name) => self.reference(name),
        }
    }

    fn union(&self, union: &Union, closed: bool) -> Value {
        let variants: Vec<Value> = union
            .variants
            .iter()
            .map(|variant| {
                let def = self.model.ty(&variant.target);
                let none = Object::default();
                let object = match &def.shape {
                    Shape::Object(object) => object,
                    _ => &none,
                };
                let mut properties = Map::new();
                properties.insert(
                    union.tag.clone(),
                    json!({"type": "string", "enum": [variant.value]}),
                );
                let fields: Vec<&Field> = object.fields.iter().collect();
                let plain = self.plain_object(properties, vec![union.tag.clone()], &fields, closed);
                let mut schema = with_alternatives(plain, &object.exactly_one_of);
                insert(&mut schema, "title", json!(variant.target));
                with_text(schema, &def.description)
            })
            .collect();
        one_of(variants)
    }

    fn plain_object(
        &self,
        mut properties: Map<String, Value>,
        mut required: Vec<String>,
        fields: &[&Field],
        closed: bool,
    ) -> Value {
        for field in fields {
            properties.insert(field.name.clone(), self.field(field));
            if field.required {
                required.push(field.name.clone());
            }
        }
        let mut schema = json!({"type": "object"});
        if !required.is_empty() {
            insert(&mut schema, "required", json!(required));
        }
        if !properties.is_empty() {
            insert(&mut schema, "properties", Value::Object(properties));
        }
        if closed {
            insert(&mut schema, "additionalProperties", json!(false));
        }
        schema
    }
}

/// Paragraphs of a description, the empty ones left out.
pub fn paragraphs(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("\n\n")
}

/// A field's description with its deprecation.
pub fn field_text(field: &Field) -> String {
    paragraphs(&[&field.description, &deprecation(field.deprecated.as_ref())])
}

pub fn deprecation(deprecated: Option<&Deprecated>) -> String {
    deprecated.map_or_else(String::new, |deprecated| {
        format!("Deprecated: use {}.", deprecated.instead)
    })
}

/// Sets a member of a JSON object.
pub fn insert(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = schema {
        map.insert(key.to_owned(), value);
    }
}

/// A description in front of what a schema says.
pub fn with_text(schema: Value, text: &str) -> Value {
    if text.trim().is_empty() {
        return schema;
    }
    let mut described = Map::new();
    described.insert("description".to_owned(), json!(text.trim()));
    if let Value::Object(map) = schema {
        described.extend(map);
    }
    Value::Object(described)
}

fn insert_some(schema: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        insert(schema, key, value);
    }
}

fn nullable(mut schema: Value) -> Value {
    if schema.get("$ref").is_some() {
        return json!({"anyOf": [schema, {"type": "null"}]});
    }
    if let Some(word) = schema.get("type").cloned() {
        insert(&mut schema, "type", json!([word, "null"]));
    }
    schema
}

fn with_alternatives(object: Value, exactly_one_of: &[String]) -> Value {
    if exactly_one_of.is_empty() {
        return object;
    }
    let alternatives: Vec<Value> = exactly_one_of
        .iter()
        .map(|name| {
            let mut properties = Map::new();
            properties.insert(name.clone(), json!({}));
            json!({"required": [name], "properties": properties})
        })
        .collect();
    json!({"allOf": [object, one_of(alternatives)]})
}

/// A choice; of one there is none to make.
fn one_of(mut schemas: Vec<Value>) -> Value {
    match schemas.pop() {
        Some(only) if schemas.is_empty() => only,
        Some(last) => {
            schemas.push(last);
            json!({"oneOf": schemas})
        }
        None => json!({}),
    }
}

fn integer_schema(integer: &Integer) -> Value {
    let format = match integer.width {
        IntegerWidth::Int32 => "int32",
        IntegerWidth::UInt32 => "uint32",
        IntegerWidth::Int53 => "int64",
        IntegerWidth::UInt53 => "uint64",
    };
    json!({"type": "integer", "format": format, "minimum": integer.minimum, "maximum": integer.maximum})
}

fn text_schema(text: &Text) -> Value {
    let mut schema = json!({"type": "string"});
    insert_some(
        &mut schema,
        "minLength",
        text.min_length.map(|length| json!(length)),
    );
    insert_some(
        &mut schema,
        "maxLength",
        text.max_length.map(|length| json!(length)),
    );
    insert_some(
        &mut schema,
        "pattern",
        text.pattern
            .as_ref()
            .map(|pattern| json!(format!("^(?:{pattern})$"))),
    );
    schema
}

/// A whole number is written as an integer, as utoipa does.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

/// Characters of the base64 text of that many bytes.
fn base64_length(bytes: u32) -> u64 {
    u64::from(bytes).div_ceil(3) * 4
}
