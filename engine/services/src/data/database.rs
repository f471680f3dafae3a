//! The `database` module: what each operation does, by name.

use rustydb_contract::stream::Subscription;
use rustydb_contract::{CallContext, Empty, ServiceResult, async_trait};
use rustydb_contract_database::{
    AggregateChange, AggregateGroups, Database, DatabaseAggregateChangesInput, DatabaseAggregateRowsInput,
    DatabaseBulkLoadRowsInput, DatabaseCountRowsInput, DatabaseCreateInput, DatabaseCreateTableInput,
    DatabaseDeleteRowInput, DatabaseDeleteRowsInput, DatabaseDetail, DatabaseDropInput,
    DatabaseDropTableInput, DatabaseEventsEvent, DatabaseEventsInput, DatabaseGetInput, DatabaseGetRowInput,
    DatabaseGetSchemaInput, DatabaseGetTableInput, DatabaseGetTableStatsInput, DatabaseInsertRowsInput,
    DatabaseList, DatabaseListInput, DatabaseListTablesInput, DatabaseQueryChangesInput,
    DatabaseQueryRowsInput, DatabaseReplaceTableInput, DatabaseRowChangesInput, DatabaseRowDeletedInput,
    DatabaseRowInsertedInput, DatabaseRowUpdatedInput, DatabaseSchemaChangesInput, DatabaseService,
    DatabaseTableChangesInput, DatabaseTableModificationsInput, DatabaseUpdateRowInput,
    DatabaseUpdateRowsInput, DatabaseUpsertRowInput, DeletedRows, InsertedRows, QueryChange, Row, RowChange,
    RowCount, RowDeleted, RowInserted, RowPage, RowUpdated, SchemaChanged, SchemaDescription, Table,
    TableList, TableModification, TableRowChange, TableStats, UpdatedRows, UpsertedRow,
};
use rustydb_contract_jobs::Job;

use super::DataEngine;
use super::errors::declared;
use super::scope::{Access, Place};
use super::writes::{change_row, remove_row};

#[async_trait]
impl DatabaseService for DataEngine {
    async fn aggregate_rows(
        &self,
        context: &CallContext,
        input: DatabaseAggregateRowsInput,
    ) -> ServiceResult<AggregateGroups> {
        self.aggregated_rows(context, input)
            .await
            .map_err(declared(context))
    }

    async fn count_rows(
        &self,
        context: &CallContext,
        input: DatabaseCountRowsInput,
    ) -> ServiceResult<RowCount> {
        self.number_of_rows(context, input)
            .await
            .map_err(declared(context))
    }

    async fn create(&self, context: &CallContext, input: DatabaseCreateInput) -> ServiceResult<Database> {
        self.make_database(context, input)
            .await
            .map_err(declared(context))
    }

    async fn create_table(
        &self,
        context: &CallContext,
        input: DatabaseCreateTableInput,
    ) -> ServiceResult<Table> {
        self.make_table(context, input).await.map_err(declared(context))
    }

    async fn drop(&self, context: &CallContext, input: DatabaseDropInput) -> ServiceResult<Empty> {
        self.remove_database(context, input)
            .await
            .map_err(declared(context))
            .map(|()| Empty {})
    }

    async fn drop_table(&self, context: &CallContext, input: DatabaseDropTableInput) -> ServiceResult<Empty> {
        self.remove_table(context, input)
            .await
            .map_err(declared(context))
            .map(|()| Empty {})
    }

    async fn get(&self, context: &CallContext, input: DatabaseGetInput) -> ServiceResult<DatabaseDetail> {
        self.one_database(input).await.map_err(declared(context))
    }

    async fn get_row(&self, context: &CallContext, input: DatabaseGetRowInput) -> ServiceResult<Row> {
        self.find_row(context, input).await.map_err(declared(context))
    }

    async fn get_schema(
        &self,
        context: &CallContext,
        input: DatabaseGetSchemaInput,
    ) -> ServiceResult<SchemaDescription> {
        self.schema_of(context, input).await.map_err(declared(context))
    }

    async fn get_table(&self, context: &CallContext, input: DatabaseGetTableInput) -> ServiceResult<Table> {
        self.one_table(context, input).await.map_err(declared(context))
    }

    async fn get_table_stats(
        &self,
        context: &CallContext,
        input: DatabaseGetTableStatsInput,
    ) -> ServiceResult<TableStats> {
        self.stats_of(context, input).await.map_err(declared(context))
    }

    async fn list(&self, context: &CallContext, input: DatabaseListInput) -> ServiceResult<DatabaseList> {
        self.databases_page(input).await.map_err(declared(context))
    }

    async fn list_tables(
        &self,
        context: &CallContext,
        input: DatabaseListTablesInput,
    ) -> ServiceResult<TableList> {
        self.tables_page(context, input).await.map_err(declared(context))
    }

    async fn query_rows(
        &self,
        context: &CallContext,
        input: DatabaseQueryRowsInput,
    ) -> ServiceResult<RowPage> {
        self.page_of_rows(context, input).await.map_err(declared(context))
    }

    async fn replace_table(
        &self,
        context: &CallContext,
        input: DatabaseReplaceTableInput,
    ) -> ServiceResult<Table> {
        self.change_table(context, input).await.map_err(declared(context))
    }

