//! What is wanted of each socket, and whether it may be ready for it.

use super::attempt::{Attempt, Wish, attempt};
use super::buffers::Buffers;
use crate::kernel::{Completion, Descriptor, Token};
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use std::collections::{HashMap, VecDeque};

/// Receives of one socket between two looks at the others: as many as a connection may hold.
const RECEIVES_PER_VISIT: usize = 4;

/// Accepts of one listener between two looks at the others.
const ACCEPTS_PER_VISIT: usize = 64;

/// Whether a try is worth its system call. Events are edges: once `Blocked`, the next one comes
/// by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// Nobody knows: try.
    Untried,
    /// An event has said so, and a receive that leaves room has taken everything.
    Ready,
    /// The end or an error is near: read until there is nothing, since no further event may come.
    Ending,
    /// Nothing before the next event.
    Blocked,
}

/// One direction of a socket.
struct Side {
    readiness: Readiness,
    /// In the order of their submission; the first is tried.
    waiting: VecDeque<(Token, Wish)>,
}

impl Side {
    fn new() -> Self {
        Self { readiness: Readiness::Untried, waiting: VecDeque::new() }
    }

    /// The operation to try now.
    fn first(&self) -> Option<(Token, Wish)> {
        self.waiting.front().copied().filter(|_| self.readiness != Readiness::Blocked)
    }
}

/// What is known of one socket.
struct Watch {
    /// epoll tells us of its edges.
    is_registered: bool,
    /// It stands in the line of those that are ready and wanted.
    is_in_line: bool,
    read: Side,
    write: Side,
}

impl Watch {
    fn new() -> Self {
        let (is_registered, is_in_line) = (false, false);
        Self { is_registered, is_in_line, read: Side::new(), write: Side::new() }
    }

    fn side(&mut self, reads: bool) -> &mut Side {
        if reads { &mut self.read } else { &mut self.write }
    }
}

/// The sockets of one kernel. No map of it is ever iterated.
pub(super) struct Sockets {
    watches: HashMap<Descriptor, Watch>,
    /// Where each waiting operation waits, for its cancellation: the socket, and whether it reads.
    places: HashMap<Token, (Descriptor, bool)>,
    /// Sockets that are ready and wanted, in turn.
    line: VecDeque<Descriptor>,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self { watches: HashMap::new(), places: HashMap::new(), line: VecDeque::new() }
    }

    /// Adds a wish. It is tried when its socket's turn comes, by [`visit`](Self::visit).
    pub(super) fn want(&mut self, socket: Descriptor, token: Token, wish: Wish) {
        let reads = wish.reads();
        let watch = self.watches.entry(socket).or_insert_with(Watch::new);
        watch.side(reads).waiting.push_back((token, wish));
        self.places.insert(token, (socket, reads));
    }

    /// Ends a wish; `false` when there is none of that token.
    pub(super) fn cancel(&mut self, token: Token, completions: &mut Vec<Completion>) -> bool {
        let Some((socket, reads)) = self.places.remove(&token) else { return false };
        let watch = self.watches.get_mut(&socket).expect("a wish has a socket");
        watch.side(reads).waiting.retain(|(waiting, _)| *waiting != token);
        completions.push(completion(token, -libc::ECANCELED, false, None));
        true
    }

    /// Forgets a descriptor that is about to be closed. Most files were never heard of.
    pub(super) fn forget(&mut self, socket: Descriptor, registry: &Registry) {
        let Some(watch) = self.watches.remove(&socket) else { return };
        assert!(watch.read.waiting.is_empty() && watch.write.waiting.is_empty(), "closed in use");
        if watch.is_registered {
            // Closing alone would not do for a listener that other threads share. What fails to
            // be taken out was not in.
            drop(registry.deregister(&mut SourceFd(&socket)));
        }
    }

    /// Takes an event in: the socket stands in line if anybody wants it.
    pub(super) fn note(&mut self, event: &mio::event::Event) {
        let socket = event.token().0 as Descriptor;
        let Some(watch) = self.watches.get_mut(&socket) else { return };
        if event.is_read_closed() || event.is_error() {
            watch.read.readiness = Readiness::Ending;
        } else if event.is_readable() {
            watch.read.readiness = Readiness::Ready;
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            watch.write.readiness = Readiness::Ready;
        }
        self.line_up(socket);
    }

    /// Whether some socket is ready and wanted.
    pub(super) fn any_in_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// Visits every socket that stands in line, once.
    pub(super) fn visit_line(
        &mut self,
        registry: &Registry,
        buffers: &mut [Buffers; 2],
        completions: &mut Vec<Completion>,
    ) {
        for _ in 0..self.line.len() {
            let Some(socket) = self.line.pop_front() else { return };
            if let Some(watch) = self.watches.get_mut(&socket) {
                watch.is_in_line = false;
                self.visit(socket, registry, buffers, completions);
            }
        }
    }

    /// Tries what is wanted of a socket, within its share; it stands in line for the rest.
    pub(super) fn visit(
        &mut self,
        socket: Descriptor,
        registry: &Registry,
        buffers: &mut [Buffers; 2],
        completions: &mut Vec<Completion>,
    ) {
        let watch = self.watches.get_mut(&socket).expect("visited while wanted");
        for reads in [true, false] {
            let mut visit = Visit { socket, registry, buffers, completions };
            if watch.side(reads).first().is_some() {
                visit.serve(watch, reads, &mut self.places);
            }
        }
        self.line_up(socket);
    }

    fn line_up(&mut self, socket: Descriptor) {
        let watch = self.watches.get_mut(&socket).expect("the caller has seen it");
        let is_due = watch.read.first().is_some() || watch.write.first().is_some();
        if is_due && !watch.is_in_line {
            watch.is_in_line = true;
            self.line.push_back(socket);
        }
    }
}

