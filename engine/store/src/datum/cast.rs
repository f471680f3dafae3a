//! Conversions that lose nothing, for rows whose column changes its type.

use crate::datum::datum_to_text;
use crate::types::{ColumnType, Datum};

/// A lossless way from one column type to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Widening {
    from: ColumnType,
    to: ColumnType,
}

impl Widening {
    /// `None` when some value of `from` has no exact counterpart in `to`.
    pub(crate) fn between(from: ColumnType, to: ColumnType) -> Option<Widening> {
        use ColumnType::{Decimal, Double, Int2, Int4, Int8, Real, Text};
        let lossless = match (from, to) {
            _ if from == to => true,
            (_, Text) | (Int2, Int4 | Int8 | Real | Double) | (Int4, Int8 | Double) | (Real, Double) => true,
            (
                Decimal { precision, scale },
                Decimal {
                    precision: wider,
                    scale: finer,
                },
            ) => finer >= scale && wider - finer >= precision - scale,
            (Int2 | Int4 | Int8, Decimal { precision, scale }) => {
                let digits = match from {
                    Int2 => 5,
                    Int4 => 10,
                    _ => 19,
                };
                precision - scale >= digits
            }
            _ => false,
        };
        lossless.then_some(Widening { from, to })
    }

    /// The same value in the other type; NULL stays NULL.
    pub(crate) fn apply(self, datum: Datum) -> Datum {
        use ColumnType::{Decimal, Double, Int4, Int8, Real, Text};
        if self.from == self.to {
            return datum;
        }
        match (datum, self.to) {
            (Datum::Null, _) => Datum::Null,
            (datum, Text) => datum_to_text(&datum, self.from).map_or(Datum::Null, Datum::Text),
            (Datum::Int2(v), Int4) => Datum::Int4(v.into()),
            (Datum::Int2(v), Int8) => Datum::Int8(v.into()),
            (Datum::Int2(v), Real) => Datum::Real(v.into()),
            (Datum::Int2(v), Double) => Datum::Double(v.into()),
            (Datum::Int4(v), Int8) => Datum::Int8(v.into()),
            (Datum::Int4(v), Double) => Datum::Double(v.into()),
            (Datum::Real(v), Double) => Datum::Double(v.into()),
            (Datum::Int2(v), Decimal { scale, .. }) => Datum::Decimal(i128::from(v) * power_of_ten(scale)),
            (Datum::Int4(v), Decimal { scale, .. }) => Datum::Decimal(i128::from(v) * power_of_ten(scale)),
            (Datum::Int8(v), Decimal { scale, .. }) => Datum::Decimal(i128::from(v) * power_of_ten(scale)),
            (Datum::Decimal(v), Decimal { scale: finer, .. }) => {
                let scale = match self.from {
                    Decimal { scale, .. } => scale,
                    _ => finer,
                };
                Datum::Decimal(v * power_of_ten(finer - scale))
            }
            (datum, _) => unreachable!("{} is not a value of {}", datum.type_name(), self.from),
        }
    }
}

fn power_of_ten(exponent: u8) -> i128 {
    10i128.pow(u32::from(exponent))
}
