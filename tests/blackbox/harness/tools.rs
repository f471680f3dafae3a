//! What the tests install from the project's lock files, once a process: the clients' and checkers' packages, a browser.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::contract::root;

/// Compiled TypeScript: the folder of the client.
static TYPESCRIPT: LazyLock<PathBuf> = LazyLock::new(|| {
    let _alone = alone("typescript");
    let folder = root().join("clients/typescript");
    install_node(&folder);
    run(Command::new("npm")
        .args(["run", "--silent", "build:tests"])
        .current_dir(&folder));
    folder
});

/// Folder of the TypeScript client's compiled examples.
static TYPESCRIPT_EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = typescript_folder();
    let _alone = alone("typescript");
    run(Command::new("npm")
        .args(["run", "--silent", "build:examples"])
        .current_dir(folder));
    folder.join("dist/examples")
});

/// Interpreter of a virtual environment that has what the Python client and its tests need.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let _alone = alone("python");
    let environment = scratch().join("python");
    let python = environment.join("bin/python");
    let lock = root().join("clients/python/requirements-dev.lock");
    let stamp = environment.join("installed.lock");
    let wanted = std::fs::read_to_string(&lock).unwrap();
    if std::fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment));
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "-r",
            ])
            .arg(&lock));
        std::fs::write(&stamp, wanted).unwrap();
    }
    python
});

/// Folder of the checkers' packages.
static CHECKERS: LazyLock<PathBuf> = LazyLock::new(|| {
    let _alone = alone("checkers");
    let folder = root().join("tests/tools");
    install_node(&folder);
    folder
});

/// Debian's Chromium.
static CHROMIUM: LazyLock<&str> = LazyLock::new(|| {
    const PATH: &str = "/usr/bin/chromium";
    // Not the scratch folder's lock alone: something else on a new machine may be installing packages as well.
    const WAIT_FOR_OTHERS: &str = "DPkg::Lock::Timeout=300";
    let _alone = alone("chromium");
    if !Path::new(PATH).exists() {
        run(Command::new("apt-get").args(["update", "-qq", "-o", WAIT_FOR_OTHERS]));
        run(Command::new("apt-get")
            .args(["install", "-y", "-qq", "-o", WAIT_FOR_OTHERS, "chromium"])
            .env("DEBIAN_FRONTEND", "noninteractive"));
    }
    PATH
});

pub fn chromium() -> &'static str {
    *CHROMIUM
}

pub fn typescript_driver() -> Command {
    let mut command = Command::new("node");
    command.arg(TYPESCRIPT.join("dist/tests/tests/driver.js"));
    command
}

pub fn typescript_folder() -> &'static Path {
    &TYPESCRIPT
}

pub fn typescript_examples() -> &'static Path {
    &TYPESCRIPT_EXAMPLES
}

pub fn python_driver(asynchronous: bool) -> Command {
    let mut command = python();
    command.arg(root().join("clients/python/tests/driver.py"));
    if asynchronous {
        command.arg("--async");
    }
    command
}

/// The interpreter, with the client on its path.
pub fn python() -> Command {
    let mut command = Command::new(&*PYTHON);
    command.env("PYTHONPATH", root().join("clients/python/src"));
    command
}

pub fn checkers() -> &'static Path {
    &CHECKERS
}

/// Installs a folder's packages unless those of its lock file are there.
fn install_node(folder: &Path) {
    let lock = std::fs::read_to_string(folder.join("package-lock.json")).unwrap();
    let stamp = folder.join("node_modules/.installed-lock");
    if std::fs::read_to_string(&stamp).ok().as_ref() != Some(&lock) {
        run(Command::new("npm")
            .args(["ci", "--silent", "--no-audit", "--no-fund"])
            .current_dir(folder));
        std::fs::write(&stamp, lock).unwrap();
    }
}

/// Keeps other processes of the same tests from installing the same thing meanwhile, until it is dropped.
fn alone(what: &str) -> File {
    let file = File::create(scratch().join(format!("{what}.lock"))).unwrap();
    file.lock().unwrap();
    file
}

/// A folder of the build directory that outlives a run.
fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("blackbox");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs to its end and demands success.
pub fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
