//! graphql-transport-ws: its messages and close codes, as its protocol has them.

use futures::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::credential::Credential;
use crate::harness::watch::{Stream, hear, say, socket};
use crate::harness::world::World;

const PROTOCOL: &str = "graphql-transport-ws";

async fn opened(world: &World, credential: &Credential) -> Stream {
    let address = world.server.address();
    socket(address, "/graphql", Some(PROTOCOL), credential)
        .await
        .unwrap()
}

/// A connection of the administrator that is past its initialisation.
async fn ready(world: &World) -> Stream {
    let mut stream = opened(world, &world.credential("admin")).await;
    say(&mut stream, &json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut stream).await, Some(json!({"type": "connection_ack"})));
    stream
}

fn subscribe(id: &str, query: &str) -> Value {
    json!({"id": id, "type": "subscribe", "payload": {"query": query}})
}

const CHANGES: &str = "subscription { tableChanges(table: \"t\") { row { id } control { kind } } }";

/// Code and reason of the close that comes next, whatever else comes before it.
async fn closed(stream: &mut Stream) -> (u16, String) {
    loop {
        match stream.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
            Some(Ok(_)) => {}
            other => panic!("{other:?} instead of a close"),
        }
    }
}

async fn table(world: &World) {
    let input = json!({"name": "t", "columns": [{"name": "id", "type": "bigint"}], "primary_key": ["id"]});
    world.must("database.create_table", &input, "admin").await;
}

