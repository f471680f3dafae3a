//! The `rustydb` binary: `serve` runs the server, `demo` runs it on sample data, `check` verifies what a server left.

mod check;
mod config;
mod contract;
mod demo;
#[cfg(test)]
mod documents;
mod door;
mod metrics;
mod pages;
mod secret;
mod serve;
mod services;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::check::CheckArguments;
use crate::config::ServeArguments;
use crate::demo::DemoArguments;

/// RustyDB: a database whose whole surface is one contract, over REST, WebSocket RPC and GraphQL.
#[derive(Debug, Parser)]
#[command(name = "rustydb", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or SIGINT.
    Serve(ServeArguments),
    /// Run the server with sample data and show how to call it.
    Demo(DemoArguments),
    /// Verify the data of a server that is not running: every page, every tree, the log and its archive.
    Check(CheckArguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Check(arguments) => check::run(arguments).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rustydb: {error:#}");
            ExitCode::FAILURE
        }
    }
}
