//! CREATE, DROP and TRUNCATE.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    ColumnDef as SqlColumn, ColumnOption, CreateIndex, CreateTable, CreateView, Expr, IndexColumn,
    ObjectName, ObjectType, Query, Statement, TableConstraint, Truncate, Visit, Visitor,
};
use rustydb_store::seam::SpaceId;
use rustydb_store::tables::{
    Builder, ColumnSpec, IndexSpec, PUBLIC_SCHEMA, Relation, TableError, TableSpec, Txn, TxnReader,
    UniqueSpec, ViewSpec,
};
use rustydb_store::types::{ColumnDef, ColumnType, IndexState, ObjectId, TableDef, ViewDef};
use std::ops::ControlFlow;

use crate::dml::{atomically, table_named};
use crate::engine::{ExecContext, SqlEngine, StatementResult};
use crate::error::{Position, Result, SqlError};
use crate::failure::from_datafusion;
use crate::parse::{Locator, ParsedStatement, start_of};
use crate::planner::Scope;
use crate::rewrite::{self, normalized, parts, quoted, visible};
use crate::workers::Interrupt;

impl SqlEngine {
    /// Statements that change definitions.
    pub(crate) async fn define(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        txn.set_statement(Some(statement.text()));
        let outcome = self.define_here(txn, ctx, statement).await;
        txn.set_statement(None);
        outcome
    }

    async fn define_here(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        if !ctx.params.is_empty() {
            let message = "definitions take no parameters; write the values".to_owned();
            return Err(SqlError::InvalidParameter { index: 1, message });
        }
        let locator = statement.locator();
        match statement.ast() {
            Statement::CreateTable(create) => self.create_table(txn, ctx, create, locator).await,
            Statement::CreateView(create) => self.create_view(txn, ctx, create, locator).await,
            Statement::CreateIndex(create) => self.create_index(txn, ctx, create, statement).await,
            Statement::Truncate(truncate) => self.truncate(txn, ctx, truncate, locator),
            Statement::CreateDatabase {
                db_name,
                if_not_exists,
                ..
            } => {
                let name = single(db_name)?;
                if !(*if_not_exists && txn.database(&name)?.is_some()) {
                    atomically(txn, |txn| txn.create_database(&name))?;
                }
                Ok(StatementResult::done("CREATE DATABASE", 0))
            }
            Statement::Drop {
                object_type,
                if_exists,
                names,
                ..
            } => self.drop_objects(txn, ctx, *object_type, *if_exists, names, locator),
            _ => Err(SqlError::unsupported(
                "this statement",
                statement.start(),
                "see the SQL reference",
            )),
        }
    }

    async fn create_index(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        create: &CreateIndex,
        statement: &ParsedStatement,
    ) -> Result<StatementResult> {
        const DONE: &str = "CREATE INDEX";
        let locator = statement.locator();
        let (schema, table) = place(ctx, &create.table_name, locator)?;
        let name = create.name.as_ref().map(parts).and_then(|mut parts| parts.pop());
        let spec = IndexSpec {
            database: ctx.database.clone(),
            schema,
            name: name.unwrap_or_default(),
            table,
            columns: key_names(&create.columns),
            unique: create.unique,
        };
        if create.if_not_exists
            && let Some((_, index)) = txn.index(&spec.database, &spec.schema, &spec.name)?
        {
            return match index.state {
                IndexState::Ready => Ok(StatementResult::done(DONE, 0)),
                IndexState::Building => Err(TableError::IndexBuilding { name: spec.name }.into()),
            };
        }
        let outcome = if ctx.alone {
            self.build_index(txn, spec, Some(statement.text())).await
        } else {
            atomically(txn, |txn| txn.create_index(&spec)).map(|_| ())
        };
        outcome.map_err(|error| match error {
            SqlError::Table(TableError::ColumnNotFound { table, column }) => SqlError::ColumnNotFound {
                at: locator.find_name(&column),
                name: column,
                hint: format!("; table \"{table}\" has no such column"),
            },
            other => other,
        })?;
        Ok(StatementResult::done(DONE, 0))
    }

