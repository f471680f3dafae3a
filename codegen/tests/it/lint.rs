//! Every rule of the linter: an edit of a sound contract breaks it at a known place.

use std::collections::BTreeSet;

use codegen::lint::RULES;

use crate::support::{CORE, SHOP, contract, edited, findings, real_contract, take_mark};

/// Rule, file, what is replaced, and what it is replaced by, with a mark before the place of the finding.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    (
        "alias-cycle",
        SHOP,
        "  Colour:\n    enum: [red, dark_blue]",
        "  §Loop: {type: array, items: Loop}\n  Colour:\n    enum: [red, dark_blue]",
    ),
    (
        "body-on-get",
        SHOP,
        "        colour: {$ref: Colour, default: red}",
        "        §colour: {$ref: Colour, default: red, in: body}",
    ),
    (
        "core-only",
        SHOP,
        "types:\n",
        "§roles:\n  thief: {summary: Takes., permissions: []}\ntypes:\n",
    ),
    (
        "default-unfit",
        SHOP,
        "        colour: {$ref: Colour, default: red}",
        "        §colour: {$ref: Colour, default: green}",
    ),
    (
        "default-unfit",
        SHOP,
        "        id: id64\n    output",
        "        §id: {format: id64, default: '1'}\n    output",
    ),
    (
        "default-unfit",
        SHOP,
        "      litres: {type: number,",
        "      §litres: {type: number, default: 1,",
    ),
    (
        "default-unfit",
        SHOP,
        "      things: {type: array, items: Thing}",
        "      things: {type: array, items: Thing}\n      §total: {type: integer, default: 1}",
    ),
    (
        "duration-unit",
        SHOP,
        "keep_ms: {type: integer, format: duration}",
        "§keep: {type: integer, format: duration}",
    ),
    (
        "duration-unit",
        SHOP,
        "keep_ms: {type: integer, format: duration}",
        "§keep_long: duration",
    ),
    (
        "duration-unit",
        SHOP,
        "keep_ms: {type: integer, format: duration}",
        "keep_ms: {type: integer, format: duration, §unit: days}",
    ),
    (
        "enum-values",
        SHOP,
        "enum: [red, dark_blue]",
        "enum: [red, dark_blue, §red]",
    ),
    (
        "enum-values",
        SHOP,
        "  Box:\n",
        "  Nothing:\n    §enum: []\n  Box:\n",
    ),
    (
        "error-unused",
        SHOP,
        "operations:\n",
        "  §ThingBroken: {status: 409, rpc: -32021, retry: never, summary: It is broken.}\n\noperations:\n",
    ),
    (
        "example-background",
        SHOP,
        "{call: shop.create_thing, input: {name: lamp}, save: made}",
        "{call: shop.create_thing, §background: true, input: {name: lamp}, save: made}",
    ),
    (
        "example-expectation",
        SHOP,
        "        error: THING_NOT_FOUND",
        "        §error: THING_BROKEN",
    ),
    (
        "example-expectation",
        SHOP,
        "        error: THING_NOT_FOUND",
        "        §output: {name: x}\n        error: THING_NOT_FOUND",
    ),
    (
        "example-missing",
        SHOP,
        "      - name: unknown\n        input: {id: \"7\"}\n        error: THING_NOT_FOUND\n",
        "",
    ),
    (
        "example-missing",
        SHOP,
        "        as: guest\n        input: {limit: 5}",
        "        input: {limit: 5, colour: green}\n        error: INVALID_ARGUMENT",
    ),
    (
        "example-reference",
        SHOP,
        "call: shop.create_thing,",
        "§call: shop.make_thing,",
    ),
    (
        "example-reference",
        SHOP,
        "{id: \"${made.id}\"}",
        "{§id: \"${bought.id}\"}",
    ),
    (
        "example-reference",
        SHOP,
        "{id: \"${made.id}\"}",
        "{§id: \"${made.price.id}\"}",
    ),
    (
        "example-role",
        SHOP,
        "        as: guest\n        input: {limit: 5}",
        "        §as: owner\n        input: {limit: 5}",
    ),
    (
        "example-role",
        SHOP,
        "        as: guest\n        input: {limit: 5}",
        "        §as: nobody\n        input: {limit: 5}",
    ),
    ("example-unfit", SHOP, "input: {limit: 5}", "input: {§limit: 101}"),
    ("example-unfit", SHOP, "input: {limit: 5}", "input: {§size: 5}"),
    (
        "example-unfit",
        SHOP,
        "packing: {kind: box, width: 3}",
        "packing: {kind: box, §litres: 3}",
    ),
    (
        "example-unfit",
        SHOP,
        "packing: {kind: bag, litres: 2}",
        "§packing: {kind: sack, litres: 2}",
    ),
    ("example-unfit", SHOP, "input: {id: \"7\"}", "input: {§id: seven}"),
    (
        "example-unfit",
        SHOP,
        "        input: {name: lamp}\n        error",
        "        §input: {}\n        error",
    ),
    (
        "exception-reason",
        SHOP,
        "    summary: Create a thing.",
        "    summary: Create a thing.\n    except: {§graphql: no}",
    ),
    (
        "ignored-key",
        SHOP,
        "id: id64\n      name",
        "id: {format: id64, §minimum: 1}\n      name",
    ),
    (
        "ignored-key",
        SHOP,
        "      colour: Colour",
        "      colour: {$ref: Colour, §maxLength: 3}",
    ),
    (
        "ignored-key",
        SHOP,
        "items: Thing, maxItems",
        "items: {$ref: Thing, §nullable: true}, maxItems",
    ),
    (
        "ignored-key",
        SHOP,
        "      width: {type: integer,",
        "      width: {type: integer, §in: query,",
    ),
    (
        "ignored-key",
        SHOP,
        "required: [id, name, colour]",
        "required: [id, name, colour, §id]",
    ),
    (
        "kind-method",
        SHOP,
        "    rest: POST /api/v1/things",
        "    §rest: GET /api/v1/made-things",
    ),
    (
        "kind-method",
        SHOP,
        "    rest: GET /api/v1/things/{id}",
        "    §rest: DELETE /api/v1/things/{id}",
    ),
    ("limits", CORE, "  page_default: 10\n", "  §page_default: 1000\n"),
    ("limits", CORE, "  graphql_depth: 16", "  §graphql_depth: 0"),
    (
        "list-unbounded",
        SHOP,
        "  list_things:",
        "  §list_all:\n    kind: query\n    rest: GET /api/v1/all\n    permission: public\n    summary: List everything.\n    output: ThingPage\n    since: 0.1.0\n    examples: [{name: all}]\n  list_things:",
    ),
    (
        "min-max",
        SHOP,
        "{type: integer, minimum: 1, maximum: 500}",
        "{type: integer, §minimum: 501, maximum: 500}",
    ),
    (
        "min-max",
        SHOP,
        "      name: {type: string, minLength: 1, maxLength: 64}\n      colour",
        "      name: {type: string, §minLength: 65, maxLength: 64}\n      colour",
    ),
    ("name-case", SHOP, "module: shop\n", "§module: Shop\n"),
    ("name-case", SHOP, "      price:", "      §Price:"),
    ("name-case", SHOP, "      price:", "      §price__net:"),
    ("name-case", SHOP, "  create_thing:", "  §createThing:"),
    (
        "name-case",
        SHOP,
        "enum: [red, dark_blue]",
        "enum: [red, §DARK_BLUE]",
    ),
    ("name-case", SHOP, "      box: Box", "      §Box: Box"),
    ("name-case", SHOP, "  Box:\n", "  §HTTPBox: string\n  Box:\n"),
    (
        "name-case",
        SHOP,
        "errors:\n  ThingNotFound",
        "errors:\n  §thing_not_found",
    ),
    (
        "name-case",
        SHOP,
        "      - name: unknown",
        "      - §name: Not-there",
    ),
    ("name-case", CORE, "  guest: {summary", "  §Guest: {summary"),
    (
        "name-case",
        CORE,
        "  shop:read: {summary",
        "  §shop-read: {summary",
    ),
    (
        "name-clash",
        SHOP,
        "      price: {type: string, format: decimal}",
        "      §part_1: {type: boolean}\n      part1: {type: boolean}",
    ),
    (
        "name-clash",
        SHOP,
        "enum: [red, dark_blue]",
        "enum: [red, §dark_1, dark1]",
    ),
    (
        "name-clash",
        SHOP,
        "      properties:\n        colour: {$ref",
        "      properties:\n        limit: {type: integer}\n        colour: {$ref",
    ),
    ("name-clash", SHOP, "      - name: denied", "      - §name: lamp"),
    ("name-reserved", SHOP, "  Box:\n", "  §Query: string\n  Box:\n"),
    (
        "name-clash",
        SHOP,
        "      packing: Packing\n  Box:",
        "      packing: Packing\n      packing_input: PackingInput\n  PackingInput: {type: object, properties: {a: boolean}}\n  Box:",
    ),
    (
        "name-reserved",
        SHOP,
        "enum: [red, dark_blue]",
        "enum: [red, §unrecognized]",
    ),
    (
        "job",
        SHOP,
        "  create_thing:\n    kind: command",
        "  §create_thing:\n    kind: job",
    ),
    (
        "job",
        SHOP,
        "    status: 201",
        "    status: 201\n    §result: Thing",
    ),
    (
        "not-enforced",
        SHOP,
        "    status: 201",
        "    status: 201\n    §idempotent: true",
    ),
    (
        "not-enforced",
        SHOP,
        "    status: 201",
        "    status: 201\n    §precondition: version",
    ),
    (
        "not-enforced",
        SHOP,
        "    status: 201",
        "    status: 201\n    §cost: 3",
    ),
    (
        "not-enforced",
        SHOP,
        "    status: 201",
        "    status: 201\n    §audit: true",
    ),
    (
        "not-enforced",
        SHOP,
        "    status: 201",
        "    status: 201\n    §rate_limit: {calls: 3}",
    ),
    (
        "example-missing",
        SHOP,
        "              - {event: ThingAdded}\n",
        "              # nothing is added\n",
    ),
    (
        "example-expectation",
        SHOP,
        "{event: ThingSold, data",
        "{§event: ThingLost, data",
    ),
    (
        "example-unfit",
        SHOP,
        "data: {thing: {name: a}}",
        "data: {thing: {§name: 1}}",
    ),
    (
        "stream-field",
        SHOP,
        "      buyer: string",
        "      §timestamp: timestamp",
    ),
    ("view-clash", SHOP, "      all:\n", "      §get_thing:\n"),
    (
        "view-payload",
        SHOP,
        "        record: ThingAdded",
        "        §record: Colour",
    ),
    (
        "ws-path",
        SHOP,
        "        ws: /api/v1/ws/things",
        "        §ws: /api/v1/sockets/things",
    ),
    (
        "object-empty",
        SHOP,
        "      packing: Packing\n  Box:",
        "      packing: Packing\n      void: Void\n  §Void: {type: object}\n  Box:",
    ),
    (
        "paging-shape",
        SHOP,
        "paginated: {items: things}",
        "§paginated: {items: things, max: 1000}",
    ),
    (
        "paging-shape",
        SHOP,
        "    required: [things]\n    properties:\n      things: {type: array",
        "    properties:\n      things: {type: array",
    ),
    (
        "path-parameter",
        SHOP,
        "      required: [id]\n      properties:\n        id: id64",
        "      properties:\n        §id: id64",
    ),
    (
        "path-parameter",
        SHOP,
        "        id: id64\n    output",
        "        §id: {type: array, items: id64}\n    output",
    ),
    (
        "path-parameter",
        SHOP,
        "GET /api/v1/things/{id}",
        "GET /api/v1/things/{id}/of/{id}",
    ),
    (
        "pattern",
        SHOP,
        "      name: {type: string, minLength: 1, maxLength: 64}\n      colour",
        "      name: {type: string, §pattern: '(?<=a)b'}\n      colour",
    ),
    (
        "pattern",
        SHOP,
        "      name: {type: string, minLength: 1, maxLength: 64}\n      colour",
        "      name: {type: string, §pattern: '[a-'}\n      colour",
    ),
    (
        "query-nullable",
        SHOP,
        "        colour: {$ref: Colour, default: red}",
        "        §colour: {$ref: Colour, nullable: true}",
    ),
    (
        "recursive-required",
        SHOP,
        "required: [id, name, colour]\n    properties:",
        "required: [id, name, colour, whole]\n    properties:\n      whole: Thing",
    ),
    (
        "route-clash",
        SHOP,
        "    rest: GET /api/v1/things\n",
        "    §rest: GET /api/v1/things/{colour}\n",
    ),
    (
        "route-form",
        SHOP,
        "    rest: POST /api/v1/things",
        "    §rest: POST /v1/things",
    ),
    (
        "route-form",
        SHOP,
        "    rest: POST /api/v1/things",
        "    §rest: POST /api/v1/newThings",
    ),
    ("rpc-clash", SHOP, "rpc: -32020", "§rpc: -32004"),
    ("rpc-range", SHOP, "rpc: -32020", "§rpc: -32200"),
    ("rpc-range", SHOP, "rpc: -32020", "§rpc: 7"),
    (
        "sensitive-in-url",
        SHOP,
        "        colour: {$ref: Colour, default: red}",
        "        §colour: {$ref: Colour, sensitive: true}",
    ),
    (
        "sensitive-name",
        SHOP,
        "        note: {type: string, nullable: true}",
        "        §door_password: {type: string}",
    ),
    (
        "sensitive-name",
        SHOP,
        "      price: {type: string, format: decimal}",
        "      §api_key: {type: string}",
    ),
    (
        "since",
        SHOP,
        "    since: 0.1.0\n    examples:\n      - name: lamp",
        "    §since: soon\n    examples:\n      - name: lamp",
    ),
    (
        "since",
        SHOP,
        "        note: {type: string,",
        "        note: {§since: 1.0.0-beta, type: string,",
    ),
    ("status", SHOP, "    status: 201", "    §status: 404"),
    (
        "status",
        SHOP,
        "{status: 404, rpc: -32020",
        "{§status: 200, rpc: -32020",
    ),
    (
        "summary",
        SHOP,
        "    summary: Create a thing.",
        "    §summary: Create a thing",
    ),
    ("summary", SHOP, "summary: Things for sale.", "§summary: ''"),
    (
        "timeout",
        SHOP,
        "    status: 201",
        "    status: 201\n    §timeout_ms: 20000",
    ),
    (
        "tri-state-output",
        SHOP,
        "      price: {type: string, format: decimal}",
        "      §price: {type: string, format: decimal, nullable: true}",
    ),
    (
        "type-unused",
        SHOP,
        "  Box:\n",
        "  §Spare: {enum: [one]}\n  Box:\n",
    ),
    ("union-variant", SHOP, "      bag: Bag", "      §bag: Box"),
    ("union-variant", SHOP, "      bag: Bag", "      §bag: Colour"),
    (
        "union-variant",
        SHOP,
        "      width: {type",
        "      kind: {type: boolean}\n      width: {type",
    ),
    (
        "unit-range",
        SHOP,
        "      litres: {type: number, minimum: 0, maximum: 50}",
        "      litres: {type: number, minimum: 0, maximum: 50}\n      §fill_ratio: {type: number}",
    ),
    (
        "unit-range",
        SHOP,
        "      litres: {type: number, minimum: 0, maximum: 50}",
        "      litres: {type: number, minimum: 0, maximum: 50}\n      §used_percent: {type: integer}",
    ),
    (
        "unit-range",
        SHOP,
        "      litres: {type: number, minimum: 0, maximum: 50}",
        "      litres: {type: number, minimum: 0, maximum: 50}\n      §size_bytes: {type: string}",
    ),
    // Rules of the stages before the linter.
    ("yaml", SHOP, "types:\n", "summary: Again.\ntypes:\n"),
    (
        "shape",
        SHOP,
        "    kind: query\n    rest: GET /api/v1/things/{id}",
        "    §kind: question\n    rest: GET /api/v1/things/{id}",
    ),
    (
        "unknown-type",
        SHOP,
        "      colour: Colour",
        "      §colour: Color",
    ),
    (
        "unknown-field",
        SHOP,
        "required: [id, name, colour]",
        "required: [id, name, §color]",
    ),
    (
        "unknown-error",
        SHOP,
        "errors: [ThingNotFound]",
        "errors: [§ThingLost]",
    ),
    (
        "unknown-permission",
        SHOP,
        "    permission: shop:write",
        "    §permission: shop:own",
    ),
    (
        "unknown-permission",
        CORE,
        "permissions: [shop:read]",
        "permissions: [§shop:see]",
    ),
    (
        "unknown-format",
        SHOP,
        "      price: {type: string, format: decimal}",
        "      §price: {type: string, format: money}",
    ),
    ("type-clash", CORE, "errors:\n", "  Box: {enum: [a]}\nerrors:\n"),
    (
        "error-clash",
        CORE,
        "errors:\n",
        "errors:\n  ThingNotFound: {status: 404, rpc: -32021, retry: never, summary: Gone.}\n",
    ),
    (
        "path-parameter",
        SHOP,
        "    rest: GET /api/v1/things\n",
        "    §rest: GET /api/v1/shops/{shop}/things\n",
    ),
    (
        "integer-bound",
        SHOP,
        "{type: integer, minimum: 1, maximum: 500}",
        "{type: integer, minimum: 1, §maximum: 9007199254740992}",
    ),
    (
        "inline-type",
        SHOP,
        "      packing: Packing\n  Box:",
        "      §packing: {type: object, properties: {a: boolean}}\n  Box:",
    ),
    ("paging", SHOP, "      next: cursor", "      next: string"),
    (
        "route",
        SHOP,
        "    rest: POST /api/v1/things",
        "    §rest: TAKE /api/v1/things",
    ),
    (
        "common-error",
        SHOP,
        "errors: [ThingNotFound]",
        "errors: [ThingNotFound, §core.Unavailable]",
    ),
];

