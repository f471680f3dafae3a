#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::thread;

use super::simulated::SimNetOptions;
use super::{Net, RealNet, SimNet, Stream};
use crate::{ManualClock, SeededRng};

const SECOND_US: u64 = 1_000_000;

fn sim(seed: u64, options: SimNetOptions) -> SimNet {
    SimNet::new(seed, Arc::new(ManualClock::new(0)), options)
}

/// Runs `test` with one side's network and an address to listen at, on each kind of network.
fn on_every_net(test: impl Fn(&dyn Net, &str)) {
    test(&sim(1, SimNetOptions::default()).host("a"), "a:0");
    test(&RealNet, "127.0.0.1:0");
}

/// The two ends of a connection.
fn pair(server: &dyn Net, client: &dyn Net, address: &str) -> [Arc<dyn Stream>; 2] {
    let listener = server.listen(address).unwrap();
    let client = client.connect(&listener.address(), SECOND_US).unwrap();
    [client, listener.accept().unwrap()]
}

fn read_to_end(stream: &dyn Stream) -> Result<Vec<u8>> {
    let (mut found, mut buffer) = (Vec::new(), [0; 1000]);
    loop {
        match stream.read(&mut buffer, None)? {
            0 => return Ok(found),
            bytes => found.extend(&buffer[..bytes]),
        }
    }
}

fn kind<T>(outcome: Result<T>) -> ErrorKind {
    outcome.map(drop).unwrap_err().kind()
}

