//! Creating and dropping databases, tables and views.

use std::sync::Arc;

use rustydb_kernel::locks::LockMode;

use crate::change_log::DdlChange;
use crate::seam::SpaceId;
use crate::tables::catalog::{self, CatalogEntry};
use crate::tables::commit::CommitCheck;
use crate::tables::definition::{self, Checked, check_name};
use crate::tables::{MAIN_DATABASE, PUBLIC_SCHEMA, Relation, Result, TableError, TableSpec, Txn, ViewSpec};
use crate::types::{DatabaseDef, IndexState, ObjectId, SchemaDef, TableDef, ViewDef};

impl Txn {
    /// Creates a database with the schema `public`.
    pub fn create_database(&mut self, name: &str) -> Result<DatabaseDef> {
        self.require_writable()?;
        check_name(name)?;
        if self.database(name)?.is_some() {
            return Err(TableError::DatabaseExists {
                name: name.to_owned(),
            });
        }
        let first = self.tables.inner.objects.take(2)?;
        let created_at_us = self.tables.inner.clock.now_us();
        let database = DatabaseDef {
            id: ObjectId(first),
            name: name.to_owned(),
            created_at_us,
        };
        let schema = SchemaDef {
            id: ObjectId(first + 1),
            database: name.to_owned(),
            name: PUBLIC_SCHEMA.to_owned(),
            created_at_us,
        };
        self.atomically(|txn| {
            txn.put_catalog(
                &catalog::database_key(name),
                Some(CatalogEntry::Database(database.clone()).encode()),
            )?;
            txn.put_catalog(
                &catalog::schema_key(name, PUBLIC_SCHEMA),
                Some(CatalogEntry::Schema(schema).encode()),
            )?;
            txn.log_ddl(DdlChange::CreateDatabase {
                database: database.clone(),
            })?;
            Ok(database)
        })
    }

    /// Drops a database with all it holds. `main` can't be dropped.
    pub fn drop_database(&mut self, name: &str) -> Result<()> {
        self.require_writable()?;
        let database = self.view.require_database(name)?;
        if name == MAIN_DATABASE {
            return Err(TableError::DatabaseProtected {
                name: name.to_owned(),
            });
        }
        self.atomically(|txn| {
            for relation in txn.view.relations(name)? {
                match relation {
                    Relation::Table(table) => {
                        txn.lock_table(&table, LockMode::X)?;
                        txn.remove_table(&table)?;
                    }
                    Relation::View(view) => txn.remove_view(&view)?,
                }
            }
            for schema in txn.schemas(name)? {
                txn.put_catalog(&catalog::schema_key(name, &schema.name), None)?;
            }
            txn.put_catalog(&catalog::database_key(name), None)?;
            txn.check_at_commit(CommitCheck::Empty {
                database: name.to_owned(),
            });
            txn.log_ddl(DdlChange::DropDatabase { database })?;
            Ok(())
        })
    }

    pub fn create_table(&mut self, spec: TableSpec) -> Result<Arc<TableDef>> {
        self.require_writable()?;
        let checked = definition::check(&spec)?;
        self.require_free(&spec.database, &spec.schema, &spec.name)?;
        let id = ObjectId(self.tables.inner.objects.take(1)?);
        let created_at_us = self.tables.inner.clock.now_us();
        let table = self.place(&spec, checked, id, 1, created_at_us)?;
        self.atomically(|txn| {
            txn.guard_parents(&spec.database, &spec.schema)?;
            txn.put_table(&table)?;
            txn.log_ddl(DdlChange::CreateTable { table: table.clone() })?;
            Ok(Arc::new(table))
        })
    }

    /// Refused with `DependentObjects` while views read the table.
    pub fn drop_table(&mut self, database: &str, schema: &str, name: &str) -> Result<()> {
        self.require_writable()?;
        let table = self.require_table(database, schema, name)?;
        self.lock_table(&table, LockMode::X)?;
        self.require_no_dependents(database, schema, name)?;
        self.atomically(|txn| {
            txn.check_dependents_at_commit(database, schema, name);
            txn.remove_table(&table)
        })
    }

    /// Removes all rows at once; answers how many this transaction saw. Rows that others commit meanwhile go
    /// too, as if they had been added just before.
    pub fn truncate_table(&mut self, database: &str, schema: &str, name: &str) -> Result<u64> {
        self.require_writable()?;
        let table = self.require_table(database, schema, name)?;
        self.lock_table(&table, LockMode::X)?;
        let rows = self.row_count(&table)?;
        let mut emptied = TableDef::clone(&table);
        emptied.altered_at_us = self.tables.inner.clock.now_us();
        // Whoever builds one finds it gone.
        emptied.indexes.retain(|index| index.state == IndexState::Ready);
        self.give_spaces(&mut emptied)?;
        self.atomically(|txn| {
            txn.drop_spaces(&table);
            txn.forget_index_names(&table, &emptied)?;
            txn.put_table(&emptied)?;
            txn.log_ddl(DdlChange::TruncateTable { table: emptied, rows })?;
            Ok(rows)
        })
    }

