//! Requests for pages that nobody waits for, served in order of priority.
//!
//! Requests for one page are served in the order in which they were made, whatever their priorities: a read behind a
//! write returns what was written. The first of a page's requests takes the highest priority of those behind it, so
//! that an urgent one does not wait for as long as the others may. Among equals the older goes first.
//!
//! Whoever serves takes the most urgent request and, with it, those of the same kind for the neighbouring pages, and
//! makes one request to the disk of them. [`IoQueue::start`] lends threads to that; [`IoQueue::process`] lends the
//! caller's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::events::{IoEvent, IoListener};
use crate::error::{KernelError, Result};
use crate::ids::PageId;
use crate::page::PageBuf;
use crate::pool::PageIo;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, thread};

/// What is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum IoPriority {
    Low,
    #[default]
    Normal,
    High,
    Critical,
}

/// Bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoQueueOptions {
    /// Requests that wait or are being served; one more is refused.
    pub requests_max: usize,
    /// Neighbouring pages that are served together, from 1.
    pub batch_pages_max: usize,
}

impl Default for IoQueueOptions {
    fn default() -> Self {
        IoQueueOptions {
            requests_max: 4096,
            batch_pages_max: 64,
        }
    }
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueLength {
    pub reads: usize,
    pub writes: usize,
    /// Of them, requests that are being served.
    pub in_service: usize,
}

/// A request that was served.
#[derive(Debug, Clone)]
pub struct Served {
    pub request: u64,
    pub page: PageId,
    pub is_write: bool,
    pub outcome: Result<()>,
}

/// The outcome of a request, once there is one.
#[derive(Debug, Clone)]
pub struct Ticket(Arc<Outcome>);

#[derive(Debug, Default)]
struct Outcome {
    /// Of the request, in the order of the requests.
    number: u64,
    served: Mutex<Option<Result<PageBuf>>>,
    is_served: Condvar,
}

impl Ticket {
    /// Of the request, from 0 in the order in which requests were made.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// Blocks until the request was served: the page that was read, or that was written. Somebody must serve, see
    /// [`IoQueue::start`] and [`IoQueue::process`].
    pub fn wait(&self) -> Result<PageBuf> {
        let mut served = self.0.served.lock();
        loop {
            if let Some(outcome) = &*served {
                return outcome.clone();
            }
            self.0.is_served.wait(&mut served);
        }
    }

    /// The outcome, `None` while there is none.
    pub fn outcome(&self) -> Option<Result<PageBuf>> {
        self.0.served.lock().clone()
    }

    fn serve(&self, outcome: Result<PageBuf>) {
        *self.0.served.lock() = Some(outcome);
        self.0.is_served.notify_all();
    }
}

struct Request {
    number: u64,
    priority: IoPriority,
    /// What is to be written; `None` reads.
    write: Option<PageBuf>,
    ticket: Ticket,
}

/// The most urgent first, and of equals the oldest.
type Rank = (Reverse<IoPriority>, u64, PageId);

#[derive(Default)]
struct State {
    /// Requests that wait, by page, oldest first. Never empty.
    waiting: BTreeMap<PageId, VecDeque<Request>>,
    /// The first request of each page that is not in service.
    ready: BTreeSet<Rank>,
    in_service: BTreeSet<PageId>,
    /// Numbers of writes that have no outcome yet.
    writes: BTreeSet<u64>,
    /// Requests that have no outcome yet.
    unserved: usize,
    next_number: u64,
    is_closed: bool,
}

/// Requests and those who serve them. Dropping it serves what is queued, and waits for its threads.
pub struct IoQueue {
    shared: Arc<Shared>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

struct Shared {
    pages: Arc<dyn PageIo>,
    options: IoQueueOptions,
    state: Mutex<State>,
    /// Something is ready, or the queue is closed.
    work: Condvar,
    /// A batch is done.
    done: Condvar,
    listener: Arc<IoListener>,
}

impl IoQueue {
    /// A queue that nobody serves yet.
    pub fn new(pages: Arc<dyn PageIo>, options: IoQueueOptions) -> IoQueue {
        IoQueue::telling(pages, options, Arc::default())
    }

