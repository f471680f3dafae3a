//! GraphQL: a dynamic schema registered from the contract's descriptors, served over HTTP. Views are subscribed to over
//! sockets ([`crate::socket::graphql`]), or over HTTP in parts of one answer ([`multipart`]).

mod convert;
mod multipart;
mod schema;

use std::net::SocketAddr;
use std::sync::Arc;

use async_graphql::dynamic::Schema;
use async_graphql::{PathSegment, Request as GraphqlRequest, Response as GraphqlResponse};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rustydb_contract::host::CredentialCell;
use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_core::errors::{INVALID_ARGUMENT, INVALID_REQUEST, UNSUPPORTED_MEDIA_TYPE};
use serde_json::Value;

use crate::errors::{graphql_error, put_request_id};
use crate::live::Connection;
use crate::registry::Api;
use crate::{rest, socket};

pub use schema::build;

/// Media type of the GraphQL-over-HTTP specification.
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

/// Extension in which a resolver names its field: the library gives errors of resolvers no path.
const FIELD_EXTENSION: &str = "rustydb_field";

/// What resolvers need of the request that carries them.
pub(crate) struct RequestData {
    pub(crate) credential: CredentialCell,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) request_id: Arc<str>,
    pub(crate) timeout_ms: Option<u64>,
    /// What carries subscriptions; `None` of a request that is answered at once.
    pub(crate) connection: Option<Arc<Connection>>,
}

/// The schema with the operations behind it.
#[derive(Clone)]
pub struct Graphql {
    pub api: Api,
    pub schema: Schema,
}

/// Where the endpoint lies.
pub const PATH: &str = "/graphql";

/// Where some clients look for the socket.
const SOCKET_PATH: &str = "/graphql/ws";

/// Upgrades what comes to the endpoint for a socket; anything else goes on.
pub async fn take_sockets(State(graphql): State<Graphql>, request: Request, next: Next) -> Response {
    let is_socket = match request.uri().path() {
        SOCKET_PATH => true,
        PATH => request.headers().contains_key(header::UPGRADE),
        _ => false,
    };
    if is_socket {
        return socket::graphql::upgrade(graphql, request).await;
    }
    next.run(request).await
}

/// Answers a request to the endpoint: an operation by POST.
pub async fn handle(State(graphql): State<Graphql>, request: Request) -> Response {
    if multipart::is_asked_for(request.headers()) {
        return multipart::answer(graphql, request).await;
    }
    let request_id = rest::request_id_of(request.headers());
    let standard = accepts(request.headers(), GRAPHQL_RESPONSE);
    let (response, status) = match decode(&graphql, request, &request_id).await {
        Ok((mut request, data)) => {
            if multipart::is_subscription(&mut request) {
                let message = "subscriptions need a WebSocket with the subprotocol graphql-transport-ws, or `Accept: \
                               multipart/mixed; boundary=\"graphql\"; subscriptionSpec=\"1.0\"`";
                let error = ServiceError::new(&INVALID_ARGUMENT, message);
                (refused(&error, &request_id), if standard { 400 } else { 200 })
            } else {
                let response = graphql.schema.execute(request.data(data)).await;
                let status = if standard && is_refused(&response) {
                    400
                } else {
                    200
                };
                (finished(response, &request_id), status)
            }
        }
        Err(error) => (refused(&error, &request_id), error.desc().status),
    };
    let mut out = encode(&response, standard, status);
    put_request_id(&mut out, &request_id);
    out
}

/// The answer to what is no request of GraphQL.
fn refused(error: &ServiceError, request_id: &str) -> GraphqlResponse {
    let error = graphql_error(error, request_id).into_server_error(async_graphql::Pos::default());
    GraphqlResponse::from_errors(vec![error])
}

/// The operation, and what its resolvers are to be given with it.
async fn decode(
    graphql: &Graphql,
    request: Request,
    request_id: &Arc<str>,
) -> ServiceResult<(GraphqlRequest, RequestData)> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(ServiceError::new(
            &INVALID_REQUEST,
            "send the operation by POST as JSON",
        ));
    }
    let credential = rest::credential(&parts.headers)?;
    let timeout_ms = rest::timeout_ms(&parts.headers)?;
    if !rest::is_json(&parts.headers) {
        return Err(ServiceError::new(
            &UNSUPPORTED_MEDIA_TYPE,
            "send the operation as JSON with `Content-Type: application/json`",
        ));
    }
    let limits = graphql.api.pipeline().limits();
    let bytes = rest::body_bytes(body, limits.request_bytes).await?;
    let value = rest::parse_json(&bytes, limits.json_depth)?;
    if !value.get("query").is_some_and(Value::is_string) {
        return Err(ServiceError::new(
            &INVALID_REQUEST,
            "the body is not an object with `query`, and perhaps `variables` and `operationName`",
        ));
    }
    let request: GraphqlRequest = serde_json::from_value(value)
        .map_err(|error| ServiceError::new(&INVALID_REQUEST, error.to_string()))?;
    let data = RequestData {
        credential: CredentialCell::new(credential),
        peer: rest::address_of(&parts),
        request_id: Arc::clone(request_id),
        timeout_ms,
        connection: None,
    };
    Ok((request, data))
}

/// Whether the document did not run: errors of operations have their code already.
pub(crate) fn is_refused(response: &GraphqlResponse) -> bool {
    response.errors.iter().any(|error| error.extensions.is_none())
}

/// A response as it is sent.
pub(crate) fn finished(mut response: GraphqlResponse, request_id: &str) -> GraphqlResponse {
    if response.is_err() {
        // Fields of the root are never null, so that one without a value takes all.
        response.data = async_graphql::Value::Null;
    }
    let mut response = with_codes(response, request_id);
    response.extensions.clear();
    response
}

/// Errors that the library found, before any resolver ran, carry a code of the contract too.
fn with_codes(mut response: GraphqlResponse, request_id: &str) -> GraphqlResponse {
    for error in &mut response.errors {
        if let Some(extensions) = &mut error.extensions
            && let Some(async_graphql::Value::String(key)) = extensions.get(FIELD_EXTENSION).cloned()
        {
            extensions.unset(FIELD_EXTENSION);
            error.path = vec![PathSegment::Field(key)];
        }
        if error.extensions.is_none() {
            let error_of = ServiceError::new(&INVALID_ARGUMENT, error.message.clone());
            error.extensions = graphql_error(&error_of, request_id).extensions;
        }
    }
    response
}

/// A response of a status: 200 for a document, whatever came of it, but that a client of the newer media type is told
/// by the status of one that did not run. What is no request of GraphQL has the status of its error.
fn encode(response: &GraphqlResponse, standard: bool, status: u16) -> Response {
    let body = serde_json::to_vec(response).unwrap_or_default();
    let mut out = Response::new(Body::from(body));
    *out.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = if standard {
        GRAPHQL_RESPONSE
    } else {
        "application/json"
    };
    out.headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    out
}

fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(media_type))
}
