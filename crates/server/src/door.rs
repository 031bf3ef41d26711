//! A listener as its sessions see it.

use policy::Networks;
use smtp::{ListenerKind, StartTls};
use std::rc::Rc;

/// When the sessions of a listener are encrypted (`listener.tls`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Off,
    /// By STARTTLS, if the client wants and a certificate is set.
    #[default]
    Opportunistic,
    /// By STARTTLS, before anything else.
    Required,
    /// From the first byte (RFC 8314 §3).
    Implicit,
}

/// One listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Its name: the metrics' label.
    pub name: Box<str>,
    /// What it is for.
    pub kind: ListenerKind,
    /// When its sessions are encrypted.
    pub encryption: Encryption,
    /// Clients that must speak PROXY: strangers until a header says otherwise.
    pub proxy_from: Networks,
    /// Clients that may use XCLIENT.
    pub xclient_from: Networks,
}

impl From<&str> for ListenerOptions {
    /// A listener of this name for relays, without more.
    fn from(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// The same, shared by the sessions of a shard.
pub(crate) struct Door {
    pub(crate) name: Rc<str>,
    pub(crate) options: ListenerOptions,
}

impl Door {
    pub(crate) fn new(options: ListenerOptions) -> Rc<Self> {
        Rc::new(Self { name: options.name.as_ref().into(), options })
    }

    /// What a session is told of STARTTLS; `able` is whether there is a certificate.
    pub(crate) fn start_tls(&self, able: bool) -> StartTls {
        match self.options.encryption {
            Encryption::Opportunistic if able => StartTls::Offered,
            Encryption::Required if able => StartTls::Required,
            Encryption::Off
            | Encryption::Opportunistic
            | Encryption::Required
            | Encryption::Implicit => StartTls::Off,
        }
    }
}
