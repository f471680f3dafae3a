//! One behaviour each.

use super::*;

#[test]
fn a_read_gives_what_was_installed_and_then_what_is_on_disk() {
    let fixture = Fixture::new(8);
    let pin = fixture.pool.pin_new(id(1)).expect("a frame");
    fixture.install(&pin, 5);
    assert_eq!(fixture.value(id(1)).expect("a page"), 5);
    drop(pin);
    assert!(fixture.disk.get(id(1)).is_none());
    assert!(fixture.pool.flush_page(id(1)).expect("a disk"));
    assert!(!fixture.pool.flush_page(id(1)).expect("clean now"));
    assert!(fixture.pool.discard(id(1)));
    assert_eq!(fixture.value(id(1)).expect("a page"), 5);
    assert_eq!(fixture.disk.reads.load(Ordering::SeqCst), 1);
    assert_eq!(fixture.value(id(1)).expect("a page"), 5);
    assert_eq!(fixture.disk.reads.load(Ordering::SeqCst), 1);
    let counts = fixture.pool.counts();
    assert_eq!((counts.hits, counts.misses), (2, 1));
}

#[test]
fn pages_are_written_only_after_their_log() {
    let fixture = Fixture::new(8);
    let pins: Vec<Pin> = (0..4)
        .map(|n| fixture.pool.pin_new(id(n)).expect("a frame"))
        .collect();
    for pin in &pins {
        fixture.install(pin, 1);
    }
    let flushed = fixture.pool.flush_some(10).expect("a disk");
    assert_eq!((flushed.pages, flushed.not_durable), (0, 4));
    fixture.log.sync();
    fixture.install(&pins[3], 2);
    let flushed = fixture.pool.flush_some(10).expect("a disk");
    assert_eq!((flushed.pages, flushed.not_durable), (3, 1));
    let syncs = fixture.log.syncs.load(Ordering::SeqCst);
    // The disk asserts the order.
    assert!(fixture.pool.flush_page(id(3)).expect("a disk"));
    assert_eq!(fixture.log.syncs.load(Ordering::SeqCst), syncs + 1);
    assert_eq!(fixture.pool.oldest_dirty(), None);
}

#[test]
fn neighbours_are_written_with_one_request() {
    let fixture = Fixture::new(32);
    for number in [7, 20, 6, 5, 21, 9] {
        let pin = fixture.pool.pin_new(id(number)).expect("a frame");
        fixture.install(&pin, u64::from(number));
    }
    fixture.log.sync();
    let before = fixture.disk.requests.load(Ordering::SeqCst);
    let flushed = fixture.pool.flush_some(3).expect("a disk");
    assert_eq!(flushed.pages, 3);
    assert_eq!(fixture.disk.requests.load(Ordering::SeqCst), before + 1);
    // 7 is the oldest and has no dirty page behind it; then 20 with 21.
    let clean = |number| fixture.disk.get(id(number)).is_some();
    assert!(clean(7) && clean(20) && clean(21));
}

#[test]
fn the_recovery_lsn_is_of_the_first_change_since_the_last_write() {
    let fixture = Fixture::new(8);
    let first = fixture.pool.pin_new(id(1)).expect("a frame");
    let second = fixture.pool.pin_new(id(2)).expect("a frame");
    let lsn = fixture.install(&first, 1);
    fixture.install(&first, 2);
    let later = fixture.install(&second, 3);
    assert_eq!(fixture.pool.oldest_dirty(), Some(lsn));
    let flushed = fixture.pool.flush_before(later).expect("a disk");
    assert_eq!(flushed.pages, 1);
    assert_eq!(fixture.pool.oldest_dirty(), Some(later));
    let again = fixture.install(&first, 4);
    let since = fixture.pool.page_info(id(1)).and_then(|page| page.dirty_since);
    assert_eq!(since, Some(again));
}

#[test]
fn a_failed_write_leaves_the_page_dirty() {
    let fixture = Fixture::new(8);
    let pin = fixture.pool.pin_new(id(1)).expect("a frame");
    let lsn = fixture.install(&pin, 1);
    fixture.disk.fail.store(true, Ordering::SeqCst);
    fixture.pool.flush_all().expect_err("the disk fails");
    assert_eq!(fixture.pool.oldest_dirty(), Some(lsn));
    fixture.disk.fail.store(false, Ordering::SeqCst);
    assert_eq!(fixture.pool.flush_all().expect("a disk").pages, 1);
    assert_eq!(fixture.pool.oldest_dirty(), None);
}

#[test]
fn a_page_that_was_never_installed_is_let_go_of() {
    let fixture = Fixture::new(8);
    fixture.disk.put(id(3), 9);
    let pin = fixture.pool.pin_new(id(3)).expect("a frame");
    assert_eq!(fixture.pool.read(id(3), |view| view.u64(0)).expect("zeros"), 0);
    drop(pin);
    assert_eq!(fixture.pool.page_info(id(3)), None);
    assert_eq!(fixture.value(id(3)).expect("as on disk"), 9);
}

