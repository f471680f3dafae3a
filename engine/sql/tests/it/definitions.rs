use rustydb_sql::error::SqlError;
use rustydb_store::tables::TableError;

use crate::support::Db;

#[tokio::test]
async fn tables_are_created_and_dropped() {
    let db = Db::new();
    db.run("CREATE TABLE \"Odd Name\" (a int, \"B c\" text UNIQUE, CONSTRAINT pk PRIMARY KEY (a))")
        .await;
    db.run("INSERT INTO \"Odd Name\" VALUES (1, 'x')").await;
    assert_eq!(
        db.shown("SELECT \"B c\" FROM \"Odd Name\" WHERE a = 1").await,
        r#"[["x"]]"#
    );
    assert!(matches!(
        db.fails("CREATE TABLE \"Odd Name\" (a int)").await,
        SqlError::Table(TableError::TableExists { .. })
    ));
    db.run("CREATE TABLE IF NOT EXISTS \"Odd Name\" (a int)").await;
    db.run("DROP TABLE \"Odd Name\"; DROP TABLE IF EXISTS \"Odd Name\"")
        .await;
    assert!(matches!(
        db.fails("DROP TABLE \"Odd Name\"").await,
        SqlError::Table(TableError::TableNotFound { .. })
    ));
}

#[tokio::test]
async fn constraints_hold() {
    let db = Db::new();
    db.run("CREATE TABLE t (a int, b int, c text NOT NULL, PRIMARY KEY (a, b), UNIQUE (c, b))")
        .await;
    db.run("INSERT INTO t VALUES (1, 1, 'x'), (1, 2, 'x')").await;
    for sql in [
        "INSERT INTO t VALUES (1, 1, 'y')",
        "INSERT INTO t VALUES (2, 2, 'x')",
        "INSERT INTO t VALUES (3, 3, NULL)",
        "INSERT INTO t VALUES (NULL, 3, 'z')",
        "UPDATE t SET b = 1",
    ] {
        assert!(matches!(db.fails(sql).await, SqlError::Table(_)), "{sql}");
    }
    assert_eq!(db.shown("SELECT count(*) FROM t").await, "[[2]]");
}

#[tokio::test]
async fn defaults_are_checked_when_declared() {
    let db = Db::new();
    for sql in [
        "CREATE TABLE t (a int, b int DEFAULT a)",
        "CREATE TABLE t (a int DEFAULT (SELECT 1))",
        "CREATE TABLE t (a int DEFAULT 'x')",
        "CREATE TABLE t (a int DEFAULT nosuch())",
        "CREATE TABLE t (a smallint DEFAULT 100000)",
    ] {
        let error = db.fails(sql).await;
        assert!(!matches!(error, SqlError::Internal(_)), "{sql}: {error:?}");
    }
    db.run(
        "CREATE TABLE t (k int, a int DEFAULT 1 + 1, b text DEFAULT 'it''s', c date DEFAULT current_date)",
    )
    .await;
    db.run("INSERT INTO t (k) VALUES (1)").await;
    assert_eq!(
        db.shown("SELECT a, b, c IS NULL FROM t").await,
        r#"[[2,"it's",false]]"#
    );
}

#[tokio::test]
async fn databases_hide_their_tables_from_each_other() {
    let mut db = Db::new();
    db.run("CREATE DATABASE shop; CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        .await;
    db.run("CREATE DATABASE IF NOT EXISTS shop").await;
    db.ctx.database = "shop".to_owned();
    assert!(matches!(
        db.fails("SELECT * FROM t").await,
        SqlError::TableNotFound { .. }
    ));
    db.run("CREATE TABLE t (a text); INSERT INTO shop.public.t VALUES ('x')")
        .await;
    assert_eq!(db.shown("SELECT * FROM public.t").await, r#"[["x"]]"#);
    db.ctx.database = "main".to_owned();
    assert_eq!(db.shown("SELECT * FROM t").await, "[[1]]");
    db.run("DROP DATABASE shop").await;
    db.ctx.database = "shop".to_owned();
    assert!(matches!(
        db.fails("SELECT * FROM t").await,
        SqlError::Table(TableError::DatabaseNotFound { .. })
    ));
}

#[tokio::test]
async fn truncate_empties_tables() {
    let db = Db::new();
    db.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
        .await;
    let truncated = db.run("TRUNCATE TABLE t").await;
    assert_eq!((truncated.command, truncated.rows_affected), ("TRUNCATE", 2));
    assert_eq!(db.shown("SELECT count(*) FROM t").await, "[[0]]");
}
