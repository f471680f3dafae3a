//! The documents: against the live server, and by programs that are not ours.
//!
//! That docs/openapi.json is the document of the routes is a test of the server's package (api/server).

mod foreign;
mod routes;
