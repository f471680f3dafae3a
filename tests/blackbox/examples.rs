//! The examples of the three clients, each run to its end as the README beside it says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::contract::root;
use crate::harness::server::{ADMIN_PASSWORD, Server};
use crate::harness::tools::{self, run};

/// How long an example may take; those that work take a few seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Names of a folder's programs, from files that end so.
fn names(folder: &str, extension: &str) -> BTreeSet<String> {
    std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn typescript() -> BTreeSet<String> {
    names("clients/typescript/examples", "ts")
}

/// Runs an example and ends it when it takes too long.
async fn finish(mut command: Command, server: &Server) -> Output {
    command
        .env("RUSTYDB_URL", &server.base_url)
        .env("RUSTYDB_PASSWORD", ADMIN_PASSWORD);
    let shown = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    tokio::time::timeout(LIMIT, command.kill_on_drop(true).output())
        .await
        .unwrap_or_else(|_| panic!("{shown} did not end within {LIMIT:?}"))
        .unwrap()
}

/// Runs every example on a server of its own.
async fn run_all(names: &BTreeSet<String>, command: impl Fn(&str) -> Command) {
    let server = Server::start();
    for name in names {
        let output = finish(command(name), &server).await;
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && told.lines().last() == Some("done"),
            "{name}: {}\n{told}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn examples_are_the_same_in_every_language() {
    let names_of = [
        names("clients/python/examples", "py"),
        names("clients/rust/examples", "rs"),
    ];
    assert_eq!(names_of, [typescript(), typescript()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_the_typescript_client_run() {
    let built = tools::typescript_examples();
    run_all(&typescript(), |name| {
        let mut command = Command::new("node");
        command.arg(built.join(name).with_extension("js"));
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_the_python_client_run() {
    let folder = root().join("clients/python/examples");
    run_all(&names("clients/python/examples", "py"), |name| {
        let mut command = tools::python();
        command.arg(folder.join(name).with_extension("py"));
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_the_rust_client_run() {
    run(Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "rustydb-client",
            "--examples",
        ])
        .args(["--features", "rustydb-client/driver"])
        .current_dir(root()));
    // Beside the server's own binary: both are built in the same profile.
    let binary = Path::new(env!("CARGO_BIN_EXE_rustydb"));
    let built = binary.parent().unwrap().join("examples");
    run_all(&names("clients/rust/examples", "rs"), |name| {
        Command::new(built.join(name))
    })
    .await;
}
