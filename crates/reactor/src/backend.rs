//! Which kernel is used, and why not the ring.

use crate::poll::PollKernel;
use crate::reactor::{Backend, Options, Reactor};
use crate::ring::{Refusal, RingKernel};
use std::io;

/// Why `auto` uses epoll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// One word for the metrics' label: `seccomp`, `sysctl`, `memlock`, `descriptors`, `kernel`.
    pub reason: &'static str,
    /// One line: what was tried, what came back, what to change.
    pub text: String,
}

impl Reactor {
    /// A reactor on this thread, with the kernel that `options` ask for; in `auto` also why it is
    /// not the ring.
    ///
    /// # Errors
    /// When the kernel that was asked for cannot be had; the text says what to change.
    pub fn new(options: &Options) -> io::Result<(Self, Option<Fallback>)> {
        match options.backend {
            Backend::Poll => Ok((poll(options)?, None)),
            Backend::Ring => match ring(options) {
                Ok(reactor) => Ok((reactor, None)),
                Err(fallback) => Err(io::Error::other(fallback.text)),
            },
            Backend::Auto => match ring(options) {
                Ok(reactor) => Ok((reactor, None)),
                Err(fallback) => Ok((poll(options)?, Some(fallback))),
            },
        }
    }
}

fn ring(options: &Options) -> Result<Reactor, Fallback> {
    match RingKernel::new(options) {
        Ok(kernel) => Ok(Reactor::over(Box::new(kernel))),
        Err(refusal) => Err(explain(&refusal, read_disabled())),
    }
}

fn poll(options: &Options) -> io::Result<Reactor> {
    Ok(Reactor::over(Box::new(PollKernel::new(options)?)))
}

/// /proc/sys/kernel/io_uring_disabled (6.6): 1 asks for a group or CAP_SYS_ADMIN, 2 refuses all.
fn read_disabled() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

/// What `refusal` means to the operator, given the value of kernel.io_uring_disabled.
fn explain(refusal: &Refusal, disabled: Option<u8>) -> Fallback {
    let (name, error) = match refusal {
        Refusal::Missing(name) => {
            let why = format!("this kernel has no {name}");
            return fallback("kernel", &why, "Linux 6.1 or later has all that is needed");
        }
        Refusal::Call { name, error } => (name, error),
    };
    let why = format!("{name} failed: {error}");
    match (error.raw_os_error(), disabled) {
        (Some(libc::EPERM), Some(value @ (1 | 2))) => fallback(
            "sysctl",
            &format!("{name} is refused, as kernel.io_uring_disabled is {value}"),
            "set `sysctl kernel.io_uring_disabled=0`, or 1 and kernel.io_uring_group to a group \
             of this process",
        ),
        (Some(libc::EPERM | libc::EACCES | libc::ENOSYS), _) => fallback(
            "seccomp",
            &why,
            "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile of \
             the container or unit (a kernel built without CONFIG_IO_URING says the same)",
        ),
        (Some(libc::ENOMEM), _) => fallback(
            "memlock",
            &why,
            "raise the limit of locked memory (LimitMEMLOCK=, `ulimit -l`), or free memory",
        ),
        (Some(libc::EMFILE | libc::ENFILE), _) => fallback(
            "descriptors",
            &why,
            "raise the limit of open files (LimitNOFILE=, fs.file-max)",
        ),
        (Some(libc::EINVAL), _) => {
            fallback("kernel", &why, "this kernel is too old: Linux 6.1 or later is needed")
        }
        _ => fallback("kernel", &why, "see io_uring_setup(2) for this error"),
    }
}

fn fallback(reason: &'static str, why: &str, remedy: &str) -> Fallback {
    Fallback { reason, text: format!("io_uring cannot be used: {why}; to use it: {remedy}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(name: &'static str, errno: i32, disabled: Option<u8>) -> Fallback {
        explain(&Refusal::Call { name, error: io::Error::from_raw_os_error(errno) }, disabled)
    }

    #[test]
    fn each_refusal_has_a_reason_and_names_what_to_change() {
        let table = [
            (libc::EPERM, Some(2), "sysctl", "kernel.io_uring_disabled is 2"),
            (libc::EPERM, Some(1), "sysctl", "kernel.io_uring_group"),
            (libc::EPERM, Some(0), "seccomp", "seccomp profile"),
            (libc::EPERM, None, "seccomp", "seccomp profile"),
            (libc::ENOSYS, None, "seccomp", "CONFIG_IO_URING"),
            (libc::ENOSYS, Some(2), "seccomp", "seccomp profile"),
            (libc::ENOMEM, Some(0), "memlock", "LimitMEMLOCK"),
            (libc::EMFILE, Some(0), "descriptors", "LimitNOFILE"),
            (libc::EINVAL, Some(0), "kernel", "Linux 6.1"),
            (libc::EIO, Some(0), "kernel", "io_uring_setup(2)"),
        ];
        for (errno, disabled, reason, part) in table {
            let fallback = explained("io_uring_setup", errno, disabled);
            assert_eq!(fallback.reason, reason, "{errno} {disabled:?}");
            assert!(fallback.text.contains(part), "{}", fallback.text);
            assert!(fallback.text.contains("io_uring_setup"), "{}", fallback.text);
            assert!(!fallback.text.contains('\n'), "{}", fallback.text);
        }
    }

    #[test]
    fn a_missing_operation_is_named() {
        let fallback = explain(&Refusal::Missing("IORING_OP_MSG_RING"), Some(0));
        assert_eq!(fallback.reason, "kernel");
        assert!(fallback.text.contains("IORING_OP_MSG_RING"), "{}", fallback.text);
    }
}