    /// One that tells `listener` how long it is.
    pub(crate) fn telling(
        pages: Arc<dyn PageIo>,
        options: IoQueueOptions,
        listener: Arc<IoListener>,
    ) -> IoQueue {
        assert!(
            options.batch_pages_max > 0,
            "a batch holds a page at least: {options:?}"
        );
        let shared = Shared {
            pages,
            options,
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            done: Condvar::new(),
            listener,
        };
        IoQueue {
            shared: Arc::new(shared),
            threads: Mutex::new(Vec::new()),
        }
    }

    /// Lends `threads` more threads to the queue, until it is dropped.
    pub fn start(&self, threads: usize) {
        let mut running = self.threads.lock();
        for _ in 0..threads {
            let shared = Arc::clone(&self.shared);
            running.push(thread::spawn(move || shared.serve_until_closed()));
        }
    }

    /// Queues a read. [`TooLarge`](KernelError::TooLarge) when the queue is full.
    pub fn read(&self, id: PageId, priority: IoPriority) -> Result<Ticket> {
        self.shared.submit(id, priority, None)
    }

    /// Queues a write. [`TooLarge`](KernelError::TooLarge) when the queue is full.
    pub fn write(&self, id: PageId, page: PageBuf, priority: IoPriority) -> Result<Ticket> {
        self.shared.submit(id, priority, Some(page))
    }

    /// Serves requests on the calling thread until `requests_max` were served or none is ready. Returns those that were, in
    /// the order in which they were.
    pub fn process(&self, requests_max: usize) -> Vec<Served> {
        self.shared.process(requests_max)
    }

    /// Returns once every write that was queued before the call has its outcome, serving on the calling thread too.
    pub fn flush_writes(&self) {
        let shared = &self.shared;
        let end = shared.state.lock().next_number;
        let mut state = shared.state.lock();
        while !state.has_no_write_before(end) {
            let batch = state.take_batch(shared.options.batch_pages_max);
            if batch.is_empty() {
                // What is left is being served by others, and is ready or has its outcome when they are done.
                shared.done.wait(&mut state);
                continue;
            }
            drop(state);
            shared.serve(batch);
            state = shared.state.lock();
        }
    }

    pub fn length(&self) -> QueueLength {
        let state = self.shared.state.lock();
        let waiting: usize = state.waiting.values().map(VecDeque::len).sum();
        QueueLength {
            reads: state.unserved - state.writes.len(),
            writes: state.writes.len(),
            in_service: state.unserved - waiting,
        }
    }
}

impl Drop for IoQueue {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.work.notify_all();
        self.shared.process(usize::MAX);
        for thread in self.threads.get_mut().drain(..) {
            // A thread that panicked has said so; its requests keep their tickets without an outcome.
            let _ = thread.join();
        }
    }
}

impl State {
    fn has_no_write_before(&self, end: u64) -> bool {
        self.writes.first().is_none_or(|first| *first >= end)
    }

    /// The first request of the page, and the rank that it has.
    fn rank(&self, id: PageId) -> Option<Rank> {
        let waiting = self.waiting.get(&id)?;
        let priority = waiting.iter().map(|request| request.priority).max()?;
        Some((Reverse(priority), waiting.front()?.number, id))
    }

