//! What is known about a client.

use crate::door::Door;
use lookup::Account;
use mail::{Event, Field, Question, ReversePath, TlsFacts};
use policy::{Admission, Facts, Proof, Sender};
use std::net::SocketAddr;
use std::rc::Rc;

/// A client, as known from its connection and from what it has proven.
pub(crate) struct Guest {
    /// Its number among the sessions of this process.
    pub(crate) session: u64,
    /// Its address and port: those of the connection, or what a proxy says.
    pub(crate) client: SocketAddr,
    /// The listener that it came to.
    pub(crate) door: Rc<Door>,
    /// Why it may send to anyone, if it may.
    pub(crate) trusted: Option<Proof>,
    /// Sessions that its key has open, this one included; 1 when it is not counted.
    pub(crate) sessions: u32,
    /// Whether its key connects too often.
    pub(crate) too_often: bool,
    /// Whether it may say whom it speaks for.
    pub(crate) xclient: bool,
    /// How the session is encrypted.
    pub(crate) tls: Option<Box<TlsFacts>>,
    /// Who it has authenticated as.
    pub(crate) account: Option<Box<Account>>,
    /// Its name, where somebody whom we believe has verified it.
    pub(crate) name: Option<Box<str>>,
}

impl Guest {
    /// The facts that policy decides by.
    pub(crate) fn facts(&self, admission: Admission, question: &Question) -> Facts {
        let strange = reactor::mutated("strangers-relayed");
        Facts {
            client: self.client.ip(),
            trusted: self.trusted.or(strange.then_some(Proof::Network)),
            sender: self.sender(question),
            admission,
            client_sessions: self.sessions,
            client_connections_exceeded: self.too_often,
        }
    }

    /// Whose the reverse-path in question is. Everybody may send bounces.
    fn sender(&self, question: &Question) -> Sender {
        match (question, &self.account) {
            (Question::Sender { reverse_path: ReversePath::Mailbox(from), .. }, Some(account)) => {
                if account.owns(&from.to_string()) {
                    Sender::Own
                } else {
                    Sender::Foreign
                }
            }
            _ => Sender::Free,
        }
    }

    /// Adds who it is to an event.
    pub(crate) fn sign(&self, event: Event) -> Event {
        let mut event = event
            .number(Field::Session, self.session)
            .text(Field::Listener, &*self.door.name)
            .text(Field::Client, self.client.ip().to_string())
            .number(Field::ClientPort, u64::from(self.client.port()));
        if let Some(account) = &self.account {
            event = event.text(Field::User, account.name.clone());
        }
        if let Some(tls) = &self.tls {
            event = event.text(Field::Tls, tls.version.clone());
            event = event.text(Field::Cipher, tls.cipher.clone());
        }
        event
    }
}
