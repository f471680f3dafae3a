//! WebSockets: the common entry, and the paths of single views.
//!
//! Two languages are spoken on every path. [`rpc`]: JSON-RPC 2.0 in which every operation is a method and every view can
//! be subscribed to, when the subprotocol `rustydb.json` is asked for. [`raw`]: envelopes with `message_type`, `data`
//! and `timestamp`, when none is. A path of its own opens its view at once, with arguments from the query; or, for a view
//! whose runs are many, when a message asks.
//! [`graphql`] is the third language, spoken on /graphql. [`session`] has what all three share: liveness, time-outs,
//! closing.

pub(crate) mod graphql;
mod message;
mod raw;
mod rpc;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap};
use http::request::Parts;
use rustydb_contract::host::{Credential, CredentialCell};
use rustydb_contract::stream::ViewDesc;
use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_core::errors::{INVALID_REQUEST, PERMISSION_DENIED};
use serde_json::Value;

use crate::errors::problem;
use crate::live::{Connection, Transport};
use crate::registry::Api;
use crate::rest;

/// The subprotocol of JSON-RPC.
pub const JSON_PROTOCOL: &str = "rustydb.json";

/// Where the common entry lies.
pub const PATH: &str = "/api/v1/ws";

/// Largest frame, in bytes; a message may be larger, of several frames.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// A view that a socket opens by itself, with its input.
pub(crate) struct Dedicated {
    pub(crate) desc: &'static ViewDesc,
    pub(crate) input: Value,
}

/// Upgrades a connection to the common entry. Bad credentials and a foreign Origin are refused before it.
pub async fn entry(State(api): State<Api>, request: Request) -> Response {
    upgrade_or_refuse(api, None, request).await
}

/// Upgrades a connection to the path of one view. Arguments that are not valid are refused before it, too.
pub async fn dedicated(State(api): State<Api>, desc: &'static ViewDesc, request: Request) -> Response {
    upgrade_or_refuse(api, Some(desc), request).await
}

async fn upgrade_or_refuse(api: Api, desc: Option<&'static ViewDesc>, request: Request) -> Response {
    let request_id = rest::request_id_of(request.headers());
    match upgrade(api, desc, request).await {
        Ok(response) => response,
        Err(error) => problem(&error, &request_id),
    }
}

async fn upgrade(api: Api, desc: Option<&'static ViewDesc>, request: Request) -> ServiceResult<Response> {
    let (mut parts, _) = request.into_parts();
    let handshake = Handshake::of(&api, &mut parts).await?;
    let dedicated = match desc {
        Some(desc) => {
            let no_path = RawPathParams::from_request_parts(&mut parts, &())
                .await
                .map_err(|error| ServiceError::new(&INVALID_REQUEST, error.to_string()))?;
            let input = rest::query_input(&desc.open, &no_path, &parts)?;
            Some(Dedicated { desc, input })
        }
        None => None,
    };
    let speaks_rpc = handshake.offered.iter().any(|protocol| protocol == JSON_PROTOCOL);
    let others = handshake
        .offered
        .iter()
        .any(|protocol| !protocol.starts_with(BEARER_PROTOCOL));
    if !speaks_rpc && others {
        return Err(ServiceError::new(
            &INVALID_REQUEST,
            format!("ask for the subprotocol {JSON_PROTOCOL} in Sec-WebSocket-Protocol, or for none"),
        ));
    }
    let protocols = handshake.protocols(speaks_rpc.then_some(JSON_PROTOCOL));
    let transport = if speaks_rpc {
        Transport::Rpc
    } else {
        Transport::Raw
    };
    Ok(handshake.finish(
        &api,
        transport,
        protocols,
        move |api, connection, socket, credential| async move {
            if speaks_rpc {
                rpc::run(api, connection, socket, credential, dedicated).await;
            } else {
                raw::run(api, connection, socket, credential, dedicated).await;
            }
        },
    ))
}

/// Before a token that is offered as a subprotocol.
const BEARER_PROTOCOL: &str = "bearer.";

/// What every upgrade begins with.
pub(crate) struct Handshake {
    upgrade: WebSocketUpgrade,
    /// Subprotocols in the caller's order.
    pub(crate) offered: Vec<String>,
    credential: Option<Credential>,
    address: Option<SocketAddr>,
}

impl Handshake {
    pub(crate) async fn of(api: &Api, parts: &mut Parts) -> ServiceResult<Handshake> {
        check_origin(&parts.headers)?;
        let offered = protocols(&parts.headers);
        let credential = match rest::credential(&parts.headers)? {
            Some(credential) => Some(credential),
            None => bearer_protocol(&offered),
        };
        if let Some(credential) = &credential {
            api.pipeline().principal(credential).await?;
        }
        let upgrade = WebSocketUpgrade::from_request_parts(parts, &())
            .await
            .map_err(|_| {
                ServiceError::new(&INVALID_REQUEST, "this endpoint takes WebSocket upgrades only")
            })?;
        Ok(Handshake {
            upgrade,
            offered,
            credential,
            address: rest::address_of(parts),
        })
    }

    /// What to answer of the subprotocols. A browser ends a connection whose answer has none of those it offered; one
    /// that offered its token alone gets that back.
    pub(crate) fn protocols(&self, spoken: Option<&str>) -> Vec<String> {
        match spoken {
            Some(protocol) => vec![protocol.to_owned()],
            None => self.offered.clone(),
        }
    }

    /// Answers the upgrade and runs the socket once it is there. The connection counts from the answer on.
    pub(crate) fn finish<F, W>(
        self,
        api: &Api,
        transport: Transport,
        protocols: Vec<String>,
        run: F,
    ) -> Response
    where
        F: FnOnce(Api, Arc<Connection>, WebSocket, CredentialCell) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let Handshake {
            upgrade,
            credential,
            address,
            ..
        } = self;
        let request_bytes = api.pipeline().limits().request_bytes;
        let api = api.clone();
        let connection = api.live().connect(transport, address);
        upgrade
            .protocols(protocols)
            .max_message_size(request_bytes)
            .max_frame_size(FRAME_BYTES_MAX)
            .on_upgrade(move |socket| {
                let sockets = api.sockets().clone();
                let credential = CredentialCell::new(credential);
                sockets.track_future(run(api, connection, socket, credential))
            })
            .into_response()
    }
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
        .find_map(|protocol| protocol.strip_prefix(BEARER_PROTOCOL))
        .map(|token| Credential::Bearer(token.to_owned()))
}
