//! Open views: what they hand out, how they go on over lost connections, and how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use rustydb_contract_core::{StreamControl, StreamControlKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::contract::{EITHER_VIEW, MADE_VIEW, METER_VIEW};
use super::server::{Seen, TestPace, ok, plain, problem};
use super::streams::{Part, Play, StreamServer, stream};
use crate::{
    Client, Error, ErrorCode, Interruption, Item, ReconnectPolicy, RetryPolicy, Subscription, ViewCall,
};

const AT: &str = "2026-01-31T12:00:00.000000Z";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Made {
    n: u32,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event")]
enum Either {
    Made(Made),
    Sold { price: u32 },
}

/// The cursor after event `n` is `c{n}`.
fn made(n: u32) -> String {
    let data = json!({"event": "Made", "data": {"n": n}, "timestamp": AT, "cursor": format!("c{n}")});
    format!("event: Made\nid: c{n}\ndata: {data}\n\n")
}

fn metered(n: u32) -> String {
    let data = json!({"event": "Made", "data": {"n": n}, "timestamp": AT});
    format!("event: Made\ndata: {data}\n\n")
}

fn told(kind: &str, cursor: &str) -> String {
    let data = json!({"control": {"kind": kind}, "timestamp": AT, "cursor": cursor});
    let name = kind.to_lowercase();
    format!("event: {name}\nid: {cursor}\ndata: {data}\n\n")
}

fn failed(code: &str) -> String {
    let data = json!({"code": code, "status": 401, "request_id": "other"});
    format!("event: error\ndata: {data}\n\n")
}

fn acknowledged(cursor: &str) -> String {
    format!(": subscribed to t.made\nid: {cursor}\n\n")
}

fn cursor_of(seen: &Seen) -> Option<u32> {
    let (_, cursor) = seen.target.split_once("cursor=c")?;
    Some(cursor.parse().unwrap())
}

fn made_view(client: &Client) -> ViewCall<Made> {
    ViewCall::new(client, &MADE_VIEW, &json!({"database": "d"}))
}

fn paced(server: &StreamServer) -> Client {
    server.builder().pace(TestPace::new(0.5)).build().unwrap()
}

async fn open_made(server: &StreamServer) -> Subscription<Made> {
    made_view(&paced(server)).open().await.unwrap()
}

async fn next_event<E>(subscription: &mut Subscription<E>) -> E {
    let item = subscription.next().await.unwrap().unwrap();
    item.into_event().unwrap().data
}

async fn next_notice<E>(subscription: &mut Subscription<E>) -> StreamControl {
    match subscription.next().await.unwrap().unwrap() {
        Item::Notice(notice) => notice.control,
        Item::Event(_) => panic!("an event in place of a notice"),
    }
}

fn cursor_text<E>(subscription: &Subscription<E>) -> Option<&str> {
    subscription.cursor().map(|cursor| cursor.0.as_str())
}

#[tokio::test]
async fn items_are_typed_and_bookmarks_only_move_the_cursor() {
    let text = [
        acknowledged("c0"),
        made(1),
        told("CAUGHT_UP", "c2"),
        told("BOOKMARK", "c7"),
        made(8),
    ];
    let server = StreamServer::start(move |_, _| stream(&text.concat(), Part::Hold)).await;
    let mut subscription = open_made(&server).await;
    assert_eq!(cursor_text(&subscription), Some("c0"));
    let Item::Event(event) = subscription.next().await.unwrap().unwrap() else {
        panic!("an event comes first")
    };
    assert_eq!(
        (
            event.event.as_str(),
            &event.data,
            event.timestamp.to_string().as_str()
        ),
        ("Made", &Made { n: 1 }, AT)
    );
    assert_eq!(event.cursor.as_ref(), subscription.cursor());
    assert_eq!(cursor_text(&subscription), Some("c1"));
    assert_eq!(
        next_notice(&mut subscription).await.kind,
        StreamControlKind::CaughtUp
    );
    assert_eq!(next_event(&mut subscription).await, Made { n: 8 });
    assert_eq!(cursor_text(&subscription), Some("c8"));
    let seen = server.seen();
    assert_eq!(seen[0].target, "/api/v1/sse/made?database=d");
    assert_eq!(seen[0].header("accept"), Some("text/event-stream"));
}

#[tokio::test]
async fn a_bookmark_alone_moves_the_cursor_that_is_resumed_from() {
    let server = StreamServer::start(|seen, _| match cursor_of(seen) {
        None => stream(&(acknowledged("c0") + &told("BOOKMARK", "c7")), Part::End),
        Some(from) => stream(&(acknowledged(&format!("c{from}")) + &made(from + 1)), Part::Hold),
    })
    .await;
    let mut subscription = open_made(&server).await;
    assert_eq!(next_event(&mut subscription).await, Made { n: 8 });
}

#[tokio::test]
async fn events_of_several_kinds_are_told_apart_by_their_names() {
    let sold = json!({"event": "Sold", "data": {"price": 3}, "timestamp": AT, "cursor": "c2"});
    let text = acknowledged("c0") + &made(1) + &format!("event: Sold\nid: c2\ndata: {sold}\n\n");
    let server = StreamServer::start(move |_, _| stream(&text, Part::Hold)).await;
    let call: ViewCall<Either> = ViewCall::new(&paced(&server), &EITHER_VIEW, &json!({}));
    let mut subscription = call.open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, Either::Made(Made { n: 1 }));
    assert_eq!(next_event(&mut subscription).await, Either::Sold { price: 3 });
}