#[test]
fn a_pool_of_pinned_pages_says_that_it_is_exhausted() {
    let fixture = Fixture::new(8);
    let mut pins: Vec<Pin> = (0..8)
        .map(|n| fixture.pool.pin_new(id(n)).expect("a frame"))
        .collect();
    for pin in &pins {
        fixture.install(pin, 1);
    }
    fixture.disk.put(id(100), 7);
    match fixture.value(id(100)) {
        Err(KernelError::PoolExhausted { frames: 8 }) => {}
        other => panic!("{other:?}"),
    }
    // A page that is not durable is made so rather than that the call fails.
    pins.pop();
    assert_eq!(fixture.value(id(100)).expect("a frame came free"), 7);
    assert!(fixture.disk.get(id(7)).is_some());
}

#[test]
fn a_corrupt_page_is_an_error_each_time() {
    let fixture = Fixture::new(8);
    for _ in 0..20 {
        match fixture.value(id(5)) {
            Err(KernelError::CorruptPage { page, what, .. }) => {
                assert_eq!((page, what), (id(5), "never written"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fixture.pool.counts().load_failures, 20);
    assert_eq!(fixture.pool.info().resident, 0);
}

#[test]
fn nonsense_in_an_unchanged_page_is_corruption() {
    let fixture = Fixture::new(8);
    fixture.disk.put(id(1), 1);
    for _ in 0..2 {
        let read = fixture.pool.read(id(1), |view| view.u32(8190));
        assert!(
            matches!(read, Err(KernelError::CorruptPage { found: 8194, .. })),
            "{read:?}"
        );
    }
}

#[test]
fn views_read_what_slices_do() {
    let fixture = Fixture::new(8);
    let pin = fixture.pool.pin_new(id(1)).expect("a frame");
    let mut bytes = page(id(1), 0);
    let rng = rustydb_runtime::SeededRng::new(11);
    rustydb_runtime::Rng::fill(&rng, &mut bytes[24..]);
    pin.install(&bytes, Lsn(0));
    let slice = bytes.as_slice();
    for _ in 0..20_000 {
        let offset = 24 + rng.below(8192 - 24 + 8) as usize;
        let len = rng.below(40) as usize;
        let end = offset + len;
        // A key that shares a beginning with what is there.
        let mut key = slice.get(offset..end).unwrap_or_default().to_vec();
        match rng.below(4) {
            0 => key.truncate(rng.below(41) as usize),
            1 => key.extend_from_slice(&[0, 1]),
            2 if !key.is_empty() => {
                let at = rng.below(key.len() as u64) as usize;
                key[at] = key[at].wrapping_add(rng.below(256) as u8);
            }
            _ => {}
        }
        let read = pin.read(|view| {
            let mut copied = vec![1, 2, 3];
            view.bytes_into(offset, len, &mut copied)?;
            Ok((copied, view.compare(offset, len, &key)?))
        });
        match slice.get(offset..end) {
            Some(there) => {
                let (copied, order) = read.expect("inside of the page");
                assert_eq!(&copied[3..], there, "{len} bytes at {offset}");
                assert_eq!(order, there.cmp(&key), "{len} bytes at {offset} and {key:?}");
            }
            None => assert!(read.is_err(), "{len} bytes at {offset}"),
        }
        let number = pin.read(|view| view.u64(offset)).ok();
        let bytes = slice.get(offset..offset + 8);
        assert_eq!(
            number,
            bytes.map(|b| u64::from_le_bytes(b.try_into().expect("8")))
        );
        let number = pin.read(|view| view.u32(offset)).ok();
        let bytes = slice.get(offset..offset + 4);
        assert_eq!(
            number,
            bytes.map(|b| u32::from_le_bytes(b.try_into().expect("4")))
        );
        let number = pin.read(|view| view.u16(offset)).ok();
        let bytes = slice.get(offset..offset + 2);
        assert_eq!(
            number,
            bytes.map(|b| u16::from_le_bytes(b.try_into().expect("2")))
        );
        assert_eq!(pin.read(|view| view.u8(offset)).ok(), slice.get(offset).copied());
    }
    pin.read(|view| view.compare(usize::MAX, 8, b"12345678"))
        .expect_err("outside of the page");
    pin.read(|view| view.word(1024)).expect_err("outside of the page");
}

#[test]
fn clients_pin_by_page_and_count() {
    let fixture = Fixture::new(8);
    fixture.disk.put(id(1), 1);
    assert_eq!(fixture.pool.unpin_for_client(id(1)), None);
    assert_eq!(fixture.pool.pin_for_client(id(1)).expect("a page"), 1);
    assert_eq!(fixture.pool.pin_for_client(id(1)).expect("a page"), 2);
    assert_eq!(fixture.pool.client_pins(), [(id(1), 2)]);
    assert_eq!(fixture.pool.pinned_pages().len(), 1);
    assert!(!fixture.pool.discard(id(1)));
    assert_eq!(fixture.pool.unpin_for_client(id(1)), Some(1));
    assert_eq!(fixture.pool.unpin_for_client(id(1)), Some(0));
    assert_eq!(fixture.pool.pinned_pages(), []);
    assert!(fixture.pool.discard(id(1)));
}

#[test]
fn pages_are_read_ahead_with_one_request() {
    let fixture = Fixture::new(16);
    for number in 0..10 {
        fixture.disk.put(id(number), u64::from(number));
    }
    fixture.value(id(4)).expect("a page");
    let ids: Vec<PageId> = (0..10).rev().map(id).collect();
    assert_eq!(fixture.pool.prefetch(&ids).expect("a disk"), 9);
    assert_eq!(fixture.disk.requests.load(Ordering::SeqCst), 2);
    for number in 0..10 {
        assert_eq!(fixture.value(id(number)).expect("a page"), u64::from(number));
    }
    assert_eq!(fixture.disk.requests.load(Ordering::SeqCst), 2);
    // A failure leaves nothing behind.
    fixture
        .pool
        .prefetch(&[id(11), id(12)])
        .expect_err("never written");
    fixture.disk.put(id(11), 11);
    assert_eq!(fixture.value(id(11)).expect("a page"), 11);
}

#[test]
fn a_pool_grows_and_shrinks_by_chunks() {
    let fixture = Fixture::new(3000);
    for number in 0..3000 {
        fixture.disk.put(id(number), u64::from(number));
        fixture.value(id(number)).expect("a page");
    }
    let chunks = |pool: &Pool| pool.inner.table.layout().chunks.iter().flatten().count();
    assert_eq!(chunks(&fixture.pool), 3);
    let pinned = fixture.pool.pin(id(2999)).expect("a page");
    assert_eq!(fixture.pool.resize(500).expect("a disk"), 500);
    assert_eq!(
        chunks(&fixture.pool),
        2,
        "one for the pinned page and one for the others"
    );
    assert_eq!(fixture.pool.info().resident, 500);
    for number in 0..3000 {
        assert_eq!(fixture.value(id(number)).expect("a page"), u64::from(number));
    }
    drop(pinned);
    assert_eq!(fixture.pool.resize(5000).expect("memory"), 5000);
    for number in 0..3000 {
        fixture.value(id(number)).expect("a page");
    }
    fixture.pool.reset_counts();
    for number in 0..3000 {
        assert_eq!(fixture.value(id(number)).expect("a page"), u64::from(number));
    }
    let counts = fixture.pool.counts();
    assert_eq!((counts.hits, counts.misses), (3000, 0));
    let resident: BTreeSet<PageId> = fixture
        .pool
        .resident_pages()
        .iter()
        .map(|page| page.page)
        .collect();
    assert_eq!(resident.len(), 3000);
}

#[test]
fn events_are_told_while_somebody_listens() {
    struct Listening(Arc<parking_lot::Mutex<Vec<PoolEvent>>>);
    impl PoolEvents for Listening {
        fn event(&self, event: PoolEvent) {
            self.0.lock().push(event);
        }
    }
    let fixture = Fixture::new(8);
    fixture.disk.put(id(1), 1);
    let heard = Arc::default();
    fixture.pool.listen(Some(Box::new(Listening(Arc::clone(&heard)))));
    fixture.value(id(1)).expect("a page");
    fixture.value(id(1)).expect("a page");
    let pin = fixture.pool.pin(id(1)).expect("a page");
    let lsn = fixture.install(&pin, 2);
    drop(pin);
    fixture.pool.flush_all().expect("a disk");
    fixture.pool.discard(id(1));
    fixture.pool.listen(None);
    fixture.value(id(1)).expect("a page");
    let reason = EvictionReason::Discarded;
    let expected = [
        PoolEvent::Miss(id(1)),
        PoolEvent::Hit(id(1)),
        PoolEvent::Pinned(id(1)),
        PoolEvent::Unpinned(id(1)),
        PoolEvent::Flushed { page: id(1), lsn },
        PoolEvent::Evicted { page: id(1), reason },
    ];
    assert_eq!(*heard.lock(), expected);
}

#[test]
fn pages_are_counted_by_tablespace() {
    let fixture = Fixture::new(8);
    let other = PageId::new(TablespaceId(4), 1);
    fixture.disk.put(id(1), 1);
    fixture.disk.put(other, 1);
    fixture.value(id(1)).expect("a page");
    let pin = fixture.pool.pin(other).expect("a page");
    fixture.install(&pin, 2);
    let counts = fixture.pool.tablespaces();
    let main = counts[&TablespaceId::MAIN];
    assert_eq!((main.resident, main.pinned, main.dirty), (1, 0, 0));
    let other = counts[&TablespaceId(4)];
    assert_eq!((other.resident, other.pinned, other.dirty), (1, 1, 1));
}
