//! Finds and parses the files of a contract.

use std::fs;
use std::path::Path;

use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::language::ModuleFile;
use crate::source::{Source, pointer_push};

/// Where the contract's modules lie, from the project's root.
pub const MODULES_FOLDER: &str = "schema/modules";

/// A file of the contract with what it says.
#[derive(Debug, Clone)]
pub struct LoadedModule {
    pub source: Source,
    pub file: ModuleFile,
}

/// Name from the project's root and text of every file of the contract, sorted by name.
pub fn read_files(root: &Path) -> Result<Vec<(String, String)>, Vec<Diagnostic>> {
    let folder = root.join(MODULES_FOLDER);
    let unreadable = |file: String, error: std::io::Error| {
        vec![Diagnostic {
            place: Place {
                file,
                line: 1,
                column: 1,
            },
            rule: "unreadable",
            message: error.to_string(),
            hint: "run the generator in the project's root, or name it with --root".to_owned(),
        }]
    };
    let mut files = Vec::new();
    let entries = fs::read_dir(&folder).map_err(|error| unreadable(MODULES_FOLDER.to_owned(), error))?;
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(MODULES_FOLDER.to_owned(), error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            let file = format!("{MODULES_FOLDER}/{name}");
            let text = fs::read_to_string(entry.path()).map_err(|error| unreadable(file.clone(), error))?;
            files.push((file, text));
        }
    }
    files.sort();
    Ok(files)
}

/// Parses files into modules.
pub fn parse_files(files: &[(String, String)]) -> Result<Vec<LoadedModule>, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let mut modules = Vec::new();
    for (file, text) in files {
        match parse_file(file, text) {
            Ok(module) => modules.push(module),
            Err(d) => diagnostics.push(d.place, d.rule, d.message, d.hint),
        }
    }
    diagnostics.into_result(modules)
}

fn parse_file(file: &str, text: &str) -> Result<LoadedModule, Diagnostic> {
    let source = Source::parse(file, text)?;
    let parsed: Result<ModuleFile, _> = serde_path_to_error::deserialize(&source.value);
    match parsed {
        Ok(file) => Ok(LoadedModule { source, file }),
        Err(error) => Err(Diagnostic {
            place: source.place(&pointer_of(error.path())),
            rule: "shape",
            message: error.inner().to_string(),
            hint: "schema/meta/contract.schema.json describes every form; editors can check against it"
                .to_owned(),
        }),
    }
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => pointer_push(&pointer, key),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}
