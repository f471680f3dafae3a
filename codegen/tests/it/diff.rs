//! Changes between two contracts, classified.

use codegen::diff::{Acknowledgements, Change, diff};

use crate::support::{CORE, SHOP, contract, edit, edited, model};

fn shown(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|c| format!("{} {}: {}", c.class.as_str(), c.path, c.change))
        .collect()
}

/// File, what is replaced, by what, and the changes that come of it.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    (SHOP, "summary: Create a thing.", "summary: Make a thing.", &[]),
    (
        SHOP,
        "POST /api/v1/things",
        "PUT /api/v1/things",
        &["wire-breaking operation shop.create_thing: route"],
    ),
    (
        SHOP,
        "    status: 201",
        "    graphql: makeThing\n    status: 201",
        &["wire-breaking operation shop.create_thing: graphql"],
    ),
    (
        SHOP,
        "    status: 201\n",
        "",
        &["wire-breaking operation shop.create_thing: status"],
    ),
    (
        SHOP,
        "    status: 201",
        "    retry_safe: true\n    status: 201",
        &["compatible operation shop.create_thing: retry-safe"],
    ),
    (
        SHOP,
        "    status: 201",
        "    except: {graphql: It answers a file that GraphQL cannot carry.}\n    status: 201",
        &["wire-breaking operation shop.create_thing: interface-removed"],
    ),
    (
        SHOP,
        "    permission: shop:write",
        "    permission: authenticated",
        &["compatible operation shop.create_thing: permission"],
    ),
    // An input.
    (
        SHOP,
        "        note: {type: string, nullable: true}\n",
        "        note: {type: string, nullable: true}\n        place: {type: string}\n",
        &["compatible input shop.create_thing.place: added"],
    ),
    (
        SHOP,
        "        keep_ms: {type: integer, format: duration}\n",
        "",
        &["wire-breaking input shop.create_thing.keep_ms: removed"],
    ),
    (
        SHOP,
        "      required: [name]\n      properties:\n        name: {type: string, minLength: 1, maxLength: 64}",
        "      properties:\n        name: {type: string, minLength: 1, maxLength: 64}",
        &["source-breaking input shop.create_thing.name: required"],
    ),
    (
        SHOP,
        "        name: {type: string, minLength: 1, maxLength: 64}\n        note",
        "        name: {type: string, minLength: 1, maxLength: 32}\n        note",
        &["wire-breaking input shop.create_thing.name: range"],
    ),
    (
        SHOP,
        "        name: {type: string, minLength: 1, maxLength: 64}\n        note",
        "        name: {type: string, minLength: 1, maxLength: 128}\n        note",
        &["compatible input shop.create_thing.name: range"],
    ),
    (
        SHOP,
        "        name: {type: string, minLength: 1, maxLength: 64}\n        note",
        "        name: {type: string, minLength: 1, maxLength: 64, pattern: '[a-z]+'}\n        note",
        &["wire-breaking input shop.create_thing.name: pattern"],
    ),
    (
        SHOP,
        "default: red}",
        "default: dark_blue}",
        &["wire-breaking input shop.list_things.colour: default"],
    ),
    // An output; Thing is never an input.
    (
        SHOP,
        "      price: {type: string, format: decimal}\n",
        "",
        &["wire-breaking field Thing.price: removed"],
    ),
    (
        SHOP,
        "      price: {type: string, format: decimal}\n",
        "      price: {type: number}\n",
        &["wire-breaking field Thing.price: type"],
    ),
    (
        SHOP,
        "      price: {type: string, format: decimal}\n",
        "      price: {type: string, format: decimal}\n      rank: {type: integer}\n",
        &["compatible field Thing.rank: added"],
    ),
    (
        SHOP,
        "required: [id, name, colour]",
        "required: [id, name]",
        &["wire-breaking field Thing.colour: required"],
    ),
    (
        SHOP,
        "required: [id, name, colour]",
        "required: [id, name, colour, price]",
        &["source-breaking field Thing.price: required"],
    ),
    // A union that travels both ways.
    (
        SHOP,
        "      bag: Bag\n",
        "",
        &[
            "wire-breaking variant Packing.bag: removed",
            "source-breaking type Bag: removed",
        ],
    ),
    (
        SHOP,
        "    tag: kind",
        "    tag: form",
        &["wire-breaking type Packing: tag"],
    ),
    // An enumeration that travels both ways.
    (
        SHOP,
        "enum: [red, dark_blue]",
        "enum: [red, dark_blue, grey]",
        &["compatible value Colour.grey: added"],
    ),
    (
        SHOP,
        "enum: [red, dark_blue]",
        "enum: [red]",
        &["wire-breaking value Colour.dark_blue: removed"],
    ),
    // A view.
    (
        SHOP,
        "        ws: /api/v1/ws/things\n",
        "",
        &[
            "wire-breaking view shop.all: route",
            "wire-breaking view shop.all: ws",
        ],
    ),
    (
        SHOP,
        "        summary: Watch what is added.\n",
        "        summary: Watch what is added.\n        ws: /api/v1/ws/shop/added\n",
        &["compatible view shop.added: ws"],
    ),
    (
        SHOP,
        "graphql: allThings",
        "graphql: everyThing",
        &["wire-breaking view shop.all: graphql"],
    ),
    (
        SHOP,
        "    class: changes",
        "    class: telemetry",
        &[
            "wire-breaking input shop.added.cursor: removed",
            "wire-breaking input shop.all.cursor: removed",
            "wire-breaking view shop.added: class",
            "wire-breaking view shop.all: class",
        ],
    ),
    (
        SHOP,
        "    permission: shop:read\n    summary: What comes",
        "    permission: authenticated\n    summary: What comes",
        &[
            "compatible view shop.added: permission",
            "compatible view shop.all: permission",
        ],
    ),
    (
        SHOP,
        "      added:\n",
        "      arrived:\n",
        &[
            "wire-breaking view shop.added: removed",
            "compatible view shop.arrived: added",
        ],
    ),
    (
        SHOP,
        "            shade: Colour\n",
        "            shade: {$ref: Colour, default: red}\n",
        &["wire-breaking input shop.added.shade: default"],
    ),
    (
        SHOP,
        "        record: ThingAdded\n        examples:\n",
        "        record: ThingAdded\n        errors: [ThingNotFound]\n        examples:\n          - name: unknown\n            error: THING_NOT_FOUND\n",
        &["compatible view shop.added THING_NOT_FOUND: error-added"],
    ),
    (
        SHOP,
        "        record: ThingAdded\n",
        "        events: [ThingAdded]\n",
        &[
            "wire-breaking view shop.added: payload",
            "compatible input shop.added.events: added",
            "compatible type ShopAddedEvent: added",
        ],
    ),
    (
        SHOP,
        "      buyer: string\n",
        "",
        &["wire-breaking field ThingSold.buyer: removed"],
    ),
    (
        SHOP,
        "events: [ThingAdded, ThingSold]\n        examples:\n          - name: both\n            events:\n",
        "events: [ThingAdded, ThingSold, ThingPage]\n        examples:\n          - name: both\n            events:\n              - {event: ThingPage}\n",
        &["wire-breaking event shop.all.ThingPage: added"],
    ),
    // The table.
    (
        SHOP,
        "status: 404",
        "status: 410",
        &["wire-breaking error THING_NOT_FOUND: status"],
    ),
    (
        SHOP,
        "rpc: -32020, retry: never",
        "rpc: -32020, retry: safe",
        &["compatible error THING_NOT_FOUND: retry"],
    ),
    (
        CORE,
        "  page_max: 100",
        "  page_max: 50",
        &[
            "wire-breaking input shop.list_things.limit: range",
            "wire-breaking limit page_max: changed",
        ],
    ),
    (
        CORE,
        "  request_bytes: 1000000",
        "  request_bytes: 2000000",
        &["compatible limit request_bytes: changed"],
    ),
    (
        CORE,
        "  guest: {summary: May look., permissions: [shop:read]}",
        "  guest: {summary: May look., permissions: [shop:read, shop:write]}",
        &["compatible role guest shop:write: added"],
    ),
];

