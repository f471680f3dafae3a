//! What a connection meets: the whole server once it is there, and until then the probes of health and a refusal of the rest.
//!
//! The server listens before it opens its data, which after a crash can take long, so that whoever waits for it learns how far it
//! is. What is answered until then goes through a pipeline too, of the module `health` alone.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use rustydb_api::{Pipeline, errors, rest, server};
use rustydb_contract::host::{Credential, Identity, StatementClassifier};
use rustydb_contract::{AnswerFuture, Permissions, Principal, ServiceResult};
use rustydb_contract_core::access::LIMITS;
use rustydb_services::Health;
use tower::ServiceExt;

/// The door; clones are the same one.
#[derive(Clone)]
pub struct Door {
    open: Arc<OnceLock<Router>>,
    until_then: Router,
}

impl Door {
    pub fn new(health: &Arc<Health>) -> Door {
        let nobody = Arc::new(NobodyYet(Arc::clone(health)));
        let pipeline = Pipeline::new(Arc::clone(&nobody) as _, nobody, LIMITS);
        let module = rustydb_api_health::module(Arc::clone(health) as _);
        let refusing = Arc::clone(health);
        let refuse = move |headers: HeaderMap| async move { refused(&refusing, &headers) };
        let until_then = server::build_rest(pipeline, vec![module])
            .fallback(refuse.clone())
            .method_not_allowed_fallback(refuse);
        Door {
            open: Arc::default(),
            until_then,
        }
    }

    /// Leads requests to the server from now on.
    pub fn open(&self, server: Router) {
        // It is made once for a server.
        self.open.get_or_init(|| server);
    }

    /// What a listener serves.
    pub fn router(self) -> Router {
        Router::new().fallback(move |request| self.clone().answer(request))
    }

    async fn answer(self, request: Request) -> Result<Response, Infallible> {
        let router = self.open.get().unwrap_or(&self.until_then).clone();
        router.oneshot(request).await
    }
}

fn refused(health: &Health, headers: &HeaderMap) -> Response {
    errors::problem(&health.refusal(), &rest::request_id_of(headers))
}

/// There are no users before the data is open.
struct NobodyYet(Arc<Health>);

impl Identity for NobodyYet {
    fn changed<'a>(&'a self, _: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
        Box::pin(pending())
    }

    fn authenticate<'a>(&'a self, _: &'a Credential) -> AnswerFuture<'a, Arc<Principal>> {
        Box::pin(async { Err(self.0.refusal()) })
    }
}

impl StatementClassifier for NobodyYet {
    fn permissions(&self, _: &str) -> ServiceResult<Permissions> {
        Err(self.0.refusal())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::routing::get;
    use rustydb_runtime::ManualClock;
    use serde_json::Value;

    use super::*;

    /// Status, Retry-After and body.
    async fn answer(router: &Router, method: &str, path: &str) -> (StatusCode, Option<String>, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("X-API-Key", "rustydb_something")
            .body(Body::empty())
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let retry = response.headers().get("retry-after");
        let retry = retry.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, retry, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn until_the_server_is_there_it_lives_and_refuses_everything_by_a_typed_error() {
        let health = Arc::new(Health::new(Arc::new(ManualClock::new(0))));
        let door = Door::new(&health);
        let router = door.clone().router();
        let (status, _, body) = answer(&router, "GET", "/api/v1/health/liveness").await;
        assert_eq!((status, &body["alive"]), (StatusCode::OK, &true.into()));
        for (method, path) in [
            ("GET", "/api/v1/health/startup"),
            ("GET", "/api/v1/health/readiness"),
            ("GET", "/api/v1/health"),
            ("GET", "/api/v1/health/full"),
            ("POST", "/api/v1/health/liveness"),
            ("GET", "/api/v1/tables"),
            ("POST", "/graphql"),
            ("GET", "/api/v1/ws"),
            ("GET", "/metrics"),
            ("GET", "/nowhere"),
        ] {
            let (status, retry, body) = answer(&router, method, path).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{method} {path}");
            assert_eq!(retry.as_deref(), Some("1"), "{method} {path}");
            assert_eq!(body["error"]["code"], "SERVER_STARTING", "{method} {path}");
            assert_eq!(body["error"]["details"]["phase"], "opening", "{method} {path}");
        }
        door.open(Router::new().route("/nowhere", get(|| async { "\"here\"" })));
        let (status, _, body) = answer(&router, "GET", "/nowhere").await;
        assert_eq!((status, body), (StatusCode::OK, "here".into()));
        assert_eq!(
            answer(&router, "GET", "/api/v1/health/liveness").await.0,
            StatusCode::NOT_FOUND
        );
    }
}
