//! One connection that carries an event stream.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use rustydb_contract::descriptor::OperationDesc;
use serde::de::Error as _;

use super::error::{Error, Interruption, stream_error};
use super::event_stream::{Block, Parser};
use super::exchange::Receive;

const EVENT_STREAM: &str = "text/event-stream";

/// The blocks that come over one connection. It reads on only when it is asked, holds one chunk at most, and
/// dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Feed {
    operation: &'static OperationDesc,
    request_id: String,
    response: Response,
    parser: Parser,
    chunk: Vec<u8>,
    /// Of the chunk.
    taken: usize,
}

/// A feed that the server has acknowledged.
#[derive(Debug)]
pub(crate) struct Opened {
    pub feed: Feed,
    /// The acknowledgement, with the cursor of what begins here.
    pub first: Block,
}

impl Receive for Opened {
    const ACCEPT: &'static str = EVENT_STREAM;

    async fn receive(
        response: Response,
        operation: &'static OperationDesc,
        request_id: &str,
    ) -> Result<Opened, Error> {
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .map_or("", |value| value.to_str().unwrap_or_default());
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(EVENT_STREAM) {
            let message = format!("the answer is of type {media_type:?} and not {EVENT_STREAM}");
            return Err(Error::Decode {
                operation: operation.id,
                request_id: request_id.to_owned(),
                source: serde_json::Error::custom(message),
            });
        }
        let mut feed = Feed {
            operation,
            request_id: request_id.to_owned(),
            response,
            parser: Parser::new(),
            chunk: Vec::new(),
            taken: 0,
        };
        let first = feed.read().await?;
        Ok(Opened { feed, first })
    }
}

impl Feed {
    /// The next block. A connection on which nothing comes for `silence_max` is lost.
    pub(crate) async fn next(&mut self, silence_max: Duration) -> Result<Block, Error> {
        loop {
            if let Some(block) = self.parse()? {
                return Ok(block);
            }
            match tokio::time::timeout(silence_max, self.fill()).await {
                Ok(filled) => filled?,
                Err(_) => return Err(self.interrupted(Interruption::Silent(silence_max))),
            }
        }
    }

    async fn read(&mut self) -> Result<Block, Error> {
        loop {
            if let Some(block) = self.parse()? {
                return Ok(block);
            }
            self.fill().await?;
        }
    }

    /// A block out of the chunk; the event `error` is the error that it tells.
    fn parse(&mut self) -> Result<Option<Block>, Error> {
        let mut rest = &self.chunk[self.taken..];
        let parsed = self.parser.take(&mut rest);
        self.taken = self.chunk.len() - rest.len();
        let block = parsed.map_err(|_| self.undecodable(serde_json::Error::custom("a block is too long")))?;
        let Some(block) = block else {
            return Ok(None);
        };
        match &block.data {
            Some(data) if block.event == "error" => {
                Err(match stream_error(self.operation.id, &self.request_id, data) {
                    Ok(error) => error.into(),
                    Err(error) => self.undecodable(error),
                })
            }
            _ => Ok(Some(block)),
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        match self.response.chunk().await {
            Ok(Some(chunk)) => {
                self.chunk = chunk.into();
                self.taken = 0;
                Ok(())
            }
            Ok(None) => Err(self.interrupted(Interruption::Ended)),
            Err(error) => Err(self.interrupted(Interruption::Broken(error.without_url()))),
        }
    }

    fn interrupted(&self, cause: Interruption) -> Error {
        Error::Interrupted {
            operation: self.operation.id,
            request_id: self.request_id.clone(),
            cause,
        }
    }

    fn undecodable(&self, source: serde_json::Error) -> Error {
        Error::Decode {
            operation: self.operation.id,
            request_id: self.request_id.clone(),
            source,
        }
    }
}