    /// Makes an index while others write, in commits of its own: `txn` only says where and by whom. Dropping the call
    /// stops the build, which then removes what there is of it.
    pub async fn build_index(&self, txn: &Txn, spec: IndexSpec, statement: Option<&str>) -> Result<()> {
        let tables = txn.store_tables().clone();
        let (origin, statement) = (txn.origin().cloned(), statement.map(str::to_owned));
        let work = move |interrupt: Interrupt| {
            let mut watch = |_| match interrupt.check() {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            let by = Builder {
                origin,
                statement: statement.as_deref(),
                watch: &mut watch,
            };
            Ok(tables.create_index(&spec, by)?)
        };
        self.workers.blocking(work).await
    }

    async fn create_table(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        create: &CreateTable,
        locator: Locator<'_>,
    ) -> Result<StatementResult> {
        let (schema, name) = place(ctx, &create.name, locator)?;
        if create.if_not_exists {
            match txn.relation(&ctx.database, &schema, &name)? {
                None => {}
                Some(Relation::Table(_)) => return Ok(StatementResult::done("CREATE TABLE", 0)),
                Some(Relation::View(_)) => {
                    return Err(SqlError::Table(TableError::TableExists {
                        database: ctx.database.clone(),
                        name,
                    }));
                }
            }
        }
        let mut spec = table_spec(ctx, create, schema, name, locator)?;
        let reader = txn.reader();
        self.check_defaults(&reader, ctx, &mut spec, locator).await?;
        atomically(txn, |txn| txn.create_table(spec))?;
        Ok(StatementResult::done("CREATE TABLE", 0))
    }

    /// Evaluates each default once, so that no table has one that can't be stored; fills in constants' values.
    pub async fn complete_spec(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        spec: &mut TableSpec,
    ) -> Result<()> {
        for column in &spec.columns {
            let Some(text) = &column.default else { continue };
            let parsed = crate::parse::parse_one(&format!("SELECT {text}"))?;
            crate::refuse::refuse_unsupported(&parsed)?;
            let Statement::Query(query) = parsed.ast() else {
                return Err(SqlError::syntax(
                    format!("the default {text} is not an expression"),
                    Position::UNKNOWN,
                ));
            };
            let single = query.body.as_select().is_some_and(|select| {
                select.projection.len() == 1 && select.from.is_empty() && select.selection.is_none()
            });
            if !single || has_query(query.body.as_ref()) {
                let what = format!("the default {text}");
                return Err(SqlError::unsupported(
                    what,
                    Position::UNKNOWN,
                    "write one expression without a query",
                ));
            }
        }
        let columns: Vec<ColumnDef> = spec
            .columns
            .iter()
            .map(|column| ColumnDef {
                name: column.name.clone(),
                data_type: column.data_type,
                nullable: column.nullable,
                default: column.default.clone(),
                fill: None,
            })
            .collect();
        // Only names and types of it are looked at.
        let draft = Arc::new(TableDef {
            id: ObjectId(0),
            database: spec.database.clone(),
            schema: spec.schema.clone(),
            name: spec.name.clone(),
            columns,
            primary_key: Vec::new(),
            unique: Vec::new(),
            indexes: Vec::new(),
            space: SpaceId(0),
            schema_version: 1,
            created_at_us: 0,
            altered_at_us: 0,
        });
        for (index, column) in spec.columns.iter_mut().enumerate() {
            if column.default.is_some() {
                column.fill = self.check_default(reader, ctx, &draft, index).await?;
            }
        }
        Ok(())
    }

    async fn check_defaults(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        spec: &mut TableSpec,
        locator: Locator<'_>,
    ) -> Result<()> {
        let at = locator.find(Position::UNKNOWN, &["DEFAULT"]);
        // Places within a default's own text would mislead.
        self.complete_spec(reader, ctx, spec)
            .await
            .map_err(|error| match error {
                SqlError::Syntax { message, .. } => SqlError::Syntax { message, at },
                SqlError::ColumnNotFound { name, .. } => SqlError::ColumnNotFound {
                    name,
                    at,
                    hint: "; a default can't name columns".to_owned(),
                },
                SqlError::Unsupported { what, remedy, .. } => SqlError::Unsupported { what, at, remedy },
                SqlError::FunctionNotFound { name, .. } => SqlError::FunctionNotFound { name, at },
                other => other.at(at),
            })
    }

    async fn create_view(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        create: &CreateView,
        locator: Locator<'_>,
    ) -> Result<StatementResult> {
        let (schema, name) = place(ctx, &create.name, locator)?;
        let columns = create
            .columns
            .iter()
            .map(|column| normalized(&column.name))
            .collect();
        let reader = txn.reader();
        let spec = self
            .view_spec(
                &reader,
                ctx,
                (schema, name),
                &create.query,
                columns,
                Some(locator),
            )
            .await?;
        drop(reader);
        self.put_view(txn, spec, create.or_replace)?;
        Ok(StatementResult::done("CREATE VIEW", 0))
    }

    /// Creates a view of a query's text, or with `replace` puts it in the place of another: for operations that take
    /// definitions.
    pub async fn create_view_of(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        name: &str,
        query: &str,
        replace: bool,
    ) -> Result<Arc<ViewDef>> {
        let parsed = crate::parse::parse_one(query)?;
        crate::refuse::refuse_unsupported(&parsed)?;
        let Statement::Query(query) = parsed.ast() else {
            return Err(SqlError::syntax("a view is defined by a query", parsed.start()));
        };
        let place = (PUBLIC_SCHEMA.to_owned(), name.to_owned());
        let reader = txn.reader();
        let locator = Some(parsed.locator());
        let spec = self
            .view_spec(&reader, ctx, place, query, Vec::new(), locator)
            .await?;
        drop(reader);
        self.put_view(txn, spec, replace)
    }

    /// Makes the view. One that takes another's place must leave every view that reads it, at any depth, readable.
    fn put_view(&self, txn: &mut Txn, spec: ViewSpec, replace: bool) -> Result<Arc<ViewDef>> {
        let mark = txn.mark();
        let replaced = replace && txn.view(&spec.database, &spec.schema, &spec.name)?.is_some();
        let view = atomically(txn, |txn| txn.create_view(spec, replace))?;
        if replaced && let Err(error) = self.check_readers_of(&view, &txn.reader()) {
            txn.undo_to(&mark);
            return Err(error);
        }
        Ok(view)
    }

    /// Without waiting, and so on the caller's thread: the new view is in the transaction already, and a statement that
    /// is dropped while it waits must leave nothing there.
    fn check_readers_of(&self, changed: &ViewDef, reader: &TxnReader) -> Result<()> {
        let state = self.session.state();
        let views = reader.views(&changed.database)?;
        let mut checked = vec![false; views.len()];
        let mut next = vec![(changed.schema.as_str(), changed.name.as_str())];
        while let Some((schema, name)) = next.pop() {
            for (place, view) in views.iter().enumerate() {
                if !view.reads(schema, name) || std::mem::replace(&mut checked[place], true) {
                    continue;
                }
                let scope = Scope::new(&state, reader, &view.database);
                let planned = scope
                    .view(view)
                    .and_then(|plan| crate::stack::deep(true, || state.optimize(&plan)));
                if let Err(error) = planned {
                    let cause = from_datafusion(error, None);
                    let message = format!(
                        "the view \"{}\" reads \"{}\" and would no longer work: {cause}",
                        view.name, changed.name
                    );
                    return Err(SqlError::syntax(message, Position::UNKNOWN));
                }
                next.push((view.schema.as_str(), view.name.as_str()));
            }
        }
        Ok(())
    }

    /// Plans the query, and names its columns and what it depends on.
    async fn view_spec(
        &self,
        reader: &TxnReader,
        ctx: &ExecContext,
        (schema, name): (String, String),
        query: &Query,
        columns: Vec<String>,
        locator: Option<Locator<'_>>,
    ) -> Result<ViewSpec> {
        let prepared = rewrite::prepared(query, &[], true)?;
        let state = self.session.state();
        let scope = Scope::new(&state, reader, &ctx.database);
        let plan = scope
            .plan(prepared)
            .map_err(|error| from_datafusion(error, locator))?;
        let (depends_on, reached) = (scope.named(), scope.reached());
        drop(scope);
        // Errors of types show only here.
        let plan = self.workers.run(|_| async move { state.optimize(&plan) }).await;
        let plan = plan.map_err(|error| from_datafusion(error, locator))?;
        let own = if schema == PUBLIC_SCHEMA {
            name.clone()
        } else {
            format!("{schema}.{name}")
        };
        if reached.contains(&own) {
            let at = locator.map_or(Position::UNKNOWN, |locator| locator.find_name(&name));
            return Err(SqlError::syntax(
                format!("the view \"{name}\" would read itself"),
                at,
            ));
        }
        let found: Vec<String> = plan
            .schema()
            .fields()
            .iter()
            .map(|field| visible(field.name()).to_owned())
            .collect();
        if columns.len() > found.len() {
            let message = format!(
                "the view names {} columns, its query has {}",
                columns.len(),
                found.len()
            );
            return Err(SqlError::syntax(
                message,
                locator.map_or(Position::UNKNOWN, |locator| locator.start()),
            ));
        }
        let names: Vec<String> = columns
            .iter()
            .cloned()
            .chain(found.into_iter().skip(columns.len()))
            .collect();
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                return Err(SqlError::DuplicateColumnName { name: name.clone() });
            }
        }
        // The names are written out: what * means must not change with the tables.
        let list: Vec<String> = names.into_iter().map(|name| quoted(name).to_string()).collect();
        let text = format!(
            "SELECT * FROM ({query}) AS {} ({})",
            quoted(name.clone()),
            list.join(", ")
        );
        Ok(ViewSpec {
            database: ctx.database.clone(),
            schema,
            name,
            query: text,
            depends_on,
        })
    }

    fn drop_objects(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        kind: ObjectType,
        if_exists: bool,
        names: &[ObjectName],
        locator: Locator<'_>,
    ) -> Result<StatementResult> {
        let mut targets = Vec::new();
        for name in names {
            targets.push(match kind {
                ObjectType::Database => (String::new(), single(name)?),
                _ => place(ctx, name, locator)?,
            });
        }
        let database = ctx.database.as_str();
        atomically(txn, |txn| {
            for (schema, name) in &targets {
                let dropped = match kind {
                    ObjectType::Table => txn.drop_table(database, schema, name),
                    ObjectType::View => txn.drop_view(database, schema, name),
                    ObjectType::Index => txn.drop_index(database, schema, name),
                    _ => txn.drop_database(name),
                };
                match dropped {
                    Err(
                        TableError::TableNotFound { .. }
                        | TableError::ViewNotFound { .. }
                        | TableError::IndexNotFound { .. }
                        | TableError::DatabaseNotFound { .. },
                    ) if if_exists => {}
                    other => other?,
                }
            }
            Ok(())
        })?;
        let command = match kind {
            ObjectType::Table => "DROP TABLE",
            ObjectType::View => "DROP VIEW",
            ObjectType::Index => "DROP INDEX",
            _ => "DROP DATABASE",
        };
        Ok(StatementResult::done(command, 0))
    }

    fn truncate(
        &self,
        txn: &mut Txn,
        ctx: &ExecContext,
        truncate: &Truncate,
        locator: Locator<'_>,
    ) -> Result<StatementResult> {
        let reader = txn.reader();
        let mut tables = Vec::new();
        for target in &truncate.table_names {
            tables.push(table_named(&reader, &ctx.database, &target.name, locator)?);
        }
        let rows = atomically(txn, |txn| {
            tables.iter().try_fold(0, |sum, table| {
                txn.truncate_table(&table.database, &table.schema, &table.name)
                    .map(|rows| sum + rows)
            })
        })?;
        Ok(StatementResult::done("TRUNCATE", rows))
    }
}

