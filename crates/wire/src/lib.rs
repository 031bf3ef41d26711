//! A stream as both corridors use it: bytes in, bytes out, and an end that is heard.
//!
//! For: sending and receiving on one connection (TLS and the PROXY header will live here), and the
//! lingering close. Never here: a word of SMTP, a decision, a queue.
//! Start reading at [`Wire`].
#![forbid(unsafe_code)]

use reactor::{Hangup, Interrupter, Lease, Part, Reactor, Stream};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes that a closing connection may still bring before we stop reading them.
const LINGER_BYTES: usize = 1 << 20;

/// How long a closing connection may still bring bytes.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// One connection.
pub struct Wire {
    reactor: Reactor,
    stream: Stream,
}

impl Wire {
    /// A connection in the clear.
    pub fn new(reactor: &Reactor, stream: Stream) -> Self {
        Self { reactor: reactor.clone(), stream }
    }

    /// The address at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// The next bytes, at least one. Do not hold the lease across an await.
    ///
    /// # Errors
    /// As [`Hangup`] says; after `TimedOut` and `Interrupted` the connection is as it was.
    pub async fn recv(&self, by: reactor::Instant) -> Result<Lease, Hangup> {
        self.stream.recv(by).await
    }

    /// Sends all of `parts`, and gives them back for reuse.
    ///
    /// # Errors
    /// As [`Hangup`] says; the connection is good for nothing then.
    pub async fn send(&self, parts: Vec<Part>, by: reactor::Instant) -> Result<Vec<Part>, Hangup> {
        self.stream.send(parts, by).await
    }

    /// Whether the peer has closed, as far as we have noticed.
    pub fn is_ended(&self) -> bool {
        self.stream.is_ended()
    }

    /// What makes the task that waits in [`recv`](Self::recv) look up.
    pub fn interrupter(&self) -> Interrupter {
        self.stream.interrupter()
    }

    /// Closes so that the peer hears our last reply: a close with unread bytes would send a reset,
    /// which eats what is on the way. So we end our half, read and drop what still comes (1 MiB or
    /// 5 s at most), and then close.
    pub async fn close(self) {
        if self.stream.is_ended() || self.stream.shut_down().await.is_err() {
            return;
        }
        let by = self.reactor.now() + LINGER_TIME;
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            match self.stream.recv(by).await {
                Ok(bytes) => dropped += bytes.len(),
                // A drain must not shorten the wait: the reply is what it is for.
                Err(Hangup::Interrupted) => {}
                Err(Hangup::Closed | Hangup::Broken(_) | Hangup::TimedOut) => return,
            }
        }
    }

    /// Closes with a reset: for a session that is out of step.
    pub fn abort(self) {
        self.stream.abort();
    }
}
