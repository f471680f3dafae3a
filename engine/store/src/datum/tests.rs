#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::strategies::typed_datum;
use crate::types::ColumnType;

fn from_json(value: Value, data_type: &str) -> Result<Datum, CastError> {
    datum_from_json(&value, ColumnType::parse(data_type).unwrap())
}

fn to_json(datum: Datum, data_type: &str) -> Value {
    datum_to_json(&datum, ColumnType::parse(data_type).unwrap())
}

#[test]
fn values_print_by_the_rules_of_the_wire() {
    for (datum, data_type, expected) in [
        (Datum::Boolean(true), "boolean", json!(true)),
        (Datum::Int2(-7), "smallint", json!(-7)),
        (
            Datum::Int8(9_007_199_254_740_991),
            "bigint",
            json!(9_007_199_254_740_991i64),
        ),
        (
            Datum::Int8(9_007_199_254_740_992),
            "bigint",
            json!("9007199254740992"),
        ),
        (
            Datum::Int8(-9_007_199_254_740_991),
            "bigint",
            json!(-9_007_199_254_740_991i64),
        ),
        (Datum::Int8(i64::MIN), "bigint", json!("-9223372036854775808")),
        (Datum::Real(0.1), "real", json!(0.1)),
        (Datum::Real(f32::NEG_INFINITY), "real", json!("-Infinity")),
        (Datum::Double(1e300), "double", json!(1e300)),
        (Datum::Double(f64::NAN), "double", json!("NaN")),
        (Datum::Double(f64::INFINITY), "double", json!("Infinity")),
        (Datum::Decimal(-5), "decimal(10,2)", json!("-0.05")),
        (Datum::Decimal(1999), "decimal(10,2)", json!("19.99")),
        (Datum::Decimal(100), "decimal(10,2)", json!("1.00")),
        (Datum::Decimal(0), "decimal(5,0)", json!("0")),
        (
            Datum::Decimal(-1),
            "decimal(38,38)",
            json!(format!("-0.{}1", "0".repeat(37))),
        ),
        (Datum::Text("ü\0".to_owned()), "text", json!("ü\0")),
        (Datum::Bytea(vec![0, 255, 16]), "bytea", json!("AP8Q")),
        (Datum::Bytea(vec![1]), "bytea", json!("AQ==")),
        (
            Datum::Uuid([0xAB; 16]),
            "uuid",
            json!("abababab-abab-abab-abab-abababababab"),
        ),
        (Datum::Date(0), "date", json!("1970-01-01")),
        (Datum::Date(-1), "date", json!("1969-12-31")),
        (Datum::Date(19_782), "date", json!("2024-02-29")),
        (Datum::Date(DATE_DAYS_MIN), "date", json!("0001-01-01")),
        (Datum::Date(DATE_DAYS_MAX), "date", json!("9999-12-31")),
        (
            Datum::Timestamp(-1),
            "timestamp",
            json!("1969-12-31T23:59:59.999999"),
        ),
        (
            Datum::Timestamp(TIMESTAMP_US_MAX),
            "timestamp",
            json!("9999-12-31T23:59:59.999999"),
        ),
        (
            Datum::Timestamptz(1_709_208_000_000_000),
            "timestamptz",
            json!("2024-02-29T12:00:00.000000Z"),
        ),
        (
            Datum::Timestamptz(TIMESTAMP_US_MIN),
            "timestamptz",
            json!("0001-01-01T00:00:00.000000Z"),
        ),
        (
            Datum::Json("{\"b\":1, \"a\":[null]}".to_owned()),
            "json",
            json!({"b": 1, "a": [null]}),
        ),
        (Datum::Null, "text", Value::Null),
    ] {
        assert_eq!(to_json(datum.clone(), data_type), expected, "{datum:?}");
    }
}

#[test]
fn other_ways_to_write_a_value_are_accepted() {
    for (value, data_type, expected) in [
        (json!("42"), "integer", Datum::Int4(42)),
        (json!(3.0), "integer", Datum::Int4(3)),
        (json!("-9223372036854775808"), "bigint", Datum::Int8(i64::MIN)),
        (json!(19.99), "decimal(10,2)", Datum::Decimal(1999)),
        (json!(5), "decimal(10,2)", Datum::Decimal(500)),
        (json!("1.500"), "decimal(10,2)", Datum::Decimal(150)),
        (json!("1.5e3"), "decimal(10,2)", Datum::Decimal(150_000)),
        (json!("-.5"), "decimal(3,1)", Datum::Decimal(-5)),
        (json!("0e999999999"), "decimal(3,1)", Datum::Decimal(0)),
        (json!(7), "double", Datum::Double(7.0)),
        (json!(0.1), "real", Datum::Real(0.1)),
        (
            json!("2024-02-29 12:00:00"),
            "timestamp",
            Datum::Timestamp(1_709_208_000_000_000),
        ),
        (
            json!("2024-02-29T12:00:00.5"),
            "timestamp",
            Datum::Timestamp(1_709_208_000_500_000),
        ),
        (
            json!("2024-02-29T14:30:00+02:30"),
            "timestamptz",
            Datum::Timestamptz(1_709_208_000_000_000),
        ),
        (
            json!("2024-02-29T07:00:00-05:00"),
            "timestamptz",
            Datum::Timestamptz(1_709_208_000_000_000),
        ),
        (
            json!("67E5504410B1426F9247BB680E5FE0C8"),
            "uuid",
            Datum::Uuid(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8_u128.to_be_bytes()),
        ),
        (json!({"a": 1}), "json", Datum::Json("{\"a\":1}".to_owned())),
        (json!("text"), "json", Datum::Json("\"text\"".to_owned())),
    ] {
        assert_eq!(
            from_json(value.clone(), data_type).as_ref(),
            Ok(&expected),
            "{value}"
        );
    }
}

