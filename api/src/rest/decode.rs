//! A REST request to the input of its operation.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::RawPathParams;
use futures::StreamExt;
use http::header::{self, HeaderMap};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use rustydb_contract::ServiceError;
use rustydb_contract::ServiceResult;
use rustydb_contract::descriptor::{FieldDesc, Limits, OperationDesc, RestPlace};
use rustydb_contract::host::Credential;
use rustydb_contract::text;
use rustydb_contract::validate::Violation;
use rustydb_contract_core::errors::{
    INVALID_ARGUMENT, INVALID_REQUEST, MALFORMED_JSON, PAYLOAD_TOO_LARGE, UNAUTHENTICATED,
    UNSUPPORTED_MEDIA_TYPE,
};
use serde_json::{Map, Value};

use crate::errors::invalid_argument;

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(60);

const API_KEY_HEADER: &str = "x-api-key";
const TIMEOUT_HEADER: &str = "x-timeout-ms";

/// Times the largest body that is read of one that is too large.
const DISCARDED_BODIES_MAX: usize = 4;

/// The credential of a request: `Authorization: Bearer` or `X-API-Key`, not both.
pub fn credential(headers: &HeaderMap) -> ServiceResult<Option<Credential>> {
    let unreadable = || ServiceError::new(&UNAUTHENTICATED, "the credential's header is not text");
    let api_key = headers.get(API_KEY_HEADER);
    let authorization = headers.get(header::AUTHORIZATION);
    match (authorization, api_key) {
        (None, None) => Ok(None),
        (None, Some(key)) => {
            let key = key.to_str().map_err(|_| unreadable())?;
            Ok(Some(Credential::ApiKey(key.to_owned())))
        }
        (Some(value), None) => {
            let value = value.to_str().map_err(|_| unreadable())?;
            match value.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Ok(Some(Credential::Bearer(token.trim().to_owned())))
                }
                _ => Err(ServiceError::new(
                    &UNAUTHENTICATED,
                    "the Authorization header is not of the form `Bearer TOKEN`",
                )),
            }
        }
        (Some(_), Some(_)) => Err(ServiceError::new(
            &UNAUTHENTICATED,
            "send Authorization or X-API-Key, not both",
        )),
    }
}

/// The time-out a request asks for.
pub fn timeout_ms(headers: &HeaderMap) -> ServiceResult<Option<u64>> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else {
        return Ok(None);
    };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| {
        ServiceError::new(
            &INVALID_ARGUMENT,
            "X-Timeout-Ms is not a whole number of milliseconds",
        )
    })
}

/// The input of the operation, from path, query and body.
pub async fn input(
    desc: &'static OperationDesc,
    limits: &Limits,
    path: &RawPathParams,
    parts: &Parts,
    body: Body,
) -> ServiceResult<Value> {
    let input = body_fields(desc, limits, &parts.headers, body).await?;
    fields_beside_body(desc, path, parts, input)
}

/// The input that a request without a body has.
pub fn query_input(
    desc: &'static OperationDesc,
    path: &RawPathParams,
    parts: &Parts,
) -> ServiceResult<Value> {
    fields_beside_body(desc, path, parts, Map::new())
}

fn fields_beside_body(
    desc: &'static OperationDesc,
    path: &RawPathParams,
    parts: &Parts,
    mut input: Map<String, Value>,
) -> ServiceResult<Value> {
    for (name, text) in path {
        let field = field_at(desc, name, RestPlace::Path).ok_or_else(|| unknown_parameter(desc, name))?;
        insert(&mut input, field, &[text.to_owned()])?;
    }
    for (name, texts) in query_texts(parts.uri.query().unwrap_or_default())? {
        let field = field_at(desc, &name, RestPlace::Query).ok_or_else(|| unknown_parameter(desc, &name))?;
        if input.contains_key(field.name) {
            return Err(invalid_argument(Violation {
                field: name.clone(),
                message: format!("{name}: is given in the query and in the body; give it once"),
            }));
        }
        insert(&mut input, field, &texts)?;
    }
    Ok(Value::Object(input))
}

