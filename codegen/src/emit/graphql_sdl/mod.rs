//! docs/schema.graphql: the GraphQL interface in SDL.
//!
//! The server registers the same schema from its descriptors, and a test compares the two. The mapping:
//! - a query is a field of `Query`, any other operation one of `Mutation`, named by the contract; the fields of
//!   the input are its arguments, in camelCase;
//! - Int32 is `Int`; UInt32 and UInt53 are `UInt53`; Int53 is `Int53`; numbers are `Float`; text is `String`; the
//!   other scalars have scalars of their own; maps and free values are `JSON`; an array of T is `[T!]`;
//! - an object type keeps its name, and is `<Name>Input` where it is an argument; one without fields is the
//!   scalar `Empty`, as is the answer of an operation without output; a variant of an output union has to be an
//!   object type, so one without fields gets the field `empty: Empty`;
//! - an enumeration has its values in UPPER_SNAKE; an alias is what it stands for, one that stands for itself `JSON`;
//! - a union is `union Name` of its variants' types, and as an argument `input NameInput @oneOf` with one field
//!   per variant, named by the tag's value in camelCase;
//! - a view of a stream is a field of `Subscription`; its payload is `<Field>Payload`: the fields of the record, or
//!   `event` and the union `data`, then `timestamp`, `cursor` where the stream has positions, and `control` where
//!   something is told that is no event. Of these all but `timestamp` may be null;
//! - what is required and not nullable is `!`, but a free value never is: null is one of its values, also in `[JSON]`;
//! - defaults are told in descriptions; only what is used is declared; everything is sorted by name, fields and
//!   arguments stay in the contract's order.

pub mod call;
mod sdl;
pub mod types;

use crate::model::{Interface, Kind};
use crate::model::{Model, Operation};
use crate::output::{Emission, File};

pub fn emit(model: &Model) -> Emission {
    Emission {
        files: vec![File::new("docs/schema.graphql", sdl::text(model))],
        folders: Vec::new(),
    }
}

/// Operations with a GraphQL field, those of `Query` or those of `Mutation`, by field name.
pub(crate) fn root_operations(model: &Model, query: bool) -> Vec<&Operation> {
    let mut operations: Vec<&Operation> = model
        .operations()
        .filter(|operation| !operation.except.contains_key(&Interface::Graphql))
        .filter(|operation| (operation.kind == Kind::Query) == query)
        .collect();
    operations.sort_by(|a, b| a.graphql.cmp(&b.graphql));
    operations
}