    /// With `replace`, an existing view of the name gets the new definition.
    pub fn create_view(&mut self, spec: ViewSpec, replace: bool) -> Result<Arc<ViewDef>> {
        self.require_writable()?;
        check_name(&spec.name)?;
        let before = match self.relation(&spec.database, &spec.schema, &spec.name)? {
            Some(Relation::View(view)) if replace => Some(view),
            Some(Relation::Table(_)) if replace => {
                return Err(TableError::WrongKind {
                    name: spec.name,
                    found: "table",
                    wanted: "view",
                });
            }
            _ => {
                self.require_free(&spec.database, &spec.schema, &spec.name)?;
                None
            }
        };
        let mut needed = Vec::with_capacity(spec.depends_on.len());
        for name in &spec.depends_on {
            needed.push(self.resolve(&spec, name)?);
        }
        self.require_acyclic(&spec)?;
        let id = match &before {
            Some(before) => before.id,
            None => ObjectId(self.tables.inner.objects.take(1)?),
        };
        let view = ViewDef {
            id,
            database: spec.database,
            schema: spec.schema,
            name: spec.name,
            query: spec.query,
            depends_on: spec.depends_on,
            created_at_us: before
                .as_ref()
                .map_or_else(|| self.tables.inner.clock.now_us(), |view| view.created_at_us),
        };
        self.atomically(|txn| {
            txn.guard_parents(&view.database, &view.schema)?;
            for key in needed {
                txn.guard_catalog(key)?;
            }
            let key = catalog::relation_key(&view.database, &view.schema, &view.name);
            txn.put_catalog(&key, Some(CatalogEntry::View(view.clone()).encode()))?;
            txn.log_ddl(match before {
                None => DdlChange::CreateView { view: view.clone() },
                Some(before) => DdlChange::ReplaceView {
                    before: ViewDef::clone(&before),
                    after: view.clone(),
                },
            })?;
            Ok(Arc::new(view))
        })
    }

    /// Refused with `DependentObjects` while other views read it.
    pub fn drop_view(&mut self, database: &str, schema: &str, name: &str) -> Result<()> {
        self.require_writable()?;
        self.view.require_database(database)?;
        let view = match self.relation(database, schema, name)? {
            Some(Relation::View(view)) => view,
            Some(Relation::Table(_)) => {
                return Err(TableError::WrongKind {
                    name: name.to_owned(),
                    found: "table",
                    wanted: "view",
                });
            }
            None => {
                return Err(TableError::ViewNotFound {
                    database: database.to_owned(),
                    name: name.to_owned(),
                });
            }
        };
        self.require_no_dependents(database, schema, name)?;
        self.atomically(|txn| {
            txn.check_dependents_at_commit(database, schema, name);
            txn.remove_view(&view)
        })
    }

    pub(super) fn require_table(&self, database: &str, schema: &str, name: &str) -> Result<Arc<TableDef>> {
        self.view.require_database(database)?;
        match self.relation(database, schema, name)? {
            Some(Relation::Table(table)) => Ok(table),
            Some(Relation::View(_)) => Err(TableError::WrongKind {
                name: name.to_owned(),
                found: "view",
                wanted: "table",
            }),
            None => Err(TableError::TableNotFound {
                database: database.to_owned(),
                name: name.to_owned(),
            }),
        }
    }

    /// A definition with its place in the store.
    pub(super) fn place(
        &self,
        spec: &TableSpec,
        checked: Checked,
        id: ObjectId,
        schema_version: u32,
        created_at_us: i64,
    ) -> Result<TableDef> {
        let mut table = TableDef {
            id,
            database: spec.database.clone(),
            schema: spec.schema.clone(),
            name: spec.name.clone(),
            columns: checked.columns,
            primary_key: checked.primary_key,
            unique: checked.unique,
            indexes: Vec::new(),
            space: SpaceId(0),
            schema_version,
            created_at_us,
            altered_at_us: self.tables.inner.clock.now_us(),
        };
        self.give_spaces(&mut table)?;
        Ok(table)
    }

    /// Moves a definition to spaces that nothing was ever written to.
    pub(super) fn give_spaces(&self, table: &mut TableDef) -> Result<()> {
        let count = table.spaces().count() as u64;
        let first = self.tables.inner.objects.take(count)?;
        let unique = table.unique.iter_mut().map(|unique| &mut unique.space);
        let indexes = table.indexes.iter_mut().map(|index| &mut index.space);
        let spaces = std::iter::once(&mut table.space).chain(unique).chain(indexes);
        for (number, space) in (first..).zip(spaces) {
            *space = SpaceId(number);
        }
        Ok(())
    }

