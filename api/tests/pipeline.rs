//! The pipeline with a service of the tests' own: what happens around a call, whatever the call is.

#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustydb_api::{Call, Pipeline, Registered};
use rustydb_contract::descriptor::{
    FieldDesc, ObjectDesc, OperationDesc, OperationKind, PermissionRule, Shape, Ty, TypeDesc,
};
use rustydb_contract::host::{Credential, CredentialCell, Identity, StatementClassifier};
use rustydb_contract::{
    AnswerFuture, CallContext, Interface, Operation, Permissions, Principal, ServiceError, ServiceResult,
};
use rustydb_contract_core::access::{DATABASE_READ, DATABASE_WRITE, LIMITS};
use rustydb_contract_core::errors::{TOKEN_EXPIRED, UNAUTHENTICATED};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

static INPUT: TypeDesc = TypeDesc {
    name: "DoInput",
    description: "",
    shape: Shape::Object(ObjectDesc {
        fields: &[FieldDesc {
            name: "what",
            description: "",
            ty: Ty::Text {
                min_length: None,
                max_length: Some(64),
                pattern: None,
            },
            required: true,
            nullable: false,
            default: None,
            sensitive: false,
            place: None,
            deprecated: None,
        }],
        exactly_one_of: &[],
    }),
};

const fn desc(id: &'static str, permission: PermissionRule) -> OperationDesc {
    OperationDesc {
        id,
        module: "test",
        name: "do",
        kind: OperationKind::Command,
        method: "POST",
        path: "/test",
        permission,
        summary: "",
        description: "",
        input: &INPUT,
        output: None,
        result: None,
        status: 200,
        errors: &[],
        timeout_ms: 200,
        retry_safe: false,
        graphql: "testDo",
        deprecated: None,
    }
}

static PUBLIC: OperationDesc = desc("test.public", PermissionRule::Public);
static AUTHENTICATED: OperationDesc = desc("test.authenticated", PermissionRule::Authenticated);
static NEEDS_READ: OperationDesc = desc("test.read", PermissionRule::Needs(DATABASE_READ));
static NEEDS_WRITE: OperationDesc = desc("test.write", PermissionRule::Needs(DATABASE_WRITE));
static STATEMENT: OperationDesc = desc("test.statement", PermissionRule::Statement { fields: &["what"] });

#[derive(Deserialize)]
struct Input {
    what: String,
}

#[derive(Debug, Serialize)]
struct Output {
    caller: Option<String>,
}

struct Doer;

/// What the service does is in its input; which rule it is under, in the type.
macro_rules! operation {
    ($name:ident, $desc:expr) => {
        struct $name;

        impl Operation for $name {
            type Service = Doer;
            type Input = Input;
            type Output = Output;

            fn desc() -> &'static OperationDesc {
                &$desc
            }

            fn call<'a>(_: &'a Doer, context: &'a CallContext, input: Input) -> AnswerFuture<'a, Output> {
                Box::pin(async move {
                    match input.what.as_str() {
                        "panic" => panic!("on purpose"),
                        "hang" => std::future::pending::<()>().await,
                        _ => {}
                    }
                    Ok(Output {
                        caller: context.principal.as_ref().map(|who| who.username.clone()),
                    })
                })
            }
        }
    };
}

operation!(Public, PUBLIC);
operation!(AuthenticatedOnly, AUTHENTICATED);
operation!(NeedsRead, NEEDS_READ);
operation!(NeedsWrite, NEEDS_WRITE);
operation!(ByStatement, STATEMENT);

/// Knows one reader by the token `reader`.
struct Gate;

impl Identity for Gate {
    fn changed<'a>(&'a self, _: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
        Box::pin(std::future::pending())
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential) -> AnswerFuture<'a, Arc<Principal>> {
        Box::pin(async move {
            match credential {
                Credential::Bearer(token) if token == "reader" => Ok(Arc::new(Principal {
                    user_id: "1".to_owned(),
                    username: "reader".to_owned(),
                    roles: vec!["analyst".to_owned()],
                    permissions: DATABASE_READ,
                    session_id: None,
                    api_key_id: None,
                    expires_at_seconds: None,
                })),
                Credential::Bearer(token) if token == "old" => Err(ServiceError::new(&TOKEN_EXPIRED, "old")),
                _ => Err(ServiceError::new(&UNAUTHENTICATED, "unknown")),
            }
        })
    }
}

impl StatementClassifier for Gate {
    fn permissions(&self, sql: &str) -> ServiceResult<Permissions> {
        Ok(if sql.starts_with("write") {
            DATABASE_WRITE
        } else {
            DATABASE_READ
        })
    }
}

fn pipeline() -> Pipeline {
    Pipeline::new(Arc::new(Gate), Arc::new(Gate), LIMITS)
}

