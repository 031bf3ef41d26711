//! Tasks and the one queue that they run from.

use crate::channel::Remote;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Names a task: index in the low 32 bits, generation in the high ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskId(pub(crate) u64);

type Body = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    generation: u32,
    /// Taken out while it runs.
    body: Option<Body>,
    queued: bool,
    waker: Waker,
}

/// The tasks of one reactor.
pub(crate) struct Tasks {
    tasks: RefCell<slab::Slab<Task>>,
    ready: RefCell<VecDeque<TaskId>>,
    current: Cell<Option<TaskId>>,
    generation: Cell<u32>,
}

/// What a foreign future sees; ours name their task directly.
struct ForeignWaker {
    task: TaskId,
    remote: Arc<Remote>,
}

impl Wake for ForeignWaker {
    fn wake(self: Arc<Self>) {
        self.remote.wake(self.task);
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            tasks: RefCell::new(slab::Slab::new()),
            ready: RefCell::new(VecDeque::new()),
            current: Cell::new(None),
            generation: Cell::new(0),
        }
    }

    /// Adds a task, ready to run.
    pub(crate) fn spawn(&self, body: Body, remote: &Arc<Remote>) -> TaskId {
        let generation = self.generation.get();
        self.generation.set(generation.wrapping_add(1));
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let id = TaskId(u64::from(generation) << 32 | entry.key() as u64);
        let waker = Waker::from(Arc::new(ForeignWaker { task: id, remote: Arc::clone(remote) }));
        entry.insert(Task { generation, body: Some(body), queued: true, waker });
        self.ready.borrow_mut().push_back(id);
        id
    }

    /// Makes a task ready; one that is gone or ready already is left as it is.
    pub(crate) fn wake(&self, id: TaskId) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(id.0 as u32 as usize) else { return };
        if task.generation == generation(id) && !task.queued {
            task.queued = true;
            self.ready.borrow_mut().push_back(id);
        }
    }

    /// Whether some task can run.
    pub(crate) fn any_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// The task that runs now. Panics outside a task: our futures only work inside one.
    pub(crate) fn current(&self) -> TaskId {
        self.current.get().expect("a reactor's future was polled outside its tasks")
    }

    /// Runs the next ready task; `false` when there is none.
    pub(crate) fn run_next(&self) -> bool {
        let Some(id) = self.ready.borrow_mut().pop_front() else { return false };
        let index = id.0 as u32 as usize;
        let (mut body, waker) = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(index) else { return true };
            if task.generation != generation(id) {
                return true;
            }
            task.queued = false;
            (task.body.take().expect("a task runs once at a time"), task.waker.clone())
        };
        self.current.set(Some(id));
        let polled = body.as_mut().poll(&mut Context::from_waker(&waker));
        self.current.set(None);
        match polled {
            Poll::Pending => {
                let mut tasks = self.tasks.borrow_mut();
                match tasks.get_mut(index).filter(|task| task.generation == generation(id)) {
                    Some(task) => task.body = Some(body),
                    // All tasks were cleared by this one.
                    None => {
                        drop(tasks);
                        drop(body);
                    }
                }
            }
            Poll::Ready(()) => {
                // The entry goes first: dropping the body may spawn or wake.
                let mut tasks = self.tasks.borrow_mut();
                if tasks.get(index).is_some_and(|task| task.generation == generation(id)) {
                    tasks.remove(index);
                }
                drop(tasks);
                drop(body);
            }
        }
        true
    }

    /// Drops all tasks, in the order of their slots.
    pub(crate) fn clear(&self) {
        loop {
            let first = self.tasks.borrow().iter().map(|(index, _)| index).next();
            let Some(index) = first else { break };
            let task = self.tasks.borrow_mut().remove(index);
            drop(task);
        }
        self.ready.borrow_mut().clear();
    }
}

fn generation(id: TaskId) -> u32 {
    (id.0 >> 32) as u32
}
