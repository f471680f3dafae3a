//! Writes what the emitters made, touching only files whose bytes differ, or reports which are stale.
//!
//! A generated folder holds nothing by hand: whatever lies there and is no emitter's is stale too, and removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A generated file. The path is relative to the project's root, with forward slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> File {
        File {
            path: path.into(),
            text: text.into(),
        }
    }
}

/// What one emitter owns: its files, and the folders in which nothing else may lie.
#[derive(Debug, Clone, Default)]
pub struct Emission {
    pub files: Vec<File>,
    /// Folders whose every file is in `files`.
    pub folders: Vec<String>,
}

/// How the tree differs from what the emitters made. Paths are relative to the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub missing: Vec<String>,
    pub changed: Vec<String>,
    pub extra: Vec<String>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty() && self.extra.is_empty()
    }
}

/// Compares without writing.
pub fn compare(root: &Path, emissions: &[Emission]) -> io::Result<Difference> {
    let wanted = wanted(emissions);
    let mut difference = Difference::default();
    for (path, text) in &wanted {
        match fs::read(root.join(path)) {
            Ok(found) if found == text.as_bytes() => {}
            Ok(_) => difference.changed.push((*path).to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                difference.missing.push((*path).to_owned());
            }
            Err(error) => return Err(error),
        }
    }
    for emission in emissions {
        for folder in &emission.folders {
            collect_extra(root, Path::new(folder), &wanted, &mut difference.extra)?;
        }
    }
    difference.extra.sort();
    Ok(difference)
}

/// Brings the tree to what the emitters made and tells what that took.
pub fn write(root: &Path, emissions: &[Emission]) -> io::Result<Difference> {
    let difference = compare(root, emissions)?;
    let wanted = wanted(emissions);
    for path in difference.missing.iter().chain(&difference.changed) {
        let target = root.join(path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(target, wanted[path.as_str()])?;
    }
    for path in &difference.extra {
        fs::remove_file(root.join(path))?;
    }
    Ok(difference)
}

fn wanted(emissions: &[Emission]) -> BTreeMap<&str, &str> {
    emissions
        .iter()
        .flat_map(|emission| &emission.files)
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect()
}

fn collect_extra(
    root: &Path,
    folder: &Path,
    wanted: &BTreeMap<&str, &str>,
    extra: &mut Vec<String>,
) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path: PathBuf = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !is_tool_output(&path) {
                collect_extra(root, &path, wanted, extra)?;
            }
            continue;
        }
        let text = path.to_string_lossy().replace('\\', "/");
        if !wanted.contains_key(text.as_str()) {
            extra.push(text);
        }
    }
    Ok(())
}

/// Folders that interpreters leave beside sources; version control ignores them as well.
fn is_tool_output(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == "__pycache__" || name == "node_modules" || name == "target")
}
