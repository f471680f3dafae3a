//! A small sound contract, and edits of it.

use std::path::Path;

use codegen::diagnostics::Diagnostic;
use codegen::model::Model;
use codegen::project::model_of;

/// Stands before the place where a finding is expected.
pub const MARK: char = '§';

pub const CORE: &str = "schema/modules/core.yaml";
pub const SHOP: &str = "schema/modules/shop.yaml";

pub fn contract() -> Vec<(String, String)> {
    vec![
        (CORE.to_owned(), include_str!("contract/core.yaml").to_owned()),
        (SHOP.to_owned(), include_str!("contract/shop.yaml").to_owned()),
    ]
}

/// The contract of the repository.
pub fn real_contract() -> Vec<(String, String)> {
    codegen::load::read_files(&root()).unwrap()
}

pub fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Replaces `from`, which must be there once, in one file.
pub fn edit(files: &mut [(String, String)], file: &str, from: &str, to: &str) {
    let (_, text) = files.iter_mut().find(|(name, _)| name == file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "`{from}` is not once in {file}");
    *text = text.replace(from, to);
}

/// The contract after one edit.
pub fn edited(file: &str, from: &str, to: &str) -> Vec<(String, String)> {
    let mut files = contract();
    edit(&mut files, file, from, to);
    files
}

/// Takes the mark out and answers where it stood, as `file:line:column`.
pub fn take_mark(files: &mut [(String, String)]) -> String {
    for (file, text) in files {
        if let Some(at) = text.find(MARK) {
            let before = &text[..at];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            *text = text.replace(MARK, "");
            return format!("{file}:{line}:{column}");
        }
    }
    panic!("no mark");
}

pub fn findings(files: &[(String, String)]) -> Vec<Diagnostic> {
    model_of(files).err().unwrap_or_default()
}

pub fn model(files: &[(String, String)]) -> Model {
    match model_of(files) {
        Ok(model) => model,
        Err(found) => panic!("{}", found.iter().map(|d| format!("{d}\n")).collect::<String>()),
    }
}

/// The real contract with the torture modules beside it.
pub fn torture_contract() -> Vec<(String, String)> {
    let mut files = real_contract();
    for (module, text) in [
        ("async", include_str!("torture/async.yaml")),
        ("import", include_str!("torture/import.yaml")),
        ("self", include_str!("torture/self.yaml")),
    ] {
        files.push((format!("schema/modules/{module}.yaml"), text.to_owned()));
    }
    files.sort();
    files
}
