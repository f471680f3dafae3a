//! The machine's TCP.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Listener, Net, Stream};

/// TCP without delay: small messages are sent at once (`TCP_NODELAY`).
#[derive(Debug, Clone, Copy, Default)]
pub struct RealNet;

impl Net for RealNet {
    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        Ok(Arc::new(RealListener {
            listener,
            address,
            is_closed: AtomicBool::new(false),
        }))
    }

    fn connect(&self, address: &str, timeout_us: u64) -> io::Result<Arc<dyn Stream>> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("{address:?} has no address"));
        for resolved in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&resolved, duration(timeout_us)) {
                Ok(stream) => return Ok(RealStream::new(stream)?),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

#[derive(Debug)]
struct RealListener {
    listener: TcpListener,
    address: SocketAddr,
    is_closed: AtomicBool,
}

impl Listener for RealListener {
    fn accept(&self) -> io::Result<Arc<dyn Stream>> {
        while !self.is_closed.load(Ordering::Acquire) {
            match self.listener.accept() {
                // The connection that wakes an accept when the listener is closed.
                Ok(_) if self.is_closed.load(Ordering::Acquire) => {}
                Ok((stream, _)) => return Ok(RealStream::new(stream)?),
                // It was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
        // The next one that is blocked wakes too.
        self.wake();
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            format!("the listener at {} was closed", self.address),
        ))
    }

    fn address(&self) -> String {
        self.address.to_string()
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.wake();
    }
}

impl RealListener {
    /// Nothing but a connection wakes a blocked accept. One that can't be made finds the queue full, so that the accept
    /// is not blocked.
    fn wake(&self) {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        drop(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
    }
}

#[derive(Debug)]
struct RealStream {
    stream: TcpStream,
    peer: String,
    is_closed: AtomicBool,
}

impl RealStream {
    fn new(stream: TcpStream) -> io::Result<Arc<RealStream>> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?.to_string();
        Ok(Arc::new(RealStream {
            stream,
            peer,
            is_closed: AtomicBool::new(false),
        }))
    }
}

impl Stream for RealStream {
    fn read(&self, buffer: &mut [u8], timeout_us: Option<u64>) -> io::Result<usize> {
        if buffer.is_empty() {
            // The machine would wait for bytes all the same.
            return Ok(0);
        }
        self.stream.set_read_timeout(timeout_us.map(duration))?;
        loop {
            match (&self.stream).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.is_closed.load(Ordering::Acquire) => return Ok(0),
                outcome => return outcome.map_err(timed_out),
            }
        }
    }

    fn write_all(&self, bytes: &[u8], timeout_us: Option<u64>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout_us.map(duration))?;
        (&self.stream).write_all(bytes).map_err(timed_out)
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // Fails only when the other side has broken the connection already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }
}

/// A time-out of 0 would be refused.
fn duration(timeout_us: u64) -> Duration {
    Duration::from_micros(timeout_us.max(1))
}

/// Unix says that a call would block when its time is over.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}
