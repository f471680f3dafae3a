//! The contract as it was at a git revision.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::load::{MODULES_FOLDER, parse_files};
use crate::model::Model;
use crate::resolve::resolve;

/// The model at a revision. It is resolved but not linted: rules that came later do not judge it.
pub fn model_at(root: &Path, revision: &str) -> anyhow::Result<Model> {
    let names = git(
        root,
        &[
            "ls-tree",
            "--name-only",
            "-z",
            "--end-of-options",
            revision,
            &format!("{MODULES_FOLDER}/"),
        ],
    )?;
    let mut files = Vec::new();
    for name in names.split('\0').filter(|name| name.ends_with(".yaml")) {
        // `./` makes the path relative to the project, wherever it lies in its repository.
        let text = git(
            root,
            &["show", "--end-of-options", &format!("{revision}:./{name}")],
        )?;
        files.push((name.to_owned(), text));
    }
    if files.is_empty() {
        bail!("{revision} holds no contract in {MODULES_FOLDER}");
    }
    let model = parse_files(&files).and_then(|loaded| resolve(&loaded));
    model.map_err(|found| {
        let list: String = found.iter().map(|diagnostic| format!("\n{diagnostic}")).collect();
        anyhow::anyhow!(
            "the contract at {revision} is not of today's language; compare with a later revision{list}"
        )
    })
}

fn git(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .context("git is needed to read an earlier contract")?;
    if !output.status.success() {
        bail!(
            "git {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).context("the contract at that revision is not UTF-8")
}
