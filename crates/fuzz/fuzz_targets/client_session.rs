//! Invariant: whatever a server replies, the client ends, and delivers only after a final 2yz.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{ForwardPath, ReversePath};
use smtp::{ClientOptions, ClientSession, ClientStep, Hangup, Transaction};

fuzz_target!(|bytes: &[u8]| {
    let mut session = ClientSession::new(ClientOptions::default().into());
    let mut chunks = bytes.chunks(7);
    for _ in 0..bytes.len() * 4 + 64 {
        match session.step() {
            ClientStep::Transmit => session.take_output().clear(),
            ClientStep::Receive { .. } => match chunks.next() {
                Some(chunk) => session.receive(chunk),
                None => session.lost(Hangup::Closed),
            },
            ClientStep::Ready => session.begin(Transaction {
                reverse_path: ReversePath::Null,
                recipients: vec![ForwardPath::Postmaster],
                body: mail::BodyKind::SevenBit,
                bytes: 1,
            }),
            ClientStep::SendBody => session.body_sent(),
            ClientStep::Finished(result) => assert_eq!(result.outcomes.len(), 1),
            ClientStep::Close(_) => return,
        }
    }
    panic!("a session without an end");
});
