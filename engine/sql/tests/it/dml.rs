use rustydb_sql::error::SqlError;
use rustydb_store::tables::TableError;
use serde_json::json;

use crate::support::Db;

async fn items() -> Db {
    let db = Db::new();
    db.run(
        "CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL UNIQUE, qty int DEFAULT 1, made timestamptz DEFAULT now(),
                             tag uuid DEFAULT gen_random_uuid());
         INSERT INTO items (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    )
    .await;
    db
}

#[tokio::test]
async fn defaults_are_evaluated_for_each_row() {
    let db = items().await;
    assert_eq!(
        db.shown("SELECT count(DISTINCT tag), count(DISTINCT made), sum(qty) FROM items")
            .await,
        "[[3,1,3]]"
    );
    db.run("INSERT INTO items VALUES (4, 'd', DEFAULT, NULL, DEFAULT)")
        .await;
    assert_eq!(
        db.shown("SELECT qty, made, tag IS NULL FROM items WHERE id = 4")
            .await,
        "[[1,null,false]]"
    );
    db.run("INSERT INTO items (id, name, qty) VALUES (5, 'e' || 'f', 2 + 3), (6, upper('g'), (SELECT max(id) FROM items))").await;
    assert_eq!(
        db.shown("SELECT name, qty FROM items WHERE id > 4 ORDER BY id")
            .await,
        r#"[["ef",5],["G",4]]"#
    );
    db.run("CREATE TABLE d (a int DEFAULT 7, b text); INSERT INTO d DEFAULT VALUES")
        .await;
    assert_eq!(db.shown("SELECT * FROM d").await, "[[7,null]]");
    db.run("UPDATE items SET qty = DEFAULT, tag = DEFAULT WHERE id = 5")
        .await;
    assert_eq!(db.shown("SELECT qty FROM items WHERE id = 5").await, "[[1]]");
}

#[tokio::test]
async fn insert_from_a_query() {
    let db = items().await;
    let result = db
        .run("INSERT INTO items (id, name) SELECT id + 10, name || '!' FROM items")
        .await;
    assert_eq!(result.rows_affected, 3);
    assert_eq!(
        db.shown("SELECT id, qty FROM items ORDER BY id").await,
        "[[1,1],[2,1],[3,1],[11,1],[12,1],[13,1]]"
    );
    db.run("INSERT INTO items WITH x AS (SELECT 20 AS i) SELECT i, 'w' FROM x")
        .await;
    assert_eq!(db.shown("SELECT qty FROM items WHERE id = 20").await, "[[1]]");
    assert!(matches!(
        db.fails("INSERT INTO items (id, name) SELECT 1").await,
        SqlError::Syntax { .. }
    ));
    assert!(matches!(
        db.fails("INSERT INTO items (id, name) VALUES (1)").await,
        SqlError::Syntax { .. }
    ));
    assert!(matches!(
        db.fails("INSERT INTO items (id, nme) VALUES (1, 'x')").await,
        SqlError::ColumnNotFound { .. }
    ));
    assert!(matches!(
        db.fails("INSERT INTO items (id, id) VALUES (1, 2)").await,
        SqlError::Syntax { .. }
    ));
}

#[tokio::test]
async fn a_failing_statement_leaves_nothing_in_an_open_transaction() {
    let db = items().await;
    let mut txn = db.txn();
    db.in_txn(&mut txn, "INSERT INTO items (id, name) VALUES (4, 'd')", vec![])
        .await
        .unwrap();
    let twice = db
        .in_txn(
            &mut txn,
            "INSERT INTO items (id, name) VALUES (5, 'e'), (4, 'f')",
            vec![],
        )
        .await;
    assert!(
        matches!(twice, Err(SqlError::Table(TableError::UniqueViolation { .. }))),
        "{twice:?}"
    );
    let null = db
        .in_txn(
            &mut txn,
            "UPDATE items SET name = CASE WHEN id = 3 THEN NULL ELSE 'x' || id END",
            vec![],
        )
        .await;
    assert!(
        matches!(null, Err(SqlError::Table(TableError::NotNullViolation { .. }))),
        "{null:?}"
    );
    let rows = db
        .in_txn(&mut txn, "SELECT id, name FROM items ORDER BY id", vec![])
        .await
        .unwrap()
        .rows;
    assert_eq!(json!(rows), json!([[1, "a"], [2, "b"], [3, "c"], [4, "d"]]));
    assert_eq!(db.shown("SELECT count(*) FROM items").await, "[[3]]");
    txn.commit().unwrap();
    assert_eq!(db.shown("SELECT count(*) FROM items").await, "[[4]]");
}

#[tokio::test]
async fn updates_of_keys_are_checked_at_the_end_of_the_statement() {
    let db = items().await;
    assert_eq!(db.run("UPDATE items SET id = id + 1").await.rows_affected, 3);
    assert_eq!(
        db.shown("SELECT id, name FROM items ORDER BY id").await,
        r#"[[2,"a"],[3,"b"],[4,"c"]]"#
    );
    db.run("UPDATE items SET name = CASE name WHEN 'a' THEN 'b' WHEN 'b' THEN 'a' ELSE name END")
        .await;
    assert_eq!(
        db.shown("SELECT name FROM items ORDER BY id").await,
        r#"[["b"],["a"],["c"]]"#
    );
    assert!(db.try_run("UPDATE items SET id = 9").await.is_err());
}

