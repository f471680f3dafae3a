//! The bytes of docs/format/identity.md, as golden files.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::identity::records::{ApiKeyRecord, PasswordHash, SessionRecord, UserRecord, decode, encode};
use crate::identity::secret::Digest;

/// SHA-256 of nothing, as everybody knows it, in base64url.
const DIGEST: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(record: T, golden: &str) {
    assert_eq!(String::from_utf8(encode(&record)).unwrap(), golden);
    assert_eq!(decode::<T>(golden.as_bytes()).unwrap(), record);
}

#[test]
fn records_have_the_documented_bytes() {
    same(
        UserRecord {
            username: "alice".to_owned(),
            password_hash: PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()),
            roles: vec!["analyst".to_owned()],
            enabled: true,
            generation: 3,
            created_at_us: 1_769_860_800_250_000,
            updated_at_us: 1_769_860_800_250_001,
        },
        concat!(
            r#"{"format":1,"record":{"username":"alice","password_hash":"#,
            r#""$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA","roles":["analyst"],"enabled":true,"generation":3,"#,
            r#""created_at_us":1769860800250000,"updated_at_us":1769860800250001}}"#
        ),
    );
    let key = ApiKeyRecord {
        user_id: "u".to_owned(),
        name: "Production".to_owned(),
        digest: Digest::of(b""),
        created_at_us: 1,
        expires_at_us: Some(2),
    };
    let golden = format!(
        r#"{{"format":1,"record":{{"user_id":"u","name":"Production","digest":"{DIGEST}","created_at_us":1,"expires_at_us":2}}}}"#
    );
    same(key.clone(), &golden);
    same(
        ApiKeyRecord {
            expires_at_us: None,
            ..key
        },
        &golden.replace(r#","expires_at_us":2"#, ""),
    );
    same(
        SessionRecord {
            user_id: "u".to_owned(),
            generation: 3,
            family: Digest::of(b""),
            secret: Digest::of(b""),
            created_at_us: 1,
            expires_at_us: 2,
        },
        &format!(
            r#"{{"format":1,"record":{{"user_id":"u","generation":3,"family":"{DIGEST}","secret":"{DIGEST}","created_at_us":1,"expires_at_us":2}}}}"#
        ),
    );
}
