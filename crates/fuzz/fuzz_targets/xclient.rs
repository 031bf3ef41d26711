//! Invariant: an introduction is taken and greeted, or refused; nothing in it ends a line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|argument: &[u8]| {
    if argument.len() > 2000 || argument.contains(&b'\n') {
        return;
    }
    let line = [b"XCLIENT ", argument, b"\r\n"].concat();
    let played = fuzz::play(fuzz::session(fuzz::everything()), [&line[..]].into_iter());
    let text = String::from_utf8(played.output).expect("replies are text");
    let last = text.lines().nth(1).expect("a reply behind the greeting");
    assert!(["220", "500", "501"].contains(&&last[..3]), "{text}");
});
