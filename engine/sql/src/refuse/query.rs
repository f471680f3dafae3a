//! SELECT and what stands around it.

use datafusion::sql::sqlparser::ast::{
    Cte, Distinct, Fetch, GroupByExpr, LimitClause, LockType, NamedWindowDefinition, NamedWindowExpr, Offset,
    OrderBy, OrderByExpr, OrderByKind, OrderByOptions, Parens, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableWithJoins, Values,
    WildcardAdditionalOptions, With,
};

use super::{REMOVE, SET_OPERANDS_MAX, Walk};
use crate::error::{Position, Result, SqlError};
use crate::rewrite::normalized;

impl Walk<'_> {
    pub(super) fn query(&mut self, query: &Query) -> Result<()> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        let at = self.here(query);
        let visible = self.ctes.len();
        if let Some(with) = with {
            self.with(with)?;
        }
        self.set_expr(body, at)?;
        if let Some(order_by) = order_by {
            self.order_by_clause(order_by, at)?;
        }
        if let Some(limit) = limit_clause {
            self.limit(limit, at)?;
        }
        if let Some(fetch) = fetch {
            let Fetch {
                with_ties,
                percent,
                quantity,
            } = fetch;
            self.no(*with_ties, at, &["WITH", "TIES"], "write ROWS ONLY")?;
            self.no(*percent, at, &["PERCENT"], "give a number of rows")?;
            let twice = matches!(
                limit_clause,
                Some(LimitClause::LimitOffset { limit: Some(_), .. })
            );
            self.no_named(twice, at, &["FETCH"], "FETCH beside LIMIT", "keep one of them")?;
            if let Some(quantity) = quantity {
                self.expr(quantity)?;
            }
        }
        if let Some(lock) = locks.first() {
            let kind = match lock.lock_type {
                LockType::Update => "UPDATE",
                LockType::Share => "SHARE",
            };
            let remedy = "lock rows in the outermost query, which is of one table";
            self.no(true, at, &["FOR", kind], remedy)?;
        }
        self.no(for_clause.is_some(), at, &["FOR"], REMOVE)?;
        self.no(settings.is_some(), at, &["SETTINGS"], REMOVE)?;
        self.no(format_clause.is_some(), at, &["FORMAT"], REMOVE)?;
        self.no(
            !pipe_operators.is_empty(),
            at,
            &["|>"],
            "write the clauses of SELECT",
        )?;
        self.ctes.truncate(visible);
        Ok(())
    }

    fn with(&mut self, with: &With) -> Result<()> {
        let With {
            with_token: _,
            recursive: _,
            cte_tables,
        } = with;
        for cte in cte_tables {
            let Cte {
                alias,
                query,
                from,
                materialized,
                closing_paren_token: _,
            } = cte;
            self.alias(alias)?;
            let at = self.ident(&alias.name);
            self.no(from.is_some(), at, &["FROM"], REMOVE)?;
            self.no(
                materialized.is_some(),
                at,
                &["MATERIALIZED"],
                "leave it out; the planner decides",
            )?;
            let before = self.read;
            self.query(query)?;
            self.ctes.push((normalized(&alias.name), self.read - before));
        }
        Ok(())
    }

    fn set_expr(&mut self, body: &SetExpr, at: Position) -> Result<()> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                self.operands += 1;
                if self.operands > SET_OPERANDS_MAX {
                    return Err(SqlError::ResultTooLarge {
                        what: "the number of UNION operands".to_owned(),
                        max: SET_OPERANDS_MAX as u64,
                        unit: "operands",
                        remedy: "split the statement".to_owned(),
                    });
                }
                self.set_expr(left, at)?;
                self.set_expr(right, at)?;
                let minus = matches!(op, SetOperator::Minus);
                self.no(minus, at, &["MINUS"], "write EXCEPT")?;
                let by_name = matches!(
                    set_quantifier,
                    SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
                );
                self.no(by_name, at, &["BY", "NAME"], "columns are matched by place")
            }
            SetExpr::Values(values) => self.values(values, at),
            SetExpr::Insert(_) => Err(self.nested_dml(at, "INSERT")),
            SetExpr::Update(_) => Err(self.nested_dml(at, "UPDATE")),
            SetExpr::Delete(_) => Err(self.nested_dml(at, "DELETE")),
            SetExpr::Merge(_) => Err(self.nested_dml(at, "MERGE")),
            SetExpr::Table(_) => {
                let place = self.locator.find(at, &["TABLE"]);
                Err(SqlError::unsupported(
                    "the command TABLE",
                    place,
                    "write SELECT * FROM the table",
                ))
            }
        }
    }

    fn nested_dml(&self, at: Position, word: &str) -> SqlError {
        let remedy =
            "send it as a statement of its own; INSERT INTO t WITH a AS (...) SELECT ... is supported";
        SqlError::unsupported(
            format!("{word} within a query"),
            self.locator.find(at, &[word]),
            remedy,
        )
    }

    pub(super) fn values(&mut self, values: &Values, at: Position) -> Result<()> {
        let Values {
            explicit_row,
            value_keyword,
            rows,
        } = values;
        self.no(*explicit_row, at, &["ROW"], "write the values in parentheses")?;
        self.no(*value_keyword, at, &["VALUE"], "write VALUES")?;
        for row in rows {
            let Parens {
                opening_token: _,
                content,
                closing_token: _,
            } = row;
            self.exprs(content)?;
        }
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<()> {
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        let at = self.here(select);
        self.no(
            !optimizer_hints.is_empty(),
            at,
            &["SELECT"],
            "leave optimizer hints out",
        )?;
        let modified = select_modifiers
            .as_ref()
            .is_some_and(|modifiers| modifiers.is_any_set());
        self.no_named(modified, at, &["SELECT"], "a modifier of SELECT", REMOVE)?;
        self.no(top.is_some(), at, &["TOP"], "write LIMIT")?;
        self.no(exclude.is_some(), at, &["EXCLUDE"], "name the columns")?;
        self.no(
            into.is_some(),
            at,
            &["INTO"],
            "write CREATE TABLE, then INSERT INTO ... SELECT",
        )?;
        self.no_named(value_table_mode.is_some(), at, &["AS"], "SELECT AS", REMOVE)?;
        match flavor {
            SelectFlavor::Standard => {}
            SelectFlavor::FromFirst | SelectFlavor::FromFirstNoSelect => {
                self.no_named(true, at, &["FROM"], "FROM before SELECT", "write SELECT first")?;
            }
        }
        match distinct {
            None | Some(Distinct::All | Distinct::Distinct) => {}
            Some(Distinct::On(columns)) => self.exprs(columns)?,
        }
        for item in projection {
            self.select_item(item)?;
        }
        self.from(from)?;
        self.no(
            !lateral_views.is_empty(),
            at,
            &["LATERAL", "VIEW"],
            "join with unnest(...)",
        )?;
        self.no(prewhere.is_some(), at, &["PREWHERE"], "write WHERE")?;
        self.no(
            !connect_by.is_empty(),
            at,
            &["CONNECT", "BY"],
            "write WITH RECURSIVE",
        )?;
        if let Some(condition) = selection {
            self.expr(condition)?;
        }
        self.group_by(group_by, at)?;
        self.no(!cluster_by.is_empty(), at, &["CLUSTER", "BY"], REMOVE)?;
        self.no(!distribute_by.is_empty(), at, &["DISTRIBUTE", "BY"], REMOVE)?;
        self.no(!sort_by.is_empty(), at, &["SORT", "BY"], "write ORDER BY")?;
        if let Some(condition) = having {
            self.expr(condition)?;
        }
        for NamedWindowDefinition(_, window) in named_window {
            match window {
                NamedWindowExpr::NamedWindow(_) => {
                    self.no_named(
                        true,
                        at,
                        &["WINDOW"],
                        "a window named after another",
                        "write its specification",
                    )?;
                }
                NamedWindowExpr::WindowSpec(spec) => self.window(spec, at)?,
            }
        }
        self.no(qualify.is_some(), at, &["QUALIFY"], "filter in an outer query")
    }

    fn select_item(&mut self, item: &SelectItem) -> Result<()> {
        match item {
            SelectItem::UnnamedExpr(expr) => self.expr(expr),
            SelectItem::ExprWithAlias { expr, alias: _ } => self.expr(expr),
            SelectItem::ExprWithAliases { expr, aliases: _ } => Err(SqlError::unsupported(
                "several aliases of one column",
                self.here(expr),
                "give one alias",
            )),
            SelectItem::QualifiedWildcard(kind, options) => {
                match kind {
                    SelectItemQualifiedWildcardKind::ObjectName(name) => self.name(name)?,
                    SelectItemQualifiedWildcardKind::Expr(expr) => {
                        let at = self.here(expr);
                        return Err(SqlError::unsupported(
                            "expanding a value with .*",
                            at,
                            "name its parts",
                        ));
                    }
                }
                self.wildcard(options)
            }
            SelectItem::Wildcard(options) => self.wildcard(options),
        }
    }

    fn wildcard(&self, options: &WildcardAdditionalOptions) -> Result<()> {
        let WildcardAdditionalOptions {
            wildcard_token,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let at = crate::parse::start_of(wildcard_token.0.span);
        let remedy = "name the columns";
        self.no(opt_ilike.is_some(), at, &["ILIKE"], remedy)?;
        self.no(opt_exclude.is_some(), at, &["EXCLUDE"], remedy)?;
        self.no(opt_except.is_some(), at, &["EXCEPT"], remedy)?;
        self.no(opt_replace.is_some(), at, &["REPLACE"], remedy)?;
        self.no(opt_rename.is_some(), at, &["RENAME"], remedy)?;
        self.no_named(opt_alias.is_some(), at, &["AS"], "an alias of *", remedy)
    }

    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> Result<()> {
        from.iter().try_for_each(|table| self.table_with_joins(table))
    }

    fn group_by(&mut self, group_by: &GroupByExpr, at: Position) -> Result<()> {
        match group_by {
            GroupByExpr::All(_) => self.no(true, at, &["GROUP", "BY", "ALL"], "name the columns"),
            GroupByExpr::Expressions(exprs, modifiers) => {
                self.exprs(exprs)?;
                let what = "a modifier of GROUP BY";
                self.no_named(
                    !modifiers.is_empty(),
                    at,
                    &["WITH"],
                    what,
                    "write ROLLUP (...) or CUBE (...)",
                )
            }
        }
    }

    fn order_by_clause(&mut self, order_by: &OrderBy, at: Position) -> Result<()> {
        let OrderBy { kind, interpolate } = order_by;
        self.no(interpolate.is_some(), at, &["INTERPOLATE"], REMOVE)?;
        match kind {
            OrderByKind::All(_) => self.no(true, at, &["ORDER", "BY", "ALL"], "name the columns"),
            OrderByKind::Expressions(exprs) => self.order_by(exprs),
        }
    }

    pub(super) fn order_by(&mut self, exprs: &[OrderByExpr]) -> Result<()> {
        for ordered in exprs {
            let OrderByExpr {
                expr,
                options,
                with_fill,
            } = ordered;
            let OrderByOptions {
                asc: _,
                nulls_first: _,
            } = options;
            self.no(with_fill.is_some(), self.here(expr), &["WITH", "FILL"], REMOVE)?;
            self.expr(expr)?;
        }
        Ok(())
    }

    fn limit(&mut self, limit: &LimitClause, at: Position) -> Result<()> {
        match limit {
            LimitClause::LimitOffset {
                limit,
                offset,
                limit_by,
            } => {
                if let Some(limit) = limit {
                    self.expr(limit)?;
                }
                if let Some(Offset { value, rows: _ }) = offset {
                    self.expr(value)?;
                }
                self.no_named(
                    !limit_by.is_empty(),
                    at,
                    &["LIMIT"],
                    "LIMIT ... BY",
                    "use row_number() over a window",
                )
            }
            LimitClause::OffsetCommaLimit { offset: _, limit: _ } => self.no_named(
                true,
                at,
                &["LIMIT"],
                "LIMIT with a comma",
                "write LIMIT n OFFSET m",
            ),
        }
    }
}
