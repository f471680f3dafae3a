//! Credentials, and the tokens that a user name and password are exchanged for.
//!
//! Logging in happens with the first call that needs it. When a call answers TOKEN_EXPIRED one caller renews
//! the tokens while all others wait for it and then use what it got (single flight): whoever holds the lock
//! and still sees the token that failed does the work. A refresh token that has ended as well leads to one
//! new login. The lock is held over the exchange on purpose.

use std::fmt;

use rustydb_contract::descriptor::OperationDesc;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::error::Error;
use super::exchange::{Context, exchange};

/// Who the client is to the server.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nobody: only public operations answer.
    #[default]
    None,
    /// An access token, used as it is.
    Bearer(String),
    ApiKey(String),
    /// Exchanged for tokens with the first call, and again when they expire.
    Password {
        username: String,
        password: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::None => f.write_str("None"),
            Credentials::Bearer(_) => f.write_str("Bearer(***)"),
            Credentials::ApiKey(_) => f.write_str("ApiKey(***)"),
            Credentials::Password { username, .. } => write!(f, "Password({username:?}, ***)"),
        }
    }
}

/// The operations that make tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenOperations {
    pub login: &'static OperationDesc,
    pub refresh: &'static OperationDesc,
}

#[derive(Debug)]
pub(crate) struct Session {
    credentials: Credentials,
    operations: Option<TokenOperations>,
    tokens: Mutex<Option<Tokens>>,
}

#[derive(Clone, Deserialize)]
struct Tokens {
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(***)")
    }
}

/// A header that says who calls.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub name: &'static str,
    pub value: String,
}

impl Authorization {
    fn bearer(token: &str) -> Authorization {
        Authorization {
            name: "authorization",
            value: format!("Bearer {token}"),
        }
    }
}

impl Session {
    pub(crate) fn new(credentials: Credentials, operations: Option<TokenOperations>) -> Session {
        Session {
            credentials,
            operations,
            tokens: Mutex::new(None),
        }
    }

    /// Whether an expired token can be replaced.
    pub(crate) fn can_renew(&self) -> bool {
        matches!(self.credentials, Credentials::Password { .. })
    }

    /// What the next request says of its caller.
    pub(crate) async fn authorization(&self, context: &Context<'_>) -> Result<Option<Authorization>, Error> {
        match &self.credentials {
            Credentials::None => Ok(None),
            Credentials::Bearer(token) => Ok(Some(Authorization::bearer(token))),
            Credentials::ApiKey(key) => Ok(Some(Authorization {
                name: "x-api-key",
                value: key.clone(),
            })),
            Credentials::Password { username, password } => {
                let mut tokens = self.tokens.lock().await;
                let current = match tokens.take() {
                    Some(current) => current,
                    None => self.login(context, username, password).await?,
                };
                let authorization = Authorization::bearer(&current.access_token);
                *tokens = Some(current);
                Ok(Some(authorization))
            }
        }
    }

    /// What to say after the server called `expired` expired.
    pub(crate) async fn renewed(
        &self,
        context: &Context<'_>,
        expired: &Authorization,
    ) -> Result<Option<Authorization>, Error> {
        let Credentials::Password { username, password } = &self.credentials else {
            return Ok(None);
        };
        let mut tokens = self.tokens.lock().await;
        if let Some(current) = tokens.as_ref() {
            let authorization = Authorization::bearer(&current.access_token);
            if authorization != *expired {
                return Ok(Some(authorization));
            }
        }
        // The refresh token is used up whatever comes of it.
        let refresh_token = tokens.take().and_then(|tokens| tokens.refresh_token);
        let fresh = match refresh_token {
            None => self.login(context, username, password).await?,
            Some(token) => match self.refresh(context, &token).await {
                Ok(fresh) => fresh,
                Err(Error::Answer(answer)) if answer.status < 500 => {
                    self.login(context, username, password).await?
                }
                Err(error) => return Err(error),
            },
        };
        let authorization = Authorization::bearer(&fresh.access_token);
        *tokens = Some(fresh);
        Ok(Some(authorization))
    }

    async fn login(&self, context: &Context<'_>, username: &str, password: &str) -> Result<Tokens, Error> {
        let operation = self.operations()?.login;
        obtain(
            context,
            operation,
            &[("username", username), ("password", password)],
        )
        .await
    }

    async fn refresh(&self, context: &Context<'_>, token: &str) -> Result<Tokens, Error> {
        obtain(context, self.operations()?.refresh, &[("refresh_token", token)]).await
    }

    fn operations(&self) -> Result<TokenOperations, Error> {
        self.operations.ok_or_else(|| Error::Configuration {
            message: "this contract has no auth.login and auth.refresh; use a token or an API key".to_owned(),
        })
    }
}

async fn obtain(
    context: &Context<'_>,
    operation: &'static OperationDesc,
    input: &[(&str, &str)],
) -> Result<Tokens, Error> {
    let input: Map<String, Value> = input
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    let context = Context {
        request_id: crate::runtime::call::new_request_id(),
        ..context.clone()
    };
    let answer: Vec<u8> = exchange(&context, operation, input, None).await?;
    serde_json::from_slice(&answer).map_err(|source| Error::Decode {
        operation: operation.id,
        request_id: context.request_id,
        source,
    })
}
