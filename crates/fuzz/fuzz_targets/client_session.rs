//! Invariant: whatever a server replies, the client ends, and delivers only after a final 2yz.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{ForwardPath, ReversePath};
use smtp::{ClientOptions, ClientSession, ClientStep, Encryption, Hangup, Transaction};

fuzz_target!(|bytes: &[u8]| {
    let options = ClientOptions {
        encryption: [Encryption::Never, Encryption::Offered][bytes.len() % 2],
        authenticate: bytes.len() % 3 == 0,
        ..ClientOptions::default()
    };
    let mut session = ClientSession::new(options.into());
    let mut chunks = bytes.chunks(7);
    for _ in 0..bytes.len() * 4 + 64 {
        match session.step() {
            ClientStep::Transmit => session.take_output().clear(),
            ClientStep::Receive { .. } => match chunks.next() {
                Some(chunk) => session.receive(chunk),
                None => session.lost(Hangup::Closed),
            },
            ClientStep::Ready => {
                let to = vec![ForwardPath::Postmaster];
                let plain = bytes.len() % 2 == 0;
                session.begin(Transaction { plain, ..Transaction::new(ReversePath::Null, to, 1) });
            }
            ClientStep::Secure => session.secured(),
            ClientStep::Authenticate(_) => session.authenticate("PLAIN", Some(bytes)),
            ClientStep::Respond(challenge) => session.respond(&challenge),
            ClientStep::SendBody => session.body_sent(),
            ClientStep::Finished(result) => assert_eq!(result.outcomes.len(), 1),
            ClientStep::Close(_) => return,
        }
    }
    panic!("a session without an end");
});