    /// Takes the first request of the page, which is ready, into service.
    fn take(&mut self, id: PageId) -> Option<Request> {
        let rank = self.rank(id)?;
        self.ready.remove(&rank);
        let waiting = self.waiting.get_mut(&id)?;
        let request = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&id);
        }
        self.in_service.insert(id);
        Some(request)
    }

    /// Whether the page's first request is ready and of the kind.
    fn is_ready(&self, id: PageId, is_write: bool) -> bool {
        let first = self.waiting.get(&id).and_then(VecDeque::front);
        !self.in_service.contains(&id) && first.is_some_and(|request| request.write.is_some() == is_write)
    }

    /// Takes the most urgent request and its neighbours of the same kind, by ascending page.
    fn take_batch(&mut self, pages_max: usize) -> Vec<(PageId, Request)> {
        let Some(&(_, _, urgent)) = self.ready.first() else {
            return Vec::new();
        };
        let is_write = self.waiting[&urgent]
            .front()
            .is_some_and(|request| request.write.is_some());
        let (mut first, mut last, mut pages) = (urgent, urgent, 1);
        while let Some(next) =
            neighbour(last, 1).filter(|id| pages < pages_max && self.is_ready(*id, is_write))
        {
            (last, pages) = (next, pages + 1);
        }
        while let Some(next) =
            neighbour(first, -1).filter(|id| pages < pages_max && self.is_ready(*id, is_write))
        {
            (first, pages) = (next, pages + 1);
        }
        let ids = (0..pages as i64).filter_map(|distance| neighbour(first, distance));
        ids.filter_map(|id| Some((id, self.take(id)?))).collect()
    }
}

/// The page at a distance in the same tablespace.
fn neighbour(id: PageId, distance: i64) -> Option<PageId> {
    let number = i64::from(id.number()) + distance;
    Some(PageId::new(id.tablespace(), u32::try_from(number).ok()?))
}

impl Shared {
    fn submit(&self, id: PageId, priority: IoPriority, write: Option<PageBuf>) -> Result<Ticket> {
        let mut state = self.state.lock();
        if state.unserved >= self.options.requests_max {
            return Err(KernelError::TooLarge {
                what: "queue of requests for pages",
                size: state.unserved + 1,
                size_max: self.options.requests_max,
            });
        }
        if let (false, Some(rank)) = (state.in_service.contains(&id), state.rank(id)) {
            // Its rank may rise with the request that is added.
            state.ready.remove(&rank);
        }
        let number = state.next_number;
        state.next_number += 1;
        state.unserved += 1;
        if write.is_some() {
            state.writes.insert(number);
        }
        let ticket = Ticket(Arc::new(Outcome {
            number,
            ..Outcome::default()
        }));
        state.waiting.entry(id).or_default().push_back(Request {
            number,
            priority,
            write,
            ticket: ticket.clone(),
        });
        self.make_ready(&mut state, id);
        self.tell_depth(state);
        Ok(ticket)
    }

    /// Tells how many requests there are, and lets go of the state before.
    fn tell_depth(&self, state: MutexGuard<'_, State>) {
        let (reads, writes) = (state.unserved - state.writes.len(), state.writes.len());
        drop(state);
        self.listener.event(|| IoEvent::QueueDepth { reads, writes });
    }

    /// The page's first request may be served, unless another is in service.
    fn make_ready(&self, state: &mut State, id: PageId) {
        if let (false, Some(rank)) = (state.in_service.contains(&id), state.rank(id)) {
            state.ready.insert(rank);
            self.work.notify_one();
        }
    }

    fn serve_until_closed(&self) {
        loop {
            let mut state = self.state.lock();
            while state.ready.is_empty() && !state.is_closed {
                self.work.wait(&mut state);
            }
            if state.ready.is_empty() {
                return;
            }
            let batch = state.take_batch(self.options.batch_pages_max);
            drop(state);
            self.serve(batch);
        }
    }

    fn process(&self, requests_max: usize) -> Vec<Served> {
        let mut served = Vec::new();
        while served.len() < requests_max {
            let pages_max = self.options.batch_pages_max.min(requests_max - served.len());
            let batch = self.state.lock().take_batch(pages_max);
            if batch.is_empty() {
                break;
            }
            served.extend(self.serve(batch));
        }
        served
    }

