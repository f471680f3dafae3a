use super::support::*;
use crate::seam::KeyRange;
use crate::tables::TableError;

#[test]
fn a_whole_set_of_keys_may_shift_or_swap() {
    let tables = tables();
    let table = create(
        &tables,
        spec("t", &["id integer", "u integer"], &["id"], &[&["u"]]),
    );
    let mut txn = tables.begin().unwrap();
    txn.insert_many(&table, (1..=5).map(|id| vec![int(id), int(id * 10)]).collect())
        .unwrap();
    // SET id = id + 1
    let shifted = (1..=5)
        .map(|id| (key(&table, id), vec![int(id + 1), int(id * 10)]))
        .collect();
    let keys = txn.update_many(&table, shifted).unwrap();
    assert_eq!(keys, (2..=6).map(|id| key(&table, id)).collect::<Vec<_>>());
    // Two rows swap their unique values.
    let swapped = vec![
        (key(&table, 2), vec![int(2), int(20)]),
        (key(&table, 3), vec![int(3), int(10)]),
    ];
    txn.update_many(&table, swapped).unwrap();
    txn.commit().unwrap();
    let expected: Vec<_> = [(2, 20), (3, 10), (4, 30), (5, 40), (6, 50)]
        .iter()
        .map(|&(id, u)| vec![int(id), int(u)])
        .collect();
    assert_eq!(committed_rows(&tables, &table), expected);
    let txn = tables.begin().unwrap();
    for (id, u) in [(2, 20), (3, 10), (4, 30)] {
        assert_eq!(
            txn.find_unique(&table, &table.unique[0], &[int(u)]).unwrap(),
            Some(key(&table, id))
        );
    }
}

#[test]
fn a_set_that_ends_in_a_duplicate_changes_nothing() {
    let tables = tables();
    let table = filled(&tables, 3);
    let mut txn = tables.begin().unwrap();
    let before = all_rows(&txn, &table);
    let onto_neighbour = vec![(key(&table, 1), vec![int(2), text("x")])];
    let onto_each_other = vec![
        (key(&table, 1), vec![int(9), text("x")]),
        (key(&table, 2), vec![int(9), text("y")]),
    ];
    let with_missing = vec![
        (key(&table, 1), vec![int(1), text("x")]),
        (key(&table, 7), vec![int(7), text("y")]),
    ];
    let twice = vec![
        (key(&table, 1), vec![int(1), text("x")]),
        (key(&table, 1), vec![int(1), text("y")]),
    ];
    assert!(matches!(
        txn.update_many(&table, onto_neighbour),
        Err(TableError::UniqueViolation { .. })
    ));
    assert!(matches!(
        txn.update_many(&table, onto_each_other),
        Err(TableError::UniqueViolation { .. })
    ));
    let missing = txn.update_many(&table, with_missing).unwrap_err();
    assert!(
        matches!(&missing, TableError::RowNotFound { key, .. } if key == "7"),
        "{missing}"
    );
    assert!(matches!(
        txn.update_many(&table, twice),
        Err(TableError::DuplicateTarget { .. })
    ));
    let inserts = vec![vec![int(8), text("a")], vec![int(8), text("b")]];
    assert!(matches!(
        txn.insert_many(&table, inserts),
        Err(TableError::UniqueViolation { .. })
    ));
    assert_eq!(all_rows(&txn, &table), before);
    assert_eq!(txn.row_count(&table).unwrap(), 3);
    assert!(txn.changes().is_empty(), "{:?}", txn.changes());
    assert!(!txn.commit().unwrap().wrote);
}

#[test]
fn undoing_to_a_mark_leaves_what_was_before_it_and_nothing_else() {
    let tables = tables();
    let table = filled(&tables, 3);
    let log_before = tables
        .store()
        .log_after(tables.store().snapshot().unwrap().seq(), 10)
        .unwrap();
    assert!(log_before.is_empty());
    let start = tables.store().snapshot().unwrap().seq();
    let mut txn = tables.begin().unwrap();
    txn.insert(&table, vec![int(4), text("kept")]).unwrap();
    txn.update(&table, &key(&table, 1), vec![int(1), text("kept")])
        .unwrap();
    let (rows, stats, changes) = (
        all_rows(&txn, &table),
        txn.table_stats(&table).unwrap(),
        txn.changes(),
    );

    let outer = txn.mark();
    txn.delete(&table, &key(&table, 2)).unwrap();
    let inner = txn.mark();
    txn.update(&table, &key(&table, 4), vec![int(40), text("undone")])
        .unwrap();
    txn.create_table(spec("u", &["a integer"], &[], &[])).unwrap();
    txn.truncate_table("main", "public", "t").unwrap();
    txn.create_database("d").unwrap();
    txn.undo_to(&inner);
    assert_eq!(txn.row_count(&table).unwrap(), 3);
    assert!(txn.table("main", "public", "u").unwrap().is_none());
    txn.undo_to(&outer);
    // A mark may be returned to more than once.
    txn.delete(&table, &key(&table, 3)).unwrap();
    txn.undo_to(&outer);

    assert_eq!(all_rows(&txn, &table), rows);
    assert_eq!(txn.table_stats(&table).unwrap(), stats);
    assert_eq!(txn.changes(), changes);
    let outcome = txn.commit().unwrap();
    assert_eq!(
        (
            outcome.changes[0].inserted,
            outcome.changes[0].updated,
            outcome.changes[0].deleted
        ),
        (1, 1, 0)
    );
    assert_eq!(committed_rows(&tables, &table), rows);
    assert_eq!(tables.begin().unwrap().databases().unwrap().len(), 1);
    assert_eq!(tables.store().log_after(start, 10).unwrap().len(), 2);
}

