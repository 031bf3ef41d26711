//! A spool on a simulated disk, and messages to put there.

use crate::spool::recovery::Recovery;
use crate::spool::{
    Change, Finished, HotBudget, Log, NewMessage, Opened, Options, Outcomes, Piece,
};
use crate::spool::{Recovered, Stored};
use crate::{LoadError, Lock, OpenError};
use mail::{
    BodyKind, Envelope, ForwardPath, Journal, MessageId, Origin, Protocol, ReversePath, UnixTime,
};
use reactor::Reactor;
use reactor::sim::{Faults, Host, Process, World};
use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

pub(super) const SPOOL: &str = "/spool";

/// A world with one machine.
pub(super) fn world(seed: u64, faults: Faults) -> (World, Host) {
    let world = World::new(seed, faults);
    let host = world.host("192.0.2.1".parse().expect("an address"));
    (world, host)
}

pub(super) fn options(hot_bytes: u64) -> Options {
    Options { logs: 1, segment_bytes: Some(512 * 1024), hot: HotBudget::new(hot_bytes) }
}

/// A log, opened, with what it recovered. The lock lives as long as it.
pub(super) struct Opening {
    pub(super) log: Log,
    pub(super) found: Vec<Recovered>,
    pub(super) damaged: u64,
    /// Segments that were read whole.
    pub(super) scanned: u64,
    pub(super) lock: Lock,
}

pub(super) async fn open(reactor: &Reactor, hot_bytes: u64) -> Result<Opening, OpenError> {
    let spool = Path::new(SPOOL);
    let journal = Journal::silent();
    let lock = Lock::take(reactor, spool, &journal, Duration::from_secs(60)).await?;
    let options = options(hot_bytes);
    let (log, recovery) = Log::recover(reactor, spool, 0, lock.shared(), options, journal).await?;
    let Recovery { messages: found, damaged, scanned, .. } = recovery;
    Ok(Opening { log, found, damaged, scanned, lock })
}

/// Runs `main` in a process of its own, and ends the process as `end` says.
pub(super) fn live<T: 'static, F: Future<Output = T> + 'static>(
    world: &World,
    host: &Host,
    main: impl FnOnce(Reactor) -> F,
) -> (T, Process) {
    let process = host.start();
    let reactor = process.reactor();
    let place = Rc::new(RefCell::new(None));
    let result = Rc::clone(&place);
    let task = main(reactor.clone());
    reactor.spawn(async move {
        let value = task.await;
        *result.borrow_mut() = Some(value);
    });
    let done = world.run(|| place.borrow().is_some(), Duration::from_secs(600));
    assert!(done, "nothing can run and the process is not done");
    let value = place.borrow_mut().take().expect("just seen");
    (value, process)
}

pub(super) fn envelope(recipients: usize) -> Envelope {
    let recipient = |index| ForwardPath::parse(&format!("r{index}@example.net")).expect("good");
    Envelope {
        reverse_path: ReversePath::parse("sender@example.org").expect("good"),
        recipients: (0..recipients).map(recipient).collect(),
        body: BodyKind::EightBitMime,
        utf8: false,
        request: None,
        origin: Origin {
            client: Some("[2001:db8::1]:25".parse().expect("an address")),
            hello: "client.example".into(),
            listener: "mx".into(),
            rule: "relay.networks".into(),
            protocol: Protocol::Esmtp,
            arrived: UnixTime(17),
            ..Origin::default()
        },
    }
}

/// The body of a message: bytes that follow from its id, so that nothing can be mixed up.
pub(super) fn body_of(id: MessageId, length: usize) -> Vec<u8> {
    let mut state = id.to_bits() as u64 ^ (id.to_bits() >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(super) fn header_of(id: MessageId) -> Vec<u8> {
    format!("Received: by relay.example id {id}\r\n").into_bytes()
}

pub(super) fn message<'a>(
    id: MessageId,
    envelope: &'a Envelope,
    header: &'a [u8],
    body: &'a [u8],
) -> NewMessage<'a> {
    NewMessage {
        id,
        envelope,
        header,
        chunks: &[],
        body,
        stuffed_lines: 3,
        accepted: UnixTime(99),
        standings: &[],
    }
}

/// Stores a message of `length` bytes.
pub(super) async fn store(log: &Log, length: usize) -> (MessageId, Stored) {
    let id = log.next_id();
    let (envelope, header, body) = (envelope(1), header_of(id), body_of(id, length));
    let stored = log.append_message(&message(id, &envelope, &header, &body)).stored().await;
    (id, stored.expect("there is room"))
}

/// Says that the only recipient of `id` has it.
pub(super) fn deliver(log: &Log, id: MessageId, stored: Stored) {
    let changes = [(0, Change::Delivered)];
    let outcomes = Outcomes { id, segment: stored.position.segment, changes: &changes };
    drop(log.append_outcomes(&outcomes, None, Finished::Yes(stored)));
}

/// Header block and body of a message, from memory or from a good disk.
pub(super) async fn bytes_of(log: &Log, opened: Opened) -> Vec<u8> {
    try_bytes_of(log, opened).await.expect("the disk is good")
}

/// As [`bytes_of`], where the disk may fail.
pub(super) async fn try_bytes_of(log: &Log, opened: Opened) -> Result<Vec<u8>, LoadError> {
    let mut bytes = opened.header.as_slice().to_vec();
    for piece in opened.pieces {
        match piece {
            Piece::Memory(slice) => bytes.extend_from_slice(slice.as_slice()),
            Piece::Disk(extent) => {
                bytes.extend_from_slice(log.read(extent).await?.as_slice());
            }
        }
    }
    assert_eq!(bytes.len() as u64, opened.size, "the size is that of header block and body");
    Ok(bytes)
}

/// What the bytes of message `id` must be, whatever its length.
pub(super) fn assert_is(id: MessageId, bytes: &[u8]) {
    let header = header_of(id);
    assert!(bytes.starts_with(&header), "the header block of {id} is another's");
    let body = &bytes[header.len()..];
    assert!(body == body_of(id, body.len()), "the body of {id} is not what was stored");
}
