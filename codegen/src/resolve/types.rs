//! Schemas to types.

use serde_json::Number;

use super::{At, Resolver};
use crate::language::{Schema, SchemaBody, TypeWord};
use crate::model::{
    Deprecated, Field, Integer, IntegerWidth, Object, SAFE_INTEGER_MAX, Shape, Text, Ty, TypeDef, Union,
    Variant,
};

const SCALARS: &str = "boolean, int32, uint32, int64, uint64, number, string, id64, decimal, bytes, timestamp, \
                       date, uuid, lsn, cursor, duration, json";

impl<'a> Resolver<'a> {
    pub(super) fn resolve_named_type(&mut self, name: &str, schema: &Schema, at: &At<'a>) {
        let (shape, description) = match schema {
            Schema::Name(_) => (Shape::Alias(self.resolve_type(schema, at)), String::new()),
            Schema::Body(body) => (
                self.resolve_shape(body, at),
                body.description.clone().unwrap_or_default(),
            ),
        };
        self.add_type(name, description, shape, None, at);
    }

    pub(super) fn add_type(
        &mut self,
        name: &str,
        description: String,
        shape: Shape,
        input_of: Option<String>,
        at: &At<'_>,
    ) {
        self.model.types.insert(
            name.to_owned(),
            TypeDef {
                name: name.to_owned(),
                module: at.module_name().to_owned(),
                description,
                shape,
                in_input: false,
                in_output: false,
                input_of,
                place: at.place(),
            },
        );
    }

    fn resolve_shape(&mut self, body: &SchemaBody, at: &At<'a>) -> Shape {
        if let Some(values) = &body.values {
            return Shape::Enum(values.clone());
        }
        match body.kind {
            Some(TypeWord::Union) => Shape::Union(self.resolve_union(body, at)),
            Some(TypeWord::Object) if body.additional_properties.is_none() => {
                Shape::Object(self.resolve_object(body, at))
            }
            _ => Shape::Alias(self.resolve_body(body, at)),
        }
    }

    fn resolve_union(&mut self, body: &SchemaBody, at: &At<'a>) -> Union {
        let tag = body.tag.clone().unwrap_or_else(|| "kind".to_owned());
        let mut variants = Vec::new();
        for (value, schema) in &body.variants {
            let at = at.push("variants").push(value);
            if let Some(target) = self.object_name(schema, &at) {
                variants.push(Variant {
                    value: value.clone(),
                    target,
                });
            }
        }
        if variants.is_empty() {
            self.report(
                at,
                "union-empty",
                "a union needs variants".to_owned(),
                "list them under `variants`",
            );
        }
        Union { tag, variants }
    }

    pub(super) fn resolve_object(&mut self, body: &SchemaBody, at: &At<'a>) -> Object {
        for (index, name) in body.required.iter().enumerate() {
            if !body.properties.contains_key(name) {
                let at = at.push("required").push(&index.to_string());
                self.report(
                    &at,
                    "unknown-field",
                    format!("`required` names `{name}`, which is no property"),
                    "remove it or add the property",
                );
            }
        }
        for (index, name) in body.exactly_one_of.iter().enumerate() {
            if !body.properties.contains_key(name) || body.required.contains(name) {
                let at = at.push("exactlyOneOf").push(&index.to_string());
                self.report(
                    &at,
                    "exactly-one-of",
                    format!("`{name}` is not an optional property"),
                    "`exactlyOneOf` lists optional properties",
                );
            }
        }
        let fields = body
            .properties
            .iter()
            .map(|(name, schema)| {
                let required = body.required.contains(name);
                self.resolve_field(name, schema, required, &at.push("properties").push(name))
            })
            .collect();
        Object {
            fields,
            exactly_one_of: body.exactly_one_of.clone(),
        }
    }

    fn resolve_field(&mut self, name: &str, schema: &Schema, required: bool, at: &At<'a>) -> Field {
        let ty = self.resolve_type(schema, at);
        let mut field = Field {
            name: name.to_owned(),
            description: String::new(),
            ty,
            required,
            nullable: false,
            default: None,
            sensitive: false,
            place_rest: None,
            deprecated: None,
            since: None,
            place: at.place(),
        };
        if let Schema::Body(body) = schema {
            field.description = body.description.clone().unwrap_or_default();
            field.nullable = body.nullable;
            field.default = body.default.clone();
            field.sensitive = body.sensitive;
            field.since = body.since.clone();
            field.deprecated = body.deprecated.as_ref().map(|form| Deprecated {
                since: form.since.clone(),
                instead: form.instead.clone(),
            });
        }
        field
    }

    pub(super) fn resolve_type(&mut self, schema: &Schema, at: &At<'a>) -> Ty {
        match schema {
            Schema::Name(name) => self.resolve_name(name, at),
            Schema::Body(body) => self.resolve_body(body, at),
        }
    }

    fn resolve_name(&mut self, name: &str, at: &At<'a>) -> Ty {
        if let Some(scalar) = scalar(name) {
            return scalar;
        }
        self.resolve_reference(name, at)
    }

    fn resolve_reference(&mut self, reference: &str, at: &At<'a>) -> Ty {
        let (module, name) = match reference.split_once('.') {
            Some((module, name)) => (Some(module), name),
            None => (None, reference),
        };
        let Some(home) = self.type_homes.get(name).cloned() else {
            let hint = format!("declare it under `types`, or use a scalar: {SCALARS}");
            self.report(
                at,
                "unknown-type",
                format!("there is no type `{reference}`"),
                &hint,
            );
            return Ty::Json;
        };
        if home != module.unwrap_or(at.module_name()) {
            let message = format!("the type `{name}` is declared in module `{home}`");
            self.report(at, "type-home", message, &format!("write `{home}.{name}`"));
        }
        self.uses.insert(home);
        Ty::Ref(name.to_owned())
    }