#[tokio::test]
async fn events_can_be_read_as_another_type() {
    let text = acknowledged("c0") + &made(1);
    let server = StreamServer::start(move |_, _| stream(&text, Part::Hold)).await;
    let call = made_view(&paced(&server)).with_event_type::<Value>();
    let mut subscription = call.open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, json!({"n": 1}));
}

#[tokio::test]
async fn changes_come_once_each_however_often_the_connection_is_cut() {
    const EVENTS: u32 = 40;
    // Each connection ends at another place of what is left, within an event or between two.
    let server = StreamServer::start(|seen, number| {
        let from = cursor_of(seen).unwrap_or(0);
        let rest: String = (from + 1..=EVENTS).map(made).collect();
        let mut text = acknowledged(&format!("c{from}")) + &rest;
        text.truncate(20 + number * 37 % 500);
        let last = if number % 2 == 0 { Part::Cut } else { Part::End };
        stream(&text, last)
    })
    .await;
    let subscription = open_made(&server).await;
    let events: Vec<u32> = subscription
        .take(EVENTS as usize)
        .map_ok(|item| item.into_event().unwrap().data.n)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(events, (1..=EVENTS).collect::<Vec<_>>());
    let seen = server.seen();
    assert!(seen.len() > 10, "{} connections", seen.len());
    assert!(
        seen.iter()
            .all(|s| s.header("x-request-id") == seen[0].header("x-request-id"))
    );
}

#[tokio::test]
async fn telemetry_begins_afresh_and_tells_of_a_gap() {
    let server = StreamServer::start(|_, number| {
        let n = u32::try_from(number).unwrap();
        stream(&(": subscribed\n\n".to_owned() + &metered(n)), Part::Cut)
    })
    .await;
    let call: ViewCall<Made> = ViewCall::new(&paced(&server), &METER_VIEW, &json!({}));
    let mut subscription = call.open().await.unwrap();
    for n in 0..3 {
        assert_eq!(next_event(&mut subscription).await, Made { n });
        let gap = StreamControl {
            kind: StreamControlKind::Gap,
            count: None,
        };
        assert_eq!(next_notice(&mut subscription).await, gap);
    }
    assert_eq!(subscription.cursor(), None);
    assert!(server.seen().iter().all(|seen| cursor_of(seen).is_none()));
}

