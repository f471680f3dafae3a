//! An engine over an in-memory store, and short ways to ask it.

use std::sync::Arc;

use rustydb_runtime::ManualClock;
use rustydb_sql::error::{Result, SqlError};
use rustydb_sql::parse::{parse, parse_one};
use rustydb_sql::{ExecContext, SqlConfig, SqlEngine, StatementResult};
use rustydb_store::tables::{Tables, Txn};
use rustydb_store::testing::MemStore;
use serde_json::Value as Json;

pub struct Db {
    pub tables: Tables,
    pub engine: SqlEngine,
    pub ctx: ExecContext,
}

impl Db {
    pub fn new() -> Db {
        Db::with(SqlConfig::default())
    }

    pub fn with(config: SqlConfig) -> Db {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
        let tables = Tables::open(Arc::new(MemStore::new(clock.clone())), clock).unwrap();
        Db {
            tables,
            engine: SqlEngine::new(config).unwrap(),
            ctx: ExecContext::new("main"),
        }
    }

    pub fn txn(&self) -> Txn {
        self.tables.begin().unwrap()
    }

    /// Runs one statement in a transaction of its own.
    pub async fn try_run(&self, sql: &str) -> Result<StatementResult> {
        self.try_with(sql, Vec::new()).await
    }

    pub async fn try_with(&self, sql: &str, params: Vec<Json>) -> Result<StatementResult> {
        let mut txn = self.txn();
        let result = self.in_txn(&mut txn, sql, params).await?;
        txn.commit()?;
        Ok(result)
    }

    pub async fn in_txn(&self, txn: &mut Txn, sql: &str, params: Vec<Json>) -> Result<StatementResult> {
        let statement = parse_one(sql)?;
        self.engine
            .execute(txn, &self.ctx.clone().with_params(params), &statement)
            .await
    }

    /// Runs a script, each statement in a transaction of its own; the result of the last.
    pub async fn run(&self, sql: &str) -> StatementResult {
        let mut last = StatementResult::default();
        for statement in parse(sql).unwrap() {
            let mut txn = self.txn();
            last = match self.engine.execute(&mut txn, &self.ctx, &statement).await {
                Ok(result) => result,
                Err(error) => panic!("{}: {error:?}", statement.text()),
            };
            txn.commit().unwrap();
        }
        last
    }

    pub async fn rows(&self, sql: &str) -> Vec<Vec<Json>> {
        self.run(sql).await.rows
    }

    pub async fn fails(&self, sql: &str) -> SqlError {
        match self.try_run(sql).await {
            Ok(result) => panic!("{sql} did not fail: {result:?}"),
            Err(error) => error,
        }
    }

    /// The rows as one JSON text, for comparing.
    pub async fn shown(&self, sql: &str) -> String {
        Json::from(self.rows(sql).await).to_string()
    }
}
