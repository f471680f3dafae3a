//! Names of branches.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::tables::{Result, TableError};

/// Longest of the two parts of a name, in bytes.
pub const XID_PART_BYTES_MAX: usize = 64;

/// Name of a branch of a distributed transaction, as in X/Open XA ("Distributed Transaction Processing: The XA
/// Specification", 1991): who coordinates the transaction gives it.
///
/// As text `format:global:branch`, the first a decimal number, the others hexadecimal digits, the last maybe none:
/// `1:7472616e73666572:62616e6b`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid {
    format_id: i32,
    global: Vec<u8>,
    branch: Vec<u8>,
}

impl Xid {
    /// The identifier of the whole transaction takes 1 to 64 bytes, that of the branch 0 to 64. A negative format means that
    /// there is no name.
    pub fn new(format_id: i32, global: &[u8], branch: &[u8]) -> Result<Xid> {
        if format_id < 0 {
            return Err(invalid(format!(
                "the format is {format_id}; it can't be negative"
            )));
        }
        let parts = [
            ("global transaction identifier", global, 1),
            ("branch qualifier", branch, 0),
        ];
        for (what, part, bytes_min) in parts {
            if !(bytes_min..=XID_PART_BYTES_MAX).contains(&part.len()) {
                return Err(invalid(format!(
                    "the {what} has {} bytes; it takes {bytes_min} to {XID_PART_BYTES_MAX}",
                    part.len()
                )));
            }
        }
        Ok(Xid {
            format_id,
            global: global.to_vec(),
            branch: branch.to_vec(),
        })
    }

    pub fn format_id(&self) -> i32 {
        self.format_id
    }

    /// Identifier of the whole transaction.
    pub fn global(&self) -> &[u8] {
        &self.global
    }

    /// What tells its branches apart.
    pub fn branch(&self) -> &[u8] {
        &self.branch
    }
}

fn invalid(reason: String) -> TableError {
    TableError::InvalidXid { reason }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.format_id)?;
        for part in [&self.global, &self.branch] {
            f.write_char(':')?;
            part.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

impl FromStr for Xid {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Xid> {
        let malformed = || {
            invalid(format!(
                "{text:?} is not format:global:branch, a decimal number and twice an even number of hexadecimal digits"
            ))
        };
        let parts: Vec<&str> = text.split(':').collect();
        let &[format_id, global, branch] = &parts[..] else {
            return Err(malformed());
        };
        let format_id = format_id.parse().map_err(|_| malformed())?;
        let global = bytes(global).ok_or_else(malformed)?;
        let branch = bytes(branch).ok_or_else(malformed)?;
        Xid::new(format_id, &global, &branch)
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8));
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| (high << 4) | low).collect())
}

impl Serialize for Xid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Xid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Xid, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_as_it_is_written_in_lower_case() {
        for text in [
            "0:00:",
            "2147483647:ff00:62616e6b",
            &format!("1:{0}:{0}", "ab".repeat(64)),
        ] {
            assert_eq!(text.parse::<Xid>().unwrap().to_string(), text);
        }
        let xid: Xid = "007:AB:Cd".parse().unwrap();
        assert_eq!(xid.to_string(), "7:ab:cd");
        assert_eq!(
            (xid.format_id(), xid.global(), xid.branch()),
            (7, &[0xab][..], &[0xcd][..])
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "00".repeat(65);
        for text in [
            "",
            "1",
            "1:00",
            "1::00",
            "1:0:",
            "1:0g:",
            "x:00:",
            "-1:00:",
            "2147483648:00:",
            "1:00:00:",
            &format!("1:{long}:"),
            &format!("1:00:{long}"),
        ] {
            let refused = text.parse::<Xid>();
            assert!(
                matches!(refused, Err(TableError::InvalidXid { .. })),
                "{text}: {refused:?}"
            );
        }
    }
}
