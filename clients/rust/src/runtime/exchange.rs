//! Sends one call, as often as the retry policy lets it.

use std::time::Duration;

use reqwest::{Method, Response};
use rustydb_contract::descriptor::OperationDesc;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::client::Inner;
use super::error::{Error, Refusal};
use super::request::{Request, encode};
use super::retry::RetryPolicy;
use super::session::Authorization;
use crate::generated::ErrorCode;

/// What holds for every request of one call.
#[derive(Clone)]
pub(crate) struct Context<'a> {
    pub inner: &'a Inner,
    pub request_id: String,
    /// When the caller gives up.
    pub deadline: Option<Instant>,
    pub retry: &'a RetryPolicy,
}

impl Context<'_> {
    fn remaining(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// What is made of an answer that is a success.
pub(crate) trait Receive: Sized {
    /// Media type that is asked for.
    const ACCEPT: &'static str;

    fn receive(
        response: Response,
        operation: &'static OperationDesc,
        request_id: &str,
    ) -> impl Future<Output = Result<Self, Error>> + Send;
}

/// The body of a call's answer.
impl Receive for Vec<u8> {
    const ACCEPT: &'static str = "application/json";

    async fn receive(
        response: Response,
        operation: &'static OperationDesc,
        request_id: &str,
    ) -> Result<Vec<u8>, Error> {
        let body = response
            .bytes()
            .await
            .map_err(|source| Error::connection(operation.id, request_id, source))?;
        Ok(if body.is_empty() {
            b"{}".to_vec()
        } else {
            body.into()
        })
    }
}

/// The answer to the caller, whose expired tokens are renewed once.
pub(crate) async fn call<A: Receive>(
    context: &Context<'_>,
    operation: &'static OperationDesc,
    input: Map<String, Value>,
) -> Result<A, Error> {
    let session = &context.inner.session;
    let authorization = session.authorization(context).await?;
    if !session.can_renew() {
        return exchange(context, operation, input, authorization.as_ref()).await;
    }
    let refused = match exchange(context, operation, input.clone(), authorization.as_ref()).await {
        Err(error) if error.code() == Some(&ErrorCode::TokenExpired) => error,
        outcome => return outcome,
    };
    let Some(expired) = authorization else {
        return Err(refused);
    };
    let renewed = session.renewed(context, &expired).await?;
    exchange(context, operation, input, renewed.as_ref()).await
}

/// The answer to a call made with exactly this authorization.
pub(crate) async fn exchange<A: Receive>(
    context: &Context<'_>,
    operation: &'static OperationDesc,
    input: Map<String, Value>,
    authorization: Option<&Authorization>,
) -> Result<A, Error> {
    let request = encode(operation, input)?;
    let pace = &context.inner.pace;
    let mut retries = 0;
    loop {
        let error = match send(context, operation, &request, authorization).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(pause) = context.retry.pause(operation, &error, retries, pace.random()) else {
            return Err(error);
        };
        if context.remaining().is_some_and(|remaining| pause >= remaining) {
            return Err(error);
        }
        pace.sleep(pause).await;
        retries += 1;
    }
}

async fn send<A: Receive>(
    context: &Context<'_>,
    operation: &'static OperationDesc,
    request: &Request,
    authorization: Option<&Authorization>,
) -> Result<A, Error> {
    let method = Method::from_bytes(operation.method.as_bytes()).expect("the contract's methods are HTTP's");
    let url = format!("{}{}", context.inner.base_url, request.target);
    let mut builder = context
        .inner
        .http
        .request(method, url)
        .header("accept", A::ACCEPT)
        .header("x-request-id", &context.request_id);
    if let Some(Authorization { name, value }) = authorization {
        builder = builder.header(*name, value);
    }
    if let Some(remaining) = context.remaining() {
        builder = builder.header("x-timeout-ms", remaining.as_millis().max(1).to_string());
    }
    if let Some(body) = &request.body {
        builder = builder
            .header("content-type", "application/json")
            .body(body.clone());
    }
    let lost = |source| Error::connection(operation.id, &context.request_id, source);
    let response = builder.send().await.map_err(lost)?;
    let status = response.status();
    if status.is_success() {
        return A::receive(response, operation, &context.request_id).await;
    }
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let (retry_after, answered_id) = (header("retry-after"), header("x-request-id"));
    let body = response.bytes().await.map_err(lost)?;
    let refusal = Refusal {
        operation: operation.id,
        status: status.as_u16(),
        request_id: answered_id.as_deref().unwrap_or(&context.request_id),
        retry_after: retry_after.as_deref(),
        body: &body,
    };
    Err(refusal.into_error().into())
}