#[test]
fn lint_finds_nothing_in_a_sound_contract() {
    assert_eq!(findings(&contract()), []);
}

#[test]
fn lint_finds_nothing_in_the_real_contract() {
    assert_eq!(findings(&real_contract()), []);
}

#[test]
fn lint_refuses_each_kind_of_mistake_at_its_place_with_a_hint() {
    let mut wrong = Vec::new();
    for (rule, file, from, to) in CASES {
        let mut files = edited(file, from, to);
        let place = to.contains(crate::support::MARK).then(|| take_mark(&mut files));
        let found = findings(&files);
        let hit = found
            .iter()
            .find(|d| d.rule == *rule && place.as_ref().is_none_or(|place| d.place.to_string() == *place));
        match hit {
            Some(hit) => {
                let text = hit.to_string();
                let head = format!("{}: error[{rule}]: ", hit.place);
                assert!(text.starts_with(&head), "{text}");
                assert!(!hit.message.is_empty());
                assert!(*rule == "yaml" || text.contains("\n  hint: "), "{text}");
            }
            None => wrong.push(format!(
                "{rule} at {place:?} by {to:?}; found:\n{}",
                found.iter().map(|d| format!("    {d}\n")).collect::<String>()
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lint_rules_have_a_case_each() {
    let tested: BTreeSet<&str> = CASES.iter().map(|(rule, ..)| *rule).collect();
    let untested: Vec<&str> = RULES
        .iter()
        .map(|(rule, _)| *rule)
        .filter(|rule| !tested.contains(rule))
        .collect();
    assert_eq!(untested, Vec::<&str>::new());
    assert!(RULES.is_sorted());
}

#[test]
fn lint_finds_every_mistake_of_a_file_in_one_run() {
    let mut files = edited(
        SHOP,
        "    status: 201",
        "    status: 201\n    audit: true\n    cost: 2",
    );
    crate::support::edit(&mut files, SHOP, "      price:", "      Price:");
    let rules: Vec<&str> = findings(&files).iter().map(|d| d.rule).collect();
    assert_eq!(rules, ["name-case", "not-enforced", "not-enforced"]);
}

#[test]
fn modules_that_need_each_other_are_refused() {
    let mut files = contract();
    files.push((
        "schema/modules/store.yaml".to_owned(),
        "module: store\nsummary: Where things lie.\ntypes:\n  Shelf:\n    type: object\n    required: [thing]\n    properties:\n      thing: shop.Thing\n".to_owned(),
    ));
    crate::support::edit(
        &mut files,
        SHOP,
        "      packing: Packing\n  Box:",
        "      packing: Packing\n      shelf: store.Shelf\n  Box:",
    );
    let rules: BTreeSet<&str> = findings(&files).iter().map(|d| d.rule).collect();
    assert_eq!(rules, BTreeSet::from(["module-cycle"]));
}
