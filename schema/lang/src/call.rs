//! What a service is told of the call it answers.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::descriptor::OperationDesc;
use crate::error::ServiceResult;
use crate::host::CredentialCell;

/// A set of the contract's permissions: bit n is the n-th of `core.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(pub u64);

impl Permissions {
    pub const NONE: Permissions = Permissions(0);

    pub const fn union(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }

    /// Whether every permission of `needed` is in the set.
    pub const fn contains(self, needed: Permissions) -> bool {
        self.0 & needed.0 == needed.0
    }

    pub const fn without(self, other: Permissions) -> Permissions {
        Permissions(self.0 & !other.0)
    }
}

/// Who makes a call, as authentication found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub user_id: String,
    pub username: String,
    pub roles: Vec<String>,
    pub permissions: Permissions,
    /// The login session behind a token; `None` for an API key.
    pub session_id: Option<String>,
    /// The API key behind the call; `None` for a token.
    pub api_key_id: Option<String>,
    /// When the credential ends, seconds since the Unix epoch; `None` for one that does not.
    pub expires_at_seconds: Option<i64>,
}

/// The interface that carried a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    Rest,
    Rpc,
    Graphql,
}

impl Interface {
    pub fn as_str(self) -> &'static str {
        match self {
            Interface::Rest => "rest",
            Interface::Rpc => "rpc",
            Interface::Graphql => "graphql",
        }
    }
}

/// One call, after the pipeline let it through.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub operation: &'static OperationDesc,
    pub interface: Interface,
    /// Names the call in logs and errors.
    pub request_id: Arc<str>,
    /// `None` only for public operations called without credentials.
    pub principal: Option<Arc<Principal>>,
    /// What the caller presented, for services that make calls for their caller.
    pub credential: CredentialCell,
    /// Where the call comes from, as the server sees it; `None` of one that the server makes itself.
    pub peer: Option<SocketAddr>,
    /// Id of the connection that stays open for a subscription; `None` of a call that is answered once.
    pub connection: Option<Arc<str>>,
    /// The answer is worthless after this moment; the pipeline drops the call's future then.
    pub deadline: Instant,
}

impl CallContext {
    /// The caller of an operation that needs credentials.
    ///
    /// # Panics
    /// When the operation is public: the pipeline lets nobody in elsewhere.
    pub fn principal(&self) -> &Principal {
        self.principal
            .as_deref()
            .expect("the pipeline authenticates every operation that is not public")
    }
}

/// The answer to come of a call.
pub type AnswerFuture<'a, T> = Pin<Box<dyn Future<Output = ServiceResult<T>> + Send + 'a>>;

/// Ties an operation to its types and to the service method that does it. Generated code implements it.
pub trait Operation: 'static {
    type Service: ?Sized + Send + Sync + 'static;
    type Input: DeserializeOwned + Send + 'static;
    type Output: Serialize + Send + 'static;

    fn desc() -> &'static OperationDesc;

    fn call<'a>(
        service: &'a Self::Service,
        context: &'a CallContext,
        input: Self::Input,
    ) -> AnswerFuture<'a, Self::Output>;
}
