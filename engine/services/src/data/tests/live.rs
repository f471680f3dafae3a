//! Live queries against what the same question answers when it is asked anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustydb_contract::stream::{Body, Subscription, View};
use rustydb_contract_database::DatabaseService;
use rustydb_contract_database::views::{AggregateChanges, QueryChanges};
use rustydb_runtime::{ManualClock, Rng as _, SystemRng};
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::{
    CommitSeq, KeyRange, LogEntry, LogExtent, SpaceId, SpaceStats, StoreSnapshot, TableStore, Versioned,
    WriteBatch,
};
use rustydb_store::testing::kernel_store;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::support::{START_US, World, context};
use crate::data::DataEngine;

/// Far longer than anything here takes.
const WITHIN: Duration = Duration::from_secs(60);

/// A subscription, and what it told last.
struct Follower<E> {
    told: Subscription<E>,
    last: Value,
}

async fn follow<V>(world: &World, input: Value) -> Follower<V::Event>
where
    V: View<Service = dyn DatabaseService>,
    V::Event: Serialize,
{
    let service: &dyn DatabaseService = &world.engine;
    let input = serde_json::from_value(input).unwrap();
    let opened = V::open(service, &context(&V::desc().open, "admin"), input).await;
    let mut follower = Follower {
        told: opened.unwrap(),
        last: Value::Null,
    };
    follower.hear().await;
    follower
}

impl<E: Serialize> Follower<E> {
    async fn next(&mut self) -> Result<Value, String> {
        let item = tokio::time::timeout(WITHIN, self.told.next()).await;
        match item.expect("an event").expect("the subscription goes on") {
            Ok(item) => match item.body {
                Body::Event(event) => Ok(serde_json::to_value(event).unwrap()),
                Body::Control(control) => panic!("{control:?}"),
            },
            Err(error) => Err(error.code().to_owned()),
        }
    }

    async fn hear(&mut self) {
        self.last = self.next().await.unwrap();
    }

    /// Waits until it tells this; each word on the way differs from the one before.
    async fn until(&mut self, what: &str, expected: &Value, of: impl Fn(&Value) -> Value) {
        while of(&self.last) != *expected {
            let before = self.last.clone();
            let heard = tokio::time::timeout(WITHIN, self.told.next()).await;
            let Ok(Some(Ok(item))) = heard else {
                panic!("{what}: {expected} expected after {before}");
            };
            let Body::Event(event) = item.body else {
                panic!("{what}")
            };
            self.last = serde_json::to_value(event).unwrap();
            assert_ne!(self.last, before, "{what}: told twice");
        }
    }
}

async fn sales(world: &World) {
    world
        .sql(
            "CREATE TABLE sales (id bigint PRIMARY KEY, status text, amount integer, price decimal(10,2), \
             paid_at timestamp)",
        )
        .await;
}

/// Questions whose results are kept.
fn questions() -> Vec<(Value, Value, Vec<&'static str>)> {
    let open = json!({"field": "status", "operator": "EQ", "value": "open"});
    let cheap = json!({"or": [{"field": "amount", "operator": "LT", "value": 0}, {"not": open}]});
    let by = |field: &str, direction: &str| json!({"field": field, "direction": direction});
    vec![
        (json!({"and": []}), json!([]), vec![]),
        (open.clone(), json!([by("amount", "DESC")]), vec!["-amount"]),
        (
            cheap,
            json!([by("status", "ASC"), by("price", "DESC"), by("paid_at", "ASC")]),
            vec!["status", "-price", "paid_at"],
        ),
        (
            json!({"field": "paid_at", "operator": "IS_NULL"}),
            json!([by("status", "DESC"), by("id", "DESC")]),
            vec!["-status", "-id"],
        ),
    ]
}

fn random_row(random: &mut StdRng) -> Value {
    let mut maybe = |value: Value| {
        if random.random_ratio(1, 5) {
            Value::Null
        } else {
            value
        }
    };
    let (status, paid_at) = (maybe(json!("open")), maybe(json!("2026-01-02T03:04:05")));
    let (amount, price) = (maybe(json!(1)), maybe(json!(1)));
    let status = match status {
        Value::Null => Value::Null,
        _ => json!(["open", "opened", "o", "", "paid"][random.random_range(0..5)]),
    };
    let number = |given: Value, random: &mut StdRng| match given {
        Value::Null => Value::Null,
        _ => json!(random.random_range(-5..6)),
    };
    json!({
        "status": status, "amount": number(amount, random), "price": number(price, random), "paid_at": paid_at,
    })
}

