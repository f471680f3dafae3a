//! Services that the server has itself, since they are about the server: its calls and its connections.

mod protocol;
mod websocket;

pub use protocol::Protocol;
pub use websocket::Websocket;
