//! Credentials that are none: refused on every interface, before anything else is looked at.

use codegen::model::Operation;
use serde_json::{Value, json};

use super::assert_answers;
use crate::harness::contract;
use crate::harness::credential::Credential;
use crate::harness::rest::{self, send};
use crate::harness::rpc::Socket;
use crate::harness::server::{ADMIN_PASSWORD, Server};
use crate::harness::tools;
use crate::harness::wire::WIRES;
use crate::harness::world::World;

fn operation() -> &'static Operation {
    contract::operation("auth.validate")
}

async fn token(world: &World) -> String {
    let input = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let tokens = world
        .call("auth.login", &input, &Credential::Nobody)
        .await
        .unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// base64url of JSON, as a part of a token. Python makes it: no part of the server is asked.
fn parts(token: &str, header: &Value) -> (String, String) {
    let script = "import base64,json,sys\n\
        token,header=sys.argv[1:]\n\
        enc=lambda b: base64.urlsafe_b64encode(b).decode().rstrip('=')\n\
        body=token.split('.')[1]\n\
        claims=json.loads(base64.urlsafe_b64decode(body+'='*(-len(body)%4)))\n\
        claims['roles']=['admin']\n\
        print(enc(header.encode()), enc(json.dumps(claims).encode()))";
    let output = tools::python()
        .args(["-c", script, token, &header.to_string()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let (header, claims) = text.trim().split_once(' ').unwrap();
    (header.to_owned(), claims.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_credentials_that_are_none_are_refused() {
    let world = World::with_keys().await;
    let other = World::on(Server::start()).await;
    let good = token(&world).await;
    for wire in WIRES {
        let answer = wire
            .call(&world, operation(), &json!({}), &Credential::Bearer(good.clone()))
            .await;
        assert_eq!(answer.unwrap()["username"], "admin");
    }
    let Credential::ApiKey(key) = world.credential("admin") else {
        panic!("keys were asked for")
    };
    let Credential::ApiKey(foreign_key) = World::with_keys().await.credential("admin") else {
        panic!()
    };
    let signature = good.rsplit_once('.').unwrap().1;
    let (none, claims) = parts(&good, &json!({"alg": "none", "typ": "JWT"}));
    let (hs256, _) = parts(&good, &json!({"alg": "HS256", "typ": "JWT"}));
    let header = good.split_once('.').unwrap().0;
    let bearer = [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{hs256}.{claims}.{signature}"),
        // The claims are changed, or were written anew, and the signature is of the old ones.
        format!("{header}.{claims}.{signature}"),
        good[..good.len() - 4].to_owned(),
        good.rsplit_once('.').unwrap().0.to_owned(),
        format!("{good}x"),
        token(&other).await,
        key.clone(),
        "x".repeat(7000),
    ];
    let keys = [
        "garbage".to_owned(),
        "rustydb_".to_owned(),
        key[..key.len() - 1].to_owned(),
        foreign_key,
        good,
    ];
    let credentials = bearer
        .into_iter()
        .map(Credential::Bearer)
        .chain(keys.into_iter().map(Credential::ApiKey));
    for credential in credentials {
        for wire in WIRES {
            let answer = wire.call(&world, operation(), &json!({}), &credential).await;
            let error = answer.unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.status),
                ("UNAUTHENTICATED", 401),
                "{credential:?} over {wire:?}"
            );
        }
        let params = match &credential {
            Credential::Bearer(token) => json!({"token": token}),
            Credential::ApiKey(key) => json!({"api_key": key}),
            Credential::Nobody => unreachable!(),
        };
        let mut socket = Socket::open(world.server.address(), &Credential::Nobody)
            .await
            .unwrap();
        assert_eq!(
            socket.call("auth", &params).await.unwrap_err().code,
            "UNAUTHENTICATED"
        );
        assert_eq!(
            socket.call("auth.validate", &json!({})).await.unwrap_err().code,
            "UNAUTHENTICATED"
        );
    }
    assert_answers(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_headers_of_credentials_are_of_one_form() {
    let world = World::with_keys().await;
    let Credential::ApiKey(key) = world.credential("admin") else {
        panic!("keys were asked for")
    };
    let good = token(&world).await;
    let sets: [&[(&str, &str)]; 6] = [
        &[("authorization", "Bearer x"), ("x-api-key", &key)],
        &[("authorization", &good)],
        &[("authorization", "Basic YWRtaW46YWRtaW4=")],
        &[("authorization", "Bearer")],
        &[("authorization", "")],
        &[("x-api-key", "")],
    ];
    for headers in sets {
        let with = |mut request: reqwest::RequestBuilder| {
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request
        };
        let answer = send(with(
            world
                .http
                .get(format!("{}/api/v1/auth/validate", world.base_url())),
        ))
        .await;
        assert_eq!(rest::problem(&answer).code, "UNAUTHENTICATED", "{headers:?}");
        assert!(answer.headers.contains_key("www-authenticate"), "{headers:?}");
        let document = json!({"query": "{ authValidate { username } }"});
        let answer = send(with(
            world
                .http
                .post(format!("{}/graphql", world.base_url()))
                .json(&document),
        ))
        .await;
        let error = crate::harness::graphql::first_error(&answer.body).unwrap();
        assert_eq!(error.code, "UNAUTHENTICATED", "{headers:?}");
    }
}

/// A session that has ended takes its tokens with it; a disabled user has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_tokens_of_an_ended_session_are_refused() {
    let world = World::with_keys().await;
    let ended = Credential::Bearer(token(&world).await);
    world.call("auth.logout", &json!({}), &ended).await.unwrap();
    for wire in WIRES {
        let answer = wire.call(&world, operation(), &json!({}), &ended).await;
        assert_eq!(answer.unwrap_err().code, "UNAUTHENTICATED", "{wire:?}");
    }
    assert!(
        world
            .call("auth.validate", &json!({}), &world.credential("admin"))
            .await
            .is_ok()
    );
}
