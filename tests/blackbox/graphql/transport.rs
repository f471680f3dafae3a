//! Media types, statuses and bodies (GraphQL over HTTP, the working draft of 2025).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::graphql::first_error;
use crate::harness::rest::{RawAnswer, problem, send};
use crate::harness::world::World;

const STANDARD: &str = "application/graphql-response+json";

async fn accepting(world: &World, accept: Option<&str>, body: &str) -> RawAnswer {
    let mut request = world
        .http
        .post(format!("{}/graphql", world.base_url()))
        .header("content-type", "application/json")
        .body(body.to_owned());
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    send(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_answers_in_the_media_type_that_is_asked_for() {
    let world = World::new().await;
    let body = r#"{"query": "{ __typename }"}"#;
    for (accept, expected) in [
        (None, "application/json"),
        (Some("*/*"), "application/json"),
        (Some("application/json"), "application/json"),
        (Some(STANDARD), STANDARD),
        (
            Some("application/graphql-response+json, application/json;q=0.9"),
            STANDARD,
        ),
    ] {
        let answer = accepting(&world, accept, body).await;
        assert_eq!(
            (answer.status, &answer.body),
            (200, &json!({"data": {"__typename": "Query"}})),
            "{accept:?}"
        );
        let media_type = answer.headers["content-type"].to_str().unwrap();
        assert_eq!(media_type.split(';').next().unwrap(), expected, "{accept:?}");
    }
}

/// 200 for a document that ran, whatever came of it; 400 in the newer media type for one that could not run; and a
/// request that is none is told by its status in both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_statuses_follow_the_specification() {
    let world = World::new().await;
    for (body, json_status, standard_status) in [
        (r#"{"query": "{ healthSummary { status } }"}"#, 200, 200),
        (
            r#"{"query": "{ healthSummary { status } databaseSchema { database } }"}"#,
            200,
            200,
        ),
        (r#"{"query": "{ healthSummary { colour } }"}"#, 200, 400),
        (r#"{"query": "{ healthSummary"}"#, 200, 400),
        (
            r#"{"query": "query A { __typename } query B { __typename }"}"#,
            200,
            400,
        ),
        (r#"{"query": ""}"#, 200, 400),
        (r#"{"query": 1}"#, 400, 400),
        (r#"{}"#, 400, 400),
        ("{", 400, 400),
    ] {
        for (accept, expected) in [("application/json", json_status), (STANDARD, standard_status)] {
            let answer = accepting(&world, Some(accept), body).await;
            assert_eq!(answer.status, expected, "{body} as {accept}: {answer:?}");
            let errors = answer.body["errors"].as_array();
            assert!(
                errors
                    .is_none_or(|errors| errors.iter().all(|error| error["extensions"]["code"].is_string()))
            );
        }
    }
    let answer = send(
        world
            .http
            .request(Method::PUT, format!("{}/graphql", world.base_url())),
    )
    .await;
    assert_eq!(problem(&answer).code, "METHOD_NOT_ALLOWED");
    let page = send(world.http.get(format!("{}/graphql", world.base_url()))).await;
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_chooses_the_operation_that_is_named() {
    let world = World::new().await;
    let query = "query A { a: __typename } query B { b: __typename }";
    for (name, expected) in [("A", json!({"a": "Query"})), ("B", json!({"b": "Query"}))] {
        let body = json!({"query": query, "operationName": name, "variables": null, "extensions": {}});
        let answer = accepting(&world, None, &body.to_string()).await;
        assert_eq!(answer.body["data"], expected);
    }
    let body = json!({"query": query, "operationName": "C"});
    let answer = accepting(&world, None, &body.to_string()).await;
    assert_eq!(first_error(&answer.body).unwrap().code, "INVALID_ARGUMENT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_errors_carry_what_those_of_rest_do() {
    let world = World::new().await;
    let document = "query($name: String!) { databaseTable(name: $name) { name } }";
    let answer = super::post(&world, "admin", document, json!({"name": "none"})).await;
    let error = &answer.body["errors"][0];
    assert_eq!(answer.body["data"], Value::Null);
    assert_eq!(error["path"], json!(["databaseTable"]));
    assert!(error["locations"][0]["line"].is_u64(), "{error}");
    let extensions = error["extensions"].as_object().unwrap();
    assert_eq!(extensions["code"], "TABLE_NOT_FOUND");
    assert_eq!(extensions["status"], 404);
    assert_eq!(
        extensions["request_id"],
        answer.headers["x-request-id"].to_str().unwrap()
    );
    let refused = super::error(
        &world,
        "admin",
        "{ databaseTable(name: \"\") { name } }",
        json!({}),
    )
    .await;
    assert_eq!(refused.details, Some(json!({"field": "name"})));
    let sql = super::error(
        &world,
        "admin",
        "mutation { sqlExecuteQuery(sql: \"SELEC\") { rowCount } }",
        json!({}),
    )
    .await;
    assert_eq!(sql.details, Some(json!({"line": 1, "column": 1})));
}

/// What is answered once is one part, and no more is promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_in_parts_answers_a_query_by_one_part() {
    let world = World::new().await;
    let accept = "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=\"1.0\", application/json;q=0.5";
    let head = "--graphql\r\nContent-Type: application/json\r\n\r\n";
    for (document, expected) in [
        ("{ __typename }", r#"{"data":{"__typename":"Query"}}"#),
        ("mutation { __typename }", r#"{"data":{"__typename":"Mutation"}}"#),
    ] {
        let body = json!({"query": document}).to_string();
        let answer = accepting(&world, Some(accept), &body).await;
        assert_eq!(answer.status, 200);
        let media_type = answer.headers["content-type"].to_str().unwrap();
        assert_eq!(
            media_type,
            "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=\"1.0\""
        );
        assert_eq!(answer.body, json!(format!("{head}{expected}\r\n--graphql--\r\n")));
    }
    let refused = accepting(&world, Some(accept), "no JSON").await;
    assert_eq!(
        (refused.status, first_error(&refused.body).unwrap().code.as_str()),
        (400, "MALFORMED_JSON")
    );
    let without = accepting(
        &world,
        None,
        r#"{"query": "subscription { heartbeat { sequence } }"}"#,
    )
    .await;
    let error = first_error(&without.body).unwrap();
    assert_eq!(error.code, "INVALID_ARGUMENT");
    assert!(error.message.contains("multipart/mixed"), "{error:?}");
}
