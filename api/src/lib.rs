//! The server library: one way in.
//!
//! REST, WebSocket and GraphQL decode a request into an operation and a JSON input, hand both to the [`pipeline`], and
//! encode what comes back. What goes on coming is a [`streams::Watch`], which every transport frames in its own way. Authentication, authorisation, validation, deadlines, request
//! ids, spans and metrics happen in the pipeline and nowhere else, so each holds on every interface at once.
//!
//! The crates below `gen/` register operations; this one knows none of them. It never sees the engine: what it
//! asks of it (who is the caller, what would this SQL do) are the traits of `rustydb_contract::host`.

pub mod errors;
pub mod graphql;
pub mod live;
pub mod pipeline;
pub mod registry;
pub mod rest;
pub mod server;
mod socket;
mod sse;
pub mod streams;

pub use pipeline::{Call, Called, Pipeline, Totals};
pub use registry::{Api, LateApi, ModuleApi, Registered};
pub use streams::RegisteredView;
