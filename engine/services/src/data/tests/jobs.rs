//! Jobs: what they come to, who sees them, and what is left of them when they or the server end early.

use std::sync::Arc;
use std::time::Duration;

use rustydb_contract::stream::{Body, Subscription, View};
use rustydb_contract_jobs::views::Progress;
use rustydb_contract_jobs::{JobProgressed, JobState, JobsService};
use rustydb_runtime::{Clock, ManualClock};
use rustydb_store::error::StoreError;
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::{KeyRange, SpaceId, TableStore, Write, WriteBatch};
use rustydb_store::testing::kernel_store;
use serde_json::{Value, json};

use super::support::{START_US, World, context};

/// Far longer than anything here takes.
const WITHIN: Duration = Duration::from_secs(60);

/// Counts forever, as far as a test is concerned.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 1000000) AS a(x) \
                       CROSS JOIN generate_series(1, 1000000) AS b(y)";

async fn submit(world: &World, role: &str, sql: &str) -> String {
    let job = world
        .call("query.submit", &json!({"sql": sql}), role)
        .await
        .unwrap();
    job["id"].as_str().unwrap().to_owned()
}

async fn job(world: &World, id: &str) -> Value {
    world.must("jobs.get", json!({"id": id})).await
}

/// Asks until it holds.
async fn until(world: &World, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let asked = async {
        loop {
            let job = job(world, id).await;
            if holds(&job) {
                return job;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, asked)
        .await
        .unwrap_or_else(|_| panic!("{what}"))
}

async fn watch(world: &World, id: Option<&str>, role: &str) -> Subscription<JobProgressed> {
    let service: &dyn JobsService = &world.jobs;
    let input = serde_json::from_value(match id {
        Some(id) => json!({"id": id}),
        None => json!({}),
    });
    Progress::open(service, &context(&Progress::desc().open, role), input.unwrap())
        .await
        .unwrap()
}

async fn next(events: &mut Subscription<JobProgressed>) -> Option<JobProgressed> {
    let item = tokio::time::timeout(WITHIN, events.next())
        .await
        .expect("an event or the end");
    item.map(|item| match item.unwrap().body {
        Body::Event(event) => event,
        Body::Control(control) => panic!("{control:?}"),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_leave_out_what_is_refused_or_stop_there() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer NOT NULL DEFAULT 7)")
        .await;
    world.sql("INSERT INTO t VALUES (5, 5), (2500, 0)").await;
    let rows: Vec<Value> = (0..3000)
        .map(|id| match id {
            10 => json!({"id": "ten"}),
            11 => json!({"id": 11, "colour": "red"}),
            12 => json!({"id": 12, "n": null}),
            id => json!({"id": id}),
        })
        .collect();
    let skip = json!({"name": "t", "rows": rows, "batch_size": 700, "on_error": "skip"});
    let accepted = world
        .call("database.bulk_load_rows", &skip, "developer")
        .await
        .unwrap();
    assert_eq!(accepted["state"], "queued");
    assert_eq!(accepted["progress"], json!({"done": 0, "total": 3000}));
    let done = world.must("jobs.wait", json!({"id": accepted["id"]})).await;
    assert_eq!(
        (&done["state"], &done["progress"]),
        (&json!("succeeded"), &json!({"done": 3000, "total": 3000}))
    );
    let result = &done["result"];
    assert_eq!(
        (&result["rows_loaded"], &result["rows_failed"]),
        (&json!(2995), &json!(5))
    );
    let failed: Vec<(&Value, &Value)> = result["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (&error["row"], &error["code"]))
        .collect();
    let expected = [
        (5, "UNIQUE_VIOLATION"),
        (10, "INVALID_VALUE"),
        (11, "COLUMN_NOT_FOUND"),
        (12, "NOT_NULL_VIOLATION"),
        (2500, "UNIQUE_VIOLATION"),
    ];
    let expected: Vec<(Value, Value)> = expected.map(|(row, code)| (json!(row), json!(code))).into();
    assert_eq!(
        failed,
        expected.iter().map(|(row, code)| (row, code)).collect::<Vec<_>>()
    );
    assert!(
        result["errors"][1]["message"]
            .as_str()
            .unwrap()
            .contains("rows.10.id"),
        "{result}"
    );
    assert_eq!(
        world
            .rows("SELECT count(*), min(n), sum(CASE WHEN n = 7 THEN 1 ELSE 0 END) FROM t")
            .await,
        "[[2997,0,2995]]"
    );

    world.sql("TRUNCATE TABLE t").await;
    let stop = json!({"name": "t", "rows": rows, "batch_size": 4});
    let accepted = world.must("database.bulk_load_rows", stop).await;
    let done = world.must("jobs.wait", json!({"id": accepted["id"]})).await;
    assert_eq!(
        (&done["state"], &done["error"]["code"]),
        (&json!("failed"), &json!("INVALID_VALUE"))
    );
    assert!(
        done["error"]["message"]
            .as_str()
            .unwrap()
            .ends_with("8 rows are loaded"),
        "{done}"
    );
    assert_eq!(done["progress"]["done"], 8);
    assert_eq!(done.get("result"), None);
    assert_eq!(world.rows("SELECT count(*), max(id) FROM t").await, "[[8,7]]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_their_callers_and_the_administrators() {
    let world = World::new();
    let id = submit(&world, "analyst", "SELECT 1 AS one").await;
    let mine = json!({"id": id});
    for operation in ["jobs.get", "jobs.wait", "jobs.cancel"] {
        let theirs = world.call(operation, &mine, "developer").await.unwrap_err();
        assert_eq!(theirs.code(), "JOB_NOT_FOUND", "{operation}");
    }
    assert_eq!(
        world.call("jobs.list", &json!({}), "developer").await.unwrap()["jobs"],
        json!([])
    );
    for role in ["analyst", "admin"] {
        let done = world.call("jobs.wait", &mine, role).await.unwrap();
        assert_eq!(done["result"]["rows"], json!([{"one": 1}]), "{role}");
        assert_eq!(done["created_by"], "analyst");
        let listed = world.call("jobs.list", &json!({}), role).await.unwrap();
        assert_eq!(
            (&listed["jobs"][0]["id"], listed["jobs"][0].get("result")),
            (&json!(id), None)
        );
    }
    let refused = world
        .call("query.submit", &json!({"sql": "DELETE FROM t"}), "analyst")
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "PERMISSION_DENIED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_stopped_by_its_job_or_by_its_name() {
    let world = World::new();
    for operation in ["jobs.cancel", "query.cancel"] {
        let id = submit(&world, "developer", ENDLESS).await;
        until(&world, &id, "it runs", |job| job["state"] == "running").await;
        let input = if operation == "jobs.cancel" {
            json!({"id": id})
        } else {
            json!({"query_id": id})
        };
        let theirs = world.call(operation, &input, "analyst").await.unwrap_err();
        assert!(
            ["JOB_NOT_FOUND", "QUERY_NOT_FOUND"].contains(&theirs.code()),
            "{theirs}"
        );
        world.call(operation, &input, "developer").await.unwrap();
        let stopped = job(&world, &id).await;
        assert_eq!(stopped["state"], "cancelled", "{operation}");
        assert!(
            stopped.get("finished_at").is_some() && stopped.get("error").is_none(),
            "{stopped}"
        );
        let active = world.must("query.list_active", json!({})).await;
        assert_eq!(active["queries"], json!([]), "{operation}");
    }
}

/// Somebody else's call ends, and what it had begun is undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_somebody_waits_for_is_stopped() {
    let world = World::new();
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let waiting = {
        let world = world.clone();
        let sql = format!("INSERT INTO t {ENDLESS}");
        tokio::spawn(async move {
            world
                .call("sql.execute_query", &json!({"sql": sql}), "developer")
                .await
        })
    };
    let query_id = loop {
        let active = world
            .must("query.list_active", json!({"user_filter": "developer"}))
            .await;
        if let Some(run) = active["queries"].get(0) {
            break run["query_id"].clone();
        }
        tokio::task::yield_now().await;
    };
    let status = world
        .call("query.get_status", &json!({"query_id": query_id}), "developer")
        .await
        .unwrap();
    assert_eq!(status["query_id"], query_id);
    let theirs = world
        .call("query.cancel", &json!({"query_id": query_id}), "analyst")
        .await
        .unwrap_err();
    assert_eq!(theirs.code(), "QUERY_NOT_FOUND");
    world.must("query.cancel", json!({"query_id": query_id})).await;
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
    assert_eq!(world.rows("SELECT count(*) FROM t").await, "[[0]]");
    world
        .fails(
            "query.get_status",
            json!({"query_id": query_id}),
            "QUERY_NOT_FOUND",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_run_two_of_a_user_and_others_wait_or_are_refused() {
    let world = World::new();
    let submitted = async |role: &str| world.call("query.submit", &json!({"sql": ENDLESS}), role).await;
    let count = async |state: &str, role: &str| {
        let input = json!({"state": state, "limit": 1000});
        world.call("jobs.list", &input, role).await.unwrap()["jobs"]
            .as_array()
            .unwrap()
            .len()
    };
    let mut jobs = Vec::new();
    for _ in 0..25 {
        jobs.push(
            submitted("developer").await.unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(submitted("developer").await.unwrap_err().code(), "UNAVAILABLE");
    for id in &jobs[..2] {
        until(&world, id, "it runs", |job| job["state"] == "running").await;
    }
    assert_eq!(
        (
            count("running", "developer").await,
            count("queued", "developer").await
        ),
        (2, 23)
    );
    let status = world
        .must("query.get_status", json!({"query_id": jobs[24]}))
        .await;
    assert_eq!(status["current_operation"], "queued");
    let watching = world
        .call("query.get_status", &json!({"query_id": jobs[24]}), "monitor")
        .await;
    assert_eq!(watching.unwrap()["current_operation"], "queued");

    // Another user is not held up by them.
    let other = world
        .call("query.submit", &json!({"sql": "SELECT 1 AS one"}), "analyst")
        .await
        .unwrap();
    let done = world
        .call("jobs.wait", &json!({"id": other["id"]}), "analyst")
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded");

    // One that waits leaves its place without having run.
    world.must("query.cancel", json!({"query_id": jobs[24]})).await;
    let never = job(&world, &jobs[24]).await;
    assert_eq!(
        (&never["state"], never.get("started_at")),
        (&json!("cancelled"), None)
    );
    submitted("developer").await.unwrap();
    world.jobs.close().await;
    assert_eq!(
        (count("running", "admin").await, count("queued", "admin").await),
        (0, 0)
    );
}

/// What was accepted first may end last: it is not what goes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_ends_is_kept_whatever_ended_before() {
    let world = World::new();
    let long = submit(&world, "developer", ENDLESS).await;
    for _ in 0..1_001 {
        let id = submit(&world, "developer", "SELECT 1 AS one").await;
        world.must("jobs.wait", json!({"id": id})).await;
        world.clock.advance_us(1_000);
    }
    world.clock.advance_us(1_000);
    let stopped = world.must("jobs.cancel", json!({"id": long})).await;
    assert_eq!(stopped["state"], "cancelled");
    // The next to end has looked for old ones after it.
    submit(&world, "analyst", "SELECT 1 AS one").await;
    let last = submit(&world, "developer", "SELECT 1 AS one").await;
    world.must("jobs.wait", json!({"id": last})).await;
    assert_eq!(job(&world, &long).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_jobs_have_each_once_newest_first() {
    let world = World::new();
    let mut made = Vec::new();
    for _ in 0..7 {
        let id = submit(&world, "developer", "SELECT 1 AS one").await;
        world.must("jobs.wait", json!({"id": id})).await;
        world.clock.advance_us(1_000);
        made.insert(0, id);
    }
    let (mut found, mut input) = (Vec::new(), json!({"limit": 3}));
    loop {
        let page = world.must("jobs.list", input.clone()).await;
        let ids = page["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["id"].as_str().unwrap().to_owned());
        found.extend(ids);
        match page.get("next") {
            Some(next) => input["after"] = next.clone(),
            None => break,
        }
    }
    assert_eq!(found, made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_tells_each_state_once_and_ends_with_the_job() {
    let world = World::new();
    let id = submit(&world, "developer", ENDLESS).await;
    let mut one = watch(&world, Some(&id), "developer").await;
    let mut all = watch(&world, None, "developer").await;
    let mut theirs = watch(&world, None, "analyst").await;
    for events in [&mut one, &mut all] {
        while next(events).await.unwrap().state != JobState::Running {}
    }
    world.must("jobs.cancel", json!({"id": id})).await;
    for events in [&mut one, &mut all] {
        let last = loop {
            let event = next(events).await.unwrap();
            if event.state != JobState::Running {
                break event;
            }
        };
        assert_eq!(
            (last.job_id.as_str(), last.state),
            (id.as_str(), JobState::Cancelled)
        );
    }
    assert!(next(&mut one).await.is_none());
    let later = submit(&world, "analyst", "SELECT 1 AS one").await;
    assert_eq!(next(&mut theirs).await.unwrap().job_id, later);
    let failed = submit(&world, "developer", "SELECT 1 / 0 AS none").await;
    let told = loop {
        let event = next(&mut all).await.unwrap();
        assert_eq!(event.job_id, failed);
        if event.state == JobState::Failed {
            break event;
        }
    };
    assert_eq!(told.error.unwrap().code, "INVALID_QUERY");
}

/// The same store, as the next start of the server finds it.
fn reopened(store: &Arc<KernelStore>, clock: &Arc<ManualClock>) -> World {
    World::on(Arc::clone(store), Arc::clone(clock))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_jobs_came_to_outlives_the_server() {
    let clock = Arc::new(ManualClock::new(START_US));
    let store = Arc::new(kernel_store(clock.clone()));
    let world = reopened(&store, &clock);
    let done = submit(&world, "developer", "SELECT 42 AS answer").await;
    let done = world.must("jobs.wait", json!({"id": done})).await;
    let closed = submit(&world, "developer", ENDLESS).await;
    until(&world, &closed, "it runs", |job| job["state"] == "running").await;
    let waiting = {
        let world = world.clone();
        let input = json!({"id": closed, "timeout_ms": 60000});
        tokio::spawn(async move { world.must("jobs.wait", input).await })
    };
    world.jobs.close().await;
    assert_eq!(waiting.await.unwrap()["error"]["code"], "INTERRUPTED");
    let refused = world
        .call("query.submit", &json!({"sql": "SELECT 1 AS one"}), "developer")
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "UNAVAILABLE");

    // One server closed, and the next is killed: its job's record says that it runs.
    let world = reopened(&store, &clock);
    let killed = submit(&world, "developer", ENDLESS).await;
    let again = reopened(&store, &clock);
    assert_eq!(job(&again, done["id"].as_str().unwrap()).await, done);
    for id in [&closed, &killed] {
        let job = job(&again, id).await;
        assert_eq!(
            (&job["state"], &job["error"]["code"]),
            (&json!("failed"), &json!("INTERRUPTED"))
        );
        assert!(job.get("finished_at").is_some());
    }
    world.jobs.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_kept_for_a_week_and_a_thousand_of_them() {
    let clock = Arc::new(ManualClock::new(START_US));
    let store = Arc::new(kernel_store(clock.clone()));
    let world = reopened(&store, &clock);
    let run = async || {
        let id = submit(&world, "developer", "SELECT 1 AS one").await;
        world.must("jobs.wait", json!({"id": id})).await;
        clock.advance_us(1_000);
        id
    };
    let old = run().await;
    clock.advance_us(7 * 24 * 60 * 60 * 1_000_000 - 10_000);
    let young = run().await;
    assert_eq!(job(&world, &old).await["state"], "succeeded");
    clock.advance_us(10_000);
    run().await;
    let gone = async |id: &str| {
        let kept = async {
            while world.call("jobs.get", &json!({"id": id}), "admin").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, kept).await.expect("it is removed");
    };
    gone(&old).await;
    assert_eq!(job(&world, &young).await["state"], "succeeded");
    for _ in 0..1_000 {
        run().await;
    }
    gone(&young).await;
    let snapshot = store.snapshot().unwrap();
    for space in [SpaceId::JOBS, SpaceId::JOB_RESULTS] {
        let kept = snapshot.scan(space, &KeyRange::default(), 10_000).unwrap();
        assert!(kept.len() <= 1_001, "{} in {space:?}", kept.len());
        assert!(
            kept.iter()
                .all(|(key, _)| key != old.as_bytes() && key != young.as_bytes())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_are_too_large_fail_the_job() {
    let world = World::new();
    let much = "x".repeat(200);
    let sql = format!("SELECT '{much}' AS much FROM generate_series(1, 100000) AS s(n)");
    let accepted = world
        .must("query.submit", json!({"sql": sql, "limit": 100000}))
        .await;
    let job = world.must("jobs.wait", json!({"id": accepted["id"]})).await;
    assert_eq!(
        (&job["state"], &job["error"]["code"]),
        (&json!("failed"), &json!("RESULT_TOO_LARGE"))
    );

    // JSON that nests as deep as it may: what is kept can be read again, or the job says so.
    for depth in [100, 120, 125, 126, 127] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let sql = format!("SELECT CAST('{deep}' AS json) AS deep");
        let id = submit(&world, "developer", &sql).await;
        let job = world.must("jobs.wait", json!({"id": id})).await;
        assert!(
            job["state"] == "succeeded" || job["error"].get("code").is_some(),
            "{job}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitted_queries_are_given_up_after_their_time() {
    let world = World::new();
    let accepted = world
        .must("query.submit", json!({"sql": ENDLESS, "timeout": 50}))
        .await;
    let job = world.must("jobs.wait", json!({"id": accepted["id"]})).await;
    assert_eq!(
        (&job["state"], &job["error"]["code"]),
        (&json!("failed"), &json!("DEADLINE_EXCEEDED"))
    );
    let accepted = world.must("query.submit", json!({"sql": ENDLESS})).await;
    let job = world
        .must("jobs.wait", json!({"id": accepted["id"], "timeout_ms": 20}))
        .await;
    assert!(job["state"] == "running" || job["state"] == "queued", "{job}");
    world.must("jobs.cancel", json!({"id": accepted["id"]})).await;
}

#[tokio::test]
async fn records_have_the_documented_bytes() {
    let clock = Arc::new(ManualClock::new(START_US));
    let store = Arc::new(kernel_store(clock.clone()));
    let id = "018bcfe5-6800-7000-8000-000000000000";
    let bytes = concat!(
        r#"{"format":1,"record":{"operation":"query.submit","user_id":"u","username":"ada","state":"failed","#,
        r#""count":{"done":3,"total":4},"error":{"code":"INVALID_QUERY","message":"no"},"created_at_us":1699999999999997,"#,
        r#""started_at_us":1699999999999998,"finished_at_us":1699999999999999}}"#
    );
    let write = |value: &str| {
        let version = store
            .snapshot()
            .unwrap()
            .get(SpaceId::JOBS, id.as_bytes())
            .unwrap();
        let write = Write {
            space: SpaceId::JOBS,
            key: id.as_bytes().to_vec(),
            expected: version.map(|found| found.version),
            value: Some(value.as_bytes().to_vec()),
        };
        let batch = WriteBatch {
            writes: vec![write],
            ..WriteBatch::default()
        };
        store.commit(batch).unwrap();
    };
    write(bytes);
    let world = reopened(&store, &clock);
    let expected = json!({
        "id": id, "operation": "query.submit", "state": "failed", "progress": {"done": 3, "total": 4},
        "error": {"code": "INVALID_QUERY", "message": "no"}, "created_by": "ada",
        "created_at": "2023-11-14T22:13:19.999997Z", "started_at": "2023-11-14T22:13:19.999998Z",
        "finished_at": "2023-11-14T22:13:19.999999Z",
    });
    assert_eq!(job(&world, id).await, expected);

    // One that ran is written again, by the same form.
    write(
        &bytes
            .replace("failed", "running")
            .replace(r#","finished_at_us":1699999999999999"#, ""),
    );
    let _ = reopened(&store, &clock);
    let kept = store
        .snapshot()
        .unwrap()
        .get(SpaceId::JOBS, id.as_bytes())
        .unwrap()
        .unwrap();
    let kept = String::from_utf8(kept.value).unwrap();
    let interrupted = bytes
        .replace(
            r#"{"code":"INVALID_QUERY","message":"no"}"#,
            r#"{"code":"INTERRUPTED","message":"the server stopped while the job ran; what it had committed stays"}"#,
        )
        .replace(r#""finished_at_us":1699999999999999"#, &format!(r#""finished_at_us":{}"#, clock.now_us()));
    assert_eq!(kept, interrupted);

    for damaged in [
        &bytes.replace(r#""format":1"#, r#""format":2"#),
        &bytes.replace("failed", "lost"),
        "{}",
    ] {
        write(damaged);
        let opened = crate::jobs::Jobs::open(
            Arc::clone(&store) as Arc<dyn TableStore>,
            clock.clone(),
            Arc::new(rustydb_runtime::SystemRng),
        );
        let error = opened.err().expect("it is refused");
        assert!(
            matches!(&error, StoreError::Corrupt(reason) if reason.contains(id)),
            "{error}"
        );
    }
}
