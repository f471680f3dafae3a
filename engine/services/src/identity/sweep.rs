//! Removes what has expired, so that the store does not grow with every login there ever was.
//!
//! Each login sweeps a bounded number of records, more than it makes, so what has expired shrinks while anybody
//! signs in.

use rustydb_contract_session::SessionEndReason;
use rustydb_store::error::StoreError;
use rustydb_store::seam::SpaceId;

use super::access::MICROS;
use super::telling::Ending;
use super::{Inner, commit};

/// Sessions removed by one login, which makes one.
pub(crate) const SWEEP_SESSIONS_MAX: usize = 64;
/// API keys removed by one login.
pub(crate) const SWEEP_KEYS_MAX: usize = 64;

impl Inner {
    /// Never fails: what stays is swept by another login.
    pub(super) fn sweep(&self) {
        let swept = self.sweep_sessions().and_then(|()| self.sweep_keys());
        match swept {
            // Somebody ended one of them at the same moment.
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => tracing::warn!(%error, "expired sessions and API keys could not be removed"),
        }
    }

    pub(super) fn sweep_sessions(&self) -> Result<(), StoreError> {
        let ended = self
            .state
            .read()
            .sessions_ended(self.clock.now_us(), SWEEP_SESSIONS_MAX);
        if ended.is_empty() {
            Ok(())
        } else {
            let ending = Ending::by_change(SessionEndReason::Expired, false);
            self.remove_sessions(&ended, &ending)
        }
    }

    fn sweep_keys(&self) -> Result<(), StoreError> {
        let kept_us = i64::from(self.settings.expired_api_key_kept_seconds) * MICROS;
        let until_us = self.clock.now_us().saturating_sub(kept_us);
        if self.state.read().keys_ended(until_us, 1).is_empty() {
            return Ok(());
        }
        let Some(_changes) = self.changes.try_lock() else {
            return Ok(());
        };
        let ended = self.state.read().keys_ended(until_us, SWEEP_KEYS_MAX);
        if ended.is_empty() {
            return Ok(());
        }
        self.commit(
            ended
                .iter()
                .map(|key| commit::remove(SpaceId::API_KEYS, key))
                .collect(),
        )?;
        let mut state = self.change();
        for key in &ended {
            state.remove_key(&key.record.user_id, &key.id);
        }
        Ok(())
    }
}
