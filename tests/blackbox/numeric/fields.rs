//! Which numbers there are, and which test moves each: none may be without.

use std::collections::{BTreeMap, BTreeSet};

use codegen::model::{Shape, Ty};

use crate::harness::contract::model;

/// Path of a number, as operation and steps, to the test that moves it.
const MOVED_BY: &[(&str, &str)] = &[
    ("ApiMetrics.total_requests", "numeric_calls_are_counted_and_timed"),
    (
        "ApiMetrics.successful_requests",
        "numeric_calls_are_counted_and_timed",
    ),
    (
        "ApiMetrics.failed_requests",
        "numeric_calls_are_counted_and_timed",
    ),
    (
        "ApiMetrics.avg_response_time_ms",
        "numeric_calls_are_counted_and_timed",
    ),
    (
        "ApiMetrics.active_connections",
        "numeric_samples_count_connections",
    ),
    ("ApiMetrics.active_queries", "numeric_samples_count_statements"),
    (
        "SystemMetrics.active_connections",
        "numeric_samples_count_connections",
    ),
    ("SystemMetrics.active_queries", "numeric_samples_count_statements"),
    (
        "SystemMetrics.cpu_usage",
        "numeric_processors_are_busy_while_something_computes",
    ),
    (
        "SystemMetrics.memory_usage",
        "numeric_memory_of_the_machine_is_what_the_kernel_says",
    ),
    (
        "SystemMetrics.memory_total",
        "numeric_memory_of_the_machine_is_what_the_kernel_says",
    ),
    (
        "SystemMetrics.memory_percent",
        "numeric_memory_of_the_machine_is_what_the_kernel_says",
    ),
    (
        "SystemMetrics.disk_read_bps",
        "numeric_bytes_of_disks_are_told_as_they_move",
    ),
    (
        "SystemMetrics.disk_write_bps",
        "numeric_bytes_of_disks_are_told_as_they_move",
    ),
    (
        "SystemMetrics.network_rx_bps",
        "numeric_bytes_of_networks_are_told_as_they_move",
    ),
    (
        "SystemMetrics.network_tx_bps",
        "numeric_bytes_of_networks_are_told_as_they_move",
    ),
    (
        "SYNTAX_ERROR.column",
        "numeric_positions_follow_the_text_before_them",
    ),
    (
        "SYNTAX_ERROR.line",
        "numeric_positions_follow_the_text_before_them",
    ),
    (
        "UNSUPPORTED.column",
        "numeric_positions_follow_the_text_before_them",
    ),
    (
        "UNSUPPORTED.line",
        "numeric_positions_follow_the_text_before_them",
    ),
    (
        "admin.get_server_info.cpus",
        "numeric_the_process_is_told_as_the_system_knows_it",
    ),
    (
        "admin.get_server_info.data_bytes",
        "numeric_memory_and_data_grow_with_what_is_held",
    ),
    (
        "admin.get_server_info.memory_process_bytes",
        "numeric_memory_and_data_grow_with_what_is_held",
    ),
    (
        "admin.get_server_info.memory_total_bytes",
        "numeric_the_process_is_told_as_the_system_knows_it",
    ),
    (
        "admin.get_server_info.process_id",
        "numeric_the_process_is_told_as_the_system_knows_it",
    ),
    (
        "admin.get_server_info.uptime_seconds",
        "numeric_uptime_is_the_time_since_the_start",
    ),
    (
        "admin.get_version.data_format",
        "numeric_formats_are_those_on_disk",
    ),
    (
        "admin.get_version.row_format",
        "numeric_formats_are_those_on_disk",
    ),
    ("auth.login.expires_in", "numeric_tokens_expire_when_they_say"),
    ("auth.refresh.expires_in", "numeric_tokens_expire_when_they_say"),
    (
        "database.count_rows.count",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.create.size_bytes",
        "numeric_databases_count_their_tables_and_views",
    ),
    (
        "database.create.table_count",
        "numeric_databases_count_their_tables_and_views",
    ),
    (
        "database.create.view_count",
        "numeric_databases_count_their_tables_and_views",
    ),
    (
        "database.create_table.row_count",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.create_table.schema_version",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.create_table.size_bytes",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.delete_rows.deleted",
        "numeric_commands_tell_how_many_rows_they_changed",
    ),
    (
        "database.get.size_bytes",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.get_schema.tables[].row_count",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.get_schema.tables[].schema_version",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.get_schema.tables[].size_bytes",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.get_table.row_count",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.get_table.schema_version",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.get_table.size_bytes",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.get_table_stats.indexes_bytes",
        "numeric_bytes_of_indexes_are_those_of_unique_constraints",
    ),
    (
        "database.get_table_stats.row_count",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.get_table_stats.rows_bytes",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.insert_rows.inserted",
        "numeric_commands_tell_how_many_rows_they_changed",
    ),
    (
        "database.list.databases[].size_bytes",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.list.databases[].table_count",
        "numeric_databases_count_their_tables_and_views",
    ),
    (
        "database.list.databases[].view_count",
        "numeric_databases_count_their_tables_and_views",
    ),
    (
        "database.list_tables.tables[].row_count",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.list_tables.tables[].schema_version",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.list_tables.tables[].size_bytes",
        "numeric_rows_and_bytes_follow_inserts_and_deletes",
    ),
    (
        "database.replace_table.row_count",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.replace_table.schema_version",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.replace_table.size_bytes",
        "numeric_a_definition_counts_its_versions",
    ),
    (
        "database.update_rows.updated",
        "numeric_commands_tell_how_many_rows_they_changed",
    ),
    (
        "health.check_liveness.uptime_seconds",
        "numeric_uptime_is_the_time_since_the_start",
    ),
    (
        "health.check_startup.startup_ms",
        "numeric_startup_takes_as_long_as_it_took",
    ),
    (
        "health.get_detail.components[].check_us",
        "numeric_checks_take_part_of_the_time_of_the_call",
    ),
    (
        "health.get_detail.liveness.uptime_seconds",
        "numeric_uptime_is_the_time_since_the_start",
    ),
    (
        "health.get_detail.startup.startup_ms",
        "numeric_startup_takes_as_long_as_it_took",
    ),
    (
        "health.get_summary.components[].check_us",
        "numeric_checks_take_part_of_the_time_of_the_call",
    ),
    (
        "HealthStatusChange.changed_components[].check_us",
        "numeric_checks_that_are_watched_take_part_of_the_time",
    ),
    (
        "sql.execute_batch.failed",
        "numeric_a_batch_counts_what_succeeded_and_what_failed",
    ),
    (
        "sql.execute_batch.outcomes[].index",
        "numeric_a_batch_counts_what_succeeded_and_what_failed",
    ),
    (
        "sql.execute_batch.outcomes[].result.execution_time_ms",
        "numeric_execution_times_grow_with_the_work",
    ),
    (
        "sql.execute_batch.outcomes[].result.row_count",
        "numeric_results_count_their_rows",
    ),
    (
        "sql.execute_batch.outcomes[].result.rows_affected",
        "numeric_results_count_their_rows",
    ),
    (
        "sql.execute_batch.succeeded",
        "numeric_a_batch_counts_what_succeeded_and_what_failed",
    ),
    (
        "sql.execute_query.execution_time_ms",
        "numeric_execution_times_grow_with_the_work",
    ),
    ("sql.execute_query.row_count", "numeric_results_count_their_rows"),
    (
        "sql.execute_query.rows_affected",
        "numeric_results_count_their_rows",
    ),
    (
        "sql.execute_union.execution_time_ms",
        "numeric_execution_times_grow_with_the_work",
    ),
    ("sql.execute_union.row_count", "numeric_results_count_their_rows"),
    (
        "sql.execute_union.rows_affected",
        "numeric_results_count_their_rows",
    ),
    (
        "sql.truncate_table.rows_removed",
        "numeric_commands_tell_how_many_rows_they_changed",
    ),
    (
        "transactions.begin.changes[].deleted",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.begin.changes[].inserted",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.begin.changes[].updated",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.begin.idle_timeout_ms",
        "numeric_idle_timeouts_are_those_asked_for",
    ),
    (
        "transactions.commit.rows_changed",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.execute.results[].rows_affected",
        "numeric_a_list_of_operations_tells_what_each_did",
    ),
    (
        "transactions.execute.rows_changed",
        "numeric_a_list_of_operations_tells_what_each_did",
    ),
    (
        "transactions.get.changes[].deleted",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.get.changes[].inserted",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.get.changes[].updated",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.get.idle_timeout_ms",
        "numeric_idle_timeouts_are_those_asked_for",
    ),
    (
        "transactions.list_active.transactions[].changes[].deleted",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.list_active.transactions[].changes[].inserted",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.list_active.transactions[].changes[].updated",
        "numeric_a_transaction_counts_its_changes",
    ),
    (
        "transactions.list_active.transactions[].idle_timeout_ms",
        "numeric_idle_timeouts_are_those_asked_for",
    ),
    (
        "websocket.get_connection.bytes_received",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.list_connections.connections[].bytes_received",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.get_connection.bytes_sent",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.list_connections.connections[].bytes_sent",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.get_connection.messages_received",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.list_connections.connections[].messages_received",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.get_connection.messages_sent",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.list_connections.connections[].messages_sent",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.get_connection.subscriptions",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.list_connections.connections[].subscriptions",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.list_connections.total",
        "numeric_connections_count_what_they_carry",
    ),
    (
        "websocket.get_status.active_connections",
        "numeric_the_status_counts_connections_and_their_messages",
    ),
    (
        "websocket.get_status.messages_received",
        "numeric_the_status_counts_connections_and_their_messages",
    ),
    (
        "websocket.get_status.messages_sent",
        "numeric_the_status_counts_connections_and_their_messages",
    ),
    (
        "websocket.get_status.timestamp",
        "numeric_the_status_counts_connections_and_their_messages",
    ),
    (
        "websocket.get_status.total_connections",
        "numeric_the_status_counts_connections_and_their_messages",
    ),
    (
        "websocket.get_status.total_subscriptions",
        "numeric_the_status_counts_connections_and_their_messages",
    ),
    (
        "websocket.get_status.uptime_seconds",
        "numeric_the_status_counts_connections_and_their_messages",
    ),
    (
        "websocket.create_subscription.events_sent",
        "numeric_subscriptions_count_their_events",
    ),
    (
        "websocket.get_subscription.events_sent",
        "numeric_subscriptions_count_their_events",
    ),
    (
        "websocket.list_subscriptions.subscriptions[].events_sent",
        "numeric_subscriptions_count_their_events",
    ),
    (
        "websocket.list_subscriptions.total",
        "numeric_subscriptions_count_their_events",
    ),
    (
        "websocket.broadcast.recipients",
        "numeric_broadcasts_count_who_receives_them",
    ),
    ("Heartbeat.sequence", "numeric_heartbeats_count_from_one"),
    (
        "TransactionEvent.duration_ms",
        "numeric_transactions_tell_their_rows_and_time",
    ),
    (
        "TransactionEvent.modified_rows",
        "numeric_transactions_tell_their_rows_and_time",
    ),
    (
        "MutationResult.duration_ms",
        "numeric_commands_tell_how_long_they_took",
    ),
    (
        "QueryChange.total_count",
        "numeric_live_results_count_the_rows_that_match",
    ),
    (
        "JobProgressed.progress.done",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "JobProgressed.progress.total",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "jobs.cancel.progress.done",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "jobs.cancel.progress.total",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "jobs.get.progress.done",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "jobs.get.progress.total",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "jobs.list.jobs[].progress.done",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "jobs.list.jobs[].progress.total",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "jobs.wait.progress.done",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "jobs.wait.progress.total",
        "numeric_jobs_count_what_is_done_of_how_much",
    ),
    (
        "query.get_status.elapsed_ms",
        "numeric_the_status_of_a_query_tells_its_scans_and_its_time",
    ),
    (
        "query.get_status.rows_scanned",
        "numeric_the_status_of_a_query_tells_its_scans_and_its_time",
    ),
    (
        "query.get_status.rows_returned",
        "numeric_the_status_of_a_query_tells_its_scans_and_its_time",
    ),
    (
        "query.get_status.percentage_complete",
        "numeric_the_status_of_a_query_tells_its_scans_and_its_time",
    ),
    (
        "query.list_active.queries[].duration_ms",
        "numeric_the_status_of_a_query_tells_its_scans_and_its_time",
    ),
    (
        "query.list_active.queries[].rows_processed",
        "numeric_the_status_of_a_query_tells_its_scans_and_its_time",
    ),
    (
        "database.bulk_load_rows.result.rows_loaded",
        "numeric_results_of_jobs_are_what_they_did",
    ),
    (
        "database.bulk_load_rows.result.rows_failed",
        "numeric_results_of_jobs_are_what_they_did",
    ),
    (
        "database.bulk_load_rows.result.batches",
        "numeric_results_of_jobs_are_what_they_did",
    ),
    (
        "database.bulk_load_rows.result.errors[].row",
        "numeric_results_of_jobs_are_what_they_did",
    ),
    (
        "query.submit.result.row_count",
        "numeric_results_of_jobs_are_what_they_did",
    ),
    (
        "query.submit.result.rows_affected",
        "numeric_results_of_jobs_are_what_they_did",
    ),
    (
        "query.submit.result.execution_time_ms",
        "numeric_results_of_jobs_are_what_they_did",
    ),
    ("QueryRow.row_index", "numeric_a_run_counts_its_rows_and_its_time"),
    (
        "QueryRows.row_index",
        "numeric_a_run_counts_its_rows_and_its_time",
    ),
    (
        "QueryCompleted.rows_returned",
        "numeric_a_run_counts_its_rows_and_its_time",
    ),
    (
        "QueryCompleted.rows_affected",
        "numeric_a_run_counts_its_rows_and_its_time",
    ),
    (
        "QueryCompleted.elapsed_ms",
        "numeric_a_run_counts_its_rows_and_its_time",
    ),
    (
        "QueryProgress.rows_scanned",
        "numeric_progress_is_that_of_the_scans",
    ),
    (
        "QueryProgress.rows_returned",
        "numeric_progress_is_that_of_the_scans",
    ),
    (
        "QueryProgress.percentage_complete",
        "numeric_progress_is_that_of_the_scans",
    ),
    (
        "QueryProgress.elapsed_ms",
        "numeric_progress_is_that_of_the_scans",
    ),
    (
        "QueryProgress.estimated_remaining_ms",
        "numeric_progress_is_that_of_the_scans",
    ),
    (
        "QueryExecution.progress_percent",
        "numeric_runs_are_watched_with_their_time",
    ),
    (
        "QueryExecution.rows_affected",
        "numeric_runs_are_watched_with_their_time",
    ),
    (
        "QueryExecution.elapsed_ms",
        "numeric_runs_are_watched_with_their_time",
    ),
    (
        "ActiveQuerySnapshot.duration_ms",
        "numeric_runs_are_watched_with_their_time",
    ),
    (
        "ActiveQuerySnapshot.rows_processed",
        "numeric_runs_are_watched_with_their_time",
    ),
    (
        "SlowQueryDetected.execution_time_ms",
        "numeric_runs_are_watched_with_their_time",
    ),
    (
        "SlowQueryDetected.rows_returned",
        "numeric_runs_are_watched_with_their_time",
    ),
    (
        "SessionEvent.duration_seconds",
        "numeric_sessions_tell_how_long_they_lasted",
    ),
    (
        "indexes.get_stats.entries",
        "numeric_indexes_are_measured_and_their_use_is_counted",
    ),
    (
        "indexes.get_stats.size_bytes",
        "numeric_indexes_are_measured_and_their_use_is_counted",
    ),
    (
        "indexes.get_stats.scans",
        "numeric_indexes_are_measured_and_their_use_is_counted",
    ),
    (
        "indexes.get_stats.rows_read",
        "numeric_indexes_are_measured_and_their_use_is_counted",
    ),
    (
        "indexes.rebuild.result.entries",
        "numeric_indexes_are_measured_and_their_use_is_counted",
    ),
    (
        "indexes.rebuild.result.size_bytes",
        "numeric_indexes_are_measured_and_their_use_is_counted",
    ),
    (
        "indexes.verify.rows",
        "numeric_what_is_wrong_with_an_index_is_counted",
    ),
    (
        "indexes.verify.entries",
        "numeric_what_is_wrong_with_an_index_is_counted",
    ),
    (
        "indexes.verify.missing",
        "numeric_what_is_wrong_with_an_index_is_counted",
    ),
    (
        "indexes.verify.extra",
        "numeric_what_is_wrong_with_an_index_is_counted",
    ),
    (
        "indexes.verify.duplicates",
        "numeric_what_is_wrong_with_an_index_is_counted",
    ),
    ("StreamControl.count", "numeric_controls_count_what_they_tell"),
];

/// Each number with its test.
fn moved_by() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_storage = super::storage::fields::MOVED_BY.iter();
    let of_storage = of_storage.flat_map(|(test, paths)| paths.iter().map(|path| (*path, *test)));
    MOVED_BY.iter().copied().chain(of_storage)
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
        include_str!("load.rs"),
        include_str!("machine.rs"),
        include_str!("results.rs"),
        include_str!("storage/disk.rs"),
        include_str!("storage/pages.rs"),
        include_str!("storage/pool.rs"),
        include_str!("tables.rs"),
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