    fn resolve_body(&mut self, body: &SchemaBody, at: &At<'a>) -> Ty {
        if let Some(reference) = &body.reference {
            return self.resolve_reference(reference, &at.push("$ref"));
        }
        if body.values.is_some() {
            self.report(
                at,
                "inline-type",
                "an enumeration needs a name".to_owned(),
                "declare it under `types` and refer to it",
            );
            return Ty::Json;
        }
        match body.kind {
            Some(TypeWord::Boolean) => Ty::Boolean,
            Some(TypeWord::Integer) => self.resolve_integer(body, at),
            Some(TypeWord::Number) => Ty::Number {
                minimum: body.minimum.as_ref().and_then(Number::as_f64),
                maximum: body.maximum.as_ref().and_then(Number::as_f64),
            },
            Some(TypeWord::String) => self.resolve_string(body, at),
            Some(TypeWord::Array) => {
                let items = match &body.items {
                    Some(items) => self.resolve_type(items, &at.push("items")),
                    None => {
                        self.report(
                            at,
                            "items-missing",
                            "an array needs `items`".to_owned(),
                            "say what it holds",
                        );
                        Ty::Json
                    }
                };
                Ty::Array {
                    items: Box::new(items),
                    min: body.min_items,
                    max: body.max_items,
                }
            }
            Some(TypeWord::Object) => match &body.additional_properties {
                Some(values) => Ty::Map {
                    values: Box::new(self.resolve_type(values, &at.push("additionalProperties"))),
                },
                None => self.inline(at),
            },
            Some(TypeWord::Union) => self.inline(at),
            None => match body.format.as_deref() {
                Some("json") => Ty::Json,
                Some(format) => match scalar(format) {
                    Some(ty) => ty,
                    None => self.unknown_format(format, at),
                },
                None => {
                    self.report(
                        at,
                        "type-missing",
                        "the schema has no type".to_owned(),
                        "add `type`, `$ref` or `format: json`",
                    );
                    Ty::Json
                }
            },
        }
    }

    fn inline(&mut self, at: &At<'_>) -> Ty {
        self.report(
            at,
            "inline-type",
            "objects and unions need a name".to_owned(),
            "declare it under `types` and refer to it",
        );
        Ty::Json
    }

    fn resolve_integer(&mut self, body: &SchemaBody, at: &At<'a>) -> Ty {
        let format = body.format.as_deref().unwrap_or("int64");
        let Some(Ty::Integer(mut integer)) = scalar(format) else {
            return match scalar(format) {
                Some(ty @ Ty::Id64) => ty,
                _ => self.unknown_format(format, at),
            };
        };
        let bounds = [("minimum", &body.minimum), ("maximum", &body.maximum)];
        for (key, bound) in bounds {
            let Some(bound) = bound else { continue };
            let at = at.push(key);
            match bound.as_i64() {
                Some(value) if (integer.minimum..=integer.maximum).contains(&value) => {
                    if key == "minimum" {
                        integer.minimum = value;
                    } else {
                        integer.maximum = value;
                    }
                }
                _ => {
                    let message = format!(
                        "{bound} is outside of {format}, {} to {}",
                        integer.minimum, integer.maximum
                    );
                    self.report(
                        &at,
                        "integer-bound",
                        message,
                        "64-bit integers end at 2^53-1; use id64 or decimal beyond",
                    );
                }
            }
        }
        if let Some(unit) = body.unit {
            integer.unit = Some(unit);
        }
        Ty::Integer(integer)
    }

    fn resolve_string(&mut self, body: &SchemaBody, at: &At<'a>) -> Ty {
        match body.format.as_deref() {
            None => Ty::Text(Text {
                min_length: body.min_length,
                max_length: body.max_length,
                pattern: body.pattern.clone(),
            }),
            Some("bytes") => Ty::Bytes { max: body.max_length },
            Some(format) => match scalar(format) {
                Some(ty) if !matches!(ty, Ty::Boolean | Ty::Integer(_) | Ty::Number { .. } | Ty::Json) => ty,
                _ => self.unknown_format(format, at),
            },
        }
    }

    fn unknown_format(&mut self, format: &str, at: &At<'_>) -> Ty {
        let hint = format!("the scalars are {SCALARS}");
        self.report(
            at,
            "unknown-format",
            format!("`{format}` is no format of this type"),
            &hint,
        );
        Ty::Json
    }
}

fn scalar(name: &str) -> Option<Ty> {
    let integer = |width, minimum, maximum| {
        Ty::Integer(Integer {
            width,
            minimum,
            maximum,
            unit: None,
        })
    };
    Some(match name {
        "boolean" => Ty::Boolean,
        "int32" => integer(IntegerWidth::Int32, i64::from(i32::MIN), i64::from(i32::MAX)),
        "uint32" => integer(IntegerWidth::UInt32, 0, i64::from(u32::MAX)),
        "int64" => integer(IntegerWidth::Int53, -SAFE_INTEGER_MAX, SAFE_INTEGER_MAX),
        "uint64" | "duration" => integer(IntegerWidth::UInt53, 0, SAFE_INTEGER_MAX),
        "number" => Ty::Number {
            minimum: None,
            maximum: None,
        },
        "string" => Ty::Text(Text::default()),
        "id64" => Ty::Id64,
        "decimal" => Ty::Decimal,
        "bytes" => Ty::Bytes { max: None },
        "timestamp" => Ty::Timestamp,
        "date" => Ty::Date,
        "uuid" => Ty::Uuid,
        "lsn" => Ty::Lsn,
        "cursor" => Ty::Cursor,
        "json" => Ty::Json,
        _ => return None,
    })
}
