//! An operation's descriptor as utoipa describes a route: parameters, body and responses.
//!
//! The generator writes docs/openapi.json from the contract, schemas and all. What utoipa collects is the
//! document of the routes the server really has; a test demands that both have the same routes, and each the
//! same name, tag, texts, parameters, body, responses and credentials.

use std::collections::{BTreeMap, BTreeSet};

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Required, Response, ResponseBuilder, Schema};

use crate::descriptor::{OperationDesc, OperationKind, RestPlace};

pub use utoipa;

/// Implements utoipa's parameter and response traits for an operation.
#[macro_export]
macro_rules! openapi_operation {
    ($marker:ty, $desc:expr) => {
        impl $crate::openapi::utoipa::IntoParams for $marker {
            fn into_params(
                _: impl Fn() -> ::std::option::Option<$crate::openapi::utoipa::openapi::path::ParameterIn>,
            ) -> ::std::vec::Vec<$crate::openapi::utoipa::openapi::path::Parameter> {
                $crate::openapi::parameters($desc)
            }
        }

        impl $crate::openapi::utoipa::IntoResponses for $marker {
            fn responses() -> $crate::openapi::Responses {
                $crate::openapi::responses($desc)
            }
        }
    };
}

/// Implements utoipa's schema traits for what an operation takes in the body.
#[macro_export]
macro_rules! openapi_body {
    ($marker:ty, $desc:expr) => {
        impl $crate::openapi::utoipa::PartialSchema for $marker {
            fn schema() -> $crate::openapi::utoipa::openapi::RefOr<$crate::openapi::utoipa::openapi::Schema> {
                $crate::openapi::body($desc)
            }
        }

        impl $crate::openapi::utoipa::ToSchema for $marker {
            fn name() -> ::std::borrow::Cow<'static, str> {
                $crate::openapi::body_name($desc).into()
            }
        }
    };
}

/// Responses of an operation by status.
pub type Responses = BTreeMap<String, RefOr<Response>>;

/// Before the name of a schema in a reference.
const PREFIX: &str = "#/components/schemas/";

/// Parameters of the path and the query, in the order of the input's fields.
pub fn parameters(desc: &'static OperationDesc) -> Vec<Parameter> {
    let fields = desc.input_fields().iter().filter_map(|field| {
        let (place, required) = match field.place? {
            RestPlace::Path => (ParameterIn::Path, true),
            RestPlace::Query => (ParameterIn::Query, field.required),
            RestPlace::QueryOrBody => (ParameterIn::Query, field.required && !desc.has_body()),
            RestPlace::Body => return None,
        };
        let required = if required { Required::True } else { Required::False };
        Some(
            ParameterBuilder::new()
                .name(field.name)
                .parameter_in(place)
                .required(required)
                .build(),
        )
    });
    fields.collect()
}

/// Name of the schema of the body: the input's own where all of it travels there.
pub fn body_name(desc: &'static OperationDesc) -> String {
    let whole = desc
        .input_fields()
        .iter()
        .all(|field| field.place == Some(RestPlace::Body));
    if whole {
        desc.input.name.to_owned()
    } else {
        format!("{}Body", desc.input.name)
    }
}

/// The schema of the body, by reference.
pub fn body(desc: &'static OperationDesc) -> RefOr<Schema> {
    reference(&body_name(desc))
}

/// Success and every status that an error of the operation, or of any call, has.
pub fn responses(desc: &'static OperationDesc) -> Responses {
    let (media_type, schema) = if desc.kind == OperationKind::Stream {
        ("text/event-stream", Some(text()))
    } else {
        (
            "application/json",
            desc.output.map(|output| reference(output.name)),
        )
    };
    let content = ContentBuilder::new().schema(schema).build();
    let mut success = ResponseBuilder::new().content(media_type, content);
    if desc.kind == OperationKind::Job {
        success = success.header("Location", Header::new(text()));
    }
    let success = success.build();
    let mut responses = BTreeMap::from([(desc.status.to_string(), RefOr::T(success))]);
    let statuses: BTreeSet<u16> = desc.errors.iter().map(|error| error.status).collect();
    for status in statuses {
        let content = ContentBuilder::new().schema(Some(reference("Problem"))).build();
        let problem = ResponseBuilder::new()
            .content("application/problem+json", content)
            .build();
        responses.insert(status.to_string(), RefOr::T(problem));
    }
    responses
}

fn text() -> RefOr<Schema> {
    let text = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .build();
    RefOr::T(Schema::Object(text))
}

fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::new(format!("{PREFIX}{name}")))
}
