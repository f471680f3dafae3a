//! Tablespaces, pages and records.

use serde_json::{Value, json};

use super::super::{call, number};
use super::{PAGE_BYTES, ROOM_BYTES, TABLESPACE, allocate, allocate_many, flush, insert, page, tablespace};
use crate::harness::world::World;

const SIZES: [&str; 5] = ["/id", "/pages", "/pages_in_use", "/pages_max", "/size_bytes"];

fn sizes(tablespace: &Value) -> [f64; 5] {
    SIZES.map(|field| number(tablespace, field))
}

async fn listed(world: &World, id: u64) -> Value {
    let list = call(world, "storage.list_tablespaces", json!({})).await;
    let all = list["tablespaces"].as_array().unwrap();
    all.iter().find(|found| found["id"] == id).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_tablespaces_tell_their_size_and_limit() {
    let world = World::new().await;
    let sized =
        |id: f64, pages: f64, in_use: f64, pages_max: f64| [id, pages, in_use, pages_max, pages * PAGE_BYTES];
    let input = json!({"name": "one", "pages": 100, "pages_max": 300});
    let one = call(&world, "storage.create_tablespace", input).await;
    assert_eq!(sizes(&one), sized(1.0, 128.0, 2.0, 300.0));
    let input = json!({"name": "two", "pages": 3, "pages_max": 3});
    let two = call(&world, "storage.create_tablespace", input).await;
    assert_eq!(sizes(&two), sized(2.0, 3.0, 2.0, 3.0));
    let input = json!({"id": 2, "pages_max": 70});
    let raised = call(&world, "storage.update_tablespace", input).await;
    assert_eq!(sizes(&raised), sized(2.0, 3.0, 2.0, 70.0));
    allocate_many(&world, 2, 68).await;
    assert_eq!(sizes(&listed(&world, 2).await), sized(2.0, 70.0, 70.0, 70.0));
    let same = call(&world, "storage.update_tablespace", json!({"id": 2})).await;
    assert_eq!(sizes(&same), sized(2.0, 70.0, 70.0, 70.0));
    allocate_many(&world, 1, 5).await;
    let (list, state) = (listed(&world, 1).await, json!({"id": 1, "state": "read_only"}));
    assert_eq!(sizes(&list), sized(1.0, 128.0, 7.0, 300.0));
    let changed = call(&world, "storage.update_tablespace", state).await;
    assert_eq!(sizes(&changed), sizes(&list));
    call(&world, "storage.delete_tablespace", json!({"id": 1})).await;
    let again = call(&world, "storage.create_tablespace", json!({"name": "three"})).await;
    assert_eq!(sizes(&again), sized(1.0, 64.0, 2.0, 131_072.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_pages_are_counted_and_numbered() {
    let world = World::new().await;
    tablespace(&world, "first").await;
    let id = tablespace(&world, "counted").await;
    let counts = async || {
        let counts = call(&world, "storage.count_pages", json!({"tablespace": id})).await;
        ["/pages", "/in_use", "/free"].map(|field| number(&counts, field))
    };
    assert_eq!(counts().await, [64.0, 2.0, 62.0]);
    let ids = allocate_many(&world, id, 3).await;
    // Behind the header and the map.
    assert_eq!(ids, [2, 3, 4].map(|place| 2 * (TABLESPACE as u64) + place));
    assert_eq!(counts().await, [64.0, 5.0, 59.0]);
    call(
        &world,
        "storage.merge_pages",
        json!({"into": ids[0], "from": ids[2]}),
    )
    .await;
    assert_eq!(counts().await, [64.0, 4.0, 60.0]);
    allocate_many(&world, id, 61).await;
    assert_eq!(counts().await, [128.0, 65.0, 63.0]);

    let list = call(
        &world,
        "storage.list_pages",
        json!({"tablespace": id, "limit": 1000}),
    )
    .await;
    let listed = list["pages"].as_array().unwrap();
    for (place, found) in listed.iter().enumerate() {
        assert_eq!(number(found, "/id"), 2.0 * TABLESPACE + place as f64);
    }
    assert_eq!(listed.len(), 128);
    for id in [ids[0], ids[1]] {
        insert(&world, id, 10).await;
        flush(&world, id).await;
        let found = page(&world, id).await;
        assert_eq!(
            (number(&found, "/id"), number(&found, "/tablespace")),
            (id as f64, 2.0)
        );
        let read = call(&world, "storage.read_page", json!({"id": id})).await;
        let fetched = call(&world, "storage.fetch_page", json!({"id": id})).await;
        let loaded = call(&world, "storage.load_page", json!({"data": read["data"]})).await;
        for answer in [&read, &fetched, &loaded] {
            assert_eq!(number(answer, "/id"), id as f64);
        }
    }
    let several = call(&world, "storage.read_pages", json!({"ids": [ids[1], ids[0]]})).await;
    let told = ["/pages/0/id", "/pages/1/id"].map(|field| number(&several, field));
    assert_eq!(told, [ids[1] as f64, ids[0] as f64]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_a_page_tells_its_records_and_room() {
    let world = World::new().await;
    let tablespace = tablespace(&world, "records").await;
    let id = allocate(&world, tablespace).await;
    let told = async || {
        let found = page(&world, id).await;
        let space = call(&world, "storage.get_page_free_space", json!({"id": id})).await;
        assert_eq!(number(&space, "/free_bytes"), number(&found, "/free_bytes"));
        let gaps = number(&space, "/free_bytes") - number(&space, "/contiguous_bytes");
        assert_eq!(gaps, number(&found, "/gap_bytes"));
        ["/slots", "/records", "/free_bytes", "/gap_bytes"].map(|field| number(&found, field))
    };
    assert_eq!(told().await, [0.0, 0.0, ROOM_BYTES, 0.0]);
    for slot in 0..4 {
        assert_eq!(insert(&world, id, 100).await, f64::from(slot));
    }
    let free = ROOM_BYTES - 4.0 * 108.0;
    assert_eq!(told().await, [4.0, 4.0, free, 0.0]);
    for slot in [1, 2] {
        call(&world, "storage.delete_record", json!({"id": id, "slot": slot})).await;
    }
    assert_eq!(told().await, [4.0, 2.0, free + 200.0, 200.0]);
    let compacted = call(&world, "storage.compact_page", json!({"id": id})).await;
    assert_eq!(number(&compacted, "/reclaimed_bytes"), 200.0);
    assert_eq!(told().await, [4.0, 2.0, free + 200.0, 0.0]);
    let compacted = call(&world, "storage.compact_page", json!({"id": id})).await;
    assert_eq!(number(&compacted, "/reclaimed_bytes"), 0.0);
    assert_eq!(insert(&world, id, 50).await, 1.0, "the first slot that is empty");
    call(&world, "storage.delete_record", json!({"id": id, "slot": 3})).await;
    let [slots, records, ..] = told().await;
    assert_eq!((slots, records), (2.0, 2.0), "empty slots at the end are no more");

    let check = async || call(&world, "storage.check_page_split", json!({"id": id})).await;
    let used = |answer: &Value| (number(answer, "/used_percent"), number(answer, "/records"));
    let expected = (100.0 * 166.0 / ROOM_BYTES, 2.0);
    assert_eq!(used(&check().await), expected);
    insert(&world, id, 8000 - 166 - 8).await;
    let full = check().await;
    assert_eq!(used(&full), (100.0 * 8000.0 / ROOM_BYTES, 3.0));
    assert_eq!(full["should_split"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numeric_splits_and_merges_tell_what_moved() {
    let world = World::new().await;
    let tablespace = tablespace(&world, "moved").await;
    let ids = allocate_many(&world, tablespace, 2).await;
    for _ in 0..6 {
        insert(&world, ids[0], 100).await;
    }
    insert(&world, ids[1], 30).await;
    let pair = json!({"into": ids[1], "from": ids[0]});
    let check = async |pair: &Value| {
        let answer = call(&world, "storage.check_page_merge", pair.clone()).await;
        (number(&answer, "/needed_bytes"), number(&answer, "/free_bytes"))
    };
    assert_eq!(check(&pair).await, (648.0, ROOM_BYTES - 38.0));
    assert_eq!(
        check(&json!({"into": ids[0], "from": ids[1]})).await,
        (38.0, ROOM_BYTES - 648.0)
    );
    let split = call(&world, "storage.split_page", json!({"id": ids[0]})).await;
    assert_eq!(number(&split, "/new_page"), ids[1] as f64 + 1.0);
    let moved = |answer: &Value| (number(answer, "/first_slot"), number(answer, "/records_moved"));
    assert_eq!(moved(&split), (3.0, 3.0));
    let again = call(&world, "storage.split_page", json!({"id": split["new_page"]})).await;
    assert_eq!(number(&again, "/new_page"), ids[1] as f64 + 2.0);
    let (first, records) = moved(&again);
    assert_eq!(first + records, 3.0);
    let merged = call(&world, "storage.merge_pages", pair).await;
    assert_eq!(moved(&merged), (1.0, 3.0));
    let pair = json!({"into": ids[1], "from": split["new_page"]});
    let merged = call(&world, "storage.merge_pages", pair).await;
    assert_eq!(moved(&merged), (4.0, first));
}
