//! Which numbers there are, and which test moves each: none may be without.

use std::collections::{BTreeMap, BTreeSet};

use codegen::model::{Shape, Ty};

use crate::harness::contract::model;

/// Tests, each with the paths of the numbers that it moves: operation or event, and steps.
const MOVED_BY: &[(&str, &[&str])] = &[
    (
        "numeric_bounds_of_transactions_are_those_asked_for",
        &[
            "transactions.begin.timeout_ms",
            "transactions.begin.lock_timeout_ms",
            "transactions.get.timeout_ms",
            "transactions.get.lock_timeout_ms",
            "transactions.list_active.transactions[].timeout_ms",
            "transactions.list_active.transactions[].lock_timeout_ms",
            "transactions.list_timed_out.transactions[].limit_ms",
            "transactions.set_timeout.idle_timeout_ms",
            "transactions.set_timeout.timeout_ms",
            "transactions.set_timeout.lock_timeout_ms",
            "transactions.rollback_to_savepoint.idle_timeout_ms",
            "transactions.rollback_to_savepoint.timeout_ms",
            "transactions.rollback_to_savepoint.lock_timeout_ms",
        ],
    ),
    (
        "numeric_savepoints_take_changes_back",
        &[
            "transactions.set_timeout.changes[].inserted",
            "transactions.set_timeout.changes[].updated",
            "transactions.set_timeout.changes[].deleted",
            "transactions.rollback_to_savepoint.changes[].inserted",
            "transactions.rollback_to_savepoint.changes[].updated",
            "transactions.rollback_to_savepoint.changes[].deleted",
        ],
    ),
    (
        "numeric_reads_and_locks_of_a_transaction_are_counted",
        &[
            "transactions.get_read_set.tables[].ranges",
            "transactions.release_all_locks.released",
            "transactions.release_all_locks.kept",
        ],
    ),
    (
        "numeric_transactions_are_counted_and_timed",
        &[
            "transactions.get_stats.total_commits",
            "transactions.get_stats.total_aborts",
            "transactions.get_stats.total_conflicts",
            "transactions.get_stats.total_timeouts",
            "transactions.get_stats.total_deadlocks",
            "transactions.get_stats.active_transactions",
            "transactions.get_stats.avg_commit_latency_ms",
            "transactions.get_stats.p99_latency_ms",
            "transactions.get_stats.abort_ratio",
        ],
    ),
    (
        "numeric_what_exceeds_the_memory_of_a_transaction_lies_in_a_file",
        &["transactions.get_write_set.spilled_bytes"],
    ),
    (
        "numeric_versions_are_kept_as_long_as_the_server_is_told",
        &[
            "transactions.get_mvcc_status.retention_ms",
            "transactions.get_mvcc_status.live_versions",
            "transactions.get_mvcc_status.dead_versions",
            "transactions.get_mvcc_status.versions_removed",
            "transactions.get_mvcc_status.bytes_removed",
            "transactions.vacuum.tables",
        ],
    ),
    (
        "numeric_snapshots_keep_what_they_show",
        &[
            "transactions.get_mvcc_status.open_snapshots",
            "transactions.get_mvcc_status.named_snapshots",
            "transactions.vacuum.versions_removed",
            "transactions.vacuum.bytes_removed",
            "transactions.vacuum.duration_ms",
        ],
    ),
    (
        "numeric_waits_for_locks_are_timed",
        &["transactions.list_lock_waiters.waiters[].wait_ms"],
    ),
    (
        "numeric_ends_of_transactions_tell_their_rows_and_time",
        &[
            "TransactionCommit.duration_ms",
            "TransactionCommit.modified_rows",
            "TransactionRollback.duration_ms",
        ],
    ),
    (
        "numeric_time_outs_of_transactions_are_told_in_seconds",
        &["TransactionTimeout.timeout_seconds"],
    ),
    (
        "numeric_waits_that_are_watched_are_timed",
        &[
            "LockAcquired.wait_time_ms",
            "LockWaitEnd.wait_time_ms",
            "LockTimeout.wait_time_ms",
            "LockUpgraded.wait_time_ms",
            "LockEvent.wait_time_ms",
            "LockWait.wait_time_ms",
        ],
    ),
    (
        "numeric_locks_on_tables_tell_how_many_rows_they_stand_for",
        &["LockEscalated.rows"],
    ),
    (
        "numeric_transactions_that_are_watched_are_counted_and_timed",
        &[
            "TransactionStats.total_commits",
            "TransactionStats.total_aborts",
            "TransactionStats.total_conflicts",
            "TransactionStats.total_timeouts",
            "TransactionStats.total_deadlocks",
            "TransactionStats.active_transactions",
            "TransactionStats.avg_commit_latency_ms",
            "TransactionStats.p99_latency_ms",
            "TransactionStats.abort_ratio",
        ],
    ),
    (
        "numeric_calls_are_counted_and_timed",
        &[
            "ApiMetrics.total_requests",
            "ApiMetrics.successful_requests",
            "ApiMetrics.failed_requests",
            "ApiMetrics.avg_response_time_ms",
        ],
    ),
    (
        "numeric_samples_count_connections",
        &[
            "ApiMetrics.active_connections",
            "SystemMetrics.active_connections",
        ],
    ),
    (
        "numeric_samples_count_statements",
        &["ApiMetrics.active_queries", "SystemMetrics.active_queries"],
    ),
    (
        "numeric_processors_are_busy_while_something_computes",
        &["SystemMetrics.cpu_usage"],
    ),
    (
        "numeric_memory_of_the_machine_is_what_the_kernel_says",
        &[
            "SystemMetrics.memory_usage",
            "SystemMetrics.memory_total",
            "SystemMetrics.memory_percent",
        ],
    ),
    (
        "numeric_bytes_of_disks_are_told_as_they_move",
        &["SystemMetrics.disk_read_bps", "SystemMetrics.disk_write_bps"],
    ),
    (
        "numeric_bytes_of_networks_are_told_as_they_move",
        &["SystemMetrics.network_rx_bps", "SystemMetrics.network_tx_bps"],
    ),
    (
        "numeric_a_server_that_starts_tells_how_far_it_is",
        &[
            "SERVER_STARTING.percent",
            "SERVER_STARTING.replayed_bytes",
            "SERVER_STARTING.total_bytes",
        ],
    ),
    (
        "numeric_positions_follow_the_text_before_them",
        &[
            "SYNTAX_ERROR.column",
            "SYNTAX_ERROR.line",
            "UNSUPPORTED.column",
            "UNSUPPORTED.line",
        ],
    ),
    (
        "numeric_the_process_is_told_as_the_system_knows_it",
        &[
            "admin.get_server_info.cpus",
            "admin.get_server_info.memory_total_bytes",
            "admin.get_server_info.process_id",
        ],
    ),
    (
        "numeric_memory_and_data_grow_with_what_is_held",
        &[
            "admin.get_server_info.data_bytes",
            "admin.get_server_info.memory_process_bytes",
        ],
    ),
    (
        "numeric_uptime_is_the_time_since_the_start",
        &[
            "admin.get_server_info.uptime_seconds",
            "health.check_liveness.uptime_seconds",
            "health.get_detail.liveness.uptime_seconds",
        ],
    ),
    (
        "numeric_formats_are_those_on_disk",
        &["admin.get_version.data_format", "admin.get_version.row_format"],
    ),
    (
        "numeric_tokens_expire_when_they_say",
        &["auth.login.expires_in", "auth.refresh.expires_in"],
    ),
    (
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
        &[
            "database.count_rows.count",
            "database.get.size_bytes",
            "database.get_schema.tables[].row_count",
            "database.get_schema.tables[].size_bytes",
            "database.get_table.row_count",
            "database.get_table.size_bytes",
            "database.get_table_stats.row_count",
            "database.get_table_stats.rows_bytes",
            "database.list.databases[].size_bytes",
            "database.list_tables.tables[].row_count",
            "database.list_tables.tables[].size_bytes",
        ],
    ),
    (
        "numeric_databases_count_their_tables_and_views",
        &[
            "database.create.size_bytes",
            "database.create.table_count",
            "database.create.view_count",
            "database.list.databases[].table_count",
            "database.list.databases[].view_count",
        ],
    ),
    (
        "numeric_a_definition_counts_its_versions",
        &[
            "database.create_table.row_count",
            "database.create_table.schema_version",
            "database.create_table.size_bytes",
            "database.get_schema.tables[].schema_version",
            "database.get_table.schema_version",
            "database.list_tables.tables[].schema_version",
            "database.replace_table.row_count",
            "database.replace_table.schema_version",
            "database.replace_table.size_bytes",
        ],
    ),
    (
        "numeric_commands_tell_how_many_rows_they_changed",
        &[
            "database.delete_rows.deleted",
            "database.insert_rows.inserted",
            "database.update_rows.updated",
            "sql.truncate_table.rows_removed",
        ],
    ),
    (
        "numeric_bytes_of_indexes_are_those_of_unique_constraints",
        &["database.get_table_stats.indexes_bytes"],
    ),
    (
        "numeric_startup_takes_as_long_as_it_took",
        &[
            "health.check_startup.startup_ms",
            "health.get_detail.startup.startup_ms",
        ],
    ),
    (
        "numeric_checks_take_part_of_the_time_of_the_call",
        &[
            "health.get_detail.components[].check_us",
            "health.get_summary.components[].check_us",
        ],
    ),
    (
        "numeric_checks_that_are_watched_take_part_of_the_time",
        &["HealthStatusChange.changed_components[].check_us"],
    ),
    (
        "numeric_a_batch_counts_what_succeeded_and_what_failed",
        &[
            "sql.execute_batch.failed",
            "sql.execute_batch.outcomes[].index",
            "sql.execute_batch.succeeded",
        ],
    ),
    (
        "numeric_execution_times_grow_with_the_work",
        &[
            "sql.execute_batch.outcomes[].result.execution_time_ms",
            "sql.execute_query.execution_time_ms",
            "sql.execute_union.execution_time_ms",
        ],
    ),
    (
        "numeric_results_count_their_rows",
        &[
            "sql.execute_batch.outcomes[].result.row_count",
            "sql.execute_batch.outcomes[].result.rows_affected",
            "sql.execute_query.row_count",
            "sql.execute_query.rows_affected",
            "sql.execute_union.row_count",
            "sql.execute_union.rows_affected",
        ],
    ),
    (
        "numeric_a_transaction_counts_its_changes",
        &[
            "transactions.begin.changes[].deleted",
            "transactions.begin.changes[].inserted",
            "transactions.begin.changes[].updated",
            "transactions.commit.rows_changed",
            "transactions.get.changes[].deleted",
            "transactions.get.changes[].inserted",
            "transactions.get.changes[].updated",
            "transactions.list_active.transactions[].changes[].deleted",
            "transactions.list_active.transactions[].changes[].inserted",
            "transactions.list_active.transactions[].changes[].updated",
        ],
    ),
    (
        "numeric_idle_timeouts_are_those_asked_for",
        &[
            "transactions.begin.idle_timeout_ms",
            "transactions.get.idle_timeout_ms",
            "transactions.list_active.transactions[].idle_timeout_ms",
        ],
    ),
    (
        "numeric_a_list_of_operations_tells_what_each_did",
        &[
            "transactions.execute.results[].rows_affected",
            "transactions.execute.rows_changed",
        ],
    ),
    (
        "numeric_connections_count_what_they_carry",
        &[
            "websocket.get_connection.bytes_received",
            "websocket.list_connections.connections[].bytes_received",
            "websocket.get_connection.bytes_sent",
            "websocket.list_connections.connections[].bytes_sent",
            "websocket.get_connection.messages_received",
            "websocket.list_connections.connections[].messages_received",
            "websocket.get_connection.messages_sent",
            "websocket.list_connections.connections[].messages_sent",
            "websocket.get_connection.subscriptions",
            "websocket.list_connections.connections[].subscriptions",
            "websocket.list_connections.total",
        ],
    ),
    (
        "numeric_the_status_counts_connections_and_their_messages",
        &[
            "websocket.get_status.active_connections",
            "websocket.get_status.messages_received",
            "websocket.get_status.messages_sent",
            "websocket.get_status.timestamp",
            "websocket.get_status.total_connections",
            "websocket.get_status.total_subscriptions",
            "websocket.get_status.uptime_seconds",
        ],
    ),
    (
        "numeric_subscriptions_count_their_events",
        &[
            "websocket.create_subscription.events_sent",
            "websocket.get_subscription.events_sent",
            "websocket.list_subscriptions.subscriptions[].events_sent",
            "websocket.list_subscriptions.total",
        ],
    ),
    (
        "numeric_broadcasts_count_who_receives_them",
        &["websocket.broadcast.recipients"],
    ),
    ("numeric_heartbeats_count_from_one", &["Heartbeat.sequence"]),
    (
        "numeric_transactions_tell_their_rows_and_time",
        &["TransactionEvent.duration_ms", "TransactionEvent.modified_rows"],
    ),
    (
        "numeric_commands_tell_how_long_they_took",
        &["MutationResult.duration_ms"],
    ),
    (
        "numeric_live_results_count_the_rows_that_match",
        &["QueryChange.total_count"],
    ),
    (
        "numeric_jobs_count_what_is_done_of_how_much",
        &[
            "JobProgressed.progress.done",
            "JobProgressed.progress.total",
            "jobs.cancel.progress.done",
            "jobs.cancel.progress.total",
            "jobs.get.progress.done",
            "jobs.get.progress.total",
            "jobs.list.jobs[].progress.done",
            "jobs.list.jobs[].progress.total",
            "jobs.wait.progress.done",
            "jobs.wait.progress.total",
        ],
    ),
    (
        "numeric_the_status_of_a_query_tells_its_scans_and_its_time",
        &[
            "query.get_status.elapsed_ms",
            "query.get_status.rows_scanned",
            "query.get_status.rows_returned",
            "query.get_status.percentage_complete",
            "query.list_active.queries[].duration_ms",
            "query.list_active.queries[].rows_processed",
        ],
    ),
    (
        "numeric_results_of_jobs_are_what_they_did",
        &[
            "database.bulk_load_rows.result.rows_loaded",
            "database.bulk_load_rows.result.rows_failed",
            "database.bulk_load_rows.result.batches",
            "database.bulk_load_rows.result.errors[].row",
            "query.submit.result.row_count",
            "query.submit.result.rows_affected",
            "query.submit.result.execution_time_ms",
        ],
    ),
    (
        "numeric_a_run_counts_its_rows_and_its_time",
        &[
            "QueryRow.row_index",
            "QueryRows.row_index",
            "QueryCompleted.rows_returned",
            "QueryCompleted.rows_affected",
            "QueryCompleted.elapsed_ms",
        ],
    ),
    (
        "numeric_progress_is_that_of_the_scans",
        &[
            "QueryProgress.rows_scanned",
            "QueryProgress.rows_returned",
            "QueryProgress.percentage_complete",
            "QueryProgress.elapsed_ms",
            "QueryProgress.estimated_remaining_ms",
        ],
    ),
    (
        "numeric_runs_are_watched_with_their_time",
        &[
            "QueryExecution.progress_percent",
            "QueryExecution.rows_affected",
            "QueryExecution.elapsed_ms",
            "ActiveQuerySnapshot.duration_ms",
            "ActiveQuerySnapshot.rows_processed",
            "SlowQueryDetected.execution_time_ms",
            "SlowQueryDetected.rows_returned",
        ],
    ),
    (
        "numeric_sessions_tell_how_long_they_lasted",
        &["SessionEvent.duration_seconds"],
    ),
    (
        "numeric_indexes_are_measured_and_their_use_is_counted",
        &[
            "indexes.get_stats.entries",
            "indexes.get_stats.size_bytes",
            "indexes.get_stats.scans",
            "indexes.get_stats.rows_read",
            "indexes.rebuild.result.entries",
            "indexes.rebuild.result.size_bytes",
        ],
    ),
    (
        "numeric_the_tree_of_an_index_grows_and_shrinks",
        &[
            "indexes.get_stats.height",
            "indexes.get_stats.leaf_pages",
            "indexes.get_stats.inner_pages",
            "indexes.get_stats.disk_bytes",
        ],
    ),
    (
        "numeric_what_is_wrong_with_an_index_is_counted",
        &[
            "indexes.verify.rows",
            "indexes.verify.entries",
            "indexes.verify.missing",
            "indexes.verify.extra",
            "indexes.verify.duplicates",
        ],
    ),
    ("numeric_controls_count_what_they_tell", &["StreamControl.count"]),
    (
        "numeric_the_log_grows_by_what_is_written",
        &[
            "transactions.get_wal_status.durable_position",
            "transactions.get_wal_status.end_position",
            "transactions.get_wal_status.bytes_written",
            "transactions.get_wal_status.writes",
            "transactions.get_wal_status.syncs",
            "transactions.get_wal_status.avg_sync_ms",
            "transactions.flush_wal.durable_position",
        ],
    ),
    (
        "numeric_the_rate_of_the_log_is_what_is_written_in_the_window",
        &["transactions.get_wal_status.bytes_per_second"],
    ),
    (
        "numeric_a_checkpoint_moves_where_recovery_begins",
        &[
            "transactions.get_wal_status.redo_position",
            "transactions.checkpoint_wal.redo_position",
            "transactions.checkpoint_wal.files_synced",
            "transactions.checkpoint_wal.duration_ms",
            "WalCheckpoint.position",
            "WalCheckpoint.pages_written",
            "WalCheckpoint.files_synced",
            "WalCheckpoint.duration_ms",
        ],
    ),
    (
        "numeric_a_checkpoint_counts_the_pages_it_writes",
        &["transactions.checkpoint_wal.pages_written"],
    ),
    (
        "numeric_segments_are_counted_archived_and_taken_off_the_log",
        &[
            "transactions.get_wal_status.oldest_position",
            "transactions.get_wal_status.segments",
            "transactions.get_wal_status.size_bytes",
            "transactions.get_wal_status.spare_segments",
            "transactions.list_wal_segments.segments[].number",
            "transactions.list_wal_segments.segments[].first_position",
            "transactions.list_wal_segments.segments[].bytes_used",
            "transactions.archive_wal.segments[]",
            "transactions.truncate_wal.segments_removed",
            "transactions.truncate_wal.segments_recycled",
            "transactions.truncate_wal.oldest_position",
            "transactions.switch_wal_segment.number",
            "transactions.switch_wal_segment.first_position",
            "WalTruncate.position",
            "WalTruncate.first_segment",
            "WalTruncate.segments_removed",
            "WalSegmentCreated.segment_id",
            "WalSegmentArchived.segment_id",
            "WalSegmentRemoved.segment_id",
        ],
    ),
    (
        "numeric_writes_and_syncs_of_the_log_are_told_with_their_places",
        &[
            "WalWrite.position",
            "WalWrite.size_bytes",
            "WalFlush.position",
            "WalFlush.latency_us",
        ],
    ),
    (
        "numeric_recovery_counts_what_a_killed_server_left",
        &[
            "transactions.get_wal_replay_status.duration_ms",
            "transactions.get_wal_replay_status.redo_position",
            "transactions.get_wal_replay_status.end_position",
            "transactions.get_wal_replay_status.groups",
            "transactions.get_wal_replay_status.pages",
        ],
    ),
    (
        "numeric_trees_tell_how_they_grow_and_shrink",
        &[
            "BtreeMerge.from_node_id",
            "BtreeMerge.keys_after",
            "BtreeMerge.keys_before",
            "BtreeMerge.level",
            "BtreeMerge.node_id",
            "BtreeSplit.keys_after",
            "BtreeSplit.keys_before",
            "BtreeSplit.level",
            "BtreeSplit.new_node_id",
            "BtreeSplit.node_id",
        ],
    ),
    (
        "numeric_a_rebuild_tells_how_far_it_is",
        &[
            "IndexRebuildCompleted.elapsed_ms",
            "IndexRebuildCompleted.entries",
            "IndexRebuildProgress.elapsed_ms",
            "IndexRebuildProgress.estimated_remaining_ms",
            "IndexRebuildProgress.progress_percent",
            "IndexRebuildProgress.rows_processed",
            "IndexRebuildProgress.total_rows",
            "IndexRebuildStarted.total_rows",
        ],
    ),
];

