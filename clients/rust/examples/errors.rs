//! Errors: their typed codes and details, and what each says of trying again.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use rustydb_client::contract::{Id64, Retry};
use rustydb_client::core::InvalidArgumentDetails;
use rustydb_client::database::{DatabaseGetTableInput, DatabaseListInput};
use rustydb_client::sql::{Position, SqlExecuteQueryInput};
use rustydb_client::transactions::{TransactionsCommitInput, TransactionsRollbackInput};
use rustydb_client::{Client, Credentials, Error, ErrorCode, RetryPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("RUSTYDB_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let username = env::var("RUSTYDB_USERNAME").unwrap_or_else(|_| "admin".to_owned());
    let password = env::var("RUSTYDB_PASSWORD").map_err(|_| "RUSTYDB_PASSWORD is not set")?;
    let client = Client::builder(url).password(username, password).build()?;

    run(&client, "DROP TABLE IF EXISTS example_rust_errors", None).await?;
    let sql = "CREATE TABLE example_rust_errors (id bigint PRIMARY KEY, n bigint)";
    run(&client, sql, None).await?;
    run(&client, "INSERT INTO example_rust_errors VALUES (1, 0)", None).await?;

    // Something is not there.
    let input = DatabaseGetTableInput {
        name: "example_rust_no_such_table".to_owned(),
        database: None,
        transaction_id: None,
    };
    match client.database().get_table(&input).await {
        Err(error) => expect(error, ErrorCode::TableNotFound)?,
        Ok(table) => return Err(format!("{} exists", table.name).into()),
    };

    // A constraint would be broken.
    match run(&client, "INSERT INTO example_rust_errors VALUES (1, 0)", None).await {
        Err(error) => expect(error, ErrorCode::UniqueViolation)?,
        Ok(()) => return Err("a key was taken twice".into()),
    };

    // An input is out of range; the details say which, in the type that the contract gives the code.
    let input = DatabaseListInput {
        limit: Some(0),
        after: None,
    };
    let error = match client.database().list(&input).await {
        Err(error) => expect(error, ErrorCode::InvalidArgument)?,
        Ok(_) => return Err("a page of no items was made".into()),
    };
    if let Some(details) = error
        .answer()
        .and_then(|answer| answer.details_as::<InvalidArgumentDetails>())
    {
        println!("  the input is {:?}", details.field);
    }

    // The text is no SQL.
    let error = match run(&client, "SELECT id FORM example_rust_errors", None).await {
        Err(error) => expect(error, ErrorCode::SyntaxError)?,
        Ok(()) => return Err("a statement ran that is none".into()),
    };
    if let Some(at) = error.answer().and_then(|answer| answer.details_as::<Position>()) {
        println!("  in line {}, column {}", at.line, at.column);
    }

    // Nobody in particular may do this.
    let nobody = client.with_credentials(Credentials::None);
    match run(&nobody, "SELECT 1 AS n", None).await {
        Err(error) => expect(error, ErrorCode::Unauthenticated)?,
        Ok(()) => return Err("a statement ran for nobody".into()),
    };

    // No server at all: there is no answer and so no code. The client tries again by itself where that is safe;
    // here it is told not to.
    let nowhere = Client::builder("http://127.0.0.1:1")
        .retry(RetryPolicy::never())
        .build()?;
    match nowhere.health().get_summary().await {
        Err(Error::Connection { operation, .. }) => println!("no answer to {operation}: no server there"),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("a server answered where there is none".into()),
    }

    let attempts = with_retries(&client).await?;
    println!("the transaction was committed with attempt {attempts}");

    run(&client, "DROP TABLE example_rust_errors", None).await?;
    println!("done");
    Ok(())
}

/// Prints an error of the code that is expected and hands it back; any other is an error of this program.
fn expect(error: Error, code: ErrorCode) -> Result<Error, Error> {
    match &error {
        Error::Answer(answer) if answer.code == code => {
            let advice = match code.retry() {
                Retry::Never => "it would fail again",
                Retry::Safe => "the client tries again by itself",
                Retry::Transaction => "run the whole transaction again",
            };
            println!("{code} ({}): {}; {advice}", answer.status, answer.message);
            Ok(error)
        }
        _ => Err(error),
    }
}

/// Runs a transaction until it is committed, and says how often that took. Somebody else changes the same row under
/// the first attempt.
async fn with_retries(client: &Client) -> Result<u32, Box<dyn std::error::Error>> {
    const ATTEMPTS_MAX: u32 = 5;
    let add = "UPDATE example_rust_errors SET n = n + 1 WHERE id = 1";
    for attempt in 1..=ATTEMPTS_MAX {
        let id = client
            .transactions()
            .begin(&Default::default())
            .await?
            .transaction_id;
        if attempt == 1 {
            run(client, add, None).await?;
        }
        let outcome = async {
            run(client, add, Some(id)).await?;
            client
                .transactions()
                .commit(&TransactionsCommitInput {
                    id,
                    wait_until_durable: None,
                })
                .await
        };
        match outcome.await {
            Ok(_) => return Ok(attempt),
            Err(error)
                if error
                    .code()
                    .is_some_and(|code| code.retry() == Retry::Transaction) =>
            {
                expect(error, ErrorCode::WriteConflict)?;
                // A statement that lost leaves its transaction open, a commit that lost does not.
                let _ = client
                    .transactions()
                    .rollback(&TransactionsRollbackInput { id })
                    .await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("no attempt of {ATTEMPTS_MAX} was committed").into())
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
