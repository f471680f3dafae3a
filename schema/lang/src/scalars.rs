//! Scalars whose form on the wire is not that of a Rust type.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use uuid::Uuid;

/// The answer of an operation that has nothing to say: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

/// Text that is not a value of the scalar it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalarError {
    /// What was expected, with an example.
    pub expected: &'static str,
}

impl fmt::Display for ScalarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for ScalarError {}

/// Implements the wire form of a scalar as text through `Display` and `FromStr`.
macro_rules! text_scalar {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

/// An identifier of 64 bits; a decimal string on the wire, since JSON numbers lose bits beyond 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id64(pub u64);

impl fmt::Display for Id64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Id64 {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let error = ScalarError {
            expected: "an unsigned 64-bit integer as text, such as \"42\"",
        };
        let canonical = text == "0" || !text.starts_with(['0', '+']);
        text.parse().ok().filter(|_| canonical).map(Id64).ok_or(error)
    }
}

text_scalar!(Id64);

/// A position in the log: two hexadecimal halves, `hi/lo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let half = |part: &str| {
            let sound = !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
            u32::from_str_radix(part, 16)
                .ok()
                .filter(|_| sound)
                .map(u64::from)
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Lsn(half(high)? << 32 | half(low)?)))
            .ok_or(ScalarError {
                expected: "a log position, such as \"0/1A2B3C4D\"",
            })
    }
}

text_scalar!(Lsn);

/// A decimal number of any precision, as text: digits with an optional sign and point, no exponent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal(String);

impl Decimal {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Decimal {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let sound = match unsigned.split_once('.') {
            Some((whole, fraction)) => digits(whole) && digits(fraction),
            None => digits(unsigned),
        };
        if sound {
            Ok(Decimal(text.to_owned()))
        } else {
            Err(ScalarError {
                expected: "a decimal number as text, such as \"12.50\"",
            })
        }
    }
}

text_scalar!(Decimal);

/// Bytes; base64 with padding (RFC 4648, section 4) on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl FromStr for Bytes {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        BASE64.decode(text).map(Bytes).map_err(|_| ScalarError {
            expected: "base64 with padding, such as \"AQID\"",
        })
    }
}

text_scalar!(Bytes);

/// A moment, in microseconds since the Unix epoch; RFC 3339 in UTC with six fractional digits on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// By the machine's clock.
    pub fn now() -> Timestamp {
        Timestamp(Utc::now().timestamp_micros())
    }

    /// A moment beyond the calendar (year 262142) is moved to its end.
    pub fn from_micros(micros: i64) -> Timestamp {
        let (first, last) = (
            DateTime::<Utc>::MIN_UTC.timestamp_micros(),
            DateTime::<Utc>::MAX_UTC.timestamp_micros(),
        );
        Timestamp(micros.clamp(first, last))
    }

    pub fn as_micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment =
            DateTime::<Utc>::from_timestamp_micros(self.0).expect("a timestamp is made within the calendar");
        f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl FromStr for Timestamp {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        DateTime::parse_from_rfc3339(text)
            .map(|moment| Timestamp::from_micros(moment.timestamp_micros()))
            .map_err(|_| ScalarError {
                expected: "an RFC 3339 moment, such as \"2026-01-31T12:00:00Z\"",
            })
    }
}

text_scalar!(Timestamp);

/// A day of the calendar, `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub NaiveDate);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.format("%Y-%m-%d").fmt(f)
    }
}

impl FromStr for Date {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map(Date)
            .map_err(|_| ScalarError {
                expected: "a date, such as \"2026-01-31\"",
            })
    }
}

text_scalar!(Date);

/// Opaque text from a paged answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn round_trip<T: FromStr<Err = ScalarError> + fmt::Display>(text: &str) -> String {
        text.parse::<T>()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .to_string()
    }

    #[test]
    fn scalars_keep_their_text() {
        assert_eq!(round_trip::<Id64>("18446744073709551615"), "18446744073709551615");
        assert_eq!(round_trip::<Lsn>("0/1A2B3C4D"), "0/1A2B3C4D");
        assert_eq!(round_trip::<Decimal>("-0.50"), "-0.50");
        assert_eq!(round_trip::<Bytes>("AQID"), "AQID");
        assert_eq!(round_trip::<Date>("2024-02-29"), "2024-02-29");
        assert_eq!(
            round_trip::<Timestamp>("2024-02-29T23:00:00+01:00"),
            "2024-02-29T22:00:00.000000Z"
        );
    }

    #[test]
    fn scalars_refuse_what_they_are_not() {
        for text in ["", "-1", "+1", "01", "18446744073709551616", " 1", "1.0"] {
            assert!(text.parse::<Id64>().is_err(), "{text:?}");
        }
        for text in ["", "1", "1/", "/1", "g/0", "123456789/0", "+1/0"] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
        for text in ["", ".", "1.", ".5", "1e3", "+1", "--1", "1.2.3"] {
            assert!(text.parse::<Decimal>().is_err(), "{text:?}");
        }
        assert!("2023-02-29".parse::<Date>().is_err());
        assert!("2023-02-28 10:00:00".parse::<Timestamp>().is_err());
        assert!("AQI".parse::<Bytes>().is_err());
    }
}
