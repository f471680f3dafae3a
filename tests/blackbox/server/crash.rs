//! Killed under load: what was acknowledged is there, and nothing is there by half.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::contract;
use crate::harness::credential::Credential;
use crate::harness::rest;
use crate::harness::server::Server;
use crate::harness::world::World;

const ROUNDS: u32 = 5;

/// Rows of a group that is written in one call, and in one transaction of two calls.
const GROUP_ROWS: u64 = 7;

/// Acknowledged groups of a round, at most, before the process is killed.
const ACKNOWLEDGED_MAX: usize = 120;

/// What writers have been told, and when to look.
#[derive(Default)]
struct Acknowledged {
    groups: Mutex<Vec<u64>>,
    more: Notify,
}

/// One that writes until the server is gone.
struct Writer {
    http: reqwest::Client,
    base_url: String,
    credential: Credential,
    next_group: Arc<AtomicU64>,
    acknowledged: Arc<Acknowledged>,
}

impl Writer {
    /// `None` once the server does not answer.
    async fn call(&self, id: &str, input: &Value) -> Option<Value> {
        let placed = rest::place(contract::operation(id), input);
        let mut request = self.http.post(format!("{}{}", self.base_url, placed.path));
        if let Some(body) = &placed.body {
            request = request.json(body);
        }
        let response = self.credential.on(request).send().await.ok()?;
        assert!(response.status().is_success(), "{id}: {}", response.status());
        response.json().await.ok()
    }

    async fn run(self, kind: u64) {
        loop {
            let group = self.next_group.fetch_add(1, Ordering::Relaxed);
            let written = match kind {
                0 => self.insert(group, 0..1, 1, None).await,
                1 => self.insert(group, 0..GROUP_ROWS, GROUP_ROWS, None).await,
                _ => self.transaction(group).await,
            };
            if written.is_none() {
                return;
            }
            self.acknowledged.groups.lock().unwrap().push(group);
            self.acknowledged.more.notify_one();
        }
    }

    async fn insert(
        &self,
        group: u64,
        members: std::ops::Range<u64>,
        size: u64,
        transaction: Option<&Value>,
    ) -> Option<Value> {
        let rows: Vec<Value> = members
            .map(|member| json!({"id": group * 100 + member, "grp": group, "size": size, "text": "x".repeat(200)}))
            .collect();
        let mut input = json!({"name": "load", "rows": rows});
        if let Some(id) = transaction {
            input["transaction_id"] = id.clone();
        }
        self.call("database.insert_rows", &input).await
    }

    async fn transaction(&self, group: u64) -> Option<Value> {
        let begun = self.call("transactions.begin", &json!({})).await?;
        let id = &begun["transaction_id"];
        self.insert(group, 0..3, GROUP_ROWS, Some(id)).await?;
        self.insert(group, 3..GROUP_ROWS, GROUP_ROWS, Some(id)).await?;
        self.call("transactions.commit", &json!({"id": id})).await
    }
}

/// Seed of a random test: printed, and taken from RUSTYDB_TEST_SEED where that is set.
fn seed() -> u64 {
    let seed = match std::env::var("RUSTYDB_TEST_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => rand::rng().random(),
    };
    println!("RUSTYDB_TEST_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_killed_under_load_keeps_what_it_acknowledged() {
    let mut random = StdRng::seed_from_u64(seed());
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::reopened(Server::start_in(folder.path(), &[])).await;
    let columns = json!([
        {"name": "id", "type": "bigint"}, {"name": "grp", "type": "bigint"},
        {"name": "size", "type": "bigint"}, {"name": "text", "type": "text"},
    ]);
    let unique = json!([{"columns": ["id", "grp"]}]);
    let table = json!({"name": "load", "columns": columns, "primary_key": ["id"], "unique": unique});
    world.must("database.create_table", &table, "admin").await;
    let next_group = Arc::new(AtomicU64::new(1));
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let acknowledged = Arc::new(Acknowledged::default());
        let writers: Vec<_> = (0..6)
            .map(|index| {
                let writer = Writer {
                    http: world.http.clone(),
                    base_url: world.base_url().to_owned(),
                    credential: world.credential("admin"),
                    next_group: Arc::clone(&next_group),
                    acknowledged: Arc::clone(&acknowledged),
                };
                tokio::spawn(writer.run(index % 3))
            })
            .collect();
        let enough = random.random_range(1..=ACKNOWLEDGED_MAX);
        while acknowledged.groups.lock().unwrap().len() < enough {
            acknowledged.more.notified().await;
        }
        world.server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        all.extend(acknowledged.groups.lock().unwrap().drain(..));
        world = World::reopened(Server::start_in(folder.path(), &[])).await;
        let kept = check(&world, &all).await;
        println!("round {round}: {} groups acknowledged, {kept} kept", all.len());
    }
}

/// Every acknowledged group is there and every group is whole; answers how many there are.
async fn check(world: &World, acknowledged: &[u64]) -> usize {
    let sql = "SELECT grp, size, count(*) AS rows FROM load GROUP BY grp, size";
    let input = json!({"sql": sql, "format": "arrays", "limit": 100_000});
    let found = world.must("sql.execute_query", &input, "admin").await;
    assert_eq!(found["truncated"], false);
    let number = |value: &Value| value.as_u64().unwrap();
    let groups: BTreeMap<u64, (u64, u64)> = found["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (number(&row[0]), (number(&row[1]), number(&row[2]))))
        .collect();
    for (group, (size, rows)) in &groups {
        assert_eq!(size, rows, "group {group} is there by half");
    }
    for group in acknowledged {
        assert!(
            groups.contains_key(group),
            "group {group} was acknowledged and is gone"
        );
    }
    // The counters that the store keeps beside the rows agree with them.
    let stats = world
        .must("database.get_table_stats", &json!({"name": "load"}), "admin")
        .await;
    assert_eq!(
        stats["row_count"],
        groups.values().map(|(_, rows)| rows).sum::<u64>()
    );
    let open = world.must("transactions.list_active", &json!({}), "admin").await;
    assert_eq!(
        open["transactions"],
        json!([]),
        "no transaction outlives its server"
    );
    groups.len()
}
