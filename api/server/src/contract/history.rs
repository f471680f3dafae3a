//! The contracts that were served on a data directory, oldest first: docs/format/contract.md.
//!
//! Nothing else depends on the file. One that is damaged, or that cannot be written, is told in the log, and costs no
//! more than what it could have told.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustydb_contract::Timestamp;
use rustydb_runtime::files;
use serde::{Deserialize, Serialize};

use super::Contract;

/// In the data directory.
pub(super) const FILE: &str = "contract.json";
/// Where a history goes that can't be read.
const ASIDE_FILE: &str = "contract.json.unread";

/// Version of what docs/format/contract.md describes.
const FORMAT: u32 = 1;

/// Contracts that are kept; older ones are forgotten.
pub(super) const REVISIONS_MAX: usize = 200;

/// Largest file that is read: far more than [`REVISIONS_MAX`] contracts take.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Filled once the server is built: the contract is known then, and services are made before.
pub type LateHistory = Arc<OnceLock<History>>;

/// See the module. The last is the contract that is served.
#[derive(Debug)]
pub struct History {
    served: Vec<Served>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Served {
    revision: String,
    /// When a server of this contract was first started, since one of another was.
    since: Timestamp,
    /// Ids of operations and views to hashes of their shapes.
    members: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    served: Vec<Served>,
}

/// How the contract that is served differs from one before.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub revision: String,
    pub served_since: Timestamp,
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl History {
    /// Reads what was served on the data in `folder` and notes durably that `contract` is served from `now` on; blocks.
    pub fn note(folder: &Path, contract: Contract, now: Timestamp) -> History {
        let path = folder.join(FILE);
        let mut served = read(&path).unwrap_or_else(|reason| {
            tracing::warn!(path = %path.display(), reason, "the history of the contract is damaged; it is begun anew");
            // Kept aside: a build that wrote another format may serve these data again.
            let aside = folder.join(ASIDE_FILE);
            if let Err(error) = std::fs::rename(&path, &aside) {
                tracing::warn!(%error, "what was there of the history is not kept aside");
            }
            Vec::new()
        });
        let Contract { revision, members } = contract;
        let is_known = served
            .last()
            .is_some_and(|last| last.revision == revision && last.members == members);
        if !is_known {
            served.push(Served {
                revision,
                since: now,
                members,
            });
            served.drain(..served.len().saturating_sub(REVISIONS_MAX));
            if let Err(error) = write(&path, &served) {
                tracing::error!(path = %path.display(), %error, "the history of the contract is not written");
            }
        }
        History { served }
    }

    /// What changed since the contract of a revision, or since the one before; `None` when none of that revision is
    /// kept.
    pub fn change_since(&self, revision: Option<&str>) -> Option<Change> {
        let (last, before) = self.served.split_last()?;
        let nothing = BTreeMap::new();
        let known = match revision {
            None => before.last().map_or(&nothing, |before| &before.members),
            Some(revision) => {
                let found = self.served.iter().rfind(|served| served.revision == revision);
                &found?.members
            }
        };
        let now = &last.members;
        let absent_in = |other: &BTreeMap<String, String>, members: &BTreeMap<String, String>| {
            let absent = members.keys().filter(|id| !other.contains_key(*id));
            absent.cloned().collect()
        };
        let is_other = |(id, shape): &(&String, &String)| known.get(*id).is_some_and(|known| known != *shape);
        Some(Change {
            revision: last.revision.clone(),
            served_since: last.since,
            added: absent_in(known, now),
            changed: now.iter().filter(is_other).map(|(id, _)| id.clone()).collect(),
            removed: absent_in(now, known),
        })
    }
}

/// Empty when there is no file; otherwise what is wrong with it.
fn read(path: &Path) -> Result<Vec<Served>, String> {
    let bytes = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
        Ok(found) => found.len(),
    };
    if bytes > FILE_BYTES_MAX {
        return Err(format!("it has {bytes} bytes, more than {FILE_BYTES_MAX}"));
    }
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let content: Content = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if content.format != FORMAT {
        return Err(format!(
            "it has format {}, this binary reads {FORMAT}",
            content.format
        ));
    }
    Ok(content.served)
}

fn write(path: &Path, served: &[Served]) -> io::Result<()> {
    let content = Content {
        format: FORMAT,
        served: served.to_vec(),
    };
    files::create_private(path, &serde_json::to_vec(&content)?)
}