#[test]
fn scans_merge_own_writes_in_key_order_page_by_page() {
    let tables = tables();
    let table = create(&tables, spec("t", &["id integer", "name text"], &["id"], &[]));
    let mut txn = tables.begin().unwrap();
    txn.insert_many(&table, (0..3000).map(|n| vec![int(n * 2), text("old")]).collect())
        .unwrap();
    txn.commit().unwrap();
    let mut txn = tables.begin().unwrap();
    txn.insert_many(
        &table,
        (0..3000).map(|n| vec![int(n * 2 + 1), text("own")]).collect(),
    )
    .unwrap();
    // A stretch longer than a page is gone, own and old rows alike.
    let gone: Vec<_> = (1000..4500).map(|id| key(&table, id)).collect();
    assert_eq!(txn.delete_many(&table, &gone).unwrap(), 3500);
    let expected: Vec<i32> = (0..1000).chain(4500..6000).collect();
    for page_rows in [1, 7, 1024, 10_000] {
        let mut found = Vec::new();
        let mut range = KeyRange::default();
        loop {
            let page = txn.scan(&table, &range, page_rows).unwrap();
            found.extend(page.iter().map(|(_, row)| row[0].clone()));
            if page.len() < page_rows {
                break;
            }
            range.after = page.last().map(|(key, _)| key.0.clone());
        }
        assert_eq!(
            found,
            expected.iter().map(|&id| int(id)).collect::<Vec<_>>(),
            "pages of {page_rows}"
        );
    }
    let range = KeyRange {
        from: Some(key(&table, 999).0),
        after: None,
        until: Some(key(&table, 4502).0),
    };
    let reader = txn.reader();
    let some = reader
        .scan_columns(&table, &range, 10, usize::MAX, &[1, 0, 1])
        .unwrap();
    assert!(some.exhausted);
    // One byte is reached by the first row.
    let first = reader.scan_columns(&table, &range, 10, 1, &[1, 0, 1]).unwrap();
    assert_eq!((&first.rows[..], first.exhausted), (&some.rows[..1], false));
    let rows: Vec<_> = some.rows.into_iter().map(|(_, row)| row).collect();
    assert_eq!(
        rows,
        [
            vec![text("own"), int(999), text("own")],
            vec![text("old"), int(4500), text("old")],
            vec![text("own"), int(4501), text("own")]
        ]
    );
    let nothing = KeyRange {
        from: None,
        after: Some(key(&table, 5).0),
        until: Some(key(&table, 3).0),
    };
    assert!(txn.scan(&table, &nothing, 10).unwrap().is_empty());
    assert!(txn.scan(&table, &KeyRange::default(), 0).unwrap().is_empty());
}

#[test]
fn sizes_count_own_writes_exactly() {
    let (tables, clock) = tables_and_clock();
    let table = create(
        &tables,
        spec("t", &["id integer", "name text"], &["id"], &[&["name"]]),
    );
    let created = tables.begin().unwrap().table_stats(&table).unwrap();
    assert_eq!(
        (created.row_count, created.row_bytes, created.index_bytes),
        (0, 0, 0)
    );
    clock.advance_us(1_000);
    let mut txn = tables.begin().unwrap();
    txn.insert_many(
        &table,
        (0..100)
            .map(|id| vec![int(id), text(&"x".repeat(id as usize))])
            .collect(),
    )
    .unwrap();
    txn.update(&table, &key(&table, 5), vec![int(5), text("another")])
        .unwrap();
    txn.delete(&table, &key(&table, 6)).unwrap();
    let own = txn.table_stats(&table).unwrap();
    assert_eq!(own.row_count, 99);
    assert_eq!(own.modified_at_us, created.modified_at_us);
    txn.commit().unwrap();
    let committed = tables.begin().unwrap().table_stats(&table).unwrap();
    assert_eq!(
        (committed.row_count, committed.row_bytes, committed.index_bytes),
        (own.row_count, own.row_bytes, own.index_bytes)
    );
    assert_eq!(committed.modified_at_us, created.modified_at_us + 1_000);
    let mut txn = tables.begin().unwrap();
    txn.delete_many(&table, &(0..100).map(|id| key(&table, id)).collect::<Vec<_>>())
        .unwrap();
    let emptied = txn.table_stats(&table).unwrap();
    assert_eq!(
        (emptied.row_count, emptied.row_bytes, emptied.index_bytes),
        (0, 0, 0)
    );
}

#[test]
fn a_transaction_that_grows_too_large_refuses_the_statement_and_stays_usable() {
    let tables = tables();
    let table = filled(&tables, 1);
    let mut txn = tables.begin().unwrap();
    txn.pending_bytes_max = 20_000;
    let large = || text(&"x".repeat(6_000));
    txn.insert(&table, vec![int(2), large()]).unwrap();
    let refused = txn.insert(&table, vec![int(3), large()]).unwrap_err();
    assert!(
        matches!(
            refused,
            TableError::TransactionTooLarge {
                bytes_max: 20_000,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(txn.row_count(&table).unwrap(), 2);
    txn.insert(&table, vec![int(4), text("small")]).unwrap();
    txn.commit().unwrap();
    assert_eq!(committed_rows(&tables, &table).len(), 3);
}
