//! User accounts.

use std::sync::Arc;

use rustydb_contract::{ServiceError, ServiceResult};
use rustydb_contract_admin::errors::{LAST_ADMINISTRATOR, ROLE_NOT_FOUND, USER_EXISTS, USER_NOT_FOUND};
use rustydb_contract_core::access::ROLES;
use rustydb_contract_session::SessionEndReason;
use rustydb_store::seam::SpaceId;

use super::access::ADMIN_ROLE;
use super::error::store_failure;
use super::records::{PasswordHash, Stored, User, UserRecord};
use super::secret::random_id;
use super::state::State;
use super::telling::Ending;
use super::{IdentityService, Inner, commit};

/// A user to make.
pub(crate) struct NewUser {
    pub username: String,
    pub password: String,
    pub roles: Vec<String>,
    pub enabled: bool,
}

/// What to change of a user; `None` stays.
#[derive(Default)]
pub(crate) struct UserChange {
    pub username: Option<String>,
    pub password: Option<String>,
    pub roles: Option<Vec<String>>,
    pub enabled: Option<bool>,
}

impl IdentityService {
    pub(crate) async fn create_user(&self, new: NewUser) -> ServiceResult<User> {
        let roles = known_roles(new.roles)?;
        // Asked again under the lock; here it spares the hashing.
        self.0.state.read().name_is_free(&new.username, None)?;
        let password_hash = self.0.passwords.hash(new.password, &*self.0.rng).await?;
        self.changing(move |inner| inner.create_user(new.username, password_hash, roles, new.enabled))
            .await
    }

    /// The user of that id or, when there is none, of that name.
    pub(crate) fn user(&self, id_or_name: &str) -> ServiceResult<User> {
        self.0.state.read().required_user(id_or_name)
    }

    /// Up to `users_max` users behind the name `after`, in the order of their names.
    pub(crate) fn users(&self, after: Option<&str>, users_max: usize) -> Vec<User> {
        self.0.state.read().users_after(after, users_max)
    }

    /// `by` is the id of the user who changes it.
    pub(crate) async fn update_user(
        &self,
        id_or_name: String,
        mut change: UserChange,
        by: Option<String>,
    ) -> ServiceResult<User> {
        // The id, so that a rename in between does not lead to somebody else.
        let id = self.user(&id_or_name)?.id.clone();
        change.roles = change.roles.map(known_roles).transpose()?;
        let password_hash = match change.password.take() {
            Some(password) => Some(self.0.passwords.hash(password, &*self.0.rng).await?),
            None => None,
        };
        self.changing(move |inner| inner.update_user(&id, change, password_hash, by.as_deref()))
            .await
    }

    /// Removes a user with its keys and sessions. `by` is the id of the user who does.
    pub(crate) async fn delete_user(&self, id_or_name: String, by: Option<String>) -> ServiceResult<()> {
        let id = self.user(&id_or_name)?.id.clone();
        self.changing(move |inner| inner.delete_user(&id, by.as_deref()))
            .await
    }
}

impl Inner {
    fn create_user(
        &self,
        username: String,
        password_hash: PasswordHash,
        roles: Vec<String>,
        enabled: bool,
    ) -> ServiceResult<User> {
        let _changes = self.changes.lock();
        self.state.read().name_is_free(&username, None)?;
        let now_us = self.clock.now_us();
        let record = UserRecord {
            username,
            password_hash,
            roles,
            enabled,
            generation: 0,
            created_at_us: now_us,
            updated_at_us: now_us,
        };
        let id = random_id(&*self.clock, &*self.rng);
        let version = self
            .commit(vec![commit::create(SpaceId::USERS, &id, &record)])
            .map_err(store_failure)?;
        let user = Arc::new(Stored { id, version, record });
        self.change().put_user(Arc::clone(&user));
        Ok(user)
    }

