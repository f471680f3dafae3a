#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::seam::SpaceId;
use crate::testing::strategies::{column_type, datum, key_type};
use crate::types::{ColumnDef, ColumnType, ObjectId, Row};

fn table(columns: &[(&str, ColumnType)], primary_key: &[usize], schema_version: u32) -> TableDef {
    TableDef {
        id: ObjectId(1030),
        database: "main".to_owned(),
        schema: "public".to_owned(),
        name: "t".to_owned(),
        columns: columns
            .iter()
            .map(|(name, data_type)| ColumnDef {
                name: (*name).to_owned(),
                data_type: *data_type,
                nullable: true,
                default: None,
                fill: None,
            })
            .collect(),
        primary_key: primary_key.to_vec(),
        unique: Vec::new(),
        indexes: Vec::new(),
        space: SpaceId(1031),
        schema_version,
        created_at_us: 0,
        altered_at_us: 0,
    }
}

/// The bytes that docs/format/rows.md promises. A change here is a change of format.
#[test]
fn keys_have_the_documented_bytes() {
    for (value, bytes) in [
        (Datum::Boolean(true), vec![0x01]),
        (Datum::Int2(1), vec![0x80, 0x01]),
        (Datum::Int4(-3), vec![0x7F, 0xFF, 0xFF, 0xFD]),
        (Datum::Int8(0), vec![0x80, 0, 0, 0, 0, 0, 0, 0]),
        (Datum::Real(1.0), vec![0xBF, 0x80, 0x00, 0x00]),
        (Datum::Double(-0.0), vec![0x80, 0, 0, 0, 0, 0, 0, 0]),
        (
            Datum::Double(-1.0),
            vec![0x40, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ),
        (Datum::Double(f64::NAN), vec![0xFF, 0xF8, 0, 0, 0, 0, 0, 0]),
        (
            Datum::Decimal(-5),
            [vec![0x7F], vec![0xFF; 14], vec![0xFB]].concat(),
        ),
        (
            Datum::Text("a\0b".to_owned()),
            vec![0x61, 0x00, 0xFF, 0x62, 0x00, 0x00],
        ),
        (Datum::Bytea(vec![0xFF]), vec![0xFF, 0x00, 0x00]),
        (Datum::Uuid([7; 16]), vec![7; 16]),
        (Datum::Date(-1), vec![0x7F, 0xFF, 0xFF, 0xFF]),
        (Datum::Timestamp(1), vec![0x80, 0, 0, 0, 0, 0, 0, 1]),
        (
            Datum::Timestamptz(-1),
            vec![0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ),
    ] {
        assert_eq!(encode_key(std::slice::from_ref(&value)), Some(bytes), "{value:?}");
    }
    assert_eq!(rowid_key(258).0, vec![0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(rowid_of(&rowid_key(258)), Some(258));
    assert_eq!(
        encode_key(&[Datum::Text("a".to_owned()), Datum::Int2(1)]),
        Some(vec![0x61, 0x00, 0x00, 0x80, 0x01])
    );
}

#[test]
fn index_entries_have_the_documented_bytes() {
    let values = [Datum::Text("a".to_owned()), Datum::Null, Datum::Int2(1)];
    let entry = [
        &[0x01, 0x61, 0x00, 0x00][..], // text a
        &[0x02],                       // NULL
        &[0x01, 0x80, 0x01],           // smallint 1
    ]
    .concat();
    assert_eq!(encode_index_values(&values), Some(entry.clone()));
    let types = [ColumnType::Text, ColumnType::Uuid, ColumnType::Int2];
    let key = [0, 0, 0, 0, 0, 0, 1, 2];
    let whole = [&entry[..], &key].concat();
    assert_eq!(index_row_key(&types, &whole), Some(&key[..]));
    assert_eq!(index_row_key(&types, &entry), None, "no key is empty");
    assert_eq!(index_row_key(&types, &whole[..entry.len() - 1]), None);
    let range = index_values_range(&entry);
    assert!(range.from.unwrap() < [&entry[..], &[0x01, 0xFF, 0xFF]].concat());
    assert_eq!(range.until, Some([&entry[..], &[0x02]].concat()));
}

#[test]
fn rows_have_the_documented_bytes() {
    let table = table(
        &[
            ("a", ColumnType::Int4),
            ("b", ColumnType::Text),
            ("c", ColumnType::Boolean),
            (
                "d",
                ColumnType::Decimal {
                    precision: 10,
                    scale: 2,
                },
            ),
            ("e", ColumnType::Timestamptz),
            ("f", ColumnType::Double),
            ("g", ColumnType::Bytea),
            ("h", ColumnType::Uuid),
            ("i", ColumnType::Date),
            ("j", ColumnType::Boolean),
        ],
        &[0],
        300,
    );
    let row = vec![
        Datum::Int4(-3),
        Datum::Text("hi".to_owned()),
        Datum::Null,
        Datum::Decimal(-5),
        Datum::Timestamptz(1),
        Datum::Double(1.0),
        Datum::Bytea(vec![0, 9]),
        Datum::Uuid([1; 16]),
        Datum::Date(64),
        Datum::Boolean(true),
    ];
    let expected = [
        vec![0x01],             // format
        vec![0xAC, 0x02],       // schema version 300
        vec![0x0A],             // ten columns
        vec![0x04, 0x00],       // the third is NULL
        vec![0x05],             // -3
        vec![0x02, 0x68, 0x69], // "hi"
        vec![0x09],             // -0.05
        vec![0x01, 0, 0, 0, 0, 0, 0, 0],
        vec![0, 0, 0, 0, 0, 0, 0xF0, 0x3F],
        vec![0x02, 0x00, 0x09],
        vec![1; 16],
        vec![0x80, 0x01], // 64 days
        vec![0x01],
    ]
    .concat();
    assert_eq!(encode_row(&table, &row), expected);
    assert_eq!(decode_row(&table.columns, &expected).unwrap(), row);
}

#[test]
fn rows_older_than_a_column_read_its_fill_or_null() {
    let old = table(&[("a", ColumnType::Int4)], &[], 1);
    let mut new = table(
        &[
            ("a", ColumnType::Int4),
            ("b", ColumnType::Text),
            (
                "c",
                ColumnType::Decimal {
                    precision: 5,
                    scale: 2,
                },
            ),
        ],
        &[],
        2,
    );
    new.columns[2].fill = Some(serde_json::json!("1.50"));
    let bytes = encode_row(&old, &[Datum::Int4(7)]);
    let expected = vec![Datum::Int4(7), Datum::Null, Datum::Decimal(150)];
    assert_eq!(decode_row(&new.columns, &bytes).unwrap(), expected);
    assert_eq!(
        RowDecoder::new(&new.columns, &[2, 0]).decode(&bytes).unwrap(),
        [Datum::Decimal(150), Datum::Int4(7)]
    );
}

#[test]
fn bytes_that_are_no_row_or_key_are_refused() {
    let table = table(&[("a", ColumnType::Int2), ("b", ColumnType::Text)], &[0], 1);
    let row = encode_row(&table, &[Datum::Int2(5), Datum::Text("x".to_owned())]);
    for len in 0..row.len() {
        decode_row(&table.columns, &row[..len]).unwrap_err();
    }
    let mut other_format = row.clone();
    other_format[0] = 2;
    decode_row(&table.columns, &other_format).unwrap_err();
    decode_row(&table.columns[..1], &row).unwrap_err();
    let not_utf8 = [&row[..row.len() - 1], &[0xFF]].concat();
    decode_row(&table.columns, &not_utf8).unwrap_err();

    assert_eq!(decode_key(&[ColumnType::Int2], &[1, 2, 3]), None);
    assert_eq!(decode_key(&[ColumnType::Text], &[0x61]), None);
    assert_eq!(decode_key(&[ColumnType::Text], &[0x61, 0x00]), None);
    assert_eq!(decode_key(&[ColumnType::Text], &[0x61, 0x00, 0x01]), None);
    assert_eq!(decode_key(&[ColumnType::Boolean], &[2]), None);
}

#[test]
fn null_json_and_values_of_other_types_have_no_key() {
    let table = table(&[("a", ColumnType::Int4), ("b", ColumnType::Text)], &[1, 0], 1);
    let text = || Datum::Text("x".to_owned());
    assert_eq!(encode_key(&[Datum::Null]), None);
    assert_eq!(encode_key(&[Datum::Json("1".to_owned())]), None);
    assert!(primary_key(&table, &[text(), Datum::Int4(1)]).is_some());
    assert_eq!(primary_key(&table, &[text(), Datum::Int8(1)]), None);
    assert_eq!(primary_key(&table, &[text()]), None);
    assert_eq!(primary_key(&table, &[text(), Datum::Null]), None);
}

#[test]
fn a_prefix_range_ends_behind_its_last_key() {
    assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(prefix_end(&[0x61, 0xFF, 0xFF]), Some(vec![0x62]));
    assert_eq!(prefix_end(&[0xFF, 0xFF]), None);
    assert_eq!(prefix_end(&[]), None);
}

/// The order of values that keys must have.
fn order(left: &Datum, right: &Datum) -> Ordering {
    fn floats(left: f64, right: f64) -> Ordering {
        left.partial_cmp(&right)
            .unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
    }
    match (left, right) {
        (Datum::Boolean(a), Datum::Boolean(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Int4(a), Datum::Int4(b)) | (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b))
        | (Datum::Timestamptz(a), Datum::Timestamptz(b)) => a.cmp(b),
        (Datum::Real(a), Datum::Real(b)) => floats((*a).into(), (*b).into()),
        (Datum::Double(a), Datum::Double(b)) => floats(*a, *b),
        (Datum::Decimal(a), Datum::Decimal(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        _ => panic!("{left:?} and {right:?} are not of one comparable type"),
    }
}

fn orders(left: &[Datum], right: &[Datum]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|(a, b)| order(a, b))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn row_of(types: Vec<ColumnType>) -> impl Strategy<Value = Row> {
    types.into_iter().map(datum).collect::<Vec<_>>()
}

fn two_keys() -> impl Strategy<Value = (Vec<ColumnType>, Row, Row)> {
    proptest::collection::vec(key_type(), 1..4)
        .prop_flat_map(|types| (Just(types.clone()), row_of(types.clone()), row_of(types)))
        // Often with a common start, else later columns never decide.
        .prop_flat_map(|(types, left, right)| {
            let shared = 0..=types.len();
            (Just(types), Just(left), Just(right), shared)
        })
        .prop_map(|(types, left, mut right, shared)| {
            right[..shared].clone_from_slice(&left[..shared]);
            (types, left, right)
        })
}

fn some_row() -> impl Strategy<Value = (Vec<ColumnType>, Row)> {
    proptest::collection::vec(column_type(), 1..12).prop_flat_map(|types| {
        let values: Vec<_> = types
            .iter()
            .map(|&data_type| prop_oneof![1 => Just(Datum::Null), 4 => datum(data_type)])
            .collect();
        (Just(types), values)
    })
}

fn without_the_sign_of_zero(value: Datum) -> Datum {
    match value {
        Datum::Real(value) => Datum::Real(value + 0.0),
        Datum::Double(value) => Datum::Double(value + 0.0),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn keys_compare_as_values_do((types, left, right) in two_keys()) {
        let (left_key, right_key) = (encode_key(&left).unwrap(), encode_key(&right).unwrap());
        prop_assert_eq!(left_key.cmp(&right_key), orders(&left, &right));
        let decoded = decode_key(&types, &left_key).unwrap();
        prop_assert_eq!(orders(&decoded, &left), Ordering::Equal);
        prop_assert_eq!(encode_key(&decoded).unwrap(), left_key);
    }

    #[test]
    fn index_entries_compare_as_values_do_nulls_last_and_end_in_the_row_key(
        (types, left, right) in two_keys(),
        (left_nulls, right_nulls) in (any::<u32>(), any::<u32>()),
        row_key in proptest::collection::vec(any::<u8>(), 1..6),
    ) {
        let with_nulls = |row: Row, nulls: u32| -> Row {
            let value = |(place, value)| if nulls & (1u32 << place) == 0 { value } else { Datum::Null };
            row.into_iter().enumerate().map(value).collect()
        };
        let (left, right) = (with_nulls(left, left_nulls), with_nulls(right, right_nulls));
        let expected = left
            .iter()
            .zip(&right)
            .map(|(left, right)| match (left.is_null(), right.is_null()) {
                (false, false) => orders(std::slice::from_ref(left), std::slice::from_ref(right)),
                (left, right) => left.cmp(&right),
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal);
        let entry = encode_index_values(&left).unwrap();
        prop_assert_eq!(entry.cmp(&encode_index_values(&right).unwrap()), expected);
        let whole = [&entry[..], &row_key].concat();
        prop_assert_eq!(index_row_key(&types, &whole), Some(&row_key[..]));
    }

    #[test]
    fn keys_of_the_first_columns_are_the_prefix_range_of_the_whole((_, left, right) in two_keys()) {
        for len in 0..=left.len() {
            let range = prefix_range(encode_key(&left[..len]).unwrap());
            let key = encode_key(&right).unwrap();
            let inside = range.from.as_ref().is_none_or(|from| key >= *from)
                && range.until.as_ref().is_none_or(|until| key < *until);
            prop_assert_eq!(inside, orders(&left[..len], &right[..len]).is_eq());
        }
    }

    #[test]
    fn rows_come_back_whole_and_in_part((types, row) in some_row(), wanted in proptest::collection::vec(0..12usize, 0..6)) {
        let names: Vec<(&str, ColumnType)> = types.iter().map(|&data_type| ("c", data_type)).collect();
        let table = table(&names, &[], 1);
        let bytes = encode_row(&table, &row);
        let row: Row = row.into_iter().map(without_the_sign_of_zero).collect();
        // Debug text, because NaN is not equal to itself.
        prop_assert_eq!(format!("{:?}", decode_row(&table.columns, &bytes).unwrap()), format!("{row:?}"));
        let wanted: Vec<usize> = wanted.into_iter().filter(|&column| column < row.len()).collect();
        let part = RowDecoder::new(&table.columns, &wanted).decode(&bytes).unwrap();
        let expected: Row = wanted.iter().map(|&column| row[column].clone()).collect();
        prop_assert_eq!(format!("{part:?}"), format!("{expected:?}"));
    }
}
