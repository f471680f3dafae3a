//! What can go wrong with a call.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::generated::ErrorCode;

/// Longest part of a foreign error body that becomes a message, in characters.
const FOREIGN_MESSAGE_MAX: usize = 500;

/// A call that did not succeed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The server refused the call or failed at it.
    Answer(Box<ApiError>),
    /// No answer came: the server was not reached, or the connection broke. A command may have been done.
    Connection {
        operation: &'static str,
        request_id: String,
        source: reqwest::Error,
    },
    /// A subscription broke off where going on could lose or repeat something, or has been opened anew as often as
    /// its policy allows.
    Interrupted {
        operation: &'static str,
        request_id: String,
        cause: Interruption,
    },
    /// The time set for the call was over. A command may have been done.
    Timeout {
        operation: &'static str,
        request_id: String,
        timeout: Duration,
    },
    /// The answer is not of the operation's form; client and server are of different versions.
    Decode {
        operation: &'static str,
        request_id: String,
        source: serde_json::Error,
    },
    /// The input can't be sent.
    Input {
        operation: &'static str,
        message: String,
    },
    /// The client is set up in a way that can't work.
    Configuration { message: String },
}

/// How the connection of a subscription ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Interruption {
    /// The server ended it, as it does when it stops.
    Ended,
    /// Nothing came for so long.
    Silent(Duration),
    Broken(reqwest::Error),
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interruption::Ended => f.write_str("the server ended the connection"),
            Interruption::Silent(silence) => write!(f, "nothing came for {} ms", silence.as_millis()),
            Interruption::Broken(_) => f.write_str("the connection broke"),
        }
    }
}

/// An error that the server answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub code: ErrorCode,
    /// HTTP status.
    pub status: u16,
    pub message: String,
    /// Finds the call in the server's log.
    pub request_id: String,
    /// How long to wait before sending the call again, where the server says so.
    pub retry_after: Option<Duration>,
    /// More about the error; its type is the one the contract gives the code.
    pub details: Option<Value>,
    /// Id of the operation that was called.
    pub operation: &'static str,
    /// Whether the body was the server's own; else a proxy or another program answered.
    pub(crate) understood: bool,
}

impl ApiError {
    /// The details as the type that the contract declares for the code; `None` when absent or of another form.
    pub fn details_as<T: DeserializeOwned>(&self) -> Option<T> {
        self.details
            .as_ref()
            .and_then(|details| T::deserialize(details).ok())
    }
}

impl Error {
    /// The address may hold what the log must not.
    pub(crate) fn connection(operation: &'static str, request_id: &str, source: reqwest::Error) -> Error {
        Error::Connection {
            operation,
            request_id: request_id.to_owned(),
            source: source.without_url(),
        }
    }

    /// The error that the server answered.
    pub fn answer(&self) -> Option<&ApiError> {
        match self {
            Error::Answer(answer) => Some(answer),
            _ => None,
        }
    }

    /// Code of the error that the server answered.
    pub fn code(&self) -> Option<&ErrorCode> {
        self.answer().map(|answer| &answer.code)
    }

    /// Id under which the call stands in the server's log.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Error::Answer(answer) => Some(&answer.request_id),
            Error::Connection { request_id, .. }
            | Error::Interrupted { request_id, .. }
            | Error::Timeout { request_id, .. }
            | Error::Decode { request_id, .. } => Some(request_id),
            Error::Input { .. } | Error::Configuration { .. } => None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiError {
            operation,
            code,
            message,
            status,
            request_id,
            ..
        } = self;
        write!(
            f,
            "{operation} answered {code}: {message} (status {status}, request {request_id})"
        )
    }
}

