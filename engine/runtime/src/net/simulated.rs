//! A network in memory, whose delays, breaks and partitions a test rules.
//!
//! Time is a [`ManualClock`] that only [`SimNet::advance_us`] moves: bytes arrive, and time-outs end, when the test lets
//! time pass. Each write draws its delay from the seed, the number of its connection and its direction, so that it is
//! the same however threads are scheduled, as long as connections are made in the same order. Bytes of one connection
//! keep their order; those of different ones overtake each other.
//!
//! A partition from one host to another holds bytes back until it is healed, as TCP repeats what was lost; it may be
//! one-way. Connecting needs both ways.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::{Listener, Net, Stream};
use crate::{Clock, ManualClock, SeededRng};

/// How a network behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimNetOptions {
    /// The least time that a write takes to arrive.
    pub delay_us_min: u64,
    /// The most.
    pub delay_us_max: u64,
    /// So many of a million writes break their connection instead.
    pub breaks_per_million: u64,
    /// Bytes of a direction that are on their way or wait to be read; a writer blocks until there is room. From 1.
    pub buffer_bytes: usize,
    /// Connections that wait to be accepted; one more is refused.
    pub backlog: usize,
}

impl Default for SimNetOptions {
    fn default() -> Self {
        SimNetOptions {
            delay_us_min: 0,
            delay_us_max: 0,
            breaks_per_million: 0,
            buffer_bytes: 64 << 10,
            backlog: 128,
        }
    }
}

/// The network. Clones are handles of the same one.
#[derive(Clone)]
pub struct SimNet {
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    options: SimNetOptions,
    clock: Arc<ManualClock>,
    state: Mutex<State>,
    /// Time has passed, or something was done that somebody may wait for.
    changed: Condvar,
    /// One more thread is blocked.
    is_blocked: Condvar,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<String, VecDeque<u64>>,
    connections: BTreeMap<u64, Connection>,
    /// From which host nothing arrives at which.
    partitions: BTreeSet<(String, String)>,
    connections_made: u64,
    next_port: u16,
    /// Threads that are blocked in a call and have seen the latest change.
    blocked: usize,
}

/// Side 0 has connected, side 1 was connected to.
struct Connection {
    addresses: [String; 2],
    /// Pipe n carries what side n writes.
    pipes: [Pipe; 2],
    is_closed: [bool; 2],
    is_broken: bool,
    /// Sides whose stream is not dropped yet.
    handles: usize,
}

struct Pipe {
    rng: SeededRng,
    /// Bytes and when they arrive; no bytes are the end.
    in_flight: VecDeque<(u64, Vec<u8>)>,
    arrived: VecDeque<u8>,
    has_ended: bool,
    last_due_us: u64,
}

impl SimNet {
    pub fn new(seed: u64, clock: Arc<ManualClock>, options: SimNetOptions) -> SimNet {
        assert!(
            options.delay_us_min <= options.delay_us_max && options.buffer_bytes > 0,
            "delays ascend and buffers hold a byte: {options:?}"
        );
        let shared = Shared {
            seed,
            options,
            clock,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            is_blocked: Condvar::new(),
        };
        SimNet {
            shared: Arc::new(shared),
        }
    }

    /// The network as the host `name` has it. It listens and connects under this name.
    pub fn host(&self, name: &str) -> SimHost {
        assert!(
            !name.contains(':'),
            "a port follows the colon of an address: {name:?}"
        );
        SimHost {
            shared: Arc::clone(&self.shared),
            name: name.to_owned(),
        }
    }

    /// Lets time pass: moves the clock on, and wakes who waits for what is due.
    pub fn advance_us(&self, by_us: u64) {
        let mut state = self.shared.state.lock();
        self.shared.clock.advance_us(by_us);
        self.shared.wake(&mut state);
    }

    /// Blocks until so many threads are blocked in calls to this network, and none of them because it has not looked yet:
    /// the condition on which a test moves time.
    pub fn wait_until_blocked(&self, threads: usize) {
        let mut state = self.shared.state.lock();
        while state.blocked < threads {
            self.shared.is_blocked.wait(&mut state);
        }
    }

    /// From now on nothing from host `from` arrives at host `to`; the other way goes on.
    pub fn cut(&self, from: &str, to: &str) {
        self.change(|state| {
            state.partitions.insert((from.to_owned(), to.to_owned()));
        });
    }

    /// What was held back arrives.
    pub fn heal(&self, from: &str, to: &str) {
        self.change(|state| {
            state.partitions.remove(&(from.to_owned(), to.to_owned()));
        });
    }

