//! The views of the stream `database.changes`.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::{StreamExt, stream};
use rustydb_contract::stream::{Body, Control, Item, Subscription};
use rustydb_contract::{Cursor, ServiceResult, Timestamp};
use rustydb_contract_database::{
    ChangeType, DatabaseEventsEvent, DatabaseEventsInput, DatabaseRowChangesInput, DatabaseRowDeletedInput,
    DatabaseRowInsertedInput, DatabaseRowUpdatedInput, DatabaseSchemaChangesInput, DatabaseTableChangesInput,
    DatabaseTableModificationsInput, Filter, Row, RowChange, RowDeleted, RowInserted, RowUpdated,
    SchemaChanged, SchemaObjectType, TableModification, TableModified, TableRowChange,
};
use rustydb_store::feed::{Change, Commit};
use rustydb_store::seam::KeyRange;
use rustydb_store::tables::{MAIN_DATABASE, TxnReader};
use rustydb_store::types::{RowKey, TableDef};

use super::definitions::schema_changed;
use super::rows::{Changed, RowWatch, Tables, transaction_id};
use super::{Mapping, Reading, Start, items, subscribe};
use crate::data::DataEngine;
use crate::data::definitions::table;
use crate::data::errors::{database_not_found, statement_error, table_error};
use crate::data::filter::row_filter;
use crate::data::values::{row_key, shown};
use crate::identity::blocking::blocking;

/// Rows that a snapshot reads at once.
const SNAPSHOT_ROWS: usize = 512;

/// A view of one event per changed row.
struct RowView<F> {
    watch: RowWatch,
    /// Whether the subscription ends with its table.
    is_of_one_table: bool,
    event: F,
}

