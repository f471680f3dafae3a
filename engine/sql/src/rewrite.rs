//! Changes to the syntax tree before planning: parameters become literals, types that Arrow lacks become checked
//! casts, and result columns get PostgreSQL's names.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Fetch, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, LimitClause, ObjectName, ObjectNamePart, OrderBy,
    OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TimezoneInfo,
    TypedString, UnaryOperator, Value, VisitMut, VisitorMut,
};
use serde_json::Value as Json;

use crate::error::{Result, SqlError};
use crate::functions::{TO_JSON, TO_UUID};
use crate::parse::INTERNAL_MARK;

/// Most parameters of one statement.
pub const PARAMETERS_MAX: usize = 10_000;

/// Prepares a statement or a part of one. Every parameter must be used, and every mark have its parameter.
pub(crate) fn prepare<T: VisitMut>(node: &mut T, params: &[Json]) -> Result<()> {
    prepare_all(std::slice::from_mut(node), params)
}

/// Prepares parts that share their parameters: each must be used by one of them at least.
pub(crate) fn prepare_all<T: VisitMut>(nodes: &mut [T], params: &[Json]) -> Result<()> {
    if params.len() > PARAMETERS_MAX {
        return Err(SqlError::InvalidParameter {
            index: 0,
            message: format!(
                "{} parameters are too many; at most {PARAMETERS_MAX} are allowed",
                params.len()
            ),
        });
    }
    let mut pass = Prepare {
        params,
        used: vec![false; params.len()],
    };
    for node in nodes {
        if let ControlFlow::Break(error) = node.visit(&mut pass) {
            return Err(error);
        }
    }
    match pass.used.iter().position(|used| !used) {
        None => Ok(()),
        Some(unused) => Err(SqlError::InvalidParameter {
            index: unused + 1,
            message: format!(
                "the statement has no ${}; it got {} parameters",
                unused + 1,
                params.len()
            ),
        }),
    }
}

/// A prepared copy; `long` as in [`crate::stack::deep`].
pub(crate) fn prepared<T: VisitMut + Clone>(node: &T, params: &[Json], long: bool) -> Result<T> {
    crate::stack::deep(long, || {
        let mut copy = node.clone();
        prepare(&mut copy, params)?;
        Ok(copy)
    })
}

/// An identifier that case folding leaves alone.
pub(crate) fn quoted(name: impl Into<String>) -> Ident {
    Ident::with_quote('"', name)
}

/// A name as the catalog has it: folded to lower case unless quoted.
pub(crate) fn normalized(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}

/// The parts of a name, folded.
pub(crate) fn parts(name: &ObjectName) -> Vec<String> {
    let ident = |part: &ObjectNamePart| part.as_ident().map(normalized).unwrap_or_default();
    name.0.iter().map(ident).collect()
}

/// The visible part of a column name.
pub(crate) fn visible(name: &str) -> &str {
    match name.strip_prefix(INTERNAL_MARK) {
        Some(rest) => rest.split_once(':').map_or(rest, |(_, shown)| shown),
        None => name,
    }
}

struct Prepare<'a> {
    params: &'a [Json],
    used: Vec<bool>,
}

impl Prepare<'_> {
    fn parameter(&mut self, mark: &str) -> Result<Expr> {
        let index: usize = mark
            .strip_prefix('$')
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0);
        match (
            index.checked_sub(1).and_then(|place| self.params.get(place)),
            self.used.get_mut(index.wrapping_sub(1)),
        ) {
            (Some(value), Some(used)) => {
                *used = true;
                Ok(literal(value))
            }
            _ => Err(SqlError::InvalidParameter {
                index,
                message: format!(
                    "the statement uses it, but {} parameters were given",
                    self.params.len()
                ),
            }),
        }
    }
}

/// A literal of the value. It takes its type from where it stands, as text in quotes does.
pub(crate) fn literal(value: &Json) -> Expr {
    let plain = |value: Value| Expr::Value(value.with_empty_span());
    match value {
        Json::Null => plain(Value::Null),
        Json::Bool(value) => plain(Value::Boolean(*value)),
        Json::Number(number) => {
            let text = number.to_string();
            match text.strip_prefix('-') {
                Some(digits) => {
                    let expr = Box::new(positive(digits));
                    Expr::Nested(Box::new(Expr::UnaryOp {
                        op: UnaryOperator::Minus,
                        expr,
                    }))
                }
                None => positive(&text),
            }
        }
        Json::String(text) => plain(Value::SingleQuotedString(text.clone())),
        Json::Array(_) | Json::Object(_) => plain(Value::SingleQuotedString(value.to_string())),
    }
}

fn positive(digits: &str) -> Expr {
    if !digits.contains(['e', 'E']) {
        return Expr::Value(Value::Number(digits.to_owned(), false).with_empty_span());
    }
    // An exponent is beyond what a decimal literal can hold.
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(
            Value::SingleQuotedString(digits.to_owned()).with_empty_span(),
        )),
        data_type: DataType::DoublePrecision,
        array: false,
        format: None,
    }
}

