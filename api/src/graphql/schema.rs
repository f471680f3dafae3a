//! Registers the contract's types and operations with async-graphql's dynamic schema.

use std::collections::BTreeMap;

use async_graphql::Value as GraphqlValue;
use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, Scalar,
    Schema, SchemaError, Type, TypeRef, Union,
};
use rustydb_contract::descriptor::{
    FieldDesc, IntegerWidth, ObjectDesc, OperationDesc, OperationKind, Shape, Ty, TypeDesc, UnionDesc,
};
use rustydb_contract::names::{camel, enum_value};
use rustydb_contract::{Interface, ServiceError};
use rustydb_contract_core::errors::INTERNAL;
use serde_json::Value;

use super::{FIELD_EXTENSION, RequestData, convert};
use crate::errors::graphql_error;
use crate::pipeline::Call;
use crate::registry::Api;

/// Scalars of the contract beside those GraphQL has.
const SCALARS: &[(&str, &str)] = &[
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

/// The schema of these operations.
pub fn build(api: &Api, operations: &[&'static OperationDesc]) -> Result<Schema, SchemaError> {
    let mut types = Types::default();
    let mut query = Object::new("Query");
    let mut mutation = Object::new("Mutation");
    let mut has_mutation = false;
    for desc in operations {
        let field = operation_field(api, desc, &mut types);
        if desc.kind == OperationKind::Query {
            query = query.field(field);
        } else {
            mutation = mutation.field(field);
            has_mutation = true;
        }
    }
    let limits = api.pipeline().limits();
    let mut builder = Schema::build("Query", has_mutation.then_some("Mutation"), None)
        .limit_depth(limits.graphql_depth)
        .limit_complexity(limits.graphql_complexity)
        .register(query);
    if has_mutation {
        builder = builder.register(mutation);
    }
    for (_, ty) in types.registered {
        builder = builder.register(ty);
    }
    builder.finish()
}

fn operation_field(api: &Api, desc: &'static OperationDesc, types: &mut Types) -> Field {
    let output = match desc.output {
        Some(output) => types.output_named(output),
        None => types.scalar("Empty"),
    };
    let api = api.clone();
    let ty = TypeRef::NonNull(Box::new(TypeRef::named(output)));
    let mut field = Field::new(desc.graphql, ty, move |context| {
        resolve(api.clone(), desc, context)
    })
    .description(paragraphs(desc.summary, desc.description));
    if let Some(instead) = desc.deprecated {
        field = field.deprecation(Some(&format!("use {instead}")));
    }
    for argument in desc.input_fields() {
        field = field.argument(types.input_value(argument));
    }
    field
}

/// Takes one root field through the pipeline.
fn resolve<'a>(api: Api, desc: &'static OperationDesc, context: ResolverContext<'a>) -> FieldFuture<'a> {
    let input = convert::input(desc.input_fields(), |name| {
        context.args.get(name).map(|value| value.as_value().clone())
    });
    FieldFuture::new(async move {
        let data = context.ctx.data::<RequestData>()?;
        let call = Call {
            interface: Interface::Graphql,
            credential: data.credential.clone(),
            request_id: data.request_id.clone(),
            timeout_ms: data.timeout_ms,
            input: Value::Object(input),
        };
        let field = context.ctx.field();
        let key = field.alias().unwrap_or(field.name()).to_owned();
        let fail = |error: ServiceError| {
            let mut error = graphql_error(&error, &data.request_id);
            error
                .extensions
                .get_or_insert_default()
                .set(FIELD_EXTENSION, key.clone());
            error
        };
        let operation = api.operation(desc).map_err(fail)?;
        let answer = api.pipeline().call(operation, call).await.map_err(fail)?;
        let value = answer
            .to_value()
            .map_err(|error| fail(ServiceError::new(&INTERNAL, error.to_string())))?;
        Ok(Some(root_value(value, desc.output)))
    })
}

/// The answer as a value that owns its JSON; nested parts borrow from it.
fn root_value(value: Value, output: Option<&'static TypeDesc>) -> FieldValue<'static> {
    match output.map(|desc| &desc.shape) {
        Some(Shape::Object(object)) if !object.fields.is_empty() => FieldValue::owned_any(value),
        Some(Shape::Union(union)) => {
            let tag = value.get(union.tag).and_then(Value::as_str);
            match union.variants.iter().find(|variant| Some(variant.value) == tag) {
                Some(variant) => FieldValue::owned_any(value).with_type(variant.target.name),
                None => FieldValue::NULL,
            }
        }
        _ => FieldValue::value(GraphqlValue::from_json(value).unwrap_or_default()),
    }
}

fn paragraphs(summary: &str, description: &str) -> String {
    if description.is_empty() {
        summary.to_owned()
    } else {
        format!("{summary}\n\n{description}")
    }
}

/// Description of a field or argument, with the default that the engine assumes.
fn field_text(field: &FieldDesc) -> String {
    match field.default {
        Some(default) if field.description.is_empty() => format!("Default: {default}."),
        Some(default) => format!("{} Default: {default}.", field.description),
        None => field.description.to_owned(),
    }
}

/// Types met so far, by their GraphQL name.
#[derive(Default)]
struct Types {
    registered: BTreeMap<String, Type>,
    /// Names under way: a recursive type refers to itself.
    begun: std::collections::BTreeSet<String>,
}

impl Types {
    fn scalar(&mut self, name: &'static str) -> String {
        if let Some((_, text)) = SCALARS.iter().find(|(known, _)| *known == name)
            && self.begun.insert(name.to_owned())
        {
            self.registered
                .insert(name.to_owned(), Scalar::new(name).description(*text).into());
        }
        name.to_owned()
    }

    fn output_type(&mut self, ty: &'static Ty) -> TypeRef {
        match ty.resolved() {
            Ty::Array { items, .. } => {
                let item = self.output_type(items);
                list_of(item, items)
            }
            Ty::Ref(desc) => TypeRef::named(self.output_named(desc)),
            scalar => TypeRef::named(self.scalar_of(scalar)),
        }
    }

    fn scalar_of(&mut self, ty: &Ty) -> String {
        match ty {
            Ty::Boolean => "Boolean".to_owned(),
            Ty::Number { .. } => "Float".to_owned(),
            Ty::Text { .. } => "String".to_owned(),
            Ty::Integer {
                width: IntegerWidth::Int32,
                ..
            } => "Int".to_owned(),
            Ty::Integer {
                width: IntegerWidth::Int53,
                ..
            } => self.scalar("Int53"),
            Ty::Integer { .. } => self.scalar("UInt53"),
            Ty::Id64 => self.scalar("Id64"),
            Ty::Decimal => self.scalar("Decimal"),
            Ty::Bytes { .. } => self.scalar("Bytes"),
            Ty::Timestamp => self.scalar("Timestamp"),
            Ty::Date => self.scalar("Date"),
            Ty::Uuid => self.scalar("UUID"),
            Ty::Lsn => self.scalar("Lsn"),
            Ty::Cursor => self.scalar("Cursor"),
            _ => self.scalar("JSON"),
        }
    }

    fn output_named(&mut self, desc: &'static TypeDesc) -> String {
        let name = desc.name.to_owned();
        match &desc.shape {
            Shape::Object(object) if object.fields.is_empty() => return self.scalar("Empty"),
            _ if !self.begun.insert(name.clone()) => return name,
            Shape::Object(object) => {
                let mut ty = Object::new(desc.name);
                if !desc.description.is_empty() {
                    ty = ty.description(desc.description);
                }
                for field in object.fields {
                    ty = ty.field(self.output_field(field));
                }
                self.registered.insert(name.clone(), ty.into());
            }
            Shape::Union(union) => {
                let mut ty = Union::new(desc.name);
                if !desc.description.is_empty() {
                    ty = ty.description(desc.description);
                }
                for variant in union.variants {
                    ty = ty.possible_type(self.output_named(variant.target));
                }
                self.registered.insert(name.clone(), ty.into());
            }
            Shape::Enum(values) => self.register_enum(desc, values),
            Shape::Alias(ty) => return self.output_type(ty).type_name().to_owned(),
        }
        name
    }

    fn register_enum(&mut self, desc: &'static TypeDesc, values: &[&str]) {
        let mut ty = Enum::new(desc.name);
        if !desc.description.is_empty() {
            ty = ty.description(desc.description);
        }
        for value in values {
            ty = ty.item(EnumItem::new(enum_value(value)));
        }
        self.registered.insert(desc.name.to_owned(), ty.into());
    }

    fn output_field(&mut self, desc: &'static FieldDesc) -> Field {
        let inner = self.output_type(&desc.ty);
        let ty = if desc.required && !desc.nullable && !may_be_null(&desc.ty) {
            TypeRef::NonNull(Box::new(inner))
        } else {
            inner
        };
        let mut field = Field::new(camel(desc.name), ty, move |context| {
            let parent: Option<&Value> = context.parent_value.downcast_ref();
            FieldFuture::Value(
                parent
                    .and_then(|parent| parent.get(desc.name))
                    .and_then(|value| convert::output(value, &desc.ty)),
            )
        });
        let text = field_text(desc);
        if !text.is_empty() {
            field = field.description(text);
        }
        if let Some(instead) = desc.deprecated {
            field = field.deprecation(Some(&format!("use {instead}")));
        }
        field
    }

    fn input_value(&mut self, desc: &'static FieldDesc) -> InputValue {
        let inner = self.input_type(&desc.ty);
        let ty = if desc.required && !desc.nullable && !may_be_null(&desc.ty) {
            TypeRef::NonNull(Box::new(inner))
        } else {
            inner
        };
        let value = InputValue::new(camel(desc.name), ty);
        let text = field_text(desc);
        if text.is_empty() {
            value
        } else {
            value.description(text)
        }
    }

    fn input_type(&mut self, ty: &'static Ty) -> TypeRef {
        match ty.resolved() {
            Ty::Array { items, .. } => {
                let item = self.input_type(items);
                list_of(item, items)
            }
            Ty::Ref(desc) => TypeRef::named(self.input_named(desc)),
            scalar => TypeRef::named(self.scalar_of(scalar)),
        }
    }

    fn input_named(&mut self, desc: &'static TypeDesc) -> String {
        let name = format!("{}Input", desc.name);
        match &desc.shape {
            Shape::Enum(values) => {
                if self.begun.insert(desc.name.to_owned()) {
                    self.register_enum(desc, values);
                }
                return desc.name.to_owned();
            }
            Shape::Alias(ty) => return self.input_type(ty).type_name().to_owned(),
            Shape::Object(object) if object.fields.is_empty() => return self.scalar("Empty"),
            _ if !self.begun.insert(name.clone()) => return name,
            Shape::Object(object) => self.register_input(desc, &name, object),
            Shape::Union(union) => self.register_one_of(desc, &name, union),
        }
        name
    }

    fn register_input(&mut self, desc: &'static TypeDesc, name: &str, object: &'static ObjectDesc) {
        let mut ty = InputObject::new(name);
        if !desc.description.is_empty() {
            ty = ty.description(desc.description);
        }
        for field in object.fields {
            ty = ty.field(self.input_value(field));
        }
        self.registered.insert(name.to_owned(), ty.into());
    }

    fn register_one_of(&mut self, desc: &'static TypeDesc, name: &str, union: &'static UnionDesc) {
        let mut ty = InputObject::new(name).oneof();
        if !desc.description.is_empty() {
            ty = ty.description(desc.description);
        }
        for variant in union.variants {
            let target = self.input_named(variant.target);
            ty = ty.field(InputValue::new(camel(variant.value), TypeRef::named(target)));
        }
        self.registered.insert(name.to_owned(), ty.into());
    }
}

fn list_of(item: TypeRef, ty: &'static Ty) -> TypeRef {
    let item = if may_be_null(ty) {
        item
    } else {
        TypeRef::NonNull(Box::new(item))
    };
    TypeRef::List(Box::new(item))
}

/// A free JSON value may be null of itself, and GraphQL's non-null would refuse it.
fn may_be_null(ty: &'static Ty) -> bool {
    matches!(ty.resolved(), Ty::Json)
}
