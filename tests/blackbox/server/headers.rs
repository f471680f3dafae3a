//! What requests and answers say beside their bodies.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::ENDLESS;
use crate::harness::graphql::first_error;
use crate::harness::rest::{problem, send};
use crate::harness::rpc::Socket;
use crate::harness::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_names_every_call_and_takes_the_callers_name() {
    let world = World::with_keys().await;
    let admin = world.credential("admin");
    let get = |path: &str, id: Option<&str>| {
        let mut request = admin.on(world.http.get(format!("{}{path}", world.base_url())));
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        send(request)
    };
    for path in [
        "/api/v1/health",
        "/api/v1/tables/none",
        "/api/v1/tables?limit=x",
        "/api/v1/nope",
    ] {
        let answer = get(path, Some("mine-1.2:3_x")).await;
        assert_eq!(answer.headers["x-request-id"], "mine-1.2:3_x", "{path}");
        if answer.status >= 400 {
            assert_eq!(problem(&answer).request_id, "mine-1.2:3_x", "{path}");
        }
        let (one, two) = (get(path, None).await, get(path, None).await);
        assert_ne!(one.headers["x-request-id"], two.headers["x-request-id"], "{path}");
        let long = "x".repeat(129);
        for unsound in ["", "a b", "<script>", "\u{e9}", &long] {
            let answer = get(path, Some(unsound)).await;
            let id = answer.headers["x-request-id"].to_str().unwrap();
            assert!(
                id != unsound && id.len() >= 32,
                "{path}: {unsound:?} became {id:?}"
            );
        }
    }
    let document = json!({"query": "{ databaseTable(name: \"none\") { name } }"});
    let request = admin.on(world
        .http
        .post(format!("{}/graphql", world.base_url()))
        .json(&document));
    let answer = send(request.header("x-request-id", "graph-1")).await;
    assert_eq!(answer.headers["x-request-id"], "graph-1");
    assert_eq!(first_error(&answer.body).unwrap().request_id, "graph-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_gives_a_call_up_when_its_time_is_over() {
    let world = World::with_keys().await;
    let admin = world.credential("admin");
    let begun = Instant::now();
    let query = || admin.on(world.http.post(format!("{}/api/v1/sql/query", world.base_url())));
    let answer = send(
        query()
            .header("x-timeout-ms", "50")
            .json(&json!({"sql": ENDLESS})),
    )
    .await;
    let error = problem(&answer);
    assert_eq!((error.code.as_str(), error.status), ("DEADLINE_EXCEEDED", 504));
    let answer = send(query().json(&json!({"sql": ENDLESS, "timeout": 50}))).await;
    assert_eq!(problem(&answer).code, "DEADLINE_EXCEEDED");
    let document = json!({
        "query": "mutation($sql: String!) { sqlExecuteQuery(sql: $sql) { rowCount } }",
        "variables": {"sql": ENDLESS},
    });
    let graphql = || admin.on(world.http.post(format!("{}/graphql", world.base_url())));
    let answer = send(graphql().header("x-timeout-ms", "50").json(&document)).await;
    assert_eq!(first_error(&answer.body).unwrap().code, "DEADLINE_EXCEEDED");
    let mut socket = Socket::open(world.server.address(), &admin).await.unwrap();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "sql.execute_query", "params": {"sql": ENDLESS}, "timeout_ms": 50});
    socket.send_text(request.to_string()).await;
    assert_eq!(
        socket.receive().await.unwrap()["error"]["data"]["code"],
        "DEADLINE_EXCEEDED"
    );
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());

    for wrong in ["soon", "0", "-1", "1.5", "300001", "", "99999999999999999999"] {
        let answer = send(
            query()
                .header("x-timeout-ms", wrong)
                .json(&json!({"sql": "SELECT 1 AS n"})),
        )
        .await;
        assert_eq!(problem(&answer).code, "INVALID_ARGUMENT", "{wrong:?}");
        let answer = send(
            graphql()
                .header("x-timeout-ms", wrong)
                .json(&json!({"query": "{ adminVersion { version } }"})),
        )
        .await;
        assert_eq!(
            first_error(&answer.body).unwrap().code,
            "INVALID_ARGUMENT",
            "{wrong:?}"
        );
    }
    let answer = send(
        query()
            .header("x-timeout-ms", "300000")
            .json(&json!({"sql": "SELECT 1 AS n"})),
    )
    .await;
    assert_eq!(answer.status, 200);
}

