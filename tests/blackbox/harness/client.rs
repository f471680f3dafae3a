//! The clients, each as a process that makes typed calls for lines of JSON.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::credential::Credential;
use super::error::{Answer, WireError};
use super::tools;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    TypeScript,
    Python,
    PythonAsync,
}

/// A client's driver; the process ends with it.
pub struct Driver {
    _child: Child,
    requests: ChildStdin,
    answers: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Driver {
    pub fn start(language: Language, base_url: &str) -> Driver {
        let mut command: Command = match language {
            Language::TypeScript => tools::typescript_driver().into(),
            Language::Python => tools::python_driver(false).into(),
            Language::PythonAsync => tools::python_driver(true).into(),
        };
        let mut child = command
            .arg(base_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let requests = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Driver {
            _child: child,
            requests,
            answers,
        }
    }

    pub async fn call(&mut self, operation: &str, input: &Value, credential: &Credential) -> Answer {
        self.line(&json!({"op": operation, "input": input, "credential": credential.to_driver()}))
            .await
    }

    /// Every item of a paged operation, over all its pages.
    pub async fn iterate(&mut self, operation: &str, input: &Value, credential: &Credential) -> Answer {
        self.line(&json!({
            "op": operation, "input": input, "credential": credential.to_driver(), "iterate": true,
        }))
        .await
    }

    /// Opens a view; answers once it is acknowledged. The first `take` events are then answered by
    /// [`Driver::events`].
    pub async fn watch(&mut self, view: &str, input: &Value, credential: &Credential, take: usize) -> Answer {
        self.line(&json!({
            "watch": view, "input": input, "credential": credential.to_driver(), "take": take,
        }))
        .await
    }

    pub async fn events(&mut self) -> Answer {
        self.answer().await
    }

    async fn line(&mut self, line: &Value) -> Answer {
        self.requests
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        self.requests.flush().await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> Answer {
        let answer = self
            .answers
            .next_line()
            .await
            .unwrap()
            .expect("the driver answers every line");
        parse(&serde_json::from_str(&answer).unwrap())
    }
}

/// What a driver answered.
pub fn parse(answer: &Value) -> Answer {
    match answer.get("error") {
        None => Ok(answer["ok"].clone()),
        Some(error) => Err(WireError::from_members(error, &error["message"])),
    }
}
