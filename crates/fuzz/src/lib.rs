//! What the targets share: a server session with everything offered, and a corridor that plays it.
//!
//! For: targets of a few lines. Never here: an invariant of the relay; those stand in the targets.
//! Start reading at [`play`].
#![forbid(unsafe_code)]

use mail::{MessageId, TlsFacts, Verdict};
use smtp::{
    AuthReply, Exchange, Extension, ExtensionSet, Hangup, ServerOptions, ServerPeer, ServerSession,
    StartTls, Step,
};

/// What became of a session.
#[derive(Debug, Default)]
pub struct Played {
    /// All that it said.
    pub output: Vec<u8>,
    /// Bodies that were committed.
    pub drafts: Vec<Vec<u8>>,
    /// Whether it came to its end.
    pub closed: bool,
}

/// Options that offer all there is.
pub fn everything() -> ServerOptions {
    ServerOptions {
        offers: ExtensionSet::of(&Extension::ALL),
        mechanisms: vec!["PLAIN".into()],
        auth_in_clear: true,
        ..ServerOptions::default()
    }
}

/// A session with a trusted client that may do anything.
pub fn session(options: ServerOptions) -> ServerSession {
    let client = "192.0.2.1:4000".parse().ok();
    let peer = ServerPeer {
        trusted: true,
        xclient: true,
        start_tls: StartTls::Offered,
        ..ServerPeer::new(client, "fuzz".into())
    };
    ServerSession::new(options.into(), peer)
}

/// Plays a session on these pieces of input, then hangs up.
pub fn play<'a>(mut session: ServerSession, mut pieces: impl Iterator<Item = &'a [u8]>) -> Played {
    let (mut played, mut draft) = (Played::default(), Vec::new());
    for _ in 0..1 << 22 {
        match session.step() {
            Step::Transmit => played.output.append(&mut session.take_output()),
            Step::Receive { .. } => match pieces.next() {
                Some(piece) => session.receive(piece),
                None => session.lost(Hangup::Closed),
            },
            Step::Decide(_) => session.answer(Verdict::Accept { rule: "fuzz".into() }),
            Step::Body(bytes) => draft.extend_from_slice(bytes),
            Step::Discard => draft.clear(),
            Step::Secure => session.secured(TlsFacts::default()),
            Step::Authenticate(Exchange::Cancel) => {}
            Step::Authenticate(_) => session.authenticated(AuthReply::Challenge(vec![0])),
            Step::Introduce(_) => session.introduced(true),
            Step::Commit(_) => {
                played.drafts.push(std::mem::take(&mut draft));
                session.committed(Ok(MessageId::new(0, 1, 1)));
            }
            Step::Close => {
                played.closed = true;
                break;
            }
        }
    }
    played
}
