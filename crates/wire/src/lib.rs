//! A stream as both corridors use it: bytes in, bytes out, and an end that is heard.
//!
//! For: sending and receiving on one connection, in the clear or over TLS; the PROXY header; the
//! lingering close. Never here: a word of SMTP, a decision about whom to trust, a queue.
//! Start reading at [`Wire`]; `channel` is TLS without a socket, `identity` and `server_tls` are
//! what a server shows, `client_tls` and `dane` what a client believes, `proxy` is pure.
#![forbid(unsafe_code)]

mod channel;
mod client_tls;
mod dane;
mod der;
mod identity;
mod proxy;
mod server_tls;
mod wire;

pub use channel::{Secured, TlsFailure};
pub use client_tls::{ClientSetup, ClientTls, KeyExchange, Trust};
pub use dane::{Matching, Selector, Tlsa, Usage};
pub use identity::{Identity, IdentityError};
pub use proxy::{ProxyError, ProxyHeader};
pub use server_tls::{MinimumVersion, ServerTls};
pub use wire::{Received, Wire};
