//! Threads for file calls that block.
//!
//! Both kernels use them: the ring for the calls that it has no operation for, epoll for every
//! read, write and sync. Jobs come over one channel and results go back over another; the owner
//! is told by an alarm. Jobs are begun in the order in which they were given, and never cancelled.

use crate::file::FileCall;
use crate::kernel::{Completion, Descriptor, Token};
use crate::memory::Gather;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

mod perform;

/// What a thread of the crew can do; its completion says what the kernel's would.
pub(crate) enum CrewJob {
    /// One of the calls.
    Call(Box<FileCall>),
    /// As [`Operation::Read`](crate::kernel::Operation::Read).
    Read { file: Descriptor, offset: u64, target: *mut u8, length: usize },
    /// As [`Operation::Write`](crate::kernel::Operation::Write).
    Write { file: Descriptor, offset: u64, parts: *const Gather, durable: bool },
    /// As [`Operation::Sync`](crate::kernel::Operation::Sync).
    Sync { file: Descriptor },
}

// SAFETY: the memory behind `target` and `parts` is owned by the operation's slot, which leaves it
// alone until the completion: until then the thread that has the job is the only one to touch it.
// Of a `Gather` it reads the vectors only, never the reference counts of the parts.
unsafe impl Send for CrewJob {}

/// A few threads, started when there is work for them.
///
/// Dropping it waits until everything that was given is done.
pub(crate) struct Crew {
    jobs: Option<Sender<(Token, CrewJob)>>,
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
    threads_max: usize,
    /// Jobs given and not yet taken.
    in_hand: usize,
}

/// What the threads share.
struct Desk {
    jobs: Receiver<(Token, CrewJob)>,
    done: Sender<Completion>,
    results: Receiver<Completion>,
    /// The alarm was sounded and the results have not been taken since.
    sounded: AtomicBool,
    alarm: Arc<dyn Fn() + Send + Sync>,
}

impl Crew {
    /// A crew of at most `threads` threads (at least one). `alarm` is called by one of them when
    /// there are results, once for all results until the next [`take`](Self::take).
    pub(crate) fn new(threads: usize, alarm: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (give, jobs) = crossbeam_channel::unbounded();
        let (done, results) = crossbeam_channel::unbounded();
        let desk = Desk { jobs, done, results, sounded: AtomicBool::new(false), alarm };
        Self {
            jobs: Some(give),
            desk: Arc::new(desk),
            threads: Vec::new(),
            threads_max: threads.max(1),
            in_hand: 0,
        }
    }

    /// Gives a job to the crew. Its memory stays valid until its completion was taken, or until
    /// the crew has been dropped.
    pub(crate) fn give(&mut self, token: Token, job: CrewJob) {
        if self.in_hand == 0 {
            // The last alarm may have come after its results were taken: the next must sound.
            self.desk.sounded.store(false, Ordering::SeqCst);
        }
        self.in_hand += 1;
        if self.in_hand > self.threads.len() && self.threads.len() < self.threads_max {
            self.hire();
        }
        if self.threads.is_empty() {
            // Not even one thread can be had: what the kernel would say then.
            self.desk.report(failed(token, libc::EAGAIN));
            return;
        }
        let jobs = self.jobs.as_ref().expect("taken only by drop");
        jobs.send((token, job)).expect("the desk holds a receiver");
    }

    /// Whether jobs were given whose completions have not been taken.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_hand > 0
    }

    /// Appends the completions of what is done.
    pub(crate) fn take(&mut self, into: &mut Vec<Completion>) {
        // The flag first, and by a swap: a result that comes later sounds a new alarm, and one
        // that came earlier is seen below.
        self.desk.sounded.swap(false, Ordering::SeqCst);
        let before = into.len();
        into.extend(self.desk.results.try_iter());
        self.in_hand -= into.len() - before;
    }

    fn hire(&mut self) {
        let desk = Arc::clone(&self.desk);
        let name = format!("file-{}", self.threads.len());
        // A thread that cannot be had is made up for by those that are there.
        if let Ok(thread) = std::thread::Builder::new().name(name).spawn(move || desk.work()) {
            self.threads.push(thread);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.jobs.take();
        for thread in self.threads.drain(..) {
            // One that panicked has said why, and touches the memory of its job no more.
            drop(thread.join());
        }
        for completion in self.desk.results.try_iter() {
            perform::forget(completion.answer);
        }
    }
}

impl Desk {
    /// What each thread does: jobs, until no more can come.
    fn work(&self) {
        for (token, job) in &self.jobs {
            let (result, answer) = perform::perform(job);
            self.report(Completion { token, result, more: false, buffer: None, answer });
        }
    }

    fn report(&self, completion: Completion) {
        self.done.send(completion).expect("the desk holds a receiver");
        if !self.sounded.swap(true, Ordering::SeqCst) {
            (self.alarm)();
        }
    }
}

fn failed(token: Token, errno: i32) -> Completion {
    Completion { token, result: -errno, more: false, buffer: None, answer: None }
}

#[cfg(test)]
mod tests;
