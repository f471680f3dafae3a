//! Stream a large result: its rows come as they are made, and whoever has seen enough ends the statement.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use rustydb_client::query::{QueryExecutionsInput, QueryResultsEvent, QueryResultsInput, QueryStatus};
use rustydb_client::{Client, Item};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("RUSTYDB_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let username = env::var("RUSTYDB_USERNAME").unwrap_or_else(|_| "admin".to_owned());
    let password = env::var("RUSTYDB_PASSWORD").map_err(|_| "RUSTYDB_PASSWORD is not set")?;
    let client = Client::builder(url).password(username, password).build()?;

    whole_result(&client).await?;
    early_end(&client).await?;
    println!("done");
    Ok(())
}

/// Reads every row. Neither the server nor the client ever holds them all.
async fn whole_result(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    let input = statement("SELECT value AS n FROM generate_series(1, 100000)", Some(1000));
    let mut results = client.query().results(&input).open().await?;
    let (mut count, mut sum) = (0, 0);
    // The subscription ends by itself behind QueryCompleted or QueryError.
    while let Some(item) = results.next().await {
        let Item::Event(event) = item? else { continue };
        match event.data {
            QueryResultsEvent::QueryRows(part) => {
                count += part.rows.len();
                sum += part.rows.iter().filter_map(|row| row["n"].as_u64()).sum::<u64>();
            }
            QueryResultsEvent::QueryCompleted(end) => {
                println!("{} rows in {} ms", end.rows_returned, end.elapsed_ms);
            }
            // The answer has begun by the time a row fails, so the failure is an event.
            QueryResultsEvent::QueryError(error) => return Err(error.message.into()),
            QueryResultsEvent::QueryStarted(_)
            | QueryResultsEvent::QueryRow(_)
            | QueryResultsEvent::QueryProgress(_) => {}
        }
    }
    if (count, sum) != (100_000, 5_000_050_000) {
        return Err(format!("{count} rows came, which add up to {sum}").into());
    }
    println!("they add up to {sum}");
    Ok(())
}

/// Takes five rows of a result that would never be done, and lets go.
async fn early_end(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    let input = statement("SELECT value AS n FROM generate_series(1, 1000000000000)", None);
    let mut results = client.query().results(&input).open().await?;
    let mut rows = Vec::new();
    let mut query_id = None;
    while rows.len() < 5 {
        let item = results.next().await.ok_or("the result ended early")??;
        let Item::Event(event) = item else { continue };
        match event.data {
            QueryResultsEvent::QueryStarted(started) => query_id = Some(started.query_id),
            QueryResultsEvent::QueryRow(row) => rows.push(row.row_data),
            QueryResultsEvent::QueryError(error) => return Err(error.message.into()),
            _ => {}
        }
    }
    println!("the first rows of many: {}", serde_json::to_string(&rows)?);

    // Watch the statement itself, and end it by dropping its subscription.
    let input = QueryExecutionsInput {
        query_id,
        ..Default::default()
    };
    let mut executions = client.query().executions(&input).open().await?;
    drop(results);
    while let Some(item) = executions.next().await {
        let Item::Event(event) = item? else { continue };
        match event.data.status {
            QueryStatus::Started | QueryStatus::Running => {}
            QueryStatus::Cancelled => {
                println!("the server gave the statement up");
                return Ok(());
            }
            other => return Err(format!("the statement is {}", other.as_str()).into()),
        }
    }
    Err("the executions ended".into())
}

/// With `rows_per_event` the rows come in parts, which costs less; without it each is an event.
fn statement(sql: &str, rows_per_event: Option<u32>) -> QueryResultsInput {
    QueryResultsInput {
        sql: sql.to_owned(),
        params: None,
        timeout: None,
        rows_per_event,
        format: None,
        database: None,
        transaction_id: None,
        events: None,
        filter: None,
        fields: None,
    }
}
