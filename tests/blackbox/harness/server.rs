//! The binary as a process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

/// Password of the administrator of every server in these tests.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// A running `rustydb serve`; killed when dropped.
pub struct Server {
    child: Child,
    /// Kept so that a later line on standard output would be seen, and the pipe stays open.
    stdout: BufReader<std::process::ChildStdout>,
    pub base_url: String,
    log: PathBuf,
    data_dir: PathBuf,
    temporary: Option<TempDir>,
}

impl Server {
    /// A fresh server with data of its own.
    pub fn start() -> Server {
        let temporary = tempfile::tempdir().unwrap();
        let mut server = Server::start_in(temporary.path(), &[]);
        server.temporary = Some(temporary);
        server
    }

    /// A server on the data in `folder`, with further arguments.
    pub fn start_in(folder: &Path, arguments: &[&str]) -> Server {
        let mut command = serve(folder);
        command
            .args(arguments)
            .env("RUSTYDB_ADMIN_PASSWORD", ADMIN_PASSWORD);
        Server::spawn(command, folder)
    }

    /// Runs a command that keeps its data in `folder` and waits until it is ready; its log lies there too.
    pub fn spawn(mut command: Command, folder: &Path) -> Server {
        let log = folder.join("server.log");
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(base_url) = line.trim_end().strip_prefix("rustydb ready on ") else {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            panic!("the server said {line:?} instead of being ready; its log:\n{log}");
        };
        Server {
            child,
            stdout,
            base_url: base_url.to_owned(),
            log,
            data_dir: data_dir(folder),
            temporary: None,
        }
    }

    pub fn address(&self) -> &str {
        self.base_url.strip_prefix("http://").unwrap()
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Reads a further line of standard output; `None` once it is closed.
    pub fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.stdout.read_line(&mut line).unwrap();
        (bytes > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// Ends the process as an operator would; answers its status and what else it said on standard output.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        send_signal(self.child.id(), "TERM");
        let mut rest = String::new();
        while self.stdout.read_line(&mut rest).unwrap() > 0 {}
        (self.child.wait().unwrap(), rest)
    }

    /// Ends the process without warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that has ended already is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("log of the server at {}:\n{}", self.base_url, self.log());
        }
    }
}

/// `rustydb serve` on a free port with its data in `folder`, not yet run.
pub fn serve(folder: &Path) -> Command {
    let mut command = binary();
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir(folder))
        // Many servers run at a time.
        .env("RUSTYDB_BUFFER_POOL_BYTES", "16777216")
        // So that what is pruned when does not depend on the clock; tests of the past set another.
        .env("RUSTYDB_VERSION_RETENTION_MS", "0");
    command
}

pub fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// The binary under test.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rustydb"))
}

pub fn send_signal(process_id: u32, signal: &str) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &process_id.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}
