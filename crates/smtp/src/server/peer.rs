//! Who is at the other end, and at which door.

use super::extensions::ExtensionSet;
use mail::TlsFacts;
use std::net::SocketAddr;
use std::rc::Rc;

/// What a listener is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenerKind {
    /// Other relays and trusted networks.
    #[default]
    Relay,
    /// Users: AUTH before MAIL (RFC 6409 §4.3).
    Submission,
    /// A unix socket, whose clients the kernel names.
    Local,
}

/// Whether a session that began in the clear may, or must, become encrypted (RFC 3207).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartTls {
    /// It cannot: there is no certificate.
    #[default]
    Off,
    /// It may.
    Offered,
    /// It must, before anything but EHLO, NOOP and QUIT.
    Required,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct ServerPeer {
    /// The client's address and port; `None` on a unix socket.
    pub client: Option<SocketAddr>,
    /// The listener's name.
    pub listener: Rc<str>,
    /// The listener's kind.
    pub kind: ListenerKind,
    /// Whether the client is trusted: limits and suspicion are for strangers only.
    pub trusted: bool,
    /// Whether STARTTLS may or must be used.
    pub start_tls: StartTls,
    /// The encryption; set from the start where it is implicit (RFC 8314 §3).
    pub tls: Option<TlsFacts>,
    /// Whether it may say who somebody else is (`xclient_from`).
    pub xclient: bool,
    /// Who it is, where the kernel says so.
    pub user: Option<Box<str>>,
    /// Extensions that this client is not offered.
    pub without: ExtensionSet,
}

impl ServerPeer {
    /// A stranger on a relay listener, in the clear.
    pub fn new(client: Option<SocketAddr>, listener: Rc<str>) -> Self {
        Self {
            client,
            listener,
            kind: ListenerKind::Relay,
            trusted: false,
            start_tls: StartTls::Off,
            tls: None,
            xclient: false,
            user: None,
            without: ExtensionSet::EMPTY,
        }
    }
}