async fn body_fields(
    desc: &'static OperationDesc,
    limits: &Limits,
    headers: &HeaderMap,
    body: Body,
) -> ServiceResult<Map<String, Value>> {
    let bytes = body_bytes(body, limits.request_bytes).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    if !desc.has_body() {
        return Err(ServiceError::new(
            &INVALID_REQUEST,
            format!("{} takes no body", desc.id),
        ));
    }
    if !is_json(headers) {
        return Err(ServiceError::new(
            &UNSUPPORTED_MEDIA_TYPE,
            "send the body as JSON with `Content-Type: application/json`",
        ));
    }
    let value = parse_json(&bytes, limits.json_depth)?;
    let Value::Object(map) = value else {
        return Err(invalid_argument(Violation {
            field: String::new(),
            message: "the body is not a JSON object".to_owned(),
        }));
    };
    for name in map.keys() {
        let elsewhere = desc.input_fields().iter().find(|field| {
            field.name == name && matches!(field.place, Some(RestPlace::Path | RestPlace::Query))
        });
        if let Some(field) = elsewhere {
            let place = if field.place == Some(RestPlace::Path) {
                "path"
            } else {
                "query"
            };
            return Err(invalid_argument(Violation {
                field: name.clone(),
                message: format!("{name}: belongs in the {place}, not in the body"),
            }));
        }
    }
    Ok(map)
}

/// A body of at most `bytes_max`. What is larger is read on for a while and thrown away: a connection that is closed
/// on unread bytes is reset, and the answer lost with it.
pub async fn body_bytes(body: Body, bytes_max: usize) -> ServiceResult<Vec<u8>> {
    match tokio::time::timeout(BODY_WITHIN, read_body(body, bytes_max)).await {
        Ok(read) => read,
        Err(_) => Err(ServiceError::new(
            &INVALID_REQUEST,
            format!("the body did not arrive within {} s", BODY_WITHIN.as_secs()),
        )),
    }
}

async fn read_body(body: Body, bytes_max: usize) -> ServiceResult<Vec<u8>> {
    let mut frames = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = frames.next().await {
        let frame = frame
            .map_err(|error| ServiceError::new(&INVALID_REQUEST, format!("the body ended early: {error}")))?;
        length += frame.len();
        if length <= bytes_max {
            bytes.extend_from_slice(&frame);
        } else if length > bytes_max.saturating_mul(DISCARDED_BODIES_MAX) {
            break;
        }
    }
    if length <= bytes_max {
        return Ok(bytes);
    }
    let message = format!("the body is larger than {bytes_max} bytes");
    Err(ServiceError::new(&PAYLOAD_TOO_LARGE, message))
}

/// JSON text, bounded in depth.
pub fn parse_json(bytes: &[u8], depth_max: usize) -> ServiceResult<Value> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| ServiceError::new(&MALFORMED_JSON, format!("the request is not JSON: {error}")))?;
    if depth(&value) > depth_max {
        return Err(ServiceError::new(
            &MALFORMED_JSON,
            format!("the request is nested deeper than {depth_max}"),
        ));
    }
    Ok(value)
}

/// serde_json refuses more than 128 levels, so that this recursion is bounded.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether the request says that its body is JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn field_at(desc: &'static OperationDesc, name: &str, place: RestPlace) -> Option<&'static FieldDesc> {
    desc.input_fields().iter().find(|field| {
        field.name == name
            && (field.place == Some(place)
                || place == RestPlace::Query && field.place == Some(RestPlace::QueryOrBody))
    })
}

fn insert(input: &mut Map<String, Value>, field: &FieldDesc, texts: &[String]) -> ServiceResult<()> {
    let value = text::parse(field, texts).map_err(invalid_argument)?;
    input.insert(field.name.to_owned(), value);
    Ok(())
}

/// Parameters in the order of their names, each with all its texts.
fn query_texts(query: &str) -> ServiceResult<BTreeMap<String, Vec<String>>> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        texts
            .entry(decode_text(name)?)
            .or_default()
            .push(decode_text(text)?);
    }
    Ok(texts)
}

fn decode_text(text: &str) -> ServiceResult<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| ServiceError::new(&INVALID_REQUEST, "the query holds bytes that are not UTF-8"))
}

fn unknown_parameter(desc: &OperationDesc, name: &str) -> ServiceError {
    let known: Vec<&str> = desc
        .input_fields()
        .iter()
        .filter(|field| matches!(field.place, Some(RestPlace::Query | RestPlace::QueryOrBody)))
        .map(|field| field.name)
        .collect();
    let known = if known.is_empty() {
        "there are none".to_owned()
    } else {
        format!("known are {}", known.join(", "))
    };
    invalid_argument(Violation {
        field: name.to_owned(),
        message: format!("{name}: no such query parameter of {}; {known}", desc.id),
    })
}
