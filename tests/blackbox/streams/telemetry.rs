//! Telemetry is the same on every transport: one load is watched over all of them at once, by subscriptions of the same
//! source and arguments, and every payload, with its moment, is equal and in the same order.

use std::time::Duration;

use rustydb_contract::Timestamp;
use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::watch::{Event, TRANSPORTS, Transport, Watcher};
use crate::harness::world::World;

/// Far longer than any event here takes.
const WITHIN: Duration = Duration::from_secs(60);

async fn open(world: &World, transport: Transport, id: &str, input: &Value) -> Watcher {
    let credential = world.credential("admin");
    Watcher::open(transport, world.base_url(), view(id), input, &credential)
        .await
        .unwrap_or_else(|error| panic!("{id} over {transport:?}: {error:?}"))
}

/// The transports that carry a view.
fn transports(id: &str) -> impl Iterator<Item = Transport> {
    let view = view(id);
    TRANSPORTS
        .iter()
        .copied()
        .filter(|transport| transport.carries(view))
}

/// One subscription on each transport that carries the view, in the order of their opening.
async fn open_all(world: &World, id: &str, input: &Value) -> Vec<(Transport, Watcher)> {
    let mut opened = Vec::new();
    for transport in transports(id) {
        opened.push((transport, open(world, transport, id, input).await));
    }
    opened
}

async fn next(watcher: &mut Watcher, what: &str) -> Event {
    let event = tokio::time::timeout(WITHIN, watcher.event()).await;
    event.unwrap_or_else(|_| panic!("{what}: an event is missing after {WITHIN:?}"))
}

async fn take(watcher: &mut Watcher, count: usize, what: &str) -> Vec<Told> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(Told::of(&next(watcher, what).await));
    }
    events
}

/// An event as every transport can tell it.
#[derive(Debug, Clone)]
struct Told {
    name: String,
    data: Value,
    seconds: i64,
    /// The raw envelope has whole seconds only.
    micros: Option<i64>,
}

impl Told {
    fn of(event: &Event) -> Told {
        let micros = event.timestamp.is_string().then(|| {
            let at: Timestamp = serde_json::from_value(event.timestamp.clone()).unwrap();
            at.as_micros()
        });
        let seconds = match micros {
            Some(micros) => micros.div_euclid(1_000_000),
            None => event.timestamp.as_i64().unwrap(),
        };
        Told {
            name: event.name.clone(),
            data: event.data.clone(),
            seconds,
            micros,
        }
    }

    fn is_same_moment(&self, other: &Told) -> bool {
        match (self.micros, other.micros) {
            (Some(one), Some(other)) => one == other,
            _ => self.seconds == other.seconds,
        }
    }
}

impl PartialEq for Told {
    fn eq(&self, other: &Told) -> bool {
        self.name == other.name && self.data == other.data && self.is_same_moment(other)
    }
}

/// A view that the load moves, and what one round of it is told as: these fields of each event, of those that are there.
struct Heard {
    id: &'static str,
    input: Value,
    fields: &'static [&'static str],
    round: Vec<Value>,
}

/// In the order of [`round`].
fn heard() -> Vec<Heard> {
    let transaction = |kind: &str, user: &str| json!([kind, user]);
    let done = |operation: &str| json!([operation, "SUCCEEDED"]);
    let failed = |operation: &str, code: &str| json!([operation, "FAILED", code]);
    vec![
        Heard {
            id: "transactions.transaction_events",
            input: json!({}),
            fields: &["event_type", "username"],
            round: vec![
                transaction("BEGIN", "admin"),
                transaction("COMMIT", "admin"),
                transaction("BEGIN", "role_developer"),
                transaction("ROLLBACK", "role_developer"),
            ],
        },
        Heard {
            id: "protocol.mutation_results",
            input: json!({}),
            fields: &["operation", "outcome", "code"],
            round: vec![
                done("transactions.begin"),
                done("database.insert_rows"),
                done("transactions.commit"),
                done("transactions.begin"),
                done("sql.execute_query"),
                done("transactions.rollback"),
                done("sql.execute_query"),
                failed("sql.execute_query", "INVALID_QUERY"),
                failed("database.insert_rows", "UNIQUE_VIOLATION"),
                failed("transactions.commit", "TRANSACTION_NOT_ACTIVE"),
            ],
        },
        Heard {
            id: "protocol.error_stream",
            input: json!({}),
            fields: &["operation", "code"],
            round: vec![
                json!(["sql.execute_query", "INVALID_QUERY"]),
                json!(["database.get_table", "TABLE_NOT_FOUND"]),
                json!(["database.insert_rows", "UNIQUE_VIOLATION"]),
                json!(["transactions.commit", "TRANSACTION_NOT_ACTIVE"]),
            ],
        },
        Heard {
            id: "query.executions",
            // The others are told when time has passed, to each subscriber at its own.
            input: json!({"filter": {"status": ["STARTED", "COMPLETED", "FAILED"]}}),
            fields: &["status", "rows_affected"],
            round: vec![
                json!(["STARTED"]),
                json!(["COMPLETED", 1]),
                json!(["STARTED"]),
                json!(["COMPLETED", 0]),
                json!(["STARTED"]),
                json!(["FAILED"]),
            ],
        },
    ]
}

