//! Requests that are not of their interface's form.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::assert_answers;
use crate::harness::graphql::first_error;
use crate::harness::rest::{RawAnswer, problem, send};
use crate::harness::rpc::{self, Socket};
use crate::harness::world::World;

/// Larger than the contract lets a request be.
const OVERSIZED_BYTES: usize = 11 << 20;

struct Client(World);

impl Client {
    async fn new() -> Client {
        Client(World::with_keys().await)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .0
            .http
            .request(method, format!("{}{path}", self.0.base_url()));
        self.0.credential("admin").on(request)
    }

    /// A body that says it is JSON, on REST.
    async fn rest(&self, path: &str, body: impl Into<reqwest::Body>) -> RawAnswer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        send(request.body(body)).await
    }

    /// The same on GraphQL.
    async fn graphql(&self, body: impl Into<reqwest::Body>) -> RawAnswer {
        self.rest("/graphql", body).await
    }

    async fn socket(&self) -> Socket {
        Socket::open(self.0.server.address(), &self.0.credential("admin"))
            .await
            .unwrap()
    }

    /// The error that a text frame is answered with.
    async fn rpc(&self, text: &str) -> (Value, crate::harness::error::WireError) {
        let mut socket = self.socket().await;
        socket.send_text(text).await;
        let response = socket.receive().await.unwrap();
        (response["id"].clone(), rpc::answer(&response).unwrap_err())
    }
}

/// The error of an answer of REST, with its status.
fn code(answer: &RawAnswer) -> (String, u64) {
    let error = problem(answer);
    (error.code, error.status)
}

fn is(code: &str, status: u64) -> (String, u64) {
    (code.to_owned(), status)
}

