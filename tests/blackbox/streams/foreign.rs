//! Clients that others wrote: each receives a change that was made through another interface.
//! Chromium's are in the module `browser`; tokio-tungstenite is what the harness of all tests listens with.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::contract::operation;
use crate::harness::credential::Credential;
use crate::harness::tools;
use crate::harness::wire::Wire;
use crate::harness::world::World;

/// A program that says "ready" once it is subscribed, then the row that it is told; killed when dropped.
struct Receiver {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Receiver {
    fn start(mut command: Command, world: &World) -> Receiver {
        let Credential::Bearer(token) = world.credential("admin") else {
            panic!("the world's users have tokens")
        };
        let mut child = command
            .args([world.base_url(), "orders"])
            .env("TOKEN", token)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut receiver = Receiver { child, lines };
        assert_eq!(receiver.line(), "ready");
        receiver
    }

    /// What it says next; nothing once it has ended.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The row, and that it ends well behind it.
    fn row(mut self) -> Value {
        let row = serde_json::from_str(&self.line()).unwrap();
        assert!(self.child.wait().unwrap().success());
        row
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A world with a table that the receivers watch.
async fn world() -> World {
    let world = World::new().await;
    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "note", "type": "text"}]);
    let input = json!({"name": "orders", "columns": columns, "primary_key": ["id"]});
    world.must("database.create_table", &input, "admin").await;
    world
}

/// The program is told the row that is inserted over `wire`.
async fn receives(command: Command, wire: Wire) {
    let world = world().await;
    let receiver = tokio::task::block_in_place(|| Receiver::start(command, &world));
    let row = json!({"id": 7, "note": format!("over {wire:?}")});
    let input = json!({"name": "orders", "rows": [row]});
    let insert = operation("database.insert_rows");
    wire.call(&world, insert, &input, &world.credential("admin"))
        .await
        .unwrap();
    assert_eq!(tokio::task::block_in_place(|| receiver.row()), row);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_graphql_ws_receives_what_rest_wrote() {
    let mut command = Command::new("node");
    command.arg(tools::checkers().join("receive-graphql-ws.mjs"));
    receives(command, Wire::Rest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_websockets_receives_what_graphql_wrote() {
    let mut command = tools::python();
    command.arg(tools::checkers().join("receive_websockets.py"));
    receives(command, Wire::Graphql).await;
}
