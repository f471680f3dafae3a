//! Databases of some lines that keep a level for reasons which are plain to see, and drive themselves.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustydb_history::workload::{Plan, Step};
use rustydb_history::{History, Key, Position, Process, Recorder, Recording, Value};
use std::collections::HashMap;

/// What a run is like, beside what it executes.
#[derive(Clone, Copy)]
pub struct Run {
    pub seed: u64,
    pub registers: bool,
    /// Whether the commits tell their positions.
    pub positions: bool,
    pub processes: u32,
}

/// A key is the list of all that was given to it; a register is the last of them.
fn record_read(recording: &mut Recording, registers: bool, key: Key, list: Vec<Value>) {
    if registers {
        recording.read_register(key, list.last().copied());
    } else {
        recording.read_list(key, list);
    }
}

fn record_write(recording: &mut Recording, registers: bool, key: Key, value: Value) {
    if registers {
        recording.write(key, value);
    } else {
        recording.append(key, value);
    }
}

/// Carries out each transaction in one step, at some moment between its beginning and its end; those of unknown
/// outcome at some moment after their beginning, or never.
pub fn serial(run: Run, plans: impl IntoIterator<Item = Plan>) -> History {
    let mut rng = StdRng::seed_from_u64(run.seed);
    let recorder = Recorder::new();
    let mut state: HashMap<Key, Vec<Value>> = HashMap::new();
    let mut commits = 0;
    let mut begun: Vec<(u32, Recording, Plan)> = Vec::new();
    let mut done: Vec<(u32, Recording, Option<Position>)> = Vec::new();
    let mut late: Vec<Plan> = Vec::new();
    let mut idle: Vec<u32> = (0..run.processes).collect();
    let mut plans = plans.into_iter().fuse();
    loop {
        match rng.random_range(0..4) {
            0 if !idle.is_empty() => {
                if let Some(plan) = plans.next() {
                    let process = idle.swap_remove(rng.random_range(0..idle.len()));
                    begun.push((process, recorder.begin(Process(process)), plan));
                } else if begun.is_empty() && done.is_empty() {
                    return recorder.history().unwrap();
                }
            }
            1 if !begun.is_empty() => {
                let (process, mut recording, plan) = begun.swap_remove(rng.random_range(0..begun.len()));
                let fate = rng.random_range(0..20);
                if fate == 0 {
                    let writes = writes(&plan);
                    writes.for_each(|(key, value)| record_write(&mut recording, run.registers, key, value));
                    recording.unknown();
                    idle.push(process);
                    late.extend(rng.random_bool(0.5).then_some(plan));
                    continue;
                }
                let mut changed = state.clone();
                for step in &plan.steps {
                    match *step {
                        Step::Read { key } => {
                            let list = changed.get(&key).cloned().unwrap_or_default();
                            record_read(&mut recording, run.registers, key, list);
                        }
                        Step::Write { key, value } => {
                            changed.entry(key).or_default().push(value);
                            record_write(&mut recording, run.registers, key, value);
                        }
                    }
                }
                if fate == 1 {
                    recording.aborted();
                    idle.push(process);
                } else {
                    state = changed;
                    commits += 1;
                    done.push((process, recording, run.positions.then_some(Position(commits))));
                }
            }
            2 if !done.is_empty() => {
                let (process, recording, position) = done.swap_remove(rng.random_range(0..done.len()));
                recording.committed(position);
                idle.push(process);
            }
            3 if !late.is_empty() && rng.random_bool(0.2) => {
                let plan = late.swap_remove(rng.random_range(0..late.len()));
                writes(&plan).for_each(|(key, value)| state.entry(key).or_default().push(value));
                commits += 1;
            }
            _ => {}
        }
    }
}

fn writes(plan: &Plan) -> impl Iterator<Item = (Key, Value)> {
    plan.steps.iter().filter_map(|step| match *step {
        Step::Write { key, value } => Some((key, value)),
        Step::Read { .. } => None,
    })
}

