//! The file of the signing key.

use std::path::Path;
use std::sync::Arc;

use rustydb_runtime::{ManualClock, SystemRng};
use rustydb_store::testing::MemStore;

use super::support::{START_US, settings};
use crate::identity::{IdentityError, IdentityService, PublicKey, SIGNING_KEY_FILE};

fn open(folder: Option<&Path>) -> Result<PublicKey, IdentityError> {
    let clock = Arc::new(ManualClock::new(START_US));
    let store = Arc::new(MemStore::new(Arc::clone(&clock) as _));
    let identity = IdentityService::open(store, clock, Arc::new(SystemRng), folder, settings())?;
    Ok(identity.public_key().clone())
}

#[test]
fn each_directory_has_a_key_of_its_own_that_stays() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = open(Some(here.path())).unwrap();
    assert_eq!(open(Some(here.path())).unwrap(), key);
    assert_ne!(open(Some(there.path())).unwrap(), key);
    assert_ne!(open(None).unwrap(), open(None).unwrap());
    let names: Vec<_> = std::fs::read_dir(here.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, [SIGNING_KEY_FILE]);
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone_and_refused_with_the_remedy_otherwise() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SIGNING_KEY_FILE);
    let key = open(Some(folder.path())).unwrap();
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    for open_to_others in [0o640, 0o604, 0o660] {
        mode(open_to_others);
        let refused = open(Some(folder.path())).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("chmod 600 {}", path.display())),
            "{refused}"
        );
        assert!(refused.contains(&format!("{open_to_others:04o}")), "{refused}");
    }
    mode(0o400);
    assert_eq!(open(Some(folder.path())).unwrap(), key);
}

#[test]
fn a_damaged_file_is_refused_by_name_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SIGNING_KEY_FILE);
    open(Some(folder.path())).unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    for damaged in [
        String::new(),
        whole[..whole.len() / 2].to_owned(),
        whole.replace("PRIVATE", "PUBLIC"),
    ] {
        std::fs::write(&path, &damaged).unwrap();
        let refused = open(Some(folder.path())).unwrap_err();
        assert!(
            refused.to_string().contains(&path.display().to_string()),
            "{refused}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
        let secret = whole.lines().nth(1).unwrap();
        assert!(!format!("{refused} {refused:?}").contains(&secret[..20]));
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let refused = open(Some(&missing)).unwrap_err().to_string();
    assert!(refused.contains("missing"), "{refused}");
}
