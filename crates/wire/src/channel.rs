//! TLS without a socket: bytes go in and come out, and nothing waits.

use reactor::Hangup;
use rustls::Connection;
use std::fmt;
use std::io::{self, Read, Write};

/// What is known of a connection once it is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: Box<str>,
    /// The name that the client asked for (SNI, RFC 6066 §3); on a server only.
    pub server_name: Option<Box<str>>,
    /// SHA-256 of the certificate that the peer showed.
    pub fingerprint: Option<[u8; 32]>,
    /// An earlier session was resumed; what was verified then holds.
    pub resumed: bool,
}

/// Why there is no TLS. The connection is good for nothing then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The connection went, or time did.
    Hangup(Hangup),
    /// What the peer sent or showed is not acceptable; the text says what.
    Refused(Box<str>),
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hangup(hangup) => write!(f, "{hangup} during the TLS handshake"),
            Self::Refused(reason) => write!(f, "TLS handshake failed: {reason}"),
        }
    }
}

impl std::error::Error for TlsFailure {}

impl From<Hangup> for TlsFailure {
    fn from(hangup: Hangup) -> Self {
        Self::Hangup(hangup)
    }
}

/// One side of a TLS connection.
pub(crate) struct Channel {
    connection: Connection,
    /// Decrypted and not yet taken: at most what one receive brought.
    plain: Vec<u8>,
    peer_closed: bool,
}

impl Channel {
    pub(crate) fn new(connection: impl Into<Connection>) -> Self {
        Self { connection: connection.into(), plain: Vec::new(), peer_closed: false }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The peer has said that nothing follows.
    pub(crate) fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Takes in what came from the peer. After an error [`output`](Self::output) may hold the alert
    /// that tells the peer why.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Box<str>> {
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).map_err(in_words)?;
            let state = self.connection.process_new_packets().map_err(in_words)?;
            self.peer_closed |= state.peer_has_closed();
            let before = self.plain.len();
            let wanted = state.plaintext_bytes_to_read();
            self.plain.resize(before + wanted, 0);
            let read = self.connection.reader().read_exact(&mut self.plain[before..]);
            read.map_err(in_words)?;
            if self.peer_closed {
                break;
            }
        }
        Ok(())
    }

    /// What was decrypted, if anything.
    pub(crate) fn take_plain(&mut self) -> Option<Vec<u8>> {
        (!self.plain.is_empty()).then(|| std::mem::take(&mut self.plain))
    }

    /// Encrypts as much of `bytes` as fits before the output must be taken; gives how much.
    pub(crate) fn encrypt(&mut self, bytes: &[u8]) -> usize {
        self.connection.writer().write(bytes).expect("it writes to memory")
    }

    /// What must be sent to the peer now.
    pub(crate) fn output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        while self.connection.wants_write() {
            let written = self.connection.write_tls(&mut output);
            if written.expect("it writes to memory") == 0 {
                break;
            }
        }
        output
    }

    /// Says that nothing follows.
    pub(crate) fn say_goodbye(&mut self) {
        self.connection.send_close_notify();
    }

    /// What is known after the handshake.
    pub(crate) fn facts(&self) -> Secured {
        let version = match self.connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            _ => "1.3",
        };
        let suite = self.connection.negotiated_cipher_suite();
        // rustls tells the suites of TLS 1.3 apart by a prefix that IANA's names do not have.
        let name = suite.map_or_else(String::new, |suite| format!("{:?}", suite.suite()));
        let cipher = name.replacen("TLS13_", "TLS_", 1);
        let server_name = match &self.connection {
            Connection::Server(server) => server.server_name().map(Into::into),
            Connection::Client(_) => None,
        };
        let shown = self.connection.peer_certificates().and_then(<[_]>::first);
        let fingerprint = shown.map(|certificate| sha256(certificate));
        let resumed = self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        Secured { version, cipher: cipher.into(), server_name, fingerprint, resumed }
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn in_words(error: impl fmt::Display) -> Box<str> {
    error.to_string().into()
}

impl From<Box<str>> for TlsFailure {
    fn from(reason: Box<str>) -> Self {
        Self::Refused(reason)
    }
}

/// The error of a connection whose peer breaks TLS.
pub(crate) const BROKEN: Hangup = Hangup::Broken(io::ErrorKind::InvalidData);