impl std::error::Error for ApiError {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Answer(answer) => answer.fmt(f),
            Error::Connection {
                operation,
                request_id,
                ..
            } => {
                write!(
                    f,
                    "{operation} got no answer (request {request_id}); check that the server runs at the client's address"
                )
            }
            Error::Interrupted {
                operation,
                request_id,
                cause,
            } => {
                write!(
                    f,
                    "{operation} was interrupted: {cause} (request {request_id}); open it again, from its cursor where it has one"
                )
            }
            Error::Timeout {
                operation,
                request_id,
                timeout,
            } => {
                let ms = timeout.as_millis();
                write!(
                    f,
                    "{operation} was not answered in {ms} ms (request {request_id}); allow more with with_timeout"
                )
            }
            Error::Decode {
                operation,
                request_id,
                ..
            } => {
                write!(
                    f,
                    "the answer of {operation} is not of the contract's form (request {request_id}); use the client of the server's version"
                )
            }
            Error::Input { operation, message } => write!(f, "{operation}: {message}"),
            Error::Configuration { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connection { source, .. } => Some(source),
            Error::Decode { source, .. } => Some(source),
            Error::Interrupted {
                cause: Interruption::Broken(source),
                ..
            } => Some(source),
            Error::Answer(_)
            | Error::Interrupted { .. }
            | Error::Timeout { .. }
            | Error::Input { .. }
            | Error::Configuration { .. } => None,
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Error {
        Error::Answer(Box::new(error))
    }
}

/// problem+json (RFC 9457) with the contract's `error` member; all but the code may be missing.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
    error: ProblemError,
}

#[derive(Deserialize)]
struct ProblemError {
    code: String,
    #[serde(default)]
    message: Option<String>,
    /// Seconds.
    #[serde(default)]
    retry_after: Option<f64>,
    #[serde(default)]
    details: Option<Value>,
}

/// The data of the event `error`, the last one of a stream.
#[derive(Deserialize)]
struct StreamProblem {
    #[serde(flatten)]
    error: ProblemError,
    #[serde(default)]
    status: Option<u16>,
}

/// The typed error that a stream ended with.
pub(crate) fn stream_error(
    operation: &'static str,
    request_id: &str,
    data: &str,
) -> Result<ApiError, serde_json::Error> {
    let StreamProblem { error, status } = serde_json::from_str(data)?;
    let code = ErrorCode::from(error.code);
    let desc = code.desc();
    let summary = || desc.map_or("", |desc| desc.summary).to_owned();
    Ok(ApiError {
        message: error.message.unwrap_or_else(summary),
        status: status.or(desc.map(|desc| desc.status)).unwrap_or(500),
        code,
        request_id: request_id.to_owned(),
        retry_after: error.retry_after.and_then(seconds),
        details: error.details,
        operation,
        understood: true,
    })
}

/// An answer that is no success, before it is understood.
pub(crate) struct Refusal<'a> {
    pub operation: &'static str,
    pub status: u16,
    pub request_id: &'a str,
    /// The header `Retry-After`.
    pub retry_after: Option<&'a str>,
    pub body: &'a [u8],
}

impl Refusal<'_> {
    /// The typed error. A code that this client does not know and a body that no RustyDB server wrote become
    /// errors too, with everything kept.
    pub(crate) fn into_error(self) -> ApiError {
        let header = self
            .retry_after
            .and_then(|text| text.trim().parse().ok())
            .and_then(seconds);
        match serde_json::from_slice::<Problem>(self.body) {
            Ok(problem) => ApiError {
                message: problem.error.message.or(problem.detail).unwrap_or_default(),
                code: ErrorCode::from(problem.error.code),
                status: self.status,
                request_id: problem.request_id.unwrap_or_else(|| self.request_id.to_owned()),
                retry_after: problem.error.retry_after.and_then(seconds).or(header),
                details: problem.error.details,
                operation: self.operation,
                understood: true,
            },
            Err(_) => ApiError {
                message: String::from_utf8_lossy(self.body)
                    .trim()
                    .chars()
                    .take(FOREIGN_MESSAGE_MAX)
                    .collect(),
                code: ErrorCode::Unknown(format!("HTTP_{}", self.status)),
                status: self.status,
                request_id: self.request_id.to_owned(),
                retry_after: header,
                details: None,
                operation: self.operation,
                understood: false,
            },
        }
    }
}

fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}
