//! RustyDB's client: one typed method per operation and per view of the contract, over REST and server-sent events.
//!
//! ```no_run
//! use rustydb_client::Client;
//!
//! # async fn example() -> Result<(), rustydb_client::Error> {
//! let client = Client::builder("http://127.0.0.1:8080").password("admin", "secret").build()?;
//! let health = client.health().get_summary().await?;
//! println!("{}", health.status.as_str());
//! # Ok(())
//! # }
//! ```
//!
//! - A method answers a [`Call`]; awaiting it sends it. Options such as [`Call::with_timeout`] come before.
//! - A paged operation answers a [`PagedCall`]: awaiting it gives one page, [`PagedCall::items`] a stream over all.
//! - A view of a stream answers a [`ViewCall`]: opening it gives a [`Subscription`], a stream of typed events.
//! - What went wrong is an [`Error`]; what the server answered is in it, with a typed [`ErrorCode`].
//! - Calls are repeated where the contract says that this is safe; see [`RetryPolicy`].
//!
//! The types of each module are re-exported beside its methods, for instance [`health`]. Fields that are
//! optional and nullable are [`contract::Presence`]: absent, null and a value are three things.
//!
//! The crate links neither the server nor the engine. It runs inside a Tokio runtime.

#[cfg(feature = "driver")]
pub mod driver;
#[rustfmt::skip]
mod generated;
mod runtime;

pub use futures;
pub use generated::*;
pub use runtime::call::Call;
pub use runtime::client::{Client, ClientBuilder};
pub use runtime::error::{ApiError, Error, Interruption};
pub use runtime::item::{Event, Item, Notice};
pub use runtime::paging::PagedCall;
pub use runtime::reconnect::ReconnectPolicy;
pub use runtime::retry::{Pace, RetryPolicy, SystemPace};
pub use runtime::session::Credentials;
pub use runtime::subscription::Subscription;
pub use runtime::view_call::ViewCall;
/// Scalars that the types are made of.
pub use rustydb_contract as contract;
