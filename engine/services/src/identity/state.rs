//! All identities in memory, so that a call is authenticated without reading the store.
//!
//! Only what a commit made durable comes in here. Ends of sessions and keys are kept in order of time, so that
//! sweeping looks at nothing that lives.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use rustydb_store::seam::CommitSeq;

use super::records::{ApiKey, Session, User};
use super::secret::Digest;

#[derive(Default)]
pub(crate) struct State {
    users: HashMap<String, User>,
    /// Ids by name.
    names: BTreeMap<String, String>,
    keys: HashMap<Digest, ApiKey>,
    /// By owner, then id.
    keys_of: HashMap<String, BTreeMap<String, ApiKey>>,
    /// When a key ends, its owner, its id.
    key_ends: BTreeSet<(i64, String, String)>,
    sessions: HashMap<String, Session>,
    families: HashMap<Digest, String>,
    sessions_of: HashMap<String, BTreeSet<String>>,
    session_ends: BTreeSet<(i64, String)>,
}

impl State {
    pub(crate) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    pub(crate) fn user_named(&self, name: &str) -> Option<&User> {
        self.users.get(self.names.get(name)?)
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// At most `users_max` users in the order of their names, behind the name `after`.
    pub(crate) fn users_after(&self, after: Option<&str>, users_max: usize) -> Vec<User> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self
            .names
            .range::<str, _>((start, Bound::Unbounded))
            .take(users_max);
        ids.filter_map(|(_, id)| self.users.get(id)).cloned().collect()
    }

    pub(crate) fn put_user(&mut self, user: User) {
        self.remove_user(&user.id);
        self.names.insert(user.record.username.clone(), user.id.clone());
        self.users.insert(user.id.clone(), user);
    }

    pub(crate) fn remove_user(&mut self, id: &str) {
        if let Some(user) = self.users.remove(id) {
            self.names.remove(&user.record.username);
        }
    }

    pub(crate) fn key(&self, digest: &Digest) -> Option<&ApiKey> {
        self.keys.get(digest)
    }

    pub(crate) fn key_of(&self, user_id: &str, id: &str) -> Option<&ApiKey> {
        self.keys_of.get(user_id)?.get(id)
    }

    /// Keys of a user in the order of their ids, which is that of their making.
    pub(crate) fn keys_of(&self, user_id: &str) -> impl Iterator<Item = &ApiKey> {
        self.keys_of.get(user_id).into_iter().flat_map(BTreeMap::values)
    }

    /// At most `keys_max` keys of a user, behind the id `after`.
    pub(crate) fn keys_after(&self, user_id: &str, after: Option<&str>, keys_max: usize) -> Vec<ApiKey> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys_of.get(user_id).into_iter();
        keys.flat_map(|keys| keys.range::<str, _>((start, Bound::Unbounded)))
            .take(keys_max)
            .map(|(_, key)| Arc::clone(key))
            .collect()
    }

    pub(crate) fn put_key(&mut self, key: ApiKey) {
        let owner = key.record.user_id.clone();
        self.remove_key(&owner, &key.id);
        if let Some(end) = key.record.expires_at_us {
            self.key_ends.insert((end, owner.clone(), key.id.clone()));
        }
        self.keys.insert(key.record.digest, Arc::clone(&key));
        self.keys_of.entry(owner).or_default().insert(key.id.clone(), key);
    }

    pub(crate) fn remove_key(&mut self, user_id: &str, id: &str) {
        let Some(keys) = self.keys_of.get_mut(user_id) else {
            return;
        };
        let Some(key) = keys.remove(id) else { return };
        if keys.is_empty() {
            self.keys_of.remove(user_id);
        }
        self.keys.remove(&key.record.digest);
        if let Some(end) = key.record.expires_at_us {
            self.key_ends.remove(&(end, user_id.to_owned(), id.to_owned()));
        }
    }

    /// At most `keys_max` keys that ended at `until_us` or before, the oldest first.
    pub(crate) fn keys_ended(&self, until_us: i64, keys_max: usize) -> Vec<ApiKey> {
        let ended = self.key_ends.iter().take_while(|(end, _, _)| *end <= until_us);
        ended
            .filter_map(|(_, owner, id)| self.key_of(owner, id))
            .take(keys_max)
            .cloned()
            .collect()
    }

    pub(crate) fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.get(id)
    }

    pub(crate) fn session_of_family(&self, family: &Digest) -> Option<&Session> {
        self.sessions.get(self.families.get(family)?)
    }

    pub(crate) fn sessions_of(&self, user_id: &str) -> Vec<Session> {
        let ids = self.sessions_of.get(user_id).into_iter().flatten();
        ids.filter_map(|id| self.sessions.get(id)).cloned().collect()
    }

    pub(crate) fn put_session(&mut self, session: Session) {
        self.remove_session(&session.id);
        let record = &session.record;
        self.families.insert(record.family, session.id.clone());
        self.sessions_of
            .entry(record.user_id.clone())
            .or_default()
            .insert(session.id.clone());
        self.session_ends
            .insert((record.expires_at_us, session.id.clone()));
        self.sessions.insert(session.id.clone(), session);
    }

    /// Puts a session in the place of its version `replaced`. One that ended meanwhile stays away.
    pub(crate) fn replace_session(&mut self, replaced: CommitSeq, session: Session) {
        if self
            .sessions
            .get(&session.id)
            .is_some_and(|held| held.version == replaced)
        {
            self.put_session(session);
        }
    }

    pub(crate) fn remove_session(&mut self, id: &str) -> Option<Session> {
        let session = self.sessions.remove(id)?;
        let record = &session.record;
        self.families.remove(&record.family);
        self.session_ends
            .remove(&(record.expires_at_us, session.id.clone()));
        if let Some(ids) = self.sessions_of.get_mut(&record.user_id) {
            ids.remove(id);
            if ids.is_empty() {
                self.sessions_of.remove(&record.user_id);
            }
        }
        Some(session)
    }

    /// At most `sessions_max` sessions that ended at `until_us` or before, the oldest first.
    pub(crate) fn sessions_ended(&self, until_us: i64, sessions_max: usize) -> Vec<Session> {
        let ended = self.session_ends.iter().take_while(|(end, _)| *end <= until_us);
        ended
            .filter_map(|(_, id)| self.sessions.get(id))
            .take(sessions_max)
            .cloned()
            .collect()
    }
}
