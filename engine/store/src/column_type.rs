//! SQL names of column types, and which values are of a type.

use std::fmt;

use crate::types::{ColumnType, DECIMAL_PRECISION_MAX, Datum};

/// Precision and scale of a decimal column that names none.
const DECIMAL_DEFAULT: ColumnType = ColumnType::Decimal {
    precision: DECIMAL_PRECISION_MAX,
    scale: 10,
};

/// A type name that is not known or not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("type \"{name}\" {reason}")]
pub struct TypeNameError {
    pub name: String,
    pub reason: String,
}

impl ColumnType {
    /// The type of a SQL name in any case: the names that `Display` prints, and the usual aliases.
    ///
    /// A limit that would not be enforced is refused: `varchar(10)`, `char(2)`, `timestamp(3)`.
    pub fn parse(name: &str) -> Result<ColumnType, TypeNameError> {
        let refuse = |reason: &str| TypeNameError {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        let lower = name.to_ascii_lowercase();
        let (base, arguments) = match lower.split_once('(') {
            None => (lower.as_str(), None),
            Some((base, rest)) => {
                let (arguments, tail) = rest
                    .split_once(')')
                    .ok_or_else(|| refuse("has an opening bracket without a closing one"))?;
                if !tail.trim().is_empty() {
                    return Err(refuse("is not known; see the list of column types"));
                }
                (base, Some(arguments))
            }
        };
        let base = base.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let data_type = match base.as_str() {
            "decimal" | "numeric" | "dec" => {
                return match arguments {
                    None => Ok(DECIMAL_DEFAULT),
                    Some(arguments) => decimal(arguments).ok_or_else(|| {
                        refuse("needs a precision of 1 to 38 digits and a scale between 0 and the precision")
                    }),
                };
            }
            "boolean" | "bool" => ColumnType::Boolean,
            "smallint" | "int2" => ColumnType::Int2,
            "integer" | "int" | "int4" => ColumnType::Int4,
            "bigint" | "int8" => ColumnType::Int8,
            "real" | "float4" => ColumnType::Real,
            "double precision" | "double" | "float8" | "float" => ColumnType::Double,
            "text" | "varchar" | "character varying" | "string" => ColumnType::Text,
            "bytea" => ColumnType::Bytea,
            "uuid" => ColumnType::Uuid,
            "date" => ColumnType::Date,
            "timestamp" | "timestamp without time zone" => ColumnType::Timestamp,
            "timestamptz" | "timestamp with time zone" => ColumnType::Timestamptz,
            "json" => ColumnType::Json,
            "jsonb" => {
                return Err(refuse(
                    "is not supported; use json, which keeps the text as it was sent",
                ));
            }
            "char" | "character" | "bpchar" => return Err(refuse("is not supported; use text")),
            _ => return Err(refuse("is not known; see the list of column types")),
        };
        match arguments {
            None => Ok(data_type),
            Some(_) => Err(refuse(&format!(
                "takes no length or precision here, which would not be enforced; use {data_type}"
            ))),
        }
    }

    /// Whether a value is of this type; NULL is of none.
    pub fn is_type_of(self, value: &Datum) -> bool {
        matches!(
            (self, value),
            (ColumnType::Boolean, Datum::Boolean(_))
                | (ColumnType::Int2, Datum::Int2(_))
                | (ColumnType::Int4, Datum::Int4(_))
                | (ColumnType::Int8, Datum::Int8(_))
                | (ColumnType::Real, Datum::Real(_))
                | (ColumnType::Double, Datum::Double(_))
                | (ColumnType::Decimal { .. }, Datum::Decimal(_))
                | (ColumnType::Text, Datum::Text(_))
                | (ColumnType::Bytea, Datum::Bytea(_))
                | (ColumnType::Uuid, Datum::Uuid(_))
                | (ColumnType::Date, Datum::Date(_))
                | (ColumnType::Timestamp, Datum::Timestamp(_))
                | (ColumnType::Timestamptz, Datum::Timestamptz(_))
                | (ColumnType::Json, Datum::Json(_))
        )
    }

    /// Whether values can be compared for equality and order, as keys must.
    pub fn is_comparable(self) -> bool {
        self != ColumnType::Json
    }
}

fn decimal(arguments: &str) -> Option<ColumnType> {
    let (precision, scale) = match arguments.split_once(',') {
        None => (arguments, "0"),
        Some((precision, scale)) => (precision, scale),
    };
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: u8 = scale.trim().parse().ok()?;
    let valid = (1..=DECIMAL_PRECISION_MAX).contains(&precision) && scale <= precision;
    valid.then_some(ColumnType::Decimal { precision, scale })
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Boolean => f.write_str("boolean"),
            ColumnType::Int2 => f.write_str("smallint"),
            ColumnType::Int4 => f.write_str("integer"),
            ColumnType::Int8 => f.write_str("bigint"),
            ColumnType::Real => f.write_str("real"),
            ColumnType::Double => f.write_str("double precision"),
            ColumnType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            ColumnType::Text => f.write_str("text"),
            ColumnType::Bytea => f.write_str("bytea"),
            ColumnType::Uuid => f.write_str("uuid"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::Timestamptz => f.write_str("timestamptz"),
            ColumnType::Json => f.write_str("json"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_name_parses_to_its_type() {
        for data_type in [
            ColumnType::Boolean,
            ColumnType::Int2,
            ColumnType::Int4,
            ColumnType::Int8,
            ColumnType::Real,
            ColumnType::Double,
            ColumnType::Decimal {
                precision: 10,
                scale: 2,
            },
            ColumnType::Decimal {
                precision: 38,
                scale: 38,
            },
            ColumnType::Text,
            ColumnType::Bytea,
            ColumnType::Uuid,
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::Timestamptz,
            ColumnType::Json,
        ] {
            assert_eq!(ColumnType::parse(&data_type.to_string()), Ok(data_type));
        }
    }

    #[test]
    fn aliases_case_and_spaces_are_accepted() {
        for (name, expected) in [
            ("INT2", "smallint"),
            ("int4", "integer"),
            ("Int", "integer"),
            ("int8", "bigint"),
            ("float4", "real"),
            ("FLOAT8", "double precision"),
            ("double", "double precision"),
            ("DOUBLE   PRECISION", "double precision"),
            ("numeric( 12 , 3 )", "decimal(12,3)"),
            ("decimal(7)", "decimal(7,0)"),
            ("numeric", "decimal(38,10)"),
            ("bool", "boolean"),
            ("varchar", "text"),
            ("character varying", "text"),
            ("timestamp with time zone", "timestamptz"),
            ("timestamp without time zone", "timestamp"),
        ] {
            assert_eq!(ColumnType::parse(name).unwrap().to_string(), expected, "{name}");
        }
    }

    #[test]
    fn limits_that_would_not_be_enforced_and_unknown_names_are_refused() {
        for name in [
            "varchar(10)",
            "char(2)",
            "character",
            "timestamp(3)",
            "int(11)",
            "decimal(39,2)",
            "decimal(0)",
            "decimal(3,4)",
            "decimal(3,-1)",
            "decimal()",
            "decimal(3",
            "jsonb",
            "money",
            "",
            "text(",
            "text)x",
            "decimal(3,2) unsigned",
        ] {
            let error = ColumnType::parse(name).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
