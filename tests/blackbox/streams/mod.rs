//! Streams over every transport: the same events, from the acknowledgement on, none missed.

mod examples;
mod foreign;
mod loss;
mod oracle;
mod races;
mod resume;
mod rights;
mod sessions;
