//! One error, three renderings: problem+json, JSON-RPC error, GraphQL extensions.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use rustydb_contract::ServiceError;
use rustydb_contract::validate::Violation;
use rustydb_contract_core::InvalidArgumentDetails;
use rustydb_contract_core::errors::INVALID_ARGUMENT;
use serde_json::{Map, Value, json};

/// Header that names a call, in requests and answers.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// A refused input.
pub fn invalid_argument(violation: Violation) -> ServiceError {
    ServiceError::new(&INVALID_ARGUMENT, violation.message).with_details(InvalidArgumentDetails {
        field: violation.field,
    })
}

/// The member that is the same on every interface, `{code, message, retry_after?, details?}`.
fn error_member(error: &ServiceError) -> Map<String, Value> {
    let mut member = Map::new();
    member.insert("code".to_owned(), error.code().into());
    member.insert("message".to_owned(), error.message().into());
    if let Some(seconds) = error.retry_after_seconds() {
        member.insert("retry_after".to_owned(), seconds.into());
    }
    if let Some(details) = error.details() {
        member.insert("details".to_owned(), details.clone());
    }
    member
}

/// RFC 9457 with `request_id` and `error`.
pub fn problem(error: &ServiceError, request_id: &str) -> Response {
    let desc = error.desc();
    let body = json!({
        "type": format!("urn:rustydb:error:{}", desc.code),
        "title": desc.summary,
        "status": desc.status,
        "detail": error.message(),
        "request_id": request_id,
        "error": error_member(error),
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(desc.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if desc.status == 401 {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"rustydb\""),
        );
    }
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    put_request_id(&mut response, request_id);
    response
}

/// The error by itself, for what has no form of its own for one.
pub fn plain_error(error: &ServiceError, request_id: &str) -> Value {
    let mut member = error_member(error);
    member.insert("status".to_owned(), error.desc().status.into());
    member.insert("request_id".to_owned(), request_id.into());
    Value::Object(member)
}

/// The `error` of a JSON-RPC response.
pub fn rpc_error(error: &ServiceError, request_id: &str) -> Value {
    let mut data = error_member(error);
    data.remove("message");
    data.insert("status".to_owned(), error.desc().status.into());
    data.insert("request_id".to_owned(), request_id.into());
    json!({"code": error.desc().rpc, "message": error.message(), "data": data})
}

/// A GraphQL error with its extensions.
pub fn graphql_error(error: &ServiceError, request_id: &str) -> async_graphql::Error {
    let mut extensions = error_member(error);
    extensions.remove("message");
    extensions.insert("status".to_owned(), error.desc().status.into());
    extensions.insert("request_id".to_owned(), request_id.into());
    let mut values = async_graphql::ErrorExtensionValues::default();
    for (name, value) in extensions {
        if let Ok(value) = async_graphql::Value::from_json(value) {
            values.set(name, value);
        }
    }
    let mut out = async_graphql::Error::new(error.message());
    out.extensions = Some(values);
    out
}

pub fn put_request_id(response: &mut Response, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
}
