//! Statements to logical plans, names resolved against a transaction.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult, TableReference};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement};
use rustydb_store::tables::{PUBLIC_SCHEMA, Relation, TxnReader};
use rustydb_store::types::{TableDef, ViewDef};

use crate::error::{Position, SqlError};
use crate::provider::TableView;

/// Views that read views that read views.
const VIEW_DEPTH_MAX: usize = 32;

/// Views that a statement reads, each as often as it is named.
const VIEWS_EXPANDED_MAX: usize = 1_000;

/// Steps of a plan. What a statement names is bounded before it is planned; what stands behind each view that it names
/// is not.
const PLAN_STEPS_MAX: usize = 10_000;

/// How the target of a statement that changes rows is named in the SELECT made of it.
pub(crate) const TARGET: &str = "\u{1}target";

/// What a statement is planned against.
pub(crate) struct Scope<'a> {
    pub state: &'a SessionState,
    pub reader: &'a TxnReader,
    pub database: &'a str,
    /// The table that [`TARGET`] names, with its row keys.
    pub target: Option<Arc<TableDef>>,
    depth: usize,
    /// Views read so far, by the views above as well.
    expanded: Arc<AtomicUsize>,
    /// Tables and views named directly, for the dependencies of a view.
    named: RefCell<BTreeSet<String>>,
    /// The same, and what those views name in turn.
    reached: RefCell<BTreeSet<String>>,
}

impl<'a> Scope<'a> {
    pub fn new(state: &'a SessionState, reader: &'a TxnReader, database: &'a str) -> Scope<'a> {
        Scope {
            state,
            reader,
            database,
            target: None,
            depth: 0,
            expanded: Arc::default(),
            named: RefCell::default(),
            reached: RefCell::default(),
        }
    }

    pub fn with_target(mut self, target: Arc<TableDef>) -> Scope<'a> {
        self.target = Some(target);
        self
    }

    /// The plan of a query that `rewrite::prepare` has been over.
    pub fn plan(&self, query: Query) -> DfResult<LogicalPlan> {
        crate::stack::deep(true, || {
            let plan = SqlToRel::new_with_options(self, options())
                .sql_statement_to_plan(Statement::Query(Box::new(query)))?;
            bounded(&plan)?;
            Ok(plan)
        })
    }

    pub fn named(&self) -> Vec<String> {
        self.named.borrow().iter().cloned().collect()
    }

    pub fn reached(&self) -> BTreeSet<String> {
        self.reached.borrow().clone()
    }

    fn relation(&self, name: &TableReference) -> DfResult<Relation> {
        let relation = lookup(self.reader, self.database, name).map_err(external)?;
        let key = qualified(match &relation {
            Relation::Table(table) => (&table.schema, &table.name),
            Relation::View(view) => (&view.schema, &view.name),
        });
        self.reached.borrow_mut().insert(key.clone());
        self.named.borrow_mut().insert(key);
        Ok(relation)
    }

    /// The plan of a view's query.
    pub fn view(&self, view: &ViewDef) -> DfResult<LogicalPlan> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(external(SqlError::ResultTooLarge {
                what: format!("the nesting of views below \"{}\"", view.name),
                max: VIEW_DEPTH_MAX as u64,
                unit: "levels",
                remedy: "read the tables themselves".to_owned(),
            }));
        }
        if self.expanded.fetch_add(1, Ordering::Relaxed) >= VIEWS_EXPANDED_MAX {
            return Err(external(SqlError::ResultTooLarge {
                what: "what the statement reads of views, and these of others".to_owned(),
                max: VIEWS_EXPANDED_MAX as u64,
                unit: "views",
                remedy: "read the tables themselves".to_owned(),
            }));
        }
        let inner = Scope {
            depth: self.depth + 1,
            expanded: Arc::clone(&self.expanded),
            ..Scope::new(self.state, self.reader, &view.database)
        };
        let plan = inner.plan(view_query(view).map_err(external)?)?;
        self.reached.borrow_mut().extend(inner.reached());
        Ok(plan)
    }
}

