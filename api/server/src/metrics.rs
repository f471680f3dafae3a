//! Metrics of the process as Prometheus text at /metrics, for callers with `system:read`.

use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustydb_api::{Api, errors, rest};
use rustydb_contract::ServiceResult;
use rustydb_contract_core::access::SYSTEM_READ;

/// Upper bounds of the duration histograms' buckets, in seconds.
const DURATION_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// How often the recorder folds what it collected, so that its memory stays bounded between scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Metrics {
    api: Api,
    recorder: PrometheusHandle,
}

/// Begins to record; once in a process.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(DURATION_BUCKETS)?
        .install_recorder()
        .context("cannot install the metrics recorder")?;
    describe();
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(recorder)
}

fn describe() {
    metrics::describe_counter!(
        "rustydb_calls_total",
        "Calls by operation, interface and code of the answer."
    );
    metrics::describe_histogram!(
        "rustydb_call_duration_seconds",
        metrics::Unit::Seconds,
        "Time from a call's authentication to its answer."
    );
    metrics::describe_counter!(
        "rustydb_undeclared_errors_total",
        "Errors answered that the contract does not declare for the operation."
    );
}

/// Adds the page.
pub fn add(router: Router, api: Api, recorder: PrometheusHandle) -> Router {
    router.route("/metrics", get(page).with_state(Metrics { api, recorder }))
}

async fn page(State(metrics): State<Metrics>, headers: HeaderMap) -> Response {
    match admit(&metrics.api, &headers).await {
        Ok(()) => (
            [("content-type", "text/plain; version=0.0.4; charset=utf-8")],
            metrics.recorder.render(),
        )
            .into_response(),
        Err(error) => errors::problem(&error, &rest::request_id_of(&headers)),
    }
}

async fn admit(api: &Api, headers: &HeaderMap) -> ServiceResult<()> {
    let credential = rest::credential(headers)?;
    api.pipeline()
        .admit("/metrics", credential.as_ref(), SYSTEM_READ)
        .await
}
