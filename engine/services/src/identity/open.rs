//! Opening: all records into memory, the signing key, the first administrator.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rustydb_contract::topic::Topic;
use rustydb_runtime::{Clock, Rng};
use rustydb_store::seam::{KeyRange, SpaceId, StoreSnapshot, TableStore};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::error::IdentityError;
use super::passwords::Passwords;
use super::records::{Stored, decode};
use super::secret::random_password;
use super::settings::IdentitySettings;
use super::signing::Signing;
use super::state::State;
use super::tokens::Tokens;
use super::users::NewUser;
use super::{ADMIN_USERNAME, IdentityService, Inner, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};

/// Records read at once.
const LOAD_ENTRIES: usize = 1_000;

/// What came of [`IdentityService::ensure_admin`].
#[derive(Clone, PartialEq, Eq)]
pub enum AdminSecret {
    /// There are users already; nothing was done.
    Existing,
    /// `admin` was made with the password that was given.
    Given,
    /// `admin` was made with this password, to be shown once.
    Generated(String),
}

impl fmt::Debug for AdminSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AdminSecret::Existing => "Existing",
            AdminSecret::Given => "Given",
            AdminSecret::Generated(_) => "Generated(<secret>)",
        })
    }
}

impl IdentityService {
    /// Reads all identities of the store; blocks.
    ///
    /// The signing key lies in `data_dir` and is made on first use. Without a directory it lives as long as the
    /// service. Refuses a key file that others may read, and records that do not decode.
    pub fn open(
        store: Arc<dyn TableStore>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        data_dir: Option<&Path>,
        settings: IdentitySettings,
    ) -> Result<IdentityService, IdentityError> {
        let state = load(&*store.snapshot()?)?;
        let signing = Signing::open(data_dir, &*rng)?;
        Ok(IdentityService(Arc::new(Inner {
            passwords: Passwords::new(&settings, &*rng)?,
            tokens: Tokens::new(signing, settings.verified_tokens_max),
            state: RwLock::new(state),
            revision: watch::Sender::new(0),
            session_events: Topic::new(),
            changes: Mutex::new(()),
            store,
            clock,
            rng,
            settings,
        })))
    }

    /// Makes the user `admin` in a store without users, with the password given or a generated one.
    ///
    /// Refuses a password that the contract would refuse.
    pub async fn ensure_admin(&self, secret: Option<String>) -> Result<AdminSecret, IdentityError> {
        if self.0.state.read().has_users() {
            return Ok(AdminSecret::Existing);
        }
        let (password, outcome) = match secret {
            Some(given) => {
                let chars = given.chars().count();
                if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
                    return Err(IdentityError::AdminPassword { chars });
                }
                (given, AdminSecret::Given)
            }
            None => {
                let made = random_password(&*self.0.rng);
                (made.clone(), AdminSecret::Generated(made))
            }
        };
        self.create_user(NewUser {
            username: ADMIN_USERNAME.to_owned(),
            password,
            roles: vec![super::access::ADMIN_ROLE.to_owned()],
            enabled: true,
        })
        .await?;
        tracing::info!(username = ADMIN_USERNAME, "made the first administrator");
        Ok(outcome)
    }
}

fn load(snapshot: &dyn StoreSnapshot) -> Result<State, IdentityError> {
    let mut state = State::default();
    each(snapshot, SpaceId::USERS, "user", |user| {
        state.put_user(Arc::new(user))
    })?;
    each(snapshot, SpaceId::API_KEYS, "API key", |key| {
        state.put_key(Arc::new(key))
    })?;
    each(snapshot, SpaceId::SESSIONS, "session", |session| {
        state.put_session(Arc::new(session))
    })?;
    Ok(state)
}

fn each<T: DeserializeOwned>(
    snapshot: &dyn StoreSnapshot,
    space: SpaceId,
    what: &'static str,
    mut put: impl FnMut(Stored<T>),
) -> Result<(), IdentityError> {
    let mut range = KeyRange::default();
    loop {
        let entries = snapshot.scan(space, &range, LOAD_ENTRIES)?;
        let last = entries.len() < LOAD_ENTRIES;
        range.after = entries.last().map(|(key, _)| key.clone());
        for (key, found) in entries {
            let damaged = |id: String, reason| IdentityError::Record { what, id, reason };
            let id = String::from_utf8(key).map_err(|error| {
                damaged(
                    format!("{:02x?}", error.as_bytes()),
                    "its key is no text".to_owned(),
                )
            })?;
            match decode(&found.value) {
                Ok(record) => put(Stored {
                    id,
                    version: found.version,
                    record,
                }),
                Err(reason) => return Err(damaged(id, reason)),
            }
        }
        if last {
            return Ok(());
        }
    }
}
