//! What is known about a client.

use mail::{Event, Field};
use policy::{Admission, Facts};
use std::net::SocketAddr;
use std::rc::Rc;

/// A client, as known from its connection.
pub(crate) struct Guest {
    /// Its number among the sessions of this process.
    pub(crate) session: u64,
    /// Its address and port.
    pub(crate) client: SocketAddr,
    /// The name of the listener that it came to.
    pub(crate) listener: Rc<str>,
    /// Whether it may send to anyone.
    pub(crate) trusted: bool,
    /// Sessions that its key has open, this one included; 1 when it is not counted.
    pub(crate) sessions: u32,
    /// Whether its key connects too often.
    pub(crate) too_often: bool,
}

impl Guest {
    /// The facts that policy decides by.
    pub(crate) fn facts(&self, admission: Admission) -> Facts {
        Facts {
            client: self.client.ip(),
            trusted: self.trusted || reactor::mutated("strangers-relayed"),
            admission,
            client_sessions: self.sessions,
            client_connections_exceeded: self.too_often,
        }
    }

    /// Adds who it is to an event.
    pub(crate) fn sign(&self, event: Event) -> Event {
        event
            .number(Field::Session, self.session)
            .text(Field::Listener, &*self.listener)
            .text(Field::Client, self.client.ip().to_string())
            .number(Field::ClientPort, u64::from(self.client.port()))
    }
}