/// Each number with its test.
fn moved_by() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tables = MOVED_BY.iter().chain(super::storage::fields::MOVED_BY);
    tables.flat_map(|(test, paths)| paths.iter().map(|path| (*path, *test)))
}

/// Paths of the numbers below a type; `[]` stands for the items of a list.
fn numbers(ty: &Ty, path: &str, within: &mut Vec<String>, found: &mut BTreeSet<String>) {
    match ty {
        Ty::Integer(_) | Ty::Number { .. } => {
            found.insert(path.to_owned());
        }
        Ty::Array { items, .. } => numbers(items, &format!("{path}[]"), within, found),
        Ty::Map { values } => numbers(values, &format!("{path}{{}}"), within, found),
        Ty::Ref(name) => numbers_named(name, path, within, found),
        _ => {}
    }
}

fn numbers_named(name: &str, path: &str, within: &mut Vec<String>, found: &mut BTreeSet<String>) {
    if within.iter().any(|outer| outer == name) {
        return;
    }
    within.push(name.to_owned());
    match &model().ty(name).shape {
        Shape::Object(object) => {
            for field in &object.fields {
                numbers(&field.ty, &format!("{path}.{}", field.name), within, found);
            }
        }
        Shape::Union(union) => {
            for variant in &union.variants {
                numbers_named(
                    &variant.target,
                    &format!("{path}<{}>", variant.value),
                    within,
                    found,
                );
            }
        }
        Shape::Alias(ty) => numbers(ty, path, within, found),
        Shape::Enum(_) => {}
    }
    within.pop();
}

