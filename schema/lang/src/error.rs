//! What a call may answer instead of its output.

use std::fmt;

use serde_json::Value;

use crate::descriptor::TypeDesc;

/// Whether the same call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// At once, or after `retry_after`: nothing was done.
    Safe,
    /// The whole transaction may be run again from its beginning.
    Transaction,
}

/// One row of the contract's error table.
#[derive(Debug)]
pub struct ErrorDesc {
    /// UPPER_SNAKE, the same on every interface.
    pub code: &'static str,
    pub status: u16,
    /// JSON-RPC code.
    pub rpc: i32,
    pub retry: Retry,
    pub summary: &'static str,
    /// Type of `details`.
    pub details: Option<&'static TypeDesc>,
}

pub type ServiceResult<T> = Result<T, ServiceError>;

/// An error of the contract with what is particular to this call.
#[derive(Clone)]
pub struct ServiceError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    desc: &'static ErrorDesc,
    message: String,
    details: Option<Value>,
    retry_after_seconds: Option<u64>,
}

impl ServiceError {
    /// `message` says what was wrong, with the value, and what to do.
    pub fn new(desc: &'static ErrorDesc, message: impl Into<String>) -> ServiceError {
        ServiceError(Box::new(Inner {
            desc,
            message: message.into(),
            details: None,
            retry_after_seconds: None,
        }))
    }

    /// Adds `details`, which must be of the type the contract declares for the error.
    pub fn with_details(mut self, details: impl serde::Serialize) -> ServiceError {
        self.0.details = serde_json::to_value(details).ok();
        self
    }

    /// The same error, its message led by the part of the input that it is about, such as `statements.1`.
    pub fn in_part(mut self, path: &str) -> ServiceError {
        self.0.message = format!("{path}: {}", self.0.message);
        self
    }

    pub fn with_retry_after_seconds(mut self, seconds: u64) -> ServiceError {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    pub fn desc(&self) -> &'static ErrorDesc {
        self.0.desc
    }

    pub fn code(&self) -> &'static str {
        self.0.desc.code
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after_seconds
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

impl std::error::Error for ServiceError {}
