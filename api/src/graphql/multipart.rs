//! Subscriptions over plain HTTP: each response is a part of one `multipart/mixed` answer.
//!
//! As clients ask for it by `Accept: multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"`:
//! <https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol>. A part is the response
//! itself, which those clients take as well as one that is wrapped. Queries and mutations are answered by one part.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::http::{create_multipart_mixed_stream, is_accept_multipart_mixed};
use async_graphql::parser::types::OperationType;
use async_graphql::{Name, Request as GraphqlRequest};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, header};

use super::{Graphql, RequestData, decode, encode, finished, refused};
use crate::errors::put_request_id;
use crate::live::Transport;
use crate::rest;

/// An empty part is sent after so long, so that nobody on the way takes the connection for dead.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    accepted.any(|value| value.to_str().is_ok_and(is_accept_multipart_mixed))
}

pub(super) async fn answer(graphql: Graphql, request: Request) -> Response {
    let request_id = rest::request_id_of(request.headers());
    let mut response = match decode(&graphql, request, &request_id).await {
        Ok((request, data)) => parts(&graphql, request, data),
        Err(error) => encode(&refused(&error, &request_id), false, error.desc().status),
    };
    put_request_id(&mut response, &request_id);
    response
}

fn parts(graphql: &Graphql, mut request: GraphqlRequest, mut data: RequestData) -> Response {
    let api = &graphql.api;
    let connection = api.live().connect(Transport::GraphqlMultipart, data.peer);
    let request_id = Arc::clone(&data.request_id);
    data.connection = Some(Arc::clone(&connection));
    let (stopping, closed) = (api.stopping().clone(), connection.closed().clone());
    let is_subscription = is_subscription(&mut request);
    let responses = graphql.schema.execute_stream(request.data(data));
    let responses = responses.map(move |response| finished(response, &request_id));
    let ended = async move {
        // A call under way comes to its end, as over the other interfaces.
        if !is_subscription {
            return std::future::pending().await;
        }
        tokio::select! {
            () = stopping.cancelled_owned() => {}
            () = closed.cancelled_owned() => {}
        }
    };
    let responses = Box::pin(responses.take_until(Box::pin(ended)));
    let parts = create_multipart_mixed_stream(responses, HEARTBEAT_EVERY);
    // The connection is in the list for as long as the answer goes on.
    let parts = parts.map(move |bytes| {
        // Neither boundaries, headers of parts nor heartbeats are messages.
        if bytes.starts_with(b"{\"") {
            connection.sent(bytes.len());
        }
        Ok::<_, Infallible>(bytes)
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    let media_type = "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=\"1.0\"";
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the operation asked for is a subscription; a document that does not parse asks for none.
pub(super) fn is_subscription(request: &mut GraphqlRequest) -> bool {
    let name = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else {
        return false;
    };
    let is_named = |known: Option<&Name>| {
        name.as_ref()
            .is_none_or(|name| known.is_some_and(|known| known == name))
    };
    let mut asked = document.operations.iter().filter(|(known, _)| is_named(*known));
    asked.any(|(_, operation)| operation.node.ty == OperationType::Subscription)
}
