//! Invariant: a command line gets one reply, and a session that goes on.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
    if line.len() > 2000 || line.contains(&b'\n') || verb == b"BDAT" || verb == b"DATA" {
        return;
    }
    let line = [line, b"\r\n"].concat();
    let pieces = [&b"EHLO c\r\n"[..], b"MAIL FROM:<a@b> SMTPUTF8\r\n", &line];
    let played = fuzz::play(fuzz::session(fuzz::everything()), pieces.into_iter());
    let replies = played.output.split(|byte| *byte == b'\n').filter(|l| l.get(3) == Some(&b' '));
    assert_eq!(replies.count(), 4, "{}", played.output.escape_ascii());
});
