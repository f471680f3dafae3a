//! The one way in: authenticate, authorise, validate, call within a deadline, measure.
//!
//! Nothing an operation does depends on the interface that carried it, and no handler checks a permission.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use parking_lot::Mutex;
use rustydb_contract::descriptor::{
    FieldDesc, Limits, OperationDesc, OperationKind, PermissionRule, Shape, Ty, TypeDesc,
};
use rustydb_contract::host::{Credential, CredentialCell, Identity, StatementClassifier};
use rustydb_contract::topic::Topic;
use rustydb_contract::validate::validate;
use rustydb_contract::{CallContext, Interface, Permissions, Principal, ServiceError, ServiceResult};
use rustydb_contract_core::access::PERMISSIONS;
use rustydb_contract_core::errors::{
    DEADLINE_EXCEEDED, INTERNAL, INVALID_ARGUMENT, PERMISSION_DENIED, UNAUTHENTICATED, UNAVAILABLE,
};
use serde_json::{Map, Value};
use tracing::Instrument;

use crate::errors::invalid_argument;
use crate::live::Entry;
use crate::registry::{Answer, Registered};
use crate::streams::{Opened, RegisteredView};

/// Longest request id taken from a caller.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// One request, decoded by an interface.
#[derive(Debug)]
pub struct Call {
    pub interface: Interface,
    pub credential: CredentialCell,
    /// Where it comes from; `None` when the server does not know.
    pub peer: Option<SocketAddr>,
    pub request_id: Arc<str>,
    /// What the caller asks for; bounded by the contract.
    pub timeout_ms: Option<u64>,
    /// An object by field name.
    pub input: Value,
}

/// See the module.
pub struct Pipeline {
    identity: Arc<dyn Identity>,
    classifier: Arc<dyn StatementClassifier>,
    limits: Limits,
    draining: AtomicBool,
    commands: Arc<Topic<Called>>,
    errors: Arc<Topic<Called>>,
    totals: Mutex<Totals>,
}

/// Calls, and openings of views, since the server started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub answered: u64,
    /// Those of them that answered an error.
    pub failed: u64,
    /// From arrival to answer, of all of them together.
    pub elapsed: Duration,
}

impl Totals {
    /// From arrival to answer; zero before the first call.
    pub fn average(&self) -> Duration {
        let seconds = self.elapsed.as_secs_f64() / self.answered.max(1) as f64;
        Duration::from_secs_f64(seconds)
    }
}

/// A call that was answered.
pub struct Called {
    pub desc: &'static OperationDesc,
    /// Who made it, where that was found out.
    pub caller: Option<Arc<Principal>>,
    pub request_id: Arc<str>,
    /// What was answered, without what is secret.
    pub result: ServiceResult<Value>,
    pub elapsed: Duration,
}

/// A value of a type without its secrets.
fn public(mut value: Value, ty: Option<&'static TypeDesc>) -> Value {
    if let Some(ty) = ty {
        hide_named(&mut value, ty);
    }
    value
}

fn hide_named(value: &mut Value, desc: &'static TypeDesc) {
    match (&desc.shape, value) {
        (Shape::Object(object), Value::Object(map)) => hide_fields(map, object.fields),
        (Shape::Union(union), Value::Object(map)) => {
            let tag = map.get(union.tag).and_then(Value::as_str);
            let variant = union.variants.iter().find(|variant| Some(variant.value) == tag);
            if let Some(Shape::Object(object)) = variant.map(|variant| &variant.target.shape) {
                hide_fields(map, object.fields);
            }
        }
        (Shape::Alias(ty), value) => hide(value, ty),
        _ => {}
    }
}

fn hide_fields(map: &mut Map<String, Value>, fields: &'static [FieldDesc]) {
    for field in fields {
        if field.sensitive {
            map.shift_remove(field.name);
        } else if let Some(value) = map.get_mut(field.name) {
            hide(value, &field.ty);
        }
    }
}

fn hide(value: &mut Value, ty: &'static Ty) {
    match (ty.resolved(), value) {
        (Ty::Ref(desc), value) => hide_named(value, desc),
        (Ty::Array { items, .. }, Value::Array(list)) => list.iter_mut().for_each(|item| hide(item, items)),
        (Ty::Map { values }, Value::Object(map)) => map.values_mut().for_each(|value| hide(value, values)),
        _ => {}
    }
}

