//! Random writers, subscribers that are cut and go on on another transport, a server that is killed: what each subscriber
//! puts together is what was committed, in the order of the commits, each transaction whole.
//!
//! The judge knows nothing of the server: every row says which transaction it is of and how many rows that one has.
//! `RUSTYDB_STREAM_DELIVERIES` and `RUSTYDB_STREAM_KILLS` make it a soak, `RUSTYDB_SEED` repeats a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::contract::view;
use crate::harness::credential::Credential;
use crate::harness::server::Server;
use crate::harness::watch::{Event, Transport, Watcher};
use crate::harness::world::World;

const DELIVERIES: usize = 200_000;
const KILLS: usize = 5;

const WRITERS: u64 = 4;
const SUBSCRIBERS: u64 = 4;
/// Rows that one transaction inserts at most.
const ROWS_MAX: u64 = 100;
/// Rows that writers are ahead of the slowest subscriber at most, so that a soak ends soon after its last delivery. Far more than
/// all kills of one leave unacknowledged, which are counted as written.
const AHEAD_MAX: u64 = 250_000;
/// Events after which a subscriber is cut at the latest.
const CUT_MAX: usize = 5_000;

const TRANSPORTS: &[Transport] = &[
    Transport::Rpc,
    Transport::Raw,
    Transport::Sse,
    Transport::Graphql,
    Transport::Multipart,
];

/// Rows of each transaction, by its number.
type Transactions = BTreeMap<u64, u64>;

/// One row as the stream told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    transaction: u64,
    /// Its place in the transaction, and how many rows that has.
    place: u64,
    of: u64,
}

/// What a subscriber has put together.
struct Seen {
    rows: Vec<Row>,
    cursor: String,
    pace: Arc<Pace>,
    subscriber: usize,
}

/// How far each subscriber has read.
struct Pace {
    rows: [AtomicU64; SUBSCRIBERS as usize],
    slowest: watch::Sender<u64>,
}

impl Pace {
    fn note(&self, subscriber: usize, rows: u64) {
        self.rows[subscriber].store(rows, Ordering::Relaxed);
        let slowest = self.rows.iter().map(|rows| rows.load(Ordering::Relaxed)).min();
        // Each of them wakes the writers.
        if rows.is_multiple_of(1_000) {
            self.slowest.send_replace(slowest.unwrap_or_default());
        }
    }
}

