//! schema/meta/contract.schema.json: the JSON Schema of the contract language itself, for editors.

use crate::emit::json_schema::pretty;
use crate::language::ModuleFile;
use crate::model::Model;
use crate::output::{Emission, File};

const FOLDER: &str = "schema/meta";

/// The same for every contract.
pub fn emit(_: &Model) -> Emission {
    let mut schema = schemars::schema_for!(ModuleFile);
    schema.insert("title".to_owned(), "A module of the contract".into());
    Emission {
        files: vec![File::new(
            format!("{FOLDER}/contract.schema.json"),
            pretty(schema.as_value()),
        )],
        folders: vec![FOLDER.to_owned()],
    }
}
