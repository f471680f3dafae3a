//! A call that has its input and waits to be awaited.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::BoxFuture;
use rustydb_contract::descriptor::OperationDesc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::client::Client;
use super::error::Error;
use super::exchange::{self, Context};
use super::request::to_object;
use super::retry::RetryPolicy;

/// One call of an operation that answers a `T`. It is sent when it is awaited; dropping the future gives up
/// waiting, while a command that the server has begun goes on there.
#[must_use = "a call is sent when it is awaited"]
#[derive(Debug)]
pub struct Call<T> {
    client: Client,
    operation: &'static OperationDesc,
    /// The input on the wire, or why it can't be sent.
    input: Result<Map<String, Value>, Error>,
    options: CallOptions,
    answer: PhantomData<fn() -> T>,
}

#[derive(Debug, Clone, Default)]
struct CallOptions {
    timeout: Option<Duration>,
    request_id: Option<String>,
    retry: Option<RetryPolicy>,
}

pub(crate) fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

impl<T> Call<T> {
    pub(crate) fn new<I: Serialize>(
        client: &Client,
        operation: &'static OperationDesc,
        input: &I,
    ) -> Call<T> {
        Call {
            client: client.clone(),
            operation,
            input: to_object(operation, input),
            options: CallOptions::default(),
            answer: PhantomData,
        }
    }

    /// Time for the call as a whole, repetitions included. The server is told and stops working then as well.
    pub fn with_timeout(mut self, timeout: Duration) -> Call<T> {
        self.options.timeout = Some(timeout);
        self
    }

    /// Id under which the call stands in the server's log, instead of a random one.
    pub fn with_request_id(mut self, id: impl Into<String>) -> Call<T> {
        self.options.request_id = Some(id.into());
        self
    }

    /// How this call is repeated when it fails.
    pub fn with_retry(mut self, policy: RetryPolicy) -> Call<T> {
        self.options.retry = Some(policy);
        self
    }

    /// The next page of the same call.
    pub(crate) fn following(&self, after: Value) -> Option<Call<T>> {
        let mut input = self.input.as_ref().ok()?.clone();
        input.insert("after".to_owned(), after);
        Some(Call {
            client: self.client.clone(),
            operation: self.operation,
            input: Ok(input),
            // Each page is a call of its own in the log.
            options: CallOptions {
                request_id: None,
                ..self.options.clone()
            },
            answer: PhantomData,
        })
    }
}

impl<T: DeserializeOwned> Call<T> {
    pub(crate) async fn send(self) -> Result<T, Error> {
        let inner = &*self.client.inner;
        let operation = self.operation;
        let input = self.input?;
        let request_id = self.options.request_id.unwrap_or_else(new_request_id);
        let timeout = self.options.timeout.or(inner.timeout);
        let context = Context {
            inner,
            request_id: request_id.clone(),
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            retry: self.options.retry.as_ref().unwrap_or(&inner.retry),
        };
        let exchange = exchange::call::<Vec<u8>>(&context, operation, input);
        let body = match timeout {
            None => exchange.await?,
            Some(timeout) => match tokio::time::timeout(timeout, exchange).await {
                Ok(outcome) => outcome?,
                Err(_) => {
                    return Err(Error::Timeout {
                        operation: operation.id,
                        request_id,
                        timeout,
                    });
                }
            },
        };
        serde_json::from_slice(&body).map_err(|source| Error::Decode {
            operation: operation.id,
            request_id,
            source,
        })
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Call<T> {
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'static, Result<T, Error>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
