//! Registers the contract's types and operations with async-graphql's dynamic schema.

use std::collections::BTreeMap;

use async_graphql::Value as GraphqlValue;
use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, Scalar,
    Schema, SchemaError, Subscription, SubscriptionField, SubscriptionFieldFuture, Type, TypeRef, Union,
};
use futures::stream;
use rustydb_contract::descriptor::{
    FieldDesc, IntegerWidth, ObjectDesc, OperationDesc, OperationKind, Shape, Ty, TypeDesc, UnionDesc,
};
use rustydb_contract::host::CredentialCell;
use rustydb_contract::names::{camel, enum_value};
use rustydb_contract::stream::{StreamClass, ViewDesc};
use rustydb_contract::{Interface, ServiceError};
use rustydb_contract_core::desc::STREAM_CONTROL;
use rustydb_contract_core::errors::{INTERNAL, INVALID_REQUEST};
use serde_json::Value;

use super::{FIELD_EXTENSION, RequestData, convert};
use crate::errors::graphql_error;
use crate::pipeline::{Call, request_id};
use crate::registry::Api;
use crate::streams::Watch;

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

/// Descriptions of the fields that every payload of a subscription has; the generator's document has the same.
const EVENT_TEXT: &str = "Name of the event.";
const DATA_TEXT: &str = "What the event says.";
const TIMESTAMP_TEXT: &str = "When it happened.";
const CURSOR_TEXT: &str = "Where to go on behind this item.";
const CONTROL_TEXT: &str = "What is told beside the events; the event's own fields are null then.";

/// The schema of these operations and of every view.
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
    let mut subscription = Subscription::new("Subscription");
    let mut has_subscription = false;
    for desc in api.views().map(|view| view.desc) {
        subscription = subscription.field(subscription_field(api, desc, &mut types));
        has_subscription = true;
    }
    let mut builder = Schema::build(
        "Query",
        has_mutation.then_some("Mutation"),
        has_subscription.then_some("Subscription"),
    )
    .limit_depth(limits.graphql_depth)
    .limit_complexity(limits.graphql_complexity)
    .register(query);
    if has_mutation {
        builder = builder.register(mutation);
    }
    if has_subscription {
        builder = builder.register(subscription);
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
            credential: CredentialCell::new(data.credential.get()),
            peer: data.peer,
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

fn subscription_field(api: &Api, desc: &'static ViewDesc, types: &mut Types) -> SubscriptionField {
    let payload = types.payload(desc);
    let api = api.clone();
    let ty = TypeRef::NonNull(Box::new(TypeRef::named(payload)));
    let mut field = SubscriptionField::new(desc.open.graphql, ty, move |context| {
        watch(api.clone(), desc, context)
    })
    .description(paragraphs(desc.open.summary, desc.open.description));
    for argument in desc.open.input_fields() {
        field = field.argument(types.input_value(argument));
    }
    field
}

/// Opens a view; what comes of it are the payloads.
fn watch<'a>(api: Api, desc: &'static ViewDesc, context: ResolverContext<'a>) -> SubscriptionFieldFuture<'a> {
    let input = convert::input(desc.open.input_fields(), |name| {
        context.args.get(name).map(|value| value.as_value().clone())
    });
    SubscriptionFieldFuture::new(async move {
        let data = context.ctx.data::<RequestData>()?;
        let fail = |error: ServiceError| graphql_error(&error, &data.request_id);
        let Some(connection) = &data.connection else {
            // Where there is nothing to carry them, they were refused before.
            return Err(fail(ServiceError::new(
                &INVALID_REQUEST,
                "subscriptions need a connection",
            )));
        };
        let call = Call {
            interface: Interface::Graphql,
            credential: data.credential.clone(),
            peer: data.peer,
            request_id: data.request_id.clone(),
            timeout_ms: data.timeout_ms,
            input: Value::Object(input),
        };
        let view = api.view(desc.open.id).map_err(fail)?;
        // Who did not ask for `control` gets events alone: what is told beside them would be nothing but nulls.
        let tells = context.ctx.look_ahead().field("control").exists();
        let opened = Watch::open(&api, connection, view, call).await.map_err(fail)?;
        let beginning = tells.then(|| opened.beginning());
        Ok(stream::unfold(
            (opened, beginning),
            move |(mut opened, mut beginning)| async move {
                let frame = match beginning.take() {
                    Some(beginning) => Ok(beginning),
                    None => loop {
                        match opened.next().await? {
                            Ok(frame) if !tells && frame.is_control() => {}
                            next => break next,
                        }
                    },
                };
                let payload = match frame {
                    Ok(frame) => Ok(FieldValue::owned_any(frame.payload(desc))),
                    Err(error) => Err(graphql_error(&error, &request_id(None))),
                };
                Some((payload, (opened, beginning)))
            },
        ))
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

    /// What a view's field answers for each item.
    fn payload(&mut self, desc: &'static ViewDesc) -> String {
        let mut letters = desc.open.graphql.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let name: String = first
            .into_iter()
            .chain(letters)
            .chain("Payload".chars())
            .collect();
        let mut ty = Object::new(&name).description(format!("One item of `{}`.", desc.open.id));
        match &desc.event_type.shape {
            Shape::Object(object) => {
                for field in object.fields {
                    ty = ty.field(self.optional_field(field));
                }
            }
            _ => {
                let union = TypeRef::named(self.output_named(desc.event_type));
                let data = Field::new("data", union, |context| {
                    FieldFuture::Value(
                        part(&context, "data").map(|data| convert::named_output(data, desc.event_type)),
                    )
                });
                let event = scalar_field("event", TypeRef::named("String"));
                ty = ty
                    .field(event.description(EVENT_TEXT))
                    .field(data.description(DATA_TEXT));
            }
        }
        let timestamp = TypeRef::NonNull(Box::new(TypeRef::named(self.scalar("Timestamp"))));
        ty = ty.field(scalar_field("timestamp", timestamp).description(TIMESTAMP_TEXT));
        if desc.class == StreamClass::Changes {
            let cursor = TypeRef::named(self.scalar("Cursor"));
            ty = ty.field(scalar_field("cursor", cursor).description(CURSOR_TEXT));
        }
        let control = TypeRef::named(self.output_named(&STREAM_CONTROL));
        let control = Field::new("control", control, |context| {
            FieldFuture::Value(
                part(&context, "control").map(|told| convert::named_output(told, &STREAM_CONTROL)),
            )
        });
        ty = ty.field(control.description(CONTROL_TEXT));
        self.registered.insert(name.clone(), ty.into());
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
        if desc.required && !desc.nullable && !may_be_null(&desc.ty) {
            resolved_field(desc, TypeRef::NonNull(Box::new(inner)))
        } else {
            resolved_field(desc, inner)
        }
    }

    /// A field that is null where its object is something else.
    fn optional_field(&mut self, desc: &'static FieldDesc) -> Field {
        let ty = self.output_type(&desc.ty);
        resolved_field(desc, ty)
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

fn part<'a>(context: &ResolverContext<'a>, name: &str) -> Option<&'a Value> {
    context.parent_value.downcast_ref::<Value>()?.get(name)
}

/// A field whose value is the parent's as it is.
fn scalar_field(name: &'static str, ty: TypeRef) -> Field {
    Field::new(name, ty, move |context| {
        let value = part(&context, name).cloned();
        FieldFuture::Value(
            value.map(|value| FieldValue::value(GraphqlValue::from_json(value).unwrap_or_default())),
        )
    })
}

fn resolved_field(desc: &'static FieldDesc, ty: TypeRef) -> Field {
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
