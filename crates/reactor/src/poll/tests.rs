//! What is epoll's own: the rest is for the suite that runs on all kernels.

use super::*;
use crate::memory::{Gather, Part};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::IntoRawFd;

/// A kernel with few and small buffers.
fn kernel(buffers: u16) -> PollKernel {
    let options = Options {
        inbound_buffers: buffers,
        outbound_buffers: buffers,
        inbound_buffer_bytes: 8,
        outbound_buffer_bytes: 8,
        ..Options::default()
    };
    PollKernel::new(&options).unwrap()
}

/// Our socket, as the kernel wants it, and the peer's.
fn pair() -> (Descriptor, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    (ours.into_raw_fd(), peer)
}

/// Enters until there are `count` completions.
fn completions(kernel: &mut PollKernel, count: usize) -> Vec<Completion> {
    let mut all = Vec::new();
    while all.len() < count {
        kernel.enter(Wait::Until(Instant::NEVER), &mut all);
    }
    all
}

fn receive(socket: Descriptor) -> Operation {
    Operation::Receive { socket, group: Group::Inbound }
}

const ONE: Token = Token(1);
const TWO: Token = Token(2);

#[test]
fn nothing_completes_before_the_kernel_is_entered() {
    let mut kernel = kernel(4);
    let (socket, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    kernel.submit(ONE, receive(socket));
    assert_eq!(kernel.buffers[0].next(), Some(0), "a buffer was taken by submit");
    let all = completions(&mut kernel, 1);
    assert_eq!((all[0].token, all[0].result, all[0].more), (ONE, 5, true));
}

#[test]
fn one_socket_with_much_to_read_leaves_room_for_the_others() {
    let mut kernel = kernel(64);
    let (loud, mut loud_peer) = pair();
    let (quiet, mut quiet_peer) = pair();
    loud_peer.write_all(&[b'x'; 200]).unwrap();
    quiet_peer.write_all(b"y").unwrap();
    kernel.submit(ONE, receive(loud));
    kernel.submit(TWO, receive(quiet));
    let all = completions(&mut kernel, 5);
    let first = all.iter().position(|completion| completion.token == TWO).unwrap();
    assert!(first <= 4, "the quiet one came after {first} receives of the loud one");
}

#[test]
fn all_bytes_come_in_order_over_many_visits_and_edges() {
    let mut kernel = kernel(16);
    let (socket, mut peer) = pair();
    kernel.submit(ONE, receive(socket));
    let mut all = Vec::new();
    kernel.enter(Wait::No, &mut all);
    let mut received = Vec::new();
    let mut sent = Vec::new();
    for round in 0..50u8 {
        // Sometimes a whole number of buffers, sometimes not.
        let bytes = vec![round; 1 + usize::from(round % 24)];
        peer.write_all(&bytes).unwrap();
        sent.extend(bytes);
        while received.len() < sent.len() {
            for completion in completions(&mut kernel, 1) {
                assert!(completion.more && completion.result > 0);
                let buffer = completion.buffer.unwrap();
                let start = kernel.buffer(Group::Inbound, buffer);
                // SAFETY: the buffer holds that many bytes until it is released.
                let bytes =
                    unsafe { std::slice::from_raw_parts(start, completion.result as usize) };
                received.extend_from_slice(bytes);
                kernel.release(Group::Inbound, buffer);
            }
        }
    }
    drop(peer);
    let last = completions(&mut kernel, 1).remove(0);
    assert_eq!((last.result, last.more, last.buffer), (0, false, None));
    assert_eq!(received, sent);
}

#[test]
fn without_buffers_bytes_end_a_receive_but_the_end_of_the_stream_is_seen() {
    let mut kernel = kernel(1);
    let (first, mut first_peer) = pair();
    let (second, mut second_peer) = pair();
    let (third, third_peer) = pair();
    first_peer.write_all(b"x").unwrap();
    kernel.submit(ONE, receive(first));
    let buffer = completions(&mut kernel, 1)[0].buffer.unwrap();
    second_peer.write_all(b"y").unwrap();
    kernel.submit(TWO, receive(second));
    let starved = completions(&mut kernel, 1).remove(0);
    assert_eq!((starved.token, starved.result, starved.more), (TWO, -libc::ENOBUFS, false));
    drop(third_peer);
    kernel.submit(Token(3), receive(third));
    let ended = completions(&mut kernel, 1).remove(0);
    assert_eq!((ended.token, ended.result, ended.more), (Token(3), 0, false));
    kernel.release(Group::Inbound, buffer);
    kernel.submit(TWO, receive(second));
    assert_eq!(completions(&mut kernel, 1)[0].result, 1, "the bytes were lost");
}

#[test]
fn a_cancelled_operation_ends_before_its_cancellation_does() {
    let mut kernel = kernel(1);
    let (socket, _peer) = pair();
    kernel.submit(ONE, receive(socket));
    kernel.submit(TWO, Operation::Cancel { target: ONE });
    kernel.submit(Token(3), Operation::Cancel { target: ONE });
    let all = completions(&mut kernel, 3);
    let seen: Vec<_> = all.iter().map(|completion| (completion.token, completion.result)).collect();
    assert_eq!(seen, [(ONE, -libc::ECANCELED), (TWO, 0), (Token(3), -libc::ENOENT)]);
    kernel.submit(Token(4), Operation::Close { descriptor: socket });
    assert_eq!(completions(&mut kernel, 1)[0].result, 0);
}

#[test]
fn a_send_that_blocks_goes_on_when_the_peer_reads() {
    let mut kernel = kernel(1);
    let (socket, mut peer) = pair();
    let gather = Gather::new(vec![Part::Bytes(vec![b'x'; 1 << 20])], 0);
    let mut sent = 0;
    let mut all = Vec::new();
    // Until it blocks: the peer reads nothing yet.
    loop {
        kernel.submit(ONE, Operation::Send { socket, parts: &raw const *gather });
        kernel.enter(Wait::No, &mut all);
        let Some(completion) = all.pop() else { break };
        assert!(completion.result > 0);
        sent += completion.result as usize;
    }
    let mut bytes = vec![0; sent];
    peer.read_exact(&mut bytes).unwrap();
    assert!(completions(&mut kernel, 1)[0].result > 0);
}

#[test]
fn a_refused_connect_says_so_and_an_accepted_one_ends_with_zero() {
    let mut kernel = kernel(1);
    let mut listener = Some(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.as_ref().unwrap().local_addr().unwrap();
    for expected in [0, -libc::ECONNREFUSED] {
        let socket = kernel.socket(address, None).unwrap();
        kernel.submit(ONE, Operation::Connect { socket, address: &raw const address });
        assert_eq!(completions(&mut kernel, 1)[0].result, expected);
        kernel.submit(TWO, Operation::Close { descriptor: socket });
        completions(&mut kernel, 1);
        // The second time nobody listens there.
        listener.take();
    }
}

#[test]
fn a_reused_descriptor_number_hears_nothing_of_its_former_tenant() {
    let mut kernel = kernel(4);
    for _ in 0..20 {
        let (socket, mut peer) = pair();
        kernel.submit(ONE, receive(socket));
        let mut all = Vec::new();
        kernel.enter(Wait::No, &mut all);
        assert!(all.is_empty());
        peer.write_all(b"news").unwrap();
        let news = completions(&mut kernel, 1).remove(0);
        assert_eq!((news.token, news.result), (ONE, 4));
        kernel.release(Group::Inbound, news.buffer.unwrap());
        // It becomes ready, and is closed before anybody looks.
        peer.write_all(b"late").unwrap();
        kernel.submit(TWO, Operation::Cancel { target: ONE });
        kernel.submit(Token(3), Operation::Close { descriptor: socket });
        let all = completions(&mut kernel, 3);
        assert!(all.iter().all(|completion| completion.result <= 0));
        assert_eq!(kernel.buffers[0].next(), Some(0));
    }
}

#[test]
fn another_thread_ends_the_wait() {
    let mut kernel = kernel(1);
    let target = kernel.wake_target();
    let thread = std::thread::Builder::new().spawn(move || target.sound()).unwrap();
    let mut all = Vec::new();
    kernel.enter(Wait::Until(Instant::NEVER), &mut all);
    assert!(all.is_empty());
    thread.join().unwrap();
}

#[test]
fn a_held_file_keeps_its_lock_when_its_own_descriptor_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("LOCK");
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    let mut kernel = kernel(1);
    let file = std::fs::File::create(&path).unwrap();
    rustix::fs::flock(&file, exclusive).unwrap();
    kernel.hold(std::os::fd::AsRawFd::as_raw_fd(&file)).unwrap();
    drop(file);
    let other = std::fs::File::open(&path).unwrap();
    assert_eq!(rustix::fs::flock(&other, exclusive), Err(rustix::io::Errno::WOULDBLOCK));
    drop(kernel);
    rustix::fs::flock(&other, exclusive).unwrap();
}

#[test]
fn closes_that_nobody_waits_for_happen_all_the_same() {
    let mut kernel = kernel(1);
    let (socket, mut peer) = pair();
    kernel.submit(ONE, Operation::Close { descriptor: socket });
    drop(kernel);
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
}