impl Pipeline {
    pub fn new(
        identity: Arc<dyn Identity>,
        classifier: Arc<dyn StatementClassifier>,
        limits: Limits,
    ) -> Pipeline {
        Pipeline {
            identity,
            classifier,
            limits,
            draining: AtomicBool::new(false),
            commands: Topic::new(),
            errors: Topic::new(),
            totals: Mutex::default(),
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// From now on every call that is not public answers UNAVAILABLE; those under way go on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Takes one call through every step.
    pub async fn call(&self, operation: &Registered, call: Call) -> ServiceResult<Box<dyn Answer>> {
        let desc = operation.desc;
        let span = tracing::info_span!(
            "call",
            operation = desc.id,
            interface = call.interface.as_str(),
            request_id = %call.request_id,
        );
        let (interface, request_id) = (call.interface, Arc::clone(&call.request_id));
        let begun = Instant::now();
        let mut caller = None;
        let steps = AssertUnwindSafe(self.steps(operation, call, begun, &mut caller)).catch_unwind();
        let result = match steps.instrument(span.clone()).await {
            Ok(result) => result,
            Err(_) => Err(panicked()),
        };
        let elapsed = begun.elapsed();
        let code = result.as_ref().err().map_or("OK", ServiceError::code);
        measure(desc, interface, code, elapsed);
        self.count(result.is_err(), elapsed);
        self.tell(desc, caller.as_ref(), &request_id, result.as_deref(), elapsed);
        span.in_scope(|| match &result {
            Ok(_) => tracing::debug!(elapsed_us = elapsed.as_micros() as u64, "done"),
            Err(error) if error.desc().status >= 500 => tracing::error!(%error, "failed"),
            Err(error) => tracing::debug!(%error, "refused"),
        });
        result
    }

    /// Takes the opening of a view through every step; answers its place among the connection's subscriptions, where the
    /// connection has one to give, and who opened it.
    pub(crate) async fn open(
        &self,
        view: &RegisteredView,
        call: Call,
        connection: Arc<str>,
        entry: ServiceResult<Entry>,
    ) -> ServiceResult<(Opened, Entry, Option<Arc<Principal>>)> {
        let desc = &view.desc.open;
        let (interface, request_id) = (call.interface, Arc::clone(&call.request_id));
        let begun = Instant::now();
        let mut caller = None;
        let span = tracing::info_span!(
            "open",
            view = desc.id,
            interface = interface.as_str(),
            request_id = %call.request_id,
        );
        let steps = async {
            let (context, input, timeout) = self
                .admitted(desc, call, begun, Some(connection), &mut caller)
                .await?;
            let entry = entry?;
            let principal = context.principal.clone();
            let opened = within(timeout, view.open(context, input)).await?;
            Ok((opened, entry, principal))
        };
        let result = match AssertUnwindSafe(steps)
            .catch_unwind()
            .instrument(span.clone())
            .await
        {
            Ok(result) => result.inspect_err(|error| check_declared(desc, error)),
            Err(_) => Err(panicked()),
        };
        let code = result.as_ref().err().map_or("OK", ServiceError::code);
        measure(desc, interface, code, begun.elapsed());
        self.count(result.is_err(), begun.elapsed());
        if let Err(error) = &result {
            self.tell(desc, caller.as_ref(), &request_id, Err(error), begun.elapsed());
        }
        span.in_scope(|| match &result {
            Err(error) if error.desc().status >= 500 => tracing::error!(%error, "failed"),
            Err(error) => tracing::debug!(%error, "refused"),
            Ok(_) => {}
        });
        result
    }

    /// Tells whoever watches calls of one that was answered.
    fn tell(
        &self,
        desc: &'static OperationDesc,
        caller: Option<&Arc<Principal>>,
        request_id: &Arc<str>,
        result: Result<&dyn Answer, &ServiceError>,
        elapsed: Duration,
    ) {
        let called = || Called {
            desc,
            caller: caller.cloned(),
            request_id: Arc::clone(request_id),
            result: match result {
                Ok(answer) => Ok(public(answer.to_value().unwrap_or_default(), desc.output)),
                Err(error) => Err(error.clone()),
            },
            elapsed,
        };
        if result.is_err() {
            self.errors.publish(called);
        }
        if desc.kind == OperationKind::Command || desc.kind == OperationKind::Job {
            self.commands.publish(called);
        }
    }

    fn count(&self, failed: bool, elapsed: Duration) {
        let mut totals = self.totals.lock();
        totals.answered += 1;
        totals.failed += u64::from(failed);
        totals.elapsed += elapsed;
    }

    pub fn totals(&self) -> Totals {
        *self.totals.lock()
    }

    /// Commands as they are answered.
    pub fn commands(&self) -> &Arc<Topic<Called>> {
        &self.commands
    }

    /// Calls, and openings of views, as they fail.
    pub fn errors(&self) -> &Arc<Topic<Called>> {
        &self.errors
    }

    /// Whether a caller may still make a call that was let through before.
    pub(crate) async fn may(
        &self,
        desc: &OperationDesc,
        credential: Option<&Credential>,
        input: &Value,
    ) -> ServiceResult<Option<Arc<Principal>>> {
        let principal = self.authenticate(desc, credential).await?;
        if let Some(principal) = &principal {
            self.authorise(desc, principal, input)?;
        }
        Ok(principal)
    }

    pub(crate) fn identity(&self) -> &Arc<dyn Identity> {
        &self.identity
    }

    async fn steps(
        &self,
        operation: &Registered,
        call: Call,
        begun: Instant,
        caller: &mut Option<Arc<Principal>>,
    ) -> ServiceResult<Box<dyn Answer>> {
        let desc = operation.desc;
        let (context, input, timeout) = self.admitted(desc, call, begun, None, caller).await?;
        within(timeout, operation.invoke(context, input))
            .await
            .inspect_err(|error| check_declared(desc, error))
    }

    /// Everything before the call itself: authenticated, authorised, valid, and with a deadline.
    async fn admitted(
        &self,
        desc: &'static OperationDesc,
        call: Call,
        begun: Instant,
        connection: Option<Arc<str>>,
        caller: &mut Option<Arc<Principal>>,
    ) -> ServiceResult<(CallContext, Value, Duration)> {
        if self.draining.load(Ordering::Relaxed) && desc.permission != PermissionRule::Public {
            return Err(ServiceError::new(&UNAVAILABLE, "the server is stopping").with_retry_after_seconds(1));
        }
        let principal = self.authenticate(desc, call.credential.get().as_ref()).await?;
        *caller = principal.clone();
        // What statements need is known by parsing them, and nothing is parsed before its bounds are checked.
        let by_statement = matches!(desc.permission, PermissionRule::Statement { .. });
        if by_statement {
            validate(&call.input, desc.input).map_err(invalid_argument)?;
        }
        if let Some(principal) = &principal {
            self.authorise(desc, principal, &call.input)?;
        }
        if !by_statement {
            validate(&call.input, desc.input).map_err(invalid_argument)?;
        }
        let timeout = self.timeout(desc, call.timeout_ms)?;
        let context = CallContext {
            operation: desc,
            interface: call.interface,
            request_id: call.request_id,
            principal,
            credential: call.credential,
            peer: call.peer,
            connection,
            deadline: begun + timeout,
        };
        Ok((context, call.input, timeout))
    }

    /// The caller. A public operation is open to a caller with a credential that is no longer good.
    async fn authenticate(
        &self,
        desc: &OperationDesc,
        credential: Option<&Credential>,
    ) -> ServiceResult<Option<Arc<Principal>>> {
        let public = desc.permission == PermissionRule::Public;
        match credential {
            None if public => Ok(None),
            None => Err(unauthenticated(desc.id)),
            Some(credential) => match self.identity.authenticate(credential).await {
                Ok(principal) => Ok(Some(principal)),
                Err(_) if public => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// Who is behind a credential that a connection presents before any call.
    pub async fn principal(&self, credential: &Credential) -> ServiceResult<Arc<Principal>> {
        self.identity.authenticate(credential).await
    }

    /// Lets a caller at something beside the contract's operations, such as the metrics page.
    pub async fn admit(
        &self,
        what: &str,
        credential: Option<&Credential>,
        needed: Permissions,
    ) -> ServiceResult<()> {
        let credential = credential.ok_or_else(|| unauthenticated(what))?;
        let principal = self.identity.authenticate(credential).await?;
        check_permissions(what, &principal, needed)
    }

    fn authorise(&self, desc: &OperationDesc, principal: &Principal, input: &Value) -> ServiceResult<()> {
        let needed = match desc.permission {
            PermissionRule::Public | PermissionRule::Authenticated => Permissions::NONE,
            PermissionRule::Needs(permissions) => permissions,
            PermissionRule::Statement { fields } => self.statement_permissions(fields, input)?,
        };
        check_permissions(desc.id, principal, needed)
    }

    /// The input is valid: each field that is there holds text, or a list of texts.
    fn statement_permissions(&self, fields: &[&str], input: &Value) -> ServiceResult<Permissions> {
        let mut needed = Permissions::NONE;
        for field in fields {
            match input.get(field) {
                Some(Value::String(text)) => needed = needed.union(self.classifier.permissions(text)?),
                Some(Value::Array(items)) => {
                    for (at, text) in items.iter().filter_map(Value::as_str).enumerate() {
                        let permissions = self.classifier.permissions(text);
                        needed = needed
                            .union(permissions.map_err(|error| error.in_part(&format!("{field}.{at}")))?);
                    }
                }
                _ => {}
            }
        }
        Ok(needed)
    }

    fn timeout(&self, desc: &OperationDesc, asked_ms: Option<u64>) -> ServiceResult<Duration> {
        match asked_ms {
            None => Ok(Duration::from_millis(desc.timeout_ms)),
            Some(ms) if (1..=self.limits.timeout_max_ms).contains(&ms) => Ok(Duration::from_millis(ms)),
            Some(ms) => Err(ServiceError::new(
                &INVALID_ARGUMENT,
                format!(
                    "a time-out of {ms} ms is outside of 1 to {}",
                    self.limits.timeout_max_ms
                ),
            )),
        }
    }
}

async fn within<T>(timeout: Duration, work: impl Future<Output = ServiceResult<T>>) -> ServiceResult<T> {
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result,
        Err(_) => Err(ServiceError::new(
            &DEADLINE_EXCEEDED,
            format!(
                "not done within {} ms; ask for more with the time-out of the call",
                timeout.as_millis()
            ),
        )),
    }
}

fn panicked() -> ServiceError {
    ServiceError::new(&INTERNAL, "the operation failed unexpectedly; the log has more")
}

fn unauthenticated(what: &str) -> ServiceError {
    let message = format!("{what} needs credentials: send a bearer token or an API key");
    ServiceError::new(&UNAUTHENTICATED, message)
}

fn check_permissions(what: &str, principal: &Principal, needed: Permissions) -> ServiceResult<()> {
    if principal.permissions.contains(needed) {
        return Ok(());
    }
    let missing = needed.without(principal.permissions);
    let names: Vec<&str> = PERMISSIONS
        .iter()
        .filter(|permission| missing.contains(permission.bit))
        .map(|permission| permission.name)
        .collect();
    Err(ServiceError::new(
        &PERMISSION_DENIED,
        format!(
            "{what} needs {}, which the roles of {} do not carry",
            names.join(" and "),
            principal.username
        ),
    ))
}

/// A name for the call: the caller's where it is sound, else a fresh one.
pub fn request_id(given: Option<&str>) -> Arc<str> {
    let sound = |id: &&str| {
        (1..=REQUEST_ID_CHARS_MAX).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    };
    match given.filter(sound) {
        Some(id) => id.into(),
        None => uuid::Uuid::now_v7().to_string().into(),
    }
}

fn measure(desc: &'static OperationDesc, interface: Interface, code: &'static str, elapsed: Duration) {
    let interface = interface.as_str();
    metrics::counter!("rustydb_calls_total", "operation" => desc.id, "interface" => interface, "code" => code)
        .increment(1);
    metrics::histogram!("rustydb_call_duration_seconds", "operation" => desc.id, "interface" => interface)
        .record(elapsed.as_secs_f64());
}

/// An error that the contract does not declare for the operation reaches the caller as it is, and the log:
/// clients cannot expect it.
fn check_declared(desc: &OperationDesc, error: &ServiceError) {
    let declared = desc.errors.iter().chain(rustydb_contract_core::MODULE.errors);
    if !declared.into_iter().any(|known| known.code == error.code()) {
        tracing::error!(
            code = error.code(),
            operation = desc.id,
            "the contract does not declare this error"
        );
        metrics::counter!("rustydb_undeclared_errors_total", "operation" => desc.id).increment(1);
    }
}
