//! Building a ring, and what may be in the way.

use crate::reactor::Options;
use crate::ring::buffers::Buffers;
use io_uring::{IoUring, Probe, opcode};
use std::io;

/// Entries of the submission queue: more are queued behind it.
const SUBMISSIONS: u32 = 1024;

/// Entries of the completion queue: a multishot operation ends when it is full, so it is roomy.
const COMPLETIONS: u32 = 16 * 1024;

/// The operations that are used, by their names in io_uring_enter(2).
const NEEDED: [(u8, &str); 12] = [
    (opcode::AcceptMulti::CODE, "IORING_OP_ACCEPT"),
    (opcode::Recv::CODE, "IORING_OP_RECV"),
    (opcode::Send::CODE, "IORING_OP_SEND"),
    (opcode::SendMsg::CODE, "IORING_OP_SENDMSG"),
    (opcode::Connect::CODE, "IORING_OP_CONNECT"),
    (opcode::Close::CODE, "IORING_OP_CLOSE"),
    (opcode::Read::CODE, "IORING_OP_READ"),
    (opcode::Write::CODE, "IORING_OP_WRITE"),
    (opcode::Writev::CODE, "IORING_OP_WRITEV"),
    (opcode::Fsync::CODE, "IORING_OP_FSYNC"),
    (opcode::AsyncCancel::CODE, "IORING_OP_ASYNC_CANCEL"),
    (opcode::MsgRingData::CODE, "IORING_OP_MSG_RING"),
];

/// Why there is no ring.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A system call failed.
    Call { name: &'static str, error: io::Error },
    /// The kernel does not know an operation or feature.
    Missing(&'static str),
}

/// A ring that this thread owns, with its receive buffers.
pub(crate) fn build(options: &Options) -> Result<(IoUring, [Buffers; 2]), Refusal> {
    let ring = create()?;
    probe(&ring)?;
    limit_workers(&ring, options);
    let buffers = [
        register(&ring, 0, options.inbound_buffers, options.inbound_buffer_bytes)?,
        register(&ring, 1, options.outbound_buffers, options.outbound_buffer_bytes)?,
    ];
    Ok((ring, buffers))
}

/// SINGLE_ISSUER and DEFER_TASKRUN (6.1): completions are made only while we are in the kernel,
/// so they interrupt nobody. NO_SQARRAY (6.6) saves an indirection and is not needed.
fn create() -> Result<IoUring, Refusal> {
    let mut builder = IoUring::builder();
    builder
        .dontfork()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(COMPLETIONS);
    let plain = builder.clone();
    builder.setup_no_sqarray();
    let ring = match builder.build(SUBMISSIONS) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => plain.build(SUBMISSIONS),
        built => built,
    };
    ring.map_err(|error| Refusal::Call { name: "io_uring_setup", error })
}

fn probe(ring: &IoUring) -> Result<(), Refusal> {
    let mut probe = Probe::new();
    let asked = ring.submitter().register_probe(&mut probe);
    asked.map_err(|error| Refusal::Call { name: "io_uring_register(PROBE)", error })?;
    if let Some((_, name)) = NEEDED.iter().find(|(code, _)| !probe.is_supported(*code)) {
        return Err(Refusal::Missing(name));
    }
    let features = ring.params();
    let needed = [
        (features.is_feature_ext_arg(), "IORING_FEAT_EXT_ARG"),
        (features.is_feature_nodrop(), "IORING_FEAT_NODROP"),
        (features.is_feature_skip_cqe_on_success(), "IORING_FEAT_CQE_SKIP"),
    ];
    match needed.iter().find(|(there, _)| !there) {
        Some((_, name)) => Err(Refusal::Missing(name)),
        None => Ok(()),
    }
}

fn register(ring: &IoUring, number: u16, count: u16, bytes: usize) -> Result<Buffers, Refusal> {
    Buffers::new(ring, number, count, bytes)
        .map_err(|error| Refusal::Call { name: "io_uring_register(PBUF_RING)", error })
}

/// Without a limit the kernel would start four threads a CPU for buffered writes, in each ring.
fn limit_workers(ring: &IoUring, options: &Options) {
    let threads = u32::try_from(options.file_threads.max(1)).expect("a few threads");
    // A limit that cannot be set leaves the kernel's own.
    drop(ring.submitter().register_iowq_max_workers(&mut [threads, threads]));
}
