//! Row operations: what they find is what the same SQL finds.

use rustydb_sql::ExecContext;
use rustydb_sql::error::SqlError;
use rustydb_sql::rows::{
    Aggregate, AggregateFunction, AggregateQuery, CompareOp, OrderColumn, RowFilter, RowQuery,
};
use serde_json::{Value as Json, json};

use crate::support::Db;

async fn many() -> Db {
    let db = Db::new();
    db.run("CREATE TABLE m (id int PRIMARY KEY, g text, v double precision, u uuid, d decimal(8,2))")
        .await;
    db.run(
        "INSERT INTO m SELECT CAST(value AS int), CASE WHEN value % 3 = 0 THEN NULL ELSE 'g' || CAST(value % 4 AS text) END,
                CASE WHEN value % 5 = 0 THEN NULL ELSE (value * 37) % 11 END,
                'a0eebc99-9c0b-4ef8-bb6d-6bb9bd38' || lpad(CAST(value AS text), 4, '0'), value * 0.25
         FROM generate_series(1, 100)",
    )
    .await;
    db.run("CREATE TABLE bag (x int); INSERT INTO bag VALUES (3), (1), (3), (NULL)")
        .await;
    db
}

fn compare(column: &str, op: CompareOp, value: Json) -> RowFilter {
    RowFilter::Compare {
        column: column.to_owned(),
        op,
        value,
    }
}

#[tokio::test]
async fn filters_find_what_conditions_find() {
    let db = many().await;
    let reader = db.txn().reader();
    let table = reader.table("main", "public", "m").unwrap().unwrap();
    let text = |text: &str| text.to_owned();
    let cases = [
        (compare("id", CompareOp::Le, json!(7)), "id <= 7"),
        (compare("id", CompareOp::Eq, json!("50")), "id = 50"),
        (compare("g", CompareOp::Ne, json!("g1")), "g <> 'g1'"),
        (compare("g", CompareOp::Eq, json!(null)), "g = NULL"),
        (
            compare("u", CompareOp::Eq, json!("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380007")),
            "id = 7",
        ),
        (compare("d", CompareOp::Gt, json!("20.25")), "d > 20.25"),
        (RowFilter::IsNull { column: text("v") }, "v IS NULL"),
        (
            RowFilter::Not(Box::new(RowFilter::IsNull { column: text("v") })),
            "v IS NOT NULL",
        ),
        (
            RowFilter::In {
                column: text("id"),
                values: vec![json!(1), json!(99), json!(1000)],
            },
            "id IN (1, 99, 1000)",
        ),
        (
            RowFilter::In {
                column: text("id"),
                values: vec![],
            },
            "false",
        ),
        (
            RowFilter::Like {
                column: text("g"),
                pattern: text("G_"),
                ignore_case: true,
            },
            "g ILIKE 'G_'",
        ),
        (RowFilter::And(vec![]), "true"),
        (RowFilter::Or(vec![]), "false"),
        (
            RowFilter::Or(vec![
                RowFilter::And(vec![
                    compare("id", CompareOp::Gt, json!(90)),
                    compare("v", CompareOp::Lt, json!(5.5)),
                ]),
                compare("g", CompareOp::Ge, json!("g3")),
            ]),
            "(id > 90 AND v < 5.5) OR g >= 'g3'",
        ),
    ];
    for (filter, sql) in cases {
        let expected = db
            .rows(&format!("SELECT id FROM m WHERE {sql} ORDER BY id"))
            .await;
        let count = db
            .engine
            .count_rows(&reader, &db.ctx, &table, Some(&filter))
            .await
            .unwrap();
        assert_eq!(count as usize, expected.len(), "{sql}");
        let keys = db
            .engine
            .matching_keys(&reader, &table, Some(&filter), usize::MAX)
            .await
            .unwrap();
        assert_eq!(keys.len(), expected.len(), "{sql}");
        let query = RowQuery {
            filter: Some(filter),
            columns: vec![text("id")],
            limit: 1_000,
            ..RowQuery::default()
        };
        let page = db
            .engine
            .query_rows(&reader, &db.ctx, &table, &query)
            .await
            .unwrap();
        assert_eq!(page.rows, expected, "{sql}");
        assert!(page.next.is_none());
    }
    let wrong = db
        .engine
        .count_rows(
            &reader,
            &db.ctx,
            &table,
            Some(&compare("nope", CompareOp::Eq, json!(1))),
        )
        .await;
    assert!(matches!(wrong, Err(SqlError::ColumnNotFound { .. })));
    let wrong = db
        .engine
        .count_rows(
            &reader,
            &db.ctx,
            &table,
            Some(&compare("id", CompareOp::Eq, json!("x"))),
        )
        .await;
    assert!(wrong.is_err());
}

