//! A server of event streams whose connections are cut, held and ended as the test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::contract::{LOGIN, REFRESH};
use super::server::{Reply, Seen};
use crate::runtime::client::{Client, ClientBuilder};
use crate::runtime::session::TokenOperations;

/// A write that is not taken for so long is one that waits for its reader.
const BLOCKED_AFTER: Duration = Duration::from_millis(300);

/// What a request is answered.
pub enum Play {
    Reply(Reply),
    /// Status 200 and these parts of an event stream.
    Stream(Vec<Part>),
}

pub enum Part {
    Bytes(Vec<u8>),
    /// Goes on once this is notified.
    Wait(Arc<Notify>),
    /// These bytes over and over, until so many were taken or the reader takes no more; tells how many were.
    Flood(Vec<u8>, usize, watch::Sender<Option<usize>>),
    /// The stream ends as HTTP has it.
    End,
    /// The connection is closed in the middle.
    Cut,
    /// Nothing more comes.
    Hold,
}

/// A stream of this text.
pub fn stream(text: &str, last: Part) -> Play {
    Play::Stream(vec![Part::Bytes(text.as_bytes().to_vec()), last])
}

type Answer = dyn Fn(&Seen, usize) -> Play + Send + Sync;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    /// Connections that the client closed while they were held.
    closed: watch::Sender<usize>,
    answer: Box<Answer>,
}

pub struct StreamServer {
    pub url: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl StreamServer {
    /// `answer` is given each request with its number from 0. Each has a connection of its own.
    pub async fn start(answer: impl Fn(&Seen, usize) -> Play + Send + Sync + 'static) -> StreamServer {
        let shared = Arc::new(Shared {
            seen: Mutex::new(Vec::new()),
            closed: watch::Sender::new(0),
            answer: Box::new(answer),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (connection, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(connection, Arc::clone(&shared)));
                }
            }
        });
        StreamServer { url, shared, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until the client has closed so many held connections.
    pub async fn closed(&self, count: usize) {
        let mut closed = self.shared.closed.subscribe();
        closed.wait_for(|closed| *closed >= count).await.unwrap();
    }

    pub fn builder(&self) -> ClientBuilder {
        Client::builder(&self.url)
            .token_operations(TokenOperations {
                login: &LOGIN,
                refresh: &REFRESH,
            })
            .http(reqwest::Client::builder().no_proxy().build().unwrap())
    }
}

impl Drop for StreamServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut connection: TcpStream, shared: Arc<Shared>) {
    let Some(seen) = read_request(&mut connection).await else {
        return;
    };
    let number = {
        let mut all = shared.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    let parts = match (shared.answer)(&seen, number) {
        Play::Stream(parts) => parts,
        Play::Reply(reply) => {
            let mut head = format!("HTTP/1.1 {} -\r\nconnection: close\r\n", reply.status);
            for (name, value) in &reply.headers {
                head += &format!("{name}: {value}\r\n");
            }
            let text = format!("{head}content-length: {}\r\n\r\n{}", reply.body.len(), reply.body);
            let _ = connection.write_all(text.as_bytes()).await;
            return;
        }
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if connection.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    for part in parts {
        match part {
            Part::Bytes(bytes) => {
                let _ = connection.write_all(&chunk(&bytes)).await;
            }
            Part::Wait(notify) => notify.notified().await,
            Part::Flood(bytes, count, told) => {
                let chunk = chunk(&bytes);
                let mut taken = 0;
                while taken < count {
                    match tokio::time::timeout(BLOCKED_AFTER, connection.write_all(&chunk)).await {
                        Ok(Ok(())) => taken += bytes.len(),
                        _ => break,
                    }
                }
                told.send_replace(Some(taken));
            }
            Part::End => {
                let _ = connection.write_all(b"0\r\n\r\n").await;
            }
            Part::Cut => return,
            Part::Hold => {
                while connection.read_u8().await.is_ok() {}
                shared.closed.send_modify(|closed| *closed += 1);
            }
        }
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

async fn read_request(connection: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut request = lines.next()?.split(' ');
    let (method, target) = (request.next()?.to_owned(), request.next()?.to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    Some(Seen {
        method,
        target,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
