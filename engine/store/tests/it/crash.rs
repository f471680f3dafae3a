//! The power fails at every operation of a load.

use rustydb_store::redb_store::cut_disk::Survival;

use crate::crash_load::Load;
use crate::reference::seed_of;

/// Cuts `load` at every operation; returns how many images were opened.
fn cut_everywhere(load: &Load, survivals: &[Survival]) -> Result<usize, String> {
    let mut images = 0;
    for cut in load.disk.cuts() {
        for survival in survivals {
            if *survival != Survival::Nothing && cut.unsynced() == 0 {
                // The same image as the one of `Nothing`.
                continue;
            }
            load.check(cut.position(), cut.image(*survival)).map_err(|what| {
                format!(
                    "cut behind {} operations, {survival:?} survives: {what}",
                    cut.position()
                )
            })?;
            images += 1;
        }
    }
    Ok(images)
}

#[test]
fn a_cut_at_any_operation_loses_no_acknowledged_commit_and_keeps_no_half() {
    let load = Load::run(seed_of("a_cut_at_any_operation"), 1, 200, false);
    assert_eq!(load.commits(), 200);
    let images = cut_everywhere(&load, &Survival::ALL).unwrap();
    println!(
        "{} commits, {} operations, {images} images",
        load.commits(),
        load.disk.position()
    );
    assert!(images > load.disk.position());
}

/// Commits of several clients that share a sync.
#[test]
fn a_cut_during_group_commits_loses_no_acknowledged_commit_and_keeps_no_half() {
    let load = Load::run(seed_of("a_cut_during_group_commits"), 4, 20, false);
    assert_eq!(load.commits(), 80);
    let images = cut_everywhere(&load, &Survival::ALL).unwrap();
    println!(
        "{} commits, {} operations, {images} images",
        load.commits(),
        load.disk.position()
    );
}

/// The harness is worth something only if it sees a store that answers too early.
#[test]
fn a_store_that_acknowledges_before_its_commit_is_caught() {
    for clients in [1, 4] {
        let load = Load::run(seed_of("acknowledges_before_its_commit"), clients, 12, true);
        let caught = cut_everywhere(&load, &[Survival::Nothing]).unwrap_err();
        assert!(caught.contains("commits were acknowledged"), "{caught}");
    }
}
