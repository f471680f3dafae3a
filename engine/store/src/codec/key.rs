//! Key bytes: values one behind the other, each so that bytes compare as values do.

use crate::seam::KeyRange;
use crate::types::{ColumnType, Datum, Row};

/// Ends a text or byte string; sorts before the escape, so a string sorts before its extensions.
const STRING_END: [u8; 2] = [0x00, 0x00];
/// Stands for a zero byte inside a string.
const STRING_ZERO: [u8; 2] = [0x00, 0xFF];

/// Order-preserving bytes of key values; those of the first values of a key are a prefix of the whole key's.
/// `None` when a value is NULL or JSON: neither has a place in a key.
pub fn encode_key(values: &[Datum]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(values.len() * 9);
    for value in values {
        put(&mut out, value)?;
    }
    Some(out)
}

fn put(out: &mut Vec<u8>, value: &Datum) -> Option<()> {
    match value {
        Datum::Null | Datum::Json(_) => return None,
        Datum::Boolean(v) => out.push(u8::from(*v)),
        Datum::Int2(v) => out.extend_from_slice(&(*v as u16 ^ 1 << 15).to_be_bytes()),
        Datum::Int4(v) | Datum::Date(v) => out.extend_from_slice(&(*v as u32 ^ 1 << 31).to_be_bytes()),
        Datum::Int8(v) | Datum::Timestamp(v) | Datum::Timestamptz(v) => {
            out.extend_from_slice(&(*v as u64 ^ 1 << 63).to_be_bytes());
        }
        Datum::Decimal(v) => out.extend_from_slice(&(*v as u128 ^ 1 << 127).to_be_bytes()),
        Datum::Real(v) => out.extend_from_slice(&real_bits(*v).to_be_bytes()),
        Datum::Double(v) => out.extend_from_slice(&double_bits(*v).to_be_bytes()),
        Datum::Text(v) => put_string(out, v.as_bytes()),
        Datum::Bytea(v) => put_string(out, v),
        Datum::Uuid(v) => out.extend_from_slice(v),
    }
    Some(())
}

/// Stands before a value of an index entry.
const VALUE_MARK: u8 = 0x01;
/// Stands for a NULL in an index entry; sorts behind every value.
const NULL_MARK: u8 = 0x02;

/// Order-preserving bytes of the values in an entry of an index that is not unique, NULLs last; those of the first
/// values are a prefix of the whole. `None` when a value is JSON.
pub fn encode_index_values(values: &[Datum]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(values.len() * 10);
    for value in values {
        if value.is_null() {
            out.push(NULL_MARK);
        } else {
            out.push(VALUE_MARK);
            put(&mut out, value)?;
        }
    }
    Some(out)
}

/// The keys of all entries with a value, not NULL, behind the values that `prefix` encodes.
pub fn index_values_range(prefix: &[u8]) -> KeyRange {
    KeyRange {
        from: Some([prefix, &[VALUE_MARK]].concat()),
        after: None,
        until: Some([prefix, &[NULL_MARK]].concat()),
    }
}

/// What stands behind the values in an entry of an index that is not unique: the key of the row. `None` when the
/// bytes are no such entry.
pub fn index_row_key<'a>(types: &[ColumnType], mut entry: &'a [u8]) -> Option<&'a [u8]> {
    for &data_type in types {
        match array::<1>(&mut entry)? {
            [NULL_MARK] => {}
            [VALUE_MARK] => skip(data_type, &mut entry)?,
            _ => return None,
        }
    }
    (!entry.is_empty()).then_some(entry)
}

