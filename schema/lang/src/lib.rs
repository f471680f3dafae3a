//! Rust side of the contract language: what generated code is written in terms of.
//!
//! - [`scalars`] and [`Presence`]: values as the wire carries them.
//! - [`descriptor`]: static tables that say what every operation and type is. The server validates, routes and
//!   registers from them, so generated code stays thin and one rule holds on every interface.
//! - [`validate`]: an input against its descriptor; [`text`]: query text to JSON.
//! - [`call`] and [`error`]: what a service is told of its caller, and what it may answer; [`stream`]: the same of
//!   what goes on answering, and [`topic`]: a source of telemetry.
//!
//! Nothing here knows an engine, a web framework or GraphQL.

pub mod call;
pub mod descriptor;
pub mod error;
pub mod host;
pub mod names;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod presence;
pub mod scalars;
pub mod stream;
pub mod text;
pub mod topic;
pub mod validate;

pub use async_trait::async_trait;
pub use call::{AnswerFuture, CallContext, Interface, Operation, Permissions, Principal};
pub use error::{ErrorDesc, Retry, ServiceError, ServiceResult};
pub use presence::Presence;
pub use scalars::{Bytes, Cursor, Date, Decimal, Empty, Id64, Lsn, Timestamp, Uuid};
pub use serde_json::Value as Json;

/// An object of free keys, in the order they were given.
pub type Map<T> = indexmap::IndexMap<String, T>;