/// Fails when the plan has more steps than are worth looking at one by one.
fn bounded(plan: &LogicalPlan) -> DfResult<()> {
    let mut steps = 0;
    plan.apply_with_subqueries(|_| {
        steps += 1;
        if steps <= PLAN_STEPS_MAX {
            return Ok(TreeNodeRecursion::Continue);
        }
        Err(external(SqlError::ResultTooLarge {
            what: "the plan of the statement".to_owned(),
            max: PLAN_STEPS_MAX as u64,
            unit: "steps",
            remedy: "name views less often".to_owned(),
        }))
    })?;
    Ok(())
}

/// The prepared query of a view.
fn view_query(view: &ViewDef) -> Result<Query, SqlError> {
    let parsed = crate::parse::parse_one(&view.query)?;
    let Statement::Query(query) = parsed.ast() else {
        return Err(SqlError::Internal(format!(
            "the view \"{}\" is not a query",
            view.name
        )));
    };
    crate::rewrite::prepared(query.as_ref(), &[], true)
}

/// How dependencies name a relation: alone in schema `public`, else with its schema.
fn qualified((schema, name): (&String, &String)) -> String {
    if schema == PUBLIC_SCHEMA {
        name.clone()
    } else {
        format!("{schema}.{name}")
    }
}

/// The table or view of a name in SQL text.
pub(crate) fn lookup(
    reader: &TxnReader,
    database: &str,
    name: &TableReference,
) -> Result<Relation, SqlError> {
    let shown = || match name {
        TableReference::Bare { table } => table.to_string(),
        TableReference::Partial { schema, table } => format!("{schema}.{table}"),
        TableReference::Full {
            catalog,
            schema,
            table,
        } => format!("{catalog}.{schema}.{table}"),
    };
    if let Some(other) = name.catalog().filter(|catalog| *catalog != database) {
        return Err(SqlError::unsupported(
            format!("reading database \"{other}\" from database \"{database}\""),
            Position::UNKNOWN,
            "send the statement to that database",
        ));
    }
    let schema = name.schema().unwrap_or(PUBLIC_SCHEMA);
    match reader.relation(database, schema, name.table())? {
        Some(relation) => Ok(relation),
        None => {
            // A missing database is the better answer than a missing table.
            if reader.database(database)?.is_none() {
                let name = database.to_owned();
                return Err(SqlError::Table(
                    rustydb_store::tables::TableError::DatabaseNotFound { name },
                ));
            }
            Err(SqlError::TableNotFound {
                database: database.to_owned(),
                name: shown(),
                at: Position::UNKNOWN,
            })
        }
    }
}

pub(crate) fn external(error: SqlError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Literals like 0.1 are exact; unquoted names fold to lower case; errors know their place.
pub(crate) fn options() -> ParserOptions {
    ParserOptions::new()
        .with_parse_float_as_decimal(true)
        .with_map_string_types_to_utf8view(false)
        .with_support_varchar_with_length(false)
        .with_collect_spans(true)
}

impl ContextProvider for Scope<'_> {
    fn get_table_source(&self, name: TableReference) -> DfResult<Arc<dyn TableSource>> {
        if let (Some(target), TARGET) = (&self.target, name.table()) {
            return Ok(provider_as_source(Arc::new(TableView::with_key(
                Arc::clone(target),
                self.reader.clone(),
            ))));
        }
        match self.relation(&name)? {
            Relation::Table(table) => Ok(provider_as_source(Arc::new(TableView::new(
                table,
                self.reader.clone(),
            )))),
            Relation::View(view) => {
                let plan = self.view(&view)?;
                Ok(provider_as_source(Arc::new(ViewTable::new(plan, None))))
            }
        }
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> DfResult<Arc<dyn TableSource>> {
        let Some(function) = self.state.table_functions().get(name) else {
            return Err(external(SqlError::FunctionNotFound {
                name: name.to_owned(),
                at: Position::UNKNOWN,
            }));
        };
        let arguments = datafusion::catalog::TableFunctionArgs::new(&args, self.state);
        Ok(provider_as_source(
            function.create_table_provider_with_args(arguments)?,
        ))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> DfResult<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        None
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
