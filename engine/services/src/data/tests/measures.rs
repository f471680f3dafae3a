//! Numbers that an operation answers move as what they measure does, in direction and size.

use serde_json::{Value, json};

use super::support::World;

async fn stats(world: &World) -> Value {
    world.must("database.get_table_stats", json!({"name": "t"})).await
}

fn number(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} of {value}"))
}

#[tokio::test]
async fn sizes_follow_the_rows() {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, w text UNIQUE)")
        .await;
    let empty = stats(&world).await;
    assert_eq!(
        empty,
        json!({"row_count": 0, "rows_bytes": 0, "indexes_bytes": 0})
    );
    let text = |id: u64, length: usize| format!("{id:0length$}");
    world
        .must(
            "database.insert_rows",
            json!({"name": "t", "rows": [{"id": 1, "w": text(1, 100)}]}),
        )
        .await;
    let one = stats(&world).await;
    assert_eq!(one["row_count"], 1);
    let (rows_bytes, indexes_bytes) = (number(&one, "rows_bytes"), number(&one, "indexes_bytes"));
    // A hundred letters each, and some bytes for keys and lengths.
    assert!((108..150).contains(&rows_bytes), "{one}");
    assert!((108..150).contains(&indexes_bytes), "{one}");
    let nine: Vec<Value> = (2..=10).map(|id| json!({"id": id, "w": text(id, 100)})).collect();
    world
        .must("database.insert_rows", json!({"name": "t", "rows": nine}))
        .await;
    let ten = stats(&world).await;
    assert_eq!(
        (
            number(&ten, "row_count"),
            number(&ten, "rows_bytes"),
            number(&ten, "indexes_bytes")
        ),
        (10, 10 * rows_bytes, 10 * indexes_bytes)
    );
    world
        .must(
            "database.update_row",
            json!({"name": "t", "id": "1", "values": {"w": text(1, 1_100)}}),
        )
        .await;
    let longer = stats(&world).await;
    let grown = number(&longer, "rows_bytes") - number(&ten, "rows_bytes");
    assert!((1_000..1_010).contains(&grown), "{grown}");
    // The table, the database and the list say the same.
    let table = world.must("database.get_table", json!({"name": "t"})).await;
    let size = number(&longer, "rows_bytes") + number(&longer, "indexes_bytes");
    assert_eq!(
        (number(&table, "row_count"), number(&table, "size_bytes")),
        (10, size)
    );
    assert_eq!(
        number(
            &world.must("database.get", json!({"name": "main"})).await,
            "size_bytes"
        ),
        size
    );
    let list = world.must("database.list", json!({})).await;
    assert_eq!(
        (
            number(&list["databases"][0], "size_bytes"),
            number(&list["databases"][0], "table_count")
        ),
        (size, 1)
    );
    world
        .must(
            "database.delete_rows",
            json!({"name": "t", "filter": {"field": "id", "operator": "GT", "value": 4}}),
        )
        .await;
    assert_eq!(number(&stats(&world).await, "row_count"), 4);
    assert_eq!(
        world.must("sql.truncate_table", json!({"name": "t"})).await["rows_removed"],
        4
    );
    let truncated = stats(&world).await;
    assert_eq!(
        (
            number(&truncated, "rows_bytes"),
            number(&truncated, "indexes_bytes")
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn the_objects_of_a_database_are_counted() {
    let world = World::new();
    world.must("database.create", json!({"name": "d"})).await;
    for number in 1..=3 {
        world.must("database.create_table", json!({"name": format!("t{number}"), "database": "d", "columns": [{"name": "id", "type": "bigint"}]})).await;
        world
            .must(
                "sql.create_view",
                json!({"name": format!("v{number}"), "database": "d", "query": "SELECT 1 AS n"}),
            )
            .await;
        let list = world.must("database.list", json!({"limit": 1})).await;
        assert_eq!(
            (
                &list["databases"][0]["table_count"],
                &list["databases"][0]["view_count"]
            ),
            (&json!(number), &json!(number))
        );
    }
    world
        .must("sql.drop_view", json!({"name": "v1", "database": "d"}))
        .await;
    world
        .must("database.drop_table", json!({"name": "t1", "database": "d"}))
        .await;
    let detail = world.must("database.get", json!({"name": "d"})).await;
    assert_eq!(
        (&detail["tables"], &detail["views"]),
        (&json!(["t2", "t3"]), &json!(["v2", "v3"]))
    );
    world.must("database.drop", json!({"name": "d"})).await;
    world
        .fails("database.get", json!({"name": "d"}), "DATABASE_NOT_FOUND")
        .await;
}

#[tokio::test]
async fn moments_are_those_of_the_clock_and_versions_count_definitions() {
    let world = World::new();
    world.clock.advance_us(1_000_000);
    let table = json!({"name": "t", "columns": [{"name": "id", "type": "integer"}]});
    let made = world.must("database.create_table", table).await;
    assert_eq!(
        (&made["created_at"], &made["schema_version"]),
        (&json!("2023-11-14T22:13:21.000000Z"), &json!(1))
    );
    assert_eq!(
        stats(&world).await.get("modified_at"),
        None,
        "no commit has changed rows"
    );
    world.clock.advance_us(1_000_000);
    world
        .must("database.insert_rows", json!({"name": "t", "rows": [{"id": 1}]}))
        .await;
    assert_eq!(stats(&world).await["modified_at"], "2023-11-14T22:13:22.000000Z");
    world.clock.advance_us(1_000_000);
    world.rows("SELECT * FROM t").await;
    assert_eq!(
        stats(&world).await["modified_at"],
        "2023-11-14T22:13:22.000000Z",
        "reading changes nothing"
    );
    let wider =
        json!({"name": "t", "columns": [{"name": "id", "type": "bigint"}, {"name": "w", "type": "text"}]});
    let replaced = world.must("database.replace_table", wider).await;
    assert_eq!(
        (&replaced["schema_version"], &replaced["created_at"]),
        (&json!(2), &made["created_at"])
    );
    world.clock.advance_us(1_000_000);
    world.must("sql.truncate_table", json!({"name": "t"})).await;
    assert_eq!(
        stats(&world).await["modified_at"],
        "2023-11-14T22:13:24.000000Z",
        "truncating changes rows"
    );
    let database = world.must("database.create", json!({"name": "d"})).await;
    assert_eq!(database["created_at"], "2023-11-14T22:13:24.000000Z");
    let view = world
        .must("sql.create_view", json!({"name": "v", "query": "SELECT 1 AS n"}))
        .await;
    assert_eq!(view["created_at"], "2023-11-14T22:13:24.000000Z");
}

#[tokio::test]
async fn positions_of_commits_rise_by_one_and_stand_still_without_writes() {
    let world = World::new();
    world.sql("CREATE TABLE t (id bigint PRIMARY KEY)").await;
    let position = |answer: &Value| {
        let text = answer["lsn"].as_str().unwrap();
        let (high, low) = text.split_once('/').unwrap();
        u64::from_str_radix(high, 16).unwrap() << 32 | u64::from_str_radix(low, 16).unwrap()
    };
    let insert = |id: u32| json!({"operations": [{"op": "insert", "table": "t", "rows": [{"id": id}]}]});
    let first = world.must("transactions.execute", insert(1)).await;
    assert_eq!(first["rows_changed"], 1);
    let second = world.must("transactions.execute", insert(2)).await;
    assert_eq!(position(&second), position(&first) + 1);
    let empty = world.must("transactions.begin", json!({})).await;
    let third = world.must("transactions.execute", insert(3)).await;
    assert!(position(&third) > position(&second));
    let ended = world
        .must("transactions.commit", json!({"id": empty["transaction_id"]}))
        .await;
    assert_eq!(
        (position(&ended), &ended["rows_changed"]),
        (position(&second), &json!(0)),
        "its snapshot"
    );
    let writing = world.must("transactions.begin", json!({})).await;
    let mut within = insert(4);
    within["transaction_id"] = writing["transaction_id"].clone();
    assert_eq!(
        world.must("transactions.execute", within).await.get("lsn"),
        None,
        "still open"
    );
    let committed = world
        .must("transactions.commit", json!({"id": writing["transaction_id"]}))
        .await;
    assert_eq!(
        (position(&committed), &committed["rows_changed"]),
        (position(&third) + 1, &json!(1))
    );
}

#[tokio::test]
async fn the_time_of_a_statement_is_that_of_the_clock() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    let world = World::new();
    assert_eq!(
        world.sql("SELECT 1 AS n").await["execution_time_ms"],
        0.0,
        "the clock stands still"
    );
    let (clock, done) = (world.clock.clone(), Arc::new(AtomicBool::new(false)));
    let ended = done.clone();
    // One simulated second for each millisecond.
    let ticking = std::thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            clock.advance_us(1_000_000);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let longer = world
        .sql("SELECT count(*) FROM generate_series(1, 2000000) WHERE value % 3 = 1")
        .await;
    done.store(true, Ordering::SeqCst);
    ticking.join().unwrap();
    let elapsed_ms = longer["execution_time_ms"].as_f64().unwrap();
    assert!(
        elapsed_ms >= 1_000.0 && elapsed_ms % 1_000.0 == 0.0,
        "{elapsed_ms}"
    );
}
