//! The real server on a fresh data directory, and connections to it that are kept alive.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

const SECRET: &str = "correct horse battery staple";

/// A server that ends with it.
pub struct Server {
    child: Child,
    pub address: String,
    _data: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Server {
        // Beside the build and not in /tmp, which may be memory.
        let data = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rustydb"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(data.path().join("data"))
            .env("RUSTYDB_ADMIN_PASSWORD", SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim_end()
            .strip_prefix("rustydb ready on http://")
            .expect("the server gets ready");
        Server {
            child,
            address: address.to_owned(),
            _data: data,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One connection that is kept alive.
pub struct Connection {
    stream: BufReader<TcpStream>,
    credential: String,
    request: Vec<u8>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    pub fn open(address: &str, credential: String) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let (request, line, body) = (Vec::new(), String::new(), Vec::new());
        Connection {
            stream: BufReader::new(stream),
            credential,
            request,
            line,
            body,
        }
    }

    /// Sends a request and reads its answer, which must be of that status.
    pub fn call(&mut self, method: &str, path: &str, body: &str, status: u16) -> &[u8] {
        let found = self.send(method, path, body);
        assert_eq!(
            found,
            status,
            "{method} {path}: {}",
            String::from_utf8_lossy(&self.body)
        );
        &self.body
    }

    /// Sends a request and reads its answer; the status.
    pub fn send(&mut self, method: &str, path: &str, body: &str) -> u16 {
        self.request.clear();
        let media = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/json\r\n"
        };
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}{media}Content-Length: {}\r\n\r\n{body}",
            self.credential,
            body.len()
        )
        .unwrap();
        self.stream.get_mut().write_all(&self.request).unwrap();
        self.next_line();
        let found = self.line.split(' ').nth(1).unwrap().parse::<u16>().unwrap();
        let mut length = 0;
        loop {
            self.next_line();
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).unwrap();
        found
    }

    /// What was answered last.
    pub fn answer(&self) -> &[u8] {
        &self.body
    }

    fn next_line(&mut self) {
        self.line.clear();
        assert_ne!(
            self.stream.read_line(&mut self.line).unwrap(),
            0,
            "the server closed the connection"
        );
    }
}

/// An API key of the administrator, with which logout ends nothing.
pub fn api_key(address: &str) -> String {
    let mut nobody = Connection::open(address, String::new());
    let login = json!({"username": "admin", "password": SECRET}).to_string();
    let tokens: Value =
        serde_json::from_slice(nobody.call("POST", "/api/v1/auth/login", &login, 200)).unwrap();
    let bearer = format!(
        "Authorization: Bearer {}\r\n",
        tokens["access_token"].as_str().unwrap()
    );
    let mut admin = Connection::open(address, bearer);
    let made = admin.call("POST", "/api/v1/auth/api-keys", r#"{"name":"bench"}"#, 201);
    let made: Value = serde_json::from_slice(made).unwrap();
    format!("X-API-Key: {}\r\n", made["api_key"].as_str().unwrap())
}
