//! Runs the scripts of tests/slt: SQL with its expected answers, one in-memory database for each file.

use std::path::PathBuf;

use rustydb_sql::error::SqlError;
use serde_json::Value as Json;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::support::Db;

struct Session(Db);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

#[async_trait::async_trait]
impl AsyncDB for Session {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let result = self
            .0
            .try_run(sql)
            .await
            .map_err(|error: SqlError| Failure(error.to_string()))?;
        if result.columns.is_empty() {
            return Ok(DBOutput::StatementComplete(result.rows_affected));
        }
        let types = result
            .columns
            .iter()
            .map(|column| match column.type_name.as_str() {
                "smallint" | "integer" | "bigint" => DefaultColumnType::Integer,
                "real" | "double precision" => DefaultColumnType::FloatingPoint,
                _ => DefaultColumnType::Text,
            });
        let rows = result
            .rows
            .iter()
            .map(|row| row.iter().map(shown).collect())
            .collect();
        Ok(DBOutput::Rows {
            types: types.collect(),
            rows,
        })
    }

    async fn shutdown(&mut self) {}
}

fn shown(value: &Json) -> String {
    match value {
        Json::Null => "NULL".to_owned(),
        Json::String(text) if text.is_empty() => "(empty)".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test reads its own scripts")]
async fn all_scripts_pass() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "slt"))
        .collect();
    files.sort();
    assert!(
        files.len() >= 5,
        "{} scripts in {}",
        files.len(),
        folder.display()
    );
    for file in files {
        let mut runner = Runner::new(|| async { Ok(Session(Db::new())) });
        if let Err(error) = runner.run_file_async(&file).await {
            panic!("{}:\n{}", file.display(), error.display(false));
        }
    }
}
