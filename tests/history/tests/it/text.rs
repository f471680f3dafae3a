//! Histories as text, one transaction a line: `c@3 (p1 1..4): a x 1, r x [1], w y 2, g y 2, g z -`.
//!
//! `c`, `a` and `u` are committed (at a position), aborted, unknown; `a`, `r`, `w`, `g` append to a list, read one,
//! write a register, get one. Without the part in parentheses a transaction has a process of its own and is
//! concurrent with all others.

use rustydb_history::{History, Key, Moment, Op, Outcome, Position, Process, Transaction, Value};

pub fn history(text: &str) -> History {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let count = lines.len() as u64;
    let parse = |(i, line): (usize, &&str)| transaction(line, i as u64, count);
    History::new(lines.iter().enumerate().map(parse).collect()).unwrap()
}

fn transaction(line: &str, number: u64, count: u64) -> Transaction {
    let (head, ops) = line.split_once(':').unwrap();
    let (outcome, when) = head.split_once('(').unwrap_or((head, ""));
    let outcome = match outcome.trim().split_once('@').unwrap_or((outcome.trim(), "")) {
        ("c", "") => Outcome::Committed(None),
        ("c", position) => Outcome::Committed(Some(Position(position.parse().unwrap()))),
        ("a", _) => Outcome::Aborted,
        ("u", _) => Outcome::Unknown,
        other => panic!("{other:?} is no outcome"),
    };
    let (process, begin, end) = match when.trim_end_matches(')').split_once(' ') {
        None => (1_000 + number, 1_000 + number, 1_000 + count + number),
        Some((process, moments)) => {
            let (begin, end) = moments.split_once("..").unwrap();
            (
                process[1..].parse().unwrap(),
                begin.parse().unwrap(),
                end.parse().unwrap(),
            )
        }
    };
    Transaction {
        process: Process(process as u32),
        begin: Moment(begin),
        end: Moment(end),
        outcome,
        ops: ops.split(',').map(op).collect(),
    }
}

fn op(text: &str) -> Op {
    let mut words = text.trim().splitn(3, ' ');
    let (verb, key, rest) = (
        words.next().unwrap(),
        words.next().unwrap(),
        words.next().unwrap(),
    );
    let key = Key(u64::from(key.as_bytes()[0]));
    let value = |text: &str| Value(text.parse().unwrap());
    match verb {
        "a" => Op::Append {
            key,
            value: value(rest),
        },
        "w" => Op::Write {
            key,
            value: value(rest),
        },
        "g" => Op::ReadRegister {
            key,
            value: (rest != "-").then(|| value(rest)),
        },
        "r" => {
            let list = rest
                .trim_matches(['[', ']'])
                .split_whitespace()
                .map(value)
                .collect();
            Op::ReadList { key, list }
        }
        other => panic!("{other} is no operation"),
    }
}
