//! Names and shapes that targets find hard generate and compile everywhere.
//!
//! The torture modules lie beside the real ones, so that the hand-written runtimes compile with them. Foreign
//! compilers work in a folder of the build directory that outlives a run: packages are installed there from
//! the clients' lock files once, and what did not change is not compiled again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use codegen::output;
use codegen::project::emissions;

use crate::support::{model, root, torture_contract};

/// A project with everything generated from the torture contract, and the hand-written parts of the clients.
static PROJECT: LazyLock<PathBuf> = LazyLock::new(|| {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("torture");
    fs::create_dir_all(&project).unwrap();
    // Test runners may give each test a process of its own.
    let alone = fs::File::create(project.join("written.lock")).unwrap();
    alone.lock().unwrap();
    output::write(&project, &emissions(&model(&torture_contract()))).unwrap();
    copy("clients/rust/src", &project, &["generated"]);
    for file in [
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "tsconfig.build.json",
        "tsconfig.tests.json",
    ] {
        copy(&format!("clients/typescript/{file}"), &project, &[]);
    }
    copy("clients/typescript/src", &project, &["generated"]);
    copy("clients/typescript/tests/driver.ts", &project, &[]);
    copy("clients/python/src", &project, &["generated", "__pycache__"]);
    copy("clients/python/pyproject.toml", &project, &[]);
    copy("clients/python/tests/driver.py", &project, &[]);
    project
});

/// Copies a file or folder of the repository, without folders of some names. A file that is the same already
/// is left alone, so that compilers see no change.
fn copy(path: &str, project: &Path, without: &[&str]) {
    let (from, to) = (root().join(path), project.join(path));
    if from.is_dir() {
        for entry in fs::read_dir(&from).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !without.contains(&name.as_str()) {
                copy(&format!("{path}/{name}"), project, without);
            }
        }
        return;
    }
    let text = fs::read(&from).unwrap();
    write(&to, &text);
}

fn write(to: &Path, text: &[u8]) {
    if fs::read(to).ok().as_deref() != Some(text) {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, text).unwrap();
    }
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// Runs an installation unless the one for this lock file is there.
fn installed(lock: &Path, stamp: &Path, install: impl FnOnce()) {
    let wanted = fs::read(lock).unwrap();
    if fs::read(stamp).ok().as_deref() != Some(wanted.as_slice()) {
        install();
        fs::write(stamp, wanted).unwrap();
    }
}

#[test]
fn torture_two_runs_are_byte_identical() {
    let files = torture_contract();
    let (first, second) = (emissions(&model(&files)), emissions(&model(&files)));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.files.len(), second.files.len());
        for (first, second) in first.files.iter().zip(&second.files) {
            assert!(first == second, "{}", first.path);
        }
    }
}

/// Contract crates and the client with its driver, warnings denied.
#[test]
fn torture_compiles_as_rust() {
    let project = &*PROJECT;
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (before, rest) = manifest.split_once("members = [").unwrap();
    let (_, after) = rest.split_once(']').unwrap();
    let after: String = after
        .lines()
        .filter(|line| !line.starts_with("default-members"))
        .map(|line| format!("{line}\n"))
        .collect();
    // Overrides for packages that are not here would be warned of.
    let (after, _) = after.split_once("[profile.dev.package]").unwrap_or((&after, ""));
    let language = format!("path = {:?}", root().join("schema/lang"));
    let after = after.replace("path = \"schema/lang\"", &language);
    let manifest = format!("{before}members = [\"schema/gen/*\", \"clients/rust\"]{after}");
    write(&project.join("Cargo.toml"), manifest.as_bytes());
    installed(
        &root().join("Cargo.lock"),
        &project.join("installed.lock"),
        || {
            fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
        },
    );
    run(Command::new(env!("CARGO"))
        .args([
            "check",
            "--quiet",
            "--offline",
            "--workspace",
            "--features",
            "rustydb-client/driver",
        ])
        .current_dir(project)
        .env("CARGO_TARGET_DIR", project.join("target"))
        .env("RUSTFLAGS", "-Dwarnings"));
}

#[test]
fn torture_compiles_as_strict_typescript() {
    let folder = PROJECT.join("clients/typescript");
    installed(
        &folder.join("package-lock.json"),
        &folder.join("node_modules/.installed-lock"),
        || {
            run(Command::new("npm")
                .args(["ci", "--silent", "--no-audit", "--no-fund"])
                .current_dir(&folder));
        },
    );
    run(Command::new("node_modules/.bin/tsc")
        .args(["-p", "tsconfig.json"])
        .current_dir(&folder));
}

#[test]
fn torture_compiles_as_strict_python() {
    let folder = PROJECT.join("clients/python");
    let environment = PROJECT.join("python");
    let python = environment.join("bin/python");
    let lock = root().join("clients/python/requirements-dev.lock");
    installed(&lock, &environment.join("installed.lock"), || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment));
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
        ];
        run(Command::new(&python).args(install).arg(&lock));
    });
    run(Command::new(&python)
        .args(["-m", "mypy", "--strict"])
        .current_dir(&folder));
    // What mypy does not see: that every module can be loaded.
    run(Command::new(&python)
        .args(["-c", "import rustydb"])
        .current_dir(folder.join("src")));
}

#[test]
fn torture_is_a_graphql_schema() {
    let schema = fs::read_to_string(PROJECT.join("docs/schema.graphql")).unwrap();
    if let Err(error) = async_graphql_parser::parse_schema(&schema) {
        panic!("{error}");
    }
}

#[test]
fn torture_keeps_every_word_on_the_wire() {
    let project = &*PROJECT;
    let openapi: serde_json::Value =
        serde_json::from_slice(&fs::read(project.join("docs/openapi.json")).unwrap()).unwrap();
    let model = model(&torture_contract());
    let codegen::model::Shape::Object(words) = &model.ty("Words").shape else {
        panic!("Words is an object")
    };
    let properties = openapi["components"]["schemas"]["Words"]["properties"]
        .as_object()
        .unwrap();
    assert!(words.fields.len() > 100);
    for field in &words.fields {
        assert!(properties.contains_key(&field.name), "{}", field.name);
    }
    let rust = fs::read_to_string(project.join("schema/gen/async/src/types.rs")).unwrap();
    // Keywords without a raw form carry their wire name apart.
    assert!(rust.contains("#[serde(rename = \"self\")]\n    pub self_:"));
    assert!(rust.contains("pub r#type:"));
}
