//! Connections between machines, real and simulated.
//!
//! What a connection promises is what TCP does: bytes arrive once and in order, or the connection breaks. Nothing is
//! promised between connections. A write that returned may never arrive.
//!
//! Calls block the thread, up to a time-out. A stream and a listener may be used from many threads; one reader and one
//! writer of a stream at a time, since time-outs belong to a direction.

mod real;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

pub use real::RealNet;
#[cfg(any(test, feature = "simulation"))]
pub use simulated::SimNet;

/// How a machine reaches others. Addresses are a host and a port, `host:port`.
pub trait Net: Send + Sync + 'static {
    /// Takes connections at `address`; port 0 chooses a free one. `AddrInUse` when somebody does already.
    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>>;

    /// Connects to `address`. `ConnectionRefused` when nobody listens, `TimedOut` when there was no answer.
    fn connect(&self, address: &str, timeout_us: u64) -> io::Result<Arc<dyn Stream>>;
}

pub trait Listener: Send + Sync + 'static {
    /// The next connection; blocks until there is one. `ConnectionAborted` once the listener was closed.
    fn accept(&self) -> io::Result<Arc<dyn Stream>>;

    /// Where it listens, with the port that was chosen.
    fn address(&self) -> String;

    /// Takes no more connections; those that were accepted stay.
    fn close(&self);
}

/// A connection. Dropping it closes it.
pub trait Stream: Send + Sync + 'static {
    /// Reads what has arrived, one byte at least, into `buffer` and returns how many bytes: 0 when the other side has
    /// closed, or this one has, or `buffer` is empty. Blocks up to `timeout_us`, then fails with `TimedOut`; `None` waits.
    fn read(&self, buffer: &mut [u8], timeout_us: Option<u64>) -> io::Result<usize>;

    /// Hands over all of `bytes`. Blocks while the buffers are full, up to `timeout_us` for each part, then fails with
    /// `TimedOut`: some of the bytes may be on their way, so that nothing but closing the stream makes sense.
    fn write_all(&self, bytes: &[u8], timeout_us: Option<u64>) -> io::Result<()>;

    /// Closes both directions. What was written before still arrives. Reads and writes that are blocked return.
    fn close(&self);

    /// Address of the other side.
    fn peer(&self) -> String;
}
