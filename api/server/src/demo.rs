//! `rustydb demo`: a server on sample data, and what to paste to see it work.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use rustydb_api::{Api, Call, pipeline};
use rustydb_contract::Interface;
use rustydb_contract::host::{Credential, CredentialCell};
use rustydb_runtime::SystemClock;
use rustydb_services::AdminSecret;
use serde_json::{Map, Value, json};

use crate::config::{Config, LogFormat, ServeArguments};
use crate::{secret, serve};

/// Rows of one insert.
const ROWS_PER_INSERT: usize = 1000;

/// Name of the key the demo makes for its examples.
const KEY_NAME: &str = "rustydb demo";

const SCHEMA: &str = include_str!("../../../test_data/datasets/schema.sql");

/// Tables of the sample data with their rows; a table comes after those it refers to.
const TABLES: &[(&str, &str)] = &[
    (
        "airports",
        include_str!("../../../test_data/datasets/airports.csv"),
    ),
    ("flights", include_str!("../../../test_data/datasets/flights.csv")),
];

#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Keep the data here; without it, it lies in a temporary folder that goes with the server.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
}

pub async fn run(arguments: DemoArguments) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock::new());
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let data_dir = arguments
        .data_dir
        .clone()
        .unwrap_or_else(|| temporary.path().join("data"));
    let config = Config::load(ServeArguments {
        data_dir: Some(data_dir.clone()),
        listen: Some(arguments.listen),
        log: Some("warn".to_owned()),
        ..ServeArguments::default()
    })?;
    serve::start_logging(&config.log, LogFormat::Text)?;
    let running = serve::start(&config, secret::given()?, clock).await?;
    let password = match &running.admin {
        AdminSecret::Generated(secret) => secret.clone(),
        AdminSecret::Given | AdminSecret::Existing => secret::given()?.ok_or_else(|| {
            anyhow!(
                "{} has an administrator already; give its password in RUSTYDB_ADMIN_PASSWORD",
                data_dir.display()
            )
        })?,
    };
    let caller = Caller::sign_in(running.api.clone(), &password).await?;
    let rows = load(&caller).await.context("cannot load the sample data")?;
    let key = caller
        .call(
            "auth.create_api_key",
            json!({"name": KEY_NAME, "expires_in_days": 1}),
        )
        .await?;
    let key = key["api_key"].as_str().unwrap_or_default();
    running.take_requests();
    serve::announce(&format!("rustydb ready on http://{}", running.address))?;
    serve::announce(&examples(&running.address.to_string(), key, &password, rows))?;
    running.serve_until_stopped().await
}

/// Calls operations through the pipeline, as the administrator.
struct Caller {
    api: Api,
    credential: Credential,
}

impl Caller {
    async fn sign_in(api: Api, password: &str) -> anyhow::Result<Caller> {
        let input = json!({"username": "admin", "password": password});
        let tokens = call(&api, None, "auth.login", input).await?;
        let token = tokens["access_token"].as_str().unwrap_or_default().to_owned();
        Ok(Caller {
            api,
            credential: Credential::Bearer(token),
        })
    }

    async fn call(&self, operation: &str, input: Value) -> anyhow::Result<Value> {
        call(&self.api, Some(self.credential.clone()), operation, input).await
    }
}

async fn call(
    api: &Api,
    credential: Option<Credential>,
    operation: &str,
    input: Value,
) -> anyhow::Result<Value> {
    let registered = api
        .rpc_method(operation)
        .ok_or_else(|| anyhow!("the server has no operation {operation}"))?;
    let request_id: Arc<str> = pipeline::request_id(None);
    let call = Call {
        interface: Interface::Rpc,
        credential: CredentialCell::new(credential),
        peer: None,
        request_id,
        timeout_ms: None,
        input,
    };
    let answer = api
        .pipeline()
        .call(registered, call)
        .await
        .map_err(|error| anyhow!("{operation}: {error}"))?;
    Ok(answer.to_value()?)
}

