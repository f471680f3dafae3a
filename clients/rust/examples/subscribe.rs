//! Subscribe to the changes of a table: the rows that are there, and then each write as it is committed.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use rustydb_client::contract::Json;
use rustydb_client::core::StreamControlKind;
use rustydb_client::database::{DatabaseTableChangesInput, Row};
use rustydb_client::sql::SqlExecuteBatchInput;
use rustydb_client::{Client, Item};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("RUSTYDB_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let username = env::var("RUSTYDB_USERNAME").unwrap_or_else(|_| "admin".to_owned());
    let password = env::var("RUSTYDB_PASSWORD").map_err(|_| "RUSTYDB_PASSWORD is not set")?;
    let client = Client::builder(url).password(username, password).build()?;

    run(
        &client,
        &[
            "DROP TABLE IF EXISTS example_rust_subscribe",
            "CREATE TABLE example_rust_subscribe (id bigint PRIMARY KEY, status text)",
            "INSERT INTO example_rust_subscribe VALUES (1, 'paid')",
        ],
    )
    .await?;

    let input = DatabaseTableChangesInput {
        table: "example_rust_subscribe".to_owned(),
        database: None,
        where_clause: None,
        snapshot: Some(true),
        cursor: None,
        filter: None,
        fields: None,
    };
    let mut changes = client.database().table_changes(&input).open().await?;
    // The server has acknowledged: from here on no change is missed, however late it is read.

    run(
        &client,
        &[
            "INSERT INTO example_rust_subscribe VALUES (2, 'open')",
            "UPDATE example_rust_subscribe SET status = 'paid' WHERE id = 2",
            "DELETE FROM example_rust_subscribe WHERE id = 1",
        ],
    )
    .await?;

    // The row of the snapshot and the three changes.
    let mut events = 0;
    while events < 4 {
        match changes.next().await.ok_or("the subscription ended")?? {
            Item::Event(event) => {
                events += 1;
                let change = event.data;
                let (before, after) = (text(change.old_row), text(change.row));
                println!("{}: {before} -> {after}", change.change_type.as_str());
            }
            // What is told beside the events.
            Item::Notice(notice) if notice.control.kind == StreamControlKind::SnapshotComplete => {
                println!("that was all that was there; changes follow");
            }
            Item::Notice(notice) => println!("notice: {}", notice.control.kind.as_str()),
        }
    }

    // Dropping a subscription closes its connection.
    drop(changes);
    run(&client, &["DROP TABLE example_rust_subscribe"]).await?;
    println!("done");
    Ok(())
}

fn text(row: Option<Row>) -> String {
    row.map_or_else(
        || "nothing".to_owned(),
        |row| Json::from_iter(row.data).to_string(),
    )
}

/// Runs statements as one transaction.
async fn run(client: &Client, statements: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let input = SqlExecuteBatchInput {
        statements: statements.iter().map(|sql| (*sql).to_owned()).collect(),
        atomic: None,
        database: None,
        transaction_id: None,
    };
    let batch = client.sql().execute_batch(&input).await?;
    // A statement that fails is an outcome of the batch.
    match batch.outcomes.into_iter().find_map(|outcome| outcome.error) {
        Some(error) => Err(format!("{}: {}", error.code, error.message).into()),
        None => Ok(()),
    }
}
