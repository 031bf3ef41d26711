//! One connection.

use crate::channel::{BROKEN, Channel, Secured, TlsFailure};
use crate::proxy::{self, Progress, ProxyError, ProxyHeader};
use crate::server_tls::ServerTls;
use reactor::{Hangup, Instant, Interrupter, Lease, Part, Reactor, Stream};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConnection};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that a closing connection may still bring before we stop reading them.
const LINGER_BYTES: usize = 1 << 20;

/// How long a closing connection may still bring bytes.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// One connection, in the clear until it is secured.
pub struct Wire {
    reactor: Reactor,
    stream: Stream,
    /// Boxed, and mostly absent: an idle connection in the clear carries nothing of it.
    channel: RefCell<Option<Box<Channel>>>,
    /// What came behind a PROXY header in the same packet.
    ahead: RefCell<Vec<u8>>,
}

/// Received bytes. Do not hold them across an await.
pub enum Received {
    /// In a buffer of the reactor's.
    Lent(Lease),
    /// Decrypted, or read ahead.
    Copied(Vec<u8>),
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(lease) => lease,
            Self::Copied(bytes) => bytes,
        }
    }
}

impl Wire {
    /// A connection in the clear.
    pub fn new(reactor: &Reactor, stream: Stream) -> Self {
        let (channel, ahead) = (RefCell::default(), RefCell::default());
        Self { reactor: reactor.clone(), stream, channel, ahead }
    }

    /// The address at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// The address at our end.
    ///
    /// # Errors
    /// As getsockname.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.stream.local_address()
    }

    /// Whether it is encrypted.
    pub fn is_secured(&self) -> bool {
        self.channel.borrow().is_some()
    }

    /// The next bytes, at least one. Do not hold them across an await.
    ///
    /// # Errors
    /// As [`Hangup`] says; after `TimedOut` and `Interrupted` the connection is as it was.
    pub async fn recv(&self, by: Instant) -> Result<Received, Hangup> {
        if !self.ahead.borrow().is_empty() && !self.is_secured() {
            return Ok(Received::Copied(self.ahead.take()));
        }
        if !self.is_secured() {
            return Ok(Received::Lent(self.stream.recv(by).await?));
        }
        // Boxed: a connection in the clear need not carry its room.
        Box::pin(self.recv_secured(by)).await
    }

    async fn recv_secured(&self, by: Instant) -> Result<Received, Hangup> {
        loop {
            match self.with_channel(|channel| (channel.take_plain(), channel.peer_closed())) {
                (Some(bytes), _) => return Ok(Received::Copied(bytes)),
                (None, true) => return Err(Hangup::Closed),
                (None, false) => {}
            }
            let lease = self.stream.recv(by).await?;
            let fed = self.with_channel(|channel| channel.feed(&lease));
            drop(lease);
            // An answer to a change of keys, or the alert that says what was wrong.
            self.flush(by).await?;
            fed.map_err(|_| BROKEN)?;
        }
    }

    fn with_channel<T>(&self, work: impl FnOnce(&mut Channel) -> T) -> T {
        let mut channel = self.channel.borrow_mut();
        work(channel.as_mut().expect("only secured connections come here"))
    }

    /// Sends what the channel has to say.
    async fn flush(&self, by: Instant) -> Result<(), Hangup> {
        let output = self.with_channel(Channel::output);
        if !output.is_empty() {
            self.stream.send(vec![Part::Bytes(output)], by).await?;
        }
        Ok(())
    }

    /// Sends all of `parts`, and gives them back for reuse.
    ///
    /// # Errors
    /// As [`Hangup`] says; the connection is good for nothing then.
    pub async fn send(&self, parts: Vec<Part>, by: Instant) -> Result<Vec<Part>, Hangup> {
        if !self.is_secured() {
            return self.stream.send(parts, by).await;
        }
        Box::pin(self.send_secured(&parts, by)).await?;
        Ok(parts)
    }

    async fn send_secured(&self, parts: &[Part], by: Instant) -> Result<(), Hangup> {
        for part in parts {
            let mut rest = part.as_slice();
            while !rest.is_empty() {
                let taken = self.with_channel(|channel| channel.encrypt(rest));
                rest = &rest[taken..];
                // The channel takes 64 KiB, then what it has made of them must go.
                if !rest.is_empty() {
                    self.flush(by).await?;
                }
            }
        }
        self.flush(by).await
    }

    /// Speaks TLS as the server from here on: after STARTTLS, or at once.
    ///
    /// # Errors
    /// As [`TlsFailure`] says.
    pub async fn secure_as_server(
        &self,
        tls: &ServerTls,
        by: Instant,
    ) -> Result<Secured, TlsFailure> {
        let connection = ServerConnection::new(tls.config());
        let connection = connection.map_err(|error| Box::<str>::from(error.to_string()))?;
        self.shake_hands(Channel::new(connection), by).await
    }

    /// Speaks TLS as the client from here on, and asks for the certificate of `name`.
    ///
    /// # Errors
    /// As [`TlsFailure`] says.
    pub async fn secure_as_client(
        &self,
        config: Arc<ClientConfig>,
        name: &str,
        by: Instant,
    ) -> Result<Secured, TlsFailure> {
        let refused = |error: &dyn std::fmt::Display| Box::<str>::from(error.to_string());
        let name = ServerName::try_from(name.to_owned()).map_err(|error| refused(&error))?;
        let connection = ClientConnection::new(config, name).map_err(|error| refused(&error))?;
        self.shake_hands(Channel::new(connection), by).await
    }

    async fn shake_hands(&self, mut channel: Channel, by: Instant) -> Result<Secured, TlsFailure> {
        let ahead = self.ahead.take();
        let mut fed = channel.feed(&ahead);
        *self.channel.borrow_mut() = Some(Box::new(channel));
        loop {
            // On an error this is the alert; that it may not arrive changes nothing.
            let flushed = self.flush(by).await;
            fed?;
            flushed?;
            if !self.with_channel(|channel| channel.is_handshaking()) {
                return Ok(self.with_channel(|channel| channel.facts()));
            }
            let lease = self.stream.recv(by).await?;
            fed = self.with_channel(|channel| channel.feed(&lease));
        }
    }

    /// Reads the PROXY header that must come before anything else.
    ///
    /// # Errors
    /// As [`ProxyError`] says; the connection must be closed then.
    pub async fn read_proxy_header(&self, by: Instant) -> Result<ProxyHeader, ProxyError> {
        let mut bytes = Vec::new();
        loop {
            bytes.extend_from_slice(&self.stream.recv(by).await.map_err(ProxyError::Hangup)?);
            match proxy::parse(&bytes) {
                Progress::Incomplete => {}
                Progress::Invalid(reason) => return Err(ProxyError::Invalid(reason)),
                Progress::Whole(header, length) => {
                    *self.ahead.borrow_mut() = bytes.split_off(length);
                    return Ok(header);
                }
            }
        }
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
        if reactor::mutated("descriptor-kept") {
            return std::mem::forget(self);
        }
        let by = self.reactor.now() + LINGER_TIME;
        if self.is_secured() && !self.stream.is_ended() {
            self.with_channel(Channel::say_goodbye);
            // A goodbye that does not arrive changes nothing.
            let _ = Box::pin(self.flush(by)).await;
        }
        if self.stream.is_ended() || self.stream.shut_down().await.is_err() {
            return;
        }
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
