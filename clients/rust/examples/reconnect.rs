//! A subscription that outlives its connection: it is cut off, comes back with back-off and goes on behind its cursor,
//! with nothing lost and nothing doubled. Then the same over a restart of the program itself.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::ops::RangeInclusive;
use std::time::Duration;

use rustydb_client::admin::{AdminCreateUserInput, AdminDeleteUserInput};
use rustydb_client::contract::{Cursor, Map};
use rustydb_client::database::{DatabaseInsertRowsInput, DatabaseTableChangesInput, TableRowChange};
use rustydb_client::futures::TryStreamExt;
use rustydb_client::futures::future::BoxFuture;
use rustydb_client::sql::SqlExecuteQueryInput;
use rustydb_client::websocket::{WebsocketDisconnectInput, WebsocketGetConnectionInput};
use rustydb_client::{Client, Error, ErrorCode, Pace, ReconnectPolicy, Subscription, SystemPace};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("RUSTYDB_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let username = env::var("RUSTYDB_USERNAME").unwrap_or_else(|_| "admin".to_owned());
    let password = env::var("RUSTYDB_PASSWORD").map_err(|_| "RUSTYDB_PASSWORD is not set")?;
    let admin = Client::builder(&url).password(username, password).build()?;

    run(&admin, "DROP TABLE IF EXISTS example_rust_reconnect").await?;
    run(
        &admin,
        "CREATE TABLE example_rust_reconnect (id bigint PRIMARY KEY)",
    )
    .await?;

    // A user of its own, so that its connection is told from all others. What watches needs no more than to read.
    let watcher_name = "example_rust_reconnect";
    delete_user(&admin, watcher_name).await?;
    let watcher_password = "correct horse battery";
    let user = AdminCreateUserInput {
        username: watcher_name.to_owned(),
        password: watcher_password.to_owned(),
        roles: vec!["analyst".to_owned()],
        enabled: None,
    };
    admin.admin().create_user(&user).await?;
    let watcher = Client::builder(&url)
        .password(watcher_name, watcher_password)
        .pace(TellingPace)
        .build()?;

    let mut seen = Vec::new();
    let mut changes = open(&watcher, None).await?;
    insert(&admin, 1..=10).await?;
    read(&mut changes, &mut seen, 10).await?;
    println!("{} rows have come", seen.len());

    // Cut the connection, and write while nobody is connected.
    cut(&admin, watcher_name).await?;
    println!("the connection is cut; 10 rows are written meanwhile");
    insert(&admin, 11..=20).await?;
    read(&mut changes, &mut seen, 20).await?;
    println!("{} rows have come", seen.len());

    // A program that keeps the cursor can end and go on another day.
    let cursor = changes.cursor().cloned();
    drop(changes);
    println!("the subscription is closed; 10 rows are written meanwhile");
    insert(&admin, 21..=30).await?;
    let mut changes = open(&watcher, cursor).await?;
    read(&mut changes, &mut seen, 30).await?;
    drop(changes);

    if !seen.iter().copied().eq(1..=30) {
        return Err(format!("something was lost or doubled: {seen:?}").into());
    }
    println!("{} rows have come, each once and in order", seen.len());

    delete_user(&admin, watcher_name).await?;
    run(&admin, "DROP TABLE example_rust_reconnect").await?;
    println!("done");
    Ok(())
}

/// Pauses like any other, and says so.
#[derive(Debug)]
struct TellingPace;

impl Pace for TellingPace {
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        println!("no connection; the next attempt is in {} ms", pause.as_millis());
        SystemPace.sleep(pause)
    }

    fn random(&self) -> f64 {
        SystemPace.random()
    }
}

async fn open(client: &Client, cursor: Option<Cursor>) -> Result<Subscription<TableRowChange>, Error> {
    let input = DatabaseTableChangesInput {
        table: "example_rust_reconnect".to_owned(),
        database: None,
        where_clause: None,
        snapshot: None,
        cursor,
        filter: None,
        fields: None,
    };
    // These are what holds without them too, but for the first pause: up to 100 ms, doubled with each attempt.
    let policy = ReconnectPolicy {
        attempts_max: None,
        pause_first: Duration::from_millis(200),
        pause_max: Duration::from_secs(10),
        silence_max: Duration::from_secs(45),
    };
    let changes = client.database().table_changes(&input);
    changes.with_reconnect(policy).open().await
}

/// Reads until `count` rows have been seen. That the connection is lost on the way does not show here.
async fn read(
    changes: &mut Subscription<TableRowChange>,
    seen: &mut Vec<i64>,
    count: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    while seen.len() < count {
        let item = changes.next().await.ok_or("the subscription ended")??;
        // A notice is no row, such as one that the reader has fallen behind.
        let Some(event) = item.into_event() else { continue };
        let row = event.data.row.ok_or("the change has no row")?;
        seen.push(row.id.parse()?);
    }
    Ok(())
}

/// Has the server close the connection of this user, and waits until it is gone.
async fn cut(admin: &Client, username: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut connections = admin.websocket().list_connections(&Default::default()).items();
    let connection = loop {
        let connection = connections.try_next().await?.ok_or("there is no connection")?;
        if connection.username.as_deref() == Some(username) {
            break connection;
        }
    };
    let id = connection.connection_id;
    let input = WebsocketDisconnectInput { id: id.clone() };
    admin.websocket().disconnect(&input).await?;
    let input = WebsocketGetConnectionInput { id };
    loop {
        match admin.websocket().get_connection(&input).await {
            Ok(_) => {}
            Err(error) if error.code() == Some(&ErrorCode::ConnectionNotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn insert(client: &Client, ids: RangeInclusive<i64>) -> Result<(), Error> {
    for id in ids {
        let input = DatabaseInsertRowsInput {
            name: "example_rust_reconnect".to_owned(),
            rows: vec![Map::from([("id".to_owned(), json!(id))])],
            database: None,
            transaction_id: None,
        };
        client.database().insert_rows(&input).await?;
    }
    Ok(())
}

async fn delete_user(admin: &Client, name: &str) -> Result<(), Error> {
    let input = AdminDeleteUserInput { id: name.to_owned() };
    match admin.admin().delete_user(&input).await {
        Err(error) if error.code() != Some(&ErrorCode::UserNotFound) => Err(error),
        _ => Ok(()),
    }
}

async fn run(client: &Client, sql: &str) -> Result<(), Error> {
    let input = SqlExecuteQueryInput {
        sql: sql.to_owned(),
        params: None,
        timeout: None,
        format: None,
        limit: None,
        as_of_lsn: None,
        as_of_time: None,
        as_of_snapshot: None,
        database: None,
        transaction_id: None,
    };
    client.sql().execute_query(&input).await?;
    Ok(())
}
