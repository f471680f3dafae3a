//! What an operator or a test may set.

/// How long credentials live and what they cost.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Life of an access token.
    pub access_token_seconds: u32,
    /// Life of a refresh token; a session ends that long after its login or its last refresh.
    pub refresh_token_seconds: u32,
    /// Keys of one user that have not expired.
    pub api_keys_per_user_max: usize,
    /// How long an expired key stays in its owner's list.
    pub expired_api_key_kept_seconds: u32,
    pub password_cost: PasswordCost,
    /// Passwords hashed at the same moment; further ones wait. Bounds memory: each takes
    /// [`PasswordCost::memory_kib`].
    pub password_hashes_at_once_max: usize,
    /// Access tokens whose signature is known to be good.
    pub verified_tokens_max: usize,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        IdentitySettings {
            access_token_seconds: 3_600,
            refresh_token_seconds: 30 * 86_400,
            api_keys_per_user_max: 100,
            expired_api_key_kept_seconds: 30 * 86_400,
            password_cost: PasswordCost::default(),
            password_hashes_at_once_max: std::thread::available_parallelism().map_or(1, |cpus| cpus.get()),
            verified_tokens_max: 10_000,
        }
    }
}

/// Parameters of argon2id. The default is the first choice of OWASP's Password Storage Cheat Sheet with one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        PasswordCost {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
        }
    }
}
