//! Inputs against descriptors: what is refused, and under which path.

#![allow(clippy::unwrap_used)]

use rustydb_contract::descriptor::{
    FieldDesc, IntegerWidth, ObjectDesc, Shape, Ty, TypeDesc, UnionDesc, VariantDesc,
};
use rustydb_contract::validate::{Violation, validate};
use serde_json::{Value, json};

const fn field(name: &'static str, ty: Ty) -> FieldDesc {
    FieldDesc {
        name,
        description: "",
        ty,
        required: false,
        nullable: false,
        default: None,
        sensitive: false,
        place: None,
        deprecated: None,
    }
}

const fn required(field: FieldDesc) -> FieldDesc {
    FieldDesc {
        required: true,
        ..field
    }
}

static SHADE: TypeDesc = TypeDesc {
    name: "Shade",
    description: "",
    shape: Shape::Enum(&["light", "dark"]),
};

static CIRCLE: TypeDesc = object(
    "Circle",
    &[required(field(
        "radius",
        Ty::Number {
            minimum: Some(0.0),
            maximum: Some(9.5),
        },
    ))],
);

static SQUARE: TypeDesc = object(
    "Square",
    &[required(field(
        "side",
        Ty::Integer {
            width: IntegerWidth::UInt32,
            minimum: 1,
            maximum: 10,
        },
    ))],
);

static FIGURE: TypeDesc = TypeDesc {
    name: "Figure",
    description: "",
    shape: Shape::Union(UnionDesc {
        tag: "kind",
        variants: &[
            VariantDesc {
                value: "circle",
                target: &CIRCLE,
            },
            VariantDesc {
                value: "square",
                target: &SQUARE,
            },
        ],
    }),
};

static NODE: TypeDesc = TypeDesc {
    name: "Node",
    description: "",
    shape: Shape::Object(ObjectDesc {
        fields: &[
            field("leaf", Ty::Boolean),
            field(
                "children",
                Ty::Array {
                    items: &Ty::Ref(&NODE),
                    min: Some(1),
                    max: Some(3),
                },
            ),
        ],
        exactly_one_of: &["leaf", "children"],
    }),
};

static INPUT: TypeDesc = object(
    "Input",
    &[
        required(field(
            "name",
            Ty::Text {
                min_length: Some(2),
                max_length: Some(5),
                pattern: Some("[a-zü]+"),
            },
        )),
        field("id", Ty::Id64),
        field("amount", Ty::Decimal),
        field("bytes", Ty::Bytes { max: Some(3) }),
        field("at", Ty::Timestamp),
        field("day", Ty::Date),
        field("key", Ty::Uuid),
        field("position", Ty::Lsn),
        field("after", Ty::Cursor),
        field("free", Ty::Json),
        field("shade", Ty::Ref(&SHADE)),
        field("figure", Ty::Ref(&FIGURE)),
        field("tree", Ty::Ref(&NODE)),
        field("labels", Ty::Map { values: &Ty::Boolean }),
        FieldDesc {
            nullable: true,
            ..field(
                "note",
                Ty::Text {
                    min_length: None,
                    max_length: None,
                    pattern: None,
                },
            )
        },
        FieldDesc {
            sensitive: true,
            ..field(
                "secret",
                Ty::Text {
                    min_length: None,
                    max_length: Some(4),
                    pattern: None,
                },
            )
        },
    ],
);

const fn object(name: &'static str, fields: &'static [FieldDesc]) -> TypeDesc {
    TypeDesc {
        name,
        description: "",
        shape: Shape::Object(ObjectDesc {
            fields,
            exactly_one_of: &[],
        }),
    }
}

fn refused(value: Value) -> Violation {
    validate(&value, &INPUT).expect_err(&format!("{value} must be refused"))
}

