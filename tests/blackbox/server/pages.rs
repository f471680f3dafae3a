//! Pages of clients, in a process that is killed, and given what is no page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::harness::server::Server;
use crate::harness::world::World;

async fn call(world: &World, id: &str, input: Value) -> Value {
    world.must(id, &input, "admin").await
}

async fn allocate(world: &World, tablespace: &Value) -> Value {
    let input = json!({"tablespace": tablespace});
    call(world, "storage.allocate_page", input).await["id"].clone()
}

fn record(round: u32, n: u32) -> String {
    BASE64.encode(format!("record {n} of round {round}"))
}

/// Each round changes what the one before left, and is cut off behind its last acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_killed_keeps_pages_and_tablespaces_as_it_acknowledged_them() {
    const RECORDS: u32 = 30;
    let folder = tempfile::tempdir().unwrap();
    let mut pages: Vec<Value> = Vec::new();
    for round in 0..4 {
        let world = World::reopened(Server::start_in(folder.path(), &[])).await;
        for (before, page) in (0..).zip(&pages) {
            for n in 0..RECORDS {
                let input = json!({"id": page, "slot": n});
                let found = call(&world, "storage.get_record", input).await;
                assert_eq!(found["data"], record(before, n), "round {round}");
            }
            let verdict = call(&world, "storage.verify_page", json!({"id": page})).await;
            assert_eq!(verdict["sound"], true, "{verdict}");
        }
        let list = call(&world, "storage.list_tablespaces", json!({})).await;
        let names: Vec<&Value> = list["tablespaces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| &found["name"])
            .collect();
        let kept: Vec<String> = (0..round).map(|before| format!("round_{before}")).collect();
        let expected: Vec<Value> = std::iter::once(json!("main"))
            .chain(kept.iter().map(|name| json!(name)))
            .collect();
        assert_eq!(names, expected.iter().collect::<Vec<_>>());

        let name = format!("round_{round}");
        let made = call(&world, "storage.create_tablespace", json!({"name": name})).await;
        let dropped = call(&world, "storage.create_tablespace", json!({"name": "dropped"})).await;
        allocate(&world, &dropped["id"]).await;
        let page = allocate(&world, &made["id"]).await;
        for n in 0..RECORDS {
            let input = json!({"id": page, "data": record(round, n)});
            call(&world, "storage.insert_record", input).await;
        }
        call(&world, "storage.delete_tablespace", json!({"id": dropped["id"]})).await;
        pages.push(page);
        tokio::task::spawn_blocking(|| world.server.kill()).await.unwrap();
    }
}

/// What is stored of an image can be used as any page; what can't be stored is told apart, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_takes_no_image_that_is_no_page() {
    const IMAGES: usize = 400;
    let seed = std::env::var("RUSTYDB_SEED").map_or(7, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::reopened(Server::start()).await;
    let admin = world.credential("admin");
    let made = call(&world, "storage.create_tablespace", json!({"name": "images"})).await;
    let page = allocate(&world, &made["id"]).await;
    for n in 0..20 {
        let input = json!({"id": page, "data": record(0, n)});
        call(&world, "storage.insert_record", input).await;
    }
    call(&world, "storage.delete_record", json!({"id": page, "slot": 5})).await;
    call(&world, "storage.flush_page", json!({"id": page})).await;
    let image = call(&world, "storage.read_page", json!({"id": page})).await;
    let image = BASE64.decode(image["data"].as_str().unwrap()).unwrap();
    let mut taken = 0;
    for _ in 0..IMAGES {
        let mut bytes = image.clone();
        for _ in 0..rng.random_range(1..4) {
            // Mostly header and slots, where there is something to get wrong.
            let at = match rng.random_range(0..4) {
                0 => rng.random_range(0..8192),
                _ => rng.random_range(4..210),
            };
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        let data = BASE64.encode(&bytes);
        let loaded = world
            .call("storage.load_page", &json!({"data": data}), &admin)
            .await;
        // Bits may be turned back.
        if bytes != image {
            assert_eq!(loaded.unwrap_err().code, "INVALID_PAGE_IMAGE");
        }
        let before = call(&world, "storage.get_page", json!({"id": page})).await;
        let input = json!({"id": page, "data": data});
        match world.call("storage.write_page", &input, &admin).await {
            Ok(_) => {
                taken += 1;
                let verdict = call(&world, "storage.verify_page", json!({"id": page})).await;
                assert_eq!(verdict["sound"], true, "{verdict}");
                call(&world, "storage.compact_page", json!({"id": page})).await;
                let input = json!({"id": page, "data": record(1, 1)});
                call(&world, "storage.insert_record", input).await;
                call(&world, "storage.split_page", json!({"id": page})).await;
            }
            Err(error) => {
                assert_eq!(error.code, "INVALID_PAGE_IMAGE", "{error:?}");
                let after = call(&world, "storage.get_page", json!({"id": page})).await;
                assert_eq!(before["lsn"], after["lsn"], "a refused image changes nothing");
            }
        }
    }
    println!("{taken} of {IMAGES} images were pages");
    assert!(taken > 0 && taken < IMAGES);
}
