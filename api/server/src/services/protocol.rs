//! The `protocol` module: what the interfaces themselves tell.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use rustydb_api::{Call, Called, LateApi};
use rustydb_contract::descriptor::OperationKind;
use rustydb_contract::stream::{Item, Subscription};
use rustydb_contract::{CallContext, Json, Presence, ServiceError, ServiceResult, Timestamp, async_trait};
use rustydb_contract_core::MODULE as CORE;
use rustydb_contract_core::access::SYSTEM_ADMIN;
use rustydb_contract_core::errors::{INTERNAL, INVALID_ARGUMENT, UNAVAILABLE};
use rustydb_contract_protocol::errors::{UNKNOWN_ERROR_CODE, UNKNOWN_OPERATION, UNKNOWN_REVISION};
use rustydb_contract_protocol::{
    ApiSchemaChange, CallError, CallOutcome, Heartbeat, LiveResult, MutationResult,
    ProtocolApiSchemaChangesInput, ProtocolErrorStreamInput, ProtocolHeartbeatInput,
    ProtocolLiveOperationInput, ProtocolMutationResultsInput, ProtocolService,
};
use serde_json::{Map, Value};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::contract::{Change, LateHistory};

/// Time between two heartbeats when the caller names none.
const HEARTBEAT_MS_DEFAULT: u32 = 30_000;

/// Time between two calls of a live operation when the caller names none.
const LIVE_MS_DEFAULT: u32 = 1_000;

pub struct Protocol {
    api: LateApi,
    history: LateHistory,
}

impl Protocol {
    pub fn new(api: LateApi, history: LateHistory) -> Protocol {
        Protocol { api, history }
    }
}

#[async_trait]
impl ProtocolService for Protocol {
    async fn api_schema_changes(
        &self,
        _: &CallContext,
        input: ProtocolApiSchemaChangesInput,
    ) -> ServiceResult<Subscription<ApiSchemaChange>> {
        let history = self
            .history
            .get()
            .ok_or_else(|| ServiceError::new(&UNAVAILABLE, "the server is starting"))?;
        let since = input.since_revision;
        let change = history.change_since(since.as_deref()).ok_or_else(|| {
            let message = format!(
                "since_revision: no contract of revision {:?} is known to have been served on these data; \
                 leave it out to be told the newest, and read the contract anew",
                since.unwrap_or_default()
            );
            ServiceError::new(&UNKNOWN_REVISION, message)
        })?;
        let Change {
            revision,
            served_since,
            added,
            changed,
            removed,
        } = change;
        let event = ApiSchemaChange {
            revision,
            served_since,
            added,
            changed,
            removed,
        };
        let item = Item::event(Timestamp::now(), event);
        // The contract that is served stays the same for as long as the server runs.
        let items = stream::once(std::future::ready(Ok(item))).chain(stream::pending());
        Ok(Subscription::new(None, items))
    }

    async fn heartbeat(
        &self,
        _: &CallContext,
        input: ProtocolHeartbeatInput,
    ) -> ServiceResult<Subscription<Heartbeat>> {
        let seconds = input
            .interval_seconds
            .map(|seconds| seconds.saturating_mul(1_000));
        let ticks = ticks(input.interval_ms.or(seconds).unwrap_or(HEARTBEAT_MS_DEFAULT));
        let beats = stream::unfold((ticks, 0), async |(mut ticks, sent)| {
            ticks.tick().await;
            let sequence = sent + 1;
            let item = Item::event(Timestamp::now(), Heartbeat { sequence });
            Some((Ok(item), (ticks, sequence)))
        });
        Ok(Subscription::new(None, beats))
    }

