//! What a browser sees: Swagger UI, GraphiQL, a page of the streams and the machine-readable documents, all inside the
//! binary.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::{Config, SwaggerUi};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const JSON: &str = "application/json";

/// What GraphiQL needs and nothing else; an open dialog of it inserts a style element.
const GRAPHIQL_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    font-src data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// What the page of the streams needs and nothing else.
const STREAMS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($folder:literal, $name:literal, $media_type:expr) => {
        Asset {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../assets/", $folder, "/", $name)),
        }
    };
}

static GRAPHIQL: &[Asset] = &[
    asset!("graphiql", "graphiql.min.js", SCRIPT),
    asset!("graphiql", "graphiql.min.css", STYLE),
    asset!("graphiql", "react.production.min.js", SCRIPT),
    asset!("graphiql", "react-dom.production.min.js", SCRIPT),
    asset!("graphiql", "page.js", SCRIPT),
    asset!("graphiql", "page.css", STYLE),
    asset!("graphiql", "icon.svg", "image/svg+xml"),
];

static GRAPHIQL_PAGE: &str = include_str!("../../assets/graphiql/index.html");

static STREAMS: &[Asset] = &[
    asset!("asyncapi", "page.js", SCRIPT),
    asset!("asyncapi", "page.css", STYLE),
];

static STREAMS_PAGE: &str = include_str!("../../assets/asyncapi/index.html");

/// Documents the generator wrote, by the path they are served at.
static DOCUMENTS: &[(&str, &str, &str)] = &[
    ("/openapi.json", JSON, include_str!("../../../docs/openapi.json")),
    (
        "/openapi-3.0.json",
        JSON,
        include_str!("../../../docs/openapi-3.0.json"),
    ),
    ("/openrpc.json", JSON, include_str!("../../../docs/openrpc.json")),
    (
        "/asyncapi.json",
        JSON,
        include_str!("../../../docs/asyncapi.json"),
    ),
    (
        "/schema.graphql",
        "application/graphql; charset=utf-8",
        include_str!("../../../docs/schema.graphql"),
    ),
];

/// Adds the pages to the server's routes.
pub fn add(router: Router) -> Router {
    let swagger = SwaggerUi::new("/swagger-ui").config(
        Config::from("/openapi.json")
            .persist_authorization(false)
            .display_request_duration(true)
            .filter(true)
            .try_it_out_enabled(true),
    );
    let mut router = router
        .merge(swagger)
        .route("/", get(|| async { Redirect::temporary("/swagger-ui/") }))
        .route("/graphql", get(graphiql))
        .route("/graphql/assets/{name}", get(graphiql_asset))
        .route("/asyncapi", get(streams))
        .route("/asyncapi/assets/{name}", get(streams_asset));
    for (path, media_type, text) in DOCUMENTS {
        router = router.route(
            path,
            get(move || async move { page(media_type, text.as_bytes()) }),
        );
    }
    router
}

async fn graphiql() -> Response {
    page_under(GRAPHIQL_POLICY, GRAPHIQL_PAGE)
}

async fn streams() -> Response {
    page_under(STREAMS_POLICY, STREAMS_PAGE)
}

fn page_under(policy: &'static str, text: &'static str) -> Response {
    let mut response = page(HTML, text.as_bytes());
    response.headers_mut().insert(
        "content-security-policy",
        axum::http::HeaderValue::from_static(policy),
    );
    response
}

async fn graphiql_asset(Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    find_asset(GRAPHIQL, &name, uri, headers).await
}

async fn streams_asset(Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    find_asset(STREAMS, &name, uri, headers).await
}

async fn find_asset(assets: &'static [Asset], name: &str, uri: Uri, headers: HeaderMap) -> Response {
    match assets.iter().find(|asset| asset.name == name) {
        Some(asset) => page(asset.media_type, asset.bytes),
        None => rustydb_api::rest::not_found(uri, headers).await,
    }
}

fn page(media_type: &'static str, bytes: &'static [u8]) -> Response {
    (
        [
            ("content-type", media_type),
            ("x-content-type-options", "nosniff"),
        ],
        bytes,
    )
        .into_response()
}
