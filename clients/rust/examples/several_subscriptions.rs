//! Several subscriptions at once, handled side by side: changes of rows, of definitions, and transactions.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use rustydb_client::contract::{Id64, Map};
use rustydb_client::database::{
    DatabaseSchemaChangesInput, DatabaseTableChangesInput, SchemaChanged, TableRowChange,
};
use rustydb_client::sql::SqlExecuteQueryInput;
use rustydb_client::transactions::{
    TransactionEvent, TransactionEventType, TransactionsCommitInput, TransactionsTransactionEventsInput,
};
use rustydb_client::{Client, Error, Item, Subscription};
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let url = env::var("RUSTYDB_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let username = env::var("RUSTYDB_USERNAME").unwrap_or_else(|_| "admin".to_owned());
    let password = env::var("RUSTYDB_PASSWORD").map_err(|_| "RUSTYDB_PASSWORD is not set")?;
    let client = Client::builder(url).password(&username, password).build()?;

    run(&client, "DROP VIEW IF EXISTS example_rust_several_view", None).await?;
    run(&client, "DROP TABLE IF EXISTS example_rust_several", None).await?;
    run(
        &client,
        "CREATE TABLE example_rust_several (id bigint PRIMARY KEY)",
        None,
    )
    .await?;

    let input = DatabaseTableChangesInput {
        table: "example_rust_several".to_owned(),
        database: None,
        where_clause: None,
        snapshot: None,
        cursor: None,
        filter: None,
        fields: None,
    };
    let rows = client.database().table_changes(&input).open().await?;
    // `filter` lets the server send only those events whose data has these values.
    let input = DatabaseSchemaChangesInput {
        filter: Some(Map::from([(
            "object_name".to_owned(),
            json!("example_rust_several_view"),
        )])),
        ..Default::default()
    };
    let definitions = client.database().schema_changes(&input).open().await?;
    let input = TransactionsTransactionEventsInput {
        filter: Some(Map::from([("username".to_owned(), json!(username))])),
        ..Default::default()
    };
    let transactions = client.transactions().transaction_events(&input).open().await?;

    // Each waits for what it is to see; the first that fails ends all of them.
    let id = client
        .transactions()
        .begin(&Default::default())
        .await?
        .transaction_id;
    tokio::try_join!(
        write(&client, id),
        watch_rows(rows),
        watch_definitions(definitions),
        watch_transaction(transactions, id),
    )?;

    run(&client, "DROP VIEW example_rust_several_view", None).await?;
    run(&client, "DROP TABLE example_rust_several", None).await?;
    println!("done");
    Ok(())
}

async fn write(client: &Client, id: Id64) -> Outcome {
    run(
        client,
        "INSERT INTO example_rust_several VALUES (1), (2)",
        Some(id),
    )
    .await?;
    client
        .transactions()
        .commit(&TransactionsCommitInput {
            id,
            wait_until_durable: None,
        })
        .await?;
    let sql = "CREATE VIEW example_rust_several_view AS SELECT id FROM example_rust_several WHERE id > 1";
    run(client, sql, None).await?;
    Ok(())
}

async fn watch_rows(mut rows: Subscription<TableRowChange>) -> Outcome {
    let mut inserted = 0;
    while inserted < 2 {
        let item = rows.next().await.ok_or("the changes of rows ended")??;
        let Some(event) = item.into_event() else { continue };
        let id = event.data.row.map(|row| row.id).unwrap_or_default();
        println!("row: {} of {id}", event.data.change_type.as_str());
        inserted += 1;
    }
    Ok(())
}

async fn watch_definitions(mut definitions: Subscription<SchemaChanged>) -> Outcome {
    loop {
        let item = definitions
            .next()
            .await
            .ok_or("the changes of definitions ended")??;
        if let Item::Event(event) = item {
            let (what, kind) = (event.data.change_type, event.data.object_type);
            println!(
                "definition: {} {} {}",
                what.as_str(),
                kind.as_str(),
                event.data.object_name
            );
            return Ok(());
        }
    }
}

/// Transaction events are telemetry: a reader that is too slow loses some, and a notice says so.
async fn watch_transaction(mut transactions: Subscription<TransactionEvent>, id: Id64) -> Outcome {
    loop {
        match transactions.next().await.ok_or("the transactions ended")?? {
            Item::Event(event) if event.data.transaction_id == id => {
                println!("transaction: {}", event.data.event_type.as_str());
                if event.data.event_type == TransactionEventType::Commit {
                    return Ok(());
                }
            }
            // Somebody else's.
            Item::Event(_) => {}
            Item::Notice(notice) => println!("transaction: {} was told", notice.control.kind.as_str()),
        }
    }
}

async fn run(client: &Client, sql: &str, transaction_id: Option<Id64>) -> Result<(), Error> {
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
        transaction_id,
    };
    client.sql().execute_query(&input).await?;
    Ok(())
}
