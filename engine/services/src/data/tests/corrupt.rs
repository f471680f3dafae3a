//! Pages that rot: whoever reads one is told which, and what of it is wrong; others go on.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustydb_kernel::ids::{PageId, TablespaceId};
use rustydb_kernel::kernel::Kernel;
use rustydb_kernel::page::header::PageKind;
use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::simulated::{SimDisk, Survival};
use rustydb_store::kernel_store::KernelStore;
use rustydb_store::seam::{SpaceId, TableStore};
use rustydb_store::testing::kernel_store_on;
use serde_json::{Value, json};

use super::support::{START_US, World};

const PAGES: &str = "store/tablespaces/00000/0000.pages";

fn store_on(disk: &SimDisk) -> (Arc<KernelStore>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START_US));
    (Arc::new(kernel_store_on(disk, clock.clone()).unwrap()), clock)
}

/// The spaces of the rows of `t` and of its index.
fn spaces(store: &KernelStore) -> [u64; 2] {
    let snapshot = store.snapshot().unwrap();
    let found = snapshot.get(SpaceId::CATALOG, b"rmain\0public\0t\0").unwrap();
    let definition: Value = serde_json::from_slice(&found.unwrap().value).unwrap();
    ["/table/space", "/table/indexes/0/space"].map(|at| definition.pointer(at).unwrap().as_u64().unwrap())
}

fn leaves(kernel: &Kernel, space: u64) -> BTreeSet<u64> {
    let pages = kernel.files().pages(TablespaceId::MAIN).unwrap();
    let ids = (0..pages).map(|number| PageId::new(TablespaceId::MAIN, number));
    ids.filter(|id| {
        let facts = kernel.page_facts(*id);
        facts.is_ok_and(|facts| facts.kind == PageKind::TreeLeaf && facts.owner == space)
    })
    .map(PageId::to_number)
    .collect()
}

/// A world whose disk has these pages wrong.
fn damaged(disk: &SimDisk, pages: &BTreeSet<u64>) -> World {
    let image = disk.crash(Survival::Everything);
    for page in pages {
        image.flip_bit(PAGES, page * 65_536 + 40_000).unwrap();
    }
    let (store, clock) = store_on(&image);
    World::on(store, clock)
}

async fn is_told(world: &World, pages: &BTreeSet<u64>, id: &str, input: Value) {
    let error = world.fails(id, input, "PAGE_CORRUPT").await;
    let details = error.details().unwrap();
    let page = details["page_id"].as_u64().unwrap();
    assert!(pages.contains(&page), "{details}");
    assert_eq!(details["what"], "checksum", "{details}");
    assert_ne!(details["expected"], details["found"], "{details}");
    assert!(
        error.message().contains(&format!("page number {page}:")),
        "{error}"
    );
}

#[tokio::test]
async fn whoever_reads_a_page_that_rots_is_told_which() {
    let disk = SimDisk::new(1);
    let (store, clock) = store_on(&disk);
    let world = World::on(Arc::clone(&store), clock);
    world
        .sql("CREATE TABLE t (id bigint PRIMARY KEY, name text)")
        .await;
    world.sql("CREATE TABLE other (id bigint PRIMARY KEY)").await;
    world
        .sql("INSERT INTO t SELECT value, 'n' || value FROM generate_series(1, 2000)")
        .await;
    world.sql("INSERT INTO other VALUES (1)").await;
    let index = json!({"name": "by_name", "table": "t", "columns": ["name"]});
    world.must("indexes.create", index).await;
    world.must("transactions.checkpoint_wal", json!({})).await;
    let [rows, index] = spaces(&store).map(|space| leaves(store.kernel(), space));
    assert!(rows.len() > 3 && index.len() > 3, "{rows:?} {index:?}");
    let sql = |sql: &str| json!({"sql": sql});

    let world = damaged(&disk, &rows);
    for (id, input) in [
        ("database.get_row", json!({"name": "t", "id": "7"})),
        ("database.query_rows", json!({"name": "t"})),
        (
            "database.update_row",
            json!({"name": "t", "id": "7", "values": {"name": "x"}}),
        ),
        ("sql.execute_query", sql("SELECT * FROM t")),
        ("sql.execute_query", sql("SELECT name FROM t WHERE id = 7")),
        (
            "sql.execute_query",
            sql("SELECT count(name) AS n FROM t GROUP BY name"),
        ),
        (
            "sql.execute_query",
            sql("SELECT o.id FROM other o JOIN t ON o.id = t.id"),
        ),
        ("sql.execute_query", sql("SELECT id FROM t WHERE name = 'n7'")),
        ("sql.execute_query", sql("DELETE FROM t")),
        ("indexes.verify", json!({"name": "by_name"})),
    ] {
        is_told(&world, &rows, id, input).await;
    }
    assert_eq!(world.rows("SELECT id FROM other").await, "[[1]]");

    let world = damaged(&disk, &index);
    for (id, input) in [
        ("sql.execute_query", sql("SELECT id FROM t WHERE name = 'n7'")),
        (
            "database.update_row",
            json!({"name": "t", "id": "7", "values": {"name": "x"}}),
        ),
        ("indexes.verify", json!({"name": "by_name"})),
    ] {
        is_told(&world, &index, id, input).await;
    }
    assert_eq!(world.rows("SELECT name FROM t WHERE id = 7").await, "[[\"n7\"]]");
}
