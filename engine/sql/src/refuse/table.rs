//! What may stand in FROM.

use datafusion::sql::sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias,
    TableAliasColumnDef, TableFactor, TableFunctionArgs, TableWithJoins,
};

use super::{RELATIONS_MAX, RELATIONS_READ_MAX, REMOVE, Walk};
use crate::error::{Position, Result, SqlError};
use crate::rewrite::normalized;

/// Functions that make rows. None of them reads files or leaves the process.
const TABLE_FUNCTIONS: [&str; 2] = ["generate_series", "unnest"];

impl Walk<'_> {
    pub(super) fn table_with_joins(&mut self, table: &TableWithJoins) -> Result<()> {
        let TableWithJoins { relation, joins } = table;
        self.table_factor(relation)?;
        for join in joins {
            let Join {
                relation,
                global,
                join_operator,
            } = join;
            let at = self.here(join);
            self.no(*global, at, &["GLOBAL"], REMOVE)?;
            self.table_factor(relation)?;
            self.join_operator(join_operator, at)?;
        }
        Ok(())
    }

    fn join_operator(&mut self, operator: &JoinOperator, at: Position) -> Result<()> {
        match operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint) => match constraint {
                JoinConstraint::On(condition) => self.expr(condition),
                JoinConstraint::Using(columns) => columns.iter().try_for_each(|column| self.name(column)),
                JoinConstraint::Natural => Ok(()),
                JoinConstraint::None => Err(SqlError::unsupported(
                    "JOIN without ON or USING",
                    at,
                    "write CROSS JOIN, or say on what",
                )),
            },
            JoinOperator::CrossJoin(JoinConstraint::None) => Ok(()),
            JoinOperator::CrossJoin(_) => Err(SqlError::unsupported(
                "CROSS JOIN with a condition",
                at,
                "write JOIN",
            )),
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_) => Err(SqlError::unsupported(
                "a SEMI or ANTI join",
                at,
                "write WHERE EXISTS (...) or NOT EXISTS (...)",
            )),
            JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::AsOf { .. }
            | JoinOperator::StraightJoin(_)
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => Err(SqlError::unsupported(
                "this kind of join",
                at,
                "write INNER, LEFT, RIGHT, FULL or CROSS JOIN",
            )),
        }
    }

    fn count_relation(&mut self) -> Result<()> {
        self.relations += 1;
        if self.relations <= RELATIONS_MAX {
            return Ok(());
        }
        Err(SqlError::ResultTooLarge {
            what: "the number of tables in one statement".to_owned(),
            max: RELATIONS_MAX as u64,
            unit: "tables",
            remedy: "split the statement".to_owned(),
        })
    }

    fn count_read(&mut self, factor: &TableFactor) -> Result<()> {
        let named = match factor {
            TableFactor::Table { name, .. } => match name.0.as_slice() {
                [only] => only.as_ident().map(normalized),
                _ => None,
            },
            _ => None,
        };
        let below = named.and_then(|name| self.ctes.iter().rev().find(|(cte, _)| *cte == name));
        self.read = self.read.saturating_add(1 + below.map_or(0, |(_, read)| *read));
        if self.read <= RELATIONS_READ_MAX {
            return Ok(());
        }
        Err(SqlError::ResultTooLarge {
            what: "what the statement reads, common table expressions wherever they are named".to_owned(),
            max: RELATIONS_READ_MAX as u64,
            unit: "tables",
            remedy: "name common table expressions less often".to_owned(),
        })
    }

    fn table_factor(&mut self, factor: &TableFactor) -> Result<()> {
        self.count_relation()?;
        self.count_read(factor)?;
        let at = self.here(factor);
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                self.name(name)?;
                if let Some(TableFunctionArgs { args, settings }) = args {
                    self.no(settings.is_some(), at, &["SETTINGS"], REMOVE)?;
                    self.table_function(name, args, at)?;
                }
                self.no_named(!with_hints.is_empty(), at, &["WITH"], "a table hint", REMOVE)?;
                let what = "AS OF";
                self.no_named(
                    version.is_some(),
                    at,
                    &["FOR"],
                    what,
                    "a transaction reads the state at its start",
                )?;
                self.no(
                    *with_ordinality,
                    at,
                    &["WITH", "ORDINALITY"],
                    "use row_number() over a window",
                )?;
                self.no(!partitions.is_empty(), at, &["PARTITION"], REMOVE)?;
                self.no_named(
                    json_path.is_some(),
                    at,
                    &["["],
                    "a path behind a table name",
                    REMOVE,
                )?;
                self.no(
                    sample.is_some(),
                    at,
                    &["TABLESAMPLE"],
                    "write ORDER BY random() LIMIT n",
                )?;
                self.no_named(!index_hints.is_empty(), at, &["INDEX"], "an index hint", REMOVE)?;
                alias.as_ref().map_or(Ok(()), |alias| self.alias(alias))
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                self.no(
                    *lateral,
                    self.locator.start(),
                    &["LATERAL"],
                    "join with a subquery that stands alone",
                )?;
                self.no(
                    sample.is_some(),
                    at,
                    &["TABLESAMPLE"],
                    "write ORDER BY random() LIMIT n",
                )?;
                self.query(subquery)?;
                alias.as_ref().map_or(Ok(()), |alias| self.alias(alias))
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality,
            } => {
                self.exprs(array_exprs)?;
                let offset = *with_offset || with_offset_alias.is_some();
                self.no(offset, at, &["WITH", "OFFSET"], "use row_number() over a window")?;
                self.no(
                    *with_ordinality,
                    at,
                    &["WITH", "ORDINALITY"],
                    "use row_number() over a window",
                )?;
                alias.as_ref().map_or(Ok(()), |alias| self.alias(alias))
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                self.table_with_joins(table_with_joins)?;
                alias.as_ref().map_or(Ok(()), |alias| self.alias(alias))
            }
            TableFactor::Function {
                lateral,
                name,
                args,
                with_ordinality,
                alias,
            } => {
                self.no(*lateral, at, &["LATERAL"], "leave LATERAL out")?;
                self.name(name)?;
                self.table_function(name, args, at)?;
                self.no(
                    *with_ordinality,
                    at,
                    &["WITH", "ORDINALITY"],
                    "use row_number() over a window",
                )?;
                alias.as_ref().map_or(Ok(()), |alias| self.alias(alias))
            }
            TableFactor::TableFunction { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => Err(SqlError::unsupported(
                "this kind of table",
                at,
                "use tables, views, subqueries, generate_series(...) or unnest(...)",
            )),
        }
    }

    fn table_function(&mut self, name: &ObjectName, args: &[FunctionArg], at: Position) -> Result<()> {
        let shown = name.to_string();
        if !TABLE_FUNCTIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&shown))
        {
            return Err(SqlError::unsupported(
                format!("the table function {shown}"),
                at,
                format!("use one of {}", TABLE_FUNCTIONS.join(", ")),
            ));
        }
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr)?,
                FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                    return Err(SqlError::unsupported(
                        "this form of argument",
                        at,
                        "give plain values",
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn alias(&self, alias: &TableAlias) -> Result<()> {
        let TableAlias {
            explicit: _,
            name,
            columns,
            at: partition,
        } = alias;
        let place = self.ident(name);
        for TableAliasColumnDef { name: _, data_type } in columns {
            self.no_named(
                data_type.is_some(),
                place,
                &["("],
                "a type in a table alias",
                "cast the column instead",
            )?;
        }
        self.no_named(partition.is_some(), place, &["AT"], "AT in a table alias", REMOVE)
    }
}