#[tokio::test]
async fn pages_put_together_are_the_whole_order() {
    let db = many().await;
    let reader = db.txn().reader();
    let order = |column: &str, descending| OrderColumn {
        column: column.to_owned(),
        descending,
    };
    for (table, order_by, sql) in [
        ("m", vec![], "id"),
        ("m", vec![order("id", true)], "id DESC"),
        ("m", vec![order("g", false)], "g, id"),
        ("m", vec![order("g", true), order("v", false)], "g DESC, v, id"),
        ("m", vec![order("v", true), order("g", false)], "v DESC, g, id"),
        ("bag", vec![order("x", false)], "x"),
    ] {
        let definition = reader.table("main", "public", table).unwrap().unwrap();
        let expected = db.rows(&format!("SELECT * FROM {table} ORDER BY {sql}")).await;
        for limit in [1, 7, 100] {
            let mut query = RowQuery {
                order_by: order_by.clone(),
                limit,
                ..RowQuery::default()
            };
            let mut found = Vec::new();
            let mut ids = std::collections::HashSet::new();
            loop {
                let page = db
                    .engine
                    .query_rows(&reader, &db.ctx, &definition, &query)
                    .await
                    .unwrap();
                assert!(page.rows.len() <= limit && page.ids.len() == page.rows.len());
                found.extend(page.rows);
                ids.extend(page.ids);
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{table} by {sql}, {limit} a page");
            assert_eq!(ids.len(), expected.len());
        }
    }
}

#[tokio::test]
async fn aggregates_compute_what_group_by_computes() {
    let db = many().await;
    let reader = db.txn().reader();
    let table = reader.table("main", "public", "m").unwrap().unwrap();
    let of = |function, column: Option<&str>, alias: &str| Aggregate {
        function,
        column: column.map(str::to_owned),
        alias: alias.to_owned(),
    };
    let query = AggregateQuery {
        filter: Some(compare("id", CompareOp::Gt, json!(10))),
        group_by: vec!["g".to_owned()],
        aggregates: vec![
            of(AggregateFunction::Count, None, "n"),
            of(AggregateFunction::Sum, Some("d"), "s"),
            of(AggregateFunction::Avg, Some("v"), "m"),
            of(AggregateFunction::Min, Some("id"), "lo"),
            of(AggregateFunction::Max, Some("g"), "hi"),
            of(AggregateFunction::CountDistinct, Some("v"), "k"),
        ],
        order_by: vec![
            OrderColumn {
                column: "n".to_owned(),
                descending: true,
            },
            OrderColumn {
                column: "g".to_owned(),
                descending: false,
            },
        ],
    };
    let found = db
        .engine
        .aggregate_rows(&reader, &db.ctx, &table, &query)
        .await
        .unwrap();
    let expected = db
        .run("SELECT g, count(*) AS n, sum(d) AS s, avg(v) AS m, min(id) AS lo, max(g) AS hi, count(DISTINCT v) AS k FROM m
              WHERE id > 10 GROUP BY g ORDER BY n DESC, g")
        .await;
    assert!(!expected.rows.is_empty());
    assert_eq!(found, expected);
    let text = AggregateQuery {
        aggregates: vec![of(AggregateFunction::Sum, Some("g"), "s")],
        ..AggregateQuery::default()
    };
    let wrong = db.engine.aggregate_rows(&reader, &db.ctx, &table, &text).await;
    assert!(matches!(wrong, Err(SqlError::TypeMismatch { .. })));
}

#[tokio::test]
async fn rows_of_json_get_defaults() {
    let db = Db::new();
    db.run(
        "CREATE TABLE r (id int PRIMARY KEY, a text DEFAULT 'x', b uuid DEFAULT gen_random_uuid(), c int)",
    )
    .await;
    let mut txn = db.txn();
    let reader = txn.reader();
    let table = reader.table("main", "public", "r").unwrap().unwrap();
    let objects = [
        json!({"id": 1}),
        json!({"c": 5, "id": 2, "a": null}),
        json!({"id": 3}),
    ];
    let objects: Vec<_> = objects
        .iter()
        .map(|object| object.as_object().unwrap().clone())
        .collect();
    let rows = db
        .engine
        .rows_from_json(&reader, &ExecContext::new("main"), &table, &objects)
        .await
        .unwrap();
    txn.insert_many(&table, rows).unwrap();
    txn.commit().unwrap();
    assert_eq!(
        db.shown("SELECT id, a, c FROM r ORDER BY id").await,
        r#"[[1,"x",null],[2,null,5],[3,"x",null]]"#
    );
    assert_eq!(db.shown("SELECT count(DISTINCT b) FROM r").await, "[[3]]");
    let unknown = [json!({"id": 1, "zz": 1}).as_object().unwrap().clone()];
    let wrong = db
        .engine
        .rows_from_json(&reader, &ExecContext::new("main"), &table, &unknown)
        .await;
    assert!(matches!(wrong, Err(SqlError::ColumnNotFound { .. })));
}
