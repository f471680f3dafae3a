//! Dates and times of day as text. Years 0001 to 9999: those that RFC 3339 can write.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

/// 0001-01-01, in days since 1970-01-01.
pub const DATE_DAYS_MIN: i32 = -719_162;
/// 9999-12-31, in days since 1970-01-01.
pub const DATE_DAYS_MAX: i32 = 2_932_896;
/// 0001-01-01T00:00:00, in microseconds since 1970-01-01T00:00:00.
pub const TIMESTAMP_US_MIN: i64 = DATE_DAYS_MIN as i64 * DAY_US;
/// 9999-12-31T23:59:59.999999, in microseconds since 1970-01-01T00:00:00.
pub const TIMESTAMP_US_MAX: i64 = (DATE_DAYS_MAX as i64 + 1) * DAY_US - 1;

const DAY_US: i64 = 86_400 * SECOND_US;
const SECOND_US: i64 = 1_000_000;
/// Days from 0001-01-01, which chrono counts as day 1, to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;

pub(super) fn date_text(days: i32) -> String {
    match days
        .checked_add(EPOCH_FROM_CE)
        .and_then(NaiveDate::from_num_days_from_ce_opt)
    {
        Some(date) => format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
        // Never stored: outside the range that rows are checked for.
        None => format!("{days} days since 1970-01-01"),
    }
}

pub(super) fn timestamp_text(us: i64) -> String {
    match DateTime::from_timestamp_micros(us) {
        Some(at) => format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.timestamp_subsec_micros()
        ),
        // Never stored: outside the range that rows are checked for.
        None => format!("{us} us since 1970-01-01"),
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub(super) fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = digits(text.get(0..4)?)?;
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        digits(text.get(5..7)?)?,
        digits(text.get(8..10)?)?,
    )?;
    (year >= 1).then(|| date.num_days_from_ce() - EPOCH_FROM_CE)
}

/// Microseconds since 1970-01-01T00:00:00 of `YYYY-MM-DDTHH:MM:SS`, with up to six digits of a second, and
/// what follows: a zone or nothing. A space may stand for the `T`.
pub(super) fn parse_timestamp(text: &str) -> Option<(i64, &str)> {
    let days = parse_date(text.get(0..10)?)?;
    let bytes = text.as_bytes();
    if bytes.len() < 19 || !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' || bytes[16] != b':'
    {
        return None;
    }
    let (hour, minute, second) = (
        digits(text.get(11..13)?)?,
        digits(text.get(14..16)?)?,
        digits(text.get(17..19)?)?,
    );
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut subsecond_us = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=6).contains(&len) {
            return None;
        }
        subsecond_us = i64::from(digits(&fraction[..len])?) * 10i64.pow(6 - len as u32);
        rest = &fraction[len..];
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some((
        i64::from(days) * DAY_US + seconds * SECOND_US + subsecond_us,
        rest,
    ))
}

/// Microseconds to take off local time to get UTC, of `Z`, `+HH:MM` or `-HH:MM`.
pub(super) fn parse_zone(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours <= 23 && minutes <= 59).then(|| sign * i64::from(hours * 3600 + minutes * 60) * SECOND_US)
}

fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}
