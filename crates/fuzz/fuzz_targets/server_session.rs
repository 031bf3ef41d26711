//! Invariant: whatever a client sends, the session goes on to a wait or a close in bounded steps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{MessageId, Verdict};
use smtp::{Hangup, ServerOptions, ServerPeer, ServerSession, Step};

fuzz_target!(|bytes: &[u8]| {
    let client = "192.0.2.1:4000".parse().expect("an address");
    let peer = ServerPeer { client, listener: "fuzz".into(), trusted: false };
    let mut session = ServerSession::new(ServerOptions::default().into(), peer);
    let mut chunks = bytes.chunks(7);
    for _ in 0..bytes.len() * 4 + 64 {
        match session.step() {
            Step::Transmit => session.take_output().clear(),
            Step::Receive { .. } => match chunks.next() {
                Some(chunk) => session.receive(chunk),
                None => session.lost(Hangup::Closed),
            },
            Step::Decide(_) => session.answer(Verdict::Accept { rule: "fuzz".into() }),
            Step::Body(_) | Step::Discard => {}
            Step::Commit(_) => session.committed(Ok(MessageId::new(0, 1, 1))),
            Step::Close => return,
        }
    }
    panic!("a session without an end");
});
