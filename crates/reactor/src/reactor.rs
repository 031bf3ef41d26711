//! The reactor: slots, deadlines and completions over one kernel.

mod closing;
mod operations;

use crate::channel::Remote;
use crate::descriptor::{DescriptorKey, Descriptors};
use crate::executor::{TaskId, Tasks};
use crate::kernel::{Completion, Kernel, Token, Wait, WakeTarget};
use crate::memory::Gather;
use crate::slot::{Owner, Slots};
use crate::time::Instant;
use crate::timer::{TimerKey, Timers};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
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

    fn shut_down(self: &Rc<Self>) {
        self.tasks.clear();
        while self.slots.borrow().in_flight() > 0 && !self.kernel.borrow().is_dead() {
            self.run_tasks();
            self.visit(true);
        }
    }
}
