//! Login sessions and the tokens they issue.

use std::net::SocketAddr;
use std::sync::Arc;

use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_auth::errors::{INVALID_CREDENTIALS, INVALID_REFRESH_TOKEN};
use rustydb_contract_core::errors::WRITE_CONFLICT;
use rustydb_contract_session::SessionEndReason;
use rustydb_store::error::StoreError;
use rustydb_store::seam::{SpaceId, Write};

use super::access::MICROS;
use super::error::store_failure;
use super::records::{Session, SessionRecord, Stored, User, UserRecord};
use super::secret::{self, Digest, random, random_id};
use super::telling::Ending;
use super::{IdentityService, Inner, commit};

const FAMILY_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const TOKEN_BYTES: usize = FAMILY_BYTES + SECRET_BYTES;
/// Attempts to end a session while refreshes of it get in between. Each of those needs the token of the one before.
const END_ATTEMPTS_MAX: usize = 16;
/// Sessions of a user removed in one commit.
const END_BATCH: usize = 256;

/// What a login or a refresh answers.
pub(crate) struct IssuedTokens {
    pub access_token: String,
    pub refresh_token: String,
    pub expires_in_seconds: u64,
}

impl Stored<SessionRecord> {
    /// Whether the session still speaks for its user.
    pub(crate) fn is_live(&self, user: &Stored<UserRecord>, now_us: i64) -> bool {
        self.record.user_id == user.id
            && self.record.generation == user.record.generation
            && self.record.expires_at_us > now_us
            && user.record.enabled
    }
}

impl IdentityService {
    /// `from` is where the user calls from.
    pub(crate) async fn login(
        &self,
        username: &str,
        password: String,
        from: Option<SocketAddr>,
    ) -> ServiceResult<IssuedTokens> {
        let user = self.0.state.read().user_named(username).cloned();
        let hash = user.as_ref().map(|user| user.record.password_hash.clone());
        let right = self.0.passwords.verify(password, hash).await?;
        let Some(user) = user.filter(|user| right && user.record.enabled) else {
            return Err(ServiceError::new(
                &INVALID_CREDENTIALS,
                "the user name or the password is wrong",
            ));
        };
        self.changing(move |inner| {
            let issued = inner.open_session(&user, from)?;
            inner.sweep();
            Ok(issued)
        })
        .await
    }

    pub(crate) async fn refresh(&self, token: String) -> ServiceResult<IssuedTokens> {
        self.changing(move |inner| inner.refresh(&token)).await
    }

    /// Ends a session; one that has ended is none to complain about. `from` is where its user calls from.
    pub(crate) async fn logout(&self, session_id: &str, from: Option<SocketAddr>) -> ServiceResult<()> {
        let id = session_id.to_owned();
        self.changing(move |inner| inner.end_session(&id, &Ending::by_logout(from)))
            .await
    }
}

impl Inner {
    /// The user is the one whose password was right: if it changed since, the session is of an old generation and
    /// dead from the start.
    pub(super) fn open_session(&self, user: &User, from: Option<SocketAddr>) -> ServiceResult<IssuedTokens> {
        let id = random_id(&*self.clock, &*self.rng);
        let token: [u8; TOKEN_BYTES] = random(&*self.rng);
        let (family, secret) = digests(&token);
        let now_us = self.clock.now_us();
        let record = SessionRecord {
            user_id: user.id.clone(),
            generation: user.record.generation,
            family,
            secret,
            created_at_us: now_us,
            expires_at_us: self.session_end_us(now_us),
        };
        let issued = self.issue(user, &id, &record, &token, now_us)?;
        let write = commit::create(SpaceId::SESSIONS, &id, &record);
        let version = self.commit(vec![write]).map_err(store_failure)?;
        let session = Arc::new(Stored { id, version, record });
        self.enter_session(&mut self.state.write(), &session, from);
        Ok(issued)
    }

