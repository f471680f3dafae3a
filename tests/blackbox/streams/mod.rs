//! Streams over every transport: the same events, from the acknowledgement on, none missed.

mod behind;
mod cancel;
mod examples;
mod expiry;
mod foreign;
mod loss;
mod oracle;
mod races;
mod raw;
mod resume;
mod rights;
mod sessions;
mod telemetry;
