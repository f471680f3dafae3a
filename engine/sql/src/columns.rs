//! Column types as Arrow has them, and their names.
//!
//! | column | Arrow | why |
//! |---|---|---|
//! | uuid | Utf8, lower-case, marked | comparing with text works, and text order is byte order |
//! | json | Utf8, marked | text that parses |
//! | decimal(p,s) | Decimal128(p,s) | exact |
//! | timestamptz | Timestamp(us, "UTC") | |
//! | the rest | the type of the same meaning | |
//!
//! The mark is field metadata. DataFusion carries it through column references and aliases and drops it where a
//! value is computed, so that `upper(id)` is plain text.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, Schema, SchemaRef, TimeUnit};
use rustydb_store::types::{ColumnDef, ColumnType};

const MARK: &str = "rustydb.type";
pub(crate) const UTC: &str = "UTC";

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// SQL name, such as `bigint` or `decimal(10,2)`.
    pub type_name: String,
}

/// The Arrow type of a column type.
pub(crate) fn arrow_type(column: ColumnType) -> DataType {
    match column {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int2 => DataType::Int16,
        ColumnType::Int4 => DataType::Int32,
        ColumnType::Int8 => DataType::Int64,
        ColumnType::Real => DataType::Float32,
        ColumnType::Double => DataType::Float64,
        ColumnType::Decimal { precision, scale } => {
            DataType::Decimal128(precision, i8::try_from(scale).expect("a scale is at most 38"))
        }
        ColumnType::Text | ColumnType::Uuid | ColumnType::Json => DataType::Utf8,
        ColumnType::Bytea => DataType::Binary,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from(UTC))),
    }
}

/// A field of the type, with its mark.
pub(crate) fn field(name: &str, column: ColumnType, nullable: bool) -> Field {
    let field = Field::new(name, arrow_type(column), nullable);
    let mark = match column {
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
        _ => return field,
    };
    field.with_metadata(HashMap::from([(MARK.to_owned(), mark.to_owned())]))
}

pub(crate) fn table_schema(columns: &[ColumnDef], key: Option<&str>) -> SchemaRef {
    let mut fields: Vec<FieldRef> = columns
        .iter()
        .map(|column| Arc::new(field(&column.name, column.data_type, column.nullable)))
        .collect();
    if let Some(name) = key {
        fields.push(Arc::new(Field::new(name, DataType::Binary, false)));
    }
    Arc::new(Schema::new(fields))
}

pub(crate) fn is_uuid(metadata: &HashMap<String, String>) -> bool {
    metadata.get(MARK).is_some_and(|mark| mark == "uuid")
}

/// The column type that a field's values can be read as, when there is one.
pub(crate) fn column_type(field: &Field) -> Option<ColumnType> {
    Some(match field.data_type() {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int16 => ColumnType::Int2,
        DataType::Int32 => ColumnType::Int4,
        DataType::Int64 => ColumnType::Int8,
        DataType::Float32 => ColumnType::Real,
        DataType::Float64 => ColumnType::Double,
        DataType::Decimal128(precision, scale) => ColumnType::Decimal {
            precision: *precision,
            scale: u8::try_from(*scale).ok()?,
        },
        DataType::Utf8 => match field.metadata().get(MARK).map(String::as_str) {
            Some("uuid") => ColumnType::Uuid,
            Some("json") => ColumnType::Json,
            _ => ColumnType::Text,
        },
        DataType::Binary => ColumnType::Bytea,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ColumnType::Timestamptz,
        _ => return None,
    })
}

/// SQL name of a field's type.
pub(crate) fn type_name(field: &Field) -> String {
    if let Some(column) = column_type(field) {
        return column.to_string();
    }
    match field.data_type() {
        DataType::Int8 => "smallint".to_owned(),
        DataType::UInt8 | DataType::UInt16 => "integer".to_owned(),
        DataType::UInt32 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Float16 => "real".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => "text".to_owned(),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytea".to_owned(),
        DataType::Date64 => "date".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano)
        | DataType::Duration(_) => "interval".to_owned(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => format!("{}[]", type_name(item)),
        DataType::Dictionary(_, value) => type_name(&Field::new("", value.as_ref().clone(), true)),
        _ => "record".to_owned(),
    }
}