#[test]
fn bytes_arrive_in_order_and_closing_ends_them() {
    on_every_net(|net, address| {
        let [client, server] = pair(net, net, address);
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        thread::scope(|scope| {
            // More than buffers hold: the writer blocks until it is read.
            scope.spawn(|| {
                client.write_all(&sent, None).unwrap();
                client.close();
            });
            assert!(read_to_end(&*server).unwrap() == sent);
        });
        assert_eq!(client.read(&mut [0], None).unwrap(), 0);
        assert_eq!(kind(client.write_all(b"x", None)), ErrorKind::BrokenPipe);
        let until_refused = |_| server.write_all(b"x", None).err();
        let refused = (0..10_000).find_map(until_refused).unwrap().kind();
        assert!(
            matches!(refused, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
            "{refused}"
        );
    });
}

#[test]
fn both_sides_talk_and_dropping_one_closes_it() {
    on_every_net(|net, address| {
        let [client, server] = pair(net, net, address);
        for _ in 0..3 {
            let mut buffer = [0; 4];
            client.write_all(b"ping", None).unwrap();
            assert_eq!(server.read(&mut buffer, None).unwrap(), 4);
            server.write_all(b"pong", None).unwrap();
            assert_eq!((client.read(&mut buffer, None).unwrap(), &buffer), (4, b"pong"));
        }
        assert_eq!(client.read(&mut [], None).unwrap(), 0);
        drop(server);
        assert_eq!(read_to_end(&*client).unwrap(), b"");
    });
}

#[test]
fn without_a_listener_connections_are_refused() {
    on_every_net(|net, address| {
        let listener = net.listen(address).unwrap();
        let address = listener.address();
        assert_eq!(kind(net.listen(&address)), ErrorKind::AddrInUse);
        thread::scope(|scope| {
            let accept = || scope.spawn(|| kind(listener.accept()));
            let accepts = [accept(), accept()];
            listener.close();
            assert_eq!(
                accepts.map(|accept| accept.join().unwrap()),
                [ErrorKind::ConnectionAborted; 2]
            );
        });
        drop(listener);
        assert_eq!(
            kind(net.connect(&address, SECOND_US)),
            ErrorKind::ConnectionRefused
        );
    });
}

#[test]
fn closing_wakes_a_blocked_reader() {
    on_every_net(|net, address| {
        let [client, _server] = pair(net, net, address);
        thread::scope(|scope| {
            let reader = scope.spawn(|| client.read(&mut [0], None));
            client.close();
            assert_eq!(reader.join().unwrap().unwrap(), 0);
        });
    });
}

#[test]
fn a_read_times_out() {
    let [client, server] = pair(&RealNet, &RealNet, "127.0.0.1:0");
    assert_eq!(kind(client.read(&mut [0], Some(0))), ErrorKind::TimedOut);
    server.write_all(b"x", Some(SECOND_US)).unwrap();
    assert_eq!(client.read(&mut [0], None).unwrap(), 1);

    let net = sim(1, SimNetOptions::default());
    let [client, _server] = pair(&net.host("a"), &net.host("b"), "a:1");
    thread::scope(|scope| {
        let reader = scope.spawn(|| client.read(&mut [0], Some(100)));
        net.wait_until_blocked(1);
        net.advance_us(99);
        net.wait_until_blocked(1);
        assert!(!reader.is_finished());
        net.advance_us(1);
        assert_eq!(kind(reader.join().unwrap()), ErrorKind::TimedOut);
    });
}

/// For each of ten writes, when it arrives.
fn arrivals(seed: u64) -> Vec<u64> {
    let options = SimNetOptions {
        delay_us_min: 10,
        delay_us_max: 50,
        ..SimNetOptions::default()
    };
    let net = sim(seed, options);
    let (a, b) = (net.host("a"), net.host("b"));
    let listener = a.listen("a:1").unwrap();
    let mut streams = Vec::new();
    for _ in 0..10 {
        thread::scope(|scope| {
            let connect = scope.spawn(|| b.connect("a:1", SECOND_US).unwrap());
            net.wait_until_blocked(1);
            net.advance_us(100);
            streams.push([connect.join().unwrap(), listener.accept().unwrap()]);
        });
    }
    streams
        .iter()
        .for_each(|[client, _]| client.write_all(b"x", None).unwrap());
    let mut arrived = vec![0; 10];
    for passed_us in 0..=50 {
        for (at, [_, server]) in streams.iter().enumerate() {
            if arrived[at] == 0 && server.read(&mut [0], Some(0)).is_ok() {
                arrived[at] = passed_us;
            }
        }
        net.advance_us(1);
    }
    arrived
}

#[test]
fn delays_are_drawn_from_the_seed_and_connections_overtake_each_other() {
    for seed in 0..5 {
        let found = arrivals(seed);
        assert_eq!(found, arrivals(seed), "seed {seed}");
        assert!(
            found.iter().all(|passed_us| (10..=50).contains(passed_us)),
            "seed {seed}: {found:?}"
        );
        assert!(!found.is_sorted(), "seed {seed}: {found:?}");
    }
    assert_ne!(arrivals(1), arrivals(2));
}

#[test]
fn bytes_of_one_connection_keep_their_order_and_the_end_comes_last() {
    for seed in 0..10 {
        let options = SimNetOptions {
            delay_us_min: 1,
            delay_us_max: 50,
            ..SimNetOptions::default()
        };
        let net = sim(seed, options);
        let (a, b) = (net.host("a"), net.host("b"));
        let listener = a.listen("a:1").unwrap();
        let client = thread::scope(|scope| {
            let connect = scope.spawn(|| b.connect("a:1", SECOND_US).unwrap());
            net.wait_until_blocked(1);
            net.advance_us(100);
            connect.join().unwrap()
        });
        let server = listener.accept().unwrap();
        (0..100).for_each(|byte| client.write_all(&[byte], None).unwrap());
        client.close();
        let (mut found, mut buffer) = (Vec::<u8>::new(), [0; 100]);
        loop {
            match server.read(&mut buffer, Some(0)) {
                Ok(0) => break,
                Ok(bytes) => found.extend(&buffer[..bytes]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
            net.advance_us(1);
        }
        assert_eq!(found, (0..100).collect::<Vec<u8>>(), "seed {seed}");
    }
}

#[test]
fn a_partition_holds_back_one_way_until_it_is_healed() {
    let net = sim(1, SimNetOptions::default());
    let (a, b) = (net.host("a"), net.host("b"));
    let [client, server] = pair(&a, &b, "a:1");
    let read = |stream: &Arc<dyn Stream>| stream.read(&mut [0; 10], Some(0)).map_err(|error| error.kind());
    net.cut("b", "a");
    client.write_all(b"held", None).unwrap();
    server.write_all(b"arrives", None).unwrap();
    assert_eq!((read(&client), read(&server)), (Ok(7), Err(ErrorKind::TimedOut)));
    let listener = b.listen("b:1").unwrap();
    let back = a.listen("a:2").unwrap();
    assert_eq!(kind(a.connect(&listener.address(), 0)), ErrorKind::TimedOut);
    assert_eq!(kind(b.connect(&back.address(), 0)), ErrorKind::TimedOut);
    net.heal("b", "a");
    b.connect(&back.address(), 0).unwrap();
    assert_eq!(read(&server), Ok(4));
    a.connect(&listener.address(), 0).unwrap();
}

#[test]
fn connections_break_when_told_or_at_random() {
    let net = sim(1, SimNetOptions::default());
    let [client, server] = pair(&net.host("a"), &net.host("b"), "a:1");
    let [other, _far] = pair(&net.host("a"), &net.host("c"), "a:2");
    client.write_all(b"lost", None).unwrap();
    net.break_connections("a", "b");
    assert_eq!(kind(server.read(&mut [0], None)), ErrorKind::ConnectionReset);
    assert_eq!(kind(client.write_all(b"x", None)), ErrorKind::ConnectionReset);
    other.write_all(b"x", None).unwrap();

    let writes_until_break = |seed| {
        let net = sim(
            seed,
            SimNetOptions {
                breaks_per_million: 50_000,
                ..SimNetOptions::default()
            },
        );
        let [client, _server] = pair(&net.host("a"), &net.host("b"), "a:1");
        (0..1000)
            .position(|_| client.write_all(b"x", None).is_err())
            .unwrap()
    };
    let found: Vec<usize> = (0..20).map(writes_until_break).collect();
    assert_eq!(found, (0..20).map(writes_until_break).collect::<Vec<_>>());
    assert!(found.iter().any(|writes| *writes != found[0]), "{found:?}");
}

#[test]
fn a_writer_waits_for_room() {
    let net = sim(
        1,
        SimNetOptions {
            buffer_bytes: 10,
            ..SimNetOptions::default()
        },
    );
    let [client, server] = pair(&net.host("a"), &net.host("b"), "a:1");
    assert_eq!(kind(client.write_all(&[1; 11], Some(0))), ErrorKind::TimedOut);
    let mut buffer = [0; 6];
    assert_eq!(server.read(&mut buffer, None).unwrap(), 6);
    client.write_all(&[1; 6], Some(0)).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| client.write_all(&[2; 25], None));
        net.wait_until_blocked(1);
        let mut bytes = 0;
        let rng = SeededRng::new(5);
        while bytes < 10 + 25 {
            let take = 1 + rng.below(6) as usize;
            bytes += server.read(&mut buffer[..take], None).unwrap();
        }
        writer.join().unwrap().unwrap();
    });
}
