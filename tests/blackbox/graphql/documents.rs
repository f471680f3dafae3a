//! Documents: fields side by side, variables, enumerations, unions, limits, introspection.

use serde_json::{Value, json};

use super::{data, error, post};
use crate::harness::contract::{model, root};
use crate::harness::tools::{self, run};
use crate::harness::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_answers_several_fields_of_one_document() {
    let world = World::new().await;
    let document = "query Several($limit: UInt53) {\n\
        alive: healthCheckLiveness { alive }\n\
        databaseList(limit: $limit) { databases { name tableCount } next }\n\
        ...Me\n\
        ... on Query @include(if: true) { adminVersion { dataFormat } }\n\
        hidden: adminVersion @skip(if: true) { dataFormat }\n\
      }\n\
      fragment Me on Query { authValidate { username } }";
    let answer = post(&world, "analyst", document, json!({"limit": 1})).await;
    let document_fields = ["alive", "databaseList", "authValidate", "adminVersion"];
    let fields: Vec<&String> = answer.body["data"].as_object().unwrap().keys().collect();
    assert_eq!(fields, document_fields, "in the order of the document");
    assert_eq!(
        answer.body["data"]["databaseList"]["databases"],
        json!([{"name": "main", "tableCount": 0}])
    );
}

/// One field that fails leaves the others when the schema lets it be null, and takes all when it does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_a_field_that_fails_is_told_by_its_path() {
    let world = World::new().await;
    let document = "{ good: healthCheckLiveness { alive } bad: databaseTable(name: \"none\") { name } }";
    let answer = post(&world, "admin", document, json!({})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body["data"],
        Value::Null,
        "fields of the root are never null"
    );
    assert_eq!(answer.body["errors"][0]["path"], json!(["bad"]));
    assert_eq!(answer.body["errors"][0]["extensions"]["code"], "TABLE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_takes_values_as_variables_and_as_literals() {
    let world = World::new().await;
    let create = "mutation($name: String!, $columns: [ColumnSpecInput!]!) {\n\
        databaseCreateTable(name: $name, columns: $columns, primaryKey: \"id\") { name primaryKey } }";
    let columns =
        json!([{"name": "id", "type": "bigint"}, {"name": "n", "type": "integer", "nullable": true}]);
    let made = data(
        &world,
        "admin",
        create,
        json!({"name": "valued", "columns": columns}),
    )
    .await;
    // One value stands for a list of it.
    assert_eq!(made["databaseCreateTable"]["primaryKey"], json!(["id"]));
    let execute = "mutation {\n\
        transactionsExecute(operations: [\n\
          {insert: {table: \"valued\", rows: [{id: 1, n: 10}, {id: 2, n: 20}, {id: 3}]}},\n\
          {update: {table: \"valued\", id: \"2\", values: {n: 21}}},\n\
          {delete: {table: \"valued\", id: \"3\"}}\n\
        ]) { rowsChanged results { rowsAffected ids } } }";
    let done = data(&world, "developer", execute, json!({})).await;
    assert_eq!(done["transactionsExecute"]["rowsChanged"], 5);
    let literal =
        "{ databaseCountRows(name: \"valued\", filter: {field: \"n\", operator: GT, value: 10}) { count } }";
    assert_eq!(
        data(&world, "analyst", literal, json!({})).await["databaseCountRows"]["count"],
        1
    );
    let variable =
        "query($filter: FilterInput) { databaseCountRows(name: \"valued\", filter: $filter) { count } }";
    for (filter, count) in [
        (json!({"field": "n", "operator": "GE", "value": 10}), 2),
        (
            json!({"or": [{"field": "n", "value": "10"}, {"field": "n", "operator": "IN", "values": [21, 22]}]}),
            2,
        ),
        (json!({"not": {"field": "n", "operator": "IS_NULL"}}), 2),
        (Value::Null, -1),
    ] {
        if count < 0 {
            let refused = error(&world, "analyst", variable, json!({"filter": filter})).await;
            assert_eq!(refused.code, "INVALID_ARGUMENT", "null is no filter");
        } else {
            let answer = data(&world, "analyst", variable, json!({"filter": filter})).await;
            assert_eq!(answer["databaseCountRows"]["count"], count, "{filter}");
        }
    }
    let level = "mutation($level: IsolationLevel) { transactionsBegin(isolationLevel: $level) { isolationLevel transactionId } }";
    let begun = data(&world, "developer", level, json!({"level": "SNAPSHOT"})).await;
    assert_eq!(begun["transactionsBegin"]["isolationLevel"], "SNAPSHOT");
    assert!(begun["transactionsBegin"]["transactionId"].is_string());
    let begun = data(&world, "developer", level, json!({"level": "SERIALIZABLE"})).await;
    assert_eq!(begun["transactionsBegin"]["isolationLevel"], "SERIALIZABLE");
    let refused = error(&world, "developer", level, json!({"level": "CHAOS"})).await;
    assert_eq!(refused.code, "INVALID_ARGUMENT");
    let two = "mutation { transactionsExecute(operations: [{insert: {table: \"a\", rows: [{}]}, delete: {table: \"a\", id: \"1\"}}]) { rowsChanged } }";
    assert_eq!(
        error(&world, "admin", two, json!({})).await.code,
        "INVALID_ARGUMENT",
        "one of the variants"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_mutations_of_a_document_run_in_its_order() {
    let world = World::new().await;
    let table = json!({"name": "ordered", "columns": [{"name": "id", "type": "bigint"}, {"name": "n", "type": "bigint"}], "primary_key": ["id"]});
    world.must("database.create_table", &table, "admin").await;
    let fields: String = (0..20)
        .map(|n| format!("s{n}: databaseUpsertRow(name: \"ordered\", values: {{id: 1, n: {n}}}) {{ created row {{ data }} }}\n"))
        .collect();
    let answer = data(
        &world,
        "developer",
        &format!("mutation {{ {fields} }}"),
        json!({}),
    )
    .await;
    for n in 0..20 {
        assert_eq!(answer[format!("s{n}")]["created"], n == 0, "{n}");
        assert_eq!(answer[format!("s{n}")]["row"]["data"]["n"], n);
    }
    // A query and a mutation are different operations: a query field is none of a mutation.
    let mixed = "mutation { healthCheckLiveness { alive } }";
    assert_eq!(
        error(&world, "admin", mixed, json!({})).await.code,
        "INVALID_ARGUMENT"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_refuses_what_the_schema_does_not_have() {
    let world = World::new().await;
    for document in [
        "{ noSuchField }",
        "{ healthCheckLiveness { alive colour } }",
        "{ healthCheckLiveness }",
        "{ healthCheckLiveness { alive { more } } }",
        "{ databaseTable { name } }",
        "{ databaseTable(name: 7) { name } }",
        "{ databaseTable(name: \"t\", colour: \"red\") { name } }",
        "{ databaseTable(name: $name) { name } }",
        "query($name: NoSuchType) { databaseTable(name: $name) { name } }",
        "query($name: String!) { databaseTable(name: $name) { name } }",
        "{ databaseCountRows(name: \"t\", filter: {field: \"a\", operator: NO_SUCH}) { count } }",
        "{ databaseCountRows(name: \"t\", filter: {colour: 1}) { count } }",
        "mutation { noSuchMutation }",
        "subscription { heartbeat }",
        "{ ...Missing }",
        "{ a: healthCheckLiveness { alive } a: healthSummary { status } }",
        "{ healthCheckLiveness @nope { alive } }",
        "nonsense",
        "",
        "{",
        "# nothing",
    ] {
        let answer = post(&world, "admin", document, json!({})).await;
        let errors = answer.body["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{document:?} succeeds: {}", answer.body));
        for error in errors {
            assert_eq!(
                error["extensions"]["code"], "INVALID_ARGUMENT",
                "{document:?}: {error}"
            );
            assert_eq!(error["extensions"]["status"], 400, "{document:?}");
            assert!(error["extensions"]["request_id"].is_string(), "{document:?}");
        }
        assert!(answer.body.get("data").is_none_or(Value::is_null), "{document:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_documents_are_bounded_in_depth_and_in_size() {
    let world = World::new().await;
    let depth = model().limits.graphql_depth as usize;
    // Only introspection is nested as deep as one likes.
    let nested = |levels: usize| {
        format!(
            "{{ __schema {{ types {{ fields {{ type {} }} }} }} }}",
            "{ ofType ".repeat(levels) + "{ name }" + &" }".repeat(levels)
        )
    };
    assert!(
        post(&world, "nobody", &nested(depth - 6), json!({}))
            .await
            .body
            .get("errors")
            .is_none()
    );
    assert_eq!(
        error(&world, "nobody", &nested(depth + 1), json!({})).await.code,
        "INVALID_ARGUMENT"
    );
    assert_eq!(
        error(&world, "nobody", &nested(5000), json!({})).await.code,
        "INVALID_ARGUMENT"
    );
    let wide = |fields: usize| {
        let fields: String = (0..fields)
            .map(|n| format!("f{n}: healthCheckLiveness {{ alive }} "))
            .collect();
        format!("{{ {fields} }}")
    };
    let most = model().limits.graphql_complexity as usize / 2;
    assert!(
        post(&world, "nobody", &wide(most), json!({}))
            .await
            .body
            .get("errors")
            .is_none()
    );
    assert_eq!(
        error(&world, "nobody", &wide(most + 1), json!({})).await.code,
        "INVALID_ARGUMENT"
    );
    let recursive = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }";
    assert_eq!(
        error(&world, "nobody", recursive, json!({})).await.code,
        "INVALID_ARGUMENT"
    );
    assert_eq!(
        data(&world, "nobody", "{ healthCheckLiveness { alive } }", json!({})).await["healthCheckLiveness"]["alive"],
        true
    );
}

/// Told without credentials; and it is the published schema, by the judgement of graphql-js.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_introspection_tells_the_published_schema() {
    let world = World::new().await;
    let names = data(
        &world,
        "nobody",
        "{ __schema { queryType { name } mutationType { name } subscriptionType { name } } }",
        json!({}),
    )
    .await;
    assert_eq!(
        names["__schema"],
        json!({
            "queryType": {"name": "Query"},
            "mutationType": {"name": "Mutation"},
            "subscriptionType": {"name": "Subscription"},
        })
    );
    let script = tools::checkers().join("compare-schemas.mjs");
    let url = format!("{}/graphql", world.base_url());
    tokio::task::spawn_blocking(move || {
        run(std::process::Command::new("node")
            .arg(script)
            .arg(url)
            .arg(root().join("docs/schema.graphql")));
    })
    .await
    .unwrap();
}