async fn table(world: &World) {
    let input = json!({"name": "t", "columns": [{"name": "id", "type": "bigint"}], "primary_key": ["id"]});
    world.must("database.create_table", &input, "admin").await;
    let input = json!({"name": "t", "rows": [{"id": 0}]});
    world.must("database.insert_rows", &input, "admin").await;
}

/// What is watched: a transaction of each end, a statement of each end, and a call of each kind that fails.
async fn round(world: &World, id: usize) {
    let begun = world.must("transactions.begin", &json!({}), "admin").await;
    let transaction = &begun["transaction_id"];
    let rows = json!({"name": "t", "rows": [{"id": id}], "transaction_id": transaction});
    world.must("database.insert_rows", &rows, "admin").await;
    let commit = json!({"id": transaction});
    world.must("transactions.commit", &commit, "admin").await;

    let begun = world.must("transactions.begin", &json!({}), "developer").await;
    let transaction = &begun["transaction_id"];
    let delete = json!({"sql": format!("DELETE FROM t WHERE id = {id}"), "transaction_id": transaction});
    world.must("sql.execute_query", &delete, "developer").await;
    let rollback = json!({"id": transaction});
    world.must("transactions.rollback", &rollback, "developer").await;

    let select = json!({"sql": format!("SELECT id FROM t WHERE id = {id}")});
    world.must("sql.execute_query", &select, "analyst").await;
    for (operation, input, code) in [
        (
            "sql.execute_query",
            json!({"sql": "SELECT 1 / id AS n FROM t"}),
            "INVALID_QUERY",
        ),
        ("database.get_table", json!({"name": "none"}), "TABLE_NOT_FOUND"),
        (
            "database.insert_rows",
            json!({"name": "t", "rows": [{"id": id}]}),
            "UNIQUE_VIOLATION",
        ),
        ("transactions.commit", commit, "TRANSACTION_NOT_ACTIVE"),
    ] {
        let refused = world.call(operation, &input, &world.credential("admin")).await;
        assert_eq!(refused.unwrap_err().code, code);
    }
}

impl Heard {
    /// The round is told as it should be.
    fn check(&self, events: &[Told], what: &str) {
        let chosen = |event: &Told| -> Value {
            let fields = self.fields.iter().filter_map(|field| event.data.get(*field));
            fields.cloned().collect()
        };
        let found: Vec<Value> = events.iter().map(chosen).collect();
        assert_eq!(found, self.round, "{what}");
    }
}

/// In each turn one transport is cut in every view, misses a round, is opened again and hears the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_telemetry_is_equal_on_all_transports_and_begins_where_it_is_opened() {
    let world = World::new().await;
    table(&world).await;
    let mut watched = Vec::new();
    for heard in heard() {
        let watchers = open_all(&world, heard.id, &heard.input).await;
        watched.push((heard, watchers));
    }
    for (turn, cut) in TRANSPORTS.iter().copied().enumerate() {
        for (_, watchers) in &mut watched {
            watchers.retain(|(transport, _)| *transport != cut);
        }
        round(&world, 2 * turn + 1).await;
        let mut fresh = Vec::new();
        for (heard, _) in &watched {
            let again = transports(heard.id).any(|transport| transport == cut);
            fresh.push(match again {
                true => Some(open(&world, cut, heard.id, &heard.input).await),
                false => None,
            });
        }
        round(&world, 2 * turn + 2).await;
        for ((heard, watchers), fresh) in watched.iter_mut().zip(fresh) {
            let (id, each) = (heard.id, heard.round.len());
            let mut whole: Option<Vec<Told>> = None;
            for (transport, watcher) in watchers.iter_mut() {
                let what = format!("{id} over {transport:?} in turn {turn}");
                let events = take(watcher, 2 * each, &what).await;
                heard.check(&events[..each], &what);
                heard.check(&events[each..], &what);
                match &whole {
                    Some(whole) => assert_eq!(&events, whole, "{what}"),
                    None => whole = Some(events),
                }
            }
            if let Some(mut fresh) = fresh {
                let what = format!("{id}, opened again over {cut:?}");
                let events = take(&mut fresh, each, &what).await;
                assert_eq!(events, whole.unwrap()[each..], "{what}");
                watchers.push((cut, fresh));
            }
        }
    }
}

