//! How the catalog keeps its objects: keys and values of the space `CATALOG`, documented in docs/format/rows.md.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::seam::CommitSeq;
use crate::tables::{Relation, Result, corrupt};
use crate::types::{DatabaseDef, ObjectId, SchemaDef, TableDef, ViewDef};

/// Ends a name inside a key; no name contains it.
const NAME_END: u8 = 0;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CatalogEntry {
    Database(DatabaseDef),
    Schema(SchemaDef),
    Table(TableDef),
    View(ViewDef),
    Index(IndexPlace),
}

/// What the name of an index leads to.
#[derive(Serialize, Deserialize)]
pub(super) struct IndexPlace {
    /// Name of the table, in the same schema.
    pub(super) table: String,
}

impl CatalogEntry {
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("definitions have text keys and no failing serializers")
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<CatalogEntry> {
        serde_json::from_slice(bytes)
            .map_err(|error| corrupt(format!("a catalog entry does not decode: {error}")))
    }

    pub(super) fn database(bytes: &[u8]) -> Result<DatabaseDef> {
        match CatalogEntry::decode(bytes)? {
            CatalogEntry::Database(database) => Ok(database),
            _ => Err(corrupt("the catalog key of a database holds something else")),
        }
    }

    pub(super) fn schema(bytes: &[u8]) -> Result<SchemaDef> {
        match CatalogEntry::decode(bytes)? {
            CatalogEntry::Schema(schema) => Ok(schema),
            _ => Err(corrupt("the catalog key of a schema holds something else")),
        }
    }

    pub(super) fn index(bytes: &[u8]) -> Result<IndexPlace> {
        match CatalogEntry::decode(bytes)? {
            CatalogEntry::Index(place) => Ok(place),
            _ => Err(corrupt("the catalog key of an index holds something else")),
        }
    }

    pub(super) fn relation(bytes: &[u8]) -> Result<Relation> {
        match CatalogEntry::decode(bytes)? {
            CatalogEntry::Table(table) => Ok(Relation::Table(Arc::new(table))),
            CatalogEntry::View(view) => Ok(Relation::View(Arc::new(view))),
            _ => Err(corrupt("the catalog key of a table or view holds something else")),
        }
    }
}

pub(super) fn database_key(name: &str) -> Vec<u8> {
    key(b'd', &[name])
}

/// Start of the keys of all databases.
pub(super) fn databases_prefix() -> Vec<u8> {
    vec![b'd']
}

pub(super) fn schema_key(database: &str, schema: &str) -> Vec<u8> {
    key(b's', &[database, schema])
}

pub(super) fn schemas_prefix(database: &str) -> Vec<u8> {
    key(b's', &[database])
}

/// Tables and views share their keys, so that two of one name conflict.
pub(super) fn relation_key(database: &str, schema: &str, name: &str) -> Vec<u8> {
    key(b'r', &[database, schema, name])
}

pub(super) fn relations_prefix(database: &str) -> Vec<u8> {
    key(b'r', &[database])
}

/// Names of indexes are one name space, apart from that of tables and views.
pub(super) fn index_key(database: &str, schema: &str, name: &str) -> Vec<u8> {
    key(b'i', &[database, schema, name])
}

/// Where the definition stays that rows and log entries of `schema_version` were written by.
pub(super) fn version_key(table: ObjectId, schema_version: u32) -> Vec<u8> {
    let mut key = vec![b'v'];
    key.extend_from_slice(&table.0.to_be_bytes());
    key.extend_from_slice(&schema_version.to_be_bytes());
    key
}

fn key(kind: u8, names: &[&str]) -> Vec<u8> {
    let mut key = vec![kind];
    for name in names {
        key.extend_from_slice(name.as_bytes());
        key.push(NAME_END);
    }
    key
}

/// Definitions decoded once for each version of their key.
#[derive(Default)]
pub(super) struct DefinitionCache {
    entries: Mutex<HashMap<Vec<u8>, (CommitSeq, Relation)>>,
}

impl DefinitionCache {
    /// Definitions kept; when there are more, all are forgotten and read again.
    const ENTRIES_MAX: usize = 4096;

    pub(super) fn get_or_decode(&self, key: &[u8], version: CommitSeq, bytes: &[u8]) -> Result<Relation> {
        if let Some((known, relation)) = self.entries.lock().get(key)
            && *known == version
        {
            return Ok(relation.clone());
        }
        let relation = CatalogEntry::relation(bytes)?;
        let mut entries = self.entries.lock();
        if entries.len() >= DefinitionCache::ENTRIES_MAX {
            entries.clear();
        }
        // An old snapshot must not push out what newer ones read.
        let newer_known = entries.get(key).is_some_and(|(known, _)| *known > version);
        if !newer_known {
            entries.insert(key.to_vec(), (version, relation.clone()));
        }
        Ok(relation)
    }
}
