//! `rustydb check`: verifies the data of a server that is not running.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use rustydb_runtime::SystemClock;
use rustydb_services::check_store;

/// What `rustydb check` takes.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Folder of the data.
    #[arg(long, env = "RUSTYDB_DATA_DIR", default_value = crate::config::DATA_DIR_DEFAULT)]
    pub data_dir: PathBuf,
}

/// Recovers the store as a start does, then reads every page in use, walks every tree, and reads the finished segments of the log and
/// those that are archived. Fails when anything is wrong,
/// after saying what and where.
#[allow(clippy::print_stdout, reason = "what was found is what the command is for")]
pub async fn run(arguments: CheckArguments) -> anyhow::Result<()> {
    let shown = arguments.data_dir.display().to_string();
    if !arguments.data_dir.is_dir() {
        bail!("there is no data directory {shown}");
    }
    let clock = Arc::new(SystemClock::new());
    let checked = tokio::task::spawn_blocking(move || check_store(&arguments.data_dir, clock));
    let report = checked
        .await?
        .with_context(|| format!("cannot open the data in {shown}"))?;
    println!(
        "{shown}: {} spaces, {} pages in use, {} versions of keys, {} finished segments of the log, {} archived",
        report.spaces, report.pages_in_use, report.versions, report.log_segments, report.archived_segments
    );
    for finding in &report.findings {
        match finding.space {
            Some(space) => println!("space {space}: {}", finding.what),
            None => println!("{}", finding.what),
        }
    }
    match report.findings.len() {
        0 => {
            println!("nothing is wrong");
            Ok(())
        }
        found => bail!("{found} things are wrong; restore a backup, or copy what can still be read"),
    }
}
