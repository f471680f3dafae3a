//! The `websocket` module: the connections that stay open, from the server's own list of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustydb_api::live::{self, Connection as OpenConnection, Live, Subscribed};
use rustydb_api::{Api, LateApi};
use rustydb_contract::stream::Subscription;
use rustydb_contract::{
    CallContext, Cursor, Empty, Presence, ServiceError, ServiceResult, Timestamp, async_trait,
};
use rustydb_contract_core::errors::INVALID_ARGUMENT;
use rustydb_contract_websocket::errors::{
    CONNECTION_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, TRANSPORT_UNSUITABLE, UNKNOWN_VIEW,
};
use rustydb_contract_websocket::{
    Broadcast, BroadcastResult, ClosedConnection, Connection, ConnectionList, EventSubscription,
    EventSubscriptionList, SocketServerStatus, WebsocketBroadcastInput, WebsocketBroadcastsInput,
    WebsocketCreateSubscriptionInput, WebsocketDeleteSubscriptionInput, WebsocketDisconnectInput,
    WebsocketGetConnectionInput, WebsocketGetStatusInput, WebsocketGetSubscriptionInput,
    WebsocketListConnectionsInput, WebsocketListSubscriptionsInput, WebsocketService, WebsocketStatus,
};
use rustydb_runtime::Clock;
use rustydb_services::identity::paging;
use serde_json::{Map, Value};

/// Names of the lists in cursors.
const CONNECTIONS: &str = "connections";
const SUBSCRIPTIONS: &str = "subscriptions";

pub struct Websocket {
    api: LateApi,
    /// Its monotonic zero is the start of the process.
    clock: Arc<dyn Clock>,
}

impl Websocket {
    pub fn new(api: LateApi, clock: Arc<dyn Clock>) -> Websocket {
        Websocket { api, clock }
    }

    fn api(&self) -> ServiceResult<Api> {
        self.api.get()
    }

    fn connection(&self, id: &str) -> ServiceResult<Arc<OpenConnection>> {
        self.api()?
            .live()
            .connection(id)
            .ok_or_else(|| connection_not_found(id))
    }

    /// Every open subscription, oldest first.
    fn subscriptions(&self) -> ServiceResult<Vec<Arc<Subscribed>>> {
        let connections = self.api()?.live().connections();
        let mut open: Vec<_> = connections
            .iter()
            .flat_map(|connection| connection.subscriptions())
            .collect();
        open.sort_by_key(|subscribed| subscribed.number());
        Ok(open)
    }

    fn subscription(&self, id: &str) -> ServiceResult<Arc<Subscribed>> {
        let found = self
            .subscriptions()?
            .into_iter()
            .find(|subscribed| subscribed.id() == id);
        found.ok_or_else(|| {
            let message = format!(
                "there is no subscription {id:?}; websocket.list_subscriptions lists those there are"
            );
            ServiceError::new(&SUBSCRIPTION_NOT_FOUND, message)
        })
    }
}

#[async_trait]
impl WebsocketService for Websocket {
    async fn get_status(
        &self,
        _: &CallContext,
        _: WebsocketGetStatusInput,
    ) -> ServiceResult<WebsocketStatus> {
        let api = self.api()?;
        let live: &Live = api.live();
        let connections = live.connections();
        let sum = |count: fn(&OpenConnection) -> u64| connections.iter().map(|one| count(one)).sum();
        let is_stuck = connections.iter().any(|connection| connection.is_stuck());
        Ok(WebsocketStatus {
            status: if is_stuck {
                SocketServerStatus::Degraded
            } else {
                SocketServerStatus::Healthy
            },
            total_connections: live.connections_made(),
            active_connections: connections.len() as u64,
            total_subscriptions: sum(|connection| connection.subscriptions().len() as u64),
            messages_sent: sum(|connection| connection.messages_sent.load(Ordering::Relaxed)),
            messages_received: sum(|connection| connection.messages_received.load(Ordering::Relaxed)),
            uptime_seconds: self.clock.now_mono_us() / 1_000_000,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            timestamp: u64::try_from(Timestamp::now().as_micros() / 1_000_000).unwrap_or(0),
        })
    }

    async fn list_connections(
        &self,
        _: &CallContext,
        input: WebsocketListConnectionsInput,
    ) -> ServiceResult<ConnectionList> {
        let open = self.api()?.live().connections();
        let total = open.len() as u64;
        let (page, next) = page(CONNECTIONS, open, input.limit, input.after, |connection| {
            connection.number()
        })?;
        Ok(ConnectionList {
            connections: page.iter().map(|connection| shown(connection)).collect(),
            total,
            next,
        })
    }

    async fn get_connection(
        &self,
        _: &CallContext,
        input: WebsocketGetConnectionInput,
    ) -> ServiceResult<Connection> {
        self.connection(&input.id).map(|connection| shown(&connection))
    }

    async fn disconnect(
        &self,
        _: &CallContext,
        input: WebsocketDisconnectInput,
    ) -> ServiceResult<ClosedConnection> {
        let connection = self.connection(&input.id)?;
        connection.close();
        Ok(ClosedConnection {
            message: "the connection is being closed".to_owned(),
            connection_id: connection.id(),
        })
    }

    async fn broadcast(
        &self,
        _: &CallContext,
        input: WebsocketBroadcastInput,
    ) -> ServiceResult<BroadcastResult> {
        let api = self.api()?;
        for id in input.connection_ids.iter().flatten() {
            self.connection(id)?;
        }
        let message = live::Broadcast {
            topic: input.topic,
            message: input.message,
            metadata: input.metadata.value(),
            connections: input.connection_ids,
            usernames: input.usernames,
        };
        let recipients = api
            .live()
            .connections()
            .iter()
            .filter(|one| receives(one, &message))
            .count();
        api.live().broadcasts().publish(|| message);
        Ok(BroadcastResult {
            recipients: recipients as u64,
        })
    }