#[test]
fn takes_every_kind_of_value_at_its_bounds() {
    let value = json!({
        "name": "füü", "id": "18446744073709551615", "amount": "-0.10", "bytes": "AQID",
        "at": "2026-01-31T12:00:00+01:00", "day": "2024-02-29", "key": "67e55044-10b1-426f-9247-bb680e5fe0c8",
        "position": "0/1A2B3C4D", "after": "x", "free": null, "shade": "dark",
        "figure": {"kind": "square", "side": 10.0}, "tree": {"children": [{"leaf": true}]},
        "labels": {"a.b": true}, "note": null, "secret": "1234",
    });
    assert_eq!(validate(&value, &INPUT), Ok(()));
    assert_eq!(
        validate(
            &json!({"name": "ab", "figure": {"kind": "circle", "radius": 9.5}}),
            &INPUT
        ),
        Ok(())
    );
}

#[test]
fn names_the_field_that_is_wrong() {
    for (value, field) in [
        (json!([]), ""),
        (json!({}), "name"),
        (json!({"name": null}), "name"),
        (json!({"name": 1}), "name"),
        (json!({"name": "a"}), "name"),
        (json!({"name": "abcdef"}), "name"),
        (json!({"name": "AB"}), "name"),
        (json!({"name": "ab\n"}), "name"),
        (json!({"name": "ab", "colour": 1}), "colour"),
        (json!({"name": "ab", "id": 1}), "id"),
        (json!({"name": "ab", "id": "-1"}), "id"),
        (json!({"name": "ab", "amount": "1e3"}), "amount"),
        (json!({"name": "ab", "bytes": "AQIDBA=="}), "bytes"),
        (json!({"name": "ab", "at": "yesterday"}), "at"),
        (json!({"name": "ab", "day": "2023-02-29"}), "day"),
        (json!({"name": "ab", "key": "no"}), "key"),
        (json!({"name": "ab", "position": "1"}), "position"),
        (json!({"name": "ab", "after": 1}), "after"),
        (json!({"name": "ab", "shade": "red"}), "shade"),
        (json!({"name": "ab", "figure": {}}), "figure.kind"),
        (json!({"name": "ab", "figure": {"kind": "line"}}), "figure.kind"),
        (
            json!({"name": "ab", "figure": {"kind": "circle"}}),
            "figure.radius",
        ),
        (
            json!({"name": "ab", "figure": {"kind": "circle", "radius": -0.1}}),
            "figure.radius",
        ),
        (
            json!({"name": "ab", "figure": {"kind": "circle", "radius": 9.6}}),
            "figure.radius",
        ),
        (
            json!({"name": "ab", "figure": {"kind": "square", "side": 0}}),
            "figure.side",
        ),
        (
            json!({"name": "ab", "figure": {"kind": "square", "side": 1.5}}),
            "figure.side",
        ),
        (
            json!({"name": "ab", "figure": {"kind": "square", "side": 1, "radius": 1}}),
            "figure.radius",
        ),
        (json!({"name": "ab", "tree": {}}), "tree"),
        (
            json!({"name": "ab", "tree": {"leaf": true, "children": [{"leaf": true}]}}),
            "tree",
        ),
        (json!({"name": "ab", "tree": {"children": []}}), "tree.children"),
        (
            json!({"name": "ab", "tree": {"children": [{"leaf": true}, {"leaf": 0}]}}),
            "tree.children.1.leaf",
        ),
        (json!({"name": "ab", "labels": {"x": 1}}), "labels.x"),
        (json!({"name": "ab", "secret": "12345"}), "secret"),
    ] {
        let shown = value.to_string();
        let violation = refused(value);
        assert_eq!(violation.field, field, "{shown}");
        assert!(
            violation.message.starts_with(field),
            "{shown}: {}",
            violation.message
        );
    }
}

#[test]
fn never_repeats_a_secret_and_cuts_what_is_long() {
    let violation = refused(json!({"name": "ab", "secret": ["hunter2"]}));
    assert!(!violation.message.contains("hunter2"), "{}", violation.message);
    let violation = refused(json!({"name": "ab", "id": "9".repeat(10_000)}));
    assert!(violation.message.len() < 300, "{}", violation.message.len());
    let violation = refused(json!({"name": "ab", "k".repeat(10_000): 1}));
    assert!(violation.message.len() < 600, "{}", violation.message.len());
}
