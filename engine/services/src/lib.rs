//! The contract's services on the real engine: one implementation of each generated service trait.
//!
//! [`Engine`] opens a data directory and hands out the services; the server knows nothing else of what is below.
//! [`identity`] keeps users, keys and sessions for [`auth`] and [`admin`]; [`data`] runs the modules that read and
//! write tables; [`jobs`] runs what takes longer than a call; [`storage`] shows tablespaces, pages and the buffer pool;
//! [`taps`] listens to the kernel; [`listeners`] and [`samples`] are for what is told only while somebody watches; [`failure`] is where failures of the store become errors of the contract. A service decides nothing about permissions: the pipeline did before it called.

pub mod admin;
pub mod auth;
pub mod data;
mod engine;
mod failure;
mod framed;
pub mod health;
pub mod identity;
pub mod jobs;
mod listeners;
mod samples;
pub mod session;
pub mod storage;
mod taps;

pub use engine::{
    BUFFER_POOL_BYTES_DEFAULT, Engine, EngineError, EngineLoad, EngineOptions, VERSION_RETENTION_US_DEFAULT,
    check_store,
};
pub use health::Health;
pub use identity::AdminSecret;
pub use rustydb_kernel::kernel::VERSION_RETENTION_US_MAX;
pub use rustydb_store::locking::DEADLOCK_TIMEOUT_US_DEFAULT;
pub use rustydb_store::retention::LogRetention;
pub use rustydb_store::tables::{WRITE_SET_MEMORY_BYTES_DEFAULT, WRITE_SET_MEMORY_BYTES_MIN};
