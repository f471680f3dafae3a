//! Scripts of what each isolation level refuses and allows, in SQL.
//!
//! | anomaly | read committed | snapshot | serializable |
//! |---|---|---|---|
//! | dirty write, dirty read | no | no | no |
//! | lost update of one statement | no | no | no |
//! | lost update of a read and a later write | yes | no | no |
//! | non-repeatable read, phantom, read skew | yes | no | no |
//! | write skew | yes | yes | no |

use serde_json::{Value, json};

use super::support::World;

const LEVELS: [&str; 3] = ["read_committed", "snapshot", "serializable"];

/// A transaction of a script.
struct Script<'w> {
    world: &'w World,
    id: Value,
}

impl<'w> Script<'w> {
    async fn begin(world: &'w World, level: &str) -> Script<'w> {
        let begun = world
            .must("transactions.begin", json!({"isolation_level": level}))
            .await;
        assert_eq!(begun["isolation_level"], level);
        Script {
            world,
            id: begun["transaction_id"].clone(),
        }
    }

    async fn try_run(&self, sql: &str) -> Result<String, String> {
        let input = json!({"sql": sql, "format": "arrays", "transaction_id": self.id});
        match self.world.call("sql.execute_query", &input, "admin").await {
            Ok(result) => Ok(result["rows"].to_string()),
            Err(error) => Err(error.code().to_owned()),
        }
    }

    async fn run(&self, sql: &str) -> String {
        self.try_run(sql)
            .await
            .unwrap_or_else(|code| panic!("{sql}: {code}"))
    }

    async fn try_commit(&self) -> Result<(), String> {
        let committed = self
            .world
            .call("transactions.commit", &json!({"id": self.id}), "admin")
            .await;
        committed.map(drop).map_err(|error| error.code().to_owned())
    }

    async fn commit(&self) {
        self.try_commit().await.unwrap();
    }

    async fn rollback(&self) {
        self.world
            .must("transactions.rollback", json!({"id": self.id}))
            .await;
    }
}

async fn filled() -> World {
    let world = World::new();
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, n integer)")
        .await;
    world.sql("INSERT INTO t VALUES (1, 10), (2, 20)").await;
    world
}

fn conflict<T>() -> Result<T, String> {
    Err("WRITE_CONFLICT".to_owned())
}

