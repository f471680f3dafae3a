//! Changing rows, in a scope that keeps all of a call's changes or none.

use std::sync::Arc;

use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_database::errors::INVALID_DEFINITION;
use rustydb_contract_database::{DatabaseUpsertRowInput, Filter, Row, RowData, UpsertedRow};
use rustydb_sql::ExecContext;
use rustydb_store::codec::primary_key;
use rustydb_store::tables::Txn;
use rustydb_store::types::{self, Datum, RowKey, TableDef};

use super::DataEngine;
use super::definitions::table;
use super::errors::{invalid_argument, statement_error, table_error};
use super::filter::row_filter;
use super::reads::row_not_found;
use super::scope::Scope;
use super::values::{cells, column_index, row_id, row_key, shown};

/// Rows that one call changes or deletes by a filter.
const MATCHED_ROWS_MAX: usize = 1_000_000;
/// Rows that a call changes on the thread that drives it; more are changed on a blocking thread.
const ROWS_IN_PLACE_MAX: usize = 1_000;

impl DataEngine {
    /// Adds rows; answers their ids. `path` is where in the input the rows are, from the place `first` on.
    pub(super) async fn add_rows(
        &self,
        scope: Scope,
        name: &str,
        rows: &[RowData],
        path: &str,
        first: usize,
    ) -> ServiceResult<(Scope, Vec<String>)> {
        let table = table(&scope.reader(), &scope.database, name)?;
        let rows = self.whole_rows(&scope, &table, rows, path, first).await?;
        change(scope, rows.len(), move |txn| {
            let keys = txn.insert_many(&table, rows).map_err(table_error)?;
            keys.iter().map(|key| row_id(&table, key)).collect()
        })
        .await
    }

    /// Rows with their defaults.
    async fn whole_rows(
        &self,
        scope: &Scope,
        table: &Arc<TableDef>,
        rows: &[RowData],
        path: &str,
        first: usize,
    ) -> ServiceResult<Vec<types::Row>> {
        let mut whole = Vec::with_capacity(rows.len());
        // Rows that miss a column with a default: these are evaluated by the SQL engine, all at once.
        let (mut incomplete, mut objects) = (Vec::new(), Vec::new());
        for (number, data) in rows.iter().enumerate() {
            let mut row: types::Row = vec![Datum::Null; table.columns.len()];
            let mut given = vec![false; table.columns.len()];
            for (index, datum) in cells(table, data, &row_path(path, first + number))? {
                row[index] = datum;
                given[index] = true;
            }
            if table
                .columns
                .iter()
                .zip(&given)
                .any(|(column, given)| !given && column.default.is_some())
            {
                incomplete.push(number);
                objects.push(
                    data.iter()
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect(),
                );
            }
            whole.push(row);
        }
        if !incomplete.is_empty() {
            let ctx = ExecContext::new(&scope.database);
            let reader = scope.reader();
            let completed = self
                .inner
                .sql
                .rows_from_json(&reader, &ctx, table, &objects)
                .await;
            for (number, row) in incomplete.into_iter().zip(completed.map_err(statement_error)?) {
                whole[number] = row;
            }
        }
        Ok(whole)
    }

    /// Sets columns of all rows that match; answers how many there were.
    pub(super) async fn change_matching(
        &self,
        scope: Scope,
        name: &str,
        filter: &Filter,
        values: &RowData,
    ) -> ServiceResult<(Scope, u64)> {
        let table = table(&scope.reader(), &scope.database, name)?;
        let values = cells(&table, values, "values")?;
        let keys = self.matching(&scope, &table, filter).await?;
        change(scope, keys.len(), move |txn| {
            let mut rows = Vec::with_capacity(keys.len());
            for key in keys {
                if let Some(mut row) = txn.get(&table, &key).map_err(table_error)? {
                    set(&mut row, &values);
                    rows.push((key, row));
                }
            }
            let changed = rows.len() as u64;
            txn.update_many(&table, rows).map_err(table_error)?;
            Ok(changed)
        })
        .await
    }

    /// Deletes all rows that match; answers how many there were.
    pub(super) async fn delete_matching(
        &self,
        scope: Scope,
        name: &str,
        filter: &Filter,
    ) -> ServiceResult<(Scope, u64)> {
        let table = table(&scope.reader(), &scope.database, name)?;
        let keys = self.matching(&scope, &table, filter).await?;
        change(scope, keys.len(), move |txn| {
            txn.delete_many(&table, &keys).map_err(table_error)
        })
        .await
    }

    async fn matching(
        &self,
        scope: &Scope,
        table: &Arc<TableDef>,
        filter: &Filter,
    ) -> ServiceResult<Vec<RowKey>> {
        let filter = row_filter(filter, "filter")?;
        let reader = scope.reader();
        let found = self
            .inner
            .sql
            .matching_keys(&reader, table, Some(&filter), MATCHED_ROWS_MAX + 1)
            .await;
        let keys = found.map_err(statement_error)?;
        if keys.len() > MATCHED_ROWS_MAX {
            let message =
                format!("filter: more than {MATCHED_ROWS_MAX} rows match; change them in several calls");
            return Err(invalid_argument("filter", message));
        }
        Ok(keys)
    }