    /// Serves requests of one kind for neighbouring pages.
    fn serve(&self, batch: Vec<(PageId, Request)>) -> Vec<Served> {
        let (mut pages, mut requests) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        let mut is_write = false;
        for (id, mut request) in batch {
            let page = request.write.take();
            is_write = page.is_some();
            requests.push(request);
            pages.push((id, page.unwrap_or_else(PageBuf::zeroed)));
        }
        let together = self.request(&mut pages, is_write);
        let are_alone = pages.len() == 1;
        let outcome = |mut page: (PageId, PageBuf)| {
            let served = match &together {
                // It was read, and what is wrong with it was counted.
                Err(KernelError::CorruptPage { page: corrupt, .. }) if *corrupt == page.0 => together.clone(),
                // One of the pages may be bad: the others are not to suffer.
                Err(_) if !are_alone => self.request(std::slice::from_mut(&mut page), is_write),
                together => together.clone(),
            };
            (page.0, served.map(|()| page.1))
        };
        let outcomes: Vec<_> = pages.into_iter().map(outcome).collect();
        let served = std::iter::zip(&requests, &outcomes).map(|(request, (page, outcome))| Served {
            request: request.number,
            page: *page,
            is_write,
            outcome: outcome.as_ref().map(drop).map_err(Clone::clone),
        });
        let served = served.collect();
        self.finish(requests, outcomes);
        served
    }

    fn request(&self, pages: &mut [(PageId, PageBuf)], is_write: bool) -> Result<()> {
        if is_write {
            self.pages.write_many(pages).map(drop)
        } else {
            self.pages.read_many(pages)
        }
    }

