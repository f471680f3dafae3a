//! Frames of JSON-RPC 2.0.

use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_core::errors::INVALID_REQUEST;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::errors::rpc_error;

/// One request of a frame.
#[derive(Debug)]
pub struct RpcRequest {
    /// `None` for a notification, which is not answered.
    pub id: Option<Value>,
    pub method: String,
    /// An object by field name.
    pub params: Value,
    pub timeout_ms: Option<u64>,
    pub request_id: Option<String>,
}

/// A request that is none: the error, and the id where there was a sound one.
#[derive(Debug)]
pub struct Refused {
    pub id: Value,
    pub error: ServiceError,
}

impl RpcRequest {
    pub fn parse(value: Value) -> Result<RpcRequest, Refused> {
        let Value::Object(mut map) = value else {
            return Err(refused(Value::Null, "a request is an object"));
        };
        let id = map.remove("id");
        let shown = match &id {
            Some(id @ (Value::String(_) | Value::Number(_) | Value::Null)) => id.clone(),
            _ => Value::Null,
        };
        Self::from_map(map, id).map_err(|error| Refused { id: shown, error })
    }

    fn from_map(mut map: Map<String, Value>, id: Option<Value>) -> ServiceResult<RpcRequest> {
        if matches!(id, Some(Value::Bool(_) | Value::Array(_) | Value::Object(_))) {
            return Err(invalid("`id` is text or a number"));
        }
        if map.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("`jsonrpc` is not \"2.0\""));
        }
        let Some(Value::String(method)) = map.remove("method") else {
            return Err(invalid("`method` is missing or no text"));
        };
        let params = match map.remove("params") {
            None => Value::Object(Map::new()),
            Some(params @ Value::Object(_)) => params,
            Some(_) => return Err(invalid("`params` is an object by field name")),
        };
        let timeout_ms = match map.remove("timeout_ms") {
            None => None,
            Some(value) => Some(
                value
                    .as_u64()
                    .ok_or_else(|| invalid("`timeout_ms` is a whole number"))?,
            ),
        };
        let request_id = map
            .remove("request_id")
            .and_then(|value| value.as_str().map(str::to_owned));
        Ok(RpcRequest {
            id,
            method,
            params,
            timeout_ms,
            request_id,
        })
    }
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::new(&INVALID_REQUEST, message)
}

fn refused(id: Value, message: &str) -> Refused {
    Refused {
        id,
        error: invalid(message),
    }
}

/// Text of a response with a result that is JSON already.
pub fn success(id: &Value, result: Vec<u8>) -> String {
    let raw = String::from_utf8(result)
        .ok()
        .and_then(|text| RawValue::from_string(text).ok());
    let result = raw.as_deref().map_or("null", RawValue::get);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// Text of a response with an error.
pub fn failure(id: &Value, error: &ServiceError, request_id: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "error": rpc_error(error, request_id)}).to_string()
}

/// Text of a notification.
pub fn notification(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn refuses_what_is_no_request() {
        for (text, id) in [
            ("1", Value::Null),
            (r#"{"jsonrpc":"1.0","id":7,"method":"x"}"#, json!(7)),
            (r#"{"jsonrpc":"2.0","id":"a"}"#, json!("a")),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"x"}"#, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#, json!(1)),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"x","timeout_ms":-1}"#,
                json!(1),
            ),
        ] {
            let refused = RpcRequest::parse(serde_json::from_str(text).unwrap()).unwrap_err();
            assert_eq!(refused.id, id, "{text}");
            assert_eq!(refused.error.code(), "INVALID_REQUEST", "{text}");
        }
    }

    #[test]
    fn a_request_without_id_is_a_notification() {
        let request = RpcRequest::parse(json!({"jsonrpc": "2.0", "method": "x"})).unwrap();
        assert_eq!((request.id, request.params), (None, json!({})));
    }
}
