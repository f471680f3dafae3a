//! Functions of our own: integer arithmetic that fails instead of wrapping, and casts to types that Arrow lacks.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::cast::as_string_array;
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use rustydb_store::types::ColumnType;

use crate::columns::field;
use crate::error::SqlError;

/// Names that SQL text can't spell.
pub(crate) const TO_UUID: &str = "\u{1}to_uuid";
pub(crate) const TO_JSON: &str = "\u{1}to_json";

/// All of them, for the registry.
pub(crate) fn own_functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::from(TextCast::new(TO_UUID, ColumnType::Uuid))),
        Arc::new(ScalarUDF::from(TextCast::new(TO_JSON, ColumnType::Json))),
    ]
}

/// `+`, `-` or `*` of two integers of one type. DataFusion's own wrap around on overflow.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CheckedArithmetic {
    operator: Operator,
    signature: Signature,
}

impl CheckedArithmetic {
    pub fn new(operator: Operator) -> CheckedArithmetic {
        CheckedArithmetic {
            operator,
            signature: Signature::any(2, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for CheckedArithmetic {
    fn name(&self) -> &str {
        match self.operator {
            Operator::Plus => "add",
            Operator::Minus => "subtract",
            _ => "multiply",
        }
    }

    // The names of the operator that it stands for: result columns and references to them stay as they were.
    fn display_name(&self, args: &[Expr]) -> DfResult<String> {
        match args {
            [left, right] => Ok(format!("{left} {} {right}", self.operator)),
            _ => plan_err!("arithmetic takes two operands"),
        }
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        match args {
            [left, right] => Ok(format!(
                "{} {} {}",
                left.schema_name(),
                self.operator,
                right.schema_name()
            )),
            _ => plan_err!("arithmetic takes two operands"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        match types {
            [left, _] => Ok(left.clone()),
            _ => plan_err!("arithmetic takes two operands"),
        }
    }

    fn is_nullable(&self, args: &[Expr], schema: &dyn datafusion::common::ExprSchema) -> bool {
        use datafusion::logical_expr::ExprSchemable;
        args.iter().any(|arg| arg.nullable(schema).unwrap_or(true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let scalar = args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let left = args.args[0].to_array(rows)?;
        let right = args.args[1].to_array(rows)?;
        let result = match self.operator {
            Operator::Plus => numeric::add(&left, &right),
            Operator::Minus => numeric::sub(&left, &right),
            _ => numeric::mul(&left, &right),
        }?;
        answer(result, scalar)
    }
}

/// `-` of an integer, for the same reason.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CheckedNegation {
    signature: Signature,
}

impl CheckedNegation {
    pub fn new() -> CheckedNegation {
        CheckedNegation {
            signature: Signature::any(1, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for CheckedNegation {
    fn name(&self) -> &str {
        "negate"
    }

    fn display_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(args.first().map(|arg| format!("(- {arg})")).unwrap_or_default())
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(args
            .first()
            .map(|arg| format!("(- {})", arg.schema_name()))
            .unwrap_or_default())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let scalar = matches!(args.args[0], ColumnarValue::Scalar(_));
        let value = args.args[0].to_array(if scalar { 1 } else { args.number_rows })?;
        answer(numeric::neg(value.as_ref())?, scalar)
    }
}

fn answer(result: ArrayRef, scalar: bool) -> DfResult<ColumnarValue> {
    if scalar {
        Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
    } else {
        Ok(ColumnarValue::Array(result))
    }
}

/// Text to a type that is kept as checked text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextCast {
    name: &'static str,
    to: ColumnType,
    signature: Signature,
}

impl TextCast {
    fn new(name: &'static str, to: ColumnType) -> TextCast {
        let signature = Signature::one_of(vec![TypeSignature::String(1)], Volatility::Immutable);
        TextCast { name, to, signature }
    }

    fn cast(&self, text: &StringArray) -> DfResult<ArrayRef> {
        let mut builder = StringBuilder::with_capacity(text.len(), text.value_data().len());
        for value in text {
            match value {
                None => builder.append_null(),
                Some(value) => builder.append_value(checked_text(value, self.to)?),
            }
        }
        Ok(Arc::new(builder.finish()))
    }
}

/// The form in which text of the type is kept.
pub(crate) fn checked_text(text: &str, to: ColumnType) -> DfResult<String> {
    let wrong = |reason: &str| {
        let shown = crate::failure::shortened(text, crate::failure::VALUE_CHARS_MAX);
        DataFusionError::External(Box::new(SqlError::mismatch(format!(
            "'{shown}' is not a valid {to}: {reason}"
        ))))
    };
    match to {
        ColumnType::Uuid => match uuid::Uuid::try_parse(text) {
            Ok(parsed) => Ok(parsed.hyphenated().to_string()),
            Err(_) => Err(wrong("write 32 hexadecimal digits in the form 8-4-4-4-12")),
        },
        _ => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(wrong(&error.to_string())),
        },
    }
}

impl ScalarUDFImpl for TextCast {
    fn name(&self) -> &str {
        self.name
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(args
            .first()
            .map(|arg| arg.schema_name().to_string())
            .unwrap_or_default())
    }

    fn display_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(args
            .first()
            .map(|arg| format!("CAST({arg} AS {})", self.to))
            .unwrap_or_default())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        let nullable = args.arg_fields.iter().any(|arg| arg.is_nullable());
        Ok(Arc::new(field(self.name, self.to, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let scalar = matches!(args.args[0], ColumnarValue::Scalar(_));
        let array = args.args[0].to_array(if scalar { 1 } else { args.number_rows })?;
        let text = datafusion::arrow::compute::cast(&array, &DataType::Utf8)?;
        answer(self.cast(as_string_array(&text)?)?, scalar)
    }
}
