//! Who calls: users, their passwords, API keys and login sessions.
//!
//! # What is believed
//!
//! | a caller presents | it is believed when | looked up at each call |
//! |---|---|---|
//! | access token | this server signed it (EdDSA) for itself and its time is not over | its session, its user |
//! | API key | its SHA-256 is that of a stored key that has not expired | the key, its owner |
//! | refresh token | it is the newest of its session | the session, its user |
//! | password | argon2id gives the stored hash | the user |
//!
//! Roles are read from the user at each call, so a change of roles, a disabled user, a revoked key or an ended
//! session holds from the next call on.
//!
//! # Sessions
//!
//! A login opens a session. Its refresh tokens are `family . secret`: 128 bits that all of them share and 256 that
//! only the newest has, both stored as hashes. A token of the family with another secret was good once, so two
//! parties hold tokens of this session: it ends. Nobody but a past holder knows the family, so guessing ends
//! nothing. Of two refreshes that race for the same token one commits, and the other gets WRITE_CONFLICT.
//!
//! A user has a generation, and a session the generation of its login. Disabling the user or setting a password
//! counts it up, which ends all sessions in one write however many there are; their records are removed after.
//!
//! Each beginning and end of a session is told once to whoever listens: [`telling`].
//!
//! # Durability and locking
//!
//! The store is the truth; [`state::State`] holds all of it in memory and learns of a change only when its commit
//! is durable. Every write names the version it replaces. What spans records (a name is unique, an administrator
//! remains, a user has so many keys) holds because one lock, `changes`, is held while users or keys change. Logins
//! and refreshes do not take it, so that the store can commit many together. A snapshot lock on `state` is never
//! held over a commit.
//!
//! Invariant: one `IdentityService` per store, since a second one would not see the changes of the first. redb's
//! lock on the file keeps other processes out.
//!
//! # What is absent
//!
//! No secret in a log, an error or `Debug`; no plain secret in the store. No roles but the contract's. No limit on
//! the rate of logins: that is the pipeline's.

mod access;
mod api_keys;
pub(crate) mod blocking;
mod commit;
pub(crate) mod error;
mod open;
pub mod paging;
mod passwords;
pub(crate) mod records;
pub(crate) mod secret;
mod sessions;
mod settings;
mod signing;
mod state;
mod sweep;
mod telling;
#[cfg(test)]
mod tests;
mod tokens;
mod users;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use rustydb_contract::ServiceResult;
use rustydb_contract::topic::Topic;
use rustydb_contract_session::SessionEvent;
use rustydb_runtime::{Clock, Rng};
use rustydb_store::seam::TableStore;
use tokio::sync::watch;

pub(crate) use access::permission_names;
pub(crate) use blocking::blocking;
pub use error::IdentityError;
pub(crate) use error::internal;
pub use open::AdminSecret;
pub(crate) use sessions::IssuedTokens;
pub use settings::{IdentitySettings, PasswordCost};
pub(crate) use signing::PublicKey;
pub use signing::SIGNING_KEY_FILE;
pub(crate) use users::{NewUser, UserChange};

use passwords::Passwords;
use state::State;
use tokens::Tokens;

/// The user that the first start makes.
pub const ADMIN_USERNAME: &str = "admin";
/// Shortest password; the contract's bound.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password; the contract's bound.
pub const PASSWORD_CHARS_MAX: usize = 1_024;

/// See the module. A clone is another handle to the same.
#[derive(Clone)]
pub struct IdentityService(Arc<Inner>);

struct Inner {
    store: Arc<dyn TableStore>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    settings: IdentitySettings,
    passwords: Passwords,
    tokens: Tokens,
    state: RwLock<State>,
    /// Counts the changes of users, sessions and keys.
    revision: watch::Sender<u64>,
    session_events: Arc<Topic<SessionEvent>>,
    /// Held while users or keys change.
    changes: Mutex<()>,
}

impl Inner {
    /// The state, to be changed; who waits for changes hears of it afterwards.
    fn change(&self) -> Changing<'_> {
        Changing {
            state: self.state.write(),
            revision: &self.revision,
        }
    }
}

/// The state while it changes.
struct Changing<'a> {
    state: RwLockWriteGuard<'a, State>,
    revision: &'a watch::Sender<u64>,
}

impl Deref for Changing<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.revision.send_modify(|revision| *revision += 1);
    }
}

impl IdentityService {
    /// The key that verifies access tokens.
    pub(crate) fn public_key(&self) -> &PublicKey {
        self.0.tokens.public_key()
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.0.clock.now_us()
    }

    /// Does work that commits, on a blocking thread.
    async fn changing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> ServiceResult<T> + Send + 'static,
    ) -> ServiceResult<T> {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner)).await
    }
}
