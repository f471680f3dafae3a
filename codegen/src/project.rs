//! A checkout: where its contract lies and what is generated from it.

use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostics::Diagnostic;
use crate::emit;
use crate::load;
use crate::model::Model;
use crate::output::{self, Difference, Emission};
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
        Project { root: root.to_owned() }
    }

    /// The contract, resolved and free of findings.
    pub fn model(&self) -> Result<Model, Vec<Diagnostic>> {
        let files = load::read_files(&self.root)?;
        model_of(&files)
    }

    /// Everything generated, in memory.
    pub fn emit(&self) -> Result<Vec<Emission>, Vec<Diagnostic>> {
        let model = self.model()?;
        Ok(emit::emit_all(&model))
    }

    pub fn compare(&self, emissions: &[Emission]) -> io::Result<Difference> {
        output::compare(&self.root, emissions)
    }

    pub fn write(&self, emissions: &[Emission]) -> io::Result<Difference> {
        output::write(&self.root, emissions)
    }
}

/// The model of a contract given as files: path and text.
pub fn model_of(files: &[(String, String)]) -> Result<Model, Vec<Diagnostic>> {
    let loaded = load::parse_files(files)?;
    resolve::resolve(&loaded)
}
