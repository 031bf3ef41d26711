//! One fresh reactor, what turns it, and what the promises need around it.

use reactor::sim;
use reactor::{Backend, File, Instant, Listener, OpenHow, Options, Part, Reactor, Stream};
use rustix::net::{AddressFamily, SocketType};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// A promise and its name.
pub(crate) type Promise = (&'static str, fn(&Bench));

/// How long a promise may take on a real kernel before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same in a simulated world, whose hours are short.
const SIMULATED_PATIENCE: Duration = Duration::from_secs(3600);

/// What a simulated bench lies in.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) faults: sim::Faults,
}

/// A reactor with few and small receive buffers, so that scarcity is the usual case.
pub(crate) struct Bench {
    pub(crate) reactor: Reactor,
    /// An empty directory on a disk.
    pub(crate) directory: PathBuf,
    /// A free port at the host.
    pub(crate) anywhere: SocketAddr,
    drive: Drive,
    full: RefCell<Vec<OwnedFd>>,
}

enum Drive {
    Kernel { _directory: tempfile::TempDir },
    World { world: sim::World, faults: Box<sim::Faults> },
}

/// Few buffers: eight a group.
pub(crate) fn options(backend: Backend) -> Options {
    Options {
        backend,
        inbound_buffers: 8,
        outbound_buffers: 8,
        inbound_buffer_bytes: 4096,
        outbound_buffer_bytes: 4096,
        file_threads: 2,
    }
}

impl Bench {
    /// On a real kernel, with a temporary directory.
    pub(crate) fn real(backend: Backend) -> Self {
        let (reactor, _) = Reactor::new(&options(backend)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        Self {
            reactor,
            directory: directory.path().to_owned(),
            anywhere: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            drive: Drive::Kernel { _directory: directory },
            full: RefCell::default(),
        }
    }

    /// In a world of its own.
    pub(crate) fn simulated(within: &World) -> Self {
        let world = sim::World::new(within.seed, within.faults.clone());
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let bench = Self {
            reactor: world.host(address.into()).start().reactor(),
            directory: PathBuf::from("/spool"),
            anywhere: SocketAddr::from((address, 0)),
            drive: Drive::World { world, faults: Box::new(within.faults.clone()) },
            full: RefCell::default(),
        };
        let (reactor, directory) = (bench.reactor.clone(), bench.directory.clone());
        bench.run(async move { reactor.make_directory(&directory).await.unwrap() });
        bench
    }

    /// Whether time is made up.
    pub(crate) fn is_simulated(&self) -> bool {
        matches!(self.drive, Drive::World { .. })
    }

    /// Runs `main` to its end; panics when it takes far too long.
    pub(crate) fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let place = Rc::clone(&result);
        self.reactor.spawn(async move {
            let value = main.await;
            *place.borrow_mut() = Some(value);
            // A wake-up as if from another thread: else this turn would wait for a kernel that has
            // nothing more to say.
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                std::task::Poll::Ready(())
            })
            .await;
        });
        self.turn_until(|| result.borrow().is_some(), "a promise hangs");
        result.take().unwrap()
    }

    fn turn_until(&self, mut done: impl FnMut() -> bool, otherwise: &str) {
        if let Drive::World { world, .. } = &self.drive {
            assert!(world.run(done, SIMULATED_PATIENCE), "{otherwise}");
            return;
        }
        let over = Rc::new(Cell::new(false));
        let bell = reactor::Signal::new(&self.reactor);
        self.reactor.turn(false);
        let late = self.reactor.now() + PATIENCE;
        let (watch, told) = (bell.clone(), Rc::clone(&over));
        self.reactor.spawn(async move { told.set(!watch.wait(late).await) });
        while !done() {
            assert!(!over.get(), "{otherwise}");
            self.reactor.turn(true);
        }
        bell.notify_all();
        self.reactor.turn(false);
    }

    /// The last promise of every bench: what was dropped is closed, and nothing is left.
    pub(crate) fn close(self) {
        let reactor = self.reactor.clone();
        self.turn_until(|| reactor.descriptors() == 0, "a descriptor stays open");
        if !self.is_simulated() {
            reactor.shut_down();
        }
        assert_eq!(reactor.tasks(), 0, "a task is left");
    }

    /// A time in the future that is soon on any kernel.
    pub(crate) fn soon(&self) -> Instant {
        self.reactor.now() + Duration::from_millis(50)
    }

    /// A listener at a free port, and its address.
    pub(crate) fn listen(&self) -> (Listener, SocketAddr) {
        let listener = self.reactor.listen(self.anywhere, false).unwrap();
        let address = listener.local_address().unwrap();
        (listener, address)
    }

    /// Two ends of one connection: ours, and the accepted one.
    pub(crate) fn pair(&self) -> (Stream, Stream) {
        let (listener, address) = self.listen();
        let reactor = self.reactor.clone();
        self.run(async move {
            let ours = reactor.connect(address, None, Instant::NEVER).await.unwrap();
            (ours, listener.accept().await.unwrap())
        })
    }

    /// An address at which connecting never ends.
    pub(crate) fn black_hole(&self) -> SocketAddr {
        let (listener, address) = match &self.drive {
            Drive::World { world, faults } => {
                world.set_faults(sim::Faults { connect_black_hole: 1.0, ..(**faults).clone() });
                return SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 25));
            }
            Drive::Kernel { .. } => full_listener(),
        };
        self.full.borrow_mut().push(listener);
        for _ in 0..2 {
            let socket = nonblocking_socket();
            // It connects or waits; both fill the line.
            let _ = rustix::net::connect(&socket, &address);
            self.full.borrow_mut().push(socket);
        }
        address
    }

    /// A new file in the directory.
    pub(crate) async fn file(reactor: &Reactor, path: PathBuf) -> File {
        let how = OpenHow { write: true, create: true, ..OpenHow::default() };
        reactor.open(&path, how).await.unwrap()
    }
}

/// A listener that takes one connection into its line and drops the others' attempts.
fn full_listener() -> (OwnedFd, SocketAddr) {
    let listener = nonblocking_socket();
    rustix::net::bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = rustix::net::getsockname(&listener).unwrap();
    (listener, SocketAddr::try_from(address).unwrap())
}

fn nonblocking_socket() -> OwnedFd {
    let flags = rustix::net::SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap()
}

/// One part.
pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Vec<Part> {
    vec![Part::Bytes(bytes.into())]
}

/// Bytes that tell where they belong.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place / 251 + place % 251) as u8).collect()
}

/// Receives exactly `length` bytes.
pub(crate) async fn receive(stream: &Stream, length: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < length {
        let lease = stream.recv(Instant::NEVER).await.unwrap();
        assert!(!lease.is_empty(), "a lease holds at least one byte");
        received.extend_from_slice(&lease);
    }
    assert_eq!(received.len(), length, "more than was sent");
    received
}

/// Receives until the peer ends.
pub(crate) async fn receive_all(stream: &Stream) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        match stream.recv(Instant::NEVER).await {
            Ok(lease) => received.extend_from_slice(&lease),
            Err(reactor::Hangup::Closed) => return received,
            Err(hangup) => panic!("the connection ended badly: {hangup}"),
        }
    }
}

/// Polls `future` a single time, and drops it if it is not ready.
pub(crate) async fn try_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
