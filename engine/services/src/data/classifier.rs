//! What SQL text would do, for the pipeline's permission check.

use rustydb_contract::host::StatementClassifier;
use rustydb_contract::{Permissions, ServiceResult};
use rustydb_contract_core::access::{DATABASE_ADMIN, DATABASE_READ, DATABASE_WRITE};
use rustydb_sql::classify::{StatementClass, classify};
use rustydb_sql::error::Position;
use rustydb_sql::parse::{ParsedStatement, parse};

use super::DataEngine;
use super::errors::{parse_error, syntax, unsupported};

const START: Position = Position { line: 1, column: 1 };

impl StatementClassifier for DataEngine {
    fn permissions(&self, sql: &str) -> ServiceResult<Permissions> {
        let statements = parse(sql).map_err(parse_error)?;
        if statements.is_empty() {
            return Err(no_statement());
        }
        let needed = |statement: &ParsedStatement| match classify(statement.ast()) {
            // Refused when it is run; until then it is no more than a question.
            StatementClass::Transaction | StatementClass::Read => DATABASE_READ,
            StatementClass::Write => DATABASE_WRITE,
            StatementClass::Ddl => DATABASE_ADMIN,
        };
        Ok(statements
            .iter()
            .map(needed)
            .fold(Permissions::NONE, Permissions::union))
    }
}

/// The only statement of a text.
pub(super) fn single(sql: &str) -> ServiceResult<ParsedStatement> {
    let mut statements = parse(sql).map_err(parse_error)?;
    if let Some(second) = statements.get(1) {
        let message = "a second statement is not taken here; run several with sql.execute_batch";
        return Err(unsupported(message, second.start()));
    }
    statements.pop().ok_or_else(no_statement)
}

fn no_statement() -> rustydb_contract::ServiceError {
    syntax("there is no statement in the text; write one", START)
}
