//! The reactor: slots, deadlines and completions over one kernel.

use crate::channel::Remote;
use crate::descriptor::{Chunk, DescriptorKey, Descriptors, Kind};
use crate::executor::{TaskId, Tasks};
use crate::file::FileAnswer;
use crate::kernel::{Completion, Descriptor, Group, Kernel, Operation, Token, Wait, WakeTarget};
use crate::memory::{Gather, Part};
use crate::slot::{Owner, Payload, Slot, Slots};
use crate::time::Instant;
use crate::timer::{TimerKey, Timers};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Tasks that run between two visits to the kernel.
const TASKS_PER_TURN: usize = 256;

/// Gathers kept for reuse, of some hundred bytes each.
const GATHERS_KEPT: usize = 64;

/// Which kernel to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The ring where it works, else epoll, and say why.
    #[default]
    Auto,
    /// io_uring or an error.
    Ring,
    /// epoll.
    Poll,
}

/// How a reactor is built.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which kernel.
    pub backend: Backend,
    /// Receive buffers for accepted sockets: a power of two, at most 32,768.
    pub inbound_buffers: u16,
    /// Receive buffers for connected sockets: a power of two, at most 32,768.
    pub outbound_buffers: u16,
    /// Bytes of one inbound buffer. 16 KiB takes a 4 KiB message with its dialogue in one piece.
    pub inbound_buffer_bytes: usize,
    /// Bytes of one outbound buffer: replies are short.
    pub outbound_buffer_bytes: usize,
    /// Threads for file calls that block (and, with epoll, for reads and writes), per reactor.
    pub file_threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            inbound_buffers: 256,
            outbound_buffers: 256,
            inbound_buffer_bytes: 16 * 1024,
            outbound_buffer_bytes: 4 * 1024,
            file_threads: 4,
        }
    }
}

/// What a reactor has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Turns of the loop.
    pub turns: u64,
    /// Completions seen.
    pub completions: u64,
    /// CPU time of its thread, in user code and in the kernel.
    pub busy: Duration,
}

/// A single-threaded executor over one kernel; cloning gives another handle to the same one.
///
/// - *in*: [`spawn`](Self::spawn), [`run`](Self::run), [`turn`](Self::turn)
/// - *time*: [`now`](Self::now), [`wall_clock`](Self::wall_clock), [`sleep`](Self::sleep)
/// - *chance*: [`entropy`](Self::entropy)
/// - *network*: [`listen`](Self::listen), [`connect`](Self::connect) (in `stream.rs`)
/// - *files*: [`open`](Self::open) and its neighbours (in `file.rs`)
#[derive(Clone)]
pub struct Reactor {
    core: Rc<Core>,
}

/// What is done when a timer expires.
#[derive(Clone, Copy)]
pub(crate) enum Expiry {
    /// Cancel this operation.
    Operation(Token),
    /// Let this task look at the clock.
    Task(TaskId),
}

pub(crate) struct Core {
    kernel: RefCell<Box<dyn Kernel>>,
    slots: RefCell<Slots>,
    descriptors: RefCell<Descriptors>,
    timers: RefCell<Timers<Expiry>>,
    /// Sockets whose receive found no buffer, in order, by group.
    starved: RefCell<[VecDeque<DescriptorKey>; 2]>,
    /// Closes that have not completed.
    closing: Cell<usize>,
    /// Receive buffers that are not with the kernel, by group.
    lent: Cell<[u32; 2]>,
    tasks: Tasks,
    remote: Arc<Remote>,
    /// Memory of sends and writes that have landed.
    #[expect(clippy::vec_box, reason = "the kernel is told their addresses")]
    gathers: RefCell<Vec<Box<Gather>>>,
    /// Empty between visits to the kernel; kept for its capacity.
    completions: Cell<Vec<Completion>>,
    now: Cell<Instant>,
    counters: Cell<Counters>,
    /// What the thread had used when the reactor was made.
    thread_time_before: Duration,
}

thread_local! {
    /// The reactor that turns on this thread, so that its ring can send messages to others.
    static TURNING: RefCell<Weak<Core>> = const { RefCell::new(Weak::new()) };
}

/// Sounds the alarm of another thread's kernel, by this thread's ring if it has one.
pub(crate) fn wake_from_here(target: &WakeTarget) {
    let by_kernel = TURNING.with_borrow(|turning| {
        let core = turning.upgrade()?;
        let mut kernel = core.kernel.try_borrow_mut().ok()?;
        Some(kernel.wake(target))
    });
    if by_kernel != Some(true) {
        target.sound();
    }
}

