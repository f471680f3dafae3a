//! Drives the client from standard input: `rust-driver http://127.0.0.1:8080`; see `rustydb_client::driver`.

use std::process::ExitCode;

use tokio::io::{BufReader, stdin, stdout};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(base_url) = std::env::args().nth(1) else {
        eprintln!("usage: rust-driver BASE_URL < lines of JSON");
        return ExitCode::from(2);
    };
    match rustydb_client::driver::serve(&base_url, BufReader::new(stdin()), stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-driver: {error}");
            ExitCode::FAILURE
        }
    }
}