    fn finish(&self, requests: Vec<Request>, outcomes: Vec<(PageId, Result<PageBuf>)>) {
        let mut state = self.state.lock();
        for (request, (id, outcome)) in std::iter::zip(requests, outcomes) {
            state.unserved -= 1;
            state.writes.remove(&request.number);
            state.in_service.remove(&id);
            self.make_ready(&mut state, id);
            request.ticket.serve(outcome);
        }
        self.tell_depth(state);
        self.done.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ids::{Lsn, TablespaceId};
    use crate::page::header;

    /// Pages in memory, with every request in the order in which it came. Pages of `bad` fail.
    #[derive(Default)]
    struct Spy {
        pages: Mutex<BTreeMap<PageId, PageBuf>>,
        requests: Mutex<Vec<(char, Vec<u32>)>>,
        bad: BTreeSet<u32>,
    }

    impl Spy {
        fn note(&self, kind: char, pages: &[(PageId, PageBuf)]) -> Result<()> {
            let numbers: Vec<u32> = pages.iter().map(|(id, _)| id.number()).collect();
            let bad = numbers.iter().find(|number| self.bad.contains(number)).copied();
            self.requests.lock().push((kind, numbers));
            bad.map_or(Ok(()), |number| {
                Err(KernelError::Io {
                    what: format!("page {number}"),
                    reason: "it is bad".to_owned(),
                })
            })
        }

        fn take_requests(&self) -> Vec<(char, Vec<u32>)> {
            std::mem::take(&mut self.requests.lock())
        }
    }

    impl PageIo for Spy {
        fn read(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
            let mut pages = [(id, page.clone())];
            self.read_many(&mut pages)?;
            *page = pages[0].1.clone();
            Ok(())
        }

        fn read_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<()> {
            self.note('r', pages)?;
            let held = self.pages.lock();
            for (id, page) in pages {
                *page = held.get(id).cloned().unwrap_or_else(PageBuf::zeroed);
            }
            Ok(())
        }

        fn write_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<u64> {
            self.note('w', pages)?;
            self.pages.lock().extend(pages.iter().cloned());
            Ok(1)
        }
    }

    fn id(number: u32) -> PageId {
        PageId::new(TablespaceId::MAIN, number)
    }

    fn page(lsn: u64) -> PageBuf {
        let mut page = PageBuf::zeroed();
        header::set_lsn(&mut page[..], Lsn(lsn));
        page
    }

    fn lsn(ticket: &Ticket) -> u64 {
        header::lsn(&ticket.wait().unwrap()[..]).0
    }

    fn queue(spy: &Arc<Spy>) -> IoQueue {
        let options = IoQueueOptions {
            requests_max: 8,
            batch_pages_max: 3,
        };
        IoQueue::new(Arc::clone(spy) as Arc<dyn PageIo>, options)
    }

    #[test]
    fn the_most_urgent_goes_first_and_of_equals_the_oldest() {
        let spy = Arc::new(Spy::default());
        let queue = queue(&spy);
        for (number, priority) in [
            (10, IoPriority::Low),
            (20, IoPriority::Normal),
            (30, IoPriority::Critical),
            (40, IoPriority::Normal),
        ] {
            queue.read(id(number), priority).unwrap();
        }
        assert_eq!(queue.process(3).len(), 3);
        assert_eq!(
            queue.length(),
            QueueLength {
                reads: 1,
                writes: 0,
                in_service: 0
            }
        );
        assert_eq!(queue.process(100).len(), 1);
        assert_eq!(
            spy.take_requests(),
            [30, 20, 40, 10].map(|number| ('r', vec![number]))
        );
    }

    #[test]
    fn neighbours_of_a_kind_are_one_request_of_bounded_size() {
        let spy = Arc::new(Spy::default());
        let queue = queue(&spy);
        for number in [4, 2, 3, 0, 5] {
            queue.write(id(number), page(1), IoPriority::Low).unwrap();
        }
        queue.read(id(1), IoPriority::Low).unwrap();
        queue
            .read(PageId::new(TablespaceId(1), 0), IoPriority::Low)
            .unwrap();
        assert_eq!(queue.process(usize::MAX).len(), 7);
        let expected = [
            ('w', vec![3, 4, 5]),
            ('w', vec![2]),
            ('w', vec![0]),
            ('r', vec![1]),
            ('r', vec![0]),
        ];
        assert_eq!(spy.take_requests(), expected);
    }

    #[test]
    fn requests_for_one_page_keep_their_order_and_lend_each_other_urgency() {
        let spy = Arc::new(Spy::default());
        let queue = queue(&spy);
        let other = queue.read(id(7), IoPriority::High).unwrap();
        let first = queue.write(id(3), page(1), IoPriority::Low).unwrap();
        let second = queue.write(id(3), page(2), IoPriority::Low).unwrap();
        let read = queue.read(id(3), IoPriority::Critical).unwrap();
        let third = queue.write(id(3), page(3), IoPriority::Low).unwrap();
        assert!(read.outcome().is_none());
        queue.process(3);
        assert_eq!((lsn(&first), lsn(&second), lsn(&read)), (1, 2, 2));
        assert!(other.outcome().is_none() && third.outcome().is_none());
        queue.process(1);
        assert!(other.outcome().is_some() && third.outcome().is_none());
    }

    #[test]
    fn a_full_queue_refuses_until_something_was_served() {
        let spy = Arc::new(Spy::default());
        let queue = queue(&spy);
        for number in 0..8 {
            queue.read(id(number), IoPriority::Normal).unwrap();
        }
        let refused = queue.write(id(9), page(1), IoPriority::Critical).unwrap_err();
        assert!(
            matches!(
                refused,
                KernelError::TooLarge {
                    size: 9,
                    size_max: 8,
                    ..
                }
            ),
            "{refused}"
        );
        queue.process(1);
        queue.write(id(9), page(1), IoPriority::Critical).unwrap();
    }

    #[test]
    fn a_bad_page_fails_alone() {
        let spy = Arc::new(Spy {
            bad: [5].into(),
            ..Spy::default()
        });
        let queue = queue(&spy);
        for is_write in [false, true] {
            let submit = |number| match is_write {
                true => queue.write(id(number), page(1), IoPriority::Low).unwrap(),
                false => queue.read(id(number), IoPriority::Low).unwrap(),
            };
            let tickets = [4, 5, 6].map(submit);
            queue.process(3);
            assert_eq!(tickets.map(|ticket| ticket.wait().is_ok()), [true, false, true]);
        }
        assert_eq!(queue.length(), QueueLength::default());
    }

    #[test]
    fn a_flush_returns_when_the_writes_before_it_are_served() {
        let spy = Arc::new(Spy::default());
        let queue = queue(&spy);
        let writes = [1, 2, 9].map(|number| queue.write(id(number), page(1), IoPriority::Normal).unwrap());
        let read = queue.read(id(20), IoPriority::Low).unwrap();
        queue.flush_writes();
        assert!(writes.iter().all(|ticket| ticket.outcome().is_some()) && read.outcome().is_none());
        assert_eq!(spy.take_requests(), [('w', vec![1, 2]), ('w', vec![9])]);
        queue.flush_writes();
        assert!(spy.take_requests().is_empty());
    }

    /// Serves nothing until it is let go, and says when it was asked.
    struct Held {
        spy: Arc<Spy>,
        /// Requests that were made, and whether they may go on.
        state: Mutex<(usize, bool)>,
        changed: Condvar,
    }

    impl Held {
        fn wait_until(&self, holds: impl Fn(&(usize, bool)) -> bool) {
            let mut state = self.state.lock();
            while !holds(&state) {
                self.changed.wait(&mut state);
            }
        }

        fn change(&self, change: impl FnOnce(&mut (usize, bool))) {
            change(&mut self.state.lock());
            self.changed.notify_all();
        }
    }

    impl PageIo for Held {
        fn read(&self, id: PageId, page: &mut PageBuf) -> Result<()> {
            self.spy.read(id, page)
        }

        fn read_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<()> {
            self.spy.read_many(pages)
        }

        fn write_many(&self, pages: &mut [(PageId, PageBuf)]) -> Result<u64> {
            self.change(|state| state.0 += 1);
            self.wait_until(|state| state.1);
            self.spy.write_many(pages)
        }
    }

    #[test]
    fn a_page_in_service_is_not_served_twice_at_once() {
        let spy = Arc::new(Spy::default());
        let held = Held {
            spy: Arc::clone(&spy),
            state: Mutex::new((0, false)),
            changed: Condvar::new(),
        };
        let held = Arc::new(held);
        let queue = IoQueue::new(Arc::clone(&held) as Arc<dyn PageIo>, IoQueueOptions::default());
        queue.write(id(3), page(1), IoPriority::Low).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| queue.process(1));
            held.wait_until(|state| state.0 == 1);
            queue.read(id(4), IoPriority::Low).unwrap();
            let read = queue.read(id(3), IoPriority::Critical).unwrap();
            assert_eq!(queue.process(100).len(), 1);
            assert_eq!(spy.take_requests(), [('r', vec![4])]);
            assert_eq!(
                queue.length(),
                QueueLength {
                    reads: 1,
                    writes: 1,
                    in_service: 1
                }
            );
            assert!(read.outcome().is_none());
            held.change(|state| state.1 = true);
            queue.flush_writes();
        });
        queue.process(1);
        assert_eq!(spy.take_requests(), [('w', vec![3]), ('r', vec![3])]);
    }

    #[test]
    fn dropping_a_queue_serves_what_is_queued() {
        let spy = Arc::new(Spy::default());
        let alone = queue(&spy);
        let ticket = alone.write(id(1), page(5), IoPriority::Low).unwrap();
        drop(alone);
        assert_eq!(lsn(&ticket), 5);
        let served = queue(&spy);
        served.start(2);
        let ticket = served.read(id(1), IoPriority::Low).unwrap();
        drop(served);
        assert_eq!(lsn(&ticket), 5);
    }

    /// Threads write ever higher numbers to pages of their own and read them back; neighbours are joined meanwhile.
    #[test]
    fn threads_read_what_they_queued_before() {
        let spy = Arc::new(Spy::default());
        let options = IoQueueOptions {
            requests_max: 1000,
            batch_pages_max: 8,
        };
        let queue = IoQueue::new(Arc::clone(&spy) as Arc<dyn PageIo>, options);
        queue.start(2);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let queue = &queue;
                scope.spawn(move || {
                    let rng = rustydb_runtime::SeededRng::new(u64::from(thread));
                    for round in 1..300 {
                        let number = id(thread + 4 * rng.below(5) as u32);
                        let priority = [IoPriority::Low, IoPriority::High][rng.below(2) as usize];
                        queue.write(number, page(round), priority).unwrap();
                        let read = queue.read(number, IoPriority::Normal).unwrap();
                        if rng.below(4) == 0 {
                            queue.flush_writes();
                        }
                        assert_eq!(lsn(&read), round, "thread {thread} seeds with its number");
                    }
                });
            }
        });
        assert_eq!(queue.length(), QueueLength::default());
    }
}