#[tokio::test]
async fn a_snapshot_that_is_cut_is_an_error_and_not_repeated() {
    // No acknowledged cursor, and a row without one.
    let text = ": subscribed\n\n".to_owned() + &metered(1);
    let server = StreamServer::start(move |_, _| stream(&text, Part::End)).await;
    let mut subscription = open_made(&server).await;
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    assert_eq!(subscription.cursor(), None);
    let error = subscription.next().await.unwrap().unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Interrupted {
                cause: Interruption::Ended,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(subscription.next().await.is_none());
    assert_eq!(server.seen().len(), 1);
}

/// Answers the first request with an event and an end, the next ones by `then`.
async fn interrupted(then: impl Fn(usize) -> Play + Send + Sync + 'static) -> StreamServer {
    StreamServer::start(move |_, number| match number {
        0 => stream(&(acknowledged("c0") + &made(1)), Part::End),
        _ => then(number),
    })
    .await
}

fn going_on() -> Play {
    stream(&(acknowledged("c1") + &made(2)), Part::Hold)
}

#[tokio::test]
async fn pauses_between_attempts_double_with_jitter_and_follow_the_server() {
    let server = interrupted(|number| match number {
        1..=3 => Play::Reply(plain(502, "")),
        4 => {
            let mut reply = problem(503, "UNAVAILABLE");
            reply.headers.push(("retry-after", "7".to_owned()));
            Play::Reply(reply)
        }
        5 => {
            let mut reply = problem(429, "TOO_MANY_SUBSCRIPTIONS");
            reply.headers.push(("retry-after", "3".to_owned()));
            Play::Reply(reply)
        }
        6 => Play::Reply(problem(500, "INTERNAL")),
        _ => going_on(),
    })
    .await;
    let pace = TestPace::new(0.5);
    let client = server.builder().pace(pace.clone()).build().unwrap();
    let policy = ReconnectPolicy {
        pause_max: Duration::from_millis(500),
        ..ReconnectPolicy::default()
    };
    let mut subscription = made_view(&client).with_reconnect(policy).open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    assert_eq!(next_event(&mut subscription).await, Made { n: 2 });
    assert_eq!(pace.pauses_ms(), [50, 100, 200, 250, 7000, 3000, 250]);
}

#[tokio::test]
async fn pauses_begin_anew_after_a_sign_of_life() {
    let server = StreamServer::start(|seen, _| {
        let from = cursor_of(seen).unwrap_or(0);
        stream(&(acknowledged(&format!("c{from}")) + &made(from + 1)), Part::End)
    })
    .await;
    let pace = TestPace::new(0.5);
    let client = server.builder().pace(pace.clone()).build().unwrap();
    let mut subscription = made_view(&client).open().await.unwrap();
    for n in 1..=4 {
        assert_eq!(next_event(&mut subscription).await, Made { n });
    }
    assert_eq!(pace.pauses_ms(), [50, 50, 50]);
}

#[tokio::test]
async fn attempts_in_vain_end_where_the_policy_says() {
    // An acknowledgement alone is no sign of life.
    let server = interrupted(|_| stream(&acknowledged("c1"), Part::End)).await;
    let policy = ReconnectPolicy {
        attempts_max: Some(5),
        ..ReconnectPolicy::default()
    };
    let mut subscription = made_view(&paced(&server))
        .with_reconnect(policy)
        .open()
        .await
        .unwrap();
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    let error = subscription.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }));
    assert_eq!(server.seen().len(), 6);

    let server = interrupted(|_| going_on()).await;
    let call = made_view(&paced(&server)).with_reconnect(ReconnectPolicy::never());
    let mut subscription = call.open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    subscription.next().await.unwrap().unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_ends_the_subscription() {
    for (status, code) in [(410, "CURSOR_EXPIRED"), (403, "PERMISSION_DENIED")] {
        let server = interrupted(move |_| Play::Reply(problem(status, code))).await;
        let mut subscription = open_made(&server).await;
        assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
        let error = subscription.next().await.unwrap().unwrap_err();
        assert_eq!(error.code().map(ErrorCode::as_str), Some(code));
        assert!(subscription.next().await.is_none());
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn an_error_told_in_the_stream_is_typed_and_the_last() {
    let text = acknowledged("c0") + &made(1) + &failed("PERMISSION_DENIED") + &made(2);
    let server = StreamServer::start(move |_, _| stream(&text, Part::Hold)).await;
    let call = made_view(&paced(&server)).with_request_id("mine");
    let mut subscription = call.open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    let error = subscription.next().await.unwrap().unwrap_err();
    let answer = error.answer().unwrap();
    assert_eq!(answer.code, ErrorCode::PermissionDenied);
    assert_eq!(answer.message, answer.code.desc().unwrap().summary);
    assert_eq!((answer.request_id.as_str(), answer.operation), ("mine", "t.made"));
    assert!(subscription.next().await.is_none());
    server.closed(1).await;
}

#[tokio::test]
async fn an_opening_that_is_refused_answers_the_error() {
    let server = StreamServer::start(|_, _| Play::Reply(problem(404, "TABLE_NOT_FOUND"))).await;
    let error = made_view(&paced(&server)).open().await.unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::TableNotFound));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_opening_is_repeated_as_calls_are() {
    let server = StreamServer::start(|_, _| Play::Reply(problem(503, "UNAVAILABLE"))).await;
    made_view(&paced(&server)).open().await.unwrap_err();
    assert_eq!(server.seen().len(), 4);
    let call = made_view(&paced(&server)).with_retry(RetryPolicy::never());
    call.open().await.unwrap_err();
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn an_opening_waits_for_the_acknowledgement() {
    let go_on = Arc::new(Notify::new());
    let server = StreamServer::start({
        let go_on = Arc::clone(&go_on);
        move |_, _| {
            let acknowledgement = Part::Bytes(acknowledged("c4").into_bytes());
            Play::Stream(vec![Part::Wait(Arc::clone(&go_on)), acknowledgement, Part::Hold])
        }
    })
    .await;
    let client = paced(&server);
    let mut opening = Box::pin(made_view(&client).open());
    assert!(opening.as_mut().now_or_never().is_none());
    go_on.notify_one();
    assert_eq!(cursor_text(&opening.await.unwrap()), Some("c4"));

    let call = made_view(&client).with_retry(RetryPolicy::never());
    let error = call
        .with_timeout(Duration::from_millis(50))
        .open()
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Timeout {
            operation: "t.made",
            ..
        }
    ));
}