    async fn mutation_results(
        &self,
        context: &CallContext,
        input: ProtocolMutationResultsInput,
    ) -> ServiceResult<Subscription<MutationResult>> {
        let api = self.api.get()?;
        for (at, id) in input.operations.iter().flatten().enumerate() {
            let is_command = api.operations().any(|operation| {
                operation.desc.id == id
                    && matches!(operation.desc.kind, OperationKind::Command | OperationKind::Job)
            });
            if !is_command {
                return Err(unknown_operation(&format!("operations.{at}"), id, "command"));
            }
        }
        let subscriber = context.principal().clone();
        let sees_all = subscriber.permissions.contains(SYSTEM_ADMIN);
        let wanted = input.operations;
        Ok(api.pipeline().commands().subscribe(move |called| {
            let is_wanted = wanted
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|id| id == called.desc.id));
            let caller = called.caller.as_deref().filter(|_| is_wanted)?;
            let sees_result = sees_all || caller.user_id == subscriber.user_id;
            Some(mutation_result(called, &caller.username, sees_result))
        }))
    }

    async fn error_stream(
        &self,
        _: &CallContext,
        input: ProtocolErrorStreamInput,
    ) -> ServiceResult<Subscription<CallError>> {
        let api = self.api.get()?;
        for (at, code) in input.codes.iter().flatten().enumerate() {
            let operations = api.operations().flat_map(|operation| operation.desc.errors);
            let views = api.views().flat_map(|view| view.desc.open.errors);
            let mut known = CORE.errors.iter().chain(operations).chain(views);
            if !known.any(|error| error.code == code) {
                return Err(ServiceError::new(
                    &UNKNOWN_ERROR_CODE,
                    format!(
                        "codes.{at}: there is no error {code}; the reference lists those of each operation"
                    ),
                ));
            }
        }
        let wanted = input.codes;
        Ok(api.pipeline().errors().subscribe(move |called| {
            let error = called.result.as_ref().err()?;
            let is_wanted = wanted
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|code| code == error.code()));
            is_wanted.then(|| CallError {
                operation: called.desc.id.to_owned(),
                code: error.code().to_owned(),
                message: error.message().to_owned(),
                request_id: called.request_id.to_string(),
                principal: called.caller.as_ref().map(|caller| caller.username.clone()),
            })
        }))
    }

    async fn live_operation(
        &self,
        context: &CallContext,
        input: ProtocolLiveOperationInput,
    ) -> ServiceResult<Subscription<LiveResult>> {
        let api = self.api.get()?;
        let found = api.operations().find(|operation| operation.desc.id == input.id);
        let is_query = found.is_some_and(|operation| operation.desc.kind == OperationKind::Query);
        if !is_query {
            return Err(unknown_operation("id", &input.id, "query"));
        }
        let args = match input.args {
            Presence::Absent | Presence::Null => Value::Object(Map::new()),
            Presence::Value(args @ Value::Object(_)) => args,
            Presence::Value(_) => {
                return Err(ServiceError::new(&INVALID_ARGUMENT, "args: is no object"));
            }
        };
        let mut live = Live {
            api: self.api.clone(),
            id: input.id,
            args,
            context: context.clone(),
            ticks: ticks(input.interval_ms.unwrap_or(LIVE_MS_DEFAULT)),
            last: None,
        };
        // Before the acknowledgement: what changes after it is a second answer.
        let first = live.next().await;
        let results = stream::unfold(Some((live, Some(first))), async |state| {
            let (mut live, first) = state?;
            let next = match first {
                Some(first) => first,
                None => live.next().await,
            };
            match next {
                Ok(result) => {
                    let item = Item::event(Timestamp::now(), LiveResult { result });
                    Some((Ok(item), Some((live, None))))
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Subscription::new(None, results))
    }
}

/// The first comes at once. A reader that is slow gets none for the time it was.
fn ticks(interval_ms: u32) -> Interval {
    let mut ticks = interval_at(Instant::now(), Duration::from_millis(u64::from(interval_ms)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn unknown_operation(path: &str, id: &str, kind: &str) -> ServiceError {
    let message = format!("{path}: there is no {kind} {id:?}; the reference lists the operations");
    ServiceError::new(&UNKNOWN_OPERATION, message)
}

fn mutation_result(called: &Called, principal: &str, sees_result: bool) -> MutationResult {
    let (outcome, code, result) = match &called.result {
        Ok(answer) if sees_result => (CallOutcome::Succeeded, None, Presence::Value(answer.clone())),
        Ok(_) => (CallOutcome::Succeeded, None, Presence::Absent),
        Err(error) => (
            CallOutcome::Failed,
            Some(error.code().to_owned()),
            Presence::Absent,
        ),
    };
    MutationResult {
        operation: called.desc.id.to_owned(),
        principal: principal.to_owned(),
        outcome,
        code,
        duration_ms: u64::try_from(called.elapsed.as_millis()).unwrap_or(u64::MAX),
        result,
    }
}

/// A query that is called again and again.
struct Live {
    api: LateApi,
    id: String,
    args: Value,
    context: CallContext,
    ticks: Interval,
    last: Option<Json>,
}

impl Live {
    /// The next answer that is another than the last.
    async fn next(&mut self) -> ServiceResult<Json> {
        loop {
            self.ticks.tick().await;
            let answer = self.call().await?;
            if self.last.as_ref() != Some(&answer) {
                self.last = Some(answer.clone());
                return Ok(answer);
            }
        }
    }

    async fn call(&self) -> ServiceResult<Json> {
        let api = self.api.get()?;
        let operation = api.operations().find(|operation| operation.desc.id == self.id);
        let operation = operation.ok_or_else(|| unknown_operation("id", &self.id, "query"))?;
        let call = Call {
            interface: self.context.interface,
            credential: self.context.credential.clone(),
            peer: self.context.peer,
            request_id: Arc::clone(&self.context.request_id),
            timeout_ms: None,
            input: self.args.clone(),
        };
        let answer = api.pipeline().call(operation, call).await?;
        answer
            .to_value()
            .map_err(|error| ServiceError::new(&INTERNAL, error.to_string()))
    }
}
