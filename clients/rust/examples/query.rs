//! Run SQL: parameters, rows as values of one's own type, changes, and a transaction of several calls.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use rustydb_client::contract::Id64;
use rustydb_client::sql::{QueryResult, SqlExecuteQueryInput};
use rustydb_client::transactions::{TransactionsCommitInput, TransactionsRollbackInput};
use rustydb_client::{Client, Error};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Account {
    id: i64,
    owner: String,
    balance: i64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("RUSTYDB_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let username = env::var("RUSTYDB_USERNAME").unwrap_or_else(|_| "admin".to_owned());
    let password = env::var("RUSTYDB_PASSWORD").map_err(|_| "RUSTYDB_PASSWORD is not set")?;
    let client = Client::builder(url).password(username, password).build()?;

    // What an interrupted run has left behind.
    run(&client, "DROP TABLE IF EXISTS example_rust_query", vec![], None).await?;
    run(
        &client,
        "CREATE TABLE example_rust_query (id bigint PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL)",
        vec![],
        None,
    )
    .await?;

    // Values go in as parameters and never into the text.
    let sql = "INSERT INTO example_rust_query VALUES ($1, $2, $3), ($4, $5, $6)";
    let params = vec![
        json!(1),
        json!("Ada"),
        json!(100),
        json!(2),
        json!("O'Neill"),
        json!(50),
    ];
    let inserted = run(&client, sql, params, None).await?;
    println!("inserted {} rows", inserted.rows_affected);

    let sql = "UPDATE example_rust_query SET balance = balance + $1 WHERE owner = $2";
    let updated = run(&client, sql, vec![json!(25), json!("O'Neill")], None).await?;
    println!("updated {} row", updated.rows_affected);

    for account in accounts(&client, None).await? {
        println!("{}: {} has {}", account.id, account.owner, account.balance);
    }

    // A transaction: both sides of a transfer, or neither. Every call names it; nobody else sees it before COMMIT.
    let transaction = client.transactions().begin(&Default::default()).await?;
    let id = transaction.transaction_id;
    transfer(&client, id, 30).await?;
    let inside = accounts(&client, Some(id)).await?;
    let outside = accounts(&client, None).await?;
    println!(
        "Ada has {} inside the transaction, {} outside",
        inside[0].balance, outside[0].balance
    );
    let committed = client
        .transactions()
        .commit(&TransactionsCommitInput {
            id,
            wait_until_durable: None,
        })
        .await?;
    println!("committed {} changed rows", committed.rows_changed);

    // One that is rolled back leaves nothing behind.
    let transaction = client.transactions().begin(&Default::default()).await?;
    let id = transaction.transaction_id;
    transfer(&client, id, 1_000_000).await?;
    client
        .transactions()
        .rollback(&TransactionsRollbackInput { id })
        .await?;

    let balances: Vec<i64> = accounts(&client, None)
        .await?
        .iter()
        .map(|account| account.balance)
        .collect();
    if balances != [70, 105] {
        return Err(format!("the balances should be 70 and 105 and are {balances:?}").into());
    }
    println!("the balances in the end: {balances:?}");

    run(&client, "DROP TABLE example_rust_query", vec![], None).await?;
    println!("done");
    Ok(())
}

/// Runs a statement with the values of its `$1`, `$2` and so on, in a transaction where one is given.
async fn run(
    client: &Client,
    sql: &str,
    params: Vec<Value>,
    transaction_id: Option<Id64>,
) -> Result<QueryResult, Error> {
    let input = SqlExecuteQueryInput {
        sql: sql.to_owned(),
        params: Some(params),
        timeout: None,
        format: None,
        limit: None,
        as_of_lsn: None,
        as_of_time: None,
        as_of_snapshot: None,
        database: None,
        transaction_id,
    };
    client.sql().execute_query(&input).await
}

/// Each row is a JSON object by column name, which serde turns into a type.
async fn accounts(
    client: &Client,
    transaction: Option<Id64>,
) -> Result<Vec<Account>, Box<dyn std::error::Error>> {
    let sql = "SELECT id, owner, balance FROM example_rust_query ORDER BY id";
    let result = run(client, sql, vec![], transaction).await?;
    let accounts = result.rows.into_iter().map(serde_json::from_value);
    Ok(accounts.collect::<Result<_, _>>()?)
}

async fn transfer(client: &Client, transaction: Id64, amount: i64) -> Result<(), Error> {
    let sql = "UPDATE example_rust_query SET balance = balance + $1 WHERE id = $2";
    run(client, sql, vec![json!(-amount), json!(1)], Some(transaction)).await?;
    run(client, sql, vec![json!(amount), json!(2)], Some(transaction)).await?;
    Ok(())
}
