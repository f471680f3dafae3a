//! A server with a user for each role.

use std::collections::BTreeMap;

use codegen::model::{Example, Operation, Step};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::contract::{self, model};
use super::credential::Credential;
use super::error::Answer;
use super::rest;
use super::server::{ADMIN_PASSWORD, Server};
use super::watch::{Stream, hear, say, socket};

pub struct World {
    pub server: Server,
    pub http: reqwest::Client,
    /// By role; the administrator is the first user.
    credentials: BTreeMap<String, Credential>,
    /// Connections that are open from the beginning, for examples that are about connections: two that speak the raw
    /// envelope and one that speaks graphql-transport-ws.
    standing: Vec<Stream>,
}

impl World {
    pub async fn new() -> World {
        World::on(Server::start()).await
    }

    /// Creates a user for each role but the administrator's, named after the role, and signs all in.
    pub async fn on(server: Server) -> World {
        let mut world = World {
            server,
            http: reqwest::Client::new(),
            credentials: BTreeMap::new(),
            standing: Vec::new(),
        };
        world.sign_in("admin").await;
        for role in &model().roles {
            if role.name != "admin" {
                let input = json!({"username": user_of(&role.name), "password": ADMIN_PASSWORD, "roles": [role.name]});
                world.must("admin.create_user", &input, "admin").await;
                world.sign_in(&role.name).await;
            }
        }
        world.stand().await;
        world
    }

    async fn stand(&mut self) {
        let credential = self.credential("admin");
        for (path, protocol) in [
            ("/api/v1/ws", None),
            ("/api/v1/ws", None),
            ("/graphql", Some("graphql-transport-ws")),
        ] {
            let opened = socket(self.server.address(), path, protocol, &credential).await;
            self.standing.push(opened.unwrap());
        }
        let graphql = self.standing.last_mut().unwrap();
        say(graphql, &json!({"type": "connection_init"})).await;
        assert_eq!(hear(graphql).await, Some(json!({"type": "connection_ack"})));
    }

    /// A server whose users are there already, with nobody but the administrator signed in.
    pub async fn reopened(server: Server) -> World {
        let mut world = World {
            server,
            http: reqwest::Client::new(),
            credentials: BTreeMap::new(),
            standing: Vec::new(),
        };
        world.sign_in("admin").await;
        world
    }

    /// The same with an API key for each role, which no logout ends.
    pub async fn with_keys() -> World {
        let mut world = World::new().await;
        for role in &model().roles {
            let key = world
                .must("auth.create_api_key", &json!({"name": "test"}), &role.name)
                .await;
            let key = key["api_key"].as_str().unwrap().to_owned();
            world
                .credentials
                .insert(role.name.clone(), Credential::ApiKey(key));
        }
        world
    }

    pub async fn sign_in(&mut self, role: &str) {
        let input = json!({"username": user_of(role), "password": ADMIN_PASSWORD});
        let tokens = self
            .call("auth.login", &input, &Credential::Nobody)
            .await
            .unwrap();
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        self.credentials
            .insert(role.to_owned(), Credential::Bearer(token));
    }

    /// Credential of a role, or of nobody.
    pub fn credential(&self, role: &str) -> Credential {
        match role {
            "nobody" => Credential::Nobody,
            role => self.credentials[role].clone(),
        }
    }

    pub fn base_url(&self) -> &str {
        &self.server.base_url
    }

    /// A call over REST.
    pub async fn call(&self, id: &str, input: &Value, credential: &Credential) -> Answer {
        rest::call(
            &self.http,
            self.base_url(),
            contract::operation(id),
            input,
            credential,
        )
        .await
    }

    /// A call over REST that must succeed.
    pub async fn must(&self, id: &str, input: &Value, role: &str) -> Value {
        match self.call(id, input, &self.credential(role)).await {
            Ok(output) => output,
            Err(error) => panic!("{id} {input} as {role}: {error:?}"),
        }
    }

