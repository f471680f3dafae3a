//! Numbers as text.

use crate::types::DECIMAL_PRECISION_MAX;

/// Why a decimal text can't be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecimalError {
    NotANumber,
    /// More digits behind the point than the scale.
    TooFine,
    /// More digits in all than the precision.
    TooLarge,
}

/// Whether an unscaled value has at most `precision` digits.
pub(crate) fn decimal_fits(unscaled: i128, precision: u8) -> bool {
    unscaled.unsigned_abs() < 10u128.pow(u32::from(precision.min(DECIMAL_PRECISION_MAX)))
}

pub(super) fn decimal_text(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// The unscaled value of a number such as `-12.50` or `1.5e3`. Zeros beyond the scale are dropped, other
/// digits never.
pub(super) fn parse_decimal(text: &str, precision: u8, scale: u8) -> Result<i128, DecimalError> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        None => (unsigned, 0i64),
        Some(at) => {
            let exponent: i32 = unsigned[at + 1..].parse().map_err(|_| DecimalError::NotANumber)?;
            (&unsigned[..at], i64::from(exponent))
        }
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(DecimalError::NotANumber);
    }
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    // value = significant * 10^power
    let trailing_zeros = digits.len() - digits.trim_end_matches('0').len();
    let power = exponent - fraction.len() as i64 + trailing_zeros as i64;
    let shift = power + i64::from(scale);
    if shift < 0 {
        return Err(DecimalError::TooFine);
    }
    if significant.len() as i64 + shift > i64::from(precision) {
        return Err(DecimalError::TooLarge);
    }
    let unscaled =
        significant.parse::<i128>().map_err(|_| DecimalError::TooLarge)? * 10i128.pow(shift as u32);
    Ok(if negative { -unscaled } else { unscaled })
}

/// Shortest digits that read back as the same value.
pub(super) fn double_text(value: f64) -> String {
    special_text(value).map_or_else(|| format!("{value:?}"), str::to_owned)
}

pub(super) fn real_text(value: f32) -> String {
    special_text(f64::from(value)).map_or_else(|| format!("{value:?}"), str::to_owned)
}

/// The names of values that have no digits.
pub(super) fn special_text(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("Infinity")
    } else if value == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}

pub(super) fn parse_special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}