/// Creates and fills the tables that are not there yet; answers how many rows there are.
async fn load(caller: &Caller) -> anyhow::Result<u64> {
    let listed = caller
        .call("database.list_tables", json!({"limit": 1000}))
        .await?;
    let present = |name: &str| {
        listed["tables"]
            .as_array()
            .is_some_and(|tables| tables.iter().any(|table| table["name"] == name))
    };
    if TABLES.iter().all(|(name, _)| !present(name)) {
        let code: Vec<&str> = SCHEMA.lines().filter(|line| !line.starts_with("--")).collect();
        let code = code.join("\n");
        let statements: Vec<&str> = code
            .split(';')
            .map(str::trim)
            .filter(|statement| !statement.is_empty())
            .collect();
        let outcome = caller
            .call("sql.execute_batch", json!({"statements": statements}))
            .await?;
        if outcome["committed"] != true {
            bail!("the tables were not created: {outcome}");
        }
        for (name, text) in TABLES {
            insert(caller, name, text).await?;
        }
    }
    let mut rows = 0;
    for (name, _) in TABLES {
        rows += caller.call("database.count_rows", json!({"name": name})).await?["count"]
            .as_u64()
            .unwrap_or(0);
    }
    Ok(rows)
}

async fn insert(caller: &Caller, table: &str, text: &str) -> anyhow::Result<()> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers()?.clone();
    let described = caller.call("database.get_table", json!({"name": table})).await?;
    let texts = text_columns(&described);
    let mut rows: Vec<Value> = Vec::new();
    for record in reader.records() {
        let record = record?;
        let row: Map<String, Value> = columns
            .iter()
            .zip(&record)
            .filter(|(_, text)| !text.is_empty())
            .map(|(column, text)| (column.to_owned(), cell(text, texts.contains(column))))
            .collect();
        rows.push(Value::Object(row));
        if rows.len() == ROWS_PER_INSERT {
            let batch = std::mem::take(&mut rows);
            caller
                .call("database.insert_rows", json!({"name": table, "rows": batch}))
                .await?;
        }
    }
    if !rows.is_empty() {
        caller
            .call("database.insert_rows", json!({"name": table, "rows": rows}))
            .await?;
    }
    Ok(())
}

/// Columns whose values are text in JSON: all but those of numbers.
fn text_columns(table: &Value) -> BTreeSet<String> {
    const NUMBERS: &[&str] = &["smallint", "integer", "bigint", "real", "double precision"];
    let columns = table["columns"].as_array().into_iter().flatten();
    columns
        .filter(|column| !NUMBERS.contains(&column["type"].as_str().unwrap_or_default()))
        .filter_map(|column| column["name"].as_str().map(str::to_owned))
        .collect()
}

/// A field of a CSV file as JSON; what is no number in a column of numbers stays text, for the server to refuse.
fn cell(text: &str, is_text: bool) -> Value {
    let number = if is_text {
        None
    } else {
        serde_json::from_str(text).ok()
    };
    number.map_or_else(|| Value::from(text), Value::Number)
}

fn examples(address: &str, key: &str, password: &str, rows: u64) -> String {
    format!(
        r#"
{rows} rows of airports and flights are loaded. Until Ctrl-C:

  Swagger UI   http://{address}/swagger-ui/
  GraphiQL     http://{address}/graphql
  user         admin
  password     {password}
  API key      {key}   (for one day)

REST:
  curl -s -H 'X-API-Key: {key}' \
    'http://{address}/api/v1/tables/airports/rows/SFO'
  curl -s -H 'X-API-Key: {key}' -H 'Content-Type: application/json' \
    -d '{{"sql": "SELECT a.city, count(*) AS flights FROM flights f JOIN airports a ON a.iata = f.origin GROUP BY a.city ORDER BY flights DESC LIMIT 5"}}' \
    http://{address}/api/v1/sql/query

GraphQL:
  curl -s -H 'X-API-Key: {key}' -H 'Content-Type: application/json' \
    -d '{{"query": "{{ databaseCountRows(name: \"flights\") {{ count }} databaseRow(name: \"airports\", id: \"SFO\") {{ data }} }}"}}' \
    http://{address}/graphql

JSON-RPC 2.0 over WebSocket (Node 22 or a browser's console; a token stands in for the key there):
  connect to ws://{address}/api/v1/ws with the subprotocol rustydb.json, then send
  {{"jsonrpc": "2.0", "id": 1, "method": "auth", "params": {{"api_key": "{key}"}}}}
  {{"jsonrpc": "2.0", "id": 2, "method": "database.get_row", "params": {{"name": "airports", "id": "SFO"}}}}
"#
    )
}