impl Reactor {
    /// A reactor over `kernel`, to be turned on this thread.
    pub(crate) fn over(kernel: Box<dyn Kernel>) -> Self {
        let remote = Remote::new(kernel.wake_target());
        let now = Cell::new(kernel.now());
        let thread_time_before = kernel.thread_time();
        let core = Core {
            kernel: RefCell::new(kernel),
            slots: RefCell::new(Slots::new()),
            descriptors: RefCell::new(Descriptors::new()),
            timers: RefCell::new(Timers::new()),
            starved: RefCell::default(),
            closing: Cell::default(),
            lent: Cell::default(),
            tasks: Tasks::new(),
            remote,
            gathers: RefCell::default(),
            completions: Cell::default(),
            now,
            counters: Cell::default(),
            thread_time_before,
        };
        Self { core: Rc::new(core) }
    }

    /// Adds a task. It runs at a later turn, never inline.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.core.tasks.spawn(Box::pin(task), &self.core.remote);
    }

    /// Turns until `main` has ended, and gives its result. Other tasks stay as they are.
    pub fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let place = Rc::clone(&result);
        self.spawn(async move {
            let value = main.await;
            *place.borrow_mut() = Some(value);
        });
        loop {
            self.core.run_tasks();
            let value = result.borrow_mut().take();
            // With a result there may be nothing left to wait for, but closes and messages to
            // other rings are still to be handed over.
            self.core.visit(value.is_none());
            if let Some(value) = value {
                return value;
            }
        }
    }

    /// Runs ready tasks, visits the kernel once, and takes in what has completed. With `may_wait`
    /// and nothing to run it waits for a completion, a timer or another thread. Returns whether
    /// some task can run now.
    pub fn turn(&self, may_wait: bool) -> bool {
        self.core.run_tasks();
        self.core.visit(may_wait);
        self.core.tasks.any_ready()
    }

    /// Whether some task can run: what a simulated world asks before it moves the clock.
    pub(crate) fn can_run(&self) -> bool {
        self.core.tasks.any_ready() || self.core.remote.any()
    }

    /// When the next timer is due: what a simulated clock may skip to.
    pub fn next_timer(&self) -> Option<Instant> {
        self.core.timers.borrow().next()
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.core.tasks.len()
    }

    /// Descriptors that are open or being closed.
    pub fn descriptors(&self) -> usize {
        self.core.descriptors.borrow().len() + self.core.closing.get()
    }

    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        let busy = self.core.kernel.borrow().thread_time() - self.core.thread_time_before;
        Counters { busy, ..self.core.counters.get() }
    }

    /// `ring`, `poll` or `sim`.
    pub fn kernel_name(&self) -> &'static str {
        self.core.kernel.borrow().name()
    }

    /// Monotonic time, as of this turn.
    pub fn now(&self) -> Instant {
        self.core.now()
    }

    /// Wall-clock time since 1970.
    pub fn wall_clock(&self) -> Duration {
        self.core.kernel.borrow().wall_clock()
    }

    /// 64 random bits.
    pub fn entropy(&self) -> u64 {
        let mut bytes = [0; 8];
        self.core.kernel.borrow_mut().entropy(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Waits until `at`.
    pub async fn sleep(&self, at: Instant) {
        crate::signal::Signal::new(self).wait(at).await;
    }

    /// Lets the other ready tasks run first.
    pub async fn yield_now(&self) {
        let mut yielded = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            self.core.tasks.wake(self.core.current_task());
            Poll::Pending
        })
        .await;
    }

    /// Drops all tasks and waits until the kernel has let go of all memory. Streams, listeners and
    /// files that live outside of tasks must have been dropped before. Without this call the tasks
    /// keep the reactor alive for ever.
    pub fn shut_down(&self) {
        self.core.shut_down();
    }

    pub(crate) fn core(&self) -> Rc<Core> {
        Rc::clone(&self.core)
    }

    pub(crate) fn remote(&self) -> Arc<Remote> {
        Arc::clone(&self.core.remote)
    }

    pub(crate) fn current_task(&self) -> TaskId {
        self.core.current_task()
    }
}

impl Core {
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(crate) fn current_task(&self) -> TaskId {
        self.tasks.current()
    }

    pub(crate) fn wake(&self, task: TaskId) {
        self.tasks.wake(task);
    }

