//! Items across pages.

use futures::{StreamExt, TryStreamExt};
use rustydb_contract::Cursor;
use serde::Deserialize;
use serde_json::json;

use super::contract::FIND;
use super::server::{Reply, Seen, Server, ok, problem};
use crate::{Call, Error, ErrorCode, PagedCall};

#[derive(Deserialize)]
struct Page {
    items: Vec<u32>,
    next: Option<Cursor>,
}

fn paged(server: &Server) -> PagedCall<Page, u32> {
    let input = json!({"name": "t", "id": "1", "database": "d"});
    PagedCall::new(Call::new(&server.client(), &FIND, &input), |page| {
        (page.items, page.next)
    })
}

/// Three pages, the middle one empty.
fn pages(seen: &Seen, _: usize) -> Reply {
    match seen.target.split_once("after=").map(|(_, after)| after) {
        None => ok(json!({"items": [1, 2], "next": "a/b"})),
        Some("a%2Fb") => ok(json!({"items": [], "next": "c"})),
        Some("c") => ok(json!({"items": [3]})),
        Some(_) => problem(400, "INVALID_ARGUMENT"),
    }
}

#[tokio::test]
async fn items_follow_next_over_all_pages_with_the_same_input() {
    let server = Server::start(pages).await;
    let items: Vec<u32> = paged(&server).items().try_collect().await.unwrap();
    assert_eq!(items, [1, 2, 3]);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|seen| seen.target.contains("database=d")));
}

#[tokio::test]
async fn a_page_is_fetched_only_when_it_is_needed() {
    let server = Server::start(pages).await;
    let items: Vec<_> = paged(&server).items().take(2).collect().await;
    assert_eq!(items.len(), 2);
    assert_eq!(server.seen().len(), 1);
    let page = paged(&server).await.unwrap();
    assert_eq!(
        (page.items, page.next),
        (vec![1, 2], Some(Cursor("a/b".to_owned())))
    );
}

#[tokio::test]
async fn an_error_ends_the_items() {
    let server = Server::start(|_, number| match number {
        0 => ok(json!({"items": [1], "next": "x"})),
        _ => problem(403, "PERMISSION_DENIED"),
    })
    .await;
    let items: Vec<Result<u32, Error>> = paged(&server).items().collect().await;
    assert_eq!(items.len(), 2);
    assert_eq!(
        items[1].as_ref().unwrap_err().code(),
        Some(&ErrorCode::PermissionDenied)
    );
}
