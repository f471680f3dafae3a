//! `sum` of bigint that fails when the sum is no bigint. DataFusion's own wraps around.
//!
//! Sums of smaller integers are left to DataFusion, which is faster with many groups: they are added up as
//! bigint, and more rows than fit in any table would be needed to overflow that.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue, not_impl_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

/// Digits of the running sum: enough for 2^63 values of 2^63.
const SUM_TYPE: DataType = DataType::Decimal128(38, 0);

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CheckedSum {
    signature: Signature,
}

impl CheckedSum {
    pub fn new() -> CheckedSum {
        CheckedSum {
            signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for CheckedSum {
    // The name that it stands for: result columns and references to them stay as they were.
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Int64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        Ok(Box::new(Sum {
            sum: 0,
            count: 0,
            seen: args.is_distinct.then(HashSet::new),
        }))
    }

    fn state_fields(&self, _: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        Ok(vec![
            Arc::new(Field::new("sum", SUM_TYPE, true)),
            Arc::new(Field::new("count", DataType::Int64, true)),
        ])
    }
}

#[derive(Debug)]
struct Sum {
    sum: i128,
    /// Values added: the sum of none is NULL.
    count: i64,
    /// With DISTINCT, the values added.
    seen: Option<HashSet<i64>>,
}

impl Accumulator for Sum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
            if self.seen.as_mut().is_none_or(|seen| seen.insert(value)) {
                self.sum += i128::from(value);
                self.count += 1;
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
            self.sum -= i128::from(value);
            self.count -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        self.seen.is_none()
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        if self.count == 0 {
            return Ok(ScalarValue::Int64(None));
        }
        match i64::try_from(self.sum) {
            Ok(sum) => Ok(ScalarValue::Int64(Some(sum))),
            Err(_) => {
                let message = format!("the sum {} is no bigint; sum the values as decimal", self.sum);
                let overflow = ArrowError::ArithmeticOverflow(message);
                Err(DataFusionError::ArrowError(Box::new(overflow), None))
            }
        }
    }

    fn size(&self) -> usize {
        let seen = self
            .seen
            .as_ref()
            .map_or(0, |seen| seen.capacity() * 2 * size_of::<i64>());
        size_of_val(self) + seen
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        if self.seen.is_some() {
            // Partial sums are merged only between partitions, and a session has one.
            return not_impl_err!("partial sums of distinct values");
        }
        Ok(vec![
            ScalarValue::Decimal128(Some(self.sum), 38, 0),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let (sums, counts) = (
            states[0].as_primitive::<Decimal128Type>(),
            states[1].as_primitive::<Int64Type>(),
        );
        for row in 0..sums.len() {
            if sums.is_valid(row) && counts.is_valid(row) {
                self.sum += sums.value(row);
                self.count += counts.value(row);
            }
        }
        Ok(())
    }
}