    /// Puts a definition into the catalog, and under its version for those who read old rows.
    pub(super) fn put_table(&mut self, table: &TableDef) -> Result<()> {
        // Who wrote rows by the definition before must look at this one.
        Arc::make_mut(&mut self.state).written.remove(&table.id);
        let entry = CatalogEntry::Table(table.clone()).encode();
        self.put_catalog(
            &catalog::version_key(table.id, table.schema_version),
            Some(entry.clone()),
        )?;
        self.put_catalog(
            &catalog::relation_key(&table.database, &table.schema, &table.name),
            Some(entry),
        )
    }

    /// Lets the rows and indexes of a definition go at the commit.
    pub(super) fn drop_spaces(&mut self, table: &TableDef) {
        let dropped = &mut Arc::make_mut(&mut self.state).dropped_spaces;
        dropped.extend(table.spaces());
    }

    pub(super) fn check_at_commit(&mut self, check: CommitCheck) {
        Arc::make_mut(&mut self.state).checks.push(check);
    }

    pub(super) fn require_no_dependents(&self, database: &str, schema: &str, name: &str) -> Result<()> {
        let dependents = self.view.dependents(database, schema, name)?;
        if dependents.is_empty() {
            return Ok(());
        }
        Err(TableError::DependentObjects {
            name: name.to_owned(),
            dependents,
        })
    }

    fn remove_table(&mut self, table: &TableDef) -> Result<()> {
        self.drop_spaces(table);
        for index in &table.indexes {
            self.forget_index_name(table, index)?;
        }
        Arc::make_mut(&mut self.state).written.remove(&table.id);
        self.put_catalog(
            &catalog::relation_key(&table.database, &table.schema, &table.name),
            None,
        )?;
        self.log_ddl(DdlChange::DropTable { table: table.clone() })?;
        Ok(())
    }

    fn remove_view(&mut self, view: &ViewDef) -> Result<()> {
        self.put_catalog(
            &catalog::relation_key(&view.database, &view.schema, &view.name),
            None,
        )?;
        self.log_ddl(DdlChange::DropView { view: view.clone() })?;
        Ok(())
    }

    /// The commit fails when a view that this transaction does not see reads the relation.
    pub(super) fn check_dependents_at_commit(&mut self, database: &str, schema: &str, name: &str) {
        self.check_at_commit(CommitCheck::NoDependents {
            database: database.to_owned(),
            schema: schema.to_owned(),
            name: name.to_owned(),
        });
    }

    /// The commit fails when the database or schema has gone meanwhile.
    fn guard_parents(&mut self, database: &str, schema: &str) -> Result<()> {
        self.guard_catalog(catalog::database_key(database))?;
        self.guard_catalog(catalog::schema_key(database, schema))
    }

    fn require_free(&self, database: &str, schema: &str, name: &str) -> Result<()> {
        if !self.schemas(database)?.iter().any(|known| known.name == schema) {
            return Err(TableError::SchemaNotFound {
                database: database.to_owned(),
                schema: schema.to_owned(),
            });
        }
        match self.relation(database, schema, name)? {
            None => Ok(()),
            Some(_) => Err(TableError::TableExists {
                database: database.to_owned(),
                name: name.to_owned(),
            }),
        }
    }

    /// The catalog key of a relation that a view reads, named with or without its schema.
    fn resolve(&self, spec: &ViewSpec, name: &str) -> Result<Vec<u8>> {
        let (schema, relation) = self.split_name(&spec.database, &spec.schema, name)?;
        match self.relation(&spec.database, &schema, &relation)? {
            Some(_) => Ok(catalog::relation_key(&spec.database, &schema, &relation)),
            None => Err(TableError::TableNotFound {
                database: spec.database.clone(),
                name: name.to_owned(),
            }),
        }
    }

    /// Schema and name of a relation as `depends_on` writes it. A name with a point in it is first taken whole.
    fn split_name(&self, database: &str, schema: &str, name: &str) -> Result<(String, String)> {
        if self.relation(database, schema, name)?.is_none()
            && let Some((schema, relation)) = name.split_once('.')
        {
            return Ok((schema.to_owned(), relation.to_owned()));
        }
        Ok((schema.to_owned(), name.to_owned()))
    }

    /// Refuses a view that would read itself by way of others.
    fn require_acyclic(&self, spec: &ViewSpec) -> Result<()> {
        let mut seen = vec![(spec.schema.clone(), spec.name.clone())];
        let mut ahead: Vec<(String, String)> = spec
            .depends_on
            .iter()
            .map(|name| (spec.schema.clone(), name.clone()))
            .collect();
        while let Some((schema, name)) = ahead.pop() {
            let (schema, name) = self.split_name(&spec.database, &schema, &name)?;
            if schema == spec.schema && name == spec.name {
                return Err(TableError::InvalidDefinition {
                    name: spec.name.clone(),
                    reason: "the view would read itself".to_owned(),
                });
            }
            if seen.contains(&(schema.clone(), name.clone())) {
                continue;
            }
            if let Some(view) = self.view(&spec.database, &schema, &name)? {
                ahead.extend(
                    view.depends_on
                        .iter()
                        .map(|needed| (schema.clone(), needed.clone())),
                );
            }
            seen.push((schema, name));
        }
        Ok(())
    }
}
