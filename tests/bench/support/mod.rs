//! What the benchmarks share: spread of samples, the machine, random numbers that repeat.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::time::{Duration, Instant};

/// Samples of one quantity.
#[derive(Debug, Default, Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub const fn new() -> Samples {
        Samples(Vec::new())
    }

    pub fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        }
    }

    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Each sample over the sample of the same round.
    pub fn over(&self, other: &Samples) -> Samples {
        Samples(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(ours, theirs)| ours / theirs)
                .collect(),
        )
    }

    /// `median (min to max)`.
    pub fn spread(&self, decimals: usize) -> String {
        let (median, min, max) = (self.median(), self.min(), self.max());
        format!("{median:.decimals$} ({min:.decimals$} to {max:.decimals$})")
    }
}

pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let value = work();
    (value, begun.elapsed())
}

/// Cores and how busy they already are: figures of a busy machine are worth nothing.
pub fn print_machine() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    println!("machine: {cores} cores, load before the run {load}");
}

/// xorshift64*: fast, and the same numbers for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Numbers below a bound of which few are drawn often: Gray and others, "Quickly generating billion-record synthetic
/// databases" (SIGMOD 1994), with YCSB's constant. The often drawn ones lie scattered.
pub struct Zipf {
    items: u64,
    alpha: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    const THETA: f64 = 0.99;

    pub fn new(items: u64) -> Zipf {
        let zeta_of = |items: u64| {
            (1..=items)
                .map(|rank| (rank as f64).powf(-Zipf::THETA))
                .sum::<f64>()
        };
        let zeta = zeta_of(items);
        Zipf {
            items,
            alpha: 1.0 / (1.0 - Zipf::THETA),
            zeta,
            eta: (1.0 - (2.0 / items as f64).powf(1.0 - Zipf::THETA)) / (1.0 - zeta_of(2) / zeta),
        }
    }

    pub fn draw(&self, random: &mut Random) -> u64 {
        let uniform = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let at = uniform * self.zeta;
        let rank = match at {
            ..1.0 => 0,
            _ if at < 1.0 + 0.5_f64.powf(Zipf::THETA) => 1,
            _ => (self.items as f64 * (self.eta * uniform - self.eta + 1.0).powf(self.alpha)) as u64,
        };
        rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.items
    }
}

/// What was given on the command line: `--name value`, in any order. `--bench`, which cargo adds, is nothing.
pub struct Args(Vec<(String, String)>);

impl Args {
    pub fn parse(known: &[&str]) -> Args {
        let mut given = Vec::new();
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| known.contains(name));
            let (Some(name), Some(value)) = (name, words.next()) else {
                panic!(
                    "{word} is no option with a value; there are --{}",
                    known.join(", --")
                );
            };
            given.push((name.to_owned(), value));
        }
        Args(given)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.text(name).map_or(otherwise, |value| {
            value
                .parse()
                .unwrap_or_else(|_| panic!("--{name} takes a number, not {value}"))
        })
    }

    /// Values of a list with commas.
    pub fn list(&self, name: &str, otherwise: &[&'static str]) -> Vec<String> {
        match self.text(name) {
            None => otherwise.iter().map(|value| (*value).to_owned()).collect(),
            Some(values) => values.split(',').map(str::to_owned).collect(),
        }
    }
}

/// Bytes of the processor's largest cache; 32 MiB where the system does not say.
pub fn last_cache_bytes() -> u64 {
    let size = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cache/index3/size");
    let kib = size
        .ok()
        .and_then(|size| size.trim().strip_suffix('K')?.parse::<u64>().ok());
    kib.unwrap_or(32 << 10) << 10
}
