//! Calls by operation id, through the typed methods: what the parity tests drive this client with.
//!
//! One JSON object a line: `{"op", "input", "credential": {"bearer"} | {"api_key"} | null, "iterate"?}` is
//! answered by `{"ok": output}` or `{"error": {...}}`. Repetitions are off, so that a test sees each answer.

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use crate::generated::dispatch;
use crate::{Call, Client, Credentials, Error, PagedCall, RetryPolicy};

/// A line of input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub op: String,
    #[serde(default = "empty_object")]
    pub input: Value,
    #[serde(default)]
    pub credential: Option<Credential>,
    /// Answer all items over all pages instead of one page.
    #[serde(default)]
    pub iterate: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    Bearer(String),
    ApiKey(String),
}

fn empty_object() -> Value {
    json!({})
}

/// Why a line has no answer of the server.
#[derive(Debug)]
pub enum Failure {
    Call(Error),
    /// The input is not of the typed method's input type, so no such call can be written.
    Input(serde_json::Error),
    UnknownOperation,
    NotPaged,
}

/// What the generated table makes of an operation id and its input.
pub(crate) type Dispatched = Result<BoxFuture<'static, Result<Value, Failure>>, Failure>;

/// Answers lines until the input ends.
pub async fn serve(
    base_url: &str,
    mut lines: impl AsyncBufRead + Unpin,
    mut answers: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let client = Client::builder(base_url)
        .retry(RetryPolicy::never())
        .build()
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error.to_string()))?;
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut answer = answer(&client, &line).await.to_string();
        answer.push('\n');
        answers.write_all(answer.as_bytes()).await?;
        answers.flush().await?;
    }
}

/// The answer to one line.
pub async fn answer(client: &Client, line: &str) -> Value {
    let line: Line = match serde_json::from_str(line) {
        Ok(line) => line,
        Err(error) => return local_error("BAD_LINE", &error.to_string()),
    };
    let credentials = match line.credential {
        None => Credentials::None,
        Some(Credential::Bearer(token)) => Credentials::Bearer(token),
        Some(Credential::ApiKey(key)) => Credentials::ApiKey(key),
    };
    let client = client.with_credentials(credentials);
    let outcome = match dispatch::dispatch(&client, &line.op, line.input, line.iterate) {
        Ok(call) => call.await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(output) => json!({"ok": output}),
        Err(Failure::Call(error)) => call_error(&error),
        Err(Failure::Input(error)) => local_error("INPUT_TYPE", &error.to_string()),
        Err(Failure::UnknownOperation) => local_error("UNKNOWN_OPERATION", &line.op),
        Err(Failure::NotPaged) => local_error("NOT_PAGED", &line.op),
    }
}

fn call_error(error: &Error) -> Value {
    let Some(answer) = error.answer() else {
        return local_error("CLIENT", &format!("{error}: {error:?}"));
    };
    let class = format!("{:?}", answer.code);
    json!({"error": {
        "code": answer.code.as_str(),
        "status": answer.status,
        "message": answer.message,
        "request_id": answer.request_id,
        "details": answer.details,
        "class": class,
    }})
}

/// An error that the client made itself: no server answered.
fn local_error(class: &str, message: &str) -> Value {
    json!({"error": {
        "code": "CLIENT", "status": 0, "message": message, "request_id": null, "details": null, "class": class,
    }})
}

pub(crate) fn typed<I: DeserializeOwned>(input: Value) -> Result<I, Failure> {
    serde_json::from_value(input).map_err(Failure::Input)
}

pub(crate) fn one<T>(call: Call<T>, iterate: bool) -> Dispatched
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    if iterate {
        return Err(Failure::NotPaged);
    }
    Ok(Box::pin(async move {
        call.await.map_err(Failure::Call).map(|output| wire(&output))
    }))
}

#[allow(dead_code, reason = "a contract may have no paged operation")]
pub(crate) fn paged<P, T>(call: PagedCall<P, T>, iterate: bool) -> Dispatched
where
    P: Serialize + DeserializeOwned + Send + 'static,
    T: Serialize + Send + 'static,
{
    if !iterate {
        return Ok(Box::pin(async move {
            call.await.map_err(Failure::Call).map(|output| wire(&output))
        }));
    }
    Ok(Box::pin(async move {
        let items = call
            .items()
            .map(|item| item.map(|item| wire(&item)))
            .try_collect::<Vec<_>>()
            .await;
        items.map(Value::Array).map_err(Failure::Call)
    }))
}

fn wire<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("what was read from JSON can be written as JSON")
}