#[tokio::test]
async fn subqueries_on_the_target_see_the_state_before_and_no_hidden_column() {
    let db = items().await;
    db.run(
        "UPDATE items SET qty = (SELECT 1 + sum(other.id - 1) FROM items AS other WHERE other.id = items.id)",
    )
    .await;
    assert_eq!(
        db.shown("SELECT qty FROM items ORDER BY id").await,
        "[[1],[2],[3]]"
    );
    db.run("DELETE FROM items WHERE qty < (SELECT max(qty) FROM items)")
        .await;
    assert_eq!(db.shown("SELECT id FROM items").await, "[[3]]");
    db.run("CREATE TABLE copy (id int, name text, qty int, made timestamptz, tag uuid)")
        .await;
    db.run("INSERT INTO copy SELECT * FROM items").await;
    assert_eq!(
        db.run("UPDATE items SET qty = 8 WHERE id IN (SELECT id FROM (SELECT * FROM items) AS s)")
            .await
            .rows_affected,
        1
    );
    assert_eq!(db.run("SELECT * FROM items").await.columns.len(), 5);
}

#[tokio::test]
async fn update_from_and_delete_using() {
    let db = items().await;
    db.run("CREATE TABLE n (id int, q int); INSERT INTO n VALUES (1, 100), (2, 200), (9, 900)")
        .await;
    assert_eq!(
        db.run("UPDATE items AS i SET qty = n.q FROM n WHERE n.id = i.id")
            .await
            .rows_affected,
        2
    );
    assert_eq!(
        db.shown("SELECT qty FROM items ORDER BY id").await,
        "[[100],[200],[1]]"
    );
    db.run("INSERT INTO n VALUES (1, 101)").await;
    let error = db
        .fails("UPDATE items SET qty = n.q FROM n WHERE n.id = items.id")
        .await;
    assert!(
        matches!(&error, SqlError::Syntax { message, .. } if message.contains("more than once")),
        "{error:?}"
    );
    assert_eq!(
        db.run("DELETE FROM items USING n WHERE n.id = items.id")
            .await
            .rows_affected,
        2
    );
    assert_eq!(db.shown("SELECT id FROM items").await, "[[3]]");
}

#[tokio::test]
async fn values_convert_as_on_assignment_or_fail_by_name() {
    let db = Db::new();
    db.run(
        "CREATE TABLE v (b boolean, s smallint, i int, l bigint, r real, d double precision, n decimal(6,2), t text,
                         y bytea, u uuid, dt date, ts timestamp, tz timestamptz, j json)",
    )
    .await;
    db.run(
        "INSERT INTO v VALUES (true, 1.5, 2.4 + 0.1, -9223372036854775808, 0.1, 1e300, 12.345 + 0, 5, 'AAEC',
            'A0EEBC999C0B4EF8BB6D6BB9BD380A11', '2024-02-29', '2024-02-29 10:00:00', '2024-02-29T10:00:00+02:00',
            '{\"k\": [1]}')",
    )
    .await;
    assert_eq!(
        db.shown("SELECT * FROM v").await,
        r#"[[true,2,3,"-9223372036854775808",0.1,1e+300,"12.35","5","AAEC","a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","2024-02-29","2024-02-29T10:00:00.000000","2024-02-29T08:00:00.000000Z",{"k":[1]}]]"#
    );
    for (column, value) in [
        ("s", "40000"),
        ("s", "'x'"),
        ("i", "2147483648"),
        ("i", "true"),
        ("l", "9223372036854775808"),
        ("n", "10000"),
        ("n", "9999.999"),
        ("b", "1"),
        ("u", "'nope'"),
        ("j", "'{'"),
        ("dt", "'2023-02-29'"),
        ("tz", "5"),
        ("y", "1"),
    ] {
        let error = db
            .fails(&format!("INSERT INTO v ({column}) VALUES ({value})"))
            .await;
        assert!(
            error.to_string().contains(&format!("\"{column}\"")),
            "{column} = {value}: {error}"
        );
    }
    db.run("INSERT INTO v SELECT * FROM v").await;
    assert_eq!(db.rows("SELECT DISTINCT * FROM v").await.len(), 1);
}

#[tokio::test]
async fn every_type_round_trips_through_parameters() {
    let db = Db::new();
    db.run("CREATE TABLE v (k int PRIMARY KEY, l bigint, d double precision, n decimal(20,3), t text, y bytea, u uuid, dt date, ts timestamp, tz timestamptz, j json)").await;
    let row = vec![
        json!(1),
        json!("9223372036854775807"),
        json!("NaN"),
        json!("12345678901234567.125"),
        json!("it's \u{1F600} \\"),
        json!("AP8="),
        json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        json!("1969-12-31"),
        json!("1969-12-31T23:59:59.999999"),
        json!("2100-01-01T00:00:00.000001Z"),
        json!({"a": [1, null, "x"]}),
    ];
    db.try_with(
        "INSERT INTO v VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)",
        row.clone(),
    )
    .await
    .unwrap();
    assert_eq!(db.rows("SELECT * FROM v").await, std::slice::from_ref(&row));
    let same =
        "SELECT k FROM v WHERE l = $1 AND n = $2 AND t = $3 AND u = $4 AND dt = $5 AND ts = $6 AND tz = $7";
    let params = [1, 3, 4, 6, 7, 8, 9]
        .map(|index: usize| row[index].clone())
        .to_vec();
    assert_eq!(db.try_with(same, params).await.unwrap().rows, [[json!(1)]]);
}

#[tokio::test]
async fn a_read_only_transaction_only_reads() {
    let db = items().await;
    let mut txn = db.tables.begin_read_only().unwrap();
    assert!(db.in_txn(&mut txn, "SELECT 1", vec![]).await.is_ok());
    for sql in [
        "DELETE FROM items",
        "CREATE TABLE x (a int)",
        "INSERT INTO items (id, name) VALUES (9, 'z')",
    ] {
        let refused = db.in_txn(&mut txn, sql, vec![]).await;
        assert!(
            matches!(refused, Err(SqlError::ReadOnlyTransaction { .. })),
            "{refused:?}"
        );
    }
}
