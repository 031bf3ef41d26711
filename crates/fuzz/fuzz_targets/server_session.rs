//! Invariant: whatever a client sends, the session goes on to a wait or a close in bounded steps.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let played = fuzz::play(fuzz::session(fuzz::everything()), bytes.chunks(7));
    assert!(played.closed, "a session without an end");
});
