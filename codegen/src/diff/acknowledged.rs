//! Breaking changes that are meant: schema/breaking.yaml.
//!
//! ```yaml
//! acknowledged:
//!   - path: field Table.row_count
//!     change: removed
//!     reason: The count was never exact; get_table_stats answers it.
//! ```
//! Entries are taken out with the release that brings the change.

use serde::Deserialize;

use super::Change;
use crate::diagnostics::Diagnostic;
use crate::source::Source;

/// Where the file lies, from the project's root.
pub const FILE: &str = "schema/breaking.yaml";

/// Shortest reason that can be one.
const REASON_LENGTH_MIN: usize = 15;

/// What the file holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgements {
    #[serde(default)]
    acknowledged: Vec<Acknowledgement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledgement {
    path: String,
    change: String,
    reason: String,
}

impl Acknowledgements {
    pub fn parse(text: &str) -> Result<Acknowledgements, Diagnostic> {
        let source = Source::parse(FILE, text)?;
        let refused = |pointer: &str, message: String, hint: &str| Diagnostic {
            place: source.place(pointer),
            rule: "acknowledgement",
            message,
            hint: hint.to_owned(),
        };
        let parsed: Acknowledgements = Acknowledgements::deserialize(&source.value).map_err(|error| {
            refused(
                "",
                error.to_string(),
                "list `path`, `change` and `reason` under `acknowledged`",
            )
        })?;
        for (index, entry) in parsed.acknowledged.iter().enumerate() {
            if entry.reason.trim().chars().count() < REASON_LENGTH_MIN {
                let message = format!("`{}` is acknowledged because of {:?}", entry.path, entry.reason);
                return Err(refused(
                    &format!("/acknowledged/{index}/reason"),
                    message,
                    "write the sentence that users are to read",
                ));
            }
        }
        Ok(parsed)
    }

    pub fn covers(&self, change: &Change) -> bool {
        self.acknowledged
            .iter()
            .any(|entry| entry.path == change.path && entry.change == change.change)
    }

    /// Entries that no change needs, as `path: change`.
    pub fn idle(&self, changes: &[Change]) -> Vec<String> {
        let idle = self.acknowledged.iter().filter(|entry| {
            !changes
                .iter()
                .any(|change| entry.path == change.path && entry.change == change.change)
        });
        idle.map(|entry| format!("{}: {}", entry.path, entry.change))
            .collect()
    }
}