    pub(crate) fn set_timer(&self, at: Instant, expiry: Expiry) -> TimerKey {
        self.timers.borrow_mut().insert(at, expiry)
    }

    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        self.timers.borrow_mut().cancel(key);
    }

    /// Calls the kernel for something that neither waits nor completes.
    pub(crate) fn with_kernel<T>(&self, call: impl FnOnce(&mut dyn Kernel) -> T) -> T {
        call(&mut **self.kernel.borrow_mut())
    }

    /// Works on a descriptor's state; `None` when it is gone.
    pub(crate) fn with_descriptors<T>(&self, work: impl FnOnce(&mut Descriptors) -> T) -> T {
        work(&mut self.descriptors.borrow_mut())
    }

    /// The first half of a turn: runs ready tasks, a bounded number of them.
    fn run_tasks(self: &Rc<Self>) {
        self.now.set(self.kernel.borrow().now());
        self.collect_woken();
        let outside = TURNING.replace(Rc::downgrade(self));
        for _ in 0..TASKS_PER_TURN {
            if !self.tasks.run_next() {
                break;
            }
        }
        // Outside of tasks nobody promises that this kernel is entered soon.
        TURNING.set(outside);
    }

    /// The second half: one visit to the kernel.
    fn visit(&self, may_wait: bool) {
        let wait = self.choose_wait(may_wait);
        let mut completions = self.completions.take();
        self.kernel.borrow_mut().enter(wait, &mut completions);
        self.remote.wake_up();
        let now = self.kernel.borrow().now();
        self.now.set(now);
        let mut counters = self.counters.get();
        counters.turns += 1;
        counters.completions += completions.len() as u64;
        self.counters.set(counters);
        for completion in completions.drain(..) {
            self.complete(completion);
        }
        self.completions.set(completions);
        self.expire_timers(now);
        self.collect_woken();
    }

    fn choose_wait(&self, may_wait: bool) -> Wait {
        if !may_wait || self.tasks.any_ready() || !self.remote.fall_asleep() {
            return Wait::No;
        }
        Wait::Until(self.timers.borrow().next().unwrap_or(Instant::NEVER))
    }

    fn collect_woken(&self) {
        if !self.remote.any() {
            return;
        }
        let mut woken = Vec::new();
        self.remote.collect(&mut woken);
        for task in woken {
            self.tasks.wake(task);
        }
    }

    fn expire_timers(&self, now: Instant) {
        loop {
            let expired = self.timers.borrow_mut().expire(now);
            match expired {
                None => return,
                Some(Expiry::Task(task)) => self.tasks.wake(task),
                Some(Expiry::Operation(token)) => {
                    let due = self.slots.borrow_mut().get(token).is_some_and(|slot| {
                        slot.timer = None;
                        slot.timed_out = true;
                        !matches!(slot.owner, Owner::Done { .. })
                    });
                    if due {
                        self.cancel(token);
                    }
                }
            }
        }
    }

    /// Submits an operation whose completions go to `owner`.
    pub(crate) fn start(
        &self,
        owner: Owner,
        descriptor: Option<DescriptorKey>,
        payload: Payload,
        operation: impl FnOnce(&mut Payload) -> Operation,
    ) -> Token {
        if let Some(key) = descriptor {
            let mut descriptors = self.descriptors.borrow_mut();
            let entry = descriptors.get(key).expect("an operation needs an open descriptor");
            entry.in_flight += 1;
        }
        let mut slots = self.slots.borrow_mut();
        let token = slots.insert(owner, descriptor, payload);
        let slot = slots.get(token).expect("just inserted");
        let operation = operation(&mut slot.payload);
        drop(slots);
        self.kernel.borrow_mut().submit(token, operation);
        token
    }

    /// Submits a one-shot operation for the running task; ends by `by`.
    pub(crate) fn ask(
        self: &Rc<Self>,
        descriptor: Option<DescriptorKey>,
        by: Instant,
        payload: Payload,
        operation: impl FnOnce(&mut Payload) -> Operation,
    ) -> Pending {
        let owner = Owner::Task(self.current_task());
        let token = self.start(owner, descriptor, payload, operation);
        if by != Instant::NEVER {
            let timer = self.set_timer(by, Expiry::Operation(token));
            self.slots.borrow_mut().get(token).expect("just started").timer = Some(timer);
        }
        Pending { core: Rc::clone(self), token, cancels: true }
    }

    /// As [`ask`](Self::ask), but nothing ends it early: dropping the future lets it go on.
    pub(crate) fn ask_for_good(
        self: &Rc<Self>,
        descriptor: Option<DescriptorKey>,
        payload: Payload,
        operation: impl FnOnce(&mut Payload) -> Operation,
    ) -> Pending {
        let mut pending = self.ask(descriptor, Instant::NEVER, payload, operation);
        pending.cancels = false;
        pending
    }

    /// Vectors of `parts` from byte `skip` on, in recycled memory if there is some.
    pub(crate) fn gather(&self, parts: Vec<Part>, skip: usize) -> Box<Gather> {
        let mut gather = self.gathers.borrow_mut().pop().unwrap_or_default();
        gather.fill(parts, skip);
        gather
    }

    /// Takes the parts back, and keeps the memory for the next call.
    pub(crate) fn ungather(&self, mut gather: Box<Gather>) -> Vec<Part> {
        let parts = gather.empty();
        let mut gathers = self.gathers.borrow_mut();
        if gathers.len() < GATHERS_KEPT {
            gathers.push(gather);
        }
        parts
    }

    /// Asks for the cancellation of `target`.
    pub(crate) fn cancel(&self, target: Token) {
        self.start(Owner::Nobody, None, Payload::Nothing, |_| Operation::Cancel { target });
    }

    /// Takes one completion in.
    fn complete(&self, completion: Completion) {
        let token = completion.token;
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get(token) else { return };
        let descriptor = slot.descriptor;
        let last = !completion.more;
        match slot.owner {
            Owner::Task(task) => {
                if !last {
                    return;
                }
                slot.owner = Owner::Done { result: completion.result, answer: completion.answer };
                if let Some(timer) = slot.timer.take() {
                    self.timers.borrow_mut().cancel(timer);
                }
                slots.landed();
                drop(slots);
                self.tasks.wake(task);
            }
            Owner::Nobody => {
                if last {
                    slots.remove(token);
                    slots.landed();
                }
                drop(slots);
                self.discard(&completion);
            }
            Owner::Closer => {
                slots.remove(token);
                slots.landed();
                self.closing.set(self.closing.get() - 1);
            }
            Owner::Receiver | Owner::Acceptor => {
                let receives = matches!(slot.owner, Owner::Receiver);
                if last {
                    slots.remove(token);
                    slots.landed();
                }
                drop(slots);
                let key = descriptor.expect("a multishot operation belongs to a descriptor");
                if receives {
                    crate::stream::received(self, key, &completion);
                } else {
                    crate::stream::accepted(self, key, &completion);
                }
            }
            Owner::Done { .. } => panic!("the kernel completed an operation twice"),
        }
        if let (true, Some(key)) = (last, descriptor) {
            self.release_descriptor(key);
        }
    }

    /// Gives back what a completion brought for a future that is gone.
    fn discard(&self, completion: &Completion) {
        if let Some(FileAnswer::Opened(descriptor)) = completion.answer.as_deref() {
            self.close_raw(*descriptor);
        }
    }

    /// Closes a descriptor that has no entry.
    pub(crate) fn close_raw(&self, descriptor: Descriptor) {
        let close = |_: &mut Payload| Operation::Close { descriptor };
        self.start(Owner::Closer, None, Payload::Nothing, close);
        self.closing.set(self.closing.get() + 1);
    }

    /// One operation less on a descriptor.
    fn release_descriptor(&self, key: DescriptorKey) {
        let mut descriptors = self.descriptors.borrow_mut();
        let entry = descriptors.get(key).expect("an entry outlives its operations");
        entry.in_flight -= 1;
        self.close_if_idle(descriptors, key);
    }

    /// Closes a descriptor for its owner: at once, or after its last operation.
    pub(crate) fn close(&self, key: DescriptorKey) {
        let mut descriptors = self.descriptors.borrow_mut();
        let Some(entry) = descriptors.get(key) else { return };
        entry.closing = true;
        let mut armed = None;
        let mut buffers = Vec::new();
        let mut arrived = VecDeque::new();
        let mut group = Group::Inbound;
        match &mut entry.kind {
            Kind::File => {}
            Kind::Socket(inbox) => {
                armed = inbox.armed.filter(|_| !std::mem::replace(&mut inbox.stopping, true));
                buffers.extend(inbox.chunks.drain(..).filter_map(|chunk| match chunk {
                    Chunk::Lent { buffer, .. } => Some(buffer),
                    Chunk::Copied(_) => None,
                }));
                group = inbox.group;
            }
            Kind::Listener(door) => {
                armed = door.armed;
                arrived = std::mem::take(&mut door.arrived);
            }
        }
        self.close_if_idle(descriptors, key);
        if let Some(token) = armed {
            self.cancel(token);
        }
        for buffer in buffers {
            self.release_buffer(group, buffer);
        }
        for descriptor in arrived {
            self.close_raw(descriptor);
        }
    }

    fn close_if_idle(
        &self,
        mut descriptors: std::cell::RefMut<'_, Descriptors>,
        key: DescriptorKey,
    ) {
        if descriptors.get(key).is_some_and(|entry| entry.closing && entry.in_flight == 0) {
            let entry = descriptors.remove(key).expect("just seen");
            drop(descriptors);
            self.close_raw(entry.descriptor);
        }
    }

    /// Gives a receive buffer back, and lets the socket that has waited longest have it.
    pub(crate) fn release_buffer(&self, group: Group, buffer: u16) {
        self.kernel.borrow_mut().release(group, buffer);
        self.count_lent(group, -1);
        self.feed_next(group);
    }

    /// A buffer is free: the first in line that still wants one tries again. A socket in line has
    /// something to receive, so it takes the buffer, or passes its turn on when its receive ends.
    pub(crate) fn feed_next(&self, group: Group) {
        loop {
            let next = self.starved.borrow_mut()[group as usize].pop_front();
            let Some(key) = next else { return };
            if crate::stream::feed(self, key) {
                return;
            }
        }
    }

    /// Notes that the kernel has handed a receive buffer out.
    pub(crate) fn borrow_buffer(&self, group: Group) {
        self.count_lent(group, 1);
    }

    fn count_lent(&self, group: Group, change: i32) {
        let mut lent = self.lent.get();
        let count = &mut lent[group as usize];
        *count = count.checked_add_signed(change).expect("a buffer was released twice");
        self.lent.set(lent);
    }

    /// Puts a socket at the end of the line for receive buffers, unless one has come back since the
    /// kernel had none: nobody would be left to feed it, if none was to come back any more.
    pub(crate) fn line_up(&self, group: Group, key: DescriptorKey) {
        let lent = self.lent.get()[group as usize];
        if lent < self.kernel.borrow().buffer_count(group) {
            crate::stream::feed(self, key);
        } else {
            self.starved.borrow_mut()[group as usize].push_back(key);
        }
    }

    fn shut_down(self: &Rc<Self>) {
        self.tasks.clear();
        while self.slots.borrow().in_flight() > 0 && !self.kernel.borrow().is_dead() {
            self.run_tasks();
            self.visit(true);
        }
    }
}