    /// What the server keeps, as far as an administrator sees it: users, databases, tables with their sizes, keys
    /// and transactions.
    pub async fn state(&self) -> Value {
        let admin = |id: &'static str, input: Value| async move { self.must(id, &input, "admin").await };
        // What jobs write is there when they have ended. One that never ends writes nothing.
        let jobs = admin("jobs.list", json!({"limit": 1000})).await;
        for job in jobs["jobs"].as_array().unwrap() {
            if job.get("finished_at").is_none() {
                admin("jobs.wait", json!({"id": job["id"], "timeout_ms": 1000})).await;
            }
        }
        let mut keys = Vec::new();
        for role in &model().roles {
            keys.push(
                self.must("auth.list_api_keys", &json!({"limit": 1000}), &role.name)
                    .await,
            );
        }
        // One with a short time-out may end between two looks.
        let mut open = admin("transactions.list_active", json!({"limit": 1000})).await;
        open["transactions"]
            .as_array_mut()
            .unwrap()
            .retain(|transaction| transaction["idle_timeout_ms"].as_u64() >= Some(60_000));
        json!({
            "users": admin("admin.list_users", json!({"limit": 1000})).await,
            "databases": admin("database.list", json!({"limit": 1000})).await,
            "schema": admin("database.get_schema", json!({})).await,
            "keys": keys,
            "transactions": open,
        })
    }

    /// Runs the calls an example needs before it and answers its input with their answers put in.
    pub async fn prepare(&self, operation: &Operation, example: &Example) -> Value {
        self.prepare_saving(operation, example).await.0
    }

    /// The same with what those calls saved.
    pub async fn prepare_saving(&self, operation: &Operation, example: &Example) -> (Value, Saved) {
        let saved = self.steps(operation, example, &example.given, Saved::new()).await;
        (fill(&example.input, &saved), saved)
    }

    /// Makes calls of an example; answers what they saved, with what was saved before.
    pub async fn steps(
        &self,
        operation: &Operation,
        example: &Example,
        steps: &[Step],
        mut saved: Saved,
    ) -> Saved {
        let title = |step: &Step, input: &Value| {
            format!("{} {}: step {} {input}", operation.id, example.name, step.call)
        };
        let mut waiting = Vec::new();
        for step in steps {
            let input = fill(&step.input, &saved);
            if step.background {
                let call = self.in_background(step, input.clone()).await;
                waiting.push((step, title(step, &input), call));
                continue;
            }
            for _ in 0..step.repeat {
                let result = self.call(&step.call, &input, &self.credential(&step.role)).await;
                let answer = expected(step, &title(step, &input), result);
                if let (Some(name), Some(answer)) = (&step.save, answer) {
                    saved.insert(name.clone(), answer);
                }
            }
        }
        for (step, title, call) in waiting {
            expected(step, &title, call.await.unwrap());
        }
        saved
    }

    /// Makes a call that waits for a lock, on a connection of its own; goes on once it waits, or has ended.
    async fn in_background(&self, step: &Step, input: Value) -> JoinHandle<Answer> {
        let before = self.waiters().await;
        let (http, url) = (reqwest::Client::new(), self.base_url().to_owned());
        let (operation, credential) = (contract::operation(&step.call), self.credential(&step.role));
        let call = async move { rest::call(&http, &url, operation, &input, &credential).await };
        let call = tokio::spawn(call);
        while !call.is_finished() && self.waiters().await <= before {}
        call
    }

    /// How many transactions wait for locks.
    async fn waiters(&self) -> usize {
        let listed = self
            .must("transactions.list_lock_waiters", &json!({}), "admin")
            .await;
        listed["waiters"].as_array().unwrap().len()
    }
}

/// The answer of a step that is to succeed; nothing of one that failed as it should.
fn expected(step: &Step, title: &str, result: Answer) -> Option<Value> {
    let Some(code) = &step.error else {
        return Some(result.unwrap_or_else(|error| panic!("{title}: {error:?}")));
    };
    let found = result.as_ref().err().map(|error| error.code.as_str());
    assert_eq!(found, Some(code.as_str()), "{title}: {result:?}");
    None
}

fn user_of(role: &str) -> String {
    if role == "admin" {
        role.to_owned()
    } else {
        format!("role_{role}")
    }
}

/// Answers of calls, by the names that an example gave them.
pub type Saved = BTreeMap<String, Value>;

/// Puts saved answers in the place of `${name.field}`.
fn fill(value: &Value, saved: &Saved) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) {
            None => value.clone(),
            Some(path) => {
                let (name, path) = path.split_once('.').unwrap_or((path, ""));
                let pointer: String = path.split('.').map(|step| format!("/{step}")).collect();
                saved[name]
                    .pointer(&pointer)
                    .unwrap_or_else(|| panic!("{text} leads nowhere"))
                    .clone()
            }
        },
        Value::Array(items) => items.iter().map(|item| fill(item, saved)).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| (key.clone(), fill(item, saved)))
                .collect(),
        ),
        other => other.clone(),
    }
}
