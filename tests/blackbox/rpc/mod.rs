//! JSON-RPC 2.0 on a WebSocket: its frames, its connection and how calls run side by side.

mod connection;
mod frames;

use serde_json::{Value, json};

use crate::harness::rpc::Socket;
use crate::harness::world::World;

/// A query that runs until it is stopped, for all that a test lives.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 1000000000000000) WHERE value % 7 = 3";

async fn open(world: &World, role: &str) -> Socket {
    Socket::open(world.server.address(), &world.credential(role))
        .await
        .unwrap()
}

fn request(id: &Value, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}
