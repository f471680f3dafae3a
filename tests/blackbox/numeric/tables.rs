//! Rows, bytes and versions of tables and databases.

use serde_json::{Value, json};

use super::{call, number, table};
use crate::harness::world::World;

/// Row count and bytes of the table `t`, as each operation that shows it says them.
async fn shown(world: &World) -> (f64, f64) {
    let of = |answer: &Value, place: &str| {
        (
            number(answer, &format!("{place}/row_count")),
            number(answer, &format!("{place}/size_bytes")),
        )
    };
    let described = of(&call(world, "database.get_table", json!({"name": "t"})).await, "");
    let listed = call(world, "database.list_tables", json!({})).await;
    assert_eq!(of(&listed, "/tables/0"), described);
    let schema = call(world, "database.get_schema", json!({})).await;
    assert_eq!(of(&schema, "/tables/0"), described);
    let stats = call(world, "database.get_table_stats", json!({"name": "t"})).await;
    assert_eq!(number(&stats, "/row_count"), described.0);
    assert_eq!(
        number(&stats, "/rows_bytes") + number(&stats, "/indexes_bytes"),
        described.1
    );
    let count = call(world, "database.count_rows", json!({"name": "t"})).await;
    assert_eq!(number(&count, "/count"), described.0);
    // The only table: the database is as large as it.
    let database = call(world, "database.get", json!({"name": "main"})).await;
    assert_eq!(number(&database, "/size_bytes"), described.1);
    let databases = call(world, "database.list", json!({})).await;
    assert_eq!(number(&databases, "/databases/0/size_bytes"), described.1);
    described
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_rows_and_bytes_follow_inserts_and_deletes() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    assert_eq!(shown(&world).await, (0.0, 0.0));
    let rows = |ids: std::ops::Range<u64>| {
        ids.map(|id| json!({"id": id, "name": "x".repeat(100)}))
            .collect::<Vec<_>>()
    };
    call(
        &world,
        "database.insert_rows",
        json!({"name": "t", "rows": rows(0..10)}),
    )
    .await;
    let (count, ten) = shown(&world).await;
    assert_eq!(count, 10.0);
    assert!(
        (1000.0..3000.0).contains(&ten),
        "ten rows of 100 characters are {ten} bytes"
    );
    call(
        &world,
        "database.insert_rows",
        json!({"name": "t", "rows": rows(10..20)}),
    )
    .await;
    let (count, twenty) = shown(&world).await;
    assert_eq!(count, 20.0);
    assert!(
        (twenty - 2.0 * ten).abs() <= 0.05 * twenty,
        "{ten} bytes became {twenty}"
    );
    let filter = json!({"field": "id", "operator": "GE", "value": 10});
    call(
        &world,
        "database.delete_rows",
        json!({"name": "t", "filter": filter}),
    )
    .await;
    assert_eq!(shown(&world).await, (10.0, ten));
    call(
        &world,
        "database.update_rows",
        json!({"name": "t", "filter": {"and": []}, "values": {"name": "x".repeat(200)}}),
    )
    .await;
    let (count, longer) = shown(&world).await;
    assert_eq!(count, 10.0);
    assert!(
        (longer - ten - 1000.0).abs() <= 30.0,
        "1000 more characters: {ten} bytes became {longer}"
    );
    call(&world, "sql.truncate_table", json!({"name": "t"})).await;
    assert_eq!(shown(&world).await, (0.0, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_bytes_of_indexes_are_those_of_unique_constraints() {
    let world = World::new().await;
    let columns = json!([{"name": "id", "type": "bigint"}, {"name": "name", "type": "text"}]);
    let made =
        json!({"name": "t", "columns": columns, "primary_key": ["id"], "unique": [{"columns": ["name"]}]});
    call(&world, "database.create_table", made).await;
    let mut last = 0.0;
    for id in 0..3 {
        let rows = json!([{"id": id, "name": format!("{id}{}", "n".repeat(50))}]);
        call(&world, "database.insert_rows", json!({"name": "t", "rows": rows})).await;
        let stats = call(&world, "database.get_table_stats", json!({"name": "t"})).await;
        let (rows, indexes) = (number(&stats, "/rows_bytes"), number(&stats, "/indexes_bytes"));
        assert!(
            (51.0..200.0).contains(&(indexes - last)),
            "an entry of 51 characters took {}",
            indexes - last
        );
        assert!(rows > 51.0 * f64::from(id + 1), "{rows}");
        last = indexes;
        shown(&world).await;
    }
    table(&world, "without", 3).await;
    let stats = call(&world, "database.get_table_stats", json!({"name": "without"})).await;
    assert_eq!(number(&stats, "/indexes_bytes"), 0.0);
}

/// What was just created has nothing in it: its counts are moved by what comes later, in the answers that show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_databases_count_their_tables_and_views() {
    let world = World::new().await;
    let made = call(&world, "database.create", json!({"name": "counted"})).await;
    for field in ["/table_count", "/view_count", "/size_bytes"] {
        assert_eq!(number(&made, field), 0.0, "{field}");
    }
    let counts = |listed: &Value| {
        let place = listed["databases"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == "counted")
            .unwrap()
            .clone();
        (number(&place, "/table_count"), number(&place, "/view_count"))
    };
    for tables in 1..=3_u32 {
        let columns = json!([{"name": "id", "type": "bigint"}]);
        let input = json!({"name": format!("t{tables}"), "database": "counted", "columns": columns});
        call(&world, "database.create_table", input).await;
        if tables > 1 {
            let input =
                json!({"name": format!("v{tables}"), "database": "counted", "query": "SELECT 1 AS n"});
            call(&world, "sql.create_view", input).await;
        }
        let listed = call(&world, "database.list", json!({})).await;
        assert_eq!(counts(&listed), (f64::from(tables), f64::from(tables - 1)));
    }
    call(
        &world,
        "database.drop_table",
        json!({"name": "t1", "database": "counted"}),
    )
    .await;
    call(
        &world,
        "sql.drop_view",
        json!({"name": "v2", "database": "counted"}),
    )
    .await;
    assert_eq!(
        counts(&call(&world, "database.list", json!({})).await),
        (2.0, 1.0)
    );
    let main = call(&world, "database.list", json!({"limit": 1000})).await;
    let main = main["databases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "main")
        .unwrap()
        .clone();
    assert_eq!(number(&main, "/table_count"), 0.0, "each counts its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_definition_counts_its_versions() {
    let world = World::new().await;
    let mut columns = vec![json!({"name": "id", "type": "bigint"})];
    let made = call(
        &world,
        "database.create_table",
        json!({"name": "t", "columns": columns, "primary_key": ["id"]}),
    )
    .await;
    for (field, expected) in [
        ("/schema_version", 1.0),
        ("/row_count", 0.0),
        ("/size_bytes", 0.0),
    ] {
        assert_eq!(number(&made, field), expected, "{field}");
    }
    let rows: Vec<Value> = (0..5).map(|id| json!({"id": id})).collect();
    call(&world, "database.insert_rows", json!({"name": "t", "rows": rows})).await;
    let mut bytes = number(
        &call(&world, "database.get_table", json!({"name": "t"})).await,
        "/size_bytes",
    );
    for version in 2..=4 {
        columns.push(
            json!({"name": format!("c{version}"), "type": "text", "default": "'a default of some length'"}),
        );
        let input = json!({"name": "t", "columns": columns, "primary_key": ["id"]});
        let replaced = call(&world, "database.replace_table", input).await;
        assert_eq!(number(&replaced, "/schema_version"), f64::from(version));
        assert_eq!(number(&replaced, "/row_count"), 5.0);
        let now = number(&replaced, "/size_bytes");
        assert!(
            (now - bytes) >= 5.0 * 24.0,
            "five values more: {bytes} became {now}"
        );
        bytes = now;
        for (id, place, input) in [
            ("database.get_table", "", json!({"name": "t"})),
            ("database.list_tables", "/tables/0", json!({})),
            ("database.get_schema", "/tables/0", json!({})),
        ] {
            let shown = call(&world, id, input).await;
            assert_eq!(
                number(&shown, &format!("{place}/schema_version")),
                f64::from(version),
                "{id}"
            );
        }
    }
    // Rows are no change of the definition.
    call(
        &world,
        "database.insert_rows",
        json!({"name": "t", "rows": [{"id": 100}]}),
    )
    .await;
    let shown = call(&world, "database.get_table", json!({"name": "t"})).await;
    assert_eq!(number(&shown, "/schema_version"), 4.0);
}
