//! Pages of a tree against a sorted list of version keys.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rustydb_runtime::SeededRng;

use super::{each_seed, empty};
use crate::ids::{PageId, TablespaceId, Ts};
use crate::page::header::PageKind;
use crate::page::node::{self, Cell, OwnedVersionKey, Place, VersionKey};
use crate::page::slotted::{self, Refused};
use crate::page::{PageBuf, Torn};

const OWNER: u64 = 12;

/// Few different bytes, so that keys begin alike and one is often the beginning of another.
fn random_key(rng: &SeededRng, prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    let rest = rng.below(9);
    key.extend((0..rest).map(|_| [0, 1, 0x7f, 0xff][rng.below(4) as usize]));
    key
}

fn random_version_key(rng: &SeededRng, prefix: &[u8]) -> OwnedVersionKey {
    let ts = match rng.below(10) {
        0 => Ts::MAX,
        1 => Ts(0),
        _ => Ts(rng.below(6)),
    };
    OwnedVersionKey {
        key: random_key(rng, prefix),
        ts,
    }
}

fn cell(key: VersionKey<'_>, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Cell {
        ts: key.ts,
        flags: 0,
        key: key.key,
        value,
    }
    .append_to(&mut bytes);
    bytes
}

/// A list that is sorted by [`VersionKey`]'s rule, written out once more: keys ascend, versions descend.
type Model = BTreeMap<(Vec<u8>, std::cmp::Reverse<u64>), Vec<u8>>;

fn place_in(model: &Model, target: VersionKey<'_>) -> usize {
    let target = (target.key.to_vec(), std::cmp::Reverse(target.ts.0));
    model.keys().take_while(|key| **key < target).count()
}

fn within(key: VersionKey<'_>, lower: &Option<OwnedVersionKey>, upper: &Option<OwnedVersionKey>) -> bool {
    lower.as_ref().is_none_or(|lower| lower.borrow() <= key)
        && upper.as_ref().is_none_or(|upper| key < upper.borrow())
}

/// Two fences, one, or none; with a common beginning of any length.
fn random_fences(rng: &SeededRng, prefix: &[u8]) -> (Option<OwnedVersionKey>, Option<OwnedVersionKey>) {
    loop {
        let lower = (rng.below(4) > 0).then(|| random_version_key(rng, prefix));
        let upper = (rng.below(4) > 0).then(|| random_version_key(rng, prefix));
        match (&lower, &upper) {
            (Some(low), Some(high)) if low.borrow() >= high.borrow() => {}
            _ => return (lower, upper),
        }
    }
}

fn run(rng: &SeededRng) {
    let prefix = vec![b'p'; [0, 0, 3, 200][rng.below(4) as usize]];
    let (lower, upper) = random_fences(rng, &prefix);
    let mut page = empty(PageKind::TreeLeaf);
    let borrow = |fence: &Option<OwnedVersionKey>| fence.clone();
    node::format(
        &mut page,
        OWNER,
        0,
        lower.as_ref().map(OwnedVersionKey::borrow),
        upper.as_ref().map(OwnedVersionKey::borrow),
    )
    .expect("fences fit");
    let mut model = Model::new();
    for step in 0..300_u32 {
        let key = random_version_key(rng, &prefix);
        let target = key.borrow();
        let lower_order = borrow(&lower).map_or(Ordering::Less, |fence| fence.borrow().cmp(&target));
        let upper_order = borrow(&upper).map_or(Ordering::Greater, |fence| fence.borrow().cmp(&target));
        assert_eq!(node::compare_lower(&*page, target), Ok(lower_order));
        assert_eq!(node::compare_upper(&*page, target), Ok(upper_order));
        if !within(target, &lower, &upper) {
            continue;
        }
        let found = node::lower_bound(&*page, target).expect("a page of its own making");
        assert_eq!(found, place_in(&model, target), "{target:?}");
        let model_key = (key.key.clone(), std::cmp::Reverse(key.ts.0));
        let value = vec![step as u8; rng.below(60) as usize];
        let bytes = cell(target, &value);
        let made = match model.contains_key(&model_key) {
            true if rng.below(2) == 0 => {
                slotted::remove(&mut page, found).expect("the cell");
                model.remove(&model_key);
                continue;
            }
            true => node::replace(&mut page, found, &bytes),
            false => node::insert(&mut page, found, &bytes),
        };
        match made {
            Ok(()) => drop(model.insert(model_key, value)),
            Err(refused) => assert_eq!(refused, Refused::Full),
        }
        check(&page, &model, &lower, &upper);
    }
    slotted::compact(&mut page).expect("a page of its own making");
    check(&page, &model, &lower, &upper);
}

