//! A copy of the project in the build directory. It outlives a run, so that what is compiled there once is not
//! compiled again; each run first makes it equal to the project.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What tools leave beside sources; the copy has its own.
const NOT_COPIED: [&str; 8] = [
    "target",
    ".git",
    "node_modules",
    "dist",
    "__pycache__",
    ".mypy_cache",
    ".venv",
    ".pytest_cache",
];

const MANIFEST: &str = "Cargo.toml";

pub struct Copy {
    pub root: PathBuf,
    /// Where the copy's binaries are, apart from the project's: of the same name, they would replace those under test.
    pub target: PathBuf,
    /// Where the copy compiles: with the project, so that what both depend on is compiled once.
    pub build: PathBuf,
}

impl Copy {
    pub fn of(project: &Path) -> Copy {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let build = temporary.parent().expect("it lies in the build directory");
        let folder = temporary.join("guide");
        let copy = Copy {
            root: folder.join("project"),
            target: folder.join("target"),
            build: build.to_owned(),
        };
        equalise(project, &copy.root);
        copy.write(MANIFEST, &as_another_version(&copy.read(MANIFEST)));
        copy
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// The workspace's manifest with a version of the copy's own. Cargo tells packages that compile in one place apart by
/// name and version, not by where the workspace lies.
fn as_another_version(manifest: &str) -> String {
    let (before, package) = manifest
        .split_once("[workspace.package]\nversion = \"")
        .expect("the version comes first");
    let (version, after) = package.split_once('"').expect("the version ends");
    format!("{before}[workspace.package]\nversion = \"{version}+guide\"{after}")
}

/// Makes `to` equal to `from`. A file that is the same is left alone, so that compilers see no change.
fn equalise(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if NOT_COPIED.iter().any(|other| name == *other) {
            continue;
        }
        let (source, copy) = (entry.path(), to.join(&name));
        names.insert(name);
        if source.is_dir() {
            equalise(&source, &copy);
        } else {
            let bytes = fs::read(&source).unwrap();
            if fs::read(&copy).ok().as_ref() != Some(&bytes) {
                fs::write(&copy, bytes).unwrap();
                fs::set_permissions(&copy, fs::metadata(&source).unwrap().permissions()).unwrap();
            }
        }
    }
    for entry in fs::read_dir(to).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if names.contains(&name) || NOT_COPIED.iter().any(|other| name == *other) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}
