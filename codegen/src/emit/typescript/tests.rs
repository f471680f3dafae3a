#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::emit;
use crate::{load, resolve};

const CORE: &str = r#"
module: core
summary: What every module shares.
permissions: {"database:read": {summary: Reads.}}
roles: {admin: {summary: All., permissions: ["database:read"]}}
limits: {request_bytes: 1, json_depth: 1, rpc_batch_calls: 1, graphql_depth: 1, graphql_complexity: 1, page_default: 100, page_max: 1000, timeout_ms: 30000, timeout_max_ms: 300000}
types:
  Details: {type: object, required: [field], properties: {field: {type: string}}}
  StreamControl: {type: object, required: [kind], properties: {kind: {type: string}}}
errors:
  InvalidArgument: {status: 400, rpc: -1, retry: never, summary: Wrong., details: Details}
  Unavailable: {status: 503, rpc: -2, retry: safe, summary: Stopping.}
"#;

const SHOP: &str = r#"
module: shop
summary: "Ends */ here."
types:
  Colour: {enum: [red, dark_green]}
  Colours: {type: array, items: Colour}
  Nothing: {type: object, properties: {}}
  Part:
    type: object
    required: [id, colour, note]
    properties:
      id: {type: integer, format: id64, description: Of the part.}
      colour: Colour
      note: {type: string, nullable: true}
      size: {type: integer, format: uint32, minimum: 1, maximum: 9}
      extra: {type: object, additionalProperties: {format: json}}
  Tree:
    type: object
    properties: {children: {type: array, items: Tree}, leaf: {type: string, format: bytes}}
  Shape: {type: union, tag: kind, variants: {part: Part, nothing: Nothing}}
  PartPage:
    type: object
    required: [parts]
    properties: {parts: {type: array, items: Part}, next: cursor}
errors:
  OutOfStock: {status: 409, rpc: -3, retry: never, summary: None is left.}
operations:
  list_parts:
    kind: query
    rest: GET /api/v1/shops/{name}/parts
    permission: database:read
    summary: List parts.
    input:
      type: object
      required: [name]
      properties:
        name: {type: string}
        colours: Colours
        like: Shape
    output: PartPage
    paginated: {items: parts}
    since: 0.1.0
  delete:
    kind: command
    rest: DELETE /api/v1/parts/{id}
    permission: authenticated
    summary: Delete a part.
    input: {type: object, required: [id], properties: {id: id64}}
    errors: [OutOfStock]
    since: 0.1.0
    deprecated: {since: 0.2.0, instead: shop.then}
  then:
    kind: command
    rest: POST /api/v1/parts
    permission: public
    summary: Put a part.
    input:
      type: object
      exactlyOneOf: [part, tree]
      properties:
        part: Part
        tree: Tree
        dry_run: {type: boolean, in: query}
    output: Tree
    since: 0.1.0
streams:
  changes:
    class: changes
    permission: database:read
    summary: Of parts.
    since: 0.1.0
    views:
      part_changes:
        summary: Watch a part.
        args: {type: object, required: [id], properties: {id: id64}}
        record: Part
        errors: [OutOfStock]
      anything: {summary: Watch all., events: [Tree, Part]}
  load:
    class: telemetry
    permission: authenticated
    summary: Of the machine.
    since: 0.1.0
    views:
      load: {summary: Watch the load., record: Nothing}
"#;

fn files() -> BTreeMap<String, String> {
    let contract = [("core", CORE), ("shop", SHOP)]
        .map(|(name, text)| (format!("schema/modules/{name}.yaml"), text.to_owned()));
    // Not linted: an emitter must cope with whatever resolves.
    let model = resolve::resolve(&load::parse_files(&contract).unwrap()).unwrap();
    emit(&model)
        .files
        .into_iter()
        .map(|file| (file.path, file.text))
        .collect()
}

fn file(path: &str) -> String {
    files().remove(&format!("clients/typescript/{path}")).unwrap()
}

fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn two_runs_are_equal_and_every_file_is_headed() {
    assert_eq!(files(), files());
    assert!(
        files()
            .values()
            .all(|text| text.starts_with(super::HEADER) && text.ends_with('\n'))
    );
}

#[test]
fn enumerations_are_open_in_answers_and_closed_in_inputs() {
    let types = file("src/generated/types/shop.ts");
    assert_holds(
        &types,
        &[
            "export const ColourValues = [\n  \"red\",\n  \"dark_green\",\n] as const;",
            "export interface Part {\n",
            "  colour: wire.Open<Colour>;\n",
            "export interface PartInput {\n",
            "  colour: Colour;\n",
            "export type Colours = readonly Colour[];\n",
        ],
    );
    assert!(
        !types.contains("interface TreeInput"),
        "a type without enumerations has one form:\n{types}"
    );
}

