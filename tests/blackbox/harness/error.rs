//! An error as a caller sees it, whatever carried it.

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
}

pub type Answer = Result<Value, WireError>;