/// What an operation came to.
pub(crate) struct Landed {
    /// Not negative, or why not; a cancellation by the deadline is `TimedOut`.
    pub(crate) result: io::Result<i32>,
    /// The memory, back from the kernel.
    pub(crate) payload: Payload,
    /// The answer of a call.
    pub(crate) answer: Option<Box<FileAnswer>>,
}

/// A one-shot operation in flight. Dropping it detaches it: the operation is cancelled, if it may
/// be, and its memory and descriptor live until it has completed.
pub(crate) struct Pending {
    core: Rc<Core>,
    token: Token,
    /// Whether dropping it asks for a cancellation.
    cancels: bool,
}

impl Future for Pending {
    type Output = Landed;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Landed> {
        let mut slots = self.core.slots.borrow_mut();
        let slot = slots.get(self.token).expect("polled after its end");
        if let Owner::Task(task) = &mut slot.owner {
            *task = self.core.current_task();
            return Poll::Pending;
        }
        let slot = slots.remove(self.token).expect("just seen");
        Poll::Ready(land(slot))
    }
}

fn land(slot: Slot) -> Landed {
    let Owner::Done { result, answer } = slot.owner else {
        panic!("an operation landed before it was done")
    };
    let result = match result {
        result if result >= 0 => Ok(result),
        error if error == -libc::ECANCELED && slot.timed_out => {
            Err(io::Error::from(io::ErrorKind::TimedOut))
        }
        error => Err(io::Error::from_raw_os_error(-error)),
    };
    Landed { result, payload: slot.payload, answer }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut slots = self.core.slots.borrow_mut();
        let Some(slot) = slots.get(self.token) else { return };
        if let Some(timer) = slot.timer.take() {
            self.core.cancel_timer(timer);
        }
        if let Owner::Done { .. } = slot.owner {
            let slot = slots.remove(self.token).expect("just seen");
            drop(slots);
            if let Owner::Done { answer: Some(answer), .. } = slot.owner
                && let FileAnswer::Opened(descriptor) = *answer
            {
                self.core.close_raw(descriptor);
            }
            return;
        }
        slot.owner = Owner::Nobody;
        drop(slots);
        if self.cancels {
            self.core.cancel(self.token);
        }
    }
}