/// What a row view is asked about.
enum Told<'a> {
    Row(&'a Changed),
    Truncated(&'a TableDef),
}

impl<E, F> Mapping for RowView<F>
where
    E: Send + 'static,
    F: FnMut(&Commit, Told<'_>) -> ServiceResult<Option<E>> + Send + 'static,
{
    type Event = E;

    fn map(&mut self, commit: &Commit, change: &Change) -> ServiceResult<Option<E>> {
        match change {
            Change::Row(row) => match self.watch.changed(row)? {
                Some(changed) => (self.event)(commit, Told::Row(&changed)),
                None => Ok(None),
            },
            Change::Definition { .. } => {
                if self.is_of_one_table {
                    self.watch.still_there(change)?;
                }
                match self.watch.truncated(change) {
                    Some(table) => (self.event)(commit, Told::Truncated(table)),
                    None => Ok(None),
                }
            }
        }
    }
}

/// A view of one event per changed definition.
struct DefinitionView<F> {
    database: String,
    event: F,
}

impl<F> Mapping for DefinitionView<F>
where
    F: FnMut(SchemaChanged) -> Option<SchemaChanged> + Send + 'static,
{
    type Event = SchemaChanged;

    fn map(&mut self, commit: &Commit, change: &Change) -> ServiceResult<Option<SchemaChanged>> {
        let Change::Definition { change, statement } = change else {
            return Ok(None);
        };
        let told = schema_changed(&self.database, commit, change, statement.as_deref());
        Ok(told.and_then(|told| (self.event)(told)))
    }
}

struct EventsView {
    watch: RowWatch,
}

impl Mapping for EventsView {
    type Event = DatabaseEventsEvent;

    fn map(&mut self, commit: &Commit, change: &Change) -> ServiceResult<Option<DatabaseEventsEvent>> {
        match change {
            Change::Row(row) => {
                let changed = self.watch.changed(row)?;
                let event = changed
                    .map(|changed| table_modified(commit, &changed))
                    .transpose()?;
                Ok(event.map(DatabaseEventsEvent::TableModified))
            }
            Change::Definition { change, statement } => {
                let told = schema_changed(&self.watch.database, commit, change, statement.as_deref());
                Ok(told
                    .filter(|told| self.watch.is_about(told))
                    .map(DatabaseEventsEvent::SchemaChanged))
            }
        }
    }
}

impl RowWatch {
    /// Whether a change of definitions is of a watched table, or no table's.
    fn is_about(&self, told: &SchemaChanged) -> bool {
        told.object_type != SchemaObjectType::Table || self.has_table(&told.object_name)
    }
}

fn table_modified(commit: &Commit, changed: &Changed) -> ServiceResult<TableModified> {
    Ok(TableModified {
        table: changed.table.name.clone(),
        operation: changed.change_type(),
        row_id: Some(changed.id()?),
        row_data: changed.row()?.map(|row| row.data),
        old_row_data: changed.old_row()?.map(|row| row.data),
        changed_columns: changed_columns(changed),
        transaction_id: transaction_id(commit),
    })
}

fn changed_columns(changed: &Changed) -> Option<Vec<String>> {
    (changed.change_type() == ChangeType::Update).then(|| changed.changed_columns())
}

impl DataEngine {
    pub(in crate::data) async fn watch_table(
        &self,
        input: DatabaseTableChangesInput,
    ) -> ServiceResult<Subscription<TableRowChange>> {
        let database = database_of(input.database);
        let mapping = self.row_view(&database, &input.table, input.where_clause.as_ref(), row_change)?;
        let snapshot = input.snapshot.unwrap_or(false) && input.cursor.is_none();
        if !snapshot {
            return subscribe(self, &database, start(input.cursor), mapping);
        }
        let txn = self.inner.tables.begin_read_only().map_err(table_error)?;
        let reader = txn.reader();
        let table = table(&reader, &database, &input.table)?;
        let state = Start::State(reader.snapshot_seq());
        let reading = Reading::begin(self, &database, state, mapping)?;
        let cursor = reading.cursors.cursor(reading.position);
        let snapshot = Snapshot {
            engine: self.clone(),
            filter: input.where_clause,
            table,
            reader,
            after: None,
            rows: VecDeque::new(),
            sent: 0,
            at: Timestamp::from_micros(self.inner.clock.now_us()),
            end: Some(cursor.clone()),
        };
        // Nobody who was cut off midway can go on there: the position is told when all rows are.
        Ok(Subscription::new(None, snapshot.items().chain(items(reading))))
    }

    pub(in crate::data) async fn watch_inserts(
        &self,
        input: DatabaseRowInsertedInput,
    ) -> ServiceResult<Subscription<RowInserted>> {
        let database = database_of(input.database);
        let mapping = self.row_view(&database, &input.table, input.where_clause.as_ref(), |_, told| {
            let Told::Row(changed) = told else { return Ok(None) };
            if changed.change_type() != ChangeType::Insert {
                return Ok(None);
            }
            let table = changed.table.name.clone();
            Ok(changed.row()?.map(|row| RowInserted { table, row }))
        })?;
        subscribe(self, &database, start(input.cursor), mapping)
    }

    pub(in crate::data) async fn watch_updates(
        &self,
        input: DatabaseRowUpdatedInput,
    ) -> ServiceResult<Subscription<RowUpdated>> {
        let database = database_of(input.database);
        let mapping = self.row_view(&database, &input.table, input.where_clause.as_ref(), |_, told| {
            let Told::Row(changed) = told else { return Ok(None) };
            let table = changed.table.name.clone();
            let changed_fields = changed.changed_columns();
            let rows = changed.old_row()?.zip(changed.row()?);
            Ok(rows.map(|(old_row, new_row)| RowUpdated {
                table,
                old_row,
                new_row,
                changed_fields,
            }))
        })?;
        subscribe(self, &database, start(input.cursor), mapping)
    }

    pub(in crate::data) async fn watch_deletes(
        &self,
        input: DatabaseRowDeletedInput,
    ) -> ServiceResult<Subscription<RowDeleted>> {
        let database = database_of(input.database);
        let mapping = self.row_view(&database, &input.table, input.where_clause.as_ref(), |_, told| {
            let Told::Row(changed) = told else { return Ok(None) };
            if changed.change_type() != ChangeType::Delete {
                return Ok(None);
            }
            let table = changed.table.name.clone();
            let id = changed.id()?;
            Ok(changed
                .old_row()?
                .map(|old_row| RowDeleted { table, id, old_row }))
        })?;
        subscribe(self, &database, start(input.cursor), mapping)
    }

    pub(in crate::data) async fn watch_row(
        &self,
        input: DatabaseRowChangesInput,
    ) -> ServiceResult<Subscription<RowChange>> {
        let database = database_of(input.database);
        let watched = input.id;
        {
            let txn = self.inner.tables.begin_read_only().map_err(table_error)?;
            row_key(&*table(&txn.reader(), &database, &input.table)?, &watched)?;
        }
        let mapping = self.row_view(&database, &input.table, None, move |_, told| {
            let change = |table: &TableDef, change_type, row| {
                Some(RowChange {
                    table: table.name.clone(),
                    id: watched.clone(),
                    change_type,
                    row,
                })
            };
            let changed = match told {
                Told::Truncated(table) => return Ok(change(table, ChangeType::Truncate, None)),
                Told::Row(changed) => changed,
            };
            let row = changed.row()?;
            let is_it = changed.id()? == watched || row.as_ref().is_some_and(|row| row.id == watched);
            Ok(is_it
                .then(|| change(&changed.table, changed.change_type(), row))
                .flatten())
        })?;
        subscribe(self, &database, start(input.cursor), mapping)
    }

    pub(in crate::data) async fn watch_tables(
        &self,
        input: DatabaseTableModificationsInput,
    ) -> ServiceResult<Subscription<TableModification>> {
        let database = database_of(input.database);
        {
            let txn = self.inner.tables.begin_read_only().map_err(table_error)?;
            for name in &input.tables {
                table(&txn.reader(), &database, name)?;
            }
        }
        let wanted = input.change_types;
        let is_wanted =
            move |change: &ChangeType| wanted.as_ref().is_none_or(|wanted| wanted.contains(change));
        let mapping = RowView {
            watch: RowWatch::new(self, database.clone(), Tables::Named(input.tables), None),
            is_of_one_table: false,
            event: move |commit: &Commit, told: Told<'_>| {
                let event = modification(commit, told)?;
                Ok(Some(event).filter(|event| is_wanted(&event.change_type)))
            },
        };
        subscribe(self, &database, start(input.cursor), mapping)
    }

    pub(in crate::data) async fn watch_definitions(
        &self,
        input: DatabaseSchemaChangesInput,
    ) -> ServiceResult<Subscription<SchemaChanged>> {
        let database = database_of(input.database);
        self.require_database(&database)?;
        let (schema, kinds) = (input.schema_name, input.object_types);
        let mapping = DefinitionView {
            database: database.clone(),
            event: move |told: SchemaChanged| {
                let wanted = (schema.is_none() || told.schema_name == schema)
                    && kinds
                        .as_ref()
                        .is_none_or(|kinds| kinds.contains(&told.object_type));
                wanted.then_some(told)
            },
        };
        subscribe(self, &database, start(input.cursor), mapping)
    }

    pub(in crate::data) async fn watch_database(
        &self,
        input: DatabaseEventsInput,
    ) -> ServiceResult<Subscription<DatabaseEventsEvent>> {
        let database = database_of(input.database);
        self.require_database(&database)?;
        let tables = input.tables.map_or(Tables::All, Tables::Named);
        let mapping = EventsView {
            watch: RowWatch::new(self, database.clone(), tables, None),
        };
        subscribe(self, &database, start(input.cursor), mapping)
    }

    /// A view of the rows of one table, which is there.
    fn row_view<E, F>(
        &self,
        database: &str,
        name: &str,
        filter: Option<&Filter>,
        event: F,
    ) -> ServiceResult<RowView<F>>
    where
        F: FnMut(&Commit, Told<'_>) -> ServiceResult<Option<E>> + Send + 'static,
    {
        let filter = filter
            .map(|filter| row_filter(filter, "where_clause"))
            .transpose()?;
        let txn = self.inner.tables.begin_read_only().map_err(table_error)?;
        let table = table(&txn.reader(), database, name)?;
        let tables = Tables::Named(vec![name.to_owned()]);
        let watch = RowWatch::new(self, database.to_owned(), tables, filter);
        watch.check(&table)?;
        Ok(RowView {
            watch,
            is_of_one_table: true,
            event,
        })
    }

    pub(in crate::data) fn require_database(&self, name: &str) -> ServiceResult<()> {
        let txn = self.inner.tables.begin_read_only().map_err(table_error)?;
        match txn.database(name).map_err(table_error)? {
            Some(_) => Ok(()),
            None => Err(database_not_found(name)),
        }
    }
}

pub(super) fn database_of(named: Option<String>) -> String {
    named.unwrap_or_else(|| MAIN_DATABASE.to_owned())
}

fn start(cursor: Option<Cursor>) -> Start {
    cursor.map_or(Start::Now, Start::Behind)
}

fn row_change(commit: &Commit, told: Told<'_>) -> ServiceResult<Option<TableRowChange>> {
    let change = match told {
        Told::Truncated(table) => TableRowChange {
            table: table.name.clone(),
            change_type: ChangeType::Truncate,
            row: None,
            old_row: None,
            transaction_id: transaction_id(commit),
        },
        Told::Row(changed) => TableRowChange {
            table: changed.table.name.clone(),
            change_type: changed.change_type(),
            row: changed.row()?,
            old_row: changed.old_row()?,
            transaction_id: transaction_id(commit),
        },
    };
    Ok(Some(change))
}

fn modification(commit: &Commit, told: Told<'_>) -> ServiceResult<TableModification> {
    Ok(match told {
        Told::Truncated(table) => TableModification {
            table: table.name.clone(),
            change_type: ChangeType::Truncate,
            row_id: None,
            row: None,
            changed_columns: None,
            transaction_id: transaction_id(commit),
        },
        Told::Row(changed) => TableModification {
            table: changed.table.name.clone(),
            change_type: changed.change_type(),
            row_id: Some(changed.id()?),
            row: changed.row()?,
            changed_columns: changed_columns(changed),
            transaction_id: transaction_id(commit),
        },
    })
}

/// The rows of a table at one state, read page by page as they are asked for.
struct Snapshot {
    engine: DataEngine,
    filter: Option<Filter>,
    table: Arc<TableDef>,
    reader: TxnReader,
    /// The last key that was read.
    after: Option<Vec<u8>>,
    rows: VecDeque<Row>,
    sent: u64,
    at: Timestamp,
    /// Where the changes begin; `None` once it is told.
    end: Option<Cursor>,
}

impl Snapshot {
    fn items(self) -> impl futures::Stream<Item = ServiceResult<Item<TableRowChange>>> + Send + 'static {
        stream::unfold(Some(self), async |snapshot| {
            let snapshot = snapshot?;
            match snapshot.next().await {
                Ok(Some((item, snapshot))) => Some((Ok(item), Some(snapshot))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(mut self) -> ServiceResult<Option<(Item<TableRowChange>, Snapshot)>> {
        while self.rows.is_empty() {
            let Some(cursor) = self.end.clone() else {
                return Ok(None);
            };
            self = blocking(move || self.read()).await?;
            if self.rows.is_empty() && self.end.is_none() {
                let item = Item {
                    at: self.at,
                    cursor: Some(cursor),
                    body: Body::Control(Control::SnapshotComplete { rows: self.sent }),
                };
                return Ok(Some((item, self)));
            }
        }
        let Some(row) = self.rows.pop_front() else {
            return Ok(None);
        };
        self.sent += 1;
        let change = TableRowChange {
            table: self.table.name.clone(),
            change_type: ChangeType::Insert,
            row: Some(row),
            old_row: None,
            transaction_id: None,
        };
        Ok(Some((Item::event(self.at, change), self)))
    }

    /// Reads pages until one has rows that match, or there is none.
    fn read(mut self) -> ServiceResult<Snapshot> {
        let filter = self
            .filter
            .as_ref()
            .map(|filter| row_filter(filter, "where_clause"))
            .transpose()?;
        let sql = &self.engine.inner.sql;
        let predicate = filter
            .map(|filter| sql.predicate(&self.table, &filter))
            .transpose()
            .map_err(statement_error)?;
        while self.rows.is_empty() {
            let range = KeyRange {
                after: self.after.clone(),
                ..KeyRange::default()
            };
            let rows = self
                .reader
                .scan(&self.table, &range, SNAPSHOT_ROWS)
                .map_err(table_error)?;
            let Some((RowKey(last), _)) = rows.last() else {
                self.end = None;
                break;
            };
            self.after = Some(last.clone());
            let matches = match &predicate {
                Some(predicate) => predicate.matches(&rows).map_err(statement_error)?,
                None => vec![true; rows.len()],
            };
            for ((key, row), _) in rows.iter().zip(matches).filter(|(_, matches)| *matches) {
                self.rows.push_back(shown(&self.table, key, row)?);
            }
        }
        Ok(self)
    }
}
