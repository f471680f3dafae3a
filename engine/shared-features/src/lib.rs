//! Nothing but a manifest.
//!
//! Cargo unites the features of the packages that one command selects, so `cargo test -p rustydb-sql` and
//! `cargo test --workspace` would each compile DataFusion, minutes long, with features of their own. What links
//! DataFusion depends on this package, and so gets the same features whatever is selected.