    /// Breaks every connection between two hosts, whoever made it. What was on its way is lost.
    pub fn break_connections(&self, one: &str, other: &str) {
        self.change(|state| {
            for connection in state.connections.values_mut() {
                let hosts = [
                    host_of(&connection.addresses[0]),
                    host_of(&connection.addresses[1]),
                ];
                connection.is_broken |= hosts == [one, other] || hosts == [other, one];
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.state.lock();
        change(&mut state);
        self.shared.wake(&mut state);
    }
}

impl Shared {
    /// Lets everybody who is blocked look again.
    fn wake(&self, state: &mut State) {
        state.blocked = 0;
        self.changed.notify_all();
    }

    /// Runs `attempt` until it has an outcome, again after every change; `TimedOut` behind `deadline_us`.
    fn wait_for<T>(
        &self,
        timeout_us: Option<u64>,
        mut attempt: impl FnMut(&mut State) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let deadline_us = timeout_us.map(|timeout_us| self.clock.now_mono_us().saturating_add(timeout_us));
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = attempt(&mut state) {
                self.wake(&mut state);
                return outcome;
            }
            if deadline_us.is_some_and(|deadline_us| self.clock.now_mono_us() >= deadline_us) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            state.blocked += 1;
            self.is_blocked.notify_all();
            self.changed.wait(&mut state);
        }
    }

    fn delay_us(&self, rng: &SeededRng) -> u64 {
        let SimNetOptions {
            delay_us_min,
            delay_us_max,
            ..
        } = self.options;
        delay_us_min + rng.below(delay_us_max - delay_us_min + 1)
    }

    fn connection(&self, addresses: [String; 2], number: u64) -> Connection {
        let pipe = |side: u64| Pipe {
            rng: SeededRng::new(SeededRng::new(self.seed ^ (2 * number + side)).next_u64()),
            in_flight: VecDeque::new(),
            arrived: VecDeque::new(),
            has_ended: false,
            last_due_us: 0,
        };
        Connection {
            addresses,
            pipes: [pipe(0), pipe(1)],
            is_closed: [false, false],
            is_broken: false,
            handles: 2,
        }
    }
}

impl State {
    fn is_cut(&self, from: &str, to: &str) -> bool {
        self.partitions
            .contains(&(host_of(from).to_owned(), host_of(to).to_owned()))
    }

    /// Lets what is due at a side of a connection arrive.
    fn settle(&mut self, number: u64, reader: usize, now_us: u64) {
        let Some(connection) = self.connections.get(&number) else {
            return;
        };
        if self.is_cut(&connection.addresses[1 - reader], &connection.addresses[reader]) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let pipe = &mut connection.pipes[1 - reader];
        while let Some((_, bytes)) = pipe.in_flight.pop_front_if(|(due_us, _)| *due_us <= now_us) {
            pipe.has_ended |= bytes.is_empty();
            pipe.arrived.extend(bytes);
        }
    }
}

impl Pipe {
    fn bytes(&self) -> usize {
        self.arrived.len() + self.in_flight.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }

    fn send(&mut self, due_us: u64, bytes: Vec<u8>) {
        self.last_due_us = self.last_due_us.max(due_us);
        self.in_flight.push_back((self.last_due_us, bytes));
    }
}

fn host_of(address: &str) -> &str {
    address.split_once(':').map_or(address, |(host, _)| host)
}

/// A host of a [`SimNet`].
#[derive(Clone)]
pub struct SimHost {
    shared: Arc<Shared>,
    name: String,
}

impl Net for SimHost {
    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        let (host, port) = address.split_once(':').unwrap_or((address, ""));
        let port: u16 = port.parse().map_err(|_| invalid(address, "has no port"))?;
        if host != self.name {
            let what = format!("{address:?} is no address of the host {:?}", self.name);
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, what));
        }
        let mut state = self.shared.state.lock();
        let mut address = address.to_owned();
        while port == 0 && (address.ends_with(":0") || state.listeners.contains_key(&address)) {
            state.next_port = state.next_port.checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
            address = format!("{host}:{}", state.next_port);
        }
        if state.listeners.contains_key(&address) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("somebody listens at {address:?}"),
            ));
        }
        state.listeners.insert(address.clone(), VecDeque::new());
        let shared = Arc::clone(&self.shared);
        Ok(Arc::new(SimListener { shared, address }))
    }

    fn connect(&self, address: &str, timeout_us: u64) -> io::Result<Arc<dyn Stream>> {
        let shared = &self.shared;
        let number = {
            let mut state = shared.state.lock();
            state.connections_made += 1;
            state.connections_made
        };
        let mut connection =
            Some(shared.connection([format!("{}:{number}", self.name), address.to_owned()], number));
        let delays = connection
            .iter()
            .flat_map(|made| &made.pipes)
            .map(|pipe| shared.delay_us(&pipe.rng));
        let due_us = shared.clock.now_mono_us() + delays.sum::<u64>();
        shared.wait_for(Some(timeout_us), |state| {
            if shared.clock.now_mono_us() < due_us
                || state.is_cut(&self.name, address)
                || state.is_cut(address, &self.name)
            {
                return None;
            }
            match state.listeners.get_mut(address) {
                Some(waiting) if waiting.len() < shared.options.backlog => waiting.push_back(number),
                _ => {
                    let what = format!("nobody takes connections at {address:?}");
                    return Some(Err(io::Error::new(io::ErrorKind::ConnectionRefused, what)));
                }
            }
            state
                .connections
                .extend(connection.take().map(|made| (number, made)));
            Some(Ok(()))
        })?;
        Ok(SimStream::new(shared, number, 0, address.to_owned()))
    }
}