fn check(page: &PageBuf, model: &Model, lower: &Option<OwnedVersionKey>, upper: &Option<OwnedVersionKey>) {
    let found: Vec<(Vec<u8>, u64, Vec<u8>)> = (0..slotted::count(&**page).expect("slots"))
        .map(|index| {
            let cell = node::cell(page, index).expect("a cell");
            (cell.key.to_vec(), cell.ts.0, cell.value.to_vec())
        })
        .collect();
    let expected: Vec<_> = model
        .iter()
        .map(|((key, ts), value)| (key.clone(), ts.0, value.clone()))
        .collect();
    assert_eq!(found, expected);
    let fence =
        |found: Result<Option<VersionKey<'_>>, Torn>| found.expect("a fence").map(VersionKey::to_owned);
    assert_eq!(fence(node::lower_fence(page)), *lower);
    assert_eq!(fence(node::upper_fence(page)), *upper);
    assert_eq!(node::has_upper_fence(&**page), Ok(upper.is_some()));
    let at_upper = upper
        .as_ref()
        .map(|upper| node::upper_fence_ts(&**page, &upper.key).expect("a fence"));
    assert_eq!(at_upper.flatten(), upper.as_ref().map(|upper| upper.ts));
}

#[test]
fn a_page_finds_each_key_where_its_model_has_it() {
    each_seed(150, run);
}

#[test]
fn an_inner_page_leads_to_the_child_whose_range_holds_the_key() {
    each_seed(100, |rng| {
        let mut page = empty(PageKind::TreeInner);
        node::format(&mut page, OWNER, 1, None, None).expect("no fences");
        let mut separators = vec![VersionKey::FIRST.to_owned()];
        for _ in 0..rng.below(40) {
            let key = random_version_key(rng, b"");
            if !separators.contains(&key) {
                separators.push(key);
            }
        }
        separators.sort_by(|left, right| left.borrow().cmp(&right.borrow()));
        for (index, key) in separators.iter().enumerate() {
            let child = PageId::new(TablespaceId::MAIN, index as u32 + 10);
            let bytes = cell(key.borrow(), &child.to_number().to_le_bytes());
            node::insert(&mut page, index, &bytes).expect("room");
        }
        let number = |index: usize| PageId::new(TablespaceId::MAIN, index as u32 + 10);
        for _ in 0..200 {
            let key = random_version_key(rng, b"");
            let not_behind = separators.iter().filter(|at| at.borrow() <= key.borrow()).count();
            let before = separators.iter().filter(|at| at.borrow() < key.borrow()).count();
            assert_eq!(node::child_for(&*page, key.borrow()), Ok(number(not_behind - 1)));
            let expected = before.checked_sub(1).map(number).ok_or(Torn);
            assert_eq!(node::child_before(&*page, key.borrow()), expected);
        }
        assert_eq!(node::last_child(&*page), Ok(number(separators.len() - 1)));
    });
}

#[test]
fn a_separator_parts_two_keys_and_no_shorter_one_does() {
    each_seed(20, |rng| {
        for _ in 0..500 {
            let (left, right) = (random_version_key(rng, b""), random_version_key(rng, b""));
            let (left, right) = (left.borrow(), right.borrow());
            if left >= right {
                continue;
            }
            let separator = node::separator(left, right);
            assert!(left < separator.borrow(), "{left:?} {separator:?}");
            assert!(separator.borrow() <= right, "{separator:?} {right:?}");
            if left.key != right.key {
                let shorter = &right.key[..separator.key.len() - 1];
                assert!(VersionKey::newest(shorter) <= left, "{shorter:?} would do");
            }
        }
    });
}

/// A slot's four bytes must never say more than the key does.
#[test]
fn heads_sort_as_the_keys_do_behind_their_common_beginning() {
    each_seed(20, |rng| {
        let prefix = vec![b'x'; rng.below(3) as usize];
        for _ in 0..500 {
            let (left, right) = (random_key(rng, &prefix), random_key(rng, &prefix));
            let heads = (
                node::head_of(&left, prefix.len()),
                node::head_of(&right, prefix.len()),
            );
            if heads.0 != heads.1 {
                assert_eq!(heads.0.cmp(&heads.1), left.cmp(&right), "{left:?} {right:?}");
            }
        }
    });
}

#[test]
fn a_page_is_only_at_its_own_place() {
    let mut page = empty(PageKind::TreeLeaf);
    node::format(&mut page, OWNER, 0, None, None).expect("no fences");
    let place = Place {
        page: super::id(),
        owner: OWNER,
        level: 0,
    };
    assert_eq!(node::is_at(&*page, place), Ok(true));
    let other = PageId::new(TablespaceId::MAIN, 78);
    assert_eq!(node::is_at(&*page, Place { page: other, ..place }), Ok(false));
    assert_eq!(node::is_at(&*page, Place { owner: 13, ..place }), Ok(false));
    assert_eq!(node::is_at(&*page, Place { level: 1, ..place }), Ok(false));
}