fn skip(data_type: ColumnType, bytes: &mut &[u8]) -> Option<()> {
    let width = match data_type {
        ColumnType::Boolean => 1,
        ColumnType::Int2 => 2,
        ColumnType::Int4 | ColumnType::Date | ColumnType::Real => 4,
        ColumnType::Int8 | ColumnType::Timestamp | ColumnType::Timestamptz | ColumnType::Double => 8,
        ColumnType::Decimal { .. } | ColumnType::Uuid => 16,
        ColumnType::Text | ColumnType::Bytea => {
            let mut at = 0;
            loop {
                at += bytes[at..].iter().position(|&byte| byte == 0)?;
                let end = [0, *bytes.get(at + 1)?];
                at += 2;
                match end {
                    STRING_END => break at,
                    STRING_ZERO => {}
                    _ => return None,
                }
            }
        }
        ColumnType::Json => return None,
    };
    *bytes = bytes.get(width..)?;
    Some(())
}

/// Bits in the order of values: negatives reversed below positives, -0.0 as 0.0, every NaN above infinity.
fn double_bits(value: f64) -> u64 {
    let bits = if value.is_nan() {
        0x7FF8_0000_0000_0000
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn real_bits(value: f32) -> u32 {
    let bits = if value.is_nan() {
        0x7FC0_0000
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    };
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        if byte == 0 {
            out.extend_from_slice(&STRING_ZERO);
        } else {
            out.push(byte);
        }
    }
    out.extend_from_slice(&STRING_END);
}

/// The values of a key, which must end where `types` do; `None` when the bytes are no such key.
pub fn decode_key(types: &[ColumnType], mut bytes: &[u8]) -> Option<Row> {
    let mut row = Vec::with_capacity(types.len());
    for &data_type in types {
        row.push(take(data_type, &mut bytes)?);
    }
    bytes.is_empty().then_some(row)
}

fn take(data_type: ColumnType, bytes: &mut &[u8]) -> Option<Datum> {
    Some(match data_type {
        ColumnType::Boolean => match array::<1>(bytes)? {
            [0] => Datum::Boolean(false),
            [1] => Datum::Boolean(true),
            _ => return None,
        },
        ColumnType::Int2 => Datum::Int2((u16::from_be_bytes(array(bytes)?) ^ 1 << 15) as i16),
        ColumnType::Int4 => Datum::Int4(take_i32(bytes)?),
        ColumnType::Date => Datum::Date(take_i32(bytes)?),
        ColumnType::Int8 => Datum::Int8(take_i64(bytes)?),
        ColumnType::Timestamp => Datum::Timestamp(take_i64(bytes)?),
        ColumnType::Timestamptz => Datum::Timestamptz(take_i64(bytes)?),
        ColumnType::Decimal { .. } => Datum::Decimal((u128::from_be_bytes(array(bytes)?) ^ 1 << 127) as i128),
        ColumnType::Real => {
            let bits = u32::from_be_bytes(array(bytes)?);
            Datum::Real(f32::from_bits(if bits >> 31 == 1 {
                bits ^ 1 << 31
            } else {
                !bits
            }))
        }
        ColumnType::Double => {
            let bits = u64::from_be_bytes(array(bytes)?);
            Datum::Double(f64::from_bits(if bits >> 63 == 1 {
                bits ^ 1 << 63
            } else {
                !bits
            }))
        }
        ColumnType::Text => Datum::Text(String::from_utf8(take_string(bytes)?).ok()?),
        ColumnType::Bytea => Datum::Bytea(take_string(bytes)?),
        ColumnType::Uuid => Datum::Uuid(array(bytes)?),
        ColumnType::Json => return None,
    })
}

fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    Some((u32::from_be_bytes(array(bytes)?) ^ 1 << 31) as i32)
}

fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    Some((u64::from_be_bytes(array(bytes)?) ^ 1 << 63) as i64)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

fn take_string(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let (&byte, rest) = bytes.split_first()?;
        if byte != 0 {
            out.push(byte);
            *bytes = rest;
            continue;
        }
        let [_, second] = array::<2>(bytes)?;
        match [0, second] {
            STRING_END => return Some(out),
            STRING_ZERO => out.push(0),
            _ => return None,
        }
    }
}