pub(crate) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args
        .into_iter()
        .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)))
        .collect();
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(quoted(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn checked_cast(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Uuid => Some(TO_UUID),
        DataType::JSON => Some(TO_JSON),
        _ => None,
    }
}

/// Microseconds are what stored timestamps have; DataFusion would take nanoseconds and a range of 584 years.
fn plain_type(data_type: &mut DataType) {
    match data_type {
        DataType::Timestamp(precision @ None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
        | DataType::Timestamp(precision @ None, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
            *precision = Some(6)
        }
        DataType::Float(ExactNumberInfo::None) => *data_type = DataType::DoublePrecision,
        _ => {}
    }
}

impl VisitorMut for Prepare<'_> {
    type Break = SqlError;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Value(value) => {
                if let Value::Placeholder(mark) = &value.value {
                    match self.parameter(mark) {
                        Ok(literal) => *expr = literal,
                        Err(error) => return ControlFlow::Break(error),
                    }
                }
            }
            Expr::Cast {
                data_type,
                expr: inner,
                ..
            } => match checked_cast(data_type) {
                Some(name) => {
                    *expr = call(
                        name,
                        vec![std::mem::replace(inner, Expr::Value(Value::Null.into()))],
                    )
                }
                None => plain_type(data_type),
            },
            Expr::TypedString(TypedString { data_type, value, .. }) => match checked_cast(data_type) {
                Some(name) => *expr = call(name, vec![Expr::Value(value.clone())]),
                None => plain_type(data_type),
            },
            Expr::Function(function) if parts(&function.name) == ["gen_random_uuid"] => {
                function.name = ObjectName(vec![ObjectNamePart::Identifier(quoted("uuid"))]);
                *expr = call(
                    TO_UUID,
                    vec![std::mem::replace(expr, Expr::Value(Value::Null.into()))],
                );
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        name_columns(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        // A column's expression is known only by its name once it has one, with DISTINCT for instance.
        let Some(OrderBy {
            kind: OrderByKind::Expressions(ordered),
            ..
        }) = &mut query.order_by
        else {
            return ControlFlow::Continue(());
        };
        let SetExpr::Select(select) = query.body.as_ref() else {
            return ControlFlow::Continue(());
        };
        for OrderByExpr { expr, .. } in ordered {
            let named = select.projection.iter().find_map(|item| match item {
                SelectItem::ExprWithAlias {
                    expr: computed,
                    alias,
                } if computed == expr && !matches!(expr, Expr::Identifier(_) | Expr::Value(_)) => {
                    Some(alias.clone())
                }
                _ => None,
            });
            if let Some(alias) = named {
                *expr = Expr::Identifier(alias);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if let Some(Fetch { quantity, .. }) = query.fetch.take() {
            let one = Expr::Value(Value::Number("1".to_owned(), false).with_empty_span());
            let wanted = quantity.unwrap_or(one);
            match &mut query.limit_clause {
                Some(LimitClause::LimitOffset { limit, .. }) => *limit = Some(wanted),
                other => {
                    *other = Some(LimitClause::LimitOffset {
                        limit: Some(wanted),
                        offset: None,
                        limit_by: Vec::new(),
                    });
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Gives every computed column the name that PostgreSQL would show, and makes names unique with a prefix that
/// [`visible`] takes off again: DataFusion refuses two columns of one name where SQL does not.
fn name_columns(items: &mut [SelectItem]) {
    let wildcard = items
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut taken: HashSet<String> = HashSet::new();
    for (place, item) in items.iter_mut().enumerate() {
        let (expr, name, given) = match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = natural_name(expr);
                (expr.clone(), name, false)
            }
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), normalized(alias), true),
            _ => continue,
        };
        let column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let unique = taken.insert(name.clone());
        // A bare column beside * would be there twice under one name.
        let doubtful = column && wildcard && !given;
        if unique && (given || column) && !doubtful {
            continue;
        }
        let shown = if unique && !doubtful && !given && !wildcard {
            name
        } else {
            format!("{INTERNAL_MARK}{place}:{name}")
        };
        *item = SelectItem::ExprWithAlias {
            expr,
            alias: quoted(shown),
        };
    }
}

fn natural_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => normalized(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(normalized).unwrap_or_default(),
        Expr::Function(function) => parts(&function.name).pop().unwrap_or_default(),
        Expr::Nested(inner) => natural_name(inner),
        Expr::Cast { expr, data_type, .. } => match natural_name(expr).as_str() {
            "?column?" => data_type
                .to_string()
                .to_lowercase()
                .split('(')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            name => name.to_owned(),
        },
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Subquery(query) => match query.body.as_select().map(|select| select.projection.as_slice()) {
            Some([SelectItem::UnnamedExpr(expr)]) => natural_name(expr),
            Some([SelectItem::ExprWithAlias { alias, .. }]) => normalized(alias),
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}

/// `name AS alias` for FROM, the name taken as it is.
pub(crate) fn table_factor(name: &str, alias: Ident) -> TableFactor {
    TableFactor::Table {
        name: ObjectName(vec![ObjectNamePart::Identifier(quoted(name))]),
        alias: Some(TableAlias {
            explicit: true,
            name: alias,
            columns: Vec::new(),
            at: None,
        }),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// A SELECT with nothing but these.
pub(crate) fn select(
    projection: Vec<SelectItem>,
    from: Vec<datafusion::sql::sqlparser::ast::TableWithJoins>,
    selection: Option<Expr>,
) -> Select {
    use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
    use datafusion::sql::sqlparser::ast::{GroupByExpr, SelectFlavor};
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

/// A query with nothing but this body.
pub(crate) fn query(body: datafusion::sql::sqlparser::ast::SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
