//! How long the generator takes, and `cargo check` after one operation was edited: for the real contract, and for a
//! synthetic one of 740 operations, 100 views and 2,290 types in a scratch project.
//!
//! `cargo bench -p codegen --bench generator`. What is timed is what people type: `cargo run -p codegen` in a
//! debug build, and `cargo check --workspace` of the scratch project, which has contract crates, service bodies,
//! REST handlers, registration, and the Rust client of all modules. Its first check compiles third-party crates.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark says what it finds"
)]

#[path = "support/scratch.rs"]
mod scratch;
mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use codegen::load;
use support::{Samples, print_machine, timed};

const ROUNDS: usize = 5;
/// Edits of each kind; each is made and taken back.
const EDIT_ROUNDS: usize = 3;

/// What is edited: what it is, module, text that is there once, what it becomes.
const EDITS: [(&str, &str, &str, &str); 3] = [
    (
        "a summary",
        "billing",
        "    summary: Return one ledger.\n",
        "    summary: Return one ledger as it is.\n",
    ),
    (
        "a field of the input",
        "catalog",
        "        state: {$ref: CatalogLedgerState, description: Only those in this state.}\n",
        "        state: {$ref: CatalogLedgerState, description: Only those in this state.}\n        since: {type: string, format: date}\n",
    ),
    (
        "a field of the output",
        "workflow",
        "      owner: WorkflowLedgerOwner\n",
        "      owner: WorkflowLedgerOwner\n      remark: {type: string, maxLength: 200}\n",
    ),
];

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn must(command: &mut Command) -> Duration {
    let (output, taken) = timed(|| command.output().unwrap());
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    taken
}

/// The generator as people start it, on a project.
fn generate(root: &Path, project: &Path) -> Duration {
    must(
        Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "codegen", "--", "--root"])
            .arg(project)
            .current_dir(root),
    )
}

fn check(project: &Path) -> Duration {
    must(
        Command::new(env!("CARGO"))
            .args(["check", "--workspace", "--offline"])
            .current_dir(project)
            .env("CARGO_TARGET_DIR", project.join("target")),
    )
}

fn main() {
    print_machine();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (project, real_contract) = (folder.join("synthetic"), folder.join("real-contract"));
    scratch::copy(
        &root.join(load::MODULES_FOLDER),
        &real_contract.join(load::MODULES_FOLDER),
    );
    let model = scratch::write(root, &project);
    println!(
        "synthetic contract: {} operations, {} views, {} types",
        model.operations().count(),
        model.views().count(),
        model.types.len()
    );
    // Builds the generator.
    generate(root, &real_contract);
    println!(
        "first `cargo run -p codegen` of the synthetic contract: {:.2} s",
        seconds(generate(root, &project))
    );

    let [mut real, mut synthetic] = [const { Samples::new() }; 2];
    for _ in 0..ROUNDS {
        real.push(seconds(generate(root, &real_contract)));
        synthetic.push(seconds(generate(root, &project)));
    }
    println!("`cargo run -p codegen`, debug build, nothing changed, seconds: median (min to max)");
    println!("  real contract       {}", real.spread(2));
    println!("  synthetic contract  {}", synthetic.spread(2));

    println!(
        "\nfirst `cargo check --workspace`: {:.1} s",
        seconds(check(&project))
    );
    println!("again, nothing changed: {:.1} s", seconds(check(&project)));
    println!("after an edit, seconds: median (min to max)");
    for (what, module, from, to) in EDITS {
        let [mut generated, mut checked] = [const { Samples::new() }; 2];
        for _ in 0..EDIT_ROUNDS {
            for (from, to) in [(from, to), (to, from)] {
                scratch::edit(&project, module, from, to);
                generated.push(seconds(generate(root, &project)));
                checked.push(seconds(check(&project)));
            }
        }
        println!("  {what} in {}/{module}.yaml", load::MODULES_FOLDER);
        println!("    codegen      {}", generated.spread(2));
        println!("    cargo check  {}", checked.spread(1));
    }
}
