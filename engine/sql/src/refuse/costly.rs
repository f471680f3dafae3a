//! Functions whose result or work is out of proportion to their input.
//!
//! DataFusion makes the result of a function for thousands of rows at once, outside the memory that a statement may
//! take, and the process ends when the machine cannot give it. So what multiplies its input needs its size as a
//! small literal.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};

use super::Walk;
use crate::error::{Result, SqlError};

/// Longest text that `lpad` and `rpad` may make, in characters.
const PADDED_CHARS_MAX: usize = 1_000;
/// Longest text that `repeat` may make, in bytes.
const REPEATED_BYTES_MAX: usize = 64 << 10;

impl Walk<'_> {
    pub(super) fn costly(&self, function: &Function) -> Result<()> {
        let Some(name) = function.name.0.last().and_then(|part| part.as_ident()) else {
            return Ok(());
        };
        let name = name.value.to_lowercase();
        let arguments = arguments(function);
        let remedy = match name.as_str() {
            "lpad" | "rpad" => match arguments.get(1).and_then(|length| number(length)) {
                Some(length) if length <= PADDED_CHARS_MAX => return Ok(()),
                _ => format!("write the length as a number of at most {PADDED_CHARS_MAX}"),
            },
            "repeat" => {
                let times = arguments.get(1).and_then(|times| number(times));
                let length = arguments
                    .first()
                    .and_then(|repeated| text(repeated))
                    .map(str::len);
                match times.zip(length) {
                    Some((times, length)) if times.saturating_mul(length) <= REPEATED_BYTES_MAX => {
                        return Ok(());
                    }
                    _ => format!(
                        "write text and number as they are, for a result of at most {REPEATED_BYTES_MAX} bytes"
                    ),
                }
            }
            "array_repeat" | "list_repeat" | "array_resize" | "list_resize" => {
                "write the array out".to_owned()
            }
            "range" | "generate_series" => "use generate_series in FROM".to_owned(),
            "levenshtein" => "compare texts where they are used".to_owned(),
            _ => return Ok(()),
        };
        Err(SqlError::unsupported(
            format!("this use of {name}"),
            self.here(&function.name),
            &remedy,
        ))
    }
}

fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return Vec::new();
    };
    let expr = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(expr).collect()
}

fn number(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
