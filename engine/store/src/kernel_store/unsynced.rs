//! Commits of the kernel that were answered before they are durable.

use std::sync::Arc;

use rustydb_kernel::kernel::{Kernel, Ticket};

use super::errors::failed;
use crate::error::StoreError;
use crate::seam::{CommitSeq, CommitTicket, OnDurable, Unsynced};

struct Made {
    kernel: Arc<Kernel>,
    ticket: Ticket,
}

pub(super) fn ticket(kernel: &Arc<Kernel>, ticket: Ticket) -> CommitTicket {
    let made = Made {
        kernel: Arc::clone(kernel),
        ticket,
    };
    CommitTicket::unsynced(CommitSeq(ticket.ts.0), Box::new(made))
}

impl Unsynced for Made {
    fn is_durable(&self) -> bool {
        self.kernel.is_durable(self.ticket)
    }

    fn wait(&self) -> Result<(), StoreError> {
        self.kernel.wait(self.ticket).map_err(failed)
    }

    fn on_durable(&self, told: OnDurable) {
        self.kernel
            .when_durable(self.ticket, |how| told(how.map_err(failed)));
    }
}