async fn random_write(world: &World, random: &mut StdRng) {
    let id = random.random_range(0..40);
    let mut values = random_row(random);
    match random.random_range(0..10) {
        0..=4 => {
            values["id"] = json!(id);
            let input = json!({"name": "sales", "values": values});
            world.must("database.upsert_row", input).await;
        }
        5 => {
            let to = random.random_range(0..40);
            let sql = format!(
                "UPDATE sales SET id = {to} WHERE id = {id} AND NOT EXISTS (SELECT 1 FROM sales WHERE id = {to})"
            );
            world.sql(&sql).await;
        }
        6 => {
            world
                .sql(&format!(
                    "UPDATE sales SET status = 'open', amount = {id} WHERE amount < {id} - 20"
                ))
                .await;
        }
        7 | 8 => {
            world.sql(&format!("DELETE FROM sales WHERE id = {id}")).await;
        }
        _ if random.random_ratio(1, 5) => {
            world.sql("TRUNCATE TABLE sales").await;
        }
        _ => {
            world.sql("DELETE FROM sales WHERE id >= 100").await;
            world
                .sql("INSERT INTO sales SELECT value, 'open', value, NULL, NULL FROM generate_series(100, 102) AS s(value)")
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_results_are_those_of_the_question_asked_anew() {
    let seed = match std::env::var("RUSTYDB_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => {
            let mut bytes = [0; 8];
            SystemRng.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        }
    };
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new();
    sales(&world).await;
    let aggregates = json!([
        {"function": "COUNT", "field": "*"}, {"function": "SUM", "field": "amount"},
        {"function": "COUNT", "field": "amount"}, {"function": "SUM", "field": "price"},
    ]);
    let mut rows = Vec::new();
    let mut sums = Vec::new();
    for (filter, order, _) in questions() {
        let input = json!({"table": "sales", "where_clause": filter, "order_by": order, "limit": 7});
        rows.push(follow::<QueryChanges>(&world, input).await);
        let input = json!({"table": "sales", "where_clause": filter, "aggregates": aggregates});
        sums.push(follow::<AggregateChanges>(&world, input).await);
    }
    for step in 0..150 {
        random_write(&world, &mut random).await;
        for (at, (filter, _, order)) in questions().into_iter().enumerate() {
            let what = format!("seed {seed}, step {step}, question {at}");
            let input = json!({"name": "sales", "filter": filter, "order_by": order, "limit": 7});
            let page = world.must("database.query_rows", input).await;
            let count = world
                .must("database.count_rows", json!({"name": "sales", "filter": filter}))
                .await;
            let expected = json!([page["rows"], count["count"], "maintained"]);
            rows[at]
                .until(&what, &expected, |told| {
                    json!([told["rows"], told["total_count"], told["mode"]])
                })
                .await;
            let input = json!({"name": "sales", "filter": filter, "aggregates": aggregates});
            let groups = world.must("database.aggregate_rows", input).await;
            let expected = json!([groups["groups"][0]["results"], "maintained"]);
            sums[at]
                .until(&what, &expected, |told| json!([told["results"], told["mode"]]))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_results_that_grow_are_polled_and_kept_again_when_they_shrink() {
    let world = World::new();
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let input = json!({"table": "t", "limit": 1, "poll_interval_seconds": 1});
    let mut follower = follow::<QueryChanges>(&world, input).await;
    let told = |told: &Value| json!([told["total_count"], told["mode"]]);
    assert_eq!(told(&follower.last), json!([0, "maintained"]));
    world
        .sql("INSERT INTO t SELECT value FROM generate_series(1, 1000) AS s(value)")
        .await;
    follower
        .until("as many as are kept", &json!([1000, "maintained"]), told)
        .await;
    world.sql("INSERT INTO t VALUES (1001)").await;
    follower.until("one more", &json!([1001, "polled"]), told).await;
    world.sql("DELETE FROM t WHERE id > 900").await;
    follower.until("fewer", &json!([900, "maintained"]), told).await;
    world.sql("DELETE FROM t WHERE id = 1").await;
    follower
        .until("kept again", &json!([899, "maintained"]), told)
        .await;
    assert_eq!(follower.last["rows"], json!([{"id": "2", "data": {"id": 2}}]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_results_follow_the_tables_definition() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 5)").await;
    let mut rows = follow::<QueryChanges>(&world, json!({"table": "t"})).await;
    let aggregates = json!([{"function": "SUM", "field": "n"}]);
    let mut sum = follow::<AggregateChanges>(&world, json!({"table": "t", "aggregates": aggregates})).await;
    let replace = async |columns: Value| {
        let input = json!({"name": "t", "columns": columns, "primary_key": ["id"]});
        world.must("database.replace_table", input).await;
    };
    let id = json!({"name": "id", "type": "bigint"});
    let note = json!({"name": "note", "type": "text", "default": "'new'"});
    replace(json!([id, {"name": "n", "type": "integer"}, note])).await;
    rows.hear().await;
    assert_eq!(
        rows.last["rows"][0]["data"],
        json!({"id": 1, "n": 5, "note": "new"})
    );
    world.sql("INSERT INTO t VALUES (2, 7, 'x')").await;
    rows.hear().await;
    assert_eq!(rows.last["rows"][1]["data"]["note"], "x");
    sum.hear().await;
    assert_eq!(sum.last["results"][0]["value"], 12);
    replace(json!([id, note])).await;
    assert_eq!(sum.next().await, Err("COLUMN_NOT_FOUND".to_owned()));
    rows.hear().await;
    world.sql("DROP TABLE t").await;
    assert_eq!(rows.next().await, Err("TABLE_NOT_FOUND".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_sums_that_outgrow_their_type_end_as_the_sum_does() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n bigint)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 9223372036854775807)").await;
    let aggregates = json!([{"function": "SUM", "field": "n"}]);
    let mut sum = follow::<AggregateChanges>(&world, json!({"table": "t", "aggregates": aggregates})).await;
    assert_eq!(sum.last["results"][0]["value"], "9223372036854775807");
    world.sql("INSERT INTO t VALUES (2, 1)").await;
    let asked = json!({"name": "t", "aggregates": aggregates});
    let error = world
        .fails("database.aggregate_rows", asked, "INVALID_VALUE")
        .await;
    assert_eq!(sum.next().await, Err(error.code().to_owned()));
}

/// On its way from one sum to the other there is one that no integer holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_sums_are_right_when_they_pass_what_can_be_added_up() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n decimal(38,0))")
        .await;
    let large = "9".repeat(38);
    world.sql(&format!("INSERT INTO t VALUES (1, {large})")).await;
    let aggregates = json!([{"function": "SUM", "field": "n"}]);
    let input = json!({"table": "t", "aggregates": aggregates, "where_clause": {"field": "id", "operator": "LT", "value": 9}});
    let mut sum = follow::<AggregateChanges>(&world, input).await;
    assert_eq!(sum.last["results"][0]["value"], large);
    let begun = world.must("transactions.begin", json!({})).await;
    let step = async |sql: String| {
        let input = json!({"sql": sql, "transaction_id": begun["transaction_id"]});
        world.must("sql.execute_query", input).await;
    };
    step(format!("INSERT INTO t VALUES (2, {large})")).await;
    step("DELETE FROM t WHERE id = 1".to_owned()).await;
    step("INSERT INTO t VALUES (3, -1)".to_owned()).await;
    world
        .must("transactions.commit", json!({"id": begun["transaction_id"]}))
        .await;
    sum.hear().await;
    assert_eq!(sum.last["results"][0]["value"], format!("{}8", "9".repeat(37)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_results_of_many_bytes_are_polled() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, much text)")
        .await;
    let input = json!({"table": "t", "limit": 1, "poll_interval_seconds": 1});
    let mut follower = follow::<QueryChanges>(&world, input).await;
    let told = |told: &Value| json!([told["total_count"], told["mode"]]);
    let much = "x".repeat(1 << 20);
    for (id, mode) in [
        (1, "maintained"),
        (2, "maintained"),
        (3, "maintained"),
        (4, "polled"),
        (5, "polled"),
    ] {
        world
            .must(
                "database.insert_rows",
                json!({"name": "t", "rows": [{"id": id, "much": much}]}),
            )
            .await;
        follower.until("a row more", &json!([id, mode]), told).await;
    }
    world.sql("DELETE FROM t WHERE id > 1").await;
    follower.until("fewer", &json!([1, "maintained"]), told).await;
}

/// A store that counts the ranges read of it.
struct Counting {
    store: KernelStore,
    scans: Arc<AtomicUsize>,
}

struct CountingSnapshot {
    snapshot: Arc<dyn StoreSnapshot>,
    scans: Arc<AtomicUsize>,
}

impl TableStore for Counting {
    fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>, StoreError> {
        Ok(Arc::new(CountingSnapshot {
            snapshot: self.store.snapshot()?,
            scans: Arc::clone(&self.scans),
        }))
    }

    fn commit(&self, batch: WriteBatch) -> Result<CommitSeq, StoreError> {
        self.store.commit(batch)
    }

    fn log_after(&self, after: CommitSeq, entries_max: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.store.log_after(after, entries_max)
    }

    fn log_extent(&self) -> Result<LogExtent, StoreError> {
        self.store.log_extent()
    }

    fn commits(&self) -> watch::Receiver<CommitSeq> {
        self.store.commits()
    }

    fn read_interest(&self) -> rustydb_store::reads::ReadInterest {
        self.store.read_interest()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        self.store.check_writable()
    }
}

impl StoreSnapshot for CountingSnapshot {
    fn seq(&self) -> CommitSeq {
        self.snapshot.seq()
    }

    fn get(&self, space: SpaceId, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        self.snapshot.get(space, key)
    }

    fn scan(
        &self,
        space: SpaceId,
        range: &KeyRange,
        entries_max: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.snapshot.scan(space, range, entries_max)
    }

    fn space_stats(&self, space: SpaceId) -> Result<SpaceStats, StoreError> {
        self.snapshot.space_stats(space)
    }
}

/// Maintained ones and polled ones: what nothing concerns reads nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_live_queries_cost_no_scan() {
    let clock = Arc::new(ManualClock::new(START_US));
    let scans = Arc::new(AtomicUsize::new(0));
    let store = kernel_store(clock.clone());
    let kernel = Arc::clone(store.kernel());
    let store = Counting {
        store,
        scans: Arc::clone(&scans),
    };
    let world = World::above(Arc::new(store), kernel, clock);
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, owner integer, level double precision)")
        .await;
    world.sql("CREATE TABLE other (id bigint PRIMARY KEY)").await;
    let (mut rows, mut counts) = (Vec::new(), Vec::new());
    for owner in 0..500 {
        let filter = json!({"field": "owner", "operator": "EQ", "value": owner});
        // Every fifth is polled: it is ordered by a floating-point column.
        let order = if owner % 5 == 0 {
            json!([{"field": "level"}])
        } else {
            json!([])
        };
        let input = json!({
            "table": "t", "where_clause": filter, "order_by": order, "poll_interval_seconds": 1,
        });
        rows.push(follow::<QueryChanges>(&world, input).await);
        let aggregates = json!([{"function": "COUNT", "field": "*"}, {"function": "SUM", "field": "owner"}]);
        let input = json!({"table": "t", "where_clause": filter, "aggregates": aggregates});
        counts.push(follow::<AggregateChanges>(&world, input).await);
    }
    let write = async |from: i64, owner: i64| {
        for id in from..from + 20 {
            let rows = json!([{"id": id, "owner": owner, "level": 0.5}]);
            world
                .must("database.insert_rows", json!({"name": "t", "rows": rows}))
                .await;
            world
                .must(
                    "database.insert_rows",
                    json!({"name": "other", "rows": [{"id": id}]}),
                )
                .await;
        }
    };
    // What the writes themselves read, with nobody listening to them.
    let before = scans.load(Ordering::Relaxed);
    write(0, 1_000).await;
    let own = scans.load(Ordering::Relaxed) - before;

    // All listen; the last write is one that each of two hears, so that the others have seen those before it.
    let engine: DataEngine = world.engine.clone();
    let listening: Vec<_> = (rows.into_iter().map(|follower| tokio::spawn(idle(follower))))
        .chain(counts.into_iter().map(|follower| tokio::spawn(idle(follower))))
        .collect();
    let before = scans.load(Ordering::Relaxed);
    write(100, 1_000).await;
    world
        .must(
            "database.insert_rows",
            json!({"name": "t", "rows": [{"id": 500, "owner": 7, "level": 0.5}]}),
        )
        .await;
    let mut heard = 0;
    for (at, listener) in listening.into_iter().enumerate() {
        if at % 500 == 7 {
            let told = listener.await.unwrap();
            assert!(
                told["total_count"] == 1 || told["results"][0]["value"] == 1,
                "{told}"
            );
            heard += 1;
        } else {
            assert!(!listener.is_finished(), "{at} was told something");
            listener.abort();
        }
    }
    assert_eq!(heard, 2);
    let all = scans.load(Ordering::Relaxed) - before;
    assert!(
        all <= own + 1,
        "{all} ranges were read, {own} by the writes themselves"
    );
    drop(engine);
}

async fn idle<E: Serialize>(mut follower: Follower<E>) -> Value {
    follower.hear().await;
    follower.last
}
