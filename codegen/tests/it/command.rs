//! The program: what it writes, prints and exits with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{SHOP, contract, edit};

fn write(root: &Path, files: &[(String, String)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn codegen(root: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_codegen"))
        .arg("--root")
        .arg(root)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn git(root: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .arg("-C")
        .arg(root)
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", text(&status.stderr));
}

#[test]
fn diff_against_a_revision_fails_until_the_breaking_change_is_acknowledged() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let mut files = contract();
    write(root, &files);
    git(root, &["init", "-q"]);
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "contract"]);
    let same = codegen(root, &["diff", "--against", "HEAD"]);
    assert_eq!((same.status.code(), text(&same.stdout)), (Some(0), ""));

    edit(&mut files, SHOP, "status: 404", "status: 410");
    write(root, &files);
    let broken = codegen(root, &["diff", "--against", "HEAD"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(
        text(&broken.stdout).starts_with("wire-breaking    error THING_NOT_FOUND: status: "),
        "{}",
        text(&broken.stdout)
    );

    let reason = "acknowledged:\n  - {path: error THING_NOT_FOUND, change: status, reason: Gone says that it will not come back.}\n";
    fs::write(root.join("schema/breaking.yaml"), reason).unwrap();
    let accepted = codegen(root, &["diff", "--against", "HEAD", "--json"]);
    assert_eq!(accepted.status.code(), Some(0), "{}", text(&accepted.stderr));
    let line: serde_json::Value = serde_json::from_slice(&accepted.stdout).unwrap();
    assert_eq!(line["class"], "wire-breaking");
    assert_eq!(line["acknowledged"], true);

    for revision in ["no-such-revision", "--output=x"] {
        let unknown = codegen(root, &["diff", "--against", revision]);
        assert_eq!(unknown.status.code(), Some(2), "{revision}");
    }
}

/// As continuous integration calls it: a breaking edit on a branch, and on main itself.
#[test]
fn diff_without_a_revision_compares_with_what_the_work_is_a_change_of() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let mut files = contract();
    write(root, &files);
    git(root, &["init", "-q"]);
    let told = |code: i32, words: &str| {
        let output = codegen(root, &["diff"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let told = [text(&output.stdout), text(&output.stderr)].concat();
        assert!(told.contains(words), "{words:?} is not in {told}");
    };
    told(2, "nothing is committed yet");
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "contract"]);
    told(2, "main has no commit before this one");
    git(root, &["commit", "-q", "--allow-empty", "-m", "another"]);
    told(0, "");

    git(root, &["checkout", "-q", "-b", "work"]);
    edit(&mut files, SHOP, "status: 404", "status: 410");
    write(root, &files);
    git(root, &["commit", "-q", "-a", "-m", "break"]);
    git(root, &["commit", "-q", "--allow-empty", "-m", "and go on"]);
    told(1, "wire-breaking    error THING_NOT_FOUND: status: ");
    let reason = "acknowledged:\n  - {path: error THING_NOT_FOUND, change: status, reason: Gone says that it will not come back.}\n";
    fs::write(root.join("schema/breaking.yaml"), reason).unwrap();
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "acknowledge"]);
    told(0, "(acknowledged)");

    git(root, &["checkout", "-q", "main"]);
    git(root, &["merge", "-q", "--no-ff", "-m", "merge", "work"]);
    told(0, "(acknowledged)");
    git(root, &["branch", "-q", "-m", "main", "trunk"]);
    told(2, "there is no branch main");
}

#[test]
fn a_published_name_changes_only_when_it_is_accepted() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    write(root, &contract());
    let first = codegen(root, &[]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let lock = root.join("schema/names.lock");
    let pinned = fs::read_to_string(&lock).unwrap();
    assert!(
        pinned.contains("graphql operation shop.get_thing = Query.shopThing\n"),
        "{pinned}"
    );
    assert!(pinned.contains("rust field Thing.price = price\n"));
    assert_eq!(codegen(root, &["--check"]).status.code(), Some(0));

    // As if an earlier generator had named the field otherwise.
    fs::write(
        &lock,
        pinned.replace(
            "shop.get_thing = Query.shopThing",
            "shop.get_thing = Query.shopGetThing",
        ),
    )
    .unwrap();
    for arguments in [&[][..], &["--check"], &["names"]] {
        assert_eq!(codegen(root, arguments).status.code(), Some(1), "{arguments:?}");
    }
    let refused = codegen(root, &[]);
    assert!(
        text(&refused.stderr).contains("schema/names.lock:"),
        "{}",
        text(&refused.stderr)
    );
    assert!(text(&refused.stderr).contains("error[name-locked]"));
    assert_eq!(codegen(root, &["names", "--accept"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&lock).unwrap(), pinned);
    assert_eq!(codegen(root, &["--check"]).status.code(), Some(0));
}

#[test]
fn a_stale_or_foreign_file_fails_the_check_and_is_put_right_by_a_run() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    write(root, &contract());
    let missing = codegen(root, &["--check"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("missing: schema/gen/shop/src/types.rs"));
    assert!(!root.join("schema/gen").exists(), "a check writes nothing");

    codegen(root, &[]);
    fs::write(root.join("schema/gen/shop/src/types.rs"), "// mine\n").unwrap();
    fs::write(root.join("clients/rust/src/generated/mine.rs"), "").unwrap();
    let stale = codegen(root, &["--check"]);
    assert_eq!(stale.status.code(), Some(1));
    assert!(text(&stale.stderr).contains("stale: schema/gen/shop/src/types.rs"));
    assert!(text(&stale.stderr).contains("not generated: clients/rust/src/generated/mine.rs"));
    assert_eq!(codegen(root, &[]).status.code(), Some(0));
    assert_eq!(codegen(root, &["--check"]).status.code(), Some(0));
    assert!(!root.join("clients/rust/src/generated/mine.rs").exists());
}

#[test]
fn lint_prints_findings_for_people_and_for_programs_and_generates_nothing() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let mut files = contract();
    edit(&mut files, SHOP, "      colour: Colour", "      colour: Color");
    write(root, &files);
    let people = codegen(root, &["lint"]);
    assert_eq!(people.status.code(), Some(1));
    assert!(
        text(&people.stderr).contains("schema/modules/shop.yaml:13:7: error[unknown-type]: "),
        "{}",
        text(&people.stderr)
    );
    let programs = codegen(root, &["lint", "--json"]);
    let line: serde_json::Value =
        serde_json::from_str(text(&programs.stdout).lines().next().unwrap()).unwrap();
    assert_eq!(
        line["place"],
        serde_json::json!({"file": SHOP, "line": 13, "column": 7})
    );
    assert_eq!(codegen(root, &[]).status.code(), Some(1));
    assert!(!root.join("schema/gen").exists());
}
