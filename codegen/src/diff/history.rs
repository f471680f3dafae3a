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

/// The branch that changes are made for.
const MAIN: &str = "main";

/// What the work at hand is a change of: the commit at which the branch left main, or when main itself is checked out,
/// the commit before.
pub fn base(root: &Path) -> anyhow::Result<String> {
    let commit = |name: &str| {
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        let name = format!("{name}^{{commit}}");
        git(root, &[&arguments[..], &[name.as_str()]].concat()).map(|id| id.trim().to_owned())
    };
    let head = commit("HEAD").context("nothing is committed yet, so there is nothing to compare with")?;
    let main = commit(&format!("refs/heads/{MAIN}"))
        .or_else(|_| commit(&format!("refs/remotes/origin/{MAIN}")))
        .with_context(|| format!("there is no branch {MAIN}: fetch it, or name a revision with --against"))?;
    if head == main {
        return commit("HEAD^1").with_context(|| {
            format!(
                "{MAIN} has no commit before this one: fetch more of it, or name a revision with --against"
            )
        });
    }
    let left = git(root, &["merge-base", &head, &main])
        .with_context(|| format!("this branch and {MAIN} have no commit in common: fetch more of both"))?;
    Ok(left.trim().to_owned())
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