fn single(name: &ObjectName) -> Result<String> {
    match parts(name).as_slice() {
        [name] => Ok(name.clone()),
        _ => Err(SqlError::syntax(
            format!("{name} is not the name of a database"),
            Position::UNKNOWN,
        )),
    }
}

/// Schema and name of an object in the statement's database.
fn place(ctx: &ExecContext, name: &ObjectName, locator: Locator<'_>) -> Result<(String, String)> {
    let mut parts = parts(name);
    let last = parts.pop().unwrap_or_default();
    let schema = parts.pop().unwrap_or_else(|| PUBLIC_SCHEMA.to_owned());
    match parts.pop() {
        Some(database) if database != ctx.database => Err(SqlError::unsupported(
            format!(
                "changing database \"{database}\" from database \"{}\"",
                ctx.database
            ),
            locator.find_name(&database),
            "send the statement to that database",
        )),
        _ => Ok((schema, last)),
    }
}

fn table_spec(
    ctx: &ExecContext,
    create: &CreateTable,
    schema: String,
    name: String,
    locator: Locator<'_>,
) -> Result<TableSpec> {
    let mut spec = TableSpec {
        database: ctx.database.clone(),
        schema,
        name,
        columns: Vec::new(),
        primary_key: Vec::new(),
        unique: Vec::new(),
    };
    for column in &create.columns {
        let column = column_spec(column, &mut spec, locator)?;
        spec.columns.push(column);
    }
    for constraint in &create.constraints {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                let at = locator.find(
                    start_of(datafusion::sql::sqlparser::ast::Spanned::span(constraint)),
                    &["PRIMARY"],
                );
                set_primary_key(&mut spec, key_names(&key.columns), at)?;
            }
            TableConstraint::Unique(unique) => spec.unique.push(UniqueSpec {
                name: unique.name.as_ref().map(normalized),
                columns: key_names(&unique.columns),
            }),
            other => {
                return Err(SqlError::unsupported(
                    format!("the constraint {other}"),
                    locator.start(),
                    "leave it out",
                ));
            }
        }
    }
    Ok(spec)
}