    /// Inserts the row or changes the one that has its values in the conflict columns.
    pub(super) async fn put_row(
        &self,
        mut scope: Scope,
        input: &DatabaseUpsertRowInput,
    ) -> ServiceResult<(Scope, UpsertedRow)> {
        let table = table(&scope.reader(), &scope.database, &input.name)?;
        let given = cells(&table, &input.values, "values")?;
        let conflict = Conflict::of(&table, input.conflict_columns.as_deref())?;
        let mut rows = self
            .whole_rows(&scope, &table, std::slice::from_ref(&input.values), "", 0)
            .await
            .map_err(|error| error.in_part("values"))?;
        let row = rows.pop().expect("one row for each object");
        let found = match conflict.key_of(&scope, &table, &row)? {
            Some(key) => scope
                .get(&table, &key)
                .map_err(table_error)?
                .map(|row| (key, row)),
            None => None,
        };
        let created = found.is_none();
        let (key, row) = match found {
            None => (scope.insert(&table, row.clone()).map_err(table_error)?, row),
            Some((key, mut row)) => {
                set(&mut row, &given);
                (scope.update(&table, &key, row.clone()).map_err(table_error)?, row)
            }
        };
        let row = shown(&table, &key, &row)?;
        Ok((scope, UpsertedRow { created, row }))
    }
}

/// Sets columns of one row; answers the row as it is now.
pub(super) fn change_row(scope: &mut Scope, name: &str, id: &str, values: &RowData) -> ServiceResult<Row> {
    let table = table(&scope.reader(), &scope.database, name)?;
    let key = row_key(&table, id)?;
    let values = cells(&table, values, "values")?;
    let mut row = scope
        .get(&table, &key)
        .map_err(table_error)?
        .ok_or_else(|| row_not_found(&table, id))?;
    set(&mut row, &values);
    let key = scope.update(&table, &key, row.clone()).map_err(table_error)?;
    shown(&table, &key, &row)
}

pub(super) fn remove_row(scope: &mut Scope, name: &str, id: &str) -> ServiceResult<()> {
    let table = table(&scope.reader(), &scope.database, name)?;
    let key = row_key(&table, id)?;
    if scope.delete(&table, &key).map_err(table_error)? {
        Ok(())
    } else {
        Err(row_not_found(&table, id))
    }
}

fn set(row: &mut types::Row, values: &[(usize, Datum)]) {
    for (index, datum) in values {
        row[*index] = datum.clone();
    }
}

fn row_path(path: &str, number: usize) -> String {
    if path.is_empty() {
        number.to_string()
    } else {
        format!("{path}.{number}")
    }
}

/// Changes rows here or, when they are many, on a blocking thread.
async fn change<T: Send + 'static>(
    mut scope: Scope,
    rows: usize,
    work: impl FnOnce(&mut Txn) -> ServiceResult<T> + Send + 'static,
) -> ServiceResult<(Scope, T)> {
    if rows > ROWS_IN_PLACE_MAX {
        return scope.blocking(|scope| work(scope)).await;
    }
    let done = work(&mut scope)?;
    Ok((scope, done))
}

/// What makes two rows the same to an upsert.
enum Conflict {
    PrimaryKey,
    /// Place of the constraint in the table's list.
    Unique(usize),
}

impl Conflict {
    fn of(table: &TableDef, columns: Option<&[String]>) -> ServiceResult<Conflict> {
        let refuse = |message: String| Err(ServiceError::new(&INVALID_DEFINITION, message));
        let Some(columns) = columns else {
            if table.primary_key.is_empty() {
                return refuse(format!(
                    "table \"{}\" has no primary key; name the columns of a unique constraint in conflict_columns",
                    table.name
                ));
            }
            return Ok(Conflict::PrimaryKey);
        };
        let mut wanted = Vec::with_capacity(columns.len());
        for (at, name) in columns.iter().enumerate() {
            wanted.push(column_index(table, name, &format!("conflict_columns.{at}"))?);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let same = |columns: &[usize]| {
            let mut columns = columns.to_vec();
            columns.sort_unstable();
            columns == wanted
        };
        if same(&table.primary_key) {
            return Ok(Conflict::PrimaryKey);
        }
        match table.unique.iter().position(|unique| same(&unique.columns)) {
            Some(place) => Ok(Conflict::Unique(place)),
            None => refuse(format!(
                "({}) is neither the primary key nor a unique constraint of table \"{}\"",
                columns.join(", "),
                table.name
            )),
        }
    }

    /// Key of the row that has the same values.
    fn key_of(&self, txn: &Txn, table: &TableDef, row: &types::Row) -> ServiceResult<Option<RowKey>> {
        let values = |places: &[usize]| {
            places
                .iter()
                .map(|&place| row[place].clone())
                .collect::<Vec<Datum>>()
        };
        match self {
            Conflict::PrimaryKey => Ok(primary_key(table, &values(&table.primary_key))),
            Conflict::Unique(place) => {
                let unique = &table.unique[*place];
                txn.find_unique(table, unique, &values(&unique.columns))
                    .map_err(table_error)
            }
        }
    }
}
