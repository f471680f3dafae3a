//! The client and how it is set up.

use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use super::retry::{Pace, RetryPolicy, SystemPace};
use super::session::{Credentials, Session, TokenOperations};
use crate::generated;

/// A connection pool to one server, with credentials. Cheap to clone; clones share the pool and the tokens.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub http: reqwest::Client,
    /// Without a slash at its end.
    pub base_url: String,
    pub session: Session,
    pub token_operations: Option<TokenOperations>,
    pub retry: RetryPolicy,
    pub timeout: Option<Duration>,
    pub pace: Arc<dyn Pace>,
}

/// Sets up a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    base_url: String,
    credentials: Credentials,
    token_operations: Option<TokenOperations>,
    retry: RetryPolicy,
    timeout: Option<Duration>,
    pace: Arc<dyn Pace>,
    http: Option<reqwest::Client>,
}

impl Client {
    /// A client without credentials for the server at `base_url`, such as `http://127.0.0.1:8080`.
    pub fn new(base_url: impl Into<String>) -> Result<Client, Error> {
        Client::builder(base_url).build()
    }

    pub fn builder(base_url: impl Into<String>) -> ClientBuilder {
        let operation = |id: &str| {
            let mut operations = generated::MODULES.iter().flat_map(|module| module.operations);
            operations.find(|operation| operation.id == id).copied()
        };
        let token_operations = operation("auth.login")
            .zip(operation("auth.refresh"))
            .map(|(login, refresh)| TokenOperations { login, refresh });
        ClientBuilder {
            base_url: base_url.into(),
            credentials: Credentials::None,
            token_operations,
            retry: RetryPolicy::default(),
            timeout: None,
            pace: Arc::new(SystemPace),
            http: None,
        }
    }

    /// The same server and pool as somebody else.
    pub fn with_credentials(&self, credentials: Credentials) -> Client {
        let inner = &self.inner;
        Client {
            inner: Arc::new(Inner {
                http: inner.http.clone(),
                base_url: inner.base_url.clone(),
                session: Session::new(credentials, inner.token_operations),
                token_operations: inner.token_operations,
                retry: inner.retry.clone(),
                timeout: inner.timeout,
                pace: Arc::clone(&inner.pace),
            }),
        }
    }
}

impl ClientBuilder {
    pub fn credentials(mut self, credentials: Credentials) -> ClientBuilder {
        self.credentials = credentials;
        self
    }

    /// Logs in as this user with the first call.
    pub fn password(self, username: impl Into<String>, password: impl Into<String>) -> ClientBuilder {
        self.credentials(Credentials::Password {
            username: username.into(),
            password: password.into(),
        })
    }

    pub fn api_key(self, key: impl Into<String>) -> ClientBuilder {
        self.credentials(Credentials::ApiKey(key.into()))
    }

    pub fn bearer(self, token: impl Into<String>) -> ClientBuilder {
        self.credentials(Credentials::Bearer(token.into()))
    }

    /// How failed calls are repeated.
    pub fn retry(mut self, policy: RetryPolicy) -> ClientBuilder {
        self.retry = policy;
        self
    }

    /// Time for each call as a whole, repetitions included; without one the server's own deadline holds.
    pub fn timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.timeout = Some(timeout);
        self
    }

    /// Where pauses between attempts come from.
    pub fn pace(mut self, pace: impl Pace + 'static) -> ClientBuilder {
        self.pace = Arc::new(pace);
        self
    }

    /// Your own HTTP client, for proxies, certificates or pool sizes.
    pub fn http(mut self, http: reqwest::Client) -> ClientBuilder {
        self.http = Some(http);
        self
    }

    #[cfg(test)]
    pub(crate) fn token_operations(mut self, operations: TokenOperations) -> ClientBuilder {
        self.token_operations = Some(operations);
        self
    }

    pub fn build(self) -> Result<Client, Error> {
        let base_url = self.base_url.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base_url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
        });
        let Some(url) = url else {
            let message =
                format!("`{base_url}` is no server's address; write one like http://127.0.0.1:8080");
            return Err(Error::Configuration { message });
        };
        if url.scheme() == "https" && self.http.is_none() {
            let message = format!(
                "`{base_url}` needs TLS, which this crate does not link; give `http` a reqwest::Client that has it"
            );
            return Err(Error::Configuration { message });
        }
        let http = match self.http {
            Some(http) => http,
            None => reqwest::Client::builder()
                // A redirect would carry credentials elsewhere.
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(|error| Error::Configuration {
                    message: format!("no HTTP client: {error}"),
                })?,
        };
        Ok(Client {
            inner: Arc::new(Inner {
                http,
                base_url,
                session: Session::new(self.credentials, self.token_operations),
                token_operations: self.token_operations,
                retry: self.retry,
                timeout: self.timeout,
                pace: self.pace,
            }),
        })
    }
}
