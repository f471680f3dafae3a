//! A checkout: where its contract lies and what is generated from it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostics::{Diagnostic, Place};
use crate::diff::{self, Acknowledgements, Change};
use crate::emit;
use crate::lint;
use crate::load::{self, LoadedModule};
use crate::model::Model;
use crate::names::lock;
use crate::output::{self, Difference, Emission, File};
use crate::resolve;

/// Version written into documents and packages: the workspace's, which all its packages share.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The project below one root folder.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    pub fn new(root: &Path) -> Project {
        Project {
            root: root.to_owned(),
        }
    }

    /// The contract, resolved and free of findings.
    pub fn model(&self) -> Result<Model, Vec<Diagnostic>> {
        let files = load::read_files(&self.root)?;
        model_of(&files)
    }

    /// Everything generated, in memory. A name that is published already keeps its form.
    pub fn emit(&self) -> Result<Vec<Emission>, Vec<Diagnostic>> {
        let model = self.model()?;
        let renames = lock::renames(&self.locked_names()?, &model);
        if renames.is_empty() {
            Ok(emissions(&model))
        } else {
            Err(renames)
        }
    }

    /// Publishes names as the contract and the generator have them now, and answers what changed.
    pub fn accept_names(&self) -> Result<(Vec<Diagnostic>, File), Vec<Diagnostic>> {
        let model = self.model()?;
        let renames = lock::renames(&self.locked_names()?, &model);
        Ok((renames, File::new(lock::FILE, lock::text(&model))))
    }

    /// The revision that the work at hand is a change of.
    pub fn base(&self) -> anyhow::Result<String> {
        diff::base(&self.root)
    }

    /// What changed since a git revision, with the breaking changes that schema/breaking.yaml acknowledges.
    pub fn diff(&self, revision: &str) -> anyhow::Result<(Vec<Change>, Acknowledgements)> {
        let told = |found: Vec<Diagnostic>| {
            let list: String = found.iter().map(|diagnostic| format!("\n{diagnostic}")).collect();
            anyhow::anyhow!("the contract is not sound{list}")
        };
        let new = self.model().map_err(told)?;
        let old = diff::model_at(&self.root, revision)?;
        let acknowledged = match fs::read_to_string(self.root.join(diff::ACKNOWLEDGED_FILE)) {
            Ok(text) => Acknowledgements::parse(&text).map_err(|found| told(vec![found]))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Acknowledgements::default(),
            Err(error) => return Err(error.into()),
        };
        Ok((diff::diff(&old, &new), acknowledged))
    }

    fn locked_names(&self) -> Result<String, Vec<Diagnostic>> {
        match fs::read_to_string(self.root.join(lock::FILE)) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(vec![Diagnostic {
                place: Place {
                    file: lock::FILE.to_owned(),
                    line: 1,
                    column: 1,
                },
                rule: "unreadable",
                message: error.to_string(),
                hint: "make the file readable; it pins every published name".to_owned(),
            }]),
        }
    }

    pub fn compare(&self, emissions: &[Emission]) -> io::Result<Difference> {
        output::compare(&self.root, emissions)
    }

    pub fn write(&self, emissions: &[Emission]) -> io::Result<Difference> {
        output::write(&self.root, emissions)
    }
}

/// Everything that is generated from a contract, the lock of its names included.
pub fn emissions(model: &Model) -> Vec<Emission> {
    let mut emissions = emit::emit_all(model);
    let lock = File::new(lock::FILE, lock::text(model));
    emissions.push(Emission {
        files: vec![lock],
        folders: Vec::new(),
    });
    emissions
}

/// The model of a contract given as files, path and text; all findings of a stage are told at once.
pub fn model_of(files: &[(String, String)]) -> Result<Model, Vec<Diagnostic>> {
    model_of_loaded(&load::parse_files(files)?)
}

/// The model of a contract whose files are parsed.
pub fn model_of_loaded(loaded: &[LoadedModule]) -> Result<Model, Vec<Diagnostic>> {
    let mut found = lint::forms(loaded);
    let model = match resolve::resolve(loaded) {
        Ok(model) => found.into_result(model)?,
        Err(unresolved) => {
            unresolved
                .into_iter()
                .for_each(|d| found.push(d.place, d.rule, d.message, d.hint));
            return Err(found.into_sorted());
        }
    };
    let found = lint::model(loaded, &model);
    if found.is_empty() { Ok(model) } else { Err(found) }
}
