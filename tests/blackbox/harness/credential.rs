//! What a caller presents.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    Nobody,
    Bearer(String),
    ApiKey(String),
}

impl Credential {
    /// Adds the header, if there is one.
    pub fn on(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self {
            Credential::Nobody => request,
            Credential::Bearer(token) => request.bearer_auth(token),
            Credential::ApiKey(key) => request.header("X-API-Key", key),
        }
    }

    /// As the drivers of the clients take it.
    pub fn to_driver(&self) -> Value {
        match self {
            Credential::Nobody => Value::Null,
            Credential::Bearer(token) => json!({"bearer": token}),
            Credential::ApiKey(key) => json!({"api_key": key}),
        }
    }
}