/// Goes on to the sample that `reference` begins with; what follows it must be the rest.
async fn follows(watcher: &mut Watcher, reference: &[Told], what: &str) {
    loop {
        let sample = Told::of(&next(watcher, what).await);
        if sample == reference[0] {
            break;
        }
        assert!(
            sample.seconds <= reference[0].seconds,
            "{what}: {:?} never came, but {sample:?}",
            reference[0]
        );
    }
    let rest = take(watcher, reference.len() - 1, what).await;
    assert_eq!(rest, reference[1..], "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_samples_of_one_interval_are_the_same_for_all() {
    let world = World::new().await;
    // The last one that is opened has missed whatever came before.
    let mut quick = open_all(&world, "monitoring.system_metrics", &json!({"interval_ms": 200})).await;
    let (last, mut watcher) = quick.pop().unwrap();
    let reference = take(&mut watcher, 5, &format!("{last:?}")).await;
    for (transport, watcher) in &mut quick {
        follows(watcher, &reference, &format!("every 200 ms over {transport:?}")).await;
    }
    // Both views ask for the same samples.
    let of_system = json!({"interval_seconds": 1});
    let mut system = open_all(&world, "monitoring.system_metrics", &of_system).await;
    let mut both = open_all(&world, "monitoring.metrics", &json!({"interval": 1})).await;
    let (last, mut watcher) = both.pop().unwrap();
    let reference = take(&mut watcher, 6, &format!("{last:?}")).await;
    let names: Vec<&str> = reference.iter().map(|sample| sample.name.as_str()).collect();
    assert_eq!(names, ["SystemMetrics", "ApiMetrics"].repeat(3));
    for (transport, watcher) in &mut both {
        follows(watcher, &reference, &format!("each second over {transport:?}")).await;
    }
    let of_system: Vec<Told> = reference.into_iter().step_by(2).collect();
    for (transport, watcher) in &mut system {
        let what = format!("the system's, each second over {transport:?}");
        follows(watcher, &of_system, &what).await;
    }
}

/// A statement that makes rows for longer than any test lives.
const ENDLESS: &str = "SELECT value FROM generate_series(1, 1000000000000000)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_rows_of_a_statement_are_equal_on_all_transports() {
    let world = World::new().await;
    let sql = "SELECT value AS n, value * 1.5 AS half, CASE WHEN value % 3 = 0 THEN NULL ELSE 'row ' || value END AS text, \
               value % 2 = 0 AS even, 9007199254740993 + value AS large, DATE '2024-02-28' AS day \
               FROM generate_series(1, 700) ORDER BY value DESC";
    let called = world
        .must("sql.execute_query", &json!({"sql": sql}), "admin")
        .await;
    let rows = called["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 700);
    let input = json!({"sql": sql, "events": ["QueryStarted", "QueryRow", "QueryCompleted"]});
    for transport in transports("query.results") {
        let mut watcher = open(&world, transport, "query.results", &input).await;
        let events = take(&mut watcher, rows.len() + 2, transport.name()).await;
        let id = &events[0].data["query_id"];
        assert_eq!(
            events[0].data,
            json!({"query_id": id, "sql": sql}),
            "{transport:?}"
        );
        for (index, (event, row)) in events[1..].iter().zip(rows).enumerate() {
            let expected = json!({"query_id": id, "row_index": index, "row_data": row});
            assert_eq!(
                (event.name.as_str(), &event.data),
                ("QueryRow", &expected),
                "{transport:?}"
            );
        }
        let done = &events.last().unwrap().data;
        assert_eq!(
            (&done["query_id"], &done["rows_returned"], &done["rows_affected"]),
            (id, &json!(700), &json!(0)),
            "{transport:?}"
        );
    }
}

/// Waits until no statement runs.
async fn nothing_runs(world: &World, what: &str) {
    let queries = json!({"interval_ms": 200, "metric_types": ["QUERIES"]});
    // Opened now: samples of an earlier moment may say so too.
    let mut samples = open(world, Transport::Rpc, "monitoring.system_metrics", &queries).await;
    let ended = async { while samples.event().await.data["active_queries"] != 0 {} };
    let ended = tokio::time::timeout(WITHIN, ended).await;
    assert!(ended.is_ok(), "{what}: the statement runs on after {WITHIN:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_a_statement_whose_reader_is_cut_ends() {
    let world = World::new().await;
    for transport in transports("query.results") {
        let rows = json!({"sql": ENDLESS, "events": ["QueryRow"]});
        let mut cut = open(&world, transport, "query.results", &rows).await;
        let events = take(&mut cut, 3, transport.name()).await;
        assert_eq!(events[2].data["row_data"], json!({"value": 3}));
        drop(cut);
        nothing_runs(&world, transport.name()).await;
        // Each look tells all that run, so two events of the same one are two looks at that one alone.
        let mut running = open(&world, Transport::Rpc, "query.results", &rows).await;
        let id = take(&mut running, 1, "the next one").await[0].data["query_id"].clone();
        let every = json!({"refresh_interval_ms": 100});
        let mut active = open(&world, Transport::Rpc, "query.active_queries", &every).await;
        for seen in take(&mut active, 2, "the next one is active").await {
            assert_eq!(seen.data["query_id"], id, "after a cut of {transport:?}");
        }
        drop(running);
        nothing_runs(&world, "the next one").await;
    }
}