async fn call_with<O: Operation<Service = Doer>>(
    pipeline: &Pipeline,
    token: Option<&str>,
    input: Value,
    timeout_ms: Option<u64>,
) -> Result<Value, (&'static str, String)> {
    let call = Call {
        interface: Interface::Rest,
        credential: CredentialCell::new(token.map(|token| Credential::Bearer(token.to_owned()))),
        peer: None,
        request_id: "test".into(),
        timeout_ms,
        input,
    };
    match pipeline.call(&Registered::new::<O>(Arc::new(Doer)), call).await {
        Ok(answer) => Ok(answer.to_value().unwrap()),
        Err(error) => Err((error.code(), error.message().to_owned())),
    }
}

async fn call<O: Operation<Service = Doer>>(token: Option<&str>, what: &str) -> Result<Value, &'static str> {
    let result = call_with::<O>(&pipeline(), token, json!({"what": what}), None).await;
    result.map_err(|(code, _)| code)
}

#[tokio::test]
async fn credentials_decide_before_anything_else() {
    assert_eq!(call::<AuthenticatedOnly>(None, "x").await, Err("UNAUTHENTICATED"));
    assert_eq!(
        call::<AuthenticatedOnly>(Some("wrong"), "x").await,
        Err("UNAUTHENTICATED")
    );
    assert_eq!(
        call::<AuthenticatedOnly>(Some("old"), "x").await,
        Err("TOKEN_EXPIRED")
    );
    assert_eq!(
        call::<AuthenticatedOnly>(Some("reader"), "x").await,
        Ok(json!({"caller": "reader"}))
    );
    let too_long = json!({"what": "x".repeat(65)});
    let (code, _) = call_with::<NeedsWrite>(&pipeline(), None, too_long, None)
        .await
        .unwrap_err();
    assert_eq!(code, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_public_operation_is_open_to_a_stale_credential() {
    assert_eq!(call::<Public>(None, "x").await, Ok(json!({"caller": null})));
    assert_eq!(
        call::<Public>(Some("old"), "x").await,
        Ok(json!({"caller": null}))
    );
    assert_eq!(
        call::<Public>(Some("reader"), "x").await,
        Ok(json!({"caller": "reader"}))
    );
}

#[tokio::test]
async fn the_permission_named_by_the_contract_is_needed() {
    assert!(call::<NeedsRead>(Some("reader"), "x").await.is_ok());
    let denied = call_with::<NeedsWrite>(&pipeline(), Some("reader"), json!({"what": "x"}), None).await;
    let (code, message) = denied.unwrap_err();
    assert_eq!(code, "PERMISSION_DENIED");
    assert!(
        message.contains("database:write") && !message.contains("database:read"),
        "{message}"
    );
}

#[tokio::test]
async fn statements_need_what_they_do() {
    assert!(call::<ByStatement>(Some("reader"), "read a row").await.is_ok());
    assert_eq!(
        call::<ByStatement>(Some("reader"), "write a row").await,
        Err("PERMISSION_DENIED")
    );
}

#[tokio::test]
async fn inputs_are_validated_before_the_service_sees_them() {
    for input in [
        json!({}),
        json!({"what": 1}),
        json!({"what": "x", "more": 1}),
        json!([]),
    ] {
        let (code, _) = call_with::<Public>(&pipeline(), None, input, None)
            .await
            .unwrap_err();
        assert_eq!(code, "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn a_call_that_is_not_done_in_time_is_given_up() {
    assert_eq!(call::<Public>(None, "hang").await, Err("DEADLINE_EXCEEDED"));
    let hang = json!({"what": "hang"});
    let (_, message) = call_with::<Public>(&pipeline(), None, hang.clone(), Some(5))
        .await
        .unwrap_err();
    assert!(message.contains("5 ms"), "{message}");
    for timeout_ms in [0, LIMITS.timeout_max_ms + 1] {
        let (code, _) = call_with::<Public>(&pipeline(), None, hang.clone(), Some(timeout_ms))
            .await
            .unwrap_err();
        assert_eq!(code, "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn a_panicking_service_answers_internal_and_the_pipeline_goes_on() {
    let pipeline = pipeline();
    let (code, message) = call_with::<Public>(&pipeline, None, json!({"what": "panic"}), None)
        .await
        .unwrap_err();
    assert_eq!(code, "INTERNAL");
    assert!(!message.contains("on purpose"), "{message}");
    assert!(
        call_with::<Public>(&pipeline, None, json!({"what": "x"}), None)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_draining_pipeline_takes_public_calls_only() {
    let pipeline = Arc::new(pipeline());
    let running = tokio::spawn({
        let pipeline = Arc::clone(&pipeline);
        async move { call_with::<NeedsRead>(&pipeline, Some("reader"), json!({"what": "hang"}), Some(50)).await }
    });
    tokio::task::yield_now().await;
    pipeline.drain();
    let refused = call_with::<NeedsRead>(&pipeline, Some("reader"), json!({"what": "x"}), None).await;
    assert_eq!(refused.unwrap_err().0, "UNAVAILABLE");
    assert!(
        call_with::<Public>(&pipeline, None, json!({"what": "x"}), None)
            .await
            .is_ok()
    );
    let finished = tokio::time::timeout(Duration::from_secs(10), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(finished.unwrap_err().0, "DEADLINE_EXCEEDED");
}
