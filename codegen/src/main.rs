//! `cargo run -p codegen`: rewrites everything generated; see `--help`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use codegen::diagnostics::Diagnostic;
use codegen::diff::{ACKNOWLEDGED_FILE, Change, Class};
use codegen::fixtures::{self, Fixtures};
use codegen::output::Emission;
use codegen::project::Project;

/// Generates RustyDB's interfaces, clients, documents and tests from the contract in schema/.
#[derive(Debug, Parser)]
#[command(name = "codegen", version)]
struct Arguments {
    /// Root of the project.
    #[arg(long, global = true, default_value = ".")]
    root: PathBuf,
    /// Write nothing: list what is stale and exit with 1.
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the contract and say what is wrong with it.
    Lint {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show what changed since a git revision; exit with 1 when a breaking change is not acknowledged.
    Diff {
        /// The revision to compare with. Without it, the commit at which the branch left main, or on main the commit
        /// before.
        #[arg(long, value_name = "REV")]
        against: Option<String>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show which interface carries which operation, and why where one does not.
    Coverage {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the recorded calls and events of test_data/fixtures in their index.
    Fixtures {
        /// Write nothing: say where they are not as the contract has them and exit with 1.
        #[arg(long)]
        check: bool,
    },
    /// Show which published names would change.
    Names {
        /// Publish them as they are now.
        #[arg(long)]
        accept: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("codegen: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let project = Project::new(&arguments.root);
    match &arguments.command {
        None => generate(&project, arguments.check),
        Some(Command::Lint { json }) => Ok(report_lint(&project, *json)),
        Some(Command::Diff { against, json }) => show_diff(&project, against.as_deref(), *json),
        Some(Command::Coverage { json }) => show_coverage(&project, *json),
        Some(Command::Fixtures { check }) => list_fixtures(&project, &arguments.root, *check),
        Some(Command::Names { accept }) => names(&project, *accept),
    }
}

fn generate(project: &Project, check: bool) -> anyhow::Result<ExitCode> {
    let emissions = match project.emit() {
        Ok(emissions) => emissions,
        Err(diagnostics) => return Ok(report(&diagnostics, false)),
    };
    let difference = if check {
        project.compare(&emissions)?
    } else {
        project.write(&emissions)?
    };
    let words = if check {
        ["missing", "stale", "not generated"]
    } else {
        ["wrote", "rewrote", "removed"]
    };
    let lists = [&difference.missing, &difference.changed, &difference.extra];
    for (word, paths) in words.iter().zip(lists) {
        for path in paths {
            eprintln!("{word}: {path}");
        }
    }
    if check && !difference.is_empty() {
        eprintln!("run `cargo run -p codegen` and commit what it writes");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, reason = "the list is what the command is called for")]
fn show_diff(project: &Project, against: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let (changes, acknowledged) = match against {
        Some(revision) => project.diff(revision)?,
        None => project.diff(&project.base()?)?,
    };
    let mut refused = 0;
    for change in &changes {
        let breaking = change.class != Class::Compatible;
        let accepted = breaking && acknowledged.covers(change);
        refused += usize::from(breaking && !accepted);
        if json {
            let mut line = serde_json::to_value(change)?;
            line["acknowledged"] = accepted.into();
            println!("{line}");
        } else {
            let note = if accepted { " (acknowledged)" } else { "" };
            let Change {
                class,
                path,
                change,
                message,
            } = change;
            println!("{:15}  {path}: {change}: {message}{note}", class.as_str());
        }
    }
    for entry in acknowledged.idle(&changes) {
        eprintln!("{ACKNOWLEDGED_FILE}: `{entry}` is acknowledged and did not change; take it out");
    }
    if refused > 0 {
        eprintln!(
            "{refused} breaking changes; undo them, or acknowledge path and change with a reason in {ACKNOWLEDGED_FILE}"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn list_fixtures(project: &Project, root: &Path, check: bool) -> anyhow::Result<ExitCode> {
    let model = match project.model() {
        Ok(model) => model,
        Err(diagnostics) => return Ok(report(&diagnostics, false)),
    };
    let recorded = Fixtures::read(root)?;
    if !check {
        let index = root.join(fixtures::FOLDER).join(fixtures::INDEX);
        std::fs::write(index, recorded.index(&model))?;
        return Ok(ExitCode::SUCCESS);
    }
    let findings = recorded.check(&model);
    for finding in &findings {
        eprintln!("{}/{finding}", fixtures::FOLDER);
    }
    if findings.is_empty() {
        eprintln!("{} files of fixtures: nothing to say", recorded.paths().count());
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

fn names(project: &Project, accept: bool) -> anyhow::Result<ExitCode> {
    let (renames, lock) = match project.accept_names() {
        Ok(names) => names,
        Err(diagnostics) => return Ok(report(&diagnostics, false)),
    };
    for rename in &renames {
        eprintln!("{}", rename.message);
    }
    if accept {
        project.write(&[Emission {
            files: vec![lock],
            folders: Vec::new(),
        }])?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(if renames.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[allow(
    clippy::print_stdout,
    reason = "what a program prints for programs goes to standard output"
)]
fn show_coverage(project: &Project, json: bool) -> anyhow::Result<ExitCode> {
    let model = match project.model() {
        Ok(model) => model,
        Err(diagnostics) => return Ok(report(&diagnostics, json)),
    };
    let coverage = codegen::emit::coverage::report(&model);
    if json {
        println!("{}", serde_json::to_string(&coverage)?);
    } else {
        print!("{}", codegen::emit::coverage::markdown(&coverage));
    }
    Ok(ExitCode::SUCCESS)
}

fn report_lint(project: &Project, json: bool) -> ExitCode {
    match project.model() {
        Ok(model) => {
            eprintln!(
                "{} modules, {} operations, {} types, {} errors: nothing to say",
                model.modules.len(),
                model.operations().count(),
                model.types.len(),
                model.errors.len()
            );
            ExitCode::SUCCESS
        }
        Err(diagnostics) => report(&diagnostics, json),
    }
}

#[allow(
    clippy::print_stdout,
    reason = "what a program prints for programs goes to standard output"
)]
fn report(diagnostics: &[Diagnostic], json: bool) -> ExitCode {
    for diagnostic in diagnostics {
        match serde_json::to_string(diagnostic) {
            Ok(line) if json => println!("{line}"),
            _ => eprintln!("{diagnostic}"),
        }
    }
    eprintln!("{} findings; nothing was generated", diagnostics.len());
    ExitCode::FAILURE
}
