//! An error as a caller sees it, whatever carried it.

use codegen::fixtures::RecordedError;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub struct WireError {
    pub code: String,
    pub status: u64,
    pub message: String,
    pub request_id: String,
    pub details: Option<Value>,
}

impl WireError {
    /// From the members that each interface puts side by side.
    pub fn from_members(members: &Value, message: &Value) -> WireError {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        WireError {
            code: text(&members["code"]).unwrap_or_else(|| panic!("an error without a code: {members}")),
            status: members["status"]
                .as_u64()
                .unwrap_or_else(|| panic!("an error without a status: {members}")),
            message: text(message).unwrap_or_else(|| panic!("an error without a message: {members}")),
            request_id: text(&members["request_id"])
                .unwrap_or_else(|| panic!("an error without a request id: {members}")),
            details: members
                .get("details")
                .filter(|details| !details.is_null())
                .cloned(),
        }
    }

    pub fn recorded(&self) -> RecordedError {
        RecordedError {
            code: self.code.clone(),
            status: self.status,
            message: self.message.clone(),
            request_id: self.request_id.clone(),
            details: self.details.clone(),
        }
    }
}

pub type Answer = Result<Value, WireError>;
