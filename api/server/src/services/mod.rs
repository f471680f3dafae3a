//! Services that the server has itself, since they are about the server: its calls and its connections.

mod monitoring;
mod protocol;
mod websocket;

pub use monitoring::Monitoring;
pub use protocol::Protocol;
pub use websocket::Websocket;