fn set_primary_key(spec: &mut TableSpec, columns: Vec<String>, at: Position) -> Result<()> {
    if !spec.primary_key.is_empty() {
        return Err(SqlError::syntax(
            format!("table \"{}\" has more than one PRIMARY KEY", spec.name),
            at,
        ));
    }
    spec.primary_key = columns;
    Ok(())
}

fn column_spec(column: &SqlColumn, spec: &mut TableSpec, locator: Locator<'_>) -> Result<ColumnSpec> {
    let name = normalized(&column.name);
    let at = start_of(column.name.span);
    let shown = column.data_type.to_string();
    let data_type = ColumnType::parse(&shown.to_lowercase()).map_err(|error| {
        let first = shown.split(['(', ' ']).next().unwrap_or_default();
        SqlError::unsupported(
            format!("the type {shown}"),
            locator.find(at, &[first]),
            error.to_string(),
        )
    })?;
    let mut made = ColumnSpec {
        name: name.clone(),
        data_type,
        nullable: true,
        default: None,
        fill: None,
    };
    let mut said_null = None;
    for option in &column.options {
        let said = match &option.option {
            ColumnOption::Null => Some(true),
            ColumnOption::NotNull => Some(false),
            _ => None,
        };
        if said.is_some() && said_null.is_some() && said != said_null {
            return Err(SqlError::syntax(
                format!("column \"{name}\" is both NULL and NOT NULL"),
                at,
            ));
        }
        said_null = said.or(said_null);
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => made.nullable = false,
            ColumnOption::Default(expr) => made.default = Some(expr.to_string()),
            ColumnOption::PrimaryKey(_) => {
                set_primary_key(spec, vec![name.clone()], locator.find(at, &["PRIMARY"]))?;
            }
            ColumnOption::Unique(_) => spec.unique.push(UniqueSpec {
                name: option.name.as_ref().map(normalized),
                columns: vec![name.clone()],
            }),
            other => {
                return Err(SqlError::unsupported(
                    format!("the column option {other}"),
                    at,
                    "leave it out",
                ));
            }
        }
    }
    Ok(made)
}

fn key_names(columns: &[IndexColumn]) -> Vec<String> {
    let name = |column: &IndexColumn| match &column.column.expr {
        Expr::Identifier(ident) => normalized(ident),
        other => other.to_string(),
    };
    columns.iter().map(name).collect()
}

/// Whether a query stands anywhere in an expression of the body.
fn has_query<T: Visit>(body: &T) -> bool {
    struct Find;
    impl Visitor for Find {
        type Break = ();
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    body.visit(&mut Find).is_break()
}