#[tokio::test]
async fn an_answer_that_is_no_event_stream_is_an_error() {
    let server = StreamServer::start(|_, _| Play::Reply(ok(json!({})))).await;
    let error = made_view(&paced(&server)).open().await.unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error:?}");
    let text = acknowledged("c0") + "event: Made\nid: c1\ndata: {\"event\":\"Made\"}\n\n";
    let server = StreamServer::start(move |_, _| stream(&text, Part::Hold)).await;
    let mut subscription = open_made(&server).await;
    let error = subscription.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error:?}");
    server.closed(1).await;
}

#[tokio::test]
async fn tokens_that_expire_are_renewed_and_the_changes_go_on() {
    let refreshes = Arc::new(AtomicUsize::new(0));
    let server = StreamServer::start({
        let refreshes = Arc::clone(&refreshes);
        move |seen, _| match seen.target.as_str() {
            "/api/v1/auth/login" => Play::Reply(ok(json!({"access_token": "old", "refresh_token": "r1"}))),
            "/api/v1/auth/refresh" => {
                refreshes.fetch_add(1, Ordering::SeqCst);
                Play::Reply(ok(json!({"access_token": "new", "refresh_token": "r2"})))
            }
            _ => match (seen.header("authorization"), cursor_of(seen)) {
                (Some("Bearer old"), None) => {
                    let text = acknowledged("c0") + &made(1) + &failed("TOKEN_EXPIRED");
                    stream(&text, Part::End)
                }
                (Some("Bearer new"), Some(1)) => going_on(),
                _ => Play::Reply(problem(401, "TOKEN_EXPIRED")),
            },
        }
    })
    .await;
    let client = server.builder().pace(TestPace::new(0.5)).password("alice", "pw");
    let mut subscription = made_view(&client.build().unwrap()).open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    assert_eq!(next_event(&mut subscription).await, Made { n: 2 });
    assert_eq!(refreshes.load(Ordering::SeqCst), 1);

    // A token that was given as it is can't be renewed.
    let client = server.builder().bearer("old").build().unwrap();
    let mut subscription = made_view(&client).open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    let error = subscription.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::TokenExpired));
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_replaced() {
    let server = StreamServer::start(|seen, _| match cursor_of(seen) {
        None => stream(&(acknowledged("c0") + &made(1)), Part::Hold),
        Some(_) => going_on(),
    })
    .await;
    let policy = ReconnectPolicy {
        silence_max: Duration::from_millis(200),
        ..ReconnectPolicy::default()
    };
    let call = made_view(&paced(&server)).with_reconnect(policy);
    let mut subscription = call.open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    assert_eq!(next_event(&mut subscription).await, Made { n: 2 });
    server.closed(1).await;
}

