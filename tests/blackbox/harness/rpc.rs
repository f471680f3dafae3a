//! Calls over JSON-RPC on a WebSocket.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::credential::Credential;
use super::error::{Answer, WireError};

/// Bytes of a frame; the server takes 1 MiB.
const FRAME_BYTES: usize = 1 << 19;

/// One socket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
}

impl Socket {
    pub async fn open(address: &str, credential: &Credential) -> Result<Socket, Error> {
        Socket::open_with(address, credential, &[("sec-websocket-protocol", "rustydb.json")]).await
    }

    pub async fn open_with(
        address: &str,
        credential: &Credential,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, Error> {
        let mut request = format!("ws://{address}/api/v1/ws").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match credential {
            Credential::Nobody => {}
            Credential::Bearer(token) => {
                request
                    .headers_mut()
                    .insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            Credential::ApiKey(key) => {
                request.headers_mut().insert("x-api-key", key.parse().unwrap());
            }
        }
        let (stream, _) = connect_async(request).await?;
        Ok(Socket { stream, next_id: 1 })
    }

    /// A text message, of several frames where the server's largest frame demands it.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        let bytes = text.into().into_bytes();
        let last = bytes.len().div_ceil(FRAME_BYTES).max(1) - 1;
        for (index, chunk) in (0..=last).map(|index| (index, &bytes[index * FRAME_BYTES..])) {
            let chunk = &chunk[..chunk.len().min(FRAME_BYTES)];
            let code = OpCode::Data(if index == 0 { Data::Text } else { Data::Continue });
            let frame = Frame::message(chunk.to_vec(), code, index == last);
            // The server may close while a message that is too large is still being sent.
            if self.stream.send(Message::Frame(frame)).await.is_err() {
                return;
            }
        }
    }

    pub async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// The next text frame as JSON; `None` once the socket is closed.
    pub async fn receive(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Code of the close frame that ends the socket.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    pub async fn call(&mut self, method: &str, params: &Value) -> Answer {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send_text(request.to_string()).await;
        let response = self.receive().await.expect("the socket stays open");
        assert_eq!(response["jsonrpc"], "2.0");
        assert_eq!(response["id"], id, "{response}");
        answer(&response)
    }
}

/// Result or error of a response.
pub fn answer(response: &Value) -> Answer {
    match response.get("error") {
        None => Ok(response["result"].clone()),
        Some(error) => {
            assert!(error["code"].is_i64(), "{response}");
            Err(WireError::from_members(&error["data"], &error["message"]))
        }
    }
}