impl Seen {
    fn note(&mut self, event: &Event) {
        assert_eq!(event.data["change_type"], "INSERT");
        let number = |name: &str| event.data["row"]["data"][name].as_u64().unwrap();
        let row = Row {
            transaction: number("txn"),
            place: number("place"),
            of: number("of"),
        };
        match self.rows.last() {
            Some(last) if last.place + 1 < last.of => {
                let next = Row {
                    place: last.place + 1,
                    ..*last
                };
                assert_eq!(row, next, "a transaction is whole and in its order");
            }
            last => assert_eq!(row.place, 0, "a transaction begins after {last:?}"),
        }
        self.rows.push(row);
        self.cursor = event.cursor.clone().unwrap();
        self.pace.note(self.subscriber, self.rows.len() as u64);
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_nothing_is_lost_repeated_or_reordered_over_cuts_and_kills() {
    let seed = std::env::var("RUSTYDB_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let kills = number("RUSTYDB_STREAM_KILLS", KILLS);
    let deliveries = number("RUSTYDB_STREAM_DELIVERIES", DELIVERIES);
    let each_life = deliveries / SUBSCRIBERS as usize / (kills + 1);

    let folder = tempfile::tempdir().unwrap();
    let mut world = World::on(Server::start_in(folder.path(), &[])).await;
    let mut seen = begin(&world).await;
    let next = Arc::new(Next::default());
    let mut acknowledged = Transactions::new();
    for life in 1..=kills {
        let (writers, stop) = write(&world, &seen, &next, &mut rng);
        read_all(&world, &mut seen, each_life * life, &mut rng).await;
        // While writers write: what was not acknowledged may be there or not.
        world = killed(world, folder.path()).await;
        stop.send_replace(true);
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
    }
    let (writers, stop) = write(&world, &seen, &next, &mut rng);
    read_all(&world, &mut seen, each_life * (kills + 1), &mut rng).await;
    stop.send_replace(true);
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    let count = world
        .must("database.count_rows", &json!({"name": "oracle"}), "admin")
        .await;
    let total = usize::try_from(count["count"].as_u64().unwrap()).unwrap();
    read_all(&world, &mut seen, total, &mut rng).await;
    judge(&seen, &acknowledged, total);
}

async fn begin(world: &World) -> Vec<Seen> {
    let columns: Vec<Value> = ["txn", "place", "of"]
        .iter()
        .map(|name| json!({"name": name, "type": "bigint"}))
        .collect();
    let input = json!({"name": "oracle", "columns": columns, "primary_key": ["txn", "place"]});
    world.must("database.create_table", &input, "admin").await;
    let input = json!({"table": "oracle"});
    let opened = Watcher::open(
        Transport::Rpc,
        world.base_url(),
        changes(),
        &input,
        &world.credential("admin"),
    )
    .await;
    let cursor = opened.unwrap().cursor.unwrap();
    let pace = Arc::new(Pace {
        rows: Default::default(),
        slowest: watch::Sender::new(0),
    });
    let fresh = |subscriber| Seen {
        rows: Vec::new(),
        cursor: cursor.clone(),
        pace: Arc::clone(&pace),
        subscriber,
    };
    (0..SUBSCRIBERS as usize).map(fresh).collect()
}

fn changes() -> &'static codegen::model::View {
    view("database.table_changes")
}

async fn killed(world: World, folder: &Path) -> World {
    world.server.kill();
    World::reopened(Server::start_in(folder, &[])).await
}

/// What writers have given out, whether or not it was acknowledged.
#[derive(Default)]
struct Next {
    transaction: AtomicU64,
    rows: AtomicU64,
}

/// Starts the writers; the flag stops them.
fn write(
    world: &World,
    seen: &[Seen],
    next: &Arc<Next>,
    rng: &mut StdRng,
) -> (Vec<JoinHandle<Transactions>>, watch::Sender<bool>) {
    let stop = watch::Sender::new(false);
    let writers = (0..WRITERS).map(|_| {
        let writer = Writer {
            url: format!("{}/api/v1/tables/oracle/rows", world.base_url()),
            credential: world.credential("admin"),
            next: Arc::clone(next),
            stop: stop.subscribe(),
            slowest: seen[0].pace.slowest.subscribe(),
            rng: StdRng::seed_from_u64(rng.random()),
        };
        tokio::spawn(writer.run())
    });
    (writers.collect(), stop)
}

struct Writer {
    url: String,
    credential: Credential,
    next: Arc<Next>,
    stop: watch::Receiver<bool>,
    slowest: watch::Receiver<u64>,
    rng: StdRng,
}

impl Writer {
    /// Inserts transactions until it is stopped or the server is gone; answers those that were acknowledged.
    async fn run(mut self) -> Transactions {
        let http = reqwest::Client::new();
        let mut acknowledged = Transactions::new();
        while !*self.stop.borrow() {
            let of = self.rng.random_range(1..=ROWS_MAX);
            let ahead = self.next.rows.fetch_add(of, Ordering::Relaxed);
            tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => break,
                _ = self.slowest.wait_for(|read| ahead < read + AHEAD_MAX) => {}
            }
            let transaction = self.next.transaction.fetch_add(1, Ordering::Relaxed);
            let rows: Vec<Value> = (0..of)
                .map(|place| json!({"txn": transaction, "place": place, "of": of}))
                .collect();
            let request = http.post(&self.url).json(&json!({"rows": rows}));
            match self.credential.on(request).send().await {
                Ok(response) if response.status().is_success() => {
                    acknowledged.insert(transaction, of);
                }
                Ok(response) => panic!("{:?}", response.text().await),
                Err(_) => break,
            }
        }
        acknowledged
    }
}

/// Lets every subscriber read until it has so many rows.
async fn read_all(world: &World, seen: &mut [Seen], rows: usize, rng: &mut StdRng) {
    let credential = world.credential("admin");
    let readers = seen.iter_mut().map(|seen| {
        let rng = StdRng::seed_from_u64(rng.random());
        read(world.base_url(), &credential, seen, rows, rng)
    });
    futures::future::join_all(readers).await;
}

/// Reads, is cut at random, and goes on on another transport.
async fn read(base_url: &str, credential: &Credential, seen: &mut Seen, rows: usize, mut rng: StdRng) {
    while seen.rows.len() < rows {
        let transport = *TRANSPORTS.choose(&mut rng).unwrap();
        let input = json!({"table": "oracle", "cursor": seen.cursor});
        let mut watcher = Watcher::open(transport, base_url, changes(), &input, credential)
            .await
            .unwrap();
        let cut = rng.random_range(1..=CUT_MAX).min(rows - seen.rows.len());
        for _ in 0..cut {
            seen.note(&watcher.event().await);
        }
    }
}

/// Everything that was acknowledged came, once, and all subscribers saw the same order.
fn judge(seen: &[Seen], acknowledged: &Transactions, total: usize) {
    let first = &seen[0].rows;
    assert_eq!(first.len(), total, "as many rows came as there are");
    for other in &seen[1..] {
        assert!(*first == other.rows, "two subscribers saw different orders");
    }
    let mut came = Transactions::new();
    for row in first.iter().filter(|row| row.place == 0) {
        assert_eq!(came.insert(row.transaction, row.of), None, "{row:?} came twice");
    }
    for (transaction, rows) in acknowledged {
        assert_eq!(
            came.get(transaction),
            Some(rows),
            "transaction {transaction} was acknowledged"
        );
    }
    println!(
        "{} deliveries to {SUBSCRIBERS} subscribers; {} transactions acknowledged, {} came",
        first.len() * seen.len(),
        acknowledged.len(),
        came.len()
    );
}