    fn refresh(&self, token: &str) -> ServiceResult<IssuedTokens> {
        let refused = || {
            ServiceError::new(
                &INVALID_REFRESH_TOKEN,
                "the refresh token is unknown, used or expired; sign in with auth.login for another",
            )
        };
        let token: [u8; TOKEN_BYTES] = secret::bytes(token).ok_or_else(refused)?;
        let (family, secret) = digests(&token);
        let now_us = self.clock.now_us();
        let (session, user) = {
            let state = self.state.read();
            let session = state.session_of_family(&family).cloned().ok_or_else(refused)?;
            let user = state.user(&session.record.user_id).cloned().ok_or_else(refused)?;
            (session, user)
        };
        if session.record.secret != secret {
            tracing::warn!(
                session_id = session.id,
                user_id = user.id,
                "a refresh token was used a second time; its session ends"
            );
            let ending = Ending::by_change(SessionEndReason::RefreshTokenReused, false);
            self.end_session(&session.id, &ending)?;
            return Err(refused());
        }
        if !session.is_live(&user, now_us) {
            return Err(refused());
        }
        let mut next = token;
        self.rng.fill(&mut next[FAMILY_BYTES..]);
        let (family, secret) = digests(&next);
        let record = SessionRecord {
            family,
            secret,
            expires_at_us: self.session_end_us(now_us),
            ..session.record.clone()
        };
        let issued = self.issue(&user, &session.id, &record, &next, now_us)?;
        let write = commit::replace(SpaceId::SESSIONS, &session, &record);
        let version = self.commit(vec![write]).map_err(|error| match error {
            StoreError::Conflict { .. } => ServiceError::new(
                &WRITE_CONFLICT,
                "another call with this refresh token came first; go on with the tokens that it was answered",
            ),
            failed => store_failure(failed),
        })?;
        let replaced = session.version;
        let session = Arc::new(Stored {
            id: session.id.clone(),
            version,
            record,
        });
        self.change().replace_session(replaced, session);
        Ok(issued)
    }

    fn issue(
        &self,
        user: &User,
        session_id: &str,
        session: &SessionRecord,
        refresh_token: &[u8; TOKEN_BYTES],
        now_us: i64,
    ) -> ServiceResult<IssuedTokens> {
        let issued_at = now_us.div_euclid(MICROS);
        let expires_at = (issued_at + i64::from(self.settings.access_token_seconds))
            .min(session.expires_at_us.div_euclid(MICROS));
        let access_token = self.tokens.issue(
            &*self.rng,
            (&user.id, &user.record),
            session_id,
            (issued_at, expires_at),
        )?;
        Ok(IssuedTokens {
            access_token,
            refresh_token: secret::text(refresh_token),
            expires_in_seconds: u64::try_from(expires_at - issued_at).unwrap_or(0),
        })
    }

    fn session_end_us(&self, now_us: i64) -> i64 {
        now_us.saturating_add(i64::from(self.settings.refresh_token_seconds) * MICROS)
    }

    /// Removes a session, whatever version it has by then.
    ///
    /// The version comes from the store: a refresh that has committed may not be in memory yet.
    pub(super) fn end_session(&self, id: &str, ending: &Ending) -> ServiceResult<()> {
        for _ in 0..END_ATTEMPTS_MAX {
            let snapshot = self.store.snapshot().map_err(store_failure)?;
            let found = snapshot
                .get(SpaceId::SESSIONS, id.as_bytes())
                .map_err(store_failure)?;
            if let Some(found) = found {
                let key = id.as_bytes().to_vec();
                let write = Write {
                    space: SpaceId::SESSIONS,
                    key,
                    expected: Some(found.version),
                    value: None,
                };
                match self.commit(vec![write]) {
                    Ok(_) => {}
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(failed) => return Err(store_failure(failed)),
                }
            }
            self.leave_session(&mut self.change(), id, ending);
            return Ok(());
        }
        Err(ServiceError::new(
            &WRITE_CONFLICT,
            "the session is being refreshed over and over; end it again",
        ))
    }

    /// Removes the records of a user's sessions after a change that ended them. What can't be removed now stays
    /// ended, and is swept when its time is over.
    pub(super) fn remove_sessions_of(&self, user_id: &str, ending: &Ending) {
        let sessions = self.state.read().sessions_of(user_id);
        for batch in sessions.chunks(END_BATCH) {
            let result = match self.remove_sessions(batch, ending) {
                Err(StoreError::Conflict { .. }) => batch
                    .iter()
                    .try_for_each(|session| self.end_session(&session.id, ending)),
                result => result.map_err(store_failure),
            };
            if let Err(error) = result {
                tracing::warn!(%error, user_id, "ended sessions stay in the store until they expire");
                return;
            }
        }
    }

    pub(super) fn remove_sessions(&self, sessions: &[Session], ending: &Ending) -> Result<(), StoreError> {
        let writes = sessions
            .iter()
            .map(|session| commit::remove(SpaceId::SESSIONS, session));
        self.commit(writes.collect())?;
        let mut state = self.change();
        for session in sessions {
            self.leave_session(&mut state, &session.id, ending);
        }
        Ok(())
    }
}

/// Family and secret of a refresh token, hashed.
fn digests(token: &[u8; TOKEN_BYTES]) -> (Digest, Digest) {
    let (family, secret) = token.split_at(FAMILY_BYTES);
    (Digest::of(family), Digest::of(secret))
}
