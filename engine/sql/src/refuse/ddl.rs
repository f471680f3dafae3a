//! CREATE, DROP and TRUNCATE.

use datafusion::sql::sqlparser::ast::{
    ColumnDef, ColumnOption, ColumnOptionDef, ConstraintCharacteristics, CreateIndex, CreateTable,
    CreateTableOptions, CreateView, Expr, HiveDistributionStyle, Ident, IndexColumn, IndexType,
    KeyOrIndexDisplay, NullsDistinctOption, ObjectType, OrderByExpr, OrderByOptions, PrimaryKeyConstraint,
    Statement, TableConstraint, Truncate, TruncateTableTarget, UniqueConstraint, ViewColumnDef,
};

use super::{REMOVE, SHOWN_CHARS_MAX, Walk};
use crate::error::{Position, Result, SqlError};
use crate::failure::shortened;

const CHECK_IN_APP: &str = "check the values before writing them";

impl Walk<'_> {
    pub(super) fn create_table(&mut self, create: &CreateTable) -> Result<()> {
        let CreateTable {
            or_replace,
            temporary,
            external,
            dynamic,
            global,
            if_not_exists: _,
            transient,
            volatile,
            iceberg,
            snapshot,
            name,
            columns,
            constraints,
            hive_distribution,
            hive_formats,
            table_options,
            file_format,
            location,
            query,
            without_rowid,
            like,
            clone,
            version,
            comment,
            on_commit,
            on_cluster,
            primary_key,
            order_by,
            partition_by,
            cluster_by,
            clustered_by,
            inherits,
            partition_of,
            for_values,
            strict,
            copy_grants,
            enable_schema_evolution,
            change_tracking,
            data_retention_time_in_days,
            max_data_extension_time_in_days,
            default_ddl_collation,
            with_aggregation_policy,
            with_row_access_policy,
            with_storage_lifecycle_policy,
            with_tags,
            external_volume,
            base_location,
            catalog,
            catalog_sync,
            storage_serialization_policy,
            target_lag,
            warehouse,
            refresh_mode,
            initialize,
            require_user,
            diststyle,
            distkey,
            sortkey,
            backup,
        } = create;
        let at = self.locator.start();
        self.no(
            *or_replace,
            at,
            &["OR", "REPLACE"],
            "call the operation database.replace_table",
        )?;
        self.no_named(
            *temporary,
            at,
            &["CREATE"],
            "a temporary table",
            "create a table and drop it",
        )?;
        self.no_named(global.is_some(), at, &["CREATE"], "GLOBAL or LOCAL", REMOVE)?;
        let kind = *external || *dynamic || *transient || *volatile || *iceberg || *snapshot;
        self.no_named(kind, at, &["CREATE"], "this kind of table", "write CREATE TABLE")?;
        self.name(name)?;
        for column in columns {
            self.column(column)?;
        }
        for constraint in constraints {
            self.table_constraint(constraint, at)?;
        }
        if let Some(query) = query {
            self.query(query)?;
            self.no_named(
                true,
                at,
                &["AS"],
                "CREATE TABLE AS",
                "write CREATE TABLE, then INSERT INTO ... SELECT",
            )?;
        }
        self.no(like.is_some(), at, &["LIKE"], "write the columns")?;
        self.no(clone.is_some(), at, &["CLONE"], "write the columns")?;
        self.no(inherits.is_some(), at, &["INHERITS"], "write the columns")?;
        self.no_named(
            partition_of.is_some() || for_values.is_some(),
            at,
            &["PARTITION", "OF"],
            "PARTITION OF",
            "create a table of its own",
        )?;
        self.no(
            partition_by.is_some(),
            at,
            &["PARTITION", "BY"],
            "tables are not partitioned",
        )?;
        let clustered = cluster_by.is_some() || clustered_by.is_some();
        self.no_named(
            clustered,
            at,
            &["CLUSTER"],
            "CLUSTER BY",
            "rows are kept in primary key order",
        )?;
        self.no(on_commit.is_some(), at, &["ON", "COMMIT"], REMOVE)?;
        match table_options {
            CreateTableOptions::None => {}
            CreateTableOptions::With(_)
            | CreateTableOptions::Options(_)
            | CreateTableOptions::Plain(_)
            | CreateTableOptions::TableProperties(_) => {
                self.no_named(true, at, &["WITH"], "table options (WITH)", REMOVE)?;
            }
        }
        let hive = match hive_distribution {
            HiveDistributionStyle::NONE => false,
            HiveDistributionStyle::PARTITIONED { .. } | HiveDistributionStyle::SKEWED { .. } => true,
        };
        // The parser always makes a HiveFormat; empty, it says nothing.
        let hive = hive
            || hive_formats.as_ref().is_some_and(|format| {
                format.row_format.is_some()
                    || format.serde_properties.is_some()
                    || format.storage.is_some()
                    || format.location.is_some()
            });
        let foreign = hive
            || file_format.is_some()
            || location.is_some()
            || *without_rowid
            || version.is_some()
            || comment.is_some()
            || on_cluster.is_some()
            || primary_key.is_some()
            || order_by.is_some()
            || *strict
            || *copy_grants
            || enable_schema_evolution.is_some()
            || change_tracking.is_some()
            || data_retention_time_in_days.is_some()
            || max_data_extension_time_in_days.is_some()
            || default_ddl_collation.is_some()
            || with_aggregation_policy.is_some()
            || with_row_access_policy.is_some()
            || with_storage_lifecycle_policy.is_some()
            || with_tags.is_some()
            || external_volume.is_some()
            || base_location.is_some()
            || catalog.is_some()
            || catalog_sync.is_some()
            || storage_serialization_policy.is_some()
            || target_lag.is_some()
            || warehouse.is_some()
            || refresh_mode.is_some()
            || initialize.is_some()
            || *require_user
            || diststyle.is_some()
            || distkey.is_some()
            || sortkey.is_some()
            || backup.is_some();
        self.no_named(foreign, at, &[")"], "a clause behind the columns", REMOVE)
    }

    fn column(&mut self, column: &ColumnDef) -> Result<()> {
        let ColumnDef {
            name,
            data_type: _,
            options,
        } = column;
        let at = self.ident(name);
        for ColumnOptionDef { name: _, option } in options {
            match option {
                ColumnOption::Null | ColumnOption::NotNull => {}
                ColumnOption::Default(expr) => self.expr(expr)?,
                ColumnOption::PrimaryKey(key) => self.primary_key(key, at)?,
                ColumnOption::Unique(unique) => self.unique(unique, at)?,
                ColumnOption::ForeignKey(_) => self.no(true, at, &["REFERENCES"], CHECK_IN_APP)?,
                ColumnOption::Check(_) => self.no(true, at, &["CHECK"], CHECK_IN_APP)?,
                ColumnOption::Collation(_) => {
                    self.no(true, at, &["COLLATE"], "text is ordered by its UTF-8 bytes")?
                }
                ColumnOption::Generated {
                    generated_keyword, ..
                } => {
                    let word = if *generated_keyword { "GENERATED" } else { "AS" };
                    self.no_named(
                        true,
                        at,
                        &[word],
                        "a generated column",
                        "use DEFAULT, or compute it in a view",
                    )?;
                }
                ColumnOption::Identity(_) => {
                    self.no_named(
                        true,
                        at,
                        &["IDENTITY"],
                        "IDENTITY",
                        "give the keys, or DEFAULT gen_random_uuid()",
                    )?;
                }
                ColumnOption::Materialized(_)
                | ColumnOption::Ephemeral(_)
                | ColumnOption::Alias(_)
                | ColumnOption::DialectSpecific(_)
                | ColumnOption::CharacterSet(_)
                | ColumnOption::Comment(_)
                | ColumnOption::OnUpdate(_)
                | ColumnOption::Options(_)
                | ColumnOption::OnConflict(_)
                | ColumnOption::Policy(_)
                | ColumnOption::Tags(_)
                | ColumnOption::Srid(_)
                | ColumnOption::Invisible => {
                    let what = format!(
                        "the column option {}",
                        shortened(&option.to_string(), SHOWN_CHARS_MAX)
                    );
                    return Err(SqlError::unsupported(what, at, REMOVE));
                }
            }
        }
        Ok(())
    }

    fn table_constraint(&mut self, constraint: &TableConstraint, at: Position) -> Result<()> {
        match constraint {
            TableConstraint::PrimaryKey(key) => self.primary_key(key, at),
            TableConstraint::Unique(unique) => self.unique(unique, at),
            TableConstraint::ForeignKey(_) => self.no(true, at, &["FOREIGN", "KEY"], CHECK_IN_APP),
            TableConstraint::Check(_) => self.no(true, at, &["CHECK"], CHECK_IN_APP),
            TableConstraint::Index(_)
            | TableConstraint::FulltextOrSpatial(_)
            | TableConstraint::PrimaryKeyUsingIndex(_)
            | TableConstraint::UniqueUsingIndex(_) => {
                let text = constraint.to_string();
                let word = text.split_whitespace().next().unwrap_or("CONSTRAINT").to_owned();
                self.no(true, at, &[&word], "use PRIMARY KEY or UNIQUE")
            }
        }
    }

    fn primary_key(&self, key: &PrimaryKeyConstraint, at: Position) -> Result<()> {
        let PrimaryKeyConstraint {
            name: _,
            index_name,
            index_type,
            columns,
            index_options,
            characteristics,
        } = key;
        self.key_columns(columns, at)?;
        let detailed = index_name.is_some() || index_type.is_some() || !index_options.is_empty();
        self.no_named(detailed, at, &["PRIMARY"], "an option of PRIMARY KEY", REMOVE)?;
        self.characteristics(characteristics.as_ref(), at)
    }

    fn unique(&self, unique: &UniqueConstraint, at: Position) -> Result<()> {
        let UniqueConstraint {
            name: _,
            index_name,
            index_type_display,
            index_type,
            columns,
            index_options,
            characteristics,
            nulls_distinct,
        } = unique;
        self.key_columns(columns, at)?;
        let displayed = !matches!(index_type_display, KeyOrIndexDisplay::None);
        let detailed = displayed || index_name.is_some() || index_type.is_some() || !index_options.is_empty();
        self.no_named(detailed, at, &["UNIQUE"], "an option of UNIQUE", REMOVE)?;
        match nulls_distinct {
            NullsDistinctOption::None | NullsDistinctOption::Distinct => {}
            NullsDistinctOption::NotDistinct => {
                self.no(
                    true,
                    at,
                    &["NULLS", "NOT", "DISTINCT"],
                    "declare the columns NOT NULL",
                )?;
            }
        }
        self.characteristics(characteristics.as_ref(), at)
    }

    fn key_columns(&self, columns: &[IndexColumn], at: Position) -> Result<()> {
        for IndexColumn {
            column,
            operator_class,
        } in columns
        {
            let OrderByExpr {
                expr,
                options,
                with_fill,
            } = column;
            let OrderByOptions { asc, nulls_first } = options;
            let plain = matches!(expr, Expr::Identifier(Ident { .. }))
                && asc.is_none()
                && nulls_first.is_none()
                && with_fill.is_none()
                && operator_class.is_none();
            self.no_named(
                !plain,
                at,
                &["("],
                "a key of anything but columns",
                "name the columns alone",
            )?;
        }
        Ok(())
    }

    fn characteristics(
        &self,
        characteristics: Option<&ConstraintCharacteristics>,
        at: Position,
    ) -> Result<()> {
        let Some(ConstraintCharacteristics {
            deferrable,
            initially,
            enforced,
        }) = characteristics
        else {
            return Ok(());
        };
        let word = if deferrable.is_some() {
            "DEFERRABLE"
        } else if initially.is_some() {
            "INITIALLY"
        } else {
            "ENFORCED"
        };
        let any = deferrable.is_some() || initially.is_some() || enforced.is_some();
        self.no(any, at, &[word], "constraints hold at the end of each statement")
    }

    pub(super) fn create_index(&mut self, create: &CreateIndex) -> Result<()> {
        let CreateIndex {
            name,
            table_name,
            using,
            columns,
            unique: _,
            concurrently,
            if_not_exists: _,
            include,
            nulls_distinct,
            with,
            predicate,
            index_options,
            alter_options,
        } = create;
        let at = self.locator.start();
        self.no(
            *concurrently,
            at,
            &["CONCURRENTLY"],
            "leave it out; others write while an index is built",
        )?;
        let Some(name) = name else {
            return Err(SqlError::unsupported("an index without a name", at, "name it"));
        };
        self.name(name)?;
        self.no_named(
            name.0.len() > 1,
            self.here(name),
            &[],
            "a schema before the name of an index",
            "write the name alone; an index is in the schema of its table",
        )?;
        self.name(table_name)?;
        let ordered = using.as_ref().is_none_or(|kind| *kind == IndexType::BTree);
        self.no(!ordered, at, &["USING"], "every index is ordered; leave it out")?;
        self.key_columns(columns, self.locator.find(self.here(table_name), &["("]))?;
        self.no(!include.is_empty(), at, &["INCLUDE"], REMOVE)?;
        self.no(
            *nulls_distinct == Some(false),
            at,
            &["NULLS", "NOT", "DISTINCT"],
            "declare the columns NOT NULL",
        )?;
        self.no(!with.is_empty(), at, &["WITH"], REMOVE)?;
        self.no(
            predicate.is_some(),
            at,
            &["WHERE"],
            "an index has all rows; leave the condition out",
        )?;
        let optioned = !index_options.is_empty() || !alter_options.is_empty();
        self.no_named(optioned, at, &[")"], "an option of CREATE INDEX", REMOVE)
    }

    pub(super) fn create_view(&mut self, create: &CreateView) -> Result<()> {
        let CreateView {
            or_alter,
            or_replace: _,
            materialized,
            secure,
            name,
            name_before_not_exists: _,
            columns,
            query,
            options,
            cluster_by,
            comment,
            with_no_schema_binding,
            if_not_exists,
            temporary,
            copy_grants,
            to,
            params,
        } = create;
        let at = self.locator.start();
        self.no(*or_alter, at, &["OR", "ALTER"], "write OR REPLACE")?;
        self.no(*materialized, at, &["MATERIALIZED"], "write CREATE VIEW")?;
        self.no(*secure, at, &["SECURE"], REMOVE)?;
        self.no_named(
            *temporary,
            at,
            &["CREATE"],
            "a temporary view",
            "use WITH in the query",
        )?;
        self.no(
            *if_not_exists,
            at,
            &["IF", "NOT", "EXISTS"],
            "write CREATE OR REPLACE VIEW",
        )?;
        self.name(name)?;
        for ViewColumnDef {
            name,
            data_type,
            options,
        } in columns
        {
            let place = self.ident(name);
            let detailed = data_type.is_some() || options.is_some();
            self.no_named(
                detailed,
                place,
                &[],
                "a type or option of a view's column",
                "cast in the query",
            )?;
        }
        match options {
            CreateTableOptions::None => {}
            CreateTableOptions::With(_)
            | CreateTableOptions::Options(_)
            | CreateTableOptions::Plain(_)
            | CreateTableOptions::TableProperties(_) => {
                self.no_named(true, at, &["WITH"], "view options (WITH)", REMOVE)?;
            }
        }
        let foreign = !cluster_by.is_empty()
            || comment.is_some()
            || *with_no_schema_binding
            || *copy_grants
            || to.is_some()
            || params.is_some();
        self.no_named(foreign, at, &["VIEW"], "an option of CREATE VIEW", REMOVE)?;
        self.query(query)
    }

    pub(super) fn drop(&mut self, statement: &Statement) -> Result<()> {
        let Statement::Drop {
            object_type,
            if_exists: _,
            names,
            cascade,
            restrict: _,
            purge,
            temporary,
            table,
        } = statement
        else {
            return Err(self.whole_statement(statement));
        };
        let at = self.locator.start();
        let known = matches!(
            object_type,
            ObjectType::Table | ObjectType::View | ObjectType::Database | ObjectType::Index
        );
        let what = format!("DROP {object_type}");
        self.no_named(
            !known,
            at,
            &[],
            &what,
            "only tables, views, indexes and databases can be dropped",
        )?;
        names.iter().try_for_each(|name| self.name(name))?;
        self.no(
            *cascade,
            at,
            &["CASCADE"],
            "drop the views that depend on it first",
        )?;
        self.no(*purge, at, &["PURGE"], REMOVE)?;
        self.no_named(*temporary, at, &["TEMPORARY"], "DROP TEMPORARY", REMOVE)?;
        self.no(table.is_some(), at, &["ON"], REMOVE)
    }

    pub(super) fn truncate(&mut self, truncate: &Truncate) -> Result<()> {
        let Truncate {
            table_names,
            partitions,
            table: _,
            if_exists,
            identity,
            cascade,
            on_cluster,
        } = truncate;
        let at = self.locator.start();
        for TruncateTableTarget {
            name,
            only,
            has_asterisk,
        } in table_names
        {
            self.name(name)?;
            self.no(*only, at, &["ONLY"], REMOVE)?;
            self.no_named(*has_asterisk, at, &["*"], "* behind a table name", REMOVE)?;
        }
        self.no(partitions.is_some(), at, &["PARTITION"], REMOVE)?;
        self.no(*if_exists, at, &["IF", "EXISTS"], REMOVE)?;
        self.no_named(
            identity.is_some(),
            at,
            &["IDENTITY"],
            "an identity option",
            REMOVE,
        )?;
        self.no_named(cascade.is_some(), at, &["CASCADE"], "CASCADE or RESTRICT", REMOVE)?;
        self.no(on_cluster.is_some(), at, &["ON", "CLUSTER"], REMOVE)
    }

    pub(super) fn create_database(&mut self, statement: &Statement) -> Result<()> {
        let Statement::CreateDatabase {
            db_name,
            if_not_exists: _,
            location,
            managed_location,
            or_replace,
            transient,
            clone,
            data_retention_time_in_days,
            max_data_extension_time_in_days,
            external_volume,
            catalog,
            replace_invalid_characters,
            default_ddl_collation,
            storage_serialization_policy,
            comment,
            default_charset,
            default_collation,
            catalog_sync,
            catalog_sync_namespace_mode,
            catalog_sync_namespace_flatten_delimiter,
            with_tags,
            with_contacts,
        } = statement
        else {
            return Err(self.whole_statement(statement));
        };
        let at = self.locator.start();
        self.name(db_name)?;
        let optioned = location.is_some()
            || managed_location.is_some()
            || *or_replace
            || *transient
            || clone.is_some()
            || data_retention_time_in_days.is_some()
            || max_data_extension_time_in_days.is_some()
            || external_volume.is_some()
            || catalog.is_some()
            || replace_invalid_characters.is_some()
            || default_ddl_collation.is_some()
            || storage_serialization_policy.is_some()
            || comment.is_some()
            || default_charset.is_some()
            || default_collation.is_some()
            || catalog_sync.is_some()
            || catalog_sync_namespace_mode.is_some()
            || catalog_sync_namespace_flatten_delimiter.is_some()
            || with_tags.is_some()
            || with_contacts.is_some();
        self.no_named(
            optioned,
            at,
            &["DATABASE"],
            "an option of CREATE DATABASE",
            "give the name alone",
        )
    }
}
