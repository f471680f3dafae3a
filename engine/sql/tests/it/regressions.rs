//! Statements that lose rows when DataFusion's own DELETE and UPDATE hooks run them: it drops conditions that it
//! can't express as simple filters, and no condition means every row (apache/datafusion#24654).

use crate::support::Db;

async fn three_rows() -> Db {
    let db = Db::new();
    db.run("CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)")
        .await;
    db.run("CREATE TABLE s (x int); INSERT INTO s VALUES (20)").await;
    db
}

#[tokio::test]
async fn delete_with_a_subquery_deletes_only_what_matches() {
    let db = three_rows().await;
    assert_eq!(
        db.run("DELETE FROM t WHERE x IN (SELECT x FROM s)")
            .await
            .rows_affected,
        1
    );
    assert_eq!(db.shown("SELECT id FROM t ORDER BY id").await, "[[1],[3]]");
}

#[tokio::test]
async fn delete_where_false_deletes_nothing() {
    let db = three_rows().await;
    assert_eq!(db.run("DELETE FROM t WHERE false").await.rows_affected, 0);
    assert_eq!(db.shown("SELECT count(*) FROM t").await, "[[3]]");
}

#[tokio::test]
async fn delete_with_a_limit_is_refused() {
    let db = three_rows().await;
    assert!(db.try_run("DELETE FROM t WHERE x > 0 LIMIT 1").await.is_err());
    assert_eq!(db.shown("SELECT count(*) FROM t").await, "[[3]]");
    let sql = "DELETE FROM t WHERE id IN (SELECT id FROM t WHERE x > 0 ORDER BY id LIMIT 1)";
    assert_eq!(db.run(sql).await.rows_affected, 1);
    assert_eq!(db.shown("SELECT id FROM t ORDER BY id").await, "[[2],[3]]");
}

#[tokio::test]
async fn update_with_exists_updates_only_what_matches() {
    let db = three_rows().await;
    let sql = "UPDATE t SET x = 0 WHERE EXISTS (SELECT 1 FROM s WHERE s.x = t.x)";
    assert_eq!(db.run(sql).await.rows_affected, 1);
    assert_eq!(
        db.shown("SELECT id, x FROM t ORDER BY id").await,
        "[[1,10],[2,0],[3,30]]"
    );
}
