//! Pages of an operation that answers in pages, and the items across them.

use std::future::IntoFuture;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use rustydb_contract::Cursor;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::Call;
use super::error::Error;
use super::retry::RetryPolicy;

/// Takes a page apart into its items and the cursor of the next page.
pub(crate) type Split<P, T> = fn(P) -> (Vec<T>, Option<Cursor>);

/// A call of a paged operation. Awaiting it answers one page `P`; [`items`](PagedCall::items) follows `next`
/// over all of them.
#[must_use = "a call is sent when it is awaited"]
#[derive(Debug)]
pub struct PagedCall<P, T> {
    call: Call<P>,
    split: Split<P, T>,
}

impl<P, T> PagedCall<P, T> {
    #[allow(dead_code, reason = "a contract may have no paged operation")]
    pub(crate) fn new(call: Call<P>, split: Split<P, T>) -> PagedCall<P, T> {
        PagedCall { call, split }
    }

    /// As [`Call::with_timeout`], for each page.
    pub fn with_timeout(self, timeout: Duration) -> PagedCall<P, T> {
        PagedCall {
            call: self.call.with_timeout(timeout),
            ..self
        }
    }

    /// As [`Call::with_request_id`], for the first page.
    pub fn with_request_id(self, id: impl Into<String>) -> PagedCall<P, T> {
        PagedCall {
            call: self.call.with_request_id(id),
            ..self
        }
    }

    /// As [`Call::with_retry`], for each page.
    pub fn with_retry(self, policy: RetryPolicy) -> PagedCall<P, T> {
        PagedCall {
            call: self.call.with_retry(policy),
            ..self
        }
    }
}

impl<P, T> PagedCall<P, T>
where
    P: DeserializeOwned + Send + 'static,
    T: Send + 'static,
{
    /// Every item of this page and all that follow, each page fetched when the one before is used up. The
    /// stream ends after its first error.
    pub fn items(self) -> BoxStream<'static, Result<T, Error>> {
        let split = self.split;
        stream::try_unfold(Some(self.call), move |call| async move {
            let Some(call) = call else {
                return Ok::<_, Error>(None);
            };
            // The call after this one differs in its cursor alone.
            let template = call.following(Value::Null);
            let (items, next) = split(call.send().await?);
            let following = template
                .zip(next)
                .and_then(|(template, next)| template.following(Value::String(next.0)));
            Ok(Some((stream::iter(items.into_iter().map(Ok)), following)))
        })
        .try_flatten()
        .boxed()
    }
}

impl<P: DeserializeOwned + 'static, T> IntoFuture for PagedCall<P, T> {
    type Output = Result<P, Error>;
    type IntoFuture = BoxFuture<'static, Result<P, Error>>;

    fn into_future(self) -> Self::IntoFuture {
        self.call.into_future()
    }
}
