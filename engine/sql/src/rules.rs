//! Analyzer rules: what SQL means here and DataFusion would take otherwise.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    AggregateUDF, Between, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF,
    WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::{Arc, LazyLock};

use rustydb_store::types::ColumnType;

use crate::columns::is_uuid;
use crate::functions::{CheckedArithmetic, CheckedNegation, checked_text};
use crate::sums::CheckedSum;

/// Rewrites each expression of a plan, bottom up, knowing the columns that it may name.
fn rewrite(
    plan: LogicalPlan,
    wanted: impl Fn(&DFSchema) -> bool,
    change: impl Fn(Expr, &DFSchema) -> DfResult<Transformed<Expr>>,
) -> DfResult<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let mut schema = merge_schema(&node.inputs());
        if let LogicalPlan::TableScan(scan) = &node {
            schema.merge(&scan.projected_schema);
        }
        if !wanted(&schema) {
            return Ok(Transformed::no(node));
        }
        let node = node.map_expressions(|expr| expr.transform_up(|expr| change(expr, &schema)))?;
        if node.transformed {
            node.map_data(LogicalPlan::recompute_schema)
        } else {
            Ok(node)
        }
    })?;
    Ok(rewritten.data)
}

/// Text that is compared with a uuid is read as a uuid, so that upper case and missing hyphens match, and
/// anything else is an error instead of no row.
#[derive(Debug)]
pub(crate) struct UuidLiterals;

impl AnalyzerRule for UuidLiterals {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        rewrite(
            plan,
            |schema| schema.fields().iter().any(|field| is_uuid(field.metadata())),
            read_literals,
        )
    }

    fn name(&self) -> &str {
        "uuid_literals"
    }
}

fn read_literals(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            let (left_is, right_is) = (is_uuid_expr(&left, schema), is_uuid_expr(&right, schema));
            let left = if right_is {
                Box::new(read_literal(*left)?)
            } else {
                left
            };
            let right = if left_is {
                Box::new(read_literal(*right)?)
            } else {
                right
            };
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::InList(InList { expr, list, negated }) if is_uuid_expr(&expr, schema) => {
            let list = list.into_iter().map(read_literal).collect::<DfResult<_>>()?;
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) if is_uuid_expr(&expr, schema) => {
            let (low, high) = (Box::new(read_literal(*low)?), Box::new(read_literal(*high)?));
            Ok(Transformed::yes(Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            })))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_uuid_expr(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr, Expr::Column(_) | Expr::ScalarFunction(_))
        && expr
            .to_field(schema)
            .is_ok_and(|(_, field)| is_uuid(field.metadata()))
}

fn read_literal(expr: Expr) -> DfResult<Expr> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), metadata) => {
            Ok(Expr::Literal(
                ScalarValue::Utf8(Some(checked_text(&text, ColumnType::Uuid)?)),
                metadata,
            ))
        }
        other => Ok(other),
    }
}

/// Integer `+`, `-`, `*` and sums fail on overflow instead of wrapping around. Runs when types are already coerced.
#[derive(Debug)]
pub(crate) struct CheckedIntegers;

static ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| checked(Operator::Plus));
static SUBTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| checked(Operator::Minus));
static MULTIPLY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| checked(Operator::Multiply));
static NEGATE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(CheckedNegation::new())));
static SUM: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| Arc::new(AggregateUDF::from(CheckedSum::new())));

fn checked(operator: Operator) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(CheckedArithmetic::new(operator)))
}

impl AnalyzerRule for CheckedIntegers {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        rewrite(plan, |_| true, check_arithmetic)
    }

    fn name(&self) -> &str {
        "checked_integers"
    }
}

fn check_arithmetic(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let function = match op {
                Operator::Plus => &ADD,
                Operator::Minus => &SUBTRACT,
                Operator::Multiply => &MULTIPLY,
                _ => return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            };
            match (integer(&left, schema), integer(&right, schema)) {
                (Some(a), Some(b)) if a == b => Ok(Transformed::yes(call(function, vec![*left, *right]))),
                _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        Expr::Negative(inner) if integer(&inner, schema).is_some() => {
            Ok(Transformed::yes(call(&NEGATE, vec![*inner])))
        }
        Expr::AggregateFunction(mut aggregate)
            if sums_bigint(&aggregate.func, &aggregate.params.args, schema) =>
        {
            aggregate.func = Arc::clone(&SUM);
            Ok(Transformed::yes(Expr::AggregateFunction(aggregate)))
        }
        Expr::WindowFunction(mut window) => match &window.fun {
            WindowFunctionDefinition::AggregateUDF(function)
                if sums_bigint(function, &window.params.args, schema) =>
            {
                window.fun = WindowFunctionDefinition::AggregateUDF(Arc::clone(&SUM));
                Ok(Transformed::yes(Expr::WindowFunction(window)))
            }
            _ => Ok(Transformed::no(Expr::WindowFunction(window))),
        },
        other => Ok(Transformed::no(other)),
    }
}

fn integer(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    match expr {
        // What this rule made of the operand has the type of its own first operand. Asking DataFusion would name
        // the whole expression at every level, in time that grows with the cube of a chain's length.
        Expr::ScalarFunction(ScalarFunction { func, args })
            if [&*ADD, &*SUBTRACT, &*MULTIPLY, &*NEGATE]
                .iter()
                .any(|own| Arc::ptr_eq(own, func)) =>
        {
            let mut innermost = args.first()?;
            while let Expr::ScalarFunction(ScalarFunction { func, args }) = innermost
                && [&*ADD, &*SUBTRACT, &*MULTIPLY, &*NEGATE]
                    .iter()
                    .any(|own| Arc::ptr_eq(own, func))
            {
                innermost = args.first()?;
            }
            innermost.get_type(schema).ok().filter(DataType::is_integer)
        }
        other => other.get_type(schema).ok().filter(DataType::is_integer),
    }
}

fn call(function: &Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args))
}

/// Whether this is DataFusion's sum over values that are bigint by themselves, not only for being summed.
fn sums_bigint(function: &Arc<AggregateUDF>, args: &[Expr], schema: &DFSchema) -> bool {
    if function.name() != "sum" || Arc::ptr_eq(function, &SUM) {
        return false;
    }
    let [arg] = args else { return false };
    let widened = match arg {
        Expr::Cast(cast) => integer(&cast.expr, schema).is_some_and(|from| from != DataType::Int64),
        _ => false,
    };
    !widened && integer(arg, schema) == Some(DataType::Int64)
}
