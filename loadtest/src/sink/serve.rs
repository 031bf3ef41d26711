//! The sink's threads: connections in, bytes to sessions.

use super::session::{Desk, Fed, Session, Then, Verifier};
use super::{Books, Options, lock, rules};
use crate::clock;
use rand_pcg::Pcg64Mcg;
use reactor::{Instant, Listener, Part, Reactor, Receiver, Signal, Stream};
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long open sessions may go on once the sink is told to stop.
const GRACE: Duration = Duration::from_secs(1);

/// A pause after a failed accept: the descriptors have run out, and come back with time.
const PAUSE: Duration = Duration::from_millis(10);

/// What the tasks of a thread share.
#[derive(Clone)]
struct Floor {
    reactor: Reactor,
    books: Arc<Books>,
    desk: Rc<RefCell<Desk>>,
    open: Rc<Cell<u64>>,
    closed: Signal,
}

/// The body of a thread; its CPU time. It ends once `stop` has no sender.
pub(super) fn run(
    books: &Arc<Books>,
    socket: OwnedFd,
    number: u64,
    mut stop: Receiver<()>,
) -> std::io::Result<Duration> {
    let (reactor, _) = Reactor::new(&reactor::Options::default())?;
    let floor = Floor {
        reactor: reactor.clone(),
        books: Arc::clone(books),
        desk: Rc::new(RefCell::new(desk(&books.options, number))),
        open: Rc::default(),
        closed: Signal::new(&reactor),
    };
    let listener = reactor.adopt(socket);
    let door = listener.interrupter();
    reactor.spawn(accept(floor.clone(), listener));
    let clock = reactor.clone();
    reactor.run(async move {
        while stop.recv(&clock).await.is_some() {}
        door.interrupt();
        let by = clock.now() + GRACE;
        while floor.open.get() > 0 && floor.closed.wait(by).await {}
    });
    reactor.shut_down();
    Ok(clock::thread_cpu())
}

fn desk(options: &Options, number: u64) -> Desk {
    Desk {
        extensions: rules::extensions(&options.without),
        refusals: options.refuse.iter().chain(&options.defer).cloned().collect(),
        stall: options.stall,
        chance: Pcg64Mcg::new(u128::from(options.seed) << 64 | u128::from(number)),
    }
}

async fn accept(floor: Floor, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok(stream) => {
                floor.books.opened();
                floor.open.set(floor.open.get() + 1);
                floor.reactor.spawn(attend(floor.clone(), stream));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return,
            Err(_) => floor.reactor.sleep(floor.reactor.now() + PAUSE).await,
        }
    }
}

async fn attend(floor: Floor, stream: Stream) {
    converse(&floor, &stream).await;
    drop(stream);
    floor.books.closed();
    floor.open.set(floor.open.get() - 1);
    floor.closed.notify_one();
}

async fn converse(floor: &Floor, stream: &Stream) {
    let mut session = Session::new();
    let mut out = b"220 sink.ringpost.test ESMTP\r\n".to_vec();
    let mut fed = Fed::default();
    loop {
        if !out.is_empty() {
            if let Some(delay) = floor.books.options.delay {
                floor.reactor.sleep(floor.reactor.now() + delay).await;
            }
            let Ok(mut parts) = stream.send(vec![Part::Bytes(out)], Instant::NEVER).await else {
                return;
            };
            let Some(Part::Bytes(sent)) = parts.pop() else { unreachable!("it comes back") };
            out = sent;
            out.clear();
        }
        if fed.messages > 0 {
            floor.books.received(fed.messages, fed.bytes, floor.reactor.now());
        }
        match fed.then {
            Then::Receive => {}
            Then::Close => return,
            Then::Stall => {
                // Whatever comes, nothing is answered.
                while stream.recv(Instant::NEVER).await.is_ok() {}
                return;
            }
        }
        let Ok(lease) = stream.recv(Instant::NEVER).await else { return };
        fed = take(floor, &mut session, &lease, &mut out);
    }
}

fn take(floor: &Floor, session: &mut Session, bytes: &[u8], out: &mut Vec<u8>) -> Fed {
    let mut desk = floor.desk.borrow_mut();
    if !floor.books.options.verify {
        return session.feed(bytes, &mut desk, None, out);
    }
    let mut entries = lock(&floor.books.ledger);
    let (ledger, through) = &mut *entries;
    let verifier = Verifier { ledger, through, now: floor.reactor.now() };
    session.feed(bytes, &mut desk, Some(verifier), out)
}
