//! Runs the guide's commands as a reader's shell would, in the copy.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

use super::copy::Copy;
use crate::harness::tools;

const READY: &str = "rustydb ready on ";

pub struct Shell<'a> {
    copy: &'a Copy,
    temporary: tempfile::TempDir,
    background: Option<Background>,
}

struct Background {
    process: Child,
    url: String,
}

impl<'a> Shell<'a> {
    pub fn new(copy: &'a Copy) -> Shell<'a> {
        Shell {
            copy,
            temporary: tempfile::tempdir().unwrap(),
            background: None,
        }
    }

    fn command(&self, folder: &str, text: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", text])
            .current_dir(self.copy.root.join(folder))
            .env("CARGO_TARGET_DIR", &self.copy.target)
            .env("CARGO_BUILD_BUILD_DIR", &self.copy.build)
            .env("CARGO_TERM_COLOR", "never")
            .env("PYTHON", tools::python().get_program())
            // What the commands make with mktemp ends with the test.
            .env("TMPDIR", self.temporary.path());
        if let Some(background) = &self.background {
            command.env("RUSTYDB_URL", &background.url);
        }
        command
    }

    pub fn run(&self, folder: &str, text: &str) -> Output {
        self.command(folder, text).output().unwrap()
    }

    /// Starts a server and waits until it says where it is.
    pub fn start(&mut self, text: &str) {
        let mut process = self
            .command(".", text)
            .stdout(Stdio::piped())
            // A group of its own: the shell's children end with it.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim_end().strip_prefix(READY).map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("{text}said {line:?} instead of being ready"));
        self.background = Some(Background { process, url });
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        drop(Command::new("kill").args(["-TERM", "--", &group]).status());
        drop(self.process.wait());
    }
}
