//! Entries of indexes, what is read by them, and what is wrong with them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustydb_runtime::{SystemClock, SystemRng};
use rustydb_store::kernel_store::{KernelOptions, KernelStore};
use rustydb_store::seam::{SpaceId, TableStore, Write, WriteBatch};
use serde_json::{Value, json};

use super::{call, number, table, watch};
use crate::harness::server::{Server, data_dir};
use crate::harness::world::World;

async fn indexed(world: &World, unique: bool) {
    table(world, "t", 40).await;
    call(
        world,
        "sql.execute_query",
        json!({"sql": "UPDATE t SET name = 'n' || id"}),
    )
    .await;
    let input = json!({"name": "by_name", "table": "t", "columns": ["name"], "unique": unique});
    call(world, "indexes.create", input).await;
}

async fn stats(world: &World) -> Value {
    call(world, "indexes.get_stats", json!({"name": "by_name"})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_indexes_are_measured_and_their_use_is_counted() {
    let world = World::new().await;
    indexed(&world, false).await;
    let before = stats(&world).await;
    assert_eq!(number(&before, "/entries"), 40.0);
    // A mark, the text with its end, and the key: n1 to n9 are a letter shorter.
    assert_eq!(
        number(&before, "/size_bytes"),
        40.0 * (1.0 + 3.0 + 2.0 + 8.0) - 9.0
    );
    assert_eq!(
        (number(&before, "/scans"), number(&before, "/rows_read")),
        (0.0, 0.0)
    );
    for (sql, scans, rows_read) in [
        ("SELECT id FROM t WHERE name = 'n7'", 1.0, 1.0),
        ("SELECT id FROM t WHERE name IN ('x') OR name = 'n1'", 1.0, 1.0),
        ("SELECT id FROM t WHERE name BETWEEN 'n35' AND 'n37'", 2.0, 4.0),
        ("SELECT id FROM t WHERE id = 7", 2.0, 4.0),
    ] {
        call(&world, "sql.execute_query", json!({"sql": sql})).await;
        let after = stats(&world).await;
        assert_eq!(
            (number(&after, "/scans"), number(&after, "/rows_read")),
            (scans, rows_read),
            "{sql}"
        );
    }
    call(
        &world,
        "sql.execute_query",
        json!({"sql": "DELETE FROM t WHERE id > 10"}),
    )
    .await;
    let fewer = stats(&world).await;
    assert_eq!(number(&fewer, "/entries"), 10.0);
    assert_eq!(number(&fewer, "/size_bytes"), 10.0 * 14.0 - 9.0);
    let job = call(&world, "indexes.rebuild", json!({"name": "by_name"})).await;
    let done = call(&world, "jobs.wait", json!({"id": job["id"]})).await;
    for field in ["/entries", "/size_bytes"] {
        assert_eq!(number(&done["result"], field), number(&fewer, field));
    }
}

/// Keys are long, so that few rows make a tree of three levels. Room of what is deleted comes back by and by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_the_tree_of_an_index_grows_and_shrinks() {
    let world = World::new().await;
    table(&world, "t", 0).await;
    let input = json!({"name": "by_name", "table": "t", "columns": ["name"]});
    call(&world, "indexes.create", input).await;
    let pages = |found: &Value| {
        let [height, leaves, inner, bytes] =
            ["/height", "/leaf_pages", "/inner_pages", "/disk_bytes"].map(|field| number(found, field));
        assert_eq!(bytes, (leaves + inner) * 8192.0, "{found}");
        (height, leaves, inner)
    };
    assert_eq!(pages(&stats(&world).await), (0.0, 0.0, 0.0));
    let mut before = (0.0, 0.0, 0.0);
    for (from, to) in [(1001, 1003), (1004, 1040), (1041, 1300)] {
        let sql = format!(
            "INSERT INTO t SELECT value, repeat('x', 1000) || value FROM generate_series({from}, {to})"
        );
        call(&world, "sql.execute_query", json!({"sql": sql})).await;
        let now = pages(&stats(&world).await);
        assert!(now.0 > before.0 && now.1 > before.1, "{before:?} {now:?}");
        // A leaf holds seven entries at most, an inner page as many children or a few more.
        assert!(now.1 >= ((to - 1000) as f64 / 7.0).floor(), "{now:?}");
        before = now;
    }
    assert!(before.0 >= 3.0 && before.2 >= 5.0, "{before:?}");
    call(
        &world,
        "sql.execute_query",
        json!({"sql": "DELETE FROM t WHERE id > 1003"}),
    )
    .await;
    let begun = Instant::now();
    loop {
        let now = pages(&stats(&world).await);
        // An only child is not merged with a cousin, so that the height may stay.
        if now.0 <= before.0 && now.1 <= 4.0 && now.2 < before.2 {
            break;
        }
        assert!(begun.elapsed().as_secs() < 60, "{now:?}");
    }
}

/// Row 5 loses its entry; two entries are of row 6 and of none. Where names are unique, row 8 gets that of 9. The keys and
/// values are those of docs/format/rows.md, put in below the tables.
fn damage(data_dir: &Path, unique: bool) {
    let clock = Arc::new(SystemClock::new());
    let store = KernelStore::open(data_dir, "store", clock, &SystemRng, KernelOptions::default()).unwrap();
    let snapshot = store.snapshot().unwrap();
    let definition = snapshot
        .get(SpaceId::CATALOG, b"rmain\0public\0t\0")
        .unwrap()
        .unwrap();
    let definition: Value = serde_json::from_slice(&definition.value).unwrap();
    let space = |pointer: &str| SpaceId(definition["table"].pointer(pointer).unwrap().as_u64().unwrap());
    let (table, index) = (space("/space"), space("/indexes/0/space"));
    let id = |id: u64| (id ^ 1 << 63).to_be_bytes();
    let entry = |name: &str, of: u64| match unique {
        true => [name.as_bytes(), &[0, 0]].concat(),
        false => [&[1], name.as_bytes(), &[0, 0], &id(of)].concat(),
    };
    let value = |of: u64| match unique {
        true => id(of).to_vec(),
        false => Vec::new(),
    };
    let mut changes = vec![
        (index, entry("n5", 5), None),
        (index, entry("other", 6), Some(value(6))),
        (index, entry("nobody", 777), Some(value(777))),
    ];
    if unique {
        let row = [&[1, 1, 2, 0, 16, 2][..], b"n9"].concat();
        changes.push((table, id(8).to_vec(), Some(row)));
    }
    let writes = changes.into_iter().map(|(space, key, value)| {
        let expected = snapshot.get(space, &key).unwrap().map(|found| found.version);
        assert!(value.is_some() || expected.is_some(), "what is removed was there");
        Write {
            space,
            key,
            expected,
            value,
        }
    });
    let writes = writes.collect();
    store
        .commit(WriteBatch {
            writes,
            ..WriteBatch::default()
        })
        .unwrap();
}

/// The store is changed while the server is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_what_is_wrong_with_an_index_is_counted() {
    for unique in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let world = World::reopened(Server::start_in(folder.path(), &[])).await;
        indexed(&world, unique).await;
        let verify = json!({"name": "by_name"});
        let whole = call(&world, "indexes.verify", verify.clone()).await;
        let counts = |found: &Value| {
            ["/rows", "/entries", "/missing", "/extra", "/duplicates"].map(|field| number(found, field))
        };
        assert_eq!(counts(&whole), [40.0, 40.0, 0.0, 0.0, 0.0]);
        tokio::task::spawn_blocking(|| world.server.terminate())
            .await
            .unwrap();
        damage(&data_dir(folder.path()), unique);
        let world = World::reopened(Server::start_in(folder.path(), &[])).await;
        let found = call(&world, "indexes.verify", verify.clone()).await;
        let expected = match unique {
            false => [40.0, 41.0, 1.0, 2.0, 0.0],
            // The entry of row 8 has its former name.
            true => [40.0, 41.0, 1.0, 3.0, 1.0],
        };
        assert_eq!((counts(&found), &found["sound"]), (expected, &json!(false)));
        if unique {
            let mended = json!({"name": "t", "id": "8", "values": {"name": "n8"}});
            let refused = world
                .call("database.update_row", &mended, &world.credential("admin"))
                .await;
            assert!(refused.is_err(), "the entry of its present name is that of row 9");
            continue;
        }
        let job = call(&world, "indexes.rebuild", verify.clone()).await;
        let done = call(&world, "jobs.wait", json!({"id": job["id"]})).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        assert_eq!(
            counts(&call(&world, "indexes.verify", verify).await),
            [40.0, 40.0, 0.0, 0.0, 0.0]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_rebuild_tells_how_far_it_is() {
    const ROWS: u64 = 60_000;
    let world = World::new().await;
    table(&world, "t", 1).await;
    let mut watcher = watch(
        &world,
        "indexes.index_events",
        json!({"tables": ["t"], "database": "main"}),
    )
    .await;
    call(
        &world,
        "indexes.create",
        json!({"name": "by_name", "table": "t", "columns": ["name", "id"]}),
    )
    .await;
    for rows in [1, ROWS] {
        let sql = format!("INSERT INTO t SELECT value, 'n' || value FROM generate_series(2, {rows})");
        call(&world, "sql.execute_query", json!({"sql": sql})).await;
        let begun = Instant::now();
        let job = call(&world, "indexes.rebuild", json!({"name": "by_name"})).await;
        let (mut elapsed, mut processed, mut most_left) = (0.0, 0.0, 0.0);
        loop {
            let event = watcher.event().await;
            let data = &event.data;
            match event.name.as_str() {
                "IndexRebuildStarted" => assert_eq!(data["total_rows"], rows),
                "IndexRebuildProgress" => {
                    assert_eq!(data["total_rows"], rows);
                    let now = number(data, "/rows_processed");
                    assert!(now > processed, "{data}");
                    processed = now;
                    let percent = number(data, "/progress_percent");
                    assert!((percent - now / rows as f64 * 100.0).abs() < 0.001, "{data}");
                    assert!(number(data, "/elapsed_ms") >= elapsed, "{data}");
                    elapsed = number(data, "/elapsed_ms");
                    let left = number(data, "/estimated_remaining_ms");
                    most_left = left.max(most_left);
                    // At the pace so far, give or take what is cut off.
                    let expected = elapsed * (rows as f64 - now) / now;
                    assert!((left - expected).abs() <= expected * 0.1 + 20.0, "{data}");
                }
                "IndexRebuildCompleted" => {
                    assert_eq!(data["entries"], rows);
                    assert_eq!(processed, rows as f64);
                    let took = number(data, "/elapsed_ms");
                    assert!(
                        took >= elapsed && took <= begun.elapsed().as_millis() as f64,
                        "{data}"
                    );
                    if rows == ROWS {
                        assert!(took > 0.0 && elapsed > 0.0 && most_left > 0.0, "{data}");
                    }
                    break;
                }
                _ => {}
            }
        }
        call(&world, "jobs.wait", json!({"id": job["id"]})).await;
    }
}

/// Keys are long, so that few rows make a tree of three levels, and then nearly all go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_trees_tell_how_they_grow_and_shrink() {
    let world = World::new().await;
    for name in ["t", "other"] {
        let columns = json!([{"name": "id", "type": "text"}]);
        let input = json!({"name": name, "columns": columns, "primary_key": ["id"]});
        call(&world, "database.create_table", input).await;
    }
    let mut watcher = watch(&world, "indexes.index_events", json!({"tables": ["t"]})).await;
    for table in ["other", "t"] {
        let sql =
            format!("INSERT INTO {table} SELECT repeat('x', 1000) || value FROM generate_series(1000, 1200)");
        call(&world, "sql.execute_query", json!({"sql": sql})).await;
    }
    let sql = "DELETE FROM t WHERE right(id, 4) > '1000'";
    call(&world, "sql.execute_query", json!({"sql": sql})).await;
    let (mut made, mut levels) = (BTreeSet::new(), BTreeSet::new());
    let (mut splits, mut merges) = (0, 0);
    // The first leaf stays, and the root takes the place of an only child.
    while splits < 20 || merges + 4 < splits {
        let event = watcher.event().await;
        let data = &event.data;
        assert_eq!(data["table_name"], "t");
        let page = |field: &str| data[field].as_u64().unwrap();
        let (before, after) = (number(data, "/keys_before"), number(data, "/keys_after"));
        levels.insert(page("level"));
        match event.name.as_str() {
            "BtreeSplit" => {
                // Behind the last key only what comes goes to the new page.
                assert!(after <= before && after >= 1.0, "{data}");
                assert!(made.insert(page("new_node_id")), "{data}");
                assert_ne!(page("node_id"), page("new_node_id"));
                splits += 1;
            }
            "BtreeMerge" => {
                assert!(after >= before, "{data}");
                assert!(made.remove(&page("from_node_id")), "{data}");
                assert_ne!(page("node_id"), page("from_node_id"));
                merges += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(splits > 20, "{splits}");
    assert!(levels.contains(&0) && levels.contains(&1), "{levels:?}");
}
