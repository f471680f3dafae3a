//! Opaque cursors: the last key of a page, bound to its list.
//!
//! A cursor is base64url of 4 bytes of SHA-256 over the list and the key, then the key. The hash is no secret: it
//! finds damage and cursors of other lists, whose keys mean nothing here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use rustydb_contract::{Cursor, ServiceResult};
use rustydb_contract_core::access::LIMITS;
use sha2::{Digest as _, Sha256};

use super::error::invalid_argument;

const CHECK_BYTES: usize = 4;
/// Longer ones are refused undecoded.
const CURSOR_CHARS_MAX: usize = 16_384;

/// Items on a page, of what the caller asked for.
pub fn page_items(limit: Option<u32>) -> usize {
    limit.unwrap_or(LIMITS.page_default).clamp(1, LIMITS.page_max) as usize
}

/// A page out of up to one item more than it may have; a further one means that there is a next page.
pub fn page<T>(
    list: &str,
    mut items: Vec<T>,
    items_max: usize,
    key: impl Fn(&T) -> &str,
) -> (Vec<T>, Option<Cursor>) {
    if items.len() <= items_max {
        return (items, None);
    }
    items.truncate(items_max);
    let next = items.last().map(|last| cursor(list, key(last)));
    (items, next)
}

/// The cursor behind `key` in the list named `list`.
pub fn cursor(list: &str, key: &str) -> Cursor {
    let mut bytes = check(list, key.as_bytes()).to_vec();
    bytes.extend_from_slice(key.as_bytes());
    Cursor(BASE64_URL.encode(bytes))
}

/// The key behind which a page starts.
pub fn after(list: &str, cursor: Option<Cursor>) -> ServiceResult<Option<String>> {
    let Some(Cursor(text)) = cursor else {
        return Ok(None);
    };
    let key = || {
        if text.len() > CURSOR_CHARS_MAX {
            return None;
        }
        let bytes = BASE64_URL.decode(&text).ok()?;
        let (found, key) = bytes.split_at_checked(CHECK_BYTES)?;
        if found != check(list, key) {
            return None;
        }
        String::from_utf8(key.to_vec()).ok()
    };
    key().map(Some).ok_or_else(|| {
        invalid_argument(
            "after",
            "after: not a cursor of this list; give the `next` of its page before, unchanged",
        )
    })
}

fn check(list: &str, key: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new()
        .chain_update(list)
        .chain_update([0])
        .chain_update(key)
        .finalize();
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_gives_its_key_back() {
        for key in ["", "a", "alice@example.com", "ünï", &"x".repeat(128)] {
            assert_eq!(
                after("users", Some(cursor("users", key))).unwrap().as_deref(),
                Some(key)
            );
        }
        assert_eq!(after("users", None).unwrap(), None);
    }

    #[test]
    fn every_damaged_letter_is_found_and_named() {
        let Cursor(text) = cursor("users", "alice");
        for at in 0..text.len() {
            for letter in ['A', 'b', '9', '*', '='] {
                let mut damaged = text.clone();
                damaged.replace_range(at..=at, &letter.to_string());
                if damaged == text {
                    continue;
                }
                let refused = after("users", Some(Cursor(damaged.clone()))).unwrap_err();
                assert_eq!(refused.code(), "INVALID_ARGUMENT", "{damaged}");
                assert_eq!(refused.details().unwrap()["field"], "after");
            }
        }
        for text in [
            String::new(),
            "A".to_owned(),
            text[..text.len() - 1].to_owned(),
            "A".repeat(1 << 20),
        ] {
            assert!(after("users", Some(Cursor(text))).is_err());
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        assert!(after("keys", Some(cursor("users", "alice"))).is_err());
    }

    #[test]
    fn a_page_size_stays_within_the_contract() {
        assert_eq!(page_items(None), LIMITS.page_default as usize);
        assert_eq!(page_items(Some(7)), 7);
        assert_eq!(page_items(Some(u32::MAX)), LIMITS.page_max as usize);
        assert_eq!(page_items(Some(0)), 1);
    }
}