#[test]
fn what_a_type_cannot_keep_is_refused_with_value_and_remedy() {
    for (value, data_type) in [
        (json!(32768), "smallint"),
        (json!(2_147_483_648i64), "integer"),
        (json!(9_223_372_036_854_775_808u64), "bigint"),
        (json!(1.5), "integer"),
        (json!(1e30), "bigint"),
        (json!("1.0"), "integer"),
        (json!(true), "integer"),
        (json!("abc"), "integer"),
        (json!(""), "integer"),
        (json!(1.005), "decimal(10,2)"),
        (json!("123456789.00"), "decimal(10,2)"),
        (json!("1e99999999999"), "decimal(10,2)"),
        (json!("NaN"), "decimal(10,2)"),
        (json!("."), "decimal(10,2)"),
        (json!("--1"), "decimal(10,2)"),
        (json!(1e39), "real"),
        (json!("1.5"), "double"),
        (json!("nan"), "double"),
        (json!(1), "text"),
        (json!(1), "boolean"),
        (json!("true"), "boolean"),
        (json!("A"), "bytea"),
        (json!("xyz"), "uuid"),
        (json!("2023-02-29"), "date"),
        (json!("0000-01-01"), "date"),
        (json!("2024-2-9"), "date"),
        (json!("+024-02-09"), "date"),
        (json!("2024-02-29T12:00:00Z"), "timestamp"),
        (json!("2024-02-29T24:00:00"), "timestamp"),
        (json!("2024-02-29T12:00:60"), "timestamp"),
        (json!("2024-02-29T12:00:00.1234567"), "timestamp"),
        (json!("2024-02-29"), "timestamp"),
        (json!("2024-02-29T12:00:00"), "timestamptz"),
        (json!("2024-02-29T12:00:00+25:00"), "timestamptz"),
        (json!("0001-01-01T00:00:00+01:00"), "timestamptz"),
        (json!("9999-12-31T23:59:59-01:00"), "timestamptz"),
        (json!("ü024-02-29T12:00:00Z"), "timestamptz"),
    ] {
        let error = from_json(value.clone(), data_type).unwrap_err();
        let printed = error.to_string();
        assert!(!error.remedy.is_empty());
        assert!(
            printed.contains(value.as_str().unwrap_or(&value.to_string())),
            "{printed}"
        );
        assert!(
            printed.contains(&ColumnType::parse(data_type).unwrap().to_string()),
            "{printed}"
        );
    }
}

#[test]
fn an_error_repeats_only_the_start_of_a_long_value() {
    let error = from_json(json!("ä".repeat(10_000)), "integer").unwrap_err();
    assert!(error.value.len() < 300, "{}", error.value.len());
}

#[test]
fn only_lossless_widenings_are_offered() {
    let parse = |name: &str| ColumnType::parse(name).unwrap();
    let widen = |from: &str, to: &str| Widening::between(parse(from), parse(to));
    assert_eq!(
        widen("int2", "int8").unwrap().apply(Datum::Int2(-3)),
        Datum::Int8(-3)
    );
    assert_eq!(
        widen("real", "double").unwrap().apply(Datum::Real(0.5)),
        Datum::Double(0.5)
    );
    assert_eq!(
        widen("decimal(4,1)", "decimal(6,3)")
            .unwrap()
            .apply(Datum::Decimal(-15)),
        Datum::Decimal(-1500)
    );
    assert_eq!(
        widen("int2", "decimal(7,2)")
            .unwrap()
            .apply(Datum::Int2(i16::MIN)),
        Datum::Decimal(-3_276_800)
    );
    assert_eq!(
        widen("decimal(4,1)", "text").unwrap().apply(Datum::Decimal(15)),
        Datum::Text("1.5".to_owned())
    );
    assert_eq!(widen("date", "text").unwrap().apply(Datum::Null), Datum::Null);
    for (from, to) in [
        ("int8", "int4"),
        ("int8", "double"),
        ("int4", "real"),
        ("double", "real"),
        ("text", "int4"),
        ("decimal(4,1)", "decimal(4,2)"),
        ("decimal(4,1)", "decimal(9,0)"),
        ("int4", "decimal(9,0)"),
        ("timestamp", "timestamptz"),
        ("json", "boolean"),
    ] {
        assert_eq!(widen(from, to), None, "{from} to {to}");
    }
}

proptest! {
    #[test]
    fn values_come_back_from_json_and_text((data_type, datum) in typed_datum()) {
        let json = datum_to_json(&datum, data_type);
        // Over the wire and back.
        let json: Value = serde_json::from_str(&json.to_string()).unwrap();
        let back = datum_from_json(&json, data_type).unwrap();
        prop_assert!(same(&back, &datum), "{datum:?} became {back:?} by {json}");
        let text = datum_to_text(&datum, data_type).unwrap();
        let back = datum_from_text(&text, data_type).unwrap();
        prop_assert!(same(&back, &datum), "{datum:?} became {back:?} by {text}");
    }
}

/// Equality with NaN equal to itself and JSON compared as a value.
fn same(left: &Datum, right: &Datum) -> bool {
    match (left, right) {
        (Datum::Real(a), Datum::Real(b)) if a.is_nan() => b.is_nan(),
        (Datum::Double(a), Datum::Double(b)) if a.is_nan() => b.is_nan(),
        (Datum::Real(a), Datum::Real(b)) => a.to_bits() == b.to_bits(),
        (Datum::Double(a), Datum::Double(b)) => a.to_bits() == b.to_bits(),
        (Datum::Json(a), Datum::Json(b)) => {
            serde_json::from_str::<Value>(a).unwrap() == serde_json::from_str::<Value>(b).unwrap()
        }
        _ => left == right,
    }
}
