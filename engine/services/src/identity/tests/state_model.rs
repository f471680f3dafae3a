//! The indexes in memory against plain lists, under random changes.

use std::sync::Arc;

use rustydb_runtime::{Rng, SeededRng, SystemRng};
use rustydb_store::seam::CommitSeq;

use crate::identity::records::{
    ApiKey, ApiKeyRecord, PasswordHash, Session, SessionRecord, Stored, User, UserRecord,
};
use crate::identity::secret::Digest;
use crate::identity::state::State;

const STEPS: usize = 4_000;

struct Model {
    rng: SeededRng,
    users: Vec<User>,
    keys: Vec<ApiKey>,
    sessions: Vec<Session>,
}

fn put<T>(list: &mut Vec<Arc<Stored<T>>>, put: Arc<Stored<T>>) {
    list.retain(|held| held.id != put.id);
    list.push(put);
}

impl Model {
    fn id(&self, kind: &str, of: u64) -> String {
        format!("{kind}{:02}", self.rng.below(of))
    }

    fn step(&mut self, state: &mut State, version: u64) {
        let version = CommitSeq(version);
        let end = self.rng.below(50) as i64;
        let user_id = self.id("u", 6);
        match self.rng.below(8) {
            0 => {
                // Names are unique by the callers' care: one per id, in one of two spellings.
                let username = format!("{}-{user_id}", self.rng.below(2));
                let record = UserRecord {
                    username,
                    password_hash: PasswordHash(String::new()),
                    roles: vec![],
                    enabled: true,
                    generation: 0,
                    created_at_us: 0,
                    updated_at_us: 0,
                };
                let user = Arc::new(Stored {
                    id: user_id,
                    version,
                    record,
                });
                state.put_user(Arc::clone(&user));
                put(&mut self.users, user);
            }
            1 => {
                state.remove_user(&user_id);
                self.users.retain(|user| user.id != user_id);
            }
            2 | 3 => {
                let id = self.id("k", 20);
                // A key keeps its owner.
                let owner = format!("u{}", &id[2..]);
                let record = ApiKeyRecord {
                    user_id: owner,
                    name: String::new(),
                    digest: Digest::of(format!("{id}{}", version.0).as_bytes()),
                    created_at_us: 0,
                    expires_at_us: (end > 10).then_some(end),
                };
                let key = Arc::new(Stored { id, version, record });
                state.put_key(Arc::clone(&key));
                put(&mut self.keys, key);
            }
            4 => {
                let id = self.id("k", 20);
                state.remove_key(&format!("u{}", &id[2..]), &id);
                self.keys.retain(|key| key.id != id);
            }
            5 | 6 => {
                let id = self.id("s", 20);
                let record = SessionRecord {
                    user_id: format!("u{}", &id[2..]),
                    generation: 0,
                    family: Digest::of(id.as_bytes()),
                    secret: Digest::of(b""),
                    created_at_us: 0,
                    expires_at_us: end,
                };
                let session = Arc::new(Stored {
                    id: id.clone(),
                    version,
                    record,
                });
                let held = self
                    .sessions
                    .iter()
                    .find(|held| held.id == id)
                    .map(|held| held.version);
                match self.rng.below(3) {
                    0 => {
                        state.put_session(Arc::clone(&session));
                        put(&mut self.sessions, session);
                    }
                    1 => {
                        state.replace_session(held.unwrap_or_default(), Arc::clone(&session));
                        if held.is_some() {
                            put(&mut self.sessions, session);
                        }
                    }
                    // A version that is not held.
                    _ => state.replace_session(version, session),
                }
            }
            _ => {
                let id = self.id("s", 20);
                state.remove_session(&id);
                self.sessions.retain(|session| session.id != id);
            }
        }
    }

    fn check(&self, state: &State) {
        let until = self.rng.below(60) as i64;
        let mut by_name = self.users.clone();
        by_name.sort_by(|a, b| a.record.username.cmp(&b.record.username));
        assert_eq!(state.users_after(None, 100), by_name);
        assert_eq!(state.has_users(), !self.users.is_empty());
        for user in &by_name {
            assert_eq!(state.user_named(&user.record.username), Some(user));
        }
        let mut ended: Vec<_> = self
            .sessions
            .iter()
            .filter(|held| held.record.expires_at_us <= until)
            .collect();
        ended.sort_by_key(|held| (held.record.expires_at_us, held.id.clone()));
        assert_eq!(state.sessions_ended(until, 100).iter().collect::<Vec<_>>(), ended);
        assert_eq!(state.sessions_ended(until, 2).len(), ended.len().min(2));
        let mut ended: Vec<_> = self
            .keys
            .iter()
            .filter(|held| held.record.expires_at_us.is_some_and(|end| end <= until))
            .collect();
        ended.sort_by_key(|held| {
            (
                held.record.expires_at_us,
                held.record.user_id.clone(),
                held.id.clone(),
            )
        });
        assert_eq!(state.keys_ended(until, 100).iter().collect::<Vec<_>>(), ended);
        for at in 0..10 {
            let owner = format!("u{at}");
            let mut keys: Vec<_> = self
                .keys
                .iter()
                .filter(|held| held.record.user_id == owner)
                .collect();
            keys.sort_by_key(|held| held.id.clone());
            assert_eq!(state.keys_of(&owner).collect::<Vec<_>>(), keys);
            if let Some((first, rest)) = keys.split_first() {
                assert_eq!(
                    state
                        .keys_after(&owner, Some(&first.id), 100)
                        .iter()
                        .collect::<Vec<_>>(),
                    rest
                );
                assert_eq!(state.key(&first.record.digest), Some(*first));
            }
            let sessions = self
                .sessions
                .iter()
                .filter(|held| held.record.user_id == owner)
                .count();
            assert_eq!(state.sessions_of(&owner).len(), sessions);
        }
        for id in (0..20).map(|at| format!("s{at:02}")) {
            let held = self.sessions.iter().find(|held| held.id == id);
            assert_eq!(state.session(&id), held);
            assert_eq!(state.session_of_family(&Digest::of(id.as_bytes())), held);
        }
    }
}

#[test]
fn the_state_answers_like_plain_lists() {
    let mut seed = [0; 8];
    SystemRng.fill(&mut seed);
    let seed = u64::from_le_bytes(seed);
    eprintln!("seed {seed}");
    let mut model = Model {
        rng: SeededRng::new(seed),
        users: Vec::new(),
        keys: Vec::new(),
        sessions: Vec::new(),
    };
    let mut state = State::default();
    for step in 0..STEPS {
        model.step(&mut state, step as u64 + 1);
        model.check(&state);
    }
}
