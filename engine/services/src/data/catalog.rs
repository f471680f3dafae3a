//! Databases and tables: listing, describing, creating, replacing, dropping.

use rustydb_contract::{CallContext, Cursor, ServiceResult, Timestamp};
use rustydb_contract_database::{
    Database, DatabaseCreateInput, DatabaseCreateTableInput, DatabaseDetail, DatabaseDropInput,
    DatabaseDropTableInput, DatabaseGetInput, DatabaseGetSchemaInput, DatabaseGetTableInput,
    DatabaseGetTableStatsInput, DatabaseList, DatabaseListInput, DatabaseListTablesInput,
    DatabaseReplaceTableInput, SchemaDescription, Table, TableList, TableStats,
};
use rustydb_sql::ExecContext;
use rustydb_store::tables::{PUBLIC_SCHEMA, TableError, TableSpec, TxnReader};
use rustydb_store::types::DatabaseDef;

use super::DataEngine;
use super::definitions::{described, described_view, table, table_spec};
use super::errors::{database_not_found, invalid_argument, statement_error, table_error};
use super::scope::{Access, Place, Scope};
use crate::identity::paging;

/// Names of lists in cursors.
const DATABASES: &str = "databases";
const TABLES: &str = "tables";

impl DataEngine {
    pub(super) async fn make_database(
        &self,
        context: &CallContext,
        input: DatabaseCreateInput,
    ) -> ServiceResult<Database> {
        let name = &input.name;
        self.answer(
            context,
            &Place::default(),
            Access::Write,
            |mut scope| async move {
                let made = scope.create_database(name).map_err(|error| match error {
                    // Only the name can be wrong.
                    TableError::InvalidDefinition { .. } => invalid_argument("name", error.to_string()),
                    other => table_error(other),
                })?;
                let shown = sized(&scope.reader(), &made)?;
                Ok((scope, shown))
            },
        )
        .await
    }

    pub(super) async fn databases_page(&self, input: DatabaseListInput) -> ServiceResult<DatabaseList> {
        let after = paging::after(DATABASES, input.after)?;
        let items_max = paging::page_items(input.limit);
        let reader = self.newest()?;
        let mut found = reader.databases().map_err(table_error)?;
        found.sort_by(|left, right| left.name.cmp(&right.name));
        found.retain(|database| after.as_ref().is_none_or(|after| database.name > *after));
        found.truncate(items_max + 1);
        let (found, next) = paging::page(DATABASES, found, items_max, |database| &database.name);
        let databases = found
            .iter()
            .map(|database| sized(&reader, database))
            .collect::<ServiceResult<_>>()?;
        Ok(DatabaseList { databases, next })
    }

    pub(super) async fn one_database(&self, input: DatabaseGetInput) -> ServiceResult<DatabaseDetail> {
        let reader = self.newest()?;
        let database = reader.database(&input.name).map_err(table_error)?;
        let database = database.ok_or_else(|| database_not_found(&input.name))?;
        let size = sized(&reader, &database)?;
        let mut tables: Vec<String> = reader
            .tables(&input.name)
            .map_err(table_error)?
            .iter()
            .map(|table| table.name.clone())
            .collect();
        let mut views: Vec<String> = reader
            .views(&input.name)
            .map_err(table_error)?
            .iter()
            .map(|view| view.name.clone())
            .collect();
        tables.sort();
        views.sort();
        Ok(DatabaseDetail {
            name: database.name,
            created_at: size.created_at,
            size_bytes: size.size_bytes,
            tables,
            views,
        })
    }

    pub(super) async fn remove_database(
        &self,
        context: &CallContext,
        input: DatabaseDropInput,
    ) -> ServiceResult<()> {
        let name = &input.name;
        self.answer(
            context,
            &Place::default(),
            Access::Write,
            |mut scope| async move {
                scope.drop_database(name).map_err(table_error)?;
                Ok((scope, ()))
            },
        )
        .await
    }