/// A visit to one socket.
struct Visit<'a> {
    socket: Descriptor,
    registry: &'a Registry,
    buffers: &'a mut [Buffers; 2],
    completions: &'a mut Vec<Completion>,
}

impl Visit<'_> {
    /// Tries the first wish of one side, and the next ones, until it blocks or has had its share.
    fn serve(
        &mut self,
        watch: &mut Watch,
        reads: bool,
        places: &mut HashMap<Token, (Descriptor, bool)>,
    ) {
        let mut accepts = ACCEPTS_PER_VISIT;
        let mut receives = RECEIVES_PER_VISIT;
        while let Some((token, wish)) = watch.side(reads).first()
            && accepts > 0
            && receives > 0
        {
            let side = watch.side(reads);
            match attempt(self.socket, wish, self.buffers) {
                Attempt::Blocked => {
                    side.readiness = Readiness::Blocked;
                    if let (Wish::Connect(_), Some(first)) = (wish, side.waiting.front_mut()) {
                        first.1 = Wish::Connected;
                    }
                    if let Err(errno) = self.register(watch) {
                        self.finish(watch.side(reads), token, -errno, places);
                    }
                }
                Attempt::Done(result) => self.finish(side, token, result, places),
                Attempt::Accepted(socket) => {
                    accepts -= 1;
                    self.completions.push(completion(token, socket, true, None));
                }
                Attempt::Received { bytes, buffer, is_drained } => {
                    receives -= 1;
                    if is_drained && side.readiness == Readiness::Ready {
                        side.readiness = Readiness::Blocked;
                    }
                    self.completions.push(completion(token, bytes, true, Some(buffer)));
                }
            }
        }
    }

    fn finish(
        &mut self,
        side: &mut Side,
        token: Token,
        result: i32,
        places: &mut HashMap<Token, (Descriptor, bool)>,
    ) {
        side.waiting.pop_front();
        places.remove(&token);
        self.completions.push(completion(token, result, false, None));
    }

    /// Asks for the edges of both sides, once for all. What is ready already is an edge too.
    fn register(&self, watch: &mut Watch) -> Result<(), i32> {
        if watch.is_registered {
            return Ok(());
        }
        let token = mio::Token(self.socket as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self.registry.register(&mut SourceFd(&self.socket), token, interest) {
            Ok(()) => watch.is_registered = true,
            Err(error) => return Err(error.raw_os_error().unwrap_or(libc::EIO)),
        }
        Ok(())
    }
}

pub(super) fn completion(token: Token, result: i32, more: bool, buffer: Option<u16>) -> Completion {
    Completion { token, result, more, buffer, answer: None }
}