#[tokio::test]
async fn dropping_a_subscription_closes_its_connection() {
    let server = StreamServer::start(|_, _| stream(&acknowledged("c0"), Part::Hold)).await;
    let mut subscription = open_made(&server).await;
    assert!(subscription.next().now_or_never().is_none());
    drop(subscription);
    server.closed(1).await;
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn giving_up_waiting_loses_nothing() {
    let go_on = Arc::new(Notify::new());
    let server = StreamServer::start({
        let go_on = Arc::clone(&go_on);
        move |_, _| {
            let mut parts = vec![Part::Bytes(acknowledged("c0").into_bytes())];
            for part in made(1).as_bytes().chunks(7) {
                parts.push(Part::Wait(Arc::clone(&go_on)));
                parts.push(Part::Bytes(part.to_vec()));
            }
            parts.push(Part::Hold);
            Play::Stream(parts)
        }
    })
    .await;
    let mut subscription = open_made(&server).await;
    let item = loop {
        match subscription.next().now_or_never() {
            Some(item) => break item.unwrap().unwrap(),
            None => {
                go_on.notify_one();
                tokio::task::yield_now().await;
            }
        }
    };
    assert_eq!(item.into_event().unwrap().data, Made { n: 1 });
}

#[tokio::test]
async fn a_reader_that_is_idle_holds_the_server_back() {
    const FLOOD_BYTES: usize = 256 << 20;
    let (told, mut taken) = watch::channel(None);
    let block = metered(1).repeat(1000);
    let server = StreamServer::start(move |_, _| {
        let acknowledgement = Part::Bytes(b": subscribed\n\n".to_vec());
        let flood = Part::Flood(block.clone().into_bytes(), FLOOD_BYTES, told.clone());
        Play::Stream(vec![acknowledgement, flood, Part::Cut])
    })
    .await;
    let call: ViewCall<Made> = ViewCall::new(&paced(&server), &METER_VIEW, &json!({}));
    let mut subscription = call.open().await.unwrap();
    assert_eq!(next_event(&mut subscription).await, Made { n: 1 });
    let taken = *taken.wait_for(Option::is_some).await.unwrap();
    assert!(
        taken.unwrap() < FLOOD_BYTES / 4,
        "{taken:?} bytes without a reader"
    );
}