/// Until somebody waits for a lock.
async fn until_waiting(world: &World) {
    while world.must("transactions.list_lock_waiters", json!({})).await["waiters"] == json!([]) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_level_reads_what_is_not_committed() {
    for level in LEVELS {
        let world = filled().await;
        let (writer, reader) = (
            Script::begin(&world, level).await,
            Script::begin(&world, level).await,
        );
        writer.run("UPDATE t SET n = 99 WHERE id = 1").await;
        writer.run("INSERT INTO t VALUES (3, 30)").await;
        assert_eq!(
            reader.run("SELECT * FROM t ORDER BY id").await,
            "[[1,10],[2,20]]",
            "{level}"
        );
        writer.rollback().await;
        assert_eq!(
            reader.run("SELECT * FROM t ORDER BY id").await,
            "[[1,10],[2,20]]",
            "{level}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_level_writes_over_what_is_not_committed() {
    for level in LEVELS {
        let world = filled().await;
        let (first, second) = (
            Script::begin(&world, level).await,
            Script::begin(&world, level).await,
        );
        first.run("UPDATE t SET n = 11 WHERE id = 1").await;
        let after = async {
            until_waiting(&world).await;
            first.run("UPDATE t SET n = 21 WHERE id = 2").await;
            first.commit().await;
        };
        let (waited, ()) = tokio::join!(second.try_run("UPDATE t SET n = 12 WHERE id = 1"), after);
        if level == "read_committed" {
            waited.unwrap();
            second.run("UPDATE t SET n = 22 WHERE id = 2").await;
            second.commit().await;
            assert_eq!(world.rows("SELECT * FROM t ORDER BY id").await, "[[1,12],[2,22]]");
        } else {
            assert_eq!(waited, conflict(), "{level}");
            second.rollback().await;
            assert_eq!(world.rows("SELECT * FROM t ORDER BY id").await, "[[1,11],[2,21]]");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waited_for_a_transaction_that_rolled_back_goes_on() {
    for level in LEVELS {
        let world = filled().await;
        let (first, second) = (
            Script::begin(&world, level).await,
            Script::begin(&world, level).await,
        );
        first.run("UPDATE t SET n = 11 WHERE id = 1").await;
        let after = async {
            until_waiting(&world).await;
            first.rollback().await;
        };
        let (waited, ()) = tokio::join!(second.try_run("UPDATE t SET n = n + 2 WHERE id = 1"), after);
        waited.unwrap();
        second.commit().await;
        assert_eq!(
            world.rows("SELECT n FROM t WHERE id = 1").await,
            "[[12]]",
            "{level}"
        );
    }
}

#[tokio::test]
async fn updates_of_one_statement_are_never_lost() {
    for level in LEVELS {
        let world = filled().await;
        let slow = Script::begin(&world, level).await;
        slow.run("SELECT n FROM t WHERE id = 2").await;
        world.sql("UPDATE t SET n = n + 1 WHERE id = 1").await;
        let updated = slow.try_run("UPDATE t SET n = n + 1 WHERE id = 1").await;
        if level == "read_committed" {
            updated.unwrap();
            slow.commit().await;
            assert_eq!(world.rows("SELECT n FROM t WHERE id = 1").await, "[[12]]");
        } else {
            assert_eq!(updated, conflict(), "{level}");
        }
    }
}

#[tokio::test]
async fn an_update_of_what_was_read_before_is_lost_under_read_committed_only() {
    for level in LEVELS {
        let world = filled().await;
        let slow = Script::begin(&world, level).await;
        assert_eq!(slow.run("SELECT n FROM t WHERE id = 1").await, "[[10]]");
        world.sql("UPDATE t SET n = 50 WHERE id = 1").await;
        let written = slow.try_run("UPDATE t SET n = 11 WHERE id = 1").await;
        assert_eq!(written.is_ok(), level == "read_committed", "{level}: {written:?}");
    }
}

#[tokio::test]
async fn reads_are_repeatable_but_under_read_committed() {
    for level in LEVELS {
        let world = filled().await;
        let reader = Script::begin(&world, level).await;
        assert_eq!(reader.run("SELECT n FROM t WHERE id = 1").await, "[[10]]");
        assert_eq!(reader.run("SELECT count(*) FROM t WHERE n > 5").await, "[[2]]");
        world.sql("UPDATE t SET n = 11 WHERE id = 1").await;
        world.sql("INSERT INTO t VALUES (3, 30)").await;
        let (row, phantom) = match level {
            "read_committed" => ("[[11]]", "[[3]]"),
            _ => ("[[10]]", "[[2]]"),
        };
        assert_eq!(reader.run("SELECT n FROM t WHERE id = 1").await, row, "{level}");
        assert_eq!(
            reader.run("SELECT count(*) FROM t WHERE n > 5").await,
            phantom,
            "{level}"
        );
        // It wrote nothing, so nothing is asked at its end.
        reader.commit().await;
    }
}

#[tokio::test]
async fn two_rows_are_read_of_one_state_but_under_read_committed() {
    for level in LEVELS {
        let world = filled().await;
        let reader = Script::begin(&world, level).await;
        assert_eq!(reader.run("SELECT n FROM t WHERE id = 1").await, "[[10]]");
        world.sql("UPDATE t SET n = n + 5").await;
        let skewed = reader.run("SELECT n FROM t WHERE id = 2").await;
        assert_eq!(
            skewed,
            if level == "read_committed" {
                "[[25]]"
            } else {
                "[[20]]"
            },
            "{level}"
        );
    }
}

#[tokio::test]
async fn write_skew_is_refused_by_serializable_alone() {
    for level in LEVELS {
        let world = filled().await;
        let (first, second) = (
            Script::begin(&world, level).await,
            Script::begin(&world, level).await,
        );
        for script in [&first, &second] {
            assert_eq!(script.run("SELECT sum(n) FROM t").await, "[[30]]");
        }
        first.run("UPDATE t SET n = 0 WHERE id = 1").await;
        second.run("UPDATE t SET n = 0 WHERE id = 2").await;
        first.commit().await;
        let committed = second.try_commit().await;
        if level == "serializable" {
            assert_eq!(committed, conflict());
            assert_eq!(world.rows("SELECT sum(n) FROM t").await, "[[20]]");
        } else {
            committed.unwrap();
        }
    }
}

#[tokio::test]
async fn a_phantom_that_a_decision_rests_on_is_refused_by_serializable_alone() {
    for level in LEVELS {
        let world = filled().await;
        let (first, second) = (
            Script::begin(&world, level).await,
            Script::begin(&world, level).await,
        );
        for (script, id) in [(&first, 8), (&second, 9)] {
            assert_eq!(script.run("SELECT count(*) FROM t WHERE id >= 5").await, "[[0]]");
            script.run(&format!("INSERT INTO t VALUES ({id}, 1)")).await;
        }
        first.commit().await;
        let committed = second.try_commit().await;
        assert_eq!(
            committed.is_ok(),
            level != "serializable",
            "{level}: {committed:?}"
        );
    }
}

#[tokio::test]
async fn what_was_read_elsewhere_does_not_keep_a_serializable_transaction_from_committing() {
    let world = filled().await;
    let script = Script::begin(&world, "serializable").await;
    script.run("SELECT n FROM t WHERE id = 1").await;
    script.run("UPDATE t SET n = 11 WHERE id = 1").await;
    world.sql("UPDATE t SET n = 21 WHERE id = 2").await;
    world.sql("INSERT INTO t VALUES (3, 30)").await;
    script.commit().await;
    assert_eq!(
        world.rows("SELECT * FROM t ORDER BY id").await,
        "[[1,11],[2,21],[3,30]]"
    );
}

#[tokio::test]
async fn a_level_is_set_before_the_first_call_and_reads_from_then_on() {
    let world = filled().await;
    let script = Script::begin(&world, "snapshot").await;
    world.sql("UPDATE t SET n = 11 WHERE id = 1").await;
    let set = json!({"id": script.id, "isolation_level": "repeatable_read"});
    let level = world.must("transactions.set_isolation_level", set.clone()).await;
    assert_eq!(level["isolation_level"], "snapshot");
    assert_eq!(script.run("SELECT n FROM t WHERE id = 1").await, "[[11]]");
    world
        .fails("transactions.set_isolation_level", set, "ISOLATION_LEVEL_FIXED")
        .await;
}