fn graphql_code(answer: &RawAnswer) -> String {
    first_error(&answer.body)
        .unwrap_or_else(|| panic!("{answer:?}"))
        .code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_what_is_no_json_is_malformed_on_every_interface() {
    let client = Client::new().await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep = |depth: usize| format!(r#"{{"sql": "SELECT 1", "params": {}}}"#, nested(depth));
    for body in [
        "{",
        "",
        "{\"sql\": \"SELECT 1\"} x",
        "nonsense",
        "{'sql': 1}",
        "{\"sql\": \"\\ud800\"}",
    ] {
        if !body.is_empty() {
            let answer = client.rest("/api/v1/sql/query", body).await;
            assert_eq!(code(&answer), is("MALFORMED_JSON", 400), "{body:?}");
        }
        assert_eq!(
            graphql_code(&client.graphql(body).await),
            "MALFORMED_JSON",
            "{body:?}"
        );
        let (id, error) = client.rpc(body).await;
        assert_eq!(
            (id, error.code.as_str()),
            (Value::Null, "MALFORMED_JSON"),
            "{body:?}"
        );
    }
    for depth in [64, 100, 1000, 100_000] {
        let answer = client.rest("/api/v1/sql/query", deep(depth)).await;
        assert_eq!(code(&answer), is("MALFORMED_JSON", 400), "{depth} levels");
        let document = format!(r#"{{"query": "{{ __typename }}", "variables": {}}}"#, deep(depth));
        assert_eq!(
            graphql_code(&client.graphql(document).await),
            "MALFORMED_JSON",
            "{depth} levels"
        );
        let request = format!(
            r#"{{"jsonrpc": "2.0", "id": 1, "method": "sql.execute_query", "params": {}}}"#,
            deep(depth)
        );
        assert_eq!(
            client.rpc(&request).await.1.code,
            "MALFORMED_JSON",
            "{depth} levels"
        );
    }
    // The deepest that is taken.
    let answer = client.rest("/api/v1/sql/query", deep(62)).await;
    assert_ne!(answer.body["error"]["code"], "MALFORMED_JSON", "{answer:?}");
    let mut bytes = b"{\"sql\": \"".to_vec();
    bytes.extend([0xff, 0xfe, b'"', b'}']);
    assert_eq!(
        code(&client.rest("/api/v1/sql/query", bytes.clone()).await),
        is("MALFORMED_JSON", 400)
    );
    assert_eq!(graphql_code(&client.graphql(bytes).await), "MALFORMED_JSON");
    assert_answers(&client.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_a_body_is_an_object_that_says_it_is_json() {
    let client = Client::new().await;
    let body = r#"{"sql": "SELECT 1 AS n"}"#;
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
        "application/xml",
    ] {
        let request = client
            .request(Method::POST, "/api/v1/sql/query")
            .header("content-type", media_type);
        assert_eq!(
            code(&send(request.body(body)).await),
            is("UNSUPPORTED_MEDIA_TYPE", 415),
            "{media_type:?}"
        );
        let request = client
            .request(Method::POST, "/graphql")
            .header("content-type", media_type);
        let answer = send(request.body(r#"{"query": "{ __typename }"}"#)).await;
        assert_eq!(
            (graphql_code(&answer).as_str(), answer.status),
            ("UNSUPPORTED_MEDIA_TYPE", 415),
            "{media_type:?}"
        );
    }
    let answer = send(client.request(Method::POST, "/api/v1/sql/query").body(body)).await;
    assert_eq!(code(&answer), is("UNSUPPORTED_MEDIA_TYPE", 415));
    for media_type in ["application/json; charset=utf-8", "APPLICATION/JSON"] {
        let request = client
            .request(Method::POST, "/api/v1/sql/query")
            .header("content-type", media_type);
        assert_eq!(send(request.body(body)).await.status, 200, "{media_type}");
    }
    for body in ["[]", "1", "null", "\"SELECT 1\"", "[{\"sql\": \"SELECT 1\"}]"] {
        let answer = client.rest("/api/v1/sql/query", body).await;
        assert_eq!(code(&answer), is("INVALID_ARGUMENT", 400), "{body}");
        assert_eq!(
            graphql_code(&client.graphql(body).await),
            "INVALID_REQUEST",
            "{body}"
        );
    }
    for body in [
        r#"{"query": 1}"#,
        r#"{"variables": {}}"#,
        r#"{"query": "{ __typename }", "variables": 1}"#,
    ] {
        let answer = client.graphql(body).await;
        assert_eq!(
            (graphql_code(&answer).as_str(), answer.status),
            ("INVALID_REQUEST", 400),
            "{body}"
        );
    }
    let request = client
        .request(Method::GET, "/api/v1/health")
        .header("content-type", "application/json");
    assert_eq!(code(&send(request.body("{}")).await), is("INVALID_REQUEST", 400));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_oversized_requests_are_refused() {
    let client = Client::new().await;
    let text = "x".repeat(OVERSIZED_BYTES);
    let answer = client
        .rest("/api/v1/sql/query", format!(r#"{{"sql": "{text}"}}"#))
        .await;
    assert_eq!(code(&answer), is("PAYLOAD_TOO_LARGE", 413));
    let answer = client.graphql(format!(r#"{{"query": "{text}"}}"#)).await;
    assert_eq!(
        (graphql_code(&answer).as_str(), answer.status),
        ("PAYLOAD_TOO_LARGE", 413)
    );
    // A message of many frames, and one frame that is larger than a frame may be.
    let mut socket = client.socket().await;
    socket.send_text(text).await;
    assert_eq!(socket.closed().await, Some(1009));
    let mut socket = client.socket().await;
    socket.send(Message::Text("x".repeat(2 << 20).into())).await;
    assert_eq!(socket.closed().await, Some(1009));
    assert_answers(&client.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_a_field_is_given_once_and_where_it_belongs() {
    let client = Client::new().await;
    let field = |answer: &RawAnswer| {
        assert_eq!(code(answer), is("INVALID_ARGUMENT", 400), "{answer:?}");
        answer.body["error"]["details"]["field"].clone()
    };
    for (path, name) in [
        ("/api/v1/tables?limit=1&limit=2", "limit"),
        ("/api/v1/tables?database=main&database=main", "database"),
        ("/api/v1/tables?colour=red", "colour"),
        ("/api/v1/tables/t?name=t", "name"),
        ("/api/v1/tables?limit", "limit"),
        ("/api/v1/tables?limit=+1", "limit"),
        ("/api/v1/tables?limit=1.0", "limit"),
        ("/api/v1/tables/t/count?filter=%7B", "filter"),
        ("/api/v1/tables?=1", ""),
    ] {
        assert_eq!(
            field(&send(client.request(Method::GET, path)).await),
            name,
            "{path}"
        );
    }
    let both = client.request(Method::POST, "/api/v1/sql/query?database=main");
    let answer = send(both.json(&json!({"sql": "SELECT 1 AS n", "database": "main"}))).await;
    assert_eq!(field(&answer), "database");
    let alone = client.request(Method::POST, "/api/v1/sql/query?database=main");
    assert_eq!(
        send(alone.json(&json!({"sql": "SELECT 1 AS n"}))).await.status,
        200
    );
    let body = json!({"name": "t", "rows": [{"id": 1}]});
    let answer = send(client.request(Method::POST, "/api/v1/tables/t/rows").json(&body)).await;
    assert_eq!(field(&answer), "name");
    let sql = client.request(Method::POST, "/api/v1/sql/query?sql=SELECT");
    assert_eq!(
        field(&send(sql.json(&json!({"sql": "SELECT 1 AS n"}))).await),
        "sql"
    );
    // The argument that the contract does not have.
    let answer = client
        .graphql(json!({"query": "{ databaseListTables(colour: 1) { next } }"}).to_string())
        .await;
    assert_eq!(graphql_code(&answer), "INVALID_ARGUMENT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_bytes_that_are_no_text_are_refused() {
    let client = Client::new().await;
    for path in ["/api/v1/tables?database=%ff", "/api/v1/tables?%ff=1"] {
        assert_eq!(
            code(&send(client.request(Method::GET, path)).await),
            is("INVALID_REQUEST", 400),
            "{path}"
        );
    }
    for path in ["/api/v1/tables/%ff", "/api/v1/tables/t/rows/%ff%fe"] {
        assert_eq!(
            code(&send(client.request(Method::GET, path)).await),
            is("INVALID_REQUEST", 400),
            "{path}"
        );
    }
    for path in [
        "/api/v1/tables/%00",
        "/api/v1/tables/a%2Fb",
        "/api/v1/tables/%F0%9F%A6%80",
    ] {
        assert_eq!(
            code(&send(client.request(Method::GET, path)).await),
            is("TABLE_NOT_FOUND", 404),
            "{path}"
        );
    }
    assert_answers(&client.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_unknown_routes_and_methods_are_typed() {
    let client = Client::new().await;
    for path in [
        "/api/v1/nope",
        "/nope",
        "/api/v1/tables/t/rows/1/more",
        "/api",
        "/api/v1/",
        "/graphql/assets/none",
    ] {
        for method in [Method::GET, Method::POST] {
            if path == "/graphql/assets/none" && method == Method::POST {
                continue;
            }
            let answer = send(client.request(method.clone(), path)).await;
            assert_eq!(code(&answer), is("OPERATION_NOT_FOUND", 404), "{method} {path}");
        }
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/api/v1/sql/query", vec!["POST"]),
        (Method::GET, "/api/v1/auth/login", vec!["POST"]),
        (
            Method::PATCH,
            "/api/v1/tables/t",
            vec!["GET", "POST", "PUT", "DELETE"],
        ),
        (Method::PUT, "/graphql", vec!["GET", "POST"]),
        (Method::POST, "/metrics", vec!["GET"]),
    ] {
        let answer = send(client.request(method.clone(), path)).await;
        assert_eq!(code(&answer), is("METHOD_NOT_ALLOWED", 405), "{method} {path}");
        let allow = answer.headers["allow"].to_str().unwrap();
        let listed: Vec<&str> = allow.split(',').map(str::trim).collect();
        for method in allowed {
            assert!(listed.contains(&method), "{path} allows {method}: {allow}");
        }
    }
    for method in [
        "nope",
        "",
        "database",
        "database.nope",
        "Database.list",
        "rpc.discover",
    ] {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method});
        let (id, error) = client.rpc(&request.to_string()).await;
        assert_eq!(
            (id, error.code.as_str()),
            (json!(1), "OPERATION_NOT_FOUND"),
            "{method:?}"
        );
    }
}
