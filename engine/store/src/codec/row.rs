//! Row bytes: a header, a bitmap of NULLs, and the other values one behind the other.

use crate::codec::varint::{self, Reader};
use crate::datum::datum_from_json;
use crate::tables::{Result, TableError};
use crate::types::{ColumnDef, ColumnType, Datum, Row, TableDef};

/// First byte of every row.
const ROW_FORMAT: u8 = 1;

/// Bytes of a row whose values are of the table's column types, in column order.
pub fn encode_row(table: &TableDef, row: &[Datum]) -> Vec<u8> {
    assert_eq!(
        row.len(),
        table.columns.len(),
        "a row has one value for each column"
    );
    let mut out = Vec::with_capacity(8 + row.len() * 8);
    out.push(ROW_FORMAT);
    varint::put_u64(&mut out, u64::from(table.schema_version));
    varint::put_u64(&mut out, row.len() as u64);
    let bitmap = out.len();
    out.resize(bitmap + row.len().div_ceil(8), 0);
    for (place, value) in row.iter().enumerate() {
        match value {
            Datum::Null => out[bitmap + place / 8] |= 1 << (place % 8),
            Datum::Boolean(v) => out.push(u8::from(*v)),
            Datum::Int2(v) => varint::put_i64(&mut out, i64::from(*v)),
            Datum::Int4(v) | Datum::Date(v) => varint::put_i64(&mut out, i64::from(*v)),
            Datum::Int8(v) => varint::put_i64(&mut out, *v),
            // Adding zero turns -0 into 0: keys hold the two as equal, and comparisons of Arrow do not.
            Datum::Real(v) => out.extend_from_slice(&(v + 0.0).to_le_bytes()),
            Datum::Double(v) => out.extend_from_slice(&(v + 0.0).to_le_bytes()),
            Datum::Decimal(v) => varint::put_i128(&mut out, *v),
            Datum::Text(v) | Datum::Json(v) => varint::put_bytes(&mut out, v.as_bytes()),
            Datum::Bytea(v) => varint::put_bytes(&mut out, v),
            Datum::Uuid(v) => out.extend_from_slice(v),
            Datum::Timestamp(v) | Datum::Timestamptz(v) => out.extend_from_slice(&v.to_le_bytes()),
        }
    }
    out
}

/// The row that the bytes hold. Columns added since it was written read as their `fill`, else as NULL.
pub fn decode_row(columns: &[ColumnDef], bytes: &[u8]) -> Result<Row> {
    let all: Vec<usize> = (0..columns.len()).collect();
    RowDecoder::new(columns, &all).decode(bytes)
}

/// Decodes some columns of many rows.
pub(crate) struct RowDecoder<'a> {
    columns: &'a [ColumnDef],
    /// For each column up to the last wanted one, its place in the answer.
    places: Vec<Option<usize>>,
    /// Places that repeat an earlier one: (to, from).
    repeats: Vec<(usize, usize)>,
    width: usize,
}

impl<'a> RowDecoder<'a> {
    /// The answers hold the columns at `wanted`, in that order, repeats allowed.
    pub(crate) fn new(columns: &'a [ColumnDef], wanted: &[usize]) -> RowDecoder<'a> {
        let walked = wanted.iter().max().map_or(0, |last| last + 1);
        let mut places = vec![None; walked];
        let mut repeats = Vec::new();
        for (place, &column) in wanted.iter().enumerate() {
            match places[column] {
                None => places[column] = Some(place),
                Some(first) => repeats.push((place, first)),
            }
        }
        RowDecoder {
            columns,
            places,
            repeats,
            width: wanted.len(),
        }
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Row> {
        let mut row = vec![Datum::Null; self.width];
        self.fill(bytes, &mut row)?;
        for &(to, from) in &self.repeats {
            row[to] = row[from].clone();
        }
        Ok(row)
    }

    fn fill(&self, bytes: &[u8], row: &mut Row) -> Result<()> {
        let mut reader = Reader::new(bytes);
        let header = (|| {
            let format = reader.u8()?;
            reader.u64()?;
            let written = usize::try_from(reader.u64()?).ok()?;
            let nulls = reader.take(written.div_ceil(8))?;
            Some((format, written, nulls))
        })();
        let Some((ROW_FORMAT, written, nulls)) = header else {
            return Err(corrupt("the row header"));
        };
        if written > self.columns.len() {
            return Err(corrupt("the number of columns"));
        }
        for (column, &place) in self.places.iter().enumerate() {
            let def = &self.columns[column];
            if column >= written {
                if let (Some(place), Some(fill)) = (place, &def.fill) {
                    row[place] = datum_from_json(fill, def.data_type).map_err(|_| corrupt(&def.name))?;
                }
            } else if nulls[column / 8] & (1 << (column % 8)) == 0 {
                match place {
                    Some(place) => {
                        row[place] = take(&mut reader, def.data_type).ok_or_else(|| corrupt(&def.name))?;
                    }
                    None => skip(&mut reader, def.data_type).ok_or_else(|| corrupt(&def.name))?,
                }
            }
        }
        Ok(())
    }
}

fn corrupt(what: &str) -> TableError {
    crate::tables::corrupt(format!("a row does not decode at {what}"))
}

fn take(reader: &mut Reader<'_>, data_type: ColumnType) -> Option<Datum> {
    Some(match data_type {
        ColumnType::Boolean => match reader.u8()? {
            0 => Datum::Boolean(false),
            1 => Datum::Boolean(true),
            _ => return None,
        },
        ColumnType::Int2 => Datum::Int2(reader.i64()?.try_into().ok()?),
        ColumnType::Int4 => Datum::Int4(reader.i64()?.try_into().ok()?),
        ColumnType::Date => Datum::Date(reader.i64()?.try_into().ok()?),
        ColumnType::Int8 => Datum::Int8(reader.i64()?),
        ColumnType::Real => Datum::Real(f32::from_le_bytes(reader.array()?)),
        ColumnType::Double => Datum::Double(f64::from_le_bytes(reader.array()?)),
        ColumnType::Decimal { .. } => Datum::Decimal(reader.i128()?),
        ColumnType::Text => Datum::Text(reader.text()?.to_owned()),
        ColumnType::Json => Datum::Json(reader.text()?.to_owned()),
        ColumnType::Bytea => Datum::Bytea(reader.bytes()?.to_vec()),
        ColumnType::Uuid => Datum::Uuid(reader.array()?),
        ColumnType::Timestamp => Datum::Timestamp(i64::from_le_bytes(reader.array()?)),
        ColumnType::Timestamptz => Datum::Timestamptz(i64::from_le_bytes(reader.array()?)),
    })
}

fn skip(reader: &mut Reader<'_>, data_type: ColumnType) -> Option<()> {
    match data_type {
        ColumnType::Boolean => reader.take(1).map(|_| ()),
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Date | ColumnType::Int8 => reader.u64().map(|_| ()),
        ColumnType::Decimal { .. } => reader.u128().map(|_| ()),
        ColumnType::Real => reader.take(4).map(|_| ()),
        ColumnType::Double | ColumnType::Timestamp | ColumnType::Timestamptz => reader.take(8).map(|_| ()),
        ColumnType::Uuid => reader.take(16).map(|_| ()),
        ColumnType::Text | ColumnType::Json | ColumnType::Bytea => reader.bytes().map(|_| ()),
    }
}