    async fn list_subscriptions(
        &self,
        _: &CallContext,
        input: WebsocketListSubscriptionsInput,
    ) -> ServiceResult<EventSubscriptionList> {
        let mut open = self.subscriptions()?;
        if let Some(id) = &input.connection_id {
            open.retain(|subscribed| subscribed.connection_id == *id);
        }
        let total = open.len() as u64;
        let (page, next) = page(SUBSCRIPTIONS, open, input.limit, input.after, |subscribed| {
            subscribed.number()
        })?;
        Ok(EventSubscriptionList {
            subscriptions: page.iter().map(|subscribed| described(subscribed)).collect(),
            total,
            next,
        })
    }

    async fn create_subscription(
        &self,
        _: &CallContext,
        input: WebsocketCreateSubscriptionInput,
    ) -> ServiceResult<EventSubscription> {
        let connection = self.connection(&input.connection_id)?;
        let api = self.api()?;
        let view = api.view(&input.view).map_err(|_| {
            let message = format!(
                "view: there is no view {:?}; docs/asyncapi.json lists them",
                input.view
            );
            ServiceError::new(&UNKNOWN_VIEW, message)
        })?;
        let args = match input.args {
            Presence::Absent | Presence::Null => Value::Object(Map::new()),
            Presence::Value(args @ Value::Object(_)) => args,
            Presence::Value(_) => {
                return Err(ServiceError::new(&INVALID_ARGUMENT, "args: is no object"));
            }
        };
        match connection.request(view.desc, args).await {
            Some(opened) => opened.map(|subscribed| described(&subscribed)),
            None => Err(ServiceError::new(
                &TRANSPORT_UNSUITABLE,
                format!(
                    "{} speaks {}, in which only the peer subscribes",
                    input.connection_id,
                    connection.transport.as_str()
                ),
            )),
        }
    }

    async fn get_subscription(
        &self,
        _: &CallContext,
        input: WebsocketGetSubscriptionInput,
    ) -> ServiceResult<EventSubscription> {
        self.subscription(&input.id)
            .map(|subscribed| described(&subscribed))
    }

    async fn delete_subscription(
        &self,
        _: &CallContext,
        input: WebsocketDeleteSubscriptionInput,
    ) -> ServiceResult<Empty> {
        self.subscription(&input.id)?.cancel();
        Ok(Empty {})
    }

    async fn broadcasts(
        &self,
        context: &CallContext,
        _: WebsocketBroadcastsInput,
    ) -> ServiceResult<Subscription<Broadcast>> {
        let connection = context.connection.clone();
        let username = context.principal().username.clone();
        Ok(self.api()?.live().broadcasts().subscribe(move |message| {
            let is_mine = message.is_for(connection.as_deref().unwrap_or_default(), Some(&username));
            is_mine.then(|| Broadcast {
                topic: message.topic.clone(),
                message: message.message.clone(),
                metadata: message.metadata.clone().map_or(Presence::Absent, Presence::Value),
            })
        }))
    }
}

fn connection_not_found(id: &str) -> ServiceError {
    let message = format!("there is no connection {id:?}; websocket.list_connections lists those there are");
    ServiceError::new(&CONNECTION_NOT_FOUND, message)
}

/// Whether a message reaches a connection: pushed, or because it watches the broadcasts.
fn receives(connection: &OpenConnection, message: &live::Broadcast) -> bool {
    let principal = connection.principal();
    let username = principal.as_ref().map(|principal| principal.username.as_str());
    let watches = || {
        let subscriptions = connection.subscriptions();
        subscriptions
            .iter()
            .any(|subscribed| subscribed.view.open.id == "websocket.broadcasts")
    };
    message.is_for(&connection.id(), username) && (connection.takes_broadcasts() || watches())
}

fn shown(connection: &OpenConnection) -> Connection {
    let principal = connection.principal();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Connection {
        connection_id: connection.id(),
        transport: connection.transport.as_str().to_owned(),
        user_id: principal.as_ref().map(|principal| principal.user_id.clone()),
        username: principal.as_ref().map(|principal| principal.username.clone()),
        connected_at: connection.opened_at,
        subscriptions: connection.subscriptions().len() as u64,
        messages_sent: count(&connection.messages_sent),
        messages_received: count(&connection.messages_received),
        bytes_sent: count(&connection.bytes_sent),
        bytes_received: count(&connection.bytes_received),
        client_address: connection.address.map(|address| address.to_string()),
    }
}

fn described(subscribed: &Subscribed) -> EventSubscription {
    EventSubscription {
        subscription_id: subscribed.id(),
        connection_id: subscribed.connection_id.clone(),
        view: subscribed.view.open.id.to_owned(),
        created_at: subscribed.opened_at,
        events_sent: subscribed.events.load(Ordering::Relaxed),
    }
}

/// A page of what is open, in its order. The cursor holds the number of the last item; what is gone meanwhile leaves its
/// place: numbers count up.
fn page<T>(
    list: &str,
    open: Vec<T>,
    limit: Option<u32>,
    after: Option<Cursor>,
    number: impl Fn(&T) -> u64,
) -> ServiceResult<(Vec<T>, Option<Cursor>)> {
    let behind = paging::after(list, after)?
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut page: Vec<T> = open.into_iter().filter(|item| number(item) > behind).collect();
    let many = paging::page_items(limit);
    let has_more = page.len() > many;
    page.truncate(many);
    let next = page.last().filter(|_| has_more);
    let next = next.map(|last| paging::cursor(list, &number(last).to_string()));
    Ok((page, next))
}