#[test]
fn fields_keep_absent_and_null_apart() {
    assert_holds(
        &file("src/generated/types/shop.ts"),
        &[
            "  note: string | null;\n",
            "  /** 1 to 9. */\n  size?: number;\n",
            "  extra?: { [key: string]: wire.JsonValue };\n",
            "  /** Of the part. */\n  id: wire.Id64;\n",
            "  children?: Tree[];\n",
        ],
    );
}

#[test]
fn unions_are_told_apart_by_their_tag() {
    assert_holds(
        &file("src/generated/types/shop.ts"),
        &["export type Shape =\n  | ({ kind: \"part\" } & PartInput)\n  | { kind: \"nothing\" };\n"],
    );
}

#[test]
fn inputs_travel_where_the_contract_puts_them() {
    assert_holds(
        &file("src/generated/modules/shop.ts"),
        &[
            "    query: [[\"colours\", \"list\"], [\"like\", \"json\"], [\"limit\", \"text\"], [\"after\", \"text\"]],\n",
            "    query: [[\"dry_run\", \"text\"]],\n    body: [\"part\", \"tree\"],\n    retrySafe: false,\n    public: true,\n",
        ],
    );
}

#[test]
fn methods_are_typed_and_documented() {
    assert_holds(
        &file("src/generated/modules/shop.ts"),
        &[
            "/** Ends *\\/ here. */\nexport class ShopOperations {",
            "  async listParts(input: shopTypes.ShopListPartsInput, options: runtime.CallOptions = {}): Promise<shopTypes.PartPage> {",
            "  listPartsItems(input: shopTypes.ShopListPartsInput, options: runtime.CallOptions = {}): AsyncGenerator<shopTypes.Part, void, undefined> {",
            "  async delete(input: shopTypes.ShopDeleteInput, options: runtime.CallOptions = {}): Promise<void> {",
            "   * @throws OutOfStockError `OUT_OF_STOCK`: None is left.\n",
            "   * @deprecated since 0.2.0: use shop.then\n",
            "  async then_(input: shopTypes.ShopThenInput, ",
            "   * @since 0.1.0\n",
            "   * Permission: `database:read`. `GET /api/v1/shops/{name}/parts`.\n",
        ],
    );
}

#[test]
fn every_error_has_a_class_and_stands_in_the_table() {
    assert_holds(
        &file("src/generated/errors.ts"),
        &[
            "export class InvalidArgumentError extends runtime.RustyDBError {\n  declare readonly code: \"INVALID_ARGUMENT\";\n  declare readonly details: coreTypes.Details | undefined;\n}",
            "  [\"UNAVAILABLE\", { type: UnavailableError, retry: \"safe\" }],\n",
            "  \"OUT_OF_STOCK\": OutOfStockError;\n",
        ],
    );
}

#[test]
fn the_driver_calls_every_operation_by_its_typed_method() {
    assert_holds(
        &file("tests/generated/dispatch.ts"),
        &[
            "  [\"shop.list_parts\", (db, input) => db.shop.listParts(input as shopTypes.ShopListPartsInput)],\n",
            "  [\"shop.delete\", (db, input) => db.shop.delete(input as shopTypes.ShopDeleteInput).then(() => ({}))],\n",
            "  [\"shop.list_parts\", (db, input) => db.shop.listPartsItems(input as shopTypes.ShopListPartsInput)],\n",
        ],
    );
}

#[test]
fn views_are_methods_that_give_typed_subscriptions() {
    assert_holds(
        &file("src/generated/modules/shop.ts"),
        &[
            "  partChanges(input: shopTypes.ShopPartChangesInput, options: runtime.SubscriptionOptions = {}): \
             runtime.Subscription<wire.StreamEvent<\"Part\", shopTypes.Part>, coreTypes.StreamControl> {\n    \
             return this.#caller.subscribe(views.partChanges, input, options);\n",
            "  anything(input: shopTypes.ShopAnythingInput = {}, options: runtime.SubscriptionOptions = {}): \
             runtime.Subscription<shopTypes.ShopAnythingEvent, coreTypes.StreamControl> {",
            "    path: \"/api/v1/sse/shop/part-changes\",\n",
            "    class: \"changes\",\n  },\n",
            "    class: \"telemetry\",\n  },\n",
            "} satisfies Record<string, runtime.View>;\n",
        ],
    );
    assert_holds(
        &file("src/generated/types/shop.ts"),
        &[
            "export type ShopAnythingEvent =\n  | wire.StreamEvent<\"Tree\", Tree>\n  | wire.StreamEvent<\"Part\", Part>;\n",
        ],
    );
    assert_holds(
        &file("tests/generated/dispatch.ts"),
        &[
            "  [\"shop.load\", (db, input, options) => db.shop.load(input as shopTypes.ShopLoadInput, options)],\n",
        ],
    );
}