fn invalid(address: &str, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{address:?} {what}"))
}

struct SimListener {
    shared: Arc<Shared>,
    address: String,
}

impl Listener for SimListener {
    fn accept(&self) -> io::Result<Arc<dyn Stream>> {
        let (number, peer) = self.shared.wait_for(None, |state| {
            let Some(waiting) = state.listeners.get_mut(&self.address) else {
                let what = format!("the listener at {} was closed", self.address);
                return Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, what)));
            };
            let number = waiting.pop_front()?;
            Some(Ok((number, state.connections.get(&number)?.addresses[0].clone())))
        })?;
        Ok(SimStream::new(&self.shared, number, 1, peer))
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn close(&self) {
        let mut state = self.shared.state.lock();
        for number in state.listeners.remove(&self.address).unwrap_or_default() {
            // Nobody will accept it.
            if let Some(connection) = state.connections.get_mut(&number) {
                connection.is_broken = true;
                connection.handles -= 1;
            }
        }
        self.shared.wake(&mut state);
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.close();
    }
}

struct SimStream {
    shared: Arc<Shared>,
    number: u64,
    side: usize,
    peer: String,
}

impl SimStream {
    fn new(shared: &Arc<Shared>, number: u64, side: usize, peer: String) -> Arc<SimStream> {
        let shared = Arc::clone(shared);
        Arc::new(SimStream {
            shared,
            number,
            side,
            peer,
        })
    }
}

impl Stream for SimStream {
    fn read(&self, buffer: &mut [u8], timeout_us: Option<u64>) -> io::Result<usize> {
        self.shared.wait_for(timeout_us, |state| {
            state.settle(self.number, self.side, self.shared.clock.now_mono_us());
            let connection = state.connections.get_mut(&self.number)?;
            let pipe = &mut connection.pipes[1 - self.side];
            if connection.is_closed[self.side] || buffer.is_empty() {
                return Some(Ok(0));
            }
            if connection.is_broken {
                return Some(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if pipe.arrived.is_empty() {
                return pipe.has_ended.then_some(Ok(0));
            }
            let bytes = buffer.len().min(pipe.arrived.len());
            for (place, byte) in std::iter::zip(&mut buffer[..], pipe.arrived.drain(..bytes)) {
                *place = byte;
            }
            Some(Ok(bytes))
        })
    }

    fn write_all(&self, bytes: &[u8], timeout_us: Option<u64>) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.shared.wait_for(timeout_us, |state| {
                let now_us = self.shared.clock.now_mono_us();
                state.settle(self.number, self.side, now_us);
                let connection = state.connections.get_mut(&self.number)?;
                if connection.is_closed[self.side] || connection.pipes[1 - self.side].has_ended {
                    return Some(Err(io::ErrorKind::BrokenPipe.into()));
                }
                let pipe = &mut connection.pipes[self.side];
                let room = self.shared.options.buffer_bytes.saturating_sub(pipe.bytes());
                if !connection.is_broken && room == 0 {
                    return None;
                }
                connection.is_broken |= pipe.rng.below(1_000_000) < self.shared.options.breaks_per_million;
                if connection.is_broken {
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
                let now = &rest[..rest.len().min(room)];
                let due_us = now_us + self.shared.delay_us(&pipe.rng);
                pipe.send(due_us, now.to_vec());
                Some(Ok(now.len()))
            })?;
            rest = &rest[written..];
        }
        Ok(())
    }

    fn close(&self) {
        let mut state = self.shared.state.lock();
        let connection = state.connections.get_mut(&self.number);
        if let Some(connection) = connection.filter(|connection| !connection.is_closed[self.side]) {
            connection.is_closed[self.side] = true;
            let pipe = &mut connection.pipes[self.side];
            let due_us = self.shared.clock.now_mono_us() + self.shared.delay_us(&pipe.rng);
            pipe.send(due_us, Vec::new());
        }
        self.shared.wake(&mut state);
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.close();
        let mut state = self.shared.state.lock();
        if let Some(connection) = state.connections.get_mut(&self.number) {
            connection.handles -= 1;
            if connection.handles == 0 {
                state.connections.remove(&self.number);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_are_over_leave_nothing_behind() {
        let net = SimNet::new(1, Arc::new(ManualClock::new(0)), SimNetOptions::default());
        let host = net.host("a");
        let listener = host.listen("a:1").unwrap();
        let accepted = host.connect("a:1", 0).unwrap();
        drop((accepted, listener.accept().unwrap()));
        let never_accepted = host.connect("a:1", 0).unwrap();
        drop(listener);
        let refused = never_accepted.read(&mut [0], None).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionReset);
        drop(never_accepted);
        let state = net.shared.state.lock();
        assert!(state.connections.is_empty() && state.listeners.is_empty());
    }
}
