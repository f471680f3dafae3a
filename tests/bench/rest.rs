//! REST point reads and single-row inserts of the real server against the operation that answers `{}`.
//!
//! `cargo bench -p rustydb --bench rest`. One server process on a fresh data directory; blocking connections with
//! keep-alive on the same machine, so that the client's work is in every rate alike. `auth.logout` with an API key
//! passes the whole pipeline (credentials, permission, validation) and then does nothing: what a read or an insert
//! costs beside it is its own. Every insert is a transaction of its own, answered after its `fsync`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark says what it finds"
)]

#[path = "support/server.rs"]
mod server;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::{Connection, Server, api_key};
use support::{Random, Samples, print_machine};

const CONNECTIONS: [usize; 2] = [1, 8];
const ROUNDS: usize = 7;
const SLICE: Duration = Duration::from_millis(1500);
const ROWS: u64 = 10_000;
const ROWS_A_CALL: u64 = 1_000;

fn create_table(connection: &mut Connection) {
    let columns = json!([
        {"name": "id", "type": "bigint"},
        {"name": "name", "type": "text"},
        {"name": "score", "type": "double precision"},
    ]);
    let definition = json!({"columns": columns, "primary_key": ["id"]}).to_string();
    connection.call("POST", "/api/v1/tables/bench", &definition, 201);
    for first in (0..ROWS).step_by(ROWS_A_CALL as usize) {
        let rows: Vec<Value> = (first..first + ROWS_A_CALL).map(row).collect();
        connection.call(
            "POST",
            "/api/v1/tables/bench/rows",
            &json!({"rows": rows}).to_string(),
            201,
        );
    }
}

fn row(id: u64) -> Value {
    json!({"id": id, "name": format!("name of row {id}"), "score": id as f64 / 8.0})
}

#[derive(Clone, Copy)]
enum Work {
    Nothing,
    Read,
    Insert,
}

/// Ids of rows that are inserted while it is measured.
static NEXT_ID: AtomicU64 = AtomicU64::new(ROWS);

impl Work {
    fn call(self, connection: &mut Connection, random: &mut Random) {
        match self {
            Work::Nothing => {
                let answer = connection.call("POST", "/api/v1/auth/logout", "", 200);
                assert_eq!(answer, b"{}");
            }
            Work::Read => {
                let path = format!("/api/v1/tables/bench/rows/{}", random.below(ROWS));
                connection.call("GET", &path, "", 200);
            }
            Work::Insert => {
                let rows = json!({"rows": [row(NEXT_ID.fetch_add(1, Ordering::Relaxed))]}).to_string();
                connection.call("POST", "/api/v1/tables/bench/rows", &rows, 201);
            }
        }
    }

    /// Calls a second over all connections.
    fn rate(self, connections: &mut [Connection], seed: u64) -> f64 {
        let begun = Instant::now();
        let calls: u64 = thread::scope(|scope| {
            let workers: Vec<_> = connections
                .iter_mut()
                .zip(seed..)
                .map(|(connection, seed)| {
                    scope.spawn(move || {
                        let mut random = Random::new(seed + 1);
                        let mut calls = 0;
                        while begun.elapsed() < SLICE {
                            self.call(connection, &mut random);
                            calls += 1;
                        }
                        calls
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        calls as f64 / begun.elapsed().as_secs_f64()
    }
}

fn main() {
    print_machine();
    let server = Server::start();
    let key = api_key(&server.address);
    create_table(&mut Connection::open(&server.address, key.clone()));
    println!(
        "{ROUNDS} rounds of {} ms each, interleaved; {ROWS} rows at the start; an insert is answered after its fsync",
        SLICE.as_millis()
    );
    for count in CONNECTIONS {
        let mut connections: Vec<Connection> = (0..count)
            .map(|_| Connection::open(&server.address, key.clone()))
            .collect();
        for work in [Work::Nothing, Work::Read, Work::Insert] {
            work.rate(&mut connections, 0);
        }
        let [mut nothing, mut read, mut insert] = [const { Samples::new() }; 3];
        for round in 0..ROUNDS as u64 {
            nothing.push(Work::Nothing.rate(&mut connections, round));
            read.push(Work::Read.rate(&mut connections, round));
            insert.push(Work::Insert.rate(&mut connections, round));
        }
        println!("\n{count} connections, calls a second: median (min to max)");
        println!("  auth.logout, answers {{}}   {}", nothing.spread(0));
        println!("  database.get_row          {}", read.spread(0));
        println!("  database.insert_rows, one {}", insert.spread(0));
        println!("  get_row / logout          {}", read.over(&nothing).spread(3));
        println!("  insert_rows / logout      {}", insert.over(&nothing).spread(3));
    }
}
