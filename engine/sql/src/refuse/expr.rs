//! Expressions.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, ExactNumberInfo, Expr,
    Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    Interval, Subscript, TimezoneInfo, TypedString, UnaryOperator, Value, WindowFrame, WindowFrameBound,
    WindowSpec, WindowType,
};

use super::{CALLS_NESTED_MAX, REMOVE, SHOWN_CHARS_MAX, Walk};
use crate::error::{Position, Result, SqlError};
use crate::failure::shortened;

impl Walk<'_> {
    pub(super) fn exprs(&mut self, exprs: &[Expr]) -> Result<()> {
        exprs.iter().try_for_each(|expr| self.expr(expr))
    }

    fn maybe(&mut self, expr: Option<&Expr>) -> Result<()> {
        expr.map_or(Ok(()), |expr| self.expr(expr))
    }

    pub(super) fn expr(&mut self, expr: &Expr) -> Result<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Ok(()),
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::Nested(inner) => self.expr(inner),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.expr(left)?;
                self.expr(right)
            }
            Expr::InList {
                expr,
                list,
                negated: _,
            } => {
                self.expr(expr)?;
                self.exprs(list)
            }
            Expr::InSubquery {
                expr,
                subquery,
                negated: _,
            } => {
                self.expr(expr)?;
                self.query(subquery)
            }
            Expr::Between {
                expr,
                negated: _,
                low,
                high,
            } => {
                self.expr(expr)?;
                self.expr(low)?;
                self.expr(high)
            }
            Expr::BinaryOp { left, op, right } => {
                self.expr(left)?;
                self.binary_operator(op, expr)?;
                self.expr(right)
            }
            Expr::Like {
                negated: _,
                any,
                expr,
                pattern,
                escape_char: _,
            }
            | Expr::ILike {
                negated: _,
                any,
                expr,
                pattern,
                escape_char: _,
            } => {
                let at = self.here(expr.as_ref());
                self.no_named(*any, at, &["ANY"], "LIKE ANY", "join several LIKE with OR")?;
                self.expr(expr)?;
                self.expr(pattern)
            }
            Expr::SimilarTo {
                negated: _,
                expr,
                pattern,
                escape_char: _,
            } => {
                self.expr(expr)?;
                self.expr(pattern)
            }
            Expr::UnaryOp { op, expr: inner } => {
                match op {
                    UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not => {}
                    other => {
                        let what = format!("the operator {other}");
                        return Err(SqlError::unsupported(what, self.here(expr), "use a function"));
                    }
                }
                self.expr(inner)
            }
            Expr::Cast {
                kind,
                expr: inner,
                data_type,
                array,
                format,
            } => {
                let at = self.here(expr);
                self.data_type(data_type, at)?;
                match kind {
                    CastKind::Cast | CastKind::DoubleColon | CastKind::TryCast => {}
                    CastKind::SafeCast => {
                        return Err(SqlError::unsupported("SAFE_CAST", at, "write TRY_CAST"));
                    }
                }
                self.no_named(*array, at, &["ARRAY"], "a cast to an array", REMOVE)?;
                self.no(format.is_some(), at, &["FORMAT"], "use to_char or to_timestamp")?;
                self.expr(inner)
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                self.expr(timestamp)?;
                self.expr(time_zone)
            }
            Expr::Extract {
                field: _,
                syntax: _,
                expr,
            } => self.expr(expr),
            Expr::Ceil { expr: inner, field } | Expr::Floor { expr: inner, field } => {
                let plain = match field {
                    CeilFloorKind::DateTimeField(field) => field.to_string().is_empty(),
                    CeilFloorKind::Scale(_) => false,
                };
                self.no_named(
                    !plain,
                    self.here(expr),
                    &[],
                    "a unit in CEIL or FLOOR",
                    "use date_trunc or round",
                )?;
                self.expr(inner)
            }
            Expr::Position { expr, r#in } => {
                self.expr(expr)?;
                self.expr(r#in)
            }
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                special: _,
                shorthand: _,
            } => {
                self.expr(expr)?;
                self.maybe(substring_from.as_deref())?;
                self.maybe(substring_for.as_deref())
            }
            Expr::Trim {
                trim_where: _,
                trim_what,
                expr,
                trim_characters,
            } => {
                self.expr(expr)?;
                self.maybe(trim_what.as_deref())?;
                self.exprs(trim_characters.as_deref().unwrap_or_default())
            }
            Expr::Overlay {
                expr,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                self.expr(expr)?;
                self.expr(overlay_what)?;
                self.expr(overlay_from)?;
                self.maybe(overlay_for.as_deref())
            }
            Expr::Collate {
                expr: inner,
                collation: _,
            } => {
                self.expr(inner)?;
                let at = self.here(inner.as_ref());
                self.no(
                    true,
                    at,
                    &["COLLATE"],
                    "text is ordered by its UTF-8 bytes; use lower(...) to ignore case",
                )
            }
            Expr::Value(value) => match &value.value {
                Value::Placeholder(mark)
                    if mark.strip_prefix('$').is_none_or(|n| n.parse::<u16>().is_err()) =>
                {
                    let what = format!("the parameter mark {mark}");
                    Err(SqlError::unsupported(
                        what,
                        crate::parse::start_of(value.span),
                        "write $1, $2 ...",
                    ))
                }
                _ => Ok(()),
            },
            Expr::TypedString(TypedString {
                data_type,
                value: _,
                uses_odbc_syntax,
            }) => {
                self.data_type(data_type, self.here(expr))?;
                self.no_named(
                    *uses_odbc_syntax,
                    self.here(expr),
                    &["{"],
                    "ODBC syntax",
                    "write the literal alone",
                )
            }
            Expr::Function(function) => {
                self.calls += 1;
                if self.calls > CALLS_NESTED_MAX {
                    return Err(SqlError::ResultTooLarge {
                        what: format!("the nesting of function calls{}", self.here(expr)),
                        max: CALLS_NESTED_MAX as u64,
                        unit: "levels",
                        remedy: "compute inner values in a subquery or WITH".to_owned(),
                    });
                }
                self.function(function)?;
                self.calls -= 1;
                Ok(())
            }
            Expr::Case {
                case_token: _,
                end_token: _,
                operand,
                conditions,
                else_result,
            } => {
                self.maybe(operand.as_deref())?;
                for CaseWhen { condition, result } in conditions {
                    self.expr(condition)?;
                    self.expr(result)?;
                }
                self.maybe(else_result.as_deref())
            }
            Expr::Exists { subquery, negated: _ } => self.query(subquery),
            Expr::Subquery(subquery) => self.query(subquery),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                sets.iter().try_for_each(|set| self.exprs(set))
            }
            Expr::Tuple(exprs) => self.exprs(exprs),
            Expr::Array(Array { elem, named: _ }) => self.exprs(elem),
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.expr(root)?;
                access_chain.iter().try_for_each(|access| self.access(access))
            }
            Expr::Interval(interval) => self.interval(interval),
            Expr::AnyOp {
                left,
                compare_op,
                right,
                is_some: _,
            } => {
                self.expr(left)?;
                self.binary_operator(compare_op, expr)?;
                self.expr(right)
            }
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => {
                self.expr(left)?;
                self.binary_operator(compare_op, expr)?;
                self.expr(right)
            }
            Expr::JsonAccess { .. }
            | Expr::IsNormalized { .. }
            | Expr::InUnnest { .. }
            | Expr::RLike { .. }
            | Expr::Convert { .. }
            | Expr::Prefixed { .. }
            | Expr::Struct { .. }
            | Expr::Named { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::MatchAgainst { .. }
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..)
            | Expr::OuterJoin(_)
            | Expr::Prior(_)
            | Expr::Lambda(_)
            | Expr::MemberOf(_) => {
                let what = format!("the expression {}", shortened(&expr.to_string(), SHOWN_CHARS_MAX));
                Err(SqlError::unsupported(
                    what,
                    self.here(expr),
                    "see the SQL reference for what is supported",
                ))
            }
        }
    }

    /// Types that a cast may name. Lengths and precisions that nothing enforces are refused with the rest.
    fn data_type(&self, data_type: &DataType, at: Position) -> Result<()> {
        match data_type {
            DataType::Boolean
            | DataType::Bool
            | DataType::SmallInt(None)
            | DataType::Int2(None)
            | DataType::Int(None)
            | DataType::Integer(None)
            | DataType::Int4(None)
            | DataType::BigInt(None)
            | DataType::Int8(None)
            | DataType::Real
            | DataType::Float4
            | DataType::Float8
            | DataType::Float(ExactNumberInfo::None)
            | DataType::Double(ExactNumberInfo::None)
            | DataType::DoublePrecision
            | DataType::Numeric(_)
            | DataType::Decimal(_)
            | DataType::Dec(_)
            | DataType::Text
            | DataType::Varchar(None)
            | DataType::CharacterVarying(None)
            | DataType::CharVarying(None)
            | DataType::String(None)
            | DataType::Bytea
            | DataType::Uuid
            | DataType::Date
            | DataType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
            | DataType::Timestamp(None | Some(6), _)
            | DataType::Interval {
                fields: None,
                precision: None,
            }
            | DataType::JSON => Ok(()),
            other => Err(SqlError::unsupported(
                format!("the type {other}"),
                self.locator.find(
                    at,
                    &[other.to_string().split(['(', ' ']).next().unwrap_or_default()],
                ),
                "cast to boolean, smallint, integer, bigint, real, double precision, decimal(p,s), text, bytea, \
                 uuid, date, time, timestamp, timestamptz, interval or json",
            )),
        }
    }

    fn access(&mut self, access: &AccessExpr) -> Result<()> {
        match access {
            AccessExpr::Dot(expr) => self.expr(expr),
            AccessExpr::Subscript(Subscript::Index { index }) => self.expr(index),
            AccessExpr::Subscript(Subscript::Slice {
                lower_bound,
                upper_bound,
                stride,
            }) => {
                self.maybe(lower_bound.as_ref())?;
                self.maybe(upper_bound.as_ref())?;
                self.maybe(stride.as_ref())
            }
        }
    }

    fn interval(&mut self, interval: &Interval) -> Result<()> {
        let Interval {
            value,
            leading_field: _,
            leading_precision,
            last_field,
            fractional_seconds_precision,
        } = interval;
        let at = self.here(value.as_ref());
        let detailed =
            leading_precision.is_some() || last_field.is_some() || fractional_seconds_precision.is_some();
        self.no_named(
            detailed,
            at,
            &["TO"],
            "an interval of several fields",
            "write INTERVAL '1 day 2 hours'",
        )?;
        self.expr(value)
    }

    fn binary_operator(&self, op: &BinaryOperator, expr: &Expr) -> Result<()> {
        match op {
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
            | BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::BitwiseOr
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::PGBitwiseXor
            | BinaryOperator::PGBitwiseShiftLeft
            | BinaryOperator::PGBitwiseShiftRight
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
            | BinaryOperator::PGLikeMatch
            | BinaryOperator::PGILikeMatch
            | BinaryOperator::PGNotLikeMatch
            | BinaryOperator::PGNotILikeMatch => Ok(()),
            other => {
                let symbol = other.to_string();
                let at = self.locator.find(self.here(expr), &[&symbol]);
                let what = format!("the operator {symbol}");
                Err(SqlError::unsupported(
                    what,
                    at,
                    "use a function; see the SQL reference",
                ))
            }
        }
    }

    fn function(&mut self, function: &Function) -> Result<()> {
        let Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            filter,
            null_treatment: _,
            over,
            within_group,
        } = function;
        self.name(name)?;
        self.costly(function)?;
        let at = self.here(name);
        self.no_named(
            *uses_odbc_syntax,
            at,
            &["{"],
            "ODBC syntax",
            "write the function alone",
        )?;
        match parameters {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(_) | FunctionArguments::List(_) => {
                return Err(SqlError::unsupported(
                    "parameters before a function's arguments",
                    at,
                    REMOVE,
                ));
            }
        }
        match args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(_) => {
                return Err(SqlError::unsupported(
                    "a bare subquery as argument",
                    at,
                    "put it in parentheses",
                ));
            }
            FunctionArguments::List(list) => self.arguments(list, at)?,
        }
        self.maybe(filter.as_deref())?;
        match over {
            None | Some(WindowType::NamedWindow(_)) => {}
            Some(WindowType::WindowSpec(spec)) => self.window(spec, at)?,
        }
        self.order_by(within_group)
    }

    fn arguments(&mut self, list: &FunctionArgumentList, at: Position) -> Result<()> {
        let FunctionArgumentList {
            duplicate_treatment: _,
            args,
            clauses,
        } = list;
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr)?,
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {}
                FunctionArg::Unnamed(
                    FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_),
                )
                | FunctionArg::Named { .. }
                | FunctionArg::ExprNamed { .. } => {
                    return Err(SqlError::unsupported(
                        "this form of argument",
                        at,
                        "give plain values, or *",
                    ));
                }
            }
        }
        for clause in clauses {
            match clause {
                FunctionArgumentClause::IgnoreOrRespectNulls(_) => {}
                FunctionArgumentClause::OrderBy(exprs) => self.order_by(exprs)?,
                FunctionArgumentClause::Limit(_)
                | FunctionArgumentClause::OnOverflow(_)
                | FunctionArgumentClause::Having(_)
                | FunctionArgumentClause::Separator(_)
                | FunctionArgumentClause::JsonNullClause(_)
                | FunctionArgumentClause::JsonReturningClause(_) => {
                    let what = format!(
                        "{} among a function's arguments",
                        shortened(&clause.to_string(), SHOWN_CHARS_MAX)
                    );
                    return Err(SqlError::unsupported(what, at, REMOVE));
                }
            }
        }
        Ok(())
    }

    pub(super) fn window(&mut self, window: &WindowSpec, at: Position) -> Result<()> {
        let WindowSpec {
            window_name,
            partition_by,
            order_by,
            window_frame,
        } = window;
        self.no_named(
            window_name.is_some(),
            at,
            &["OVER"],
            "a window built on another",
            "write it in full",
        )?;
        self.exprs(partition_by)?;
        self.order_by(order_by)?;
        let Some(WindowFrame {
            units: _,
            start_bound,
            end_bound,
        }) = window_frame
        else {
            return Ok(());
        };
        for bound in std::iter::once(start_bound).chain(end_bound) {
            match bound {
                WindowFrameBound::CurrentRow => {}
                WindowFrameBound::Preceding(expr) | WindowFrameBound::Following(expr) => {
                    self.maybe(expr.as_deref())?;
                }
            }
        }
        Ok(())
    }
}
