//! Which isolation a database really gives, judged from outside: a checker of transaction histories.
//!
//! A history is what clients saw: transactions, each with what it wrote, what its reads were answered, how it ended,
//! and when it began and ended in an order that all clients share. The checker knows nothing of the database. It
//! infers which transaction must have come before which, and looks for what contradicts a [`Level`].
//!
//! # How an order can be seen from outside
//!
//! Values are unique, so a value that is read names its writer (**wr**: the writer comes before the reader). The rest
//! depends on what a key is:
//!
//! - A **list** is only appended to. One read of it shows the order of all appends so far, so their order is known
//!   (**ww**: who appended comes before who appended next), and so is which append a reader has not seen yet (**rw**:
//!   who read a version comes before who made the next one). This is the workload to choose.
//! - A **register** is overwritten. The order of its versions comes from commit positions, if the system tells them;
//!   otherwise only from transactions that read the register and then wrote it, and, with [`Options::realtime`], from
//!   writes that do not overlap in time.
//!
//! Where asked, edges of the order of a process and of the order of time are added. A cycle of edges is a
//! contradiction: no order of the transactions explains what they saw. Which edges it is made of says what was
//! broken, and [`Kind`] and [`Level::forbids`] list that. The kinds are those of Adya, Liskov and O'Neil, "Generalized
//! isolation level definitions" (ICDE 2000) and Adya's thesis (MIT 1999); inferring them from lists is by Kingsbury
//! and Alvaro, "Elle: inferring isolation anomalies from experimental observations" (VLDB 2020).
//!
//! # A worked example: two doctors
//!
//! Both transactions read who is on call (two lists, one a doctor, and something in it is a leave), find the other
//! one there, and leave. Each reads a snapshot, and they write different keys, so a snapshot admits it; but whoever of
//! the two comes first should have been seen by the second. It is a cycle of two rw, a write skew:
//!
//! ```
//! use rustydb_history::{Key, Kind, Level, Process, Recorder, Value, check};
//!
//! let (alice, bob) = (Key(1), Key(2));
//! let recorder = Recorder::new();
//! let mut one = recorder.begin(Process(1));
//! let mut other = recorder.begin(Process(2));
//! one.read_list(bob, vec![]);
//! other.read_list(alice, vec![]);
//! one.append(alice, Value(10));
//! other.append(bob, Value(20));
//! one.committed(None);
//! other.committed(None);
//! let history = recorder.history()?;
//!
//! let report = check(&history, Level::SnapshotIsolation)?;
//! assert_eq!(report.count(Kind::G2), 1);
//!
//! let violation = check(&history, Level::Serializable).expect_err("write skew is not serializable");
//! assert_eq!(
//!     violation.forbidden[0].to_string(),
//!     "G2\n  \
//!        T0 -rw-> T1: T0 read k2 unwritten, and not 20, which T1 wrote\n  \
//!        T1 -rw-> T0: T1 read k1 unwritten, and not 10, which T0 wrote\n    \
//!          T0 (p1 1..3 committed) read k2 = [], append k1 10\n    \
//!          T1 (p2 2..4 committed) read k1 = [], append k2 20"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a verdict means
//!
//! Each anomaly is proved by its witness, if clients recorded the truth and the system's commit positions are the
//! order of its versions. That none is found proves nothing: a history shows only what was read. So:
//!
//! - Make conflicts: few keys, many at once ([`workload::list_append`]). Read every key at the end
//!   ([`workload::Plans::final_reads`]). Look at [`Report::edges`] and [`Report::effective`].
//! - An acknowledged append that no read has is an anomaly only if something shows that it should be there: a commit
//!   position, or, with [`Options::realtime`], a later read. Without either, a level that does not speak of time admits
//!   that everybody reads the past.
//! - A transaction of unknown outcome counts if it was seen by one that counts. Reads of transactions that do not
//!   count are not judged.
//! - In each component of the graph, and for each kind, one smallest cycle is reported, not all.
//!
//! # Parts
//!
//! | to | look at |
//! |---|---|
//! | say what was observed | [`History`]; while it happens, [`Recorder`] |
//! | drive a database | [`workload`] |
//! | know what a level forbids | [`Level`], [`Kind`] |
//! | see what one read shows by itself (G1a, G1b, own writes) | `reads.rs` |
//! | see how versions are ordered | `lists.rs`, `registers.rs` |
//! | see how an order becomes edges | `edges.rs`, `order.rs` |
//! | see how cycles are found and named | `cycles.rs`, on `graph.rs` |
//!
//! The tests plant each anomaly in correct histories; each prints its seed, and `RUSTYDB_SEED` sets it.

mod anomaly;
mod check;
mod cycles;
mod edges;
mod graph;
mod history;
mod index;
mod level;
mod lists;
mod order;
mod reads;
mod recorder;
mod registers;
mod versions;
pub mod workload;

pub use anomaly::{Anomaly, Edge, Scope, Why};
pub use check::{Edges, Options, Report, Violation, check, check_with};
pub use history::{
    History, Key, Malformed, Moment, Op, Outcome, Position, Process, Transaction, TxnNo, Value,
};
pub use level::{Kind, Level};
pub use recorder::{Recorder, Recording};
