//! Random types and values.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::datum::{DATE_DAYS_MAX, DATE_DAYS_MIN, TIMESTAMP_US_MAX, TIMESTAMP_US_MIN};
use crate::types::{ColumnType, Datum};

pub(crate) fn column_type() -> impl Strategy<Value = ColumnType> {
    prop_oneof![key_type(), Just(ColumnType::Json),]
}

/// A type whose values can stand in keys.
pub(crate) fn key_type() -> impl Strategy<Value = ColumnType> {
    prop_oneof![
        Just(ColumnType::Boolean),
        Just(ColumnType::Int2),
        Just(ColumnType::Int4),
        Just(ColumnType::Int8),
        Just(ColumnType::Real),
        Just(ColumnType::Double),
        (1..=38u8).prop_flat_map(|precision| {
            (0..=precision).prop_map(move |scale| ColumnType::Decimal { precision, scale })
        }),
        Just(ColumnType::Text),
        Just(ColumnType::Bytea),
        Just(ColumnType::Uuid),
        Just(ColumnType::Date),
        Just(ColumnType::Timestamp),
        Just(ColumnType::Timestamptz),
    ]
}

/// A value of a type, never NULL; limits and neighbours come up often.
pub(crate) fn datum(data_type: ColumnType) -> BoxedStrategy<Datum> {
    match data_type {
        ColumnType::Boolean => any::<bool>().prop_map(Datum::Boolean).boxed(),
        ColumnType::Int2 => any::<i16>().prop_map(Datum::Int2).boxed(),
        ColumnType::Int4 => prop_oneof![any::<i32>(), -2..3i32].prop_map(Datum::Int4).boxed(),
        ColumnType::Int8 => prop_oneof![
            any::<i64>(),
            -2..3i64,
            Just(i64::MIN),
            Just(i64::MAX),
            Just(1i64 << 53)
        ]
        .prop_map(Datum::Int8)
        .boxed(),
        ColumnType::Real => prop_oneof![
            proptest::num::f32::ANY,
            Just(0.0f32),
            Just(-0.0f32),
            Just(f32::INFINITY),
            Just(f32::NEG_INFINITY),
            Just(f32::MIN_POSITIVE / 2.0)
        ]
        .prop_map(Datum::Real)
        .boxed(),
        ColumnType::Double => prop_oneof![
            proptest::num::f64::ANY,
            Just(0.0f64),
            Just(-0.0f64),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::MAX)
        ]
        .prop_map(Datum::Double)
        .boxed(),
        ColumnType::Decimal { precision, .. } => {
            let bound = 10i128.pow(u32::from(precision)) - 1;
            prop_oneof![-bound..=bound, Just(bound), Just(-bound), Just(0)]
                .prop_map(Datum::Decimal)
                .boxed()
        }
        ColumnType::Text => prop_oneof![any::<String>(), "[ab\0\u{1}]{0,4}"]
            .prop_map(Datum::Text)
            .boxed(),
        ColumnType::Bytea => prop_oneof![
            vec(any::<u8>(), 0..20),
            vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..5)
        ]
        .prop_map(Datum::Bytea)
        .boxed(),
        ColumnType::Uuid => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
        ColumnType::Date => prop_oneof![DATE_DAYS_MIN..=DATE_DAYS_MAX, Just(DATE_DAYS_MIN), -1..2i32]
            .prop_map(Datum::Date)
            .boxed(),
        ColumnType::Timestamp => timestamp().prop_map(Datum::Timestamp).boxed(),
        ColumnType::Timestamptz => timestamp().prop_map(Datum::Timestamptz).boxed(),
        ColumnType::Json => prop_oneof![
            Just("{\"a\": [1, 2.5, \"x\"]}"),
            Just("true"),
            Just("\"\""),
            Just("-0.5e3"),
            Just("[]")
        ]
        .prop_map(|text| Datum::Json(text.to_owned()))
        .boxed(),
    }
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![
        TIMESTAMP_US_MIN..=TIMESTAMP_US_MAX,
        Just(TIMESTAMP_US_MAX),
        -1..2i64
    ]
}

pub(crate) fn typed_datum() -> impl Strategy<Value = (ColumnType, Datum)> {
    column_type().prop_flat_map(|data_type| (Just(data_type), datum(data_type)))
}