/// What was begun by a call that ran out of time is undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_undoes_what_a_call_without_time_had_begun() {
    let world = World::with_keys().await;
    let table = json!({"name": "late", "columns": [{"name": "id", "type": "bigint"}]});
    world.must("database.create_table", &table, "admin").await;
    let insert = format!("INSERT INTO late {ENDLESS}");
    let input = json!({"sql": insert, "timeout": 100});
    let error = world
        .call("sql.execute_query", &input, &world.credential("admin"))
        .await
        .unwrap_err();
    assert_eq!(error.code, "DEADLINE_EXCEEDED");
    let count = world
        .must("database.count_rows", &json!({"name": "late"}), "admin")
        .await;
    assert_eq!(count["count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_answers_head_and_looks_past_headers_it_does_not_know() {
    let world = World::with_keys().await;
    let admin = world.credential("admin");
    let request = |method: Method, path: &str| {
        admin.on(world.http.request(method, format!("{}{path}", world.base_url())))
    };
    let get = send(request(Method::GET, "/api/v1/metadata/version")).await;
    let head = send(request(Method::HEAD, "/api/v1/metadata/version")).await;
    assert_eq!((head.status, &head.body), (200, &json!("")));
    for name in ["content-type", "content-length"] {
        assert_eq!(get.headers[name], head.headers[name], "{name}");
    }
    let head = send(request(Method::HEAD, "/api/v1/tables/none")).await;
    assert_eq!((head.status, &head.body), (404, &json!("")));
    let head = send(request(Method::HEAD, "/api/v1/sql/query")).await;
    assert_eq!(head.status, 405);
    let odd = request(Method::GET, "/api/v1/health")
        .header("x-colour", "red")
        .header("x-forwarded-for", "203.0.113.7")
        .header("accept", "text/html")
        .header("cookie", "a=b");
    let answer = send(odd).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("healthy")));
    assert_eq!(answer.headers["content-type"], "application/json");
}

/// Joins whose sides end at once and whose product does not: between two rows of its input one works for hours, with
/// many rows to show for it or with none, and that may keep nobody waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_gives_up_a_join_without_end_and_answers_others_meanwhile() {
    let world = World::with_keys().await;
    let admin = world.credential("admin");
    let join = |condition: &str| {
        format!(
            "SELECT count(*) AS n FROM generate_series(1, 1000000) AS a \
             CROSS JOIN generate_series(1, 1000000) AS b WHERE {condition}"
        )
    };
    let conditions = ["(a.value * b.value) % 7 = 3", "a.value * b.value = -1"];
    let query = admin.on(world.http.post(format!("{}/api/v1/sql/query", world.base_url())));
    // More than the server can have threads for.
    let many = 2 * std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let joins: Vec<_> = (0..many)
        .map(|count| {
            let join = join(conditions[count % conditions.len()]);
            let query = query.try_clone().expect("a request without a body");
            tokio::spawn(send(query.json(&json!({"sql": join, "timeout": 2000}))))
        })
        .collect();
    let begun = Instant::now();
    while !joins.iter().all(tokio::task::JoinHandle::is_finished) {
        let alive = world
            .http
            .get(format!("{}/api/v1/health/liveness", world.base_url()));
        let answer = tokio::time::timeout(Duration::from_secs(10), send(alive)).await;
        assert_eq!(answer.expect("the server answers others").status, 200);
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the joins are not given up"
        );
    }
    for join in joins {
        assert_eq!(problem(&join.await.unwrap()).code, "DEADLINE_EXCEEDED");
    }
    // Their threads are free again.
    let short = "SELECT count(*) AS n FROM generate_series(1, 10) AS a";
    assert_eq!(send(query.json(&json!({"sql": short}))).await.status, 200);
}