#[test]
fn diff_classifies_each_kind_of_change() {
    let old = model(&contract());
    for (file, from, to, expected) in CASES {
        let mut files = edited(file, from, to);
        // Examples follow what they show, which is no change of the contract.
        for (from, to) in [
            ("{name: lamp, packing: {kind: box, width: 3}}", "{name: lamp}"),
            (
                "{name: lamp, note: null, packing: {kind: bag, litres: 2}}",
                "{name: lamp}",
            ),
            (
                "      - name: denied\n        as: guest\n        input: {name: lamp}\n        error: PERMISSION_DENIED\n",
                "",
            ),
        ] {
            edit(&mut files, SHOP, from, to);
        }
        if to.is_empty() && from.contains("bag") {
            edit(
                &mut files,
                SHOP,
                "  Bag:\n    type: object\n    required: [litres]\n    properties:\n      litres: {type: number, minimum: 0, maximum: 50}\n",
                "",
            );
        }
        assert_eq!(
            shown(&diff(&old, &model(&files))),
            *expected,
            "{from:?} -> {to:?}"
        );
    }
}

#[test]
fn diff_of_a_contract_with_itself_is_empty() {
    let model = model(&crate::support::real_contract());
    assert_eq!(diff(&model, &model), []);
}

/// A removal seen from the other side is an addition.
#[test]
fn diff_of_many_changes_is_as_recorded() {
    let old = model(&contract());
    let mut files = contract();
    for (from, to) in [
        (
            "      price: {type: string, format: decimal}\n",
            "      cost: {type: string, format: decimal}\n",
        ),
        ("enum: [red, dark_blue]", "enum: [red, dark_blue, grey]"),
        ("        keep_ms: {type: integer, format: duration}\n", ""),
        ("  list_things:\n", "  find_things:\n"),
        (
            "events: [ThingAdded, ThingSold]\n        examples:\n          - name: both\n            events:\n",
            "events: [ThingAdded, ThingSold, ThingPage]\n        examples:\n          - name: both\n            events:\n              - {event: ThingPage}\n",
        ),
        ("        ws: /api/v1/ws/things\n", ""),
        (
            "{type: integer, minimum: 1, maximum: 500}",
            "{type: integer, minimum: 1, maximum: 400}",
        ),
    ] {
        edit(&mut files, SHOP, from, to);
    }
    let new = model(&files);
    let text = |old, new| {
        diff(old, new)
            .iter()
            .map(|c| {
                format!(
                    "{:15}  {}: {}: {}\n",
                    c.class.as_str(),
                    c.path,
                    c.change,
                    c.message
                )
            })
            .collect::<String>()
    };
    let golden = format!("forward\n{}\nbackward\n{}", text(&old, &new), text(&new, &old));
    assert_eq!(golden, include_str!("golden/diff.txt"));
}

#[test]
fn diff_acknowledgements_need_a_reason_and_name_path_and_change() {
    let old = model(&contract());
    let new = model(&edited(SHOP, "status: 404", "status: 410"));
    let changes = diff(&old, &new);
    let parse = |change: &str, reason: &str| {
        Acknowledgements::parse(&format!(
            "acknowledged:\n  - path: error THING_NOT_FOUND\n    change: {change}\n    reason: {reason}\n"
        ))
    };
    assert!(
        parse("status", "Gone says that it will not come back.")
            .unwrap()
            .covers(&changes[0])
    );
    let idle = parse("rpc", "Gone says that it will not come back.").unwrap();
    assert!(!idle.covers(&changes[0]));
    assert_eq!(idle.idle(&changes), ["error THING_NOT_FOUND: rpc"]);
    let refused = parse("status", "because").unwrap_err();
    assert_eq!(
        (refused.place.to_string().as_str(), refused.rule),
        ("schema/breaking.yaml:4:5", "acknowledgement")
    );
}
