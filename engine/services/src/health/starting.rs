//! How far a server is that starts.

use rustydb_contract::ServiceError;
use rustydb_contract_core::errors::SERVER_STARTING;
use rustydb_contract_core::{StartupPhase, StartupProgress};
use rustydb_store::kernel_store::{OpenPhase, OpenProgress};

/// Seconds after which a caller may ask again.
const RETRY_AFTER_SECONDS: u64 = 1;

fn now(progress: &OpenProgress) -> StartupProgress {
    let now = progress.now();
    let phase = match now.phase {
        OpenPhase::Opening => StartupPhase::Opening,
        OpenPhase::Replaying => StartupPhase::Replaying,
        OpenPhase::Writing => StartupPhase::Writing,
        OpenPhase::Open => StartupPhase::Loading,
    };
    let percent = match (now.phase, now.replay.bytes_max) {
        (OpenPhase::Opening, _) | (OpenPhase::Replaying, 0) => 0.0,
        (OpenPhase::Replaying, most) => now.replay.bytes as f64 / most as f64 * 100.0,
        (OpenPhase::Writing | OpenPhase::Open, _) => 100.0,
    };
    StartupProgress {
        phase,
        replayed_bytes: now.replay.bytes,
        total_bytes: now.replay.bytes_max,
        percent,
    }
}

/// What is answered until the server has started.
pub(super) fn refusal(progress: &OpenProgress) -> ServiceError {
    let now = now(progress);
    let message = format!(
        "the server is starting ({}): {} of at most {} bytes of the log are replayed; try again in a moment",
        now.phase.as_str(),
        now.replayed_bytes,
        now.total_bytes
    );
    ServiceError::new(&SERVER_STARTING, message)
        .with_details(now)
        .with_retry_after_seconds(RETRY_AFTER_SECONDS)
}