    async fn delete_row(&self, context: &CallContext, input: DatabaseDeleteRowInput) -> ServiceResult<Empty> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        let changed = self.answer(context, &place, Access::Write, |mut scope| async move {
            remove_row(&mut scope, &input.name, &input.id)?;
            Ok((scope, Empty {}))
        });
        changed.await.map_err(declared(context))
    }

    async fn delete_rows(
        &self,
        context: &CallContext,
        input: DatabaseDeleteRowsInput,
    ) -> ServiceResult<DeletedRows> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        let changed = self.answer(context, &place, Access::Write, |scope| async move {
            let (scope, deleted) = self.delete_matching(scope, &input.name, &input.filter).await?;
            Ok((scope, DeletedRows { deleted }))
        });
        changed.await.map_err(declared(context))
    }

    async fn bulk_load_rows(
        &self,
        context: &CallContext,
        input: DatabaseBulkLoadRowsInput,
    ) -> ServiceResult<Job> {
        self.load_rows(context, input).await.map_err(declared(context))
    }

    async fn insert_rows(
        &self,
        context: &CallContext,
        input: DatabaseInsertRowsInput,
    ) -> ServiceResult<InsertedRows> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        let changed = self.answer(context, &place, Access::Write, |scope| async move {
            let (scope, ids) = self.add_rows(scope, &input.name, &input.rows, "rows", 0).await?;
            Ok((
                scope,
                InsertedRows {
                    inserted: ids.len() as u64,
                    ids,
                },
            ))
        });
        changed.await.map_err(declared(context))
    }

    async fn update_row(&self, context: &CallContext, input: DatabaseUpdateRowInput) -> ServiceResult<Row> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        let changed = self.answer(context, &place, Access::Write, |mut scope| async move {
            let row = change_row(&mut scope, &input.name, &input.id, &input.values)?;
            Ok((scope, row))
        });
        changed.await.map_err(declared(context))
    }

    async fn update_rows(
        &self,
        context: &CallContext,
        input: DatabaseUpdateRowsInput,
    ) -> ServiceResult<UpdatedRows> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        let changed = self.answer(context, &place, Access::Write, |scope| async move {
            let (scope, updated) = self
                .change_matching(scope, &input.name, &input.filter, &input.values)
                .await?;
            Ok((scope, UpdatedRows { updated }))
        });
        changed.await.map_err(declared(context))
    }

    async fn upsert_row(
        &self,
        context: &CallContext,
        input: DatabaseUpsertRowInput,
    ) -> ServiceResult<UpsertedRow> {
        let place = Place::new(input.database.clone(), input.transaction_id);
        let input = &input;
        let changed = self.answer(context, &place, Access::Write, |scope| async move {
            self.put_row(scope, input).await
        });
        changed.await.map_err(declared(context))
    }

    async fn query_changes(
        &self,
        context: &CallContext,
        input: DatabaseQueryChangesInput,
    ) -> ServiceResult<Subscription<QueryChange>> {
        self.watch_query(context, input).await.map_err(declared(context))
    }

    async fn aggregate_changes(
        &self,
        context: &CallContext,
        input: DatabaseAggregateChangesInput,
    ) -> ServiceResult<Subscription<AggregateChange>> {
        self.watch_aggregates(context, input)
            .await
            .map_err(declared(context))
    }

    async fn table_changes(
        &self,
        context: &CallContext,
        input: DatabaseTableChangesInput,
    ) -> ServiceResult<Subscription<TableRowChange>> {
        self.watch_table(input).await.map_err(declared(context))
    }

    async fn row_inserted(
        &self,
        context: &CallContext,
        input: DatabaseRowInsertedInput,
    ) -> ServiceResult<Subscription<RowInserted>> {
        self.watch_inserts(input).await.map_err(declared(context))
    }

    async fn row_updated(
        &self,
        context: &CallContext,
        input: DatabaseRowUpdatedInput,
    ) -> ServiceResult<Subscription<RowUpdated>> {
        self.watch_updates(input).await.map_err(declared(context))
    }

    async fn row_deleted(
        &self,
        context: &CallContext,
        input: DatabaseRowDeletedInput,
    ) -> ServiceResult<Subscription<RowDeleted>> {
        self.watch_deletes(input).await.map_err(declared(context))
    }

    async fn row_changes(
        &self,
        context: &CallContext,
        input: DatabaseRowChangesInput,
    ) -> ServiceResult<Subscription<RowChange>> {
        self.watch_row(input).await.map_err(declared(context))
    }

    async fn table_modifications(
        &self,
        context: &CallContext,
        input: DatabaseTableModificationsInput,
    ) -> ServiceResult<Subscription<TableModification>> {
        self.watch_tables(input).await.map_err(declared(context))
    }

    async fn schema_changes(
        &self,
        context: &CallContext,
        input: DatabaseSchemaChangesInput,
    ) -> ServiceResult<Subscription<SchemaChanged>> {
        self.watch_definitions(input).await.map_err(declared(context))
    }

    async fn events(
        &self,
        context: &CallContext,
        input: DatabaseEventsInput,
    ) -> ServiceResult<Subscription<DatabaseEventsEvent>> {
        self.watch_database(input).await.map_err(declared(context))
    }
}
