//! A contract with every form of the language, for the tests of the document emitters.

use crate::model::Model;
use crate::{load, resolve};

const CORE: &str = r##"
module: core
summary: What every module shares.
permissions:
  database:read: {summary: Read.}
  database:write: {summary: Write.}
  database:admin: {summary: Define.}
roles:
  admin: {summary: Everything., permissions: [database:read, database:write, database:admin]}
  analyst: {summary: Reads., permissions: [database:read]}
limits:
  request_bytes: 10485760
  json_depth: 64
  rpc_batch_calls: 100
  graphql_depth: 16
  graphql_complexity: 2000
  page_default: 100
  page_max: 1000
  timeout_ms: 30000
  timeout_max_ms: 300000
types:
  InvalidArgumentDetails: {type: object, required: [field], properties: {field: string}}
  StreamControlKind: {enum: [BOOKMARK, GAP]}
  StreamControl: {type: object, required: [kind], properties: {kind: StreamControlKind, count: uint64}}
errors:
  InvalidArgument: {status: 400, rpc: -32602, retry: never, summary: An input is refused., details: InvalidArgumentDetails}
  OperationNotFound: {status: 404, rpc: -32601, retry: never, summary: No operation has this route or name.}
  Unauthenticated: {status: 401, rpc: -32002, retry: never, summary: The call needs valid credentials.}
"##;

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
  PartMade: {type: object, required: [part], properties: {part: Part, maker: string}}
  PartDropped: {type: object, required: [sku], properties: {sku: Sku, old: {type: string, nullable: true}}}
  Load: {type: object, required: [percent], properties: {percent: {type: number, minimum: 0, maximum: 100}}}
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

streams:
  parts:
    class: changes
    permission: database:read
    summary: What comes and goes.
    since: 0.1.0
    views:
      part_changes:
        summary: Watch parts | all of them.
        description: In the order of their commits.
        ws: /api/v1/ws/parts
        args: {type: object, required: [state], properties: {state: State, only: Filter, skus: Skus}}
        events: [PartMade, PartDropped]
        errors: [SoldOut]
        examples:
          - {name: open_ones, as: analyst, input: {state: open, only: {all: true}}, then: [{call: shop.ping}], events: [{event: PartDropped, data: {sku: ABC-1}}]}
          - {name: bad_state, input: {state: closed}, error: INVALID_ARGUMENT}
      part_made:
        summary: Watch what is made.
        graphql: madeParts
        record: PartMade
        examples: [{name: all, events: [{data: {maker: me}}]}]
  load:
    class: telemetry
    permission: {by: statement, field: sql}
    summary: How busy it is.
    since: 0.1.0
    views:
      load:
        summary: Watch the load.
        args: {type: object, required: [sql], properties: {sql: string}}
        record: Load
"##;

/// The model of a made-up contract. Lint is left out: it refuses some of what resolves, and
/// emitters must bear that too.
pub fn model() -> Model {
    let file = |name: &str, text: &str| (format!("schema/modules/{name}.yaml"), text.to_owned());
    let loaded = load::parse_files(&[file("core", CORE), file("shop", SHOP)]);
    match loaded.and_then(|loaded| resolve::resolve(&loaded)) {
        Ok(model) => model,
        Err(diagnostics) => panic!("the fixture resolves: {diagnostics:#?}"),
    }
}
