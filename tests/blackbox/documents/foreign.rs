//! Programs that are not ours: checkers of the documents, compilers and test runners of the clients.

use std::process::Command;

use crate::harness::contract::root;
use crate::harness::tools::{self, run};

#[test]
fn documents_pass_every_foreign_checker() {
    let folder = tools::checkers();
    let python = tools::python();
    run(Command::new("sh")
        .arg(folder.join("check-documents.sh"))
        .env("PYTHON", python.get_program()));
}

/// `tsc --strict` on the client, its examples and its tests.
#[test]
fn documents_typescript_client_compiles_strictly_and_passes_its_tests() {
    let folder = tools::typescript_folder();
    let config = std::fs::read_to_string(folder.join("tsconfig.json")).unwrap();
    assert!(config.contains("\"strict\": true"), "{config}");
    run(Command::new("npm")
        .args(["run", "--silent", "check"])
        .current_dir(folder));
    let tests = std::fs::read_dir(folder.join("dist/tests/tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.js"));
    run(Command::new("node").arg("--test").args(tests).current_dir(folder));
}

#[test]
fn documents_python_client_is_strictly_typed_and_passes_its_tests() {
    let folder = root().join("clients/python");
    run(tools::python()
        .args(["-m", "mypy", "--strict"])
        .current_dir(&folder));
    run(tools::python()
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"])
        .current_dir(&folder));
}
