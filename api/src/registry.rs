//! The operations a server has, by id, and per interface which of them it carries.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use rustydb_contract::descriptor::{ModuleDesc, OperationDesc};
use rustydb_contract::{CallContext, Operation, ServiceError, ServiceResult};
use rustydb_contract_core::errors::{INTERNAL, INVALID_ARGUMENT, OPERATION_NOT_FOUND, UNAVAILABLE};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;

use crate::live::Live;
use crate::pipeline::Pipeline;
use crate::streams::RegisteredView;

/// An operation's answer, not yet encoded.
pub trait Answer: Send {
    /// JSON text, as REST and RPC send it.
    fn to_json(&self) -> serde_json::Result<Vec<u8>>;
    /// A JSON value, as GraphQL walks it.
    fn to_value(&self) -> serde_json::Result<Value>;
}

impl<T: Serialize + Send> Answer for T {
    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    fn to_value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

type Invocation = Pin<Box<dyn Future<Output = ServiceResult<Box<dyn Answer>>> + Send>>;

/// An operation with the service that does it.
pub struct Registered {
    pub desc: &'static OperationDesc,
    invoke: Box<dyn Fn(CallContext, Value) -> Invocation + Send + Sync>,
}

impl Registered {
    pub fn new<O: Operation>(service: Arc<O::Service>) -> Registered {
        let invoke = move |context: CallContext, input: Value| -> Invocation {
            let service = Arc::clone(&service);
            Box::pin(async move {
                let input = serde_json::from_value(input)
                    .map_err(|error| ServiceError::new(&INVALID_ARGUMENT, error.to_string()))?;
                let answer = O::call(&service, &context, input).await?;
                Ok(Box::new(answer) as Box<dyn Answer>)
            })
        };
        Registered {
            desc: O::desc(),
            invoke: Box::new(invoke),
        }
    }

    /// Runs the operation; only the pipeline does.
    pub(crate) fn invoke(&self, context: CallContext, input: Value) -> Invocation {
        (self.invoke)(context, input)
    }
}

/// What a generated crate registers for its module: its operations, and on which interface each is.
pub struct ModuleApi {
    pub desc: &'static ModuleDesc,
    pub operations: Vec<Registered>,
    pub views: Vec<RegisteredView>,
    pub rest: OpenApiRouter<Api>,
    pub rpc: Vec<&'static OperationDesc>,
    pub graphql: Vec<&'static OperationDesc>,
}

/// All that requests need, shared by every connection.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// The way back to the server for services that the server itself has: they are made before it is.
#[derive(Clone, Default)]
pub struct LateApi(Arc<OnceLock<Weak<Inner>>>);

impl LateApi {
    /// Says which server it is; once.
    pub fn set(&self, api: &Api) {
        // A second one would be a second server with the same services, and the first stays.
        let _ = self.0.set(Arc::downgrade(&api.0));
    }

    pub fn get(&self) -> ServiceResult<Api> {
        let api = self.0.get().and_then(Weak::upgrade);
        api.map(Api)
            .ok_or_else(|| ServiceError::new(&UNAVAILABLE, "the server is starting or stopping"))
    }
}

struct Inner {
    pipeline: Pipeline,
    operations: BTreeMap<&'static str, Registered>,
    rpc: BTreeMap<&'static str, &'static OperationDesc>,
    views: BTreeMap<&'static str, RegisteredView>,
    live: Arc<Live>,
    access: watch::Sender<u64>,
    sockets: TaskTracker,
    stopping: CancellationToken,
    /// Ends what the server does in the background.
    _background: DropGuard,
}

impl Api {
    /// # Panics
    /// Outside a Tokio runtime.
    pub(crate) fn new(
        pipeline: Pipeline,
        operations: BTreeMap<&'static str, Registered>,
        rpc: BTreeMap<&'static str, &'static OperationDesc>,
        views: BTreeMap<&'static str, RegisteredView>,
    ) -> Api {
        let (sockets, stopping) = (TaskTracker::new(), CancellationToken::new());
        let background = CancellationToken::new();
        let api = Api(Arc::new(Inner {
            pipeline,
            operations,
            rpc,
            views,
            live: Arc::default(),
            access: watch::Sender::new(0),
            sockets,
            stopping,
            _background: background.clone().drop_guard(),
        }));
        api.follow_access(background);
        api
    }

    /// Passes word of changed access rights on to every open view.
    fn follow_access(&self, ended: CancellationToken) {
        let identity = Arc::clone(self.0.pipeline.identity());
        let access = self.0.access.clone();
        tokio::spawn(ended.run_until_cancelled_owned(async move {
            let mut seen = 0;
            loop {
                seen = identity.changed(seen).await;
                access.send_replace(seen);
            }
        }));
    }

    /// Word of every change of access rights from now on.
    pub(crate) fn access_changes(&self) -> watch::Receiver<u64> {
        self.0.access.subscribe()
    }

    /// Connections and their subscriptions.
    pub fn live(&self) -> &Arc<Live> {
        &self.0.live
    }

    /// Every view by id.
    pub fn views(&self) -> impl Iterator<Item = &RegisteredView> {
        self.0.views.values()
    }

    /// The view of that id.
    pub fn view(&self, id: &str) -> ServiceResult<&RegisteredView> {
        self.0.views.get(id).ok_or_else(|| {
            ServiceError::new(
                &OPERATION_NOT_FOUND,
                format!("there is no view {id:?}; views are named like database.table_changes, and docs/asyncapi.json lists them"),
            )
        })
    }

    pub fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    /// Stops taking calls, lets those under way finish, and closes every socket; returns when all are closed.
    pub async fn drain(&self) {
        self.0.pipeline.drain();
        self.0.stopping.cancel();
        self.0.sockets.close();
        self.0.sockets.wait().await;
    }

    /// Tasks of open sockets.
    pub(crate) fn sockets(&self) -> &TaskTracker {
        &self.0.sockets
    }

    /// Cancelled when the server stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Every operation by id.
    pub fn operations(&self) -> impl Iterator<Item = &Registered> {
        self.0.operations.values()
    }

    /// The method of that name on RPC.
    pub fn rpc_method(&self, id: &str) -> Option<&Registered> {
        self.operation(self.0.rpc.get(id)?).ok()
    }

    /// The service behind an operation.
    pub fn operation(&self, desc: &OperationDesc) -> ServiceResult<&Registered> {
        self.0.operations.get(desc.id).ok_or_else(|| {
            ServiceError::new(
                &INTERNAL,
                format!("{} is routed but no service is registered for it", desc.id),
            )
        })
    }
}
