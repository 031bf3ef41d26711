//! A connection to the target: commands out, replies in.

use super::replies::{Replies, Reply};
use reactor::{Instant, Part, Reactor, Stream};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a reply is waited for: the end of data of a busy relay takes long (RFC 5321
/// §4.5.3.2.6 would have ten minutes, for which nobody who measures waits).
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the reply to QUIT is waited for.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a session ended before its time.
#[derive(Debug)]
pub(super) enum Lost {
    /// The connection could not be made, or is gone.
    Network(String),
    /// The target refused the session.
    Refused(Reply),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(text) => f.write_str(text),
            Self::Refused(reply) => f.write_str(&reply.text),
        }
    }
}

/// A session after its EHLO.
pub(super) struct Line {
    reactor: Reactor,
    stream: Stream,
    replies: Replies,
    waiting: VecDeque<Reply>,
}

impl Line {
    /// Connects, is greeted and says EHLO.
    pub(super) async fn open(reactor: &Reactor, target: SocketAddr) -> Result<Self, Lost> {
        let by = reactor.now() + PATIENCE;
        let stream = reactor.connect(target, None, by).await;
        let stream = stream.map_err(|error| Lost::Network(format!("connect: {error}")))?;
        let mut line = Self {
            reactor: reactor.clone(),
            stream,
            replies: Replies::default(),
            waiting: VecDeque::new(),
        };
        let greeting = line.reply().await?;
        if !greeting.is_positive() {
            return Err(Lost::Refused(greeting));
        }
        let answer = line.command(b"EHLO load.ringpost.test\r\n".to_vec()).await?;
        if answer.is_positive() { Ok(line) } else { Err(Lost::Refused(answer)) }
    }

    /// Whether the target offers PIPELINING.
    pub(super) fn pipelining(&self) -> bool {
        self.replies.pipelining
    }

    /// Sends one command and waits for its reply.
    pub(super) async fn command(&mut self, command: Vec<u8>) -> Result<Reply, Lost> {
        self.send(vec![Part::Bytes(command)]).await?;
        self.reply().await
    }

    /// Sends bytes; the parts come back for reuse.
    pub(super) async fn send(&mut self, parts: Vec<Part>) -> Result<Vec<Part>, Lost> {
        let by = self.reactor.now() + PATIENCE;
        let sent = self.stream.send(parts, by).await;
        sent.map_err(|hangup| Lost::Network(format!("send: {hangup}")))
    }

    /// The next reply.
    pub(super) async fn reply(&mut self) -> Result<Reply, Lost> {
        self.reply_by(self.reactor.now() + PATIENCE).await
    }

    async fn reply_by(&mut self, by: Instant) -> Result<Reply, Lost> {
        loop {
            if let Some(reply) = self.waiting.pop_front() {
                return Ok(reply);
            }
            let lease = self.stream.recv(by).await;
            let lease = lease.map_err(|hangup| Lost::Network(format!("receive: {hangup}")))?;
            let fed = self.replies.feed(&lease, &mut self.waiting);
            fed.map_err(|error| Lost::Network(error.to_string()))?;
        }
    }

    /// Ends the session in order, as far as the target lets us.
    pub(super) async fn quit(mut self) {
        let by = self.reactor.now() + FAREWELL;
        let sent = self.stream.send(vec![Part::Fixed(b"QUIT\r\n")], by).await;
        if sent.is_ok() {
            // Every message has its reply: what comes of this one changes nothing.
            drop(self.reply_by(by).await);
        }
    }
}
