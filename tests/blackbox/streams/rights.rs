//! Who may no longer watch is told so, and told nothing more, on every transport.

use serde_json::{Value, json};

use crate::harness::contract::view;
use crate::harness::credential::Credential;
use crate::harness::error::WireError;
use crate::harness::server::ADMIN_PASSWORD;
use crate::harness::watch::{Transport, Watcher};
use crate::harness::world::World;

const ALL: &[Transport] = &[Transport::Rpc, Transport::Raw, Transport::Sse, Transport::Graphql];

/// A user who may read, with a token.
struct Reader {
    id: Value,
    credential: Credential,
}

impl Reader {
    async fn new(world: &World, name: &str) -> Reader {
        let input = json!({"username": name, "password": ADMIN_PASSWORD, "roles": ["analyst"]});
        let user = world.must("admin.create_user", &input, "admin").await;
        let input = json!({"username": name, "password": ADMIN_PASSWORD});
        let tokens = world
            .call("auth.login", &input, &Credential::Nobody)
            .await
            .unwrap();
        Reader {
            id: user["id"].clone(),
            credential: Credential::Bearer(tokens["access_token"].as_str().unwrap().to_owned()),
        }
    }
}

async fn table(world: &World) {
    let input = json!({"name": "t", "columns": [{"name": "id", "type": "bigint"}], "primary_key": ["id"]});
    world.must("database.create_table", &input, "admin").await;
}

async fn insert(world: &World, id: usize) {
    let input = json!({"name": "t", "rows": [{"id": id}]});
    world.must("database.insert_rows", &input, "admin").await;
}

async fn watch(world: &World, transport: Transport, reader: &Reader) -> Result<Watcher, WireError> {
    let (view, input) = (view("database.table_changes"), json!({"table": "t"}));
    Watcher::open(transport, world.base_url(), view, &input, &reader.credential).await
}

/// What ends the subscription; nothing but bookmarks may come before.
async fn end(watcher: &mut Watcher) -> WireError {
    loop {
        match watcher.next().await {
            Some(Ok(event)) if event.is_control => {}
            Some(Err(error)) => return error,
            other => panic!("{other:?} instead of the end"),
        }
    }
}

/// Subscribes on each transport, takes the right away with a call about the reader, and expects the code of each end.
async fn ends_with(code: &str, take: impl AsyncFn(&World, &Reader)) {
    let world = World::new().await;
    table(&world).await;
    for (at, transport) in ALL.iter().enumerate() {
        let reader = Reader::new(&world, &format!("reader_{at}")).await;
        let mut watcher = watch(&world, *transport, &reader).await.unwrap();
        insert(&world, at * 2).await;
        assert_eq!(watcher.event().await.data["row"]["id"], (at * 2).to_string());
        take(&world, &reader).await;
        // Made after the answer that the right is gone.
        insert(&world, at * 2 + 1).await;
        let error = end(&mut watcher).await;
        assert_eq!(error.code, code, "over {transport:?}");
        let refused = watch(&world, *transport, &reader).await;
        assert!(
            refused.is_err(),
            "over {transport:?} a new subscription is refused too"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_the_permission_is_taken_away() {
    ends_with("PERMISSION_DENIED", async |world, reader| {
        let input = json!({"id": reader.id, "roles": ["monitor"]});
        world.must("admin.update_user", &input, "admin").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_the_user_is_disabled() {
    ends_with("UNAUTHENTICATED", async |world, reader| {
        let input = json!({"id": reader.id, "enabled": false});
        world.must("admin.update_user", &input, "admin").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_the_token_is_revoked() {
    ends_with("UNAUTHENTICATED", async |world, reader| {
        let done = world.call("auth.logout", &json!({}), &reader.credential).await;
        done.unwrap();
    })
    .await;
}
