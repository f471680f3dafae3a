//! What every generated method rests on: one operation's way from typed input to typed answer.
//!
//! `call` is what a generated method returns; awaiting it lets `exchange` encode the input (`request`), attach
//! credentials (`session`), send it, read the answer (`error` for refusals) and try again where the contract
//! allows (`retry`). `paging` follows `next` over pages. `view_call` is what the method of a view returns; opening it
//! gives a `subscription`, which reads blocks (`event_stream`) off a connection (`feed`) as typed `item`s and opens
//! another connection when that one is lost (`reconnect`). Nothing here knows a single operation: what differs
//! between them is data in an
//! [`OperationDesc`](rustydb_contract::descriptor::OperationDesc).

pub(crate) mod call;
pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod event_stream;
pub(crate) mod exchange;
pub(crate) mod feed;
pub(crate) mod item;
pub(crate) mod paging;
pub(crate) mod reconnect;
pub(crate) mod request;
pub(crate) mod retry;
pub(crate) mod session;
pub(crate) mod subscription;
pub(crate) mod view_call;

#[cfg(test)]
mod tests;
