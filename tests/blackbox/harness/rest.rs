//! Calls over REST, placed as the contract says.

use codegen::model::{Operation, RestPlace, Shape, Ty};
use reqwest::Method;
use serde_json::{Map, Value};

use super::contract::{self, resolved};
use super::credential::Credential;
use super::error::{Answer, WireError};

/// The answer as it came.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

pub async fn call(
    http: &reqwest::Client,
    base_url: &str,
    operation: &'static Operation,
    input: &Value,
    credential: &Credential,
) -> Answer {
    let answer = raw(http, base_url, operation, input, credential).await;
    if answer.status >= 400 {
        return Err(problem(&answer));
    }
    assert_eq!(
        answer.status, operation.status,
        "{} succeeds with its status",
        operation.id
    );
    Ok(answer.body)
}

/// The error of a problem document.
pub fn problem(answer: &RawAnswer) -> WireError {
    let body = &answer.body;
    assert_eq!(
        answer.headers["content-type"], "application/problem+json",
        "{body}"
    );
    assert_eq!(body["status"], u64::from(answer.status), "{body}");
    assert_eq!(
        answer.headers["x-request-id"],
        body["request_id"].as_str().unwrap(),
        "{body}"
    );
    problem_members(body)
}

/// The error in the body of a problem document.
pub fn problem_members(body: &Value) -> WireError {
    let mut members = body["error"].clone();
    members["status"] = body["status"].clone();
    members["request_id"] = body["request_id"].clone();
    WireError::from_members(&members, &body["error"]["message"])
}

pub async fn raw(
    http: &reqwest::Client,
    base_url: &str,
    operation: &'static Operation,
    input: &Value,
    credential: &Credential,
) -> RawAnswer {
    let placed = place(operation, input);
    let method: Method = operation.method.as_str().parse().unwrap();
    let mut request = http
        .request(method, format!("{base_url}{}", placed.path))
        .query(&placed.query);
    if let Some(body) = placed.body {
        request = request.json(&body);
    }
    send(credential.on(request)).await
}

pub async fn send(request: reqwest::RequestBuilder) -> RawAnswer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    RawAnswer {
        status,
        headers,
        body,
    }
}

/// An input spread over a request.
pub struct Placed {
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Option<Value>,
}

pub fn place(operation: &'static Operation, input: &Value) -> Placed {
    let mut path = operation.path.clone();
    let mut query = Vec::new();
    let mut body = Map::new();
    let fields = contract::model().input_fields(operation);
    let in_body = |place: Option<RestPlace>| matches!(place, Some(RestPlace::Body | RestPlace::QueryOrBody));
    let has_body = operation.method.has_body() && fields.iter().any(|field| in_body(field.place_rest));
    for (name, value) in input.as_object().unwrap() {
        let field = fields.iter().find(|field| field.name == *name);
        match field.and_then(|field| field.place_rest) {
            Some(RestPlace::Path) => {
                let text = plain(value);
                let text = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
                path = path.replace(&format!("{{{name}}}"), &text.to_string());
            }
            Some(RestPlace::Query) => query.extend(query_texts(name, value, &field.unwrap().ty)),
            Some(RestPlace::QueryOrBody) if !has_body => {
                query.extend(query_texts(name, value, &field.unwrap().ty))
            }
            _ if has_body => drop(body.insert(name.clone(), value.clone())),
            _ => query.push((name.clone(), plain(value))),
        }
    }
    Placed {
        path,
        query,
        body: has_body.then_some(Value::Object(body)),
    }
}

fn query_texts(name: &str, value: &Value, ty: &'static Ty) -> Vec<(String, String)> {
    match (resolved(ty), value) {
        (Ty::Array { items, .. }, Value::Array(list)) if is_scalar(items) => {
            list.iter().map(|item| (name.to_owned(), plain(item))).collect()
        }
        (ty, value) if is_scalar(ty) => vec![(name.to_owned(), plain(value))],
        (_, value) => vec![(name.to_owned(), value.to_string())],
    }
}

fn is_scalar(ty: &'static Ty) -> bool {
    match resolved(ty) {
        Ty::Json | Ty::Map { .. } | Ty::Array { .. } => false,
        Ty::Ref(name) => matches!(contract::model().ty(name).shape, Shape::Enum(_)),
        _ => true,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