async fn insert(world: &World, id: u64) {
    let input = json!({"name": "t", "rows": [{"id": id}]});
    world.must("database.insert_rows", &input, "admin").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_socket_closes_with_the_codes_of_the_protocol() {
    let world = World::new().await;
    table(&world).await;
    let init = json!({"type": "connection_init"});
    let twice = subscribe("1", CHANGES);
    let cases: &[(&[Value], u16, &str)] = &[
        (&[subscribe("1", CHANGES)], 4401, "Unauthorized"),
        (
            &[init.clone(), init.clone()],
            4429,
            "Too many initialisation requests",
        ),
        (
            &[init.clone(), twice.clone(), twice],
            4409,
            "Subscriber for 1 already exists",
        ),
        (
            &[json!({"type": "connection_init", "payload": {"authorization": "Bearer nonsense"}})],
            4403,
            "Forbidden",
        ),
        (
            &[json!({"type": "connection_init", "payload": {"authorization": 7}})],
            4403,
            "Forbidden",
        ),
        (
            &[json!({"type": "connection_init", "payload": [1]})],
            4400,
            "Invalid message received",
        ),
        (&[json!({"type": "start"})], 4400, "Invalid message received"),
        (&[json!(["ping"])], 4400, "Invalid message received"),
        (&[json!("text")], 4400, "Invalid message received"),
        (
            &[
                init.clone(),
                json!({"type": "subscribe", "payload": {"query": CHANGES}}),
            ],
            4400,
            "Invalid message received",
        ),
        (
            &[
                init.clone(),
                json!({"id": "", "type": "subscribe", "payload": {"query": CHANGES}}),
            ],
            4400,
            "Invalid message received",
        ),
        (
            &[
                init.clone(),
                json!({"id": "1", "type": "subscribe", "payload": {"query": 7}}),
            ],
            4400,
            "Invalid message received",
        ),
        (
            &[init, json!({"type": "complete"})],
            4400,
            "Invalid message received",
        ),
    ];
    for (messages, code, reason) in cases {
        let mut stream = opened(&world, &world.credential("admin")).await;
        for message in *messages {
            say(&mut stream, message).await;
        }
        assert_eq!(
            closed(&mut stream).await,
            (*code, (*reason).to_owned()),
            "{messages:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_socket_wants_its_subprotocol_and_an_initialisation_in_time() {
    let world = World::new().await;
    let admin = world.credential("admin");
    let mut silent = opened(&world, &admin).await;
    let mut plain = socket(world.server.address(), "/graphql", None, &admin)
        .await
        .unwrap();
    say(&mut plain, &json!({"type": "connection_init"})).await;
    assert_eq!(
        closed(&mut plain).await,
        (4406, "Subprotocol not acceptable".to_owned())
    );
    // Within the ten seconds that the guide names.
    assert_eq!(
        closed(&mut silent).await,
        (4408, "Connection initialisation timeout".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_socket_takes_the_credential_with_the_initialisation() {
    let world = World::with_keys().await;
    let Credential::ApiKey(key) = world.credential("analyst") else {
        panic!("keys were asked for")
    };
    let mut stream = opened(&world, &Credential::Nobody).await;
    say(
        &mut stream,
        &json!({"type": "connection_init", "payload": {"x-api-key": key}}),
    )
    .await;
    assert_eq!(hear(&mut stream).await, Some(json!({"type": "connection_ack"})));
    say(&mut stream, &subscribe("1", "{ authValidate { username } }")).await;
    let next = hear(&mut stream).await.unwrap();
    assert_eq!(
        next["payload"]["data"]["authValidate"]["username"],
        "role_analyst"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_socket_answers_pings_and_runs_queries_and_mutations() {
    let world = World::new().await;
    let mut stream = ready(&world).await;
    say(&mut stream, &json!({"type": "ping", "payload": {"n": 1}})).await;
    assert_eq!(
        hear(&mut stream).await,
        Some(json!({"type": "pong", "payload": {"n": 1}}))
    );
    // The id is free again after `complete`, and after `error`.
    for _ in 0..2 {
        say(&mut stream, &subscribe("1", "{ authValidate { username } }")).await;
        let data = json!({"authValidate": {"username": "admin"}});
        assert_eq!(
            hear(&mut stream).await,
            Some(json!({"id": "1", "type": "next", "payload": {"data": data}}))
        );
        assert_eq!(
            hear(&mut stream).await,
            Some(json!({"id": "1", "type": "complete"}))
        );
        say(&mut stream, &subscribe("1", "{ noSuchField }")).await;
        let refused = hear(&mut stream).await.unwrap();
        assert_eq!((&refused["id"], &refused["type"]), (&json!("1"), &json!("error")));
        assert_eq!(refused["payload"][0]["extensions"]["code"], "INVALID_ARGUMENT");
    }
    let mutation =
        "mutation { databaseCreateTable(name: \"t\", columns: [{name: \"id\", type: \"bigint\"}]) { name } }";
    say(&mut stream, &subscribe("2", mutation)).await;
    let done = hear(&mut stream).await.unwrap();
    assert_eq!(done["payload"]["data"]["databaseCreateTable"]["name"], "t");
    world
        .must("database.count_rows", &json!({"name": "t"}), "admin")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_socket_ends_one_operation_and_goes_on_with_the_others() {
    let world = World::new().await;
    table(&world).await;
    let mut stream = ready(&world).await;
    let bookmark = json!({"data": {"tableChanges": {"row": null, "control": {"kind": "BOOKMARK"}}}});
    for id in ["one", "other"] {
        say(&mut stream, &subscribe(id, CHANGES)).await;
        assert_eq!(
            hear(&mut stream).await,
            Some(json!({"id": id, "type": "next", "payload": bookmark}))
        );
    }
    say(&mut stream, &json!({"id": "one", "type": "complete"})).await;
    // Ending what is over is no mistake: the two messages may cross.
    say(&mut stream, &json!({"id": "one", "type": "complete"})).await;
    say(&mut stream, &json!({"type": "ping"})).await;
    assert_eq!(hear(&mut stream).await, Some(json!({"type": "pong"})));
    for row in 1..=2 {
        insert(&world, row).await;
        let told = json!({"data": {"tableChanges": {"row": {"id": row.to_string()}, "control": null}}});
        assert_eq!(
            hear(&mut stream).await,
            Some(json!({"id": "other", "type": "next", "payload": told}))
        );
    }
}