    fn update_user(
        &self,
        id: &str,
        change: UserChange,
        password: Option<PasswordHash>,
        by: Option<&str>,
    ) -> ServiceResult<User> {
        let changes = self.changes.lock();
        let user = self.state.read().required_user(id)?;
        let mut record = user.record.clone();
        if let Some(username) = change.username {
            self.state.read().name_is_free(&username, Some(&user.id))?;
            record.username = username;
        }
        record.roles = change.roles.unwrap_or(record.roles);
        record.enabled = change.enabled.unwrap_or(record.enabled);
        let reason = if user.record.enabled && !record.enabled {
            Some(SessionEndReason::UserDisabled)
        } else {
            password.is_some().then_some(SessionEndReason::PasswordChanged)
        };
        let ending = reason.map(|reason| Ending::by_change(reason, by == Some(id)));
        record.password_hash = password.unwrap_or(record.password_hash);
        if record == user.record {
            return Ok(user);
        }
        if !administers(&record) {
            self.state.read().another_administers(&user)?;
        }
        record.generation += u64::from(ending.is_some());
        record.updated_at_us = self.clock.now_us();
        let write = commit::replace(SpaceId::USERS, &user, &record);
        let version = self.commit(vec![write]).map_err(store_failure)?;
        let user = Arc::new(Stored {
            id: user.id.clone(),
            version,
            record,
        });
        {
            let mut state = self.change();
            if let Some(ending) = &ending {
                self.tell_all_end(&state, id, ending);
            }
            state.put_user(Arc::clone(&user));
        }
        drop(changes);
        if let Some(ending) = &ending {
            self.remove_sessions_of(&user.id, ending);
        }
        Ok(user)
    }

    fn delete_user(&self, id: &str, by: Option<&str>) -> ServiceResult<()> {
        let changes = self.changes.lock();
        let (user, keys) = {
            let state = self.state.read();
            let user = state.required_user(id)?;
            state.another_administers(&user)?;
            let keys: Vec<_> = state.keys_of(&user.id).cloned().collect();
            (user, keys)
        };
        let mut writes = vec![commit::remove(SpaceId::USERS, &user)];
        writes.extend(keys.iter().map(|key| commit::remove(SpaceId::API_KEYS, key)));
        self.commit(writes).map_err(store_failure)?;
        let ending = Ending::by_change(SessionEndReason::UserDeleted, by == Some(id));
        {
            let mut state = self.change();
            self.tell_all_end(&state, &user.id, &ending);
            state.remove_user(&user.id);
            for key in &keys {
                state.remove_key(&user.id, &key.id);
            }
        }
        drop(changes);
        self.remove_sessions_of(&user.id, &ending);
        Ok(())
    }
}

impl State {
    fn required_user(&self, id_or_name: &str) -> ServiceResult<User> {
        let found = self.user(id_or_name).or_else(|| self.user_named(id_or_name));
        found.cloned().ok_or_else(|| {
            let message = format!("there is no user {id_or_name:?}; admin.list_users shows them");
            ServiceError::new(&USER_NOT_FOUND, message)
        })
    }

    /// Whether nobody, or nobody but the user `except`, has the name.
    fn name_is_free(&self, username: &str, except: Option<&str>) -> ServiceResult<()> {
        match self.user_named(username) {
            Some(holder) if Some(holder.id.as_str()) != except => {
                let message = format!("there is a user {username:?} already; take another name");
                Err(ServiceError::new(&USER_EXISTS, message))
            }
            _ => Ok(()),
        }
    }

    /// Whether an enabled administrator remains without this user.
    fn another_administers(&self, user: &User) -> ServiceResult<()> {
        let remains = !administers(&user.record)
            || self
                .users()
                .any(|other| other.id != user.id && administers(&other.record));
        if remains {
            return Ok(());
        }
        let message = format!(
            "{:?} is the last enabled user with the role `{ADMIN_ROLE}`; give the role to another first",
            user.record.username
        );
        Err(ServiceError::new(&LAST_ADMINISTRATOR, message))
    }
}

fn administers(user: &UserRecord) -> bool {
    user.enabled && user.roles.iter().any(|role| role == ADMIN_ROLE)
}

/// The roles, each once, if all exist.
fn known_roles(roles: Vec<String>) -> ServiceResult<Vec<String>> {
    let mut known: Vec<String> = Vec::with_capacity(roles.len());
    for role in roles {
        if !ROLES.iter().any(|builtin| builtin.name == role) {
            let all: Vec<_> = ROLES.iter().map(|role| role.name).collect();
            let message = format!("there is no role {role:?}; the roles are {}", all.join(", "));
            return Err(ServiceError::new(&ROLE_NOT_FOUND, message));
        }
        if !known.contains(&role) {
            known.push(role);
        }
    }
    Ok(known)
}