    pub(super) async fn tables_page(
        &self,
        context: &CallContext,
        input: DatabaseListTablesInput,
    ) -> ServiceResult<TableList> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let scope = self.scope(context, &place, Access::Read).await?;
        let list = list_name(&scope.database, input.schema.as_deref());
        let after = paging::after(&list, input.after)?;
        let items_max = paging::page_items(input.limit);
        let reader = scope.reader();
        let mut found = reader.tables(&scope.database).map_err(table_error)?;
        found.retain(|table| {
            input.schema.as_ref().is_none_or(|schema| table.schema == *schema)
                && after.as_ref().is_none_or(|after| table.name > *after)
        });
        found.sort_by(|left, right| left.name.cmp(&right.name));
        found.truncate(items_max + 1);
        let (found, next): (Vec<_>, Option<Cursor>) =
            paging::page(&list, found, items_max, |table| &table.name);
        let tables = found
            .iter()
            .map(|table| described(&reader, table))
            .collect::<ServiceResult<_>>()?;
        Ok(TableList { tables, next })
    }

    pub(super) async fn one_table(
        &self,
        context: &CallContext,
        input: DatabaseGetTableInput,
    ) -> ServiceResult<Table> {
        let place = Place::new(input.database, input.transaction_id);
        let scope = self.scope(context, &place, Access::Read).await?;
        let reader = scope.reader();
        described(&reader, &*table(&reader, &scope.database, &input.name)?)
    }

    pub(super) async fn make_table(
        &self,
        context: &CallContext,
        input: DatabaseCreateTableInput,
    ) -> ServiceResult<Table> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        self.answer(context, &place, Access::Write, |mut scope| async move {
            let (primary_key, unique) = (input.primary_key.as_deref(), input.unique.as_deref());
            let mut spec = table_spec(&scope.database, &input.name, &input.columns, primary_key, unique)?;
            self.complete(&scope, &mut spec).await?;
            let made = scope.create_table(spec).map_err(table_error)?;
            let shown = described(&scope.reader(), &made)?;
            Ok((scope, shown))
        })
        .await
    }

    pub(super) async fn change_table(
        &self,
        context: &CallContext,
        input: DatabaseReplaceTableInput,
    ) -> ServiceResult<Table> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        self.answer(context, &place, Access::Write, |scope| async move {
            table(&scope.reader(), &scope.database, &input.name)?;
            let (primary_key, unique) = (input.primary_key.as_deref(), input.unique.as_deref());
            let mut spec = table_spec(&scope.database, &input.name, &input.columns, primary_key, unique)?;
            self.complete(&scope, &mut spec).await?;
            // It writes every row anew.
            scope
                .blocking(move |scope| {
                    let made = scope.replace_table(spec).map_err(table_error)?;
                    described(&scope.reader(), &made)
                })
                .await
        })
        .await
    }

    /// Evaluates the defaults of a definition, so that no table has one that can't be stored.
    async fn complete(&self, scope: &Scope, spec: &mut TableSpec) -> ServiceResult<()> {
        let reader = scope.reader();
        let ctx = ExecContext::new(&scope.database);
        self.inner
            .sql
            .complete_spec(&reader, &ctx, spec)
            .await
            .map_err(statement_error)
    }

    pub(super) async fn remove_table(
        &self,
        context: &CallContext,
        input: DatabaseDropTableInput,
    ) -> ServiceResult<()> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let name = &input.name;
        self.answer(context, &place, Access::Write, |mut scope| async move {
            let database = scope.database.clone();
            table(&scope.reader(), &database, name)?;
            scope
                .drop_table(&database, PUBLIC_SCHEMA, name)
                .map_err(table_error)?;
            Ok((scope, ()))
        })
        .await
    }

    pub(super) async fn schema_of(
        &self,
        context: &CallContext,
        input: DatabaseGetSchemaInput,
    ) -> ServiceResult<SchemaDescription> {
        let place = Place::new(input.database, input.transaction_id);
        let scope = self.scope(context, &place, Access::Read).await?;
        let reader = scope.reader();
        let mut tables = reader.tables(&scope.database).map_err(table_error)?;
        tables.retain(|table| table.schema == PUBLIC_SCHEMA);
        tables.sort_by(|left, right| left.name.cmp(&right.name));
        let mut views = reader.views(&scope.database).map_err(table_error)?;
        views.retain(|view| view.schema == PUBLIC_SCHEMA);
        views.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(SchemaDescription {
            database: scope.database.clone(),
            schema: PUBLIC_SCHEMA.to_owned(),
            tables: tables
                .iter()
                .map(|table| described(&reader, table))
                .collect::<ServiceResult<_>>()?,
            views: views.iter().map(|view| described_view(view)).collect(),
        })
    }

    pub(super) async fn stats_of(
        &self,
        context: &CallContext,
        input: DatabaseGetTableStatsInput,
    ) -> ServiceResult<TableStats> {
        let place = Place::new(input.database, input.transaction_id);
        let scope = self.scope(context, &place, Access::Read).await?;
        let reader = scope.reader();
        let table = table(&reader, &scope.database, &input.name)?;
        let stats = reader.table_stats(&table).map_err(table_error)?;
        // Replacing and truncating change rows as well.
        let altered = (table.altered_at_us > table.created_at_us).then_some(table.altered_at_us);
        Ok(TableStats {
            row_count: stats.row_count,
            rows_bytes: stats.row_bytes,
            indexes_bytes: stats.index_bytes,
            modified_at: stats.rows_modified_at_us.max(altered).map(Timestamp::from_micros),
        })
    }

    pub(super) fn newest(&self) -> ServiceResult<TxnReader> {
        self.inner
            .tables
            .begin_read_only()
            .map(|txn| txn.reader())
            .map_err(table_error)
    }
}

fn list_name(database: &str, schema: Option<&str>) -> String {
    serde_json::json!([TABLES, database, schema]).to_string()
}

fn sized(reader: &TxnReader, database: &DatabaseDef) -> ServiceResult<Database> {
    let tables = reader.tables(&database.name).map_err(table_error)?;
    let mut size_bytes = 0;
    for table in &tables {
        let stats = reader.table_stats(table).map_err(table_error)?;
        size_bytes += stats.row_bytes + stats.index_bytes;
    }
    let count = |objects: usize| u32::try_from(objects).unwrap_or(u32::MAX);
    Ok(Database {
        name: database.name.clone(),
        created_at: Timestamp::from_micros(database.created_at_us),
        table_count: count(tables.len()),
        view_count: count(reader.views(&database.name).map_err(table_error)?.len()),
        size_bytes,
    })
}
