//! Changes of definitions as views want them.

use rustydb_contract_database::{SchemaChangeType, SchemaChanged, SchemaObjectType};
use rustydb_store::change_log::DdlChange;
use rustydb_store::feed::Commit;
use rustydb_store::types::{TableDef, ViewDef};

/// What a change of definitions tells in its database; `None` of another database's.
pub(super) fn schema_changed(
    database: &str,
    commit: &Commit,
    change: &DdlChange,
    statement: Option<&str>,
) -> Option<SchemaChanged> {
    use SchemaChangeType as How;
    let (of, how, what) = match change {
        DdlChange::CreateDatabase { database } => {
            (&database.name, How::Create, Object::database(&database.name))
        }
        DdlChange::DropDatabase { database } => (&database.name, How::Drop, Object::database(&database.name)),
        DdlChange::CreateTable { table } => (&table.database, How::Create, Object::table(table)),
        DdlChange::DropTable { table } => (&table.database, How::Drop, Object::table(table)),
        DdlChange::TruncateTable { table, .. } => (&table.database, How::Truncate, Object::table(table)),
        DdlChange::ReplaceTable { before, after } if before.name != after.name => {
            let renamed = Object {
                new_name: Some(after.name.clone()),
                ..Object::table(before)
            };
            (&before.database, How::Rename, renamed)
        }
        DdlChange::ReplaceTable { before, .. } => (&before.database, How::Alter, Object::table(before)),
        DdlChange::CreateView { view } => (&view.database, How::Create, Object::view(view)),
        DdlChange::ReplaceView { before, .. } => (&before.database, How::Alter, Object::view(before)),
        DdlChange::DropView { view } => (&view.database, How::Drop, Object::view(view)),
        DdlChange::CreateIndex { table, index } => {
            (&table.database, How::Create, Object::index(table, index))
        }
        DdlChange::DropIndex { table, index } => (&table.database, How::Drop, Object::index(table, index)),
    };
    (of == database).then(|| SchemaChanged {
        change_type: how,
        object_type: what.kind,
        object_name: what.name,
        new_name: what.new_name,
        schema_name: what.schema,
        statement: statement.map(str::to_owned),
        user: commit
            .origin
            .as_ref()
            .map_or_else(String::new, |origin| origin.user.clone()),
    })
}

struct Object {
    kind: SchemaObjectType,
    name: String,
    new_name: Option<String>,
    schema: Option<String>,
}

impl Object {
    fn database(name: &str) -> Object {
        Object {
            kind: SchemaObjectType::Database,
            name: name.to_owned(),
            new_name: None,
            schema: None,
        }
    }

    fn table(table: &TableDef) -> Object {
        Object {
            kind: SchemaObjectType::Table,
            name: table.name.clone(),
            new_name: None,
            schema: Some(table.schema.clone()),
        }
    }

    fn index(table: &TableDef, name: &str) -> Object {
        Object {
            kind: SchemaObjectType::Index,
            name: name.to_owned(),
            new_name: None,
            schema: Some(table.schema.clone()),
        }
    }

    fn view(view: &ViewDef) -> Object {
        Object {
            kind: SchemaObjectType::View,
            name: view.name.clone(),
            new_name: None,
            schema: Some(view.schema.clone()),
        }
    }
}
