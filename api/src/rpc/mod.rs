//! JSON-RPC 2.0 over WebSocket: every operation is a method, its id the name, its input the params by name.
//!
//! Calls of one socket run side by side, at most [`CALLS_IN_FLIGHT_MAX`] at once; answers come as they are done
//! and are told apart by `id`. Beside the operations there are `auth`, which sets the credential of later calls,
//! and `cancel`, which stops one under way: that one answers CANCELLED. A request may carry `timeout_ms` and
//! `request_id` beside its params.

mod message;
mod socket;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap};
use rustydb_contract::host::Credential;
use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_core::errors::{INVALID_REQUEST, PERMISSION_DENIED};

use crate::errors::problem;
use crate::registry::Api;
use crate::rest;

/// The subprotocol.
pub const PROTOCOL: &str = "rustydb.json";

/// Where the endpoint lies.
pub const PATH: &str = "/api/v1/ws";

/// Largest frame, in bytes; a message may be larger, of several frames.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Calls of one socket that run at the same time, those of batches included; others wait.
const CALLS_IN_FLIGHT_MAX: usize = 64;

/// Upgrades a connection. Bad credentials and a foreign Origin are refused before it.
pub async fn handle(State(api): State<Api>, request: Request) -> Response {
    let request_id = rest::request_id_of(request.headers());
    match upgrade(api, request).await {
        Ok(response) => response,
        Err(error) => problem(&error, &request_id),
    }
}

async fn upgrade(api: Api, request: Request) -> ServiceResult<Response> {
    let (mut parts, _) = request.into_parts();
    check_origin(&parts.headers)?;
    let offered = protocols(&parts.headers);
    let credential = match rest::credential(&parts.headers)? {
        Some(credential) => Some(credential),
        None => bearer_protocol(&offered),
    };
    if let Some(credential) = &credential {
        api.pipeline().principal(credential).await?;
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| ServiceError::new(&INVALID_REQUEST, "this endpoint takes WebSocket upgrades only"))?;
    if !offered.iter().any(|protocol| protocol == PROTOCOL) {
        return Err(ServiceError::new(
            &INVALID_REQUEST,
            format!("ask for the subprotocol {PROTOCOL} in Sec-WebSocket-Protocol"),
        ));
    }
    let request_bytes = api.pipeline().limits().request_bytes;
    Ok(upgrade
        .protocols([PROTOCOL])
        .max_message_size(request_bytes)
        .max_frame_size(FRAME_BYTES_MAX)
        .on_upgrade(move |socket| {
            let sockets = api.sockets().clone();
            sockets.track_future(socket::run(api, socket, credential))
        })
        .into_response())
}

/// A browser names the page's origin; only pages of this server may connect.
fn check_origin(headers: &HeaderMap) -> ServiceResult<()> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, rest)| rest);
    if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(ServiceError::new(
        &PERMISSION_DENIED,
        "pages of another origin may not connect to this server",
    ))
}

fn protocols(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|protocol| protocol.trim().to_owned())
        .collect()
}

/// A browser cannot set headers: it offers its token as a subprotocol beside the real one.
fn bearer_protocol(offered: &[String]) -> Option<Credential> {
    offered
        .iter()
        .find_map(|protocol| protocol.strip_prefix("bearer."))
        .map(|token| Credential::Bearer(token.to_owned()))
}
