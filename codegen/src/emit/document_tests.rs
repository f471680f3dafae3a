//! The documents of the fixture and of the contract: what they say, and what foreign programs say of them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{asyncapi, coverage, examples, fixture, graphql_sdl, json_schema, openapi, openrpc, reference};
use crate::model::Model;
use crate::output::{self, Emission};
use crate::project::Project;
use crate::source::Source;

const EMITTERS: [fn(&Model) -> Emission; 7] = [
    json_schema::emit,
    openapi::emit,
    openrpc::emit,
    asyncapi::emit,
    graphql_sdl::emit,
    reference::emit,
    coverage::emit,
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn emit(model: &Model) -> Vec<Emission> {
    EMITTERS.iter().map(|emit| emit(model)).collect()
}

fn text(model: &Model, path: &str) -> String {
    let emissions = emit(model);
    let file = emissions
        .iter()
        .flat_map(|emission| &emission.files)
        .find(|file| file.path == path);
    file.unwrap_or_else(|| panic!("{path} is emitted")).text.clone()
}

/// Writes the documents to a folder of their own and lets the foreign checkers read them. The checkers' packages
/// are installed by the tests of the server; where they are not, this says so and checks nothing.
fn foreign_check(model: &Model) {
    let tools = root().join("tests/tools");
    let read = |name: &str| std::fs::read_to_string(tools.join(name)).ok();
    if read("node_modules/.installed-lock") != read("package-lock.json") {
        eprintln!("not checked: run `npm ci` in tests/tools first");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    output::write(folder.path(), &emit(model)).unwrap();
    let docs = folder.path().join("docs");
    let node = Command::new("node")
        .arg(tools.join("check-documents.mjs"))
        .arg(&docs)
        .output()
        .unwrap();
    assert!(node.status.success(), "{}", String::from_utf8_lossy(&node.stderr));
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_packages = Command::new(&python)
        .args(["-c", "import openapi_spec_validator, graphql, jsonschema, yaml"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_packages {
        eprintln!("not checked in Python: install clients/python/requirements-dev.lock first");
        return;
    }
    let python = Command::new(python)
        .arg(tools.join("check_documents.py"))
        .arg(&docs)
        .output()
        .unwrap();
    assert!(
        python.status.success(),
        "{}",
        String::from_utf8_lossy(&python.stderr)
    );
}

#[test]
fn foreign_checkers_accept_the_fixtures_documents() {
    foreign_check(&fixture::model());
}

#[test]
fn foreign_checkers_accept_the_contracts_documents() {
    let model = Project::new(&root())
        .model()
        .unwrap_or_else(|found| panic!("{found:#?}"));
    foreign_check(&model);
}

#[test]
fn foreign_checkers_refuse_planted_faults() {
    let tools = root().join("tests/tools");
    if !tools.join("node_modules").is_dir() {
        eprintln!("not checked: run `npm ci` in tests/tools first");
        return;
    }
    let faults: [(&str, &str, &str, &str); 8] = [
        (
            "docs/openapi.json",
            "\"operationId\": \"shop.ping\"",
            "\"operationId\": \"shop.draw\"",
            "operation-operationId-unique",
        ),
        ("docs/openapi.json", "\"ABC-1\"", "1", "no-invalid"),
        (
            "docs/openrpc.json",
            "\"paramStructure\": \"by-name\"",
            "\"paramStructure\": \"by-luck\"",
            "openrpc.json: ",
        ),
        (
            "docs/asyncapi.json",
            "\"#/channels/raw/messages/raw.ping\"",
            "\"#/channels/raw/messages/raw.pang\"",
            "asyncapi.json: parser invalid-ref",
        ),
        (
            "docs/reference/shop.md",
            "shopListParts(",
            "shopLostParts(",
            "reference/shop.md: ",
        ),
        (
            "docs/schemas/Part.json",
            "\"#/$defs/Skus\"",
            "\"#/$defs/Skies\"",
            "schemas/Part.json: ",
        ),
        // A broken schema hides faults of documents that use it.
        (
            "docs/schema.graphql",
            "enum State",
            "enum Stat",
            "schema.graphql: ",
        ),
        // References that lead nowhere hide faults of examples.
        (
            "docs/asyncapi.json",
            "\"view\": \"shop.part_changes\"",
            "\"view\": \"shop.part_losses\"",
            "asyncapi.json: example shop.part_changes of rpc.subscribe",
        ),
    ];
    let (first, second) = faults.split_at(6);
    for (faults, checks) in [(first, &[][..]), (second, &["graphql", "asyncapi"][..])] {
        let folder = tempfile::tempdir().unwrap();
        output::write(folder.path(), &emit(&fixture::model())).unwrap();
        for (path, right, wrong, _) in faults {
            let file = folder.path().join(path);
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(right), "{right} is in {path}");
            fs::write(&file, text.replace(right, wrong)).unwrap();
        }
        let docs = folder.path().join("docs");
        let run = Command::new("node")
            .arg(tools.join("check-documents.mjs"))
            .arg(docs)
            .args(checks)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(1));
        let findings = String::from_utf8_lossy(&run.stderr);
        for (_, _, wrong, finding) in faults {
            assert!(
                findings.contains(finding),
                "{wrong} is not found by {finding} in\n{findings}"
            );
        }
    }
}

#[test]
fn two_runs_write_the_same_bytes() {
    let (first, second) = (fixture::model(), fixture::model());
    let files = |model| {
        emit(model)
            .into_iter()
            .flat_map(|emission| emission.files)
            .collect::<Vec<_>>()
    };
    assert_eq!(files(&first), files(&second));
}

fn openapi_operation(path: &str, method: &str) -> Value {
    let document: Value = serde_json::from_str(&text(&fixture::model(), "docs/openapi.json")).unwrap();
    document["paths"][path][method].clone()
}

#[test]
fn openapi_places_inputs_where_rest_carries_them() {
    let put = openapi_operation("/api/v1/parts/{sku}", "put");
    let places: Vec<(&str, &str, bool)> = put["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            (
                p["name"].as_str().unwrap(),
                p["in"].as_str().unwrap(),
                p["required"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            ("sku", "path", true),
            ("database", "query", false),
            ("dry_run", "query", false)
        ]
    );
    let document: Value = serde_json::from_str(&text(&fixture::model(), "docs/openapi.json")).unwrap();
    let body = &document["components"]["schemas"]["ShopPutPartInputBody"];
    let names: Vec<&String> = body["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "shape", "state", "made_at", "params", "note", "node", "secret", "database"
        ]
    );
    assert_eq!(body["required"], json!(["shape", "state"]));
    assert_eq!(body["additionalProperties"], json!(false));
    assert_eq!(body["properties"]["secret"]["format"], "password");
    assert_eq!(body["properties"]["note"]["type"], json!(["string", "null"]));
    assert_eq!(put["requestBody"]["required"], json!(true));
    let draw = openapi_operation("/api/v1/draw", "post");
    let schema = &draw["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(
        *schema,
        json!({"$ref": "#/components/schemas/ShopDrawInput"}),
        "all fields are of the body"
    );
    assert!(
        openapi_operation("/api/v1/ping", "post")
            .get("requestBody")
            .is_none()
    );
    assert!(
        openapi_operation("/api/v1/parts/{sku}", "delete")
            .get("requestBody")
            .is_none()
    );
}

#[test]
fn openapi_tells_json_text_from_repeated_scalars() {
    let list = openapi_operation("/api/v1/parts", "get");
    let parameter = |name: &str| {
        list["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .find(|parameter| parameter["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        parameter("tags")["schema"],
        json!({"$ref": "#/components/schemas/Skus"})
    );
    assert_eq!(parameter("tags")["example"], json!(["ABC-1", "ABC-2"]));
    for name in ["filter", "shape", "options"] {
        assert!(
            parameter(name)["content"]["application/json"]["schema"].is_object(),
            "{name}"
        );
    }
    assert_eq!(parameter("limit")["schema"]["maximum"], 50);
    assert_eq!(parameter("limit")["schema"]["default"], 10);
}

#[test]
fn openapi_groups_errors_by_status() {
    let put = openapi_operation("/api/v1/parts/{sku}", "put");
    let sold_out = &put["responses"]["409"];
    assert_eq!(
        sold_out["description"],
        "`SOLD_OUT`: None is left. Details: `SoldOutDetails`."
    );
    let example = &sold_out["content"]["application/problem+json"]["examples"]["SOLD_OUT"]["value"];
    assert_eq!(example["error"]["code"], "SOLD_OUT");
    assert_eq!(
        put["responses"]["401"],
        json!({"$ref": "#/components/responses/CommonError401"})
    );
    assert_eq!(
        put["responses"]["201"]["content"]["application/json"]["examples"]["round"]["value"],
        json!({"sku": "ABC-1"})
    );
    let get = openapi_operation("/api/v1/parts/{sku}", "get");
    let codes: Vec<&String> = get["responses"]["404"]["content"]["application/problem+json"]["examples"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(codes, ["OPERATION_NOT_FOUND", "PART_NOT_FOUND"]);
    assert_eq!(get["deprecated"], true);
    assert_eq!(get["security"], json!([{"bearer": []}, {"api_key": []}]));
    assert_eq!(openapi_operation("/api/v1/ping", "post")["security"], json!([]));
}

#[test]
fn the_down_level_document_has_nothing_that_3_0_does_not_know() {
    let document: Value = serde_json::from_str(&text(&fixture::model(), "docs/openapi-3.0.json")).unwrap();
    assert_eq!(document["openapi"], "3.0.3");
    let part = &document["components"]["schemas"]["Part"]["properties"];
    assert_eq!(part["note"]["nullable"], true);
    assert_eq!(part["blob"]["format"], "byte");
    let node = &document["components"]["schemas"]["Node"]["properties"]["parent"];
    assert_eq!(
        *node,
        json!({"type": "object", "nullable": true, "allOf": [{"$ref": "#/components/schemas/Node"}]})
    );
    walk(&document, &mut |value| {
        let Some(map) = value.as_object() else { return };
        assert!(!map.get("type").is_some_and(Value::is_array), "{value}");
        assert!(map.get("type") != Some(&json!("null")), "{value}");
        assert!(!map.contains_key("contentEncoding"), "{value}");
        assert!(!map.contains_key("$ref") || map.len() == 1, "{value}");
    });
}

fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(map) => map.values().for_each(|value| walk(value, visit)),
        Value::Array(items) => items.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[test]
fn the_yaml_reads_as_the_json() {
    let model = fixture::model();
    let json: Value = serde_json::from_str(&text(&model, "docs/openapi.json")).unwrap();
    let yaml = Source::parse("openapi.yaml", &text(&model, "docs/openapi.yaml")).unwrap();
    assert_eq!(yaml.value, json);
}

#[test]
fn schemas_are_complete_in_themselves() {
    let part: Value = serde_json::from_str(&text(&fixture::model(), "docs/schemas/Part.json")).unwrap();
    let definitions = part["$defs"].as_object().unwrap();
    walk(&part, &mut |value| {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return;
        };
        assert!(
            reference == "#" || definitions.contains_key(reference.trim_start_matches("#/$defs/")),
            "{reference}"
        );
    });
    let union = &definitions["Shape"]["oneOf"][0];
    assert_eq!(union["title"], "Circle");
    assert_eq!(union["required"], json!(["kind", "centre", "size"]));
    assert_eq!(
        union["properties"]["kind"],
        json!({"type": "string", "enum": ["circle"]})
    );
    let node: Value = serde_json::from_str(&text(&fixture::model(), "docs/schemas/Node.json")).unwrap();
    assert_eq!(node["properties"]["children"]["items"], json!({"$ref": "#"}));
}

/// The message of a channel that has the event, with its payload's members.
fn asyncapi_message(document: &Value, channel: &str, message: &str) -> Value {
    let target = &document["channels"][channel]["messages"][message]["$ref"];
    let pointer = |reference: &Value| reference.as_str().unwrap().trim_start_matches('#').to_owned();
    let payload = &document.pointer(&pointer(target)).unwrap()["payload"]["$ref"];
    document.pointer(&pointer(payload)).unwrap()["properties"].clone()
}

#[test]
fn asyncapi_has_each_path_of_a_view_as_a_channel() {
    let document: Value = serde_json::from_str(&text(&fixture::model(), "docs/asyncapi.json")).unwrap();
    let addresses: Vec<(&str, &str)> = document["channels"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(id, channel)| (id.as_str(), channel["address"].as_str().unwrap()))
        .collect();
    assert_eq!(
        addresses,
        [
            ("rpc", "/api/v1/ws"),
            ("raw", "/api/v1/ws"),
            ("shop.load", "/api/v1/sse/shop/load"),
            ("shop.part_changes", "/api/v1/sse/parts"),
            ("shop.part_changes.ws", "/api/v1/ws/parts"),
            ("shop.part_made", "/api/v1/sse/shop/part-made"),
        ]
    );
    let frame = asyncapi_message(&document, "shop.part_changes", "PartMade");
    assert_eq!(frame["event"]["enum"], json!(["PartMade"]));
    assert_eq!(frame["data"], json!({"$ref": "#/components/schemas/PartMade"}));
    assert_eq!(frame["timestamp"]["format"], "date-time");
    let envelope = asyncapi_message(&document, "shop.part_changes.ws", "raw.PartMade");
    assert_eq!(envelope["message_type"]["enum"], json!(["part_made"]));
    assert_eq!(envelope["timestamp"]["type"], "integer");
    let told = asyncapi_message(&document, "raw", "raw.control");
    assert_eq!(told["message_type"]["enum"], json!(["bookmark", "gap"]));
}

#[test]
fn asyncapi_places_arguments_where_a_view_takes_them() {
    let document: Value = serde_json::from_str(&text(&fixture::model(), "docs/asyncapi.json")).unwrap();
    let operation = &document["operations"]["shop.part_changes"];
    let input = json!({"$ref": "#/components/schemas/ShopPartChangesInput"});
    assert_eq!(operation["action"], "send");
    assert_eq!(operation["bindings"]["http"]["query"], input);
    assert_eq!(
        document["channels"]["shop.part_changes.ws"]["bindings"]["ws"]["query"],
        input
    );
    let by_statement = &document["operations"]["shop.load"]["bindings"]["http"];
    assert_eq!(by_statement["method"], "POST");
    assert!(by_statement.get("query").is_none());
    let params = &document["components"]["schemas"]["rpc.subscribe"]["properties"]["params"];
    let changes = params["allOf"]
        .as_array()
        .unwrap()
        .iter()
        .find(|rule| rule["if"]["properties"]["view"]["enum"][0] == "shop.part_changes");
    assert_eq!(
        changes.unwrap()["then"],
        json!({"properties": {"args": input}, "required": ["args"]})
    );
    let description = operation["description"].as_str().unwrap();
    for part in [
        "lossless",
        "`database:read`",
        "`SOLD_OUT`",
        "`Subscription.shopPartChanges`",
    ] {
        assert!(description.contains(part), "{part} is not in {description}");
    }
}

#[test]
fn graphql_maps_types_as_the_rules_say() {
    let sdl = text(&fixture::model(), "docs/schema.graphql");
    for line in [
        "shopListParts(",
        "    state: State\n",
        "    tags: [String!]\n",
        "    shape: ShapeInput\n",
        "    options: JSON\n",
        "    limit: UInt53\n",
        "    params: [JSON]\n",
        "  ): PartPage!\n",
        "  shopPart(\n    sku: String!\n  ): Part! @deprecated(reason: \"use `shop.list_parts`\")\n",
        "  shopDropPart(\n    sku: String!\n    database: String\n  ): Empty!\n",
        "  shopPing: Empty!\n",
        "enum State {\n  OPEN\n  SOLD_OUT\n  V_TRUE\n}\n",
        "union Shape = Circle | Square | Nothing\n",
        "input ShapeInput @oneOf {\n  circle: CircleInput\n  bigSquare: SquareInput\n  noneAtAll: Empty\n}\n",
        "type Nothing {\n  empty: Empty\n}\n",
        "  extra: JSON\n  labels: JSON!\n",
        "  count: UInt53!\n  delta: Int!\n  big: Int53!\n",
        "  matrix: [[JSON]!]!\n",
        "  tree: [JSON]\n",
        "scalar UUID\n",
    ] {
        assert!(sdl.contains(line), "{line}\nis not in\n{sdl}");
    }
    assert!(!sdl.contains("shopDraw"), "an exception is left out");
}

#[test]
fn a_call_becomes_graphql_variables() {
    let model = fixture::model();
    let put = model.operation("shop.put_part").unwrap();
    let variables = graphql_sdl::call::variables(&model, put, &put.examples[0].input);
    let expected = json!({
        "sku": "ABC-1",
        "shape": {"circle": {"centre": {"x": 0.5, "y": 2}, "size": 3}},
        "state": "SOLD_OUT",
        "madeAt": "2026-01-31T12:00:00.000000Z",
        "params": [1, null, "it's"],
        "note": null,
        "node": {"name": "a", "children": [{"name": "b"}]},
        "dryRun": true,
    });
    assert_eq!(variables, expected);
}

#[test]
fn documents_show_whole_examples_only() {
    let model = fixture::model();
    let names = |id: &str| {
        let operation = model.operation(id).unwrap();
        examples::sendable(&model, operation)
            .map(|example| example.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("shop.list_parts"), ["open_ones"]);
    assert_eq!(
        names("shop.get_part"),
        [""; 0],
        "it needs what an earlier call answered"
    );
    let refused = [
        json!({"sku": "ABC-1", "shape": {"kind": "circle", "centre": {"x": 2, "y": 2}, "size": 3}, "state": "open"}),
        json!({"sku": "ABC-1", "shape": {"kind": "oval"}, "state": "open"}),
        json!({"sku": "abc", "shape": {"kind": "none_at_all"}, "state": "open"}),
        json!({"sku": "ABC-1", "shape": {"kind": "none_at_all"}, "state": "closed"}),
        json!({"sku": "ABC-1", "shape": {"kind": "none_at_all"}, "state": "open", "other": 1}),
        json!({"sku": "ABC-1", "shape": {"kind": "none_at_all"}}),
        json!({"sku": null, "shape": {"kind": "none_at_all"}, "state": "open"}),
    ];
    for input in refused {
        assert!(
            !examples::fits_named(&model, &input, "ShopPutPartInput"),
            "{input}"
        );
    }
    let right = json!({"sku": "ABC-1", "shape": {"kind": "none_at_all"}, "state": "open", "note": null});
    assert!(examples::fits_named(&model, &right, "ShopPutPartInput"));
    assert!(
        !examples::fits_named(&model, &json!({"sku": "ABC-1", "all": true}), "Filter"),
        "two alternatives"
    );
}

/// Code of the first block of a language below an operation's heading.
fn snippet(page: &str, operation: &str, language: &str) -> String {
    let section = page.split(&format!("\n## {operation}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let block = section.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("\n```").next().unwrap().to_owned()
}

/// What a shell makes of the snippet: the arguments curl is started with.
fn curl_arguments(snippet: &str) -> Vec<String> {
    let script = format!(
        "curl() {{ for argument in \"$@\"; do printf '%s\\0' \"$argument\"; done; }}\n\
         RUSTYDB_URL=http://host RUSTYDB_TOKEN=token\n{snippet}"
    );
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .split_terminator('\0')
        .map(str::to_owned)
        .collect()
}

#[test]
fn curl_snippets_mean_the_example_to_a_shell() {
    let model = fixture::model();
    let page = text(&model, "docs/reference/shop.md");
    let put = curl_arguments(&snippet(&page, "shop.put_part", "sh"));
    assert_eq!(
        put[..3],
        ["-X", "PUT", "http://host/api/v1/parts/ABC-1?dry_run=true"]
    );
    assert!(put.contains(&"Authorization: Bearer token".to_owned()));
    let body: Value = serde_json::from_str(put.last().unwrap()).unwrap();
    assert_eq!(body["params"], json!([1, null, "it's"]));
    assert!(body.get("sku").is_none() && body.get("dry_run").is_none());
    let list = curl_arguments(&snippet(&page, "shop.list_parts", "sh"));
    let query = list[0].split_once('?').unwrap().1;
    assert!(
        query.contains("tags=ABC-1&tags=ABC-2&filter=%7B%22sku%22%3A%22ABC-1%22%7D"),
        "{query}"
    );
    let ping = curl_arguments(&snippet(&page, "shop.ping", "sh"));
    assert_eq!(
        ping,
        ["-X", "POST", "http://host/api/v1/ping"],
        "no credentials, no body"
    );
}

#[test]
fn the_reference_shows_views_with_their_names_and_events() {
    let page = text(&fixture::model(), "docs/reference/shop.md");
    let section = page.split("\n## shop.part_changes\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    for part in [
        "| class | changes: lossless, goes on behind the `cursor` of any item |",
        "| access | Needs the permission `database:read`. |",
        "| SSE | `GET /api/v1/sse/parts` |",
        "`subscribe` with the view `shop.part_changes` on `/api/v1/ws`; of its own: `/api/v1/ws/parts` |",
        "| GraphQL | `Subscription.shopPartChanges` |",
        "| `state` | [State](#type-state) | required | query |",
        "| `cursor` | cursor | optional | query |",
        "[PartDropped](#type-partdropped)",
        "| `SOLD_OUT` | 409 |",
        "Then: `shop.ping` `{}`.",
        "PartDropped {\"sku\":\"ABC-1\"}",
    ] {
        assert!(section.contains(part), "{part} is not in\n{section}");
    }
    let curl = curl_arguments(&snippet(&page, "shop.part_changes", "sh"));
    assert_eq!(
        curl[..2],
        [
            "-N",
            "http://host/api/v1/sse/parts?state=open&only=%7B%22all%22%3Atrue%7D"
        ]
    );
    let document = snippet(&page, "shop.part_changes", "graphql");
    assert!(
        document.starts_with("subscription ShopPartChanges($state: State!"),
        "{document}"
    );
    assert!(document.contains("... on PartDropped {"), "{document}");
}

#[test]
fn snippets_name_values_of_earlier_answers() {
    let page = text(&fixture::model(), "docs/reference/shop.md");
    assert!(snippet(&page, "shop.get_part", "sh").contains("/parts/<made.sku>"));
    assert!(snippet(&page, "shop.get_part", "ts").contains("getPart({ sku: made.sku })"));
    assert!(snippet(&page, "shop.get_part", "python").contains("get_part(sku=made.sku)"));
    assert!(snippet(&page, "shop.get_part", "rust").contains("sku: made.sku.clone()"));
}

#[test]
fn rust_snippets_parse() {
    let model = fixture::model();
    let page = text(&model, "docs/reference/shop.md");
    for operation in [
        "shop.put_part",
        "shop.list_parts",
        "shop.get_part",
        "shop.ping",
        "shop.draw",
    ] {
        let code = snippet(&page, operation, "rust");
        let function = format!("async fn example() -> Result<(), Error> {{ {code} Ok(()) }}");
        assert!(syn::parse_str::<syn::ItemFn>(&function).is_ok(), "{code}");
    }
    let put = snippet(&page, "shop.put_part", "rust");
    for part in [
        "Shape::Circle(Circle {",
        "state: State::SoldOut",
        "note: Presence::Null",
        "dry_run: Some(true)",
        "secret: None",
    ] {
        assert!(put.contains(part), "{part} is not in\n{put}");
    }
}

#[test]
fn the_coverage_page_prints_exceptions_with_their_reasons() {
    let model = fixture::model();
    let report = coverage::report(&model);
    assert_eq!(
        (report.operations.len(), report.queries, report.commands),
        (6, 2, 4)
    );
    assert_eq!((report.carried, report.cells), (17, 18));
    assert_eq!((report.views.len(), report.changes, report.telemetry), (3, 2, 1));
    assert_eq!(report.view_counts["SSE"], 3);
    assert_eq!(report.view_counts["its own WebSocket"], 1);
    let page = text(&model, "docs/coverage.md");
    for row in [
        "| shop.part_changes | changes | `shop.part_changes` | `GET /api/v1/sse/parts` | `/api/v1/ws/parts` | `shopPartChanges` | 1 | 1 |",
        "| shop.load | telemetry | `shop.load` | `POST /api/v1/sse/shop/load` | no | `shopLoad` | 0 | 0 |",
    ] {
        assert!(page.contains(row), "{row}\nis not in\n{page}");
    }
    assert!(
        page.contains("| shop.draw | GraphQL | Drawings are too large. |"),
        "{page}"
    );
}
