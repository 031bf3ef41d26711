//! The threads that shards run on, and what the process may use.

use rustix::process::{Resource, Rlimit};
use rustix::thread::CpuSet;
use std::io;
use std::thread::JoinHandle;

/// Starts a thread called `name` (at most 15 bytes are shown by the system), on CPU `cpu` alone if
/// given. Reactors are made on the thread that turns them, so `body` makes its own.
///
/// # Errors
/// When the system has no thread left. A CPU that the process may not use is no error: the thread
/// then runs where the system puts it.
pub fn start_thread<T: Send + 'static>(
    name: &str,
    cpu: Option<usize>,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Some(cpu) = cpu {
            pin(cpu);
        }
        body()
    })
}

fn pin(cpu: usize) {
    if cpu >= CpuSet::MAX_CPU {
        return;
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    // An unpinned shard is slower, not wrong.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// The CPUs that this process may run on (sched_getaffinity: containers often have fewer than the
/// machine), in order; never empty.
pub fn allowed_cpus() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return vec![0] };
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// Raises the limit of open files to the hard limit, and says what it is now.
pub fn raise_descriptor_limit() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // fs.nr_open may have been lowered below the hard limit.
        Err(_) => limit.current,
    };
    now.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_runs_on_its_cpu_alone() {
        let cpus = allowed_cpus();
        let cpu = *cpus.last().unwrap();
        let thread = start_thread("pinned", Some(cpu), allowed_cpus).unwrap();
        assert_eq!(thread.join().unwrap(), [cpu]);
        assert_eq!(allowed_cpus(), cpus, "its parent is as it was");
    }

    #[test]
    fn the_descriptor_limit_ends_at_the_hard_limit() {
        let now = raise_descriptor_limit();
        let limit = rustix::process::getrlimit(Resource::Nofile);
        assert_eq!(limit.current.unwrap_or(u64::MAX), now);
        assert_eq!(limit.current, limit.maximum);
    }
}
