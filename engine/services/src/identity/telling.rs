//! Word of sessions as they begin and end.
//!
//! It is told under the write lock of the state, by whoever takes a session in or out of it: so each beginning and each
//! end is told once, in their order, and only what a commit made durable.

use std::net::SocketAddr;
use std::sync::Arc;

use rustydb_contract::topic::Topic;
use rustydb_contract::{ServiceResult, Timestamp};
use rustydb_contract_session::{SessionEndReason, SessionEvent, SessionEventType};
use rustydb_store::error::StoreError;

use super::access::MICROS;
use super::error::store_failure;
use super::records::Session;
use super::state::State;
use super::{IdentityService, Inner};

/// What ends a session before its time.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub reason: SessionEndReason,
    /// Whether the session's own user ends it.
    pub is_own: bool,
    /// Where the session's user called from.
    pub from: Option<SocketAddr>,
}

impl Ending {
    pub(super) fn by_logout(from: Option<SocketAddr>) -> Ending {
        Ending {
            reason: SessionEndReason::Logout,
            is_own: true,
            from,
        }
    }

    pub(super) fn by_change(reason: SessionEndReason, is_own: bool) -> Ending {
        Ending {
            reason,
            is_own,
            from: None,
        }
    }
}

impl IdentityService {
    /// Sessions as they begin and end.
    pub(crate) fn session_events(&self) -> &Arc<Topic<SessionEvent>> {
        &self.0.session_events
    }

    /// Removes some sessions that have run out, if there are any.
    pub(crate) async fn end_expired_sessions(&self) -> ServiceResult<()> {
        if self.0.state.read().sessions_ended(self.now_us(), 1).is_empty() {
            return Ok(());
        }
        self.changing(|inner| match inner.sweep_sessions() {
            // Somebody ended one of them at the same moment; the others are found again.
            Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(store_failure(error)),
        })
        .await
    }
}

impl Inner {
    /// Takes a session in. One of an old generation was over before it began, and nobody is told of it.
    pub(super) fn enter_session(&self, state: &mut State, session: &Session, from: Option<SocketAddr>) {
        state.put_session(Arc::clone(session));
        let Some(user) = state.user(&session.record.user_id) else {
            return;
        };
        if session.is_live(user, self.clock.now_us()) {
            self.session_events.publish(|| SessionEvent {
                event_type: SessionEventType::Connected,
                session_id: session.id.clone(),
                user_id: user.id.clone(),
                username: user.record.username.clone(),
                client_address: from.map(|from| from.to_string()),
                connection_time: Timestamp::from_micros(session.record.created_at_us),
                duration_seconds: None,
                reason: None,
            });
        }
    }

    /// Takes a session out, if it is there.
    pub(super) fn leave_session(&self, state: &mut State, id: &str, ending: &Ending) {
        if let Some(session) = state.remove_session(id) {
            self.tell_end(state, &session, ending);
        }
    }

    /// Tells that all sessions of a user end; to be called before the state learns what ends them.
    pub(super) fn tell_all_end(&self, state: &State, user_id: &str, ending: &Ending) {
        for session in state.sessions_of(user_id) {
            self.tell_end(state, &session, ending);
        }
    }

    /// A session of an old generation was told of when the generation ended.
    fn tell_end(&self, state: &State, session: &Session, ending: &Ending) {
        let record = &session.record;
        let user = state.user(&record.user_id);
        let Some(user) = user.filter(|user| user.record.generation == record.generation) else {
            return;
        };
        let now_us = self.clock.now_us();
        let has_run_out = record.expires_at_us <= now_us;
        let (event_type, reason, end_us) = if has_run_out {
            (
                SessionEventType::IdleTimeout,
                SessionEndReason::Expired,
                record.expires_at_us,
            )
        } else if ending.is_own {
            (SessionEventType::Disconnected, ending.reason.clone(), now_us)
        } else {
            (SessionEventType::Killed, ending.reason.clone(), now_us)
        };
        // The clock may have been set back.
        let seconds = u64::try_from((end_us - record.created_at_us) / MICROS).unwrap_or(0);
        self.session_events.publish(|| SessionEvent {
            event_type,
            session_id: session.id.clone(),
            user_id: user.id.clone(),
            username: user.record.username.clone(),
            client_address: ending.from.filter(|_| !has_run_out).map(|from| from.to_string()),
            connection_time: Timestamp::from_micros(record.created_at_us),
            duration_seconds: Some(seconds),
            reason: Some(reason),
        });
    }
}
