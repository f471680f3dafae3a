//! Commits that are answered before they are durable.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use rustydb_kernel::error::KernelError;
use rustydb_kernel::ids::Ts;
use rustydb_kernel::kernel::{Kernel, Ticket};
use rustydb_runtime::ManualClock;
use rustydb_runtime::disk::simulated::{Fault, SimDisk};

use crate::model::Act;
use crate::random::{apply, open};

type Heard = Receiver<(u64, Result<(), KernelError>)>;

fn write(kernel: &Kernel, number: u64) -> Ticket {
    let value = number.to_be_bytes().to_vec();
    apply(kernel, &[Act::Write(1, value.clone(), Some(value))], 0).unwrap()
}

/// Makes commits from 1 on, and asks of each to be told.
fn unwaited(kernel: &Kernel, commits: u64) -> (Vec<Ticket>, Heard) {
    let (tell, heard) = channel();
    let tickets = (1..=commits).map(|number| {
        let ticket = write(kernel, number);
        let tell = tell.clone();
        kernel.when_durable(ticket, move |how| tell.send((number, how)).unwrap());
        ticket
    });
    (tickets.collect(), heard)
}

fn numbers(heard: &Heard) -> Vec<u64> {
    let each = heard.try_iter().map(|(number, how)| {
        how.unwrap();
        number
    });
    each.collect()
}

/// Nothing happens on this store but in calls.
fn quiet() -> (SimDisk, Kernel) {
    let disk = SimDisk::new(1);
    let kernel = open(&disk, &Arc::new(ManualClock::new(1))).unwrap();
    (disk, kernel)
}

#[test]
fn what_nobody_waited_for_is_neither_visible_nor_told_until_somebody_syncs_it() {
    let (_, kernel) = quiet();
    let before = kernel.newest();
    let (tickets, heard) = unwaited(&kernel, 3);
    assert_eq!(kernel.newest(), before);
    assert!(tickets.iter().all(|ticket| !kernel.is_durable(*ticket)));
    assert_eq!(kernel.snapshot().get(1, &1_u64.to_be_bytes()).unwrap(), None);
    assert_eq!(numbers(&heard), [0; 0]);
    kernel.wait(tickets[1]).unwrap();
    assert!(
        tickets.iter().all(|ticket| kernel.is_durable(*ticket)),
        "one sync is for all"
    );
    assert_eq!(numbers(&heard), [1, 2, 3], "in the order of commits");
    let (tell, late) = channel();
    kernel.when_durable(tickets[0], move |how| tell.send(how.is_ok()).unwrap());
    assert_eq!(late.try_recv(), Ok(true), "told at once");
    let ticket = write(&kernel, 4);
    kernel.wait_for_all().unwrap();
    assert!(kernel.is_durable(ticket));
}

#[test]
fn whoever_asks_is_told_of_a_sync_that_failed_and_of_a_store_that_was_closed() {
    let (disk, kernel) = quiet();
    let (_, heard) = unwaited(&kernel, 2);
    disk.inject(Fault::fail_sync(0));
    kernel.wait_for_all().unwrap_err();
    let fates: Vec<_> = heard.try_iter().collect();
    assert_eq!(fates.len(), 2);
    for (_, fate) in &fates {
        assert!(matches!(fate, Err(KernelError::Poisoned { .. })), "{fate:?}");
    }
    // Who asks later is told at once.
    let (tell, late) = channel();
    let newest = Ticket {
        ts: Ts(2),
        end: kernel.wal().end(),
    };
    kernel.when_durable(newest, move |how| tell.send(how).unwrap());
    assert!(matches!(
        late.try_recv().unwrap(),
        Err(KernelError::Poisoned { .. })
    ));

    let (_, kernel) = quiet();
    let (_, heard) = unwaited(&kernel, 1);
    drop(kernel);
    let fates: Vec<_> = heard.try_iter().collect();
    // Closing it syncs what there is.
    assert!(matches!(&fates[..], [(1, Ok(()))]), "{fates:?}");
}