/// How [`Versioned`] isolates.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Reads are of the state at the beginning; who commits second of two that wrote a key is refused.
    Snapshot,
    /// As `Snapshot`, but nobody is refused.
    SnapshotWithoutRefusals,
    /// Each read is of the state at its moment; a write locks its key, and who finds it locked is refused.
    ReadCommitted,
}

/// Keeps every version of every key, with the commit that made it.
struct Versioned {
    isolation: Isolation,
    versions: HashMap<Key, Vec<(u64, Value)>>,
    locks: HashMap<Key, u32>,
    commits: u64,
}

struct Open {
    process: u32,
    recording: Recording,
    steps: std::vec::IntoIter<Step>,
    snapshot: u64,
    writes: Vec<(Key, Value)>,
}

/// Carries out transactions step by step, many at a time.
pub fn versioned(run: Run, isolation: Isolation, plans: impl IntoIterator<Item = Plan>) -> History {
    let mut rng = StdRng::seed_from_u64(run.seed);
    let recorder = Recorder::new();
    let mut database = Versioned {
        isolation,
        versions: HashMap::new(),
        locks: HashMap::new(),
        commits: 0,
    };
    let mut open: Vec<Open> = Vec::new();
    let mut idle: Vec<u32> = (0..run.processes).collect();
    let mut plans = plans.into_iter().fuse();
    loop {
        if let Some(process) = idle.pop()
            && let Some(plan) = plans.next()
        {
            let recording = recorder.begin(Process(process));
            let steps = plan.steps.into_iter();
            open.push(Open {
                process,
                recording,
                steps,
                snapshot: database.commits,
                writes: Vec::new(),
            });
        }
        if open.is_empty() {
            return recorder.history().unwrap();
        }
        let at = rng.random_range(0..open.len());
        let ended = match open[at].steps.next() {
            Some(step) => database.step(&mut open[at], step, run.registers).err(),
            None => Some(database.commit(&open[at])),
        };
        if let Some(committed) = ended {
            let open = open.swap_remove(at);
            database.locks.retain(|_, holder| *holder != open.process);
            idle.push(open.process);
            match committed {
                _ if rng.random_range(0..20) == 0 => open.recording.unknown(),
                true => open
                    .recording
                    .committed(run.positions.then_some(Position(database.commits))),
                false => open.recording.aborted(),
            }
        }
    }
}

impl Versioned {
    /// Fails with "not committed" if a lock is held by another.
    fn step(&mut self, open: &mut Open, step: Step, registers: bool) -> Result<(), bool> {
        match step {
            Step::Read { key } => {
                let upto = match self.isolation {
                    Isolation::ReadCommitted => self.commits,
                    Isolation::Snapshot | Isolation::SnapshotWithoutRefusals => open.snapshot,
                };
                let versions = self.versions.get(&key).into_iter().flatten();
                let others = versions
                    .filter(|(commit, _)| *commit <= upto)
                    .map(|(_, value)| *value);
                let own = open
                    .writes
                    .iter()
                    .filter(|write| write.0 == key)
                    .map(|write| write.1);
                record_read(&mut open.recording, registers, key, others.chain(own).collect());
            }
            Step::Write { key, value } => {
                if self.isolation == Isolation::ReadCommitted
                    && *self.locks.entry(key).or_insert(open.process) != open.process
                {
                    return Err(false);
                }
                open.writes.push((key, value));
                record_write(&mut open.recording, registers, key, value);
            }
        }
        Ok(())
    }

    fn commit(&mut self, open: &Open) -> bool {
        let newest = |key| {
            self.versions
                .get(key)
                .and_then(|versions| versions.last())
                .map_or(0, |last| last.0)
        };
        let overtaken = open.writes.iter().any(|(key, _)| newest(key) > open.snapshot);
        if overtaken && self.isolation == Isolation::Snapshot {
            return false;
        }
        self.commits += 1;
        for &(key, value) in &open.writes {
            self.versions.entry(key).or_default().push((self.commits, value));
        }
        true
    }
}
