//! A contract with every form of the language, for the tests of the document emitters.

use crate::model::Model;
use crate::project::model_of;

const CORE: &str = include_str!("../../../schema/modules/core.yaml");

const SHOP: &str = r##"
module: shop
summary: Orders and parts.
description: Made up; every form of the language occurs.

types:
  State:
    enum: [open, sold_out, "true"]
    description: How things stand.
  Sku: {type: string, minLength: 3, maxLength: 12, pattern: "[A-Z]{3}-[0-9]+", description: A stock number.}
  Skus: {type: array, items: Sku}
  Tree: {type: array, items: Tree}
  Nothing: {type: object}
  Point: {type: object, required: [x, y], properties: {x: {type: number, minimum: -1, maximum: 1.5}, y: number}}
  Circle:
    type: object
    description: Round.
    required: [centre, size]
    properties: {centre: Point, size: {type: integer, format: int32, minimum: 1}}
  Square: {type: object, required: [size], properties: {size: {type: string, description: Ends in a "quote"}}}
  Shape: {type: union, tag: kind, variants: {circle: Circle, big_square: Square, none_at_all: Nothing}, description: What is drawn.}
  Node:
    type: object
    required: [name]
    properties: {name: string, children: {type: array, items: Node}, parent: {$ref: Node, nullable: true}}
  Filter:
    type: object
    exactlyOneOf: [sku, all]
    properties: {sku: Sku, all: boolean, state: {$ref: State, default: open}}
  Part:
    type: object
    description: "A part with all scalars | and a bar."
    required: [id, sku, price, made_at, day, code, position, blob, extra, labels, state, shape, count, delta, big, tags, matrix, note]
    properties:
      id: {type: string, format: id64}
      sku: Sku
      price: {type: string, format: decimal}
      made_at: {type: string, format: timestamp}
      day: {type: string, format: date}
      code: {type: string, format: uuid}
      position: {type: string, format: lsn}
      blob: {type: string, format: bytes, maxLength: 10}
      extra: json
      labels: {type: object, additionalProperties: string}
      state: State
      shape: Shape
      count: {type: integer, format: uint64, description: How many.}
      delta: int32
      big: int64
      tags: Skus
      matrix: {type: array, items: {type: array, items: json, maxItems: 3}}
      note: {type: string, nullable: true, description: "Ends in a backslash \\"}
      hint: {type: string, nullable: true}
      hints: {type: array, nullable: true, items: string}
      node: Node
      tree: Tree
      old: {type: string, deprecated: {since: 0.1.0, instead: "`note`"}}
  PartPage:
    type: object
    required: [parts]
    properties: {parts: {type: array, items: Part}, next: {type: string, format: cursor}}
  SoldOutDetails: {type: object, required: [sku], properties: {sku: Sku}}

errors:
  PartNotFound: {status: 404, rpc: -32100, retry: never, summary: There is no such part.}
  SoldOut: {status: 409, rpc: -32101, retry: safe, summary: None is left., details: SoldOutDetails}

operations:
  list_parts:
    kind: query
    rest: GET /api/v1/parts
    permission: database:read
    summary: List parts.
    input:
      type: object
      properties:
        state: State
        tags: Skus
        filter: Filter
        shape: Shape
        options: {type: object, additionalProperties: json}
        database: {type: string, in: query_or_body, default: main}
    output: PartPage
    paginated: {items: parts, default: 10, max: 50}
    since: 0.1.0
    examples:
      - name: open_ones
        summary: Those that are open.
        as: analyst
        input: {state: open, tags: [ABC-1, ABC-2], filter: {sku: ABC-1}, shape: {kind: big_square, size: "it's 100% \"$big\""}, limit: 2, options: {"odd key": null}}
      - {name: bad_limit, input: {limit: 0}, error: INVALID_ARGUMENT}
  get_part:
    kind: query
    rest: GET /api/v1/parts/{sku}
    permission: authenticated
    summary: Get a part.
    description: "With `code`, \"\"\"quotes\"\"\" and\n\nparagraphs."
    input: {type: object, required: [sku], properties: {sku: Sku}}
    output: Part
    errors: [PartNotFound]
    deprecated: {since: 0.1.0, instead: "`shop.list_parts`"}
    since: 0.1.0
    stability: beta
    examples:
      - {name: one, given: [{call: shop.put_part, input: {sku: ABC-1, shape: {kind: none_at_all}, state: open}, save: made}], input: {sku: "${made.sku}"}}
      - {name: none, input: {sku: XXX-9}, error: PART_NOT_FOUND}
  put_part:
    kind: command
    rest: PUT /api/v1/parts/{sku}
    permission: database:write
    summary: Create or replace a part.
    input:
      type: object
      required: [sku, shape, state]
      properties:
        sku: Sku
        shape: Shape
        state: State
        made_at: {type: string, format: timestamp}
        params: {type: array, items: json}
        note: {type: string, nullable: true}
        node: Node
        secret: {type: string, sensitive: true}
        database: {type: string, in: query_or_body, default: main}
        dry_run: {type: boolean, in: query, default: false}
    output: SoldOutDetails
    status: 201
    errors: [SoldOut]
    since: 0.1.0
    examples:
      - name: round
        input: {sku: ABC-1, shape: {kind: circle, centre: {x: 0.5, y: 2}, size: 3}, state: sold_out, made_at: "2026-01-31T12:00:00.000000Z", params: [1, null, "it's"], note: null, node: {name: a, children: [{name: b}]}, dry_run: true}
        output: {sku: ABC-1}
  draw:
    kind: command
    rest: POST /api/v1/draw
    permission: {by: statement, field: sql}
    summary: Draw.
    input: {type: object, required: [sql], properties: {sql: string, filter: Filter}}
    since: 0.1.0
    except: {graphql: Drawings are too large.}
    examples: [{name: line, input: {sql: "SELECT 1", filter: {all: true}}}]
  ping:
    kind: command
    rest: POST /api/v1/ping
    permission: public
    summary: Answer.
    output: Nothing
    since: 0.1.0
    examples: [{name: pong, as: nobody, output: {}}]
  drop_part:
    kind: command
    rest: DELETE /api/v1/parts/{sku}
    permission: database:admin
    summary: Drop a part.
    input: {type: object, required: [sku], properties: {sku: Sku, database: {type: string, in: query_or_body}}}
    since: 0.1.0
"##;

/// The model of `core` as it is and of one made-up module.
pub fn model() -> Model {
    let file = |name: &str, text: &str| (format!("schema/modules/{name}.yaml"), text.to_owned());
    match model_of(&[file("core", CORE), file("shop", SHOP)]) {
        Ok(model) => model,
        Err(diagnostics) => panic!("the fixture is sound: {diagnostics:#?}"),
    }
}