/// All numbers that operations answer, that events hold, and those in the details of errors.
fn all() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for operation in model().operations() {
        match (&operation.result, &operation.output) {
            // What it answers is the job before it runs, which `jobs.get` answers later.
            (Some(result), _) => {
                let path = format!("{}.result", operation.id);
                numbers_named(result, &path, &mut Vec::new(), &mut found);
            }
            (None, Some(output)) => numbers_named(output, &operation.id, &mut Vec::new(), &mut found),
            (None, None) => {}
        }
    }
    for view in model().views() {
        for event in &view.events {
            numbers_named(event, event, &mut Vec::new(), &mut found);
        }
    }
    numbers_named("StreamControl", "StreamControl", &mut Vec::new(), &mut found);
    for error in model().errors.values() {
        if let Some(details) = &error.details {
            numbers_named(details, &error.code, &mut Vec::new(), &mut found);
        }
    }
    found
}

#[test]
fn numeric_every_number_of_the_contract_is_moved_by_a_test() {
    let table: BTreeMap<&str, &str> = moved_by().collect();
    assert_eq!(table.len(), moved_by().count(), "a path is in the table twice");
    let all = all();
    let missing: Vec<&String> = all
        .iter()
        .filter(|path| !table.contains_key(path.as_str()))
        .collect();
    assert!(missing.is_empty(), "no test moves {missing:#?}");
    let gone: Vec<&&str> = table.keys().filter(|path| !all.contains(**path)).collect();
    assert!(gone.is_empty(), "the contract has no {gone:#?}");
}

/// The table names tests that are there.
#[test]
fn numeric_the_tests_of_the_table_exist() {
    let sources = [
        include_str!("connections.rs"),
        include_str!("events.rs"),
        include_str!("indexes.rs"),
        include_str!("jobs.rs"),
        include_str!("lifecycle.rs"),
        include_str!("load.rs"),
        include_str!("log.rs"),
        include_str!("machine.rs"),
        include_str!("results.rs"),
        include_str!("starting.rs"),
        include_str!("storage/disk.rs"),
        include_str!("storage/pages.rs"),
        include_str!("storage/pool.rs"),
        include_str!("storage/streams.rs"),
        include_str!("tables.rs"),
        include_str!("transactions.rs"),
        include_str!("work.rs"),
    ];
    for (path, test) in moved_by() {
        let head = format!("async fn {test}()");
        assert!(
            sources.iter().any(|source| source.contains(&head)),
            "{path}: there is no test {test}"
        );
    }
}
