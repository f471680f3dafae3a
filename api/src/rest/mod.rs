//! REST: routes to operations, requests to inputs, answers to responses.

mod decode;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use rustydb_contract::descriptor::{OperationDesc, OperationKind};
use rustydb_contract::host::CredentialCell;
use rustydb_contract::{Interface, ServiceError, ServiceResult};
use rustydb_contract_core::errors::{INTERNAL, INVALID_REQUEST, METHOD_NOT_ALLOWED, OPERATION_NOT_FOUND};

use serde::Deserialize;

use crate::errors::{REQUEST_ID_HEADER, problem, put_request_id};
use crate::pipeline::{Call, request_id};
use crate::registry::Api;

pub use crate::sse::stream;
pub use decode::{body_bytes, credential, input, is_json, parse_json, query_input, timeout_ms};

/// Handles one request of one operation; generated handlers call nothing else.
pub async fn handle(
    State(api): State<Api>,
    desc: &'static OperationDesc,
    path: RawPathParams,
    request: Request,
) -> Response {
    let request_id = request_id_of(request.headers());
    let result = answer(&api, desc, &path, request, request_id.clone()).await;
    let mut response = match result {
        Ok(body) => success(desc, body),
        Err(error) => return problem(&error, &request_id),
    };
    put_request_id(&mut response, &request_id);
    response
}

async fn answer(
    api: &Api,
    desc: &'static OperationDesc,
    path: &RawPathParams,
    request: Request,
    request_id: Arc<str>,
) -> ServiceResult<Vec<u8>> {
    let (parts, body) = request.into_parts();
    let credential = decode::credential(&parts.headers)?;
    let timeout_ms = decode::timeout_ms(&parts.headers)?;
    let input = input(desc, api.pipeline().limits(), path, &parts, body).await?;
    let call = Call {
        interface: Interface::Rest,
        credential: CredentialCell::new(credential),
        peer: address_of(&parts),
        request_id,
        timeout_ms,
        input,
    };
    let answer = api.pipeline().call(api.operation(desc)?, call).await?;
    answer
        .to_json()
        .map_err(|error| ServiceError::new(&INTERNAL, format!("the answer has no JSON form: {error}")))
}

/// What every job has.
#[derive(Deserialize)]
struct Accepted {
    id: String,
}

fn success(desc: &OperationDesc, body: Vec<u8>) -> Response {
    let location = match desc.kind {
        OperationKind::Job => serde_json::from_slice(&body)
            .ok()
            .and_then(|Accepted { id }| HeaderValue::from_str(&format!("/api/v1/jobs/{id}")).ok()),
        OperationKind::Query | OperationKind::Command | OperationKind::Stream => None,
    };
    let mut response = Response::new(Body::from(body));
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    *response.status_mut() = StatusCode::from_u16(desc.status).unwrap_or(StatusCode::OK);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A path that no operation has.
pub async fn not_found(uri: Uri, headers: HeaderMap) -> Response {
    let error = ServiceError::new(
        &OPERATION_NOT_FOUND,
        format!("no operation has the path {}; /swagger-ui lists them", uri.path()),
    );
    problem(&error, &request_id_of(&headers))
}

/// A method that the path does not take.
pub async fn method_not_allowed(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let error = ServiceError::new(
        &METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    );
    problem(&error, &request_id_of(&headers))
}

/// Refuses a path that is no text before it is routed: no parameter could hold it.
pub async fn refuse_unreadable_path(request: Request, next: Next) -> Response {
    if percent_decode_str(request.uri().path()).decode_utf8().is_ok() {
        return next.run(request).await;
    }
    let error = ServiceError::new(&INVALID_REQUEST, "the path holds bytes that are not UTF-8");
    problem(&error, &request_id_of(request.headers()))
}

/// Where a request comes from; `None` when the server does not say.
pub fn address_of(parts: &Parts) -> Option<SocketAddr> {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0)
}

/// Name of the call that a request makes: the one it gives, where that is sound.
pub fn request_id_of(headers: &HeaderMap) -> Arc<str> {
    let given = headers
        .get(REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok());
    request_id(given)
}
